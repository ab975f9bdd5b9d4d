"""The app, and the server that runs it."""

import logging
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

import psycopg
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from turnlog_api.auth import authenticator
from turnlog_api.compression import Compression
from turnlog_api.docs import describe
from turnlog_api.etags import Conditional
from turnlog_api.faults import as_problem
from turnlog_api.gate import Gate
from turnlog_api.problems import Problem
from turnlog_api.protocol import BoundedProtocol
from turnlog_api.routes import (
    events,
    exports,
    projects,
    rebuilds,
    revisions,
    search,
    sessions,
    stats,
    status,
    turn_changes,
    turns,
    users,
)
from turnlog_api.service import Service
from turnlog_api.settings import ApiSettings, check
from turnlog_api.tracing import traced
from turnlog_schemas.errors import TurnlogError

_DESCRIPTION = (
    "History of chats: sessions and their turns, projected from the log. Errors are RFC 9457 "
    "problem documents; lists have opaque cursors; times are RFC 3339, UTC."
)

_METHODS = ("DELETE", "GET", "PATCH", "POST")

logger = logging.getLogger(__name__)


def create_app(settings: ApiSettings) -> FastAPI:
    """The ASGI app. Raises `BadSettings` for what cannot be served safely. Either server may be
    down, at the start and later: the app answers 503 for what needs it and goes on by itself."""
    check(settings)
    service = Service(settings)
    authenticate = authenticator(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await service.open()
        try:
            yield
        finally:
            await authenticate.close()
            await service.close()

    app = FastAPI(
        title="Turnlog",
        version=version("turnlog"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        # Its own logs would repeat what people wrote; traces and metrics are ours.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    for router in (
        turns.router,
        sessions.router,
        turn_changes.router,
        events.router,
        revisions.router,
        projects.router,
        search.router,
        stats.router,
        users.router,
        exports.router,
        rebuilds.router,
        status.router,
    ):  # the busiest first
        app.include_router(router)
    app.openapi = lambda: describe(app)
    for kind in (Problem, TurnlogError, HTTPException, psycopg.Error):
        app.add_exception_handler(kind, _answer)
    app.add_middleware(Conditional)
    app.add_middleware(Compression)
    app.add_middleware(traced)
    app.add_middleware(Gate, settings=settings, authenticate=authenticate, metrics=service.metrics)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=[
                *("Turnlog-Seq", "Turnlog-Head", "Turnlog-As-Of"),
                *("Turnlog-Behind", "Turnlog-Search-Behind", "Turnlog-Search-Lag"),
                *("X-Request-Id", "Retry-After", "ETag", "Location", "Content-Disposition"),
            ],
        )
    return app


async def _answer(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem is None:
        raise error
    if problem.status == 405:
        problem.headers["Allow"] = _methods_of(request)
    return problem.response(request.scope.get("request_id"))


def _methods_of(request: Request) -> str:
    """All that the address takes; the framework names those of one route only."""
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


def server_config(settings: ApiSettings) -> uvicorn.Config:
    """How the app is served. Raises `BadSettings`."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.host.strip("[]"),
        port=settings.port,
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        log_level="warning",  # what an operator needs of its start and end stands here
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )


def serve(settings: ApiSettings) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Open requests get 5 seconds to end.

    Raises `BadSettings`.
    """
    server = uvicorn.Server(server_config(settings))
    # uvicorn stops on these signals, then raises them again for whoever had handled them before.
    handled = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, _note) for number in handled]
    logger.info("serving on http://%s:%d", settings.host, settings.port)
    try:
        server.run()
    except SystemExit as stopped:  # the address cannot be listened on: uvicorn has said so
        return int(bool(stopped.code))
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
    return 0 if server.started else 1


def _note(number: int, _frame: object) -> None:
    logger.info("stopped by %s", signal.Signals(number).name)
