"""A projector that believes to own every partition, whatever the leases say. Run as a process."""

from turnlog_projector.leases import Leases
from turnlog_projector.settings import Settings
from turnlog_projector.supervisor import run_projector


def _everything(leases: Leases) -> set[int]:
    rows = leases._connection.execute(  # pyright: ignore[reportPrivateUsage]
        "SELECT partition FROM turnlog.leases"
    )
    return {row[0] for row in rows}


if __name__ == "__main__":
    Leases.tick = _everything  # pyright: ignore[reportAttributeAccessIssue]
    raise SystemExit(run_projector(Settings()))
