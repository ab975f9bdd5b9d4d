"""Calls of those who operate the log."""

from turnlog_client.calls import call
from turnlog_client.requests import Steps, get, one, write
from turnlog_client.results import Health, Readiness, Rebuild, Status

_NOT_READY = frozenset({503})


class OperationCalls:
    """Health and rebuilds. `status`, `metrics` and rebuilds need the scope `admin`."""

    @call
    def health(self) -> Steps[Health]:
        """Whether the API answers; nothing else is checked, and no token is needed."""
        return one(get("/healthz"))

    @call
    def ready(self) -> Steps[Readiness]:
        """Whether Redis and Postgres answer and fit, and if not, why; no token is needed. Raises
        `Unavailable` when the API itself does not answer."""
        return one(get("/readyz", accepts=_NOT_READY))

    @call
    def status(self) -> Steps[Status]:
        """How far the read models are behind the log, what there is, and what an operator has to
        do. A server that is down is reported in it, not raised."""
        return one(get("/v1/status"))

    @call
    def metrics(self) -> Steps[str]:
        """The metrics of the API's process, in the text form of Prometheus."""
        reply = yield get("/metrics")
        return reply.body.decode()

    @call
    def start_rebuild(
        self,
        *,
        session_id: str | None = None,
        until: int | str | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Rebuild]:
        """Have a projector replay the log: all of it into a new generation that is proven and made
        live, or one session in place; with `until` (a time, or of a session a seq) into a
        generation to look at, called `name`. One at a time: else `Conflict`."""
        body = {
            "session_id": session_id,
            "until": None if until is None else str(until),
            "name": name,
        }
        known = {field: value for field, value in body.items() if value is not None}
        return one(write("POST", "/v1/rebuilds", known, key=idempotency_key))

    @call
    def rebuild(self, rebuild_id: int) -> Steps[Rebuild]:
        """One rebuild, with its progress; `failed` says why in `error`."""
        return one(get(_path(rebuild_id)))

    @call
    def cancel_rebuild(self, rebuild_id: int) -> Steps[Rebuild]:
        """Break a rebuild off; what it has made so far goes. One that has ended stays as it is."""
        return one(write("DELETE", _path(rebuild_id)))


def _path(rebuild_id: int) -> str:
    return f"/v1/rebuilds/{int(rebuild_id)}"
