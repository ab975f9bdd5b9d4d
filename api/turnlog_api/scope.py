"""Who is asking, and which sessions that lets them read. The same rule stands in sql/seen.sql,
which every query of the read models includes."""

from typing import NamedTuple


class Scope(NamedTuple):
    """A tenant and, in it, a user; without a user the whole tenant is meant."""

    tenant: str
    user_id: str | None = None

    def sees(self, *, user_id: str | None, visibility: str) -> bool:
        """Whether a session of this tenant may be read: for sessions folded outside Postgres."""
        return self.user_id is None or self.user_id == user_id or visibility == "tenant"
