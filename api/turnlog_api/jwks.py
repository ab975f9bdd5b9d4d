"""The public keys of whoever issues the tokens, from a JWKS address; they rotate.

Keys are fetched in a thread and kept. They are fetched again when they have grown old (meanwhile
the old ones serve), and when a token names a key that is not among them, at most once in a while.
An address that does not answer changes nothing for the keys that are known.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, cast
from urllib.request import Request, urlopen

import jwt
from pydantic_core import from_json

from turnlog_api.problems import Problem

MAX_KEYS_BYTES = 1024 * 1024
_TIMEOUT_S = 5.0
_ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
"""Which algorithm a key of a type verifies. The key decides, never the token: else a public key
could be taken as the secret of an HS256 token."""
_CURVES = {"RSA": None, "EC": "P-256", "OKP": "Ed25519"}
_MIN_RSA_BITS = 2048

logger = logging.getLogger(__name__)

Keys = dict[str, jwt.PyJWK]


class KeySet:
    """The keys behind one address, by key id."""

    def __init__(
        self,
        url: str,
        *,
        refresh_s: float,
        max_age_s: float,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when keys have come or gone: what was verified may not be any
        more."""
        self._url = url
        self._refresh_s = refresh_s
        self._max_age_s = max_age_s
        self._on_change = on_change
        self._keys: Keys = {}
        self._good_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of this id; without an id the only key. None when there is none of that id.

        Raises a 503 `Problem` when it cannot be known: the address has not answered.
        """
        now = time.monotonic()
        if self._find(kid) is None:
            if now - self._tried_at >= self._refresh_s or not self._settled:
                await asyncio.shield(self._fetch())
            if self._find(kid) is None and self._failed:
                raise Problem(
                    "keys-unavailable",
                    "the keys of the tokens cannot be fetched now: send the request again",
                )
        else:
            self.refresh_if_old()
        return self._find(kid)

    def refresh_if_old(self) -> None:
        """Begin to fetch the keys when they are old; nobody waits for it."""
        now = time.monotonic()
        if now - self._good_at >= self._max_age_s and now - self._tried_at >= self._refresh_s:
            self._fetch()

    async def close(self) -> None:
        if self._fetching is not None and not self._fetching.done():
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    @property
    def _settled(self) -> bool:
        return self._fetching is None or self._fetching.done()

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is not None:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _fetch(self) -> "asyncio.Task[None]":
        """Fetch the keys, once for all who ask meanwhile."""
        if self._fetching is None or self._fetching.done():
            self._tried_at = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch_now(), name="turnlog token keys")
        return self._fetching

    async def _fetch_now(self) -> None:
        try:
            keys = usable_keys(await asyncio.to_thread(_read, self._url))
        except (OSError, HTTPException, ValueError) as error:
            self._failed = True
            logger.warning("TURNLOG_JWKS_URL does not answer with keys: %s", type(error).__name__)
            return
        self._failed = False
        self._good_at = time.monotonic()
        if keys.keys() != self._keys.keys():
            logger.info("keys of the tokens: %d", len(keys))
        self._keys = keys
        self._on_change()


def _read(url: str) -> Any:
    """Raises `OSError`, `HTTPException`, or `ValueError`."""
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "turnlog"})  # noqa: S310 - http or https, checked with the settings
    with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        text = answer.read(MAX_KEYS_BYTES + 1)
    if len(text) > MAX_KEYS_BYTES:
        raise ValueError("too large")
    return from_json(text)


def usable_keys(document: Any) -> Keys:
    """Those keys of a key set that verify tokens here; others are passed over. Raises `ValueError`
    for what is no key set, or one without a usable key."""
    listed: Any = cast(dict[str, Any], document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no key set")
    keys: Keys = {}
    for each in cast(list[Any], listed):
        if isinstance(each, dict):
            key = _usable(cast(dict[str, Any], each))
            if key is not None:
                keys[str(cast(dict[str, Any], each).get("kid") or "")] = key
    if not keys:
        raise ValueError("no usable key")
    return keys


def _usable(described: dict[str, Any]) -> jwt.PyJWK | None:
    kind = described.get("kty")
    algorithm = _ALGORITHMS.get(kind) if isinstance(kind, str) else None
    if algorithm is None or described.get("alg", algorithm) != algorithm:
        return None
    if "d" in described:  # a private key that somebody has published
        return None
    if described.get("use", "sig") != "sig" or described.get("crv") != _CURVES[cast(str, kind)]:
        return None
    try:
        key = jwt.PyJWK(described, algorithm)
    except (jwt.PyJWTError, LookupError, TypeError, ValueError):
        return None
    if algorithm == "RS256" and getattr(key.key, "key_size", 0) < _MIN_RSA_BITS:
        return None
    return key
