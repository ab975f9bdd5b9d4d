"""Who is asking, and which sessions that lets them read.

The rule stands in three places that must say the same: in sql/seen.sql, which every query of the
read models includes; in the policies of Postgres (generation_guard.sql among the projector's
statements), which hold for a query that forgets it; and here, for sessions that are folded outside
Postgres.
"""

from typing import NamedTuple


class Scope(NamedTuple):
    """A tenant and, in it, a user; without a user the whole tenant is meant.

    With `only_session` it is all of one session of the tenant, whoever's it is: for those who
    decide from the session itself, or have decided already, whether it may be shown.
    """

    tenant: str
    user_id: str | None = None
    only_session: str | None = None

    def sees(self, *, user_id: str | None, visibility: str) -> bool:
        """Whether a session of this tenant may be read: for sessions folded outside Postgres."""
        return self.user_id is None or self.user_id == user_id or visibility == "tenant"

    def settings(self, session_id: str = "") -> dict[str, str]:
        """What the policies of Postgres go by. A statement on one session names it: then whether it
        may be read is looked up once, not for every row."""
        reads = "tenant" if self.user_id is None else "user"
        if self.only_session is not None:
            reads, session_id = "session", self.only_session
        return {
            "reads": reads,
            "tenant": self.tenant,
            "user": self.user_id or "",
            "session_id": session_id,
        }
