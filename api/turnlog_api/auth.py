"""Who is calling: from a JWT, or, with auth off, from two headers."""

import time
from typing import Any, NamedTuple, Protocol, cast

from turnlog_api.jwks import KeySet
from turnlog_api.problems import Problem
from turnlog_api.scope import Scope
from turnlog_api.settings import ApiSettings
from turnlog_api.tokens import MAX_TOKEN_BYTES, KeySetTokens, SecretTokens, Tokens, expired
from turnlog_producers.head import Head
from turnlog_schemas.ids import DEFAULT_TENANT, ID_RULE, MAX_TEXT_ID, is_id

Headers = dict[bytes, bytes]

SERVICE = "service"
ADMIN = "admin"
_MAX_CACHED_TOKENS = 4096
"""With the largest ones 32 MiB."""


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


class Authenticator(Protocol):
    """Names the caller of a request."""

    async def __call__(self, headers: Headers) -> Caller: ...

    async def close(self) -> None: ...


def authenticator(settings: ApiSettings) -> Authenticator:
    """What names the caller from the headers, or raises a 401, 403 or 503 `Problem`."""
    return _WithoutAuth() if settings.auth == "off" else _Jwt(settings)


class _WithoutAuth:
    """Everybody who reaches this loopback address operates it."""

    _scopes = frozenset({ADMIN})

    async def __call__(self, headers: Headers) -> Caller:
        tenant = headers.get(b"turnlog-tenant")
        return Caller(
            _tenant(tenant.decode("latin-1")) if tenant else DEFAULT_TENANT,
            "",
            _named_user(headers),
            self._scopes,
        )

    async def close(self) -> None:
        """Nothing is held."""


class _Jwt:
    """Tokens. Those seen lately are kept, until they expire or the keys change."""

    def __init__(self, settings: ApiSettings) -> None:
        self._leeway_s = settings.jwt_leeway_seconds
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._keys: KeySet | None = None
        if settings.jwks_url:
            self._keys = KeySet(
                settings.jwks_url,
                refresh_s=settings.jwks_refresh_seconds,
                max_age_s=settings.jwks_max_age_seconds,
                on_change=self._known.clear,
            )
            self._tokens: Tokens = KeySetTokens(settings, self._keys)
        else:
            self._tokens = SecretTokens(settings)

    async def __call__(self, headers: Headers) -> Caller:
        given = headers.get(b"authorization")
        if given is None:
            raise Problem("unauthenticated", "send a token: `Authorization: Bearer <token>`")
        known = self._known.get(given)
        if known is None:
            caller, expires = await self._read(given)
        else:
            caller, expires = known
            if self._keys is not None:
                self._keys.refresh_if_old()
        if expires <= time.time():
            self._known.pop(given, None)
            raise expired()
        named = _named_user(headers)
        if named is None or named == caller.user_id:
            return caller
        if not caller.trusted:
            raise Problem(
                "forbidden", f"acting for another user needs the scope `{SERVICE}`", scope=SERVICE
            )
        return caller._replace(user_id=named)

    async def close(self) -> None:
        await self._tokens.close()

    async def _read(self, given: bytes) -> tuple[Caller, float]:
        kind, _, token = given.partition(b" ")
        if kind.lower() != b"bearer":
            raise Problem("unauthenticated", "send a token: `Authorization: Bearer <token>`")
        if len(given) > MAX_TOKEN_BYTES:
            raise Problem(
                "unauthenticated", f"the token is too large: allowed are {MAX_TOKEN_BYTES} bytes"
            )
        claims = await self._tokens.claims(token.strip())
        caller, expires = _caller(claims), float(claims["exp"]) + self._leeway_s
        if len(self._known) >= _MAX_CACHED_TOKENS:
            self._known.clear()
        self._known[given] = (caller, expires)
        return caller, expires


def _caller(claims: dict[str, Any]) -> Caller:
    tenant, subject = claims.get("tenant"), claims["sub"]
    if not isinstance(tenant, str) or not isinstance(subject, str):
        raise Problem("unauthenticated", "the token must name `tenant` and `sub`")
    try:
        user_id = _user(subject)
    except ValueError:
        user_id = None
    if user_id is None or not is_id(tenant):
        raise Problem("unauthenticated", "the token's `tenant` or `sub` is malformed")
    scope: object = claims.get("scope") or ""
    names: object = scope.split() if isinstance(scope, str) else scope
    if not isinstance(names, list):
        raise Problem("unauthenticated", "the token's `scope` must be text, or a list of texts")
    listed = cast(list[object], names)
    scopes = frozenset(name for name in listed if isinstance(name, str))
    trusted = SERVICE in scopes or ADMIN in scopes
    return Caller(tenant, subject, None if trusted else user_id, scopes)


def _tenant(given: str) -> str:
    if not is_id(given):
        raise Problem("bad-request", f"Turnlog-Tenant: {ID_RULE}")
    return given


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
