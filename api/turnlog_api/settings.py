"""Settings of the API, from the environment (`TURNLOG_…`), and the refusal of unsafe ones."""

import ipaddress
from typing import Annotated, Literal

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
    elif not secret:
        raise BadSettings("TURNLOG_JWT_SECRET: missing; TURNLOG_AUTH=jwt needs one of 32 bytes")
    elif len(secret.encode()) < MIN_SECRET_BYTES:
        raise BadSettings(
            f"TURNLOG_JWT_SECRET: given {len(secret.encode())} bytes; at least "
            f"{MIN_SECRET_BYTES} are needed, such as from `openssl rand -hex 32`"
        )
    if "*" in settings.origins:
        raise BadSettings(
            "TURNLOG_CORS_ORIGINS: given *; name the origins, such as https://a.example"
        )
