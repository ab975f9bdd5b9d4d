"""Who is calling: from a JWT, or, with auth off, from two headers."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jwt

from turnlog_api.problems import Problem
from turnlog_api.scope import Scope
from turnlog_api.settings import ApiSettings
from turnlog_producers.head import Head
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT, MAX_TEXT_ID, check_id

Headers = dict[bytes, bytes]
Authenticate = Callable[[Headers], "Caller"]

SERVICE = "service"
ADMIN = "admin"
_MAX_CACHED_TOKENS = 4096


class Caller(NamedTuple):
    """Who calls. `subject` is the token's `sub` ('' with auth off); `user_id` is the user acted
    for, None when a service or an operator acts for nobody in particular."""

    tenant: str
    subject: str
    user_id: str | None
    scopes: frozenset[str]

    @property
    def scope(self) -> Scope:
        """What the caller may read."""
        return Scope(self.tenant, self.user_id)

    @property
    def trusted(self) -> bool:
        """Acts for any user of the tenant."""
        return SERVICE in self.scopes or ADMIN in self.scopes

    def may_own(self, head: Head | None) -> bool:
        """Whether a session that is not projected yet may turn out to be the caller's."""
        if head is None or head.erased:
            return False
        return self.user_id is None or head.owner == self.user_id

    def actor(self) -> dict[str, Any] | None:
        """Who the log says has caused an event, unless a trusted caller says otherwise."""
        if not self.trusted:
            return {"kind": "user", "id": self.subject}
        if self.subject:
            return {"kind": "service", "id": self.subject}
        return {"kind": "user", "id": self.user_id} if self.user_id else None

    def need(self, scope: str) -> None:
        """Refuse a caller without the scope."""
        if scope not in self.scopes:
            raise Problem("forbidden", f"this needs the scope `{scope}`", scope=scope)


def authenticator(settings: ApiSettings) -> Authenticate:
    """The function that names the caller from the headers, or raises a 401 or 403 `Problem`."""
    return _WithoutAuth() if settings.auth == "off" else _Jwt(settings)


class _WithoutAuth:
    """Everybody who reaches this loopback address operates it."""

    _scopes = frozenset({ADMIN})

    def __call__(self, headers: Headers) -> Caller:
        tenant = headers.get(b"turnlog-tenant")
        return Caller(
            _tenant(tenant.decode("latin-1")) if tenant else DEFAULT_TENANT,
            "",
            _named_user(headers),
            self._scopes,
        )


class _Jwt:
    """Tokens signed with one secret (HS256). Those seen lately are kept, until they expire."""

    def __init__(self, settings: ApiSettings) -> None:
        self._secret = settings.jwt_secret.get_secret_value()
        self._audience = settings.jwt_audience or None
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def __call__(self, headers: Headers) -> Caller:
        given = headers.get(b"authorization")
        if given is None:
            raise Problem("unauthenticated", "send a token: `Authorization: Bearer <token>`")
        caller, expires = self._known.get(given) or self._read(given)
        if expires <= time.time():
            self._known.pop(given, None)
            raise Problem("unauthenticated", "the token has expired: get a new one")
        named = _named_user(headers)
        if named is None or named == caller.user_id:
            return caller
        if not caller.trusted:
            raise Problem(
                "forbidden", f"acting for another user needs the scope `{SERVICE}`", scope=SERVICE
            )
        return caller._replace(user_id=named)

    def _read(self, given: bytes) -> tuple[Caller, float]:
        kind, _, token = given.partition(b" ")
        if kind.lower() != b"bearer":
            raise Problem("unauthenticated", "send a token: `Authorization: Bearer <token>`")
        try:
            claims: dict[str, Any] = jwt.decode(  # pyright: ignore[reportUnknownMemberType]
                token.strip(),
                self._secret,
                algorithms=["HS256"],
                audience=self._audience,
                options={"require": ["sub"], "verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise Problem("unauthenticated", "the token has expired: get a new one") from None
        except jwt.InvalidAudienceError:
            raise Problem("unauthenticated", "the token is meant for another audience") from None
        except (jwt.InvalidTokenError, ValueError):
            raise Problem("unauthenticated", "the token is not valid here") from None
        caller = _caller(claims)
        expires = float(claims.get("exp") or "inf")
        if len(self._known) >= _MAX_CACHED_TOKENS:
            self._known.clear()
        self._known[given] = (caller, expires)
        return caller, expires


def _caller(claims: dict[str, Any]) -> Caller:
    tenant, subject = claims.get("tenant"), claims["sub"]
    if not isinstance(tenant, str) or not isinstance(subject, str):
        raise Problem("unauthenticated", "the token must name `tenant` and `sub`")
    try:
        check_id(tenant, "tenant")
        user_id = _user(subject)
    except (InvalidEvent, ValueError):
        raise Problem("unauthenticated", "the token's `tenant` or `sub` is malformed") from None
    scope = claims.get("scope") or ""
    names = scope.split() if isinstance(scope, str) else cast(list[object], scope)
    scopes = frozenset(name for name in names if isinstance(name, str))
    trusted = SERVICE in scopes or ADMIN in scopes
    return Caller(tenant, subject, None if trusted else user_id, scopes)


def _tenant(given: str) -> str:
    try:
        return check_id(given, "Turnlog-Tenant")
    except InvalidEvent as error:
        raise Problem("bad-request", str(error)) from None


def _named_user(headers: Headers) -> str | None:
    given = headers.get(b"turnlog-user")
    if not given:
        return None
    try:
        return _user(given.decode())
    except ValueError:
        raise Problem(
            "bad-request", f"Turnlog-User: allowed is UTF-8 text of 1 to {MAX_TEXT_ID} characters"
        ) from None


def _user(given: str) -> str:
    if not 1 <= len(given) <= MAX_TEXT_ID or "\0" in given:
        raise ValueError("user")
    return given
