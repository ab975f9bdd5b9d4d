"""Settings of the API, from the environment (`TURNLOG_…`), and the refusal of unsafe ones."""

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from turnlog_producers.connecting import check_url
from turnlog_producers.errors import Misconfigured
from turnlog_projector.settings import BadSettings, Settings

MIN_SECRET_BYTES = 32


class ApiSettings(Settings):
    """What the API adds to the settings that all parts share."""

    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port to listen on; 0: a free one")] = (
        8000
    )
    auth: Annotated[
        Literal["off", "jwt"], Field(description="off works on a loopback address only")
    ] = "off"
    jwt_secret: Annotated[SecretStr, Field(description="HS256 secret, at least 32 bytes")] = (
        SecretStr("")
    )
    jwks_url: Annotated[
        str, Field(description="address of the keys of the tokens' issuer, instead of a secret")
    ] = ""
    jwks_refresh_seconds: Annotated[
        float, Field(gt=0, description="an unknown key is looked for at most this often")
    ] = 10.0
    jwks_max_age_seconds: Annotated[
        float, Field(gt=0, description="known keys are fetched anew after this time")
    ] = 300.0
    jwt_leeway_seconds: Annotated[
        float, Field(ge=0, le=600, description="how far clocks may be apart")
    ] = 30.0
    jwt_audience: Annotated[str, Field(description="the `aud` that tokens must name")] = ""
    cors_origins: Annotated[
        str, Field(description="origins that browsers may call from, separated by commas")
    ] = ""
    postgres_pool: Annotated[
        int, Field(ge=1, le=200, description="connections to Postgres of one API process")
    ] = 8
    wait_seconds: Annotated[
        float, Field(gt=0, le=300, description="longest wait for min_seq and ack=projected")
    ] = 10.0
    exports_per_user: Annotated[
        int, Field(ge=0, le=1000, description="exports of one user under way at once")
    ] = 3
    export_hours: Annotated[
        float, Field(gt=0, le=8760, description="how long the file of an export is kept")
    ] = 24.0
    access_log: Annotated[bool, Field(description="log a line for each request")] = False

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check(settings: ApiSettings) -> None:
    """Refuse what cannot be served safely. Raises `BadSettings` with one line on what to change."""
    for name in ("redis_url", "postgres_url"):
        if not getattr(settings, name):
            raise BadSettings(f"TURNLOG_{name.upper()}: missing; give the address of the server")
    try:
        check_url(settings.redis_url)
    except Misconfigured as error:
        raise BadSettings(f"TURNLOG_REDIS_URL: {error}") from None
    secret = settings.jwt_secret.get_secret_value()
    if settings.auth == "off":
        if not is_loopback(settings.host):
            raise BadSettings(
                f"TURNLOG_AUTH: off works on a loopback address only, not on {settings.host}; "
                "set TURNLOG_AUTH=jwt and TURNLOG_JWT_SECRET, or listen on 127.0.0.1"
            )
    else:
        _check_keys(settings, secret)
    if "*" in settings.origins:
        raise BadSettings(
            "TURNLOG_CORS_ORIGINS: given *; name the origins, such as https://a.example"
        )


def _check_keys(settings: ApiSettings, secret: str) -> None:
    """What tokens are checked with: one secret, or the keys of an issuer."""
    if settings.jwks_url:
        if secret:
            raise BadSettings(
                "TURNLOG_JWKS_URL: given beside TURNLOG_JWT_SECRET; set one of them, or whoever "
                "knows the secret could make tokens beside the issuer"
            )
        address = urlsplit(settings.jwks_url)
        if address.scheme != "https" and not (
            address.scheme == "http" and is_loopback(address.hostname or "")
        ):
            raise BadSettings(
                "TURNLOG_JWKS_URL: must begin with https:// (http:// on a loopback address only): "
                "whoever can change the keys can make tokens"
            )
    elif not secret:
        raise BadSettings(
            "TURNLOG_JWT_SECRET: missing; TURNLOG_AUTH=jwt needs one of 32 bytes, or "
            "TURNLOG_JWKS_URL"
        )
    elif len(secret.encode()) < MIN_SECRET_BYTES:
        raise BadSettings(
            f"TURNLOG_JWT_SECRET: given {len(secret.encode())} bytes; at least "
            f"{MIN_SECRET_BYTES} are needed, such as from `openssl rand -hex 32`"
        )
