"""Read and write the history of chats over the HTTP API.

    with Client("https://chats.example.org", token=token) as client:
        for session in client.sessions(project="sales"):
            print(session["title"], session["turn_count"])

`AsyncClient` is the same for asyncio: calls are awaited, lists gone through with `async for`.
Results are dictionaries as the API sends them, with types; `turnlog_client.results` lists those.
"""

from importlib.util import find_spec

if find_spec("httpx") is None:
    raise ModuleNotFoundError(
        "the client of the API needs httpx: pip install 'turnlog[client]'", name="httpx"
    )

from turnlog_client.async_client import AsyncClient
from turnlog_client.client import Client
from turnlog_client.downloads import AsyncDownload, Download
from turnlog_client.errors import (
    ApiError,
    Conflict,
    Fault,
    Forbidden,
    InvalidRequest,
    KeyReused,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotModified,
    ServerFailed,
    SessionExists,
    Unauthenticated,
    Unavailable,
)
from turnlog_client.options import NewTurn
from turnlog_client.pages import AsyncPages, Page, Pages
from turnlog_client.requests import Freshness
from turnlog_client.results import (
    Answer,
    Branch,
    Cleared,
    Export,
    Project,
    Rebuild,
    Revision,
    SearchItem,
    Session,
    Statistics,
    Status,
    StoredEvent,
    TitleChange,
    Turn,
    Written,
)
from turnlog_schemas.errors import TurnlogError

__all__ = [
    "Answer",
    "ApiError",
    "AsyncClient",
    "AsyncDownload",
    "AsyncPages",
    "Branch",
    "Cleared",
    "Client",
    "Conflict",
    "Download",
    "Export",
    "Fault",
    "Forbidden",
    "Freshness",
    "InvalidRequest",
    "KeyReused",
    "Misconfigured",
    "NewTurn",
    "NotAllowed",
    "NotFound",
    "NotModified",
    "Page",
    "Pages",
    "Project",
    "Rebuild",
    "Revision",
    "SearchItem",
    "ServerFailed",
    "Session",
    "SessionExists",
    "Statistics",
    "Status",
    "StoredEvent",
    "TitleChange",
    "Turn",
    "TurnlogError",
    "Unauthenticated",
    "Unavailable",
    "Written",
]
