"""The servers that a command uses: those it is told, else those of the running instance."""

from pathlib import Path
from urllib.parse import urlsplit

from turnlog_cli.instance import ServerUrls, resolve_servers
from turnlog_producers.connecting import check_url
from turnlog_projector.settings import BadSettings


def both(redis_url: str | None, postgres_url: str | None, data_dir: Path | None) -> ServerUrls:
    """Redis and Postgres. Raises `NoInstance` when one is unknown."""
    _check(redis_url, postgres_url)
    return resolve_servers(redis_url=redis_url, postgres_url=postgres_url, data_dir=data_dir)


def redis_at_least(
    redis_url: str | None, postgres_url: str | None, data_dir: Path | None
) -> ServerUrls:
    """Redis, and Postgres where it is known (else ''). Raises `NoInstance` without a Redis."""
    if redis_url and not postgres_url:
        _check(redis_url, None)
        return ServerUrls(redis_url, "")
    return both(redis_url, postgres_url, data_dir)


def postgres_only(postgres_url: str | None, data_dir: Path | None) -> str:
    """Postgres alone. Raises `NoInstance` when it is unknown."""
    _check(None, postgres_url)
    return postgres_url or both(None, None, data_dir).postgres_url


def _check(redis_url: str | None, postgres_url: str | None) -> None:
    """Refuse an address that no driver can read, before anything begins."""
    if redis_url:
        check_url(redis_url)
    if postgres_url:
        scheme, found, _ = postgres_url.partition("://")
        if found and scheme not in ("postgres", "postgresql"):
            raise BadSettings("TURNLOG_POSTGRES_URL cannot be used: it begins with postgresql://")


def masked(url: str) -> str:
    """The address without its password, for people and logs."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return url.partition("://")[0] + "://…"
    return url.replace(f":{password}@", ":***@", 1) if password else url
