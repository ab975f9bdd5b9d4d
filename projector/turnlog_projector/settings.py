"""Settings of everything that talks to both servers, from the environment (`TURNLOG_…`)."""

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.events import MAX_EVENT_BYTES

S = TypeVar("S", bound="Settings")


class BadSettings(TurnlogError):
    """A setting has a value that cannot be used; the text names it and what is allowed."""


class Settings(BaseSettings):
    """What projector, API and commands share. Each field is an environment variable in capitals
    with the prefix TURNLOG_."""

    model_config = SettingsConfigDict(env_prefix="TURNLOG_", extra="ignore", env_ignore_empty=True)

    redis_url: Annotated[str, Field(description="redis://, rediss:// or unix:// address")] = ""
    postgres_url: Annotated[str, Field(description="postgresql:// address of the owner role")] = ""
    partitions: Annotated[
        int | None, Field(ge=1, le=4096, description="partitions of a new log (64)")
    ] = None
    max_event_bytes: Annotated[int, Field(ge=1024, description="largest event, in bytes")] = (
        MAX_EVENT_BYTES
    )
    lease_seconds: Annotated[
        float, Field(gt=0.2, description="a worker silent for this long loses its partitions")
    ] = 10.0
    audit_seconds: Annotated[
        float, Field(gt=0, description="time between two audits of a partition")
    ] = 300.0
    trim_after_days: Annotated[
        float,
        BeforeValidator(lambda value: 0 if value == "off" else value),
        Field(ge=0, lt=100_000, description="days after which archived events leave Redis; 0, off"),
    ] = 7.0
    trim_keep_events: Annotated[
        int, Field(ge=0, description="newest events of a live session that stay in Redis")
    ] = 100
    retention_days: Annotated[
        float,
        BeforeValidator(lambda value: 0 if value == "off" else value),
        Field(ge=0, lt=100_000, description="days without an event that erase a session; 0, off"),
    ] = 0.0
    park_limit: Annotated[
        int,
        Field(ge=0, description="parked sessions among the last 1,000 folded that stop; 0: never"),
    ] = 20
    park_percent: Annotated[
        float, Field(ge=0, le=100, description="and the share of them that they must be")
    ] = 10.0
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="port of the projector's metrics; 0: none")
    ] = 0
    metrics_host: Annotated[
        str, Field(description="address that the projector's metrics are served on")
    ] = "127.0.0.1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"


def load(kind: type[S], **given: object) -> S:
    """Read the settings; values given here (options of a command) win over the environment."""
    try:
        return kind(**{k: v for k, v in given.items() if v is not None})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        name = "TURNLOG_" + "_".join(str(part) for part in fault["loc"]).upper()
        raise BadSettings(f"{name}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
