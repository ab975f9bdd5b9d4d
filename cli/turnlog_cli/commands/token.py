"""`turnlog token`."""

import time
from enum import StrEnum
from typing import Annotated, Any

import jwt
import typer

from turnlog_api.settings import MIN_SECRET_BYTES, ApiSettings
from turnlog_cli.options import Json, Tenant
from turnlog_cli.output import print_json
from turnlog_projector.settings import BadSettings, load
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT, MAX_TEXT_ID, check_id

_DAY_S = 86_400


class Scope(StrEnum):
    """What a token allows beyond a user's own sessions."""

    service = "service"
    admin = "admin"


def token(
    user: Annotated[
        str, typer.Option("--user", help="Whom it names (`sub`): a user, or a service's name.")
    ],
    tenant: Tenant = DEFAULT_TENANT,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            help="service acts for any user of the tenant, admin operates; may be repeated.",
            show_default="the user's own sessions",
        ),
    ] = None,
    days: Annotated[float, typer.Option("--days", help="How long it is valid.")] = 30,
    as_json: Json = False,
) -> None:
    """Make a token for the API, signed with the secret in TURNLOG_JWT_SECRET (HS256).

    It names the audience in TURNLOG_JWT_AUDIENCE, when that is set.

    \b
    Example:
      turnlog token --user u-1 --tenant acme --days 30
    """
    if days <= 0:
        raise typer.BadParameter("--days is more than 0")
    if not 1 <= len(user) <= MAX_TEXT_ID or "\0" in user:
        raise typer.BadParameter(f"--user has 1 to {MAX_TEXT_ID} characters")
    try:
        check_id(tenant, "--tenant")
    except InvalidEvent as error:
        raise typer.BadParameter(str(error)) from None
    settings = load(ApiSettings)
    secret = settings.jwt_secret.get_secret_value()
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise BadSettings(
            f"TURNLOG_JWT_SECRET has {len(secret.encode())} bytes, at least {MIN_SECRET_BYTES} are "
            'needed: export TURNLOG_JWT_SECRET="$(openssl rand -hex 32)"'
        )
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": user,
        "tenant": tenant,
        "iat": now,
        "exp": now + int(days * _DAY_S),
    }
    if scope:
        claims["scope"] = " ".join(scope)
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    made = jwt.encode(claims, secret, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]
    if as_json:
        print_json({"token": made, "claims": claims})
    else:
        print(made)
