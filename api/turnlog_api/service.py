"""The parts that routes work with, and how they come to and go."""

from starlette.requests import Request

from turnlog_api.auth import Caller
from turnlog_api.erasing import UserEraser
from turnlog_api.exportduty import ExportDuty
from turnlog_api.exportjobs import Exports
from turnlog_api.exportwork import WorkSettings
from turnlog_api.logreads import LogReads
from turnlog_api.metrics import ApiMetrics
from turnlog_api.reading import Reader
from turnlog_api.rebuilding import Rebuilds
from turnlog_api.redislink import RedisLink
from turnlog_api.sessionlog import SessionLogs
from turnlog_api.settings import ApiSettings
from turnlog_api.strong import StrongReads
from turnlog_api.timetravel import TimeTravel
from turnlog_api.waiting import Waits
from turnlog_api.writing import Writer


class Service:
    """One for each app. Both servers may be down when it opens; it connects when they are there."""

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings
        self.metrics = ApiMetrics()
        self.link = RedisLink(settings.redis_url)
        self.log = LogReads(self.link, settings.partitions)
        self.reader = Reader(settings.postgres_url, size=settings.postgres_pool)
        self.strong = StrongReads(self.reader, self.log)
        self.logs = SessionLogs(self.reader, self.log, self.strong)
        self.time_travel = TimeTravel(settings.postgres_url, self.reader, self.logs, self.strong)
        self.waits = Waits(self.reader)
        self.writer = Writer(settings, self.log, self.reader, self.waits, self.strong, self.metrics)
        self.metrics.watch_pool(self.reader.pool_stats)
        self.rebuilds = Rebuilds(settings.postgres_url, self.reader)
        self.exports = Exports(
            settings.postgres_url, self.reader, most_under_way=settings.exports_per_user
        )
        self.export_duty = ExportDuty(
            self.exports,
            WorkSettings(settings, settings.export_hours * 3600),
        )
        self.user_eraser = UserEraser(self.log, self.reader, self.writer.turnlog)

    async def open(self) -> None:
        await self.reader.open()
        self.export_duty.open()

    async def close(self) -> None:
        await self.export_duty.close()
        self.time_travel.close()
        await self.waits.close()
        await self.writer.close()
        await self.link.close()
        await self.reader.close()


def service_of(request: Request) -> Service:
    """The service of the app that the request came to."""
    return request.app.state.service


def caller_of(request: Request) -> Caller:
    """Who calls, as the gate has found out."""
    return request.scope["caller"]
