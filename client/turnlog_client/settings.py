"""What a client was given, checked."""

from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import urlsplit

from turnlog_client.errors import Misconfigured
from turnlog_schemas.ids import MAX_TEXT_ID, is_id


class ClientOptions(TypedDict, total=False):
    """What either client can be given."""

    as_user: str | None
    """The user to act for; the token then needs the scope `service` or `admin`."""
    tenant: str | None
    """Only of an API with auth off: else the token names the tenant."""
    timeout_s: float
    """One attempt waits no longer than this for a connection, and for the next bytes of the answer;
    15 unless given. The API itself may wait for 10 s (`min_seq`, `ack="projected"`)."""
    budget_s: float
    """A call, its retries included, begins no attempt and no pause that would end later than this;
    30 unless given. 0: one attempt of `timeout_s`. Downloads have it until they begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """`ClientOptions` with their defaults."""

    base_url: str
    as_user: str | None = None
    tenant: str | None = None
    timeout_s: float = 15.0
    budget_s: float = 30.0

    def __post_init__(self) -> None:
        check_url(self.base_url)
        if self.as_user is not None:
            check_user(self.as_user)
        if self.tenant is not None and not is_id(self.tenant):
            raise Misconfigured("tenant: allowed are 1 to 128 of A-Z a-z 0-9 . _ ~ -")
        if self.timeout_s <= 0 or self.budget_s < 0:
            raise Misconfigured("timeout_s must be above 0, budget_s not below")

    def headers(self) -> dict[str, bytes]:
        """What every request says."""
        found = {"Accept": b"application/json", "User-Agent": b"turnlog-client"}
        if self.as_user is not None:
            found["Turnlog-User"] = self.as_user.encode()
        if self.tenant is not None:
            found["Turnlog-Tenant"] = self.tenant.encode()
        return found


def check_user(user: str) -> None:
    """Refuse a user whose name a header would not carry as it is: it would be another user."""
    fits = 1 <= len(user) <= MAX_TEXT_ID and user == user.strip() and user.isprintable()
    if not fits or any("\ud800" <= letter <= "\udfff" for letter in user):
        raise Misconfigured(
            f"as_user: allowed are 1 to {MAX_TEXT_ID} printable characters, no space around them"
        )


def check_url(url: str) -> None:
    """Refuse an address that no request can be made of, without quoting it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Misconfigured("base_url: cannot be read") from None
    if not fits or parts.query or parts.fragment:
        raise Misconfigured("base_url: give an address such as https://chats.example.org")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured("base_url: leave user and password out; pass `token`")
