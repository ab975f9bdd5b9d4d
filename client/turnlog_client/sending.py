"""Requests of httpx, made alike for both clients."""

import httpx

from turnlog_client.exchange import Attempt
from turnlog_client.requests import Reply, Request
from turnlog_client.settings import ClientSettings

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)
"""The API keeps an idle connection for 75 s."""


def prepare(
    http: httpx.Client | httpx.AsyncClient, attempt: Attempt, settings: ClientSettings
) -> httpx.Request:
    """The request for one attempt. The token stands in this one only, not in the client."""
    request = attempt.request
    headers: dict[str, str | bytes] = {**settings.headers(), **request.headers}
    if attempt.token is not None:
        headers["Authorization"] = f"Bearer {attempt.token}"
    return http.build_request(
        request.method,
        settings.base_url.rstrip("/") + request.path,
        params=dict(request.params) or None,
        content=request.body,
        headers=[(name.encode(), _raw(value)) for name, value in headers.items()],
        timeout=httpx.Timeout(attempt.timeout_s),
    )


def is_download(request: Request, response: httpx.Response) -> bool:
    """Whether the body is to be left for the caller to read."""
    return request.download and response.is_success


def reply_of(request: Request, response: httpx.Response) -> Reply:
    """What came back."""
    if is_download(request, response):
        return Reply(request, response.status_code, response.headers, b"", response)
    return Reply(request, response.status_code, response.headers, response.content)


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("ascii")
