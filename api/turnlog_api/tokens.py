"""Checking tokens: signature, times, audience. What they claim is read in auth.py."""

from typing import Any, Protocol

import jwt

from turnlog_api.jwks import KeySet
from turnlog_api.problems import Problem
from turnlog_api.settings import ApiSettings

MAX_TOKEN_BYTES = 8 * 1024
"""Of the Authorization header. A larger one is refused unread."""

Claims = dict[str, Any]


class Tokens(Protocol):
    """Tells the claims of a good token; raises a 401 `Problem` for any other, and a 503 one when
    the keys are not at hand."""

    async def claims(self, token: bytes) -> Claims: ...

    async def close(self) -> None: ...


class SecretTokens:
    """Tokens signed with one secret, by HS256 and nothing else."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._secret = settings.jwt_secret.get_secret_value()

    async def claims(self, token: bytes) -> Claims:
        return _decode(token, self._secret, "HS256", self._settings)

    async def close(self) -> None:
        """Nothing is held."""


class KeySetTokens:
    """Tokens signed with one of the keys behind an address: RS256, ES256 or EdDSA, by its type."""

    def __init__(self, settings: ApiSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys

    async def claims(self, token: bytes) -> Claims:
        try:
            kid: object = jwt.get_unverified_header(token).get("kid")
        except (jwt.InvalidTokenError, ValueError):
            raise _invalid() from None
        if kid is not None and not isinstance(kid, str):
            raise _invalid()
        key = await self._keys.key(kid)
        if key is None:
            raise Problem("unauthenticated", "the token is signed with a key that is not known")
        return _decode(token, key, key.algorithm_name, self._settings)

    async def close(self) -> None:
        await self._keys.close()


def _decode(token: bytes, key: str | jwt.PyJWK, algorithm: str, settings: ApiSettings) -> Claims:
    audience = settings.jwt_audience or None
    try:
        return jwt.decode(  # pyright: ignore[reportUnknownMemberType]
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            leeway=settings.jwt_leeway_seconds,
            options={"require": ["exp", "sub"], "verify_aud": audience is not None},
        )
    except jwt.ExpiredSignatureError:
        raise expired() from None
    except jwt.ImmatureSignatureError:
        raise Problem("unauthenticated", "the token is not valid yet: compare the clocks") from None
    except jwt.InvalidAudienceError:
        raise Problem("unauthenticated", "the token is meant for another audience") from None
    except jwt.MissingRequiredClaimError as error:
        raise Problem("unauthenticated", f"the token must name `{error.claim}`") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise _invalid() from None


def expired() -> Problem:
    return Problem("unauthenticated", "the token has expired: get a new one")


def _invalid() -> Problem:
    return Problem("unauthenticated", "the token is not valid here")
