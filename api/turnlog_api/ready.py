"""Whether the API can serve: both servers answer, hold the same log, and the schema fits."""

from turnlog_api.logreads import LogReads
from turnlog_api.reading import Reader
from turnlog_producers.errors import Misconfigured, Unavailable
from turnlog_producers.meta import LogMeta
from turnlog_projector.errors import NotReady, ServerUnavailable, WrongLog
from turnlog_projector.init import check_same_log
from turnlog_projector.sqlfiles import migrations


async def check_ready(log: LogReads, reader: Reader) -> dict[str, str | None]:
    """What was checked -> what is wrong with it, or None."""
    checks: dict[str, str | None] = {"redis": None, "postgres": None, "schema": None, "log": None}
    in_redis: LogMeta | None = None
    try:
        log.forget_meta()
        in_redis = await log.meta()
    except (Unavailable, Misconfigured) as error:
        checks["redis"] = str(error)
    try:
        await reader.generation()
        rows = await reader.rows("SELECT max(number) FROM turnlog.migrations")
        applied, newest = rows.number(0, 0), migrations()[-1][0]
        if applied != newest:
            checks["schema"] = f"is at {applied}, this release needs {newest}: run `turnlog init`"
        rows = await reader.rows("SELECT log_id, partitions FROM turnlog.log")
        if not rows.count:
            checks["schema"] = "belongs to no log yet: run `turnlog init`"
        elif in_redis is not None:
            known = LogMeta(rows.text(0, 0) or "", rows.number(0, 1) or 0)
            check_same_log(in_redis, known)
    except ServerUnavailable:
        checks["postgres"] = await reader.reason()
    except NotReady as error:
        checks["schema"] = str(error)
    except WrongLog as error:
        checks["log"] = str(error)
    return checks
