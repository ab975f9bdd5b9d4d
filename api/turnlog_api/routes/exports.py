"""Exports: one session as a file at once, many by a job."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from turnlog_api import cursors, examples
from turnlog_api.auth import Caller
from turnlog_api.bodies import read_body
from turnlog_api.docs import SESSION_HEADERS, answers, asks
from turnlog_api.exporting import (
    MEDIA_TYPES,
    SMALL,
    Chosen,
    ExportOptions,
    Format,
    Output,
    export,
    file_name,
    pieces,
)
from turnlog_api.exportjobs import ExportFile, Exports, no_export
from turnlog_api.exportqueries import export_session
from turnlog_api.exportwork import PART_BYTES
from turnlog_api.models import Export, ExportPage
from turnlog_api.params import (
    CursorText,
    Limit,
    NoParams,
    Params,
    ReadParams,
    Seq,
    Time,
    idempotency_key,
    path_id,
    read_params,
)
from turnlog_api.problems import Problem
from turnlog_api.queries import Filters
from turnlog_api.replies import JSON, on_session, page
from turnlog_api.service import caller_of, service_of
from turnlog_api.settled import settled
from turnlog_schemas import times
from turnlog_schemas.events import Id, TextId
from turnlog_schemas.ids import is_id

router = APIRouter(tags=["exports"])

_MOST_SESSION_IDS = 1000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

FileFormat = Annotated[
    Format,
    Field(
        description="`jsonl`: the log itself, which `turnlog import` reads back; `json`: one "
        "document; `csv`: a row a turn, for spreadsheets; `md`: to be read."
    ),
]
Branches = Annotated[
    Literal["shown", "all"],
    Field(description="Turns of the branch that is shown, or of all. `jsonl` has all."),
]
Annotations = Annotated[
    bool,
    Field(description="Ratings, reactions and comments in csv and md; json and jsonl have them."),
]
DelimiterText = Annotated[
    Literal["comma", "semicolon", "tab"],
    Field(description="Of csv: what the spreadsheet expects in its language."),
]
WholeCells = Annotated[
    bool,
    Field(description="Of csv: do not cut cells at the 32,767 characters that spreadsheets hold."),
]


class ExportParams(Params):
    format: FileFormat
    branches: Branches = "shown"
    annotations: Annotations = False
    delimiter: DelimiterText = "comma"
    whole_cells: WholeCells = False
    min_seq: Annotated[
        Seq | None, Field(description="Wait (for a bounded time) until this seq is in the file.")
    ] = None


class ExportIn(BaseModel):
    """Which sessions, and as what: filters are those of the list of sessions. Without any it is
    every session that the list shows. `session_ids` names them instead, deleted ones too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: FileFormat
    branches: Branches = "shown"
    annotations: Annotations = False
    delimiter: DelimiterText = "comma"
    whole_cells: WholeCells = False
    session_ids: Annotated[list[Id], Field(min_length=1, max_length=_MOST_SESSION_IDS)] | None = (
        None
    )
    user_id: Annotated[TextId | None, Field(description="Sessions of this user.")] = None
    project: TextId | None = None
    archived: bool | None = None
    since: Annotated[Time | None, Field(description="Updated at or after this time.")] = None
    until: Annotated[Time | None, Field(description="Updated before this time.")] = None


class ExportsParams(Params):
    limit: Limit = 100
    cursor: CursorText = None


class ExportsCursor(cursors.Cursor):
    """Goes on behind the export with this id."""

    before: Id


_FILE_HEADERS: dict[str, Any] = {
    "Content-Disposition": {
        "description": "A name for the file.",
        "schema": {"type": "string"},
    },
}


def _file_answers(status: int, description: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {}
    for kind, name in MEDIA_TYPES.items():
        schema = {"type": "object"} if kind == "json" else {"type": "string", "format": "binary"}
        example = examples.EXPORT_FILES[kind]
        content[name.split(";")[0]] = {"schema": schema, "example": example}
    return {
        status: {
            "description": description,
            "headers": {**_FILE_HEADERS, **headers},
            "content": content,
        }
    }


def _problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    found = answers(200, Export, examples.EXPORT, *codes)
    del found[200]
    return found


@router.get(
    "/v1/sessions/{session_id}/export",
    summary="One session as a file",
    response_class=Response,
    responses=_file_answers(200, "The file, as it is read.", **SESSION_HEADERS)
    | _problems("not-found", "behind-head", "postgres-unavailable", "not-projected"),
    openapi_extra=asks(path=("session_id",), query=ExportParams),
)
async def export_one(request: Request) -> Response:
    """The session, also a deleted one, as a file that is sent while it is read, whatever its
    length. `Turnlog-Seq` says how far it goes. A connection that ends early means that the session
    was erased meanwhile, or Postgres went away."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, ExportParams)

    async def found() -> Any:
        return await service.reader.fetch(export_session(caller.scope, session_id))

    wanted = ReadParams(min_seq=params.min_seq)
    session, head = await settled(service, caller, session_id, wanted, found, found)
    options = ExportOptions(
        params.format, params.branches, params.annotations, params.delimiter, params.whole_cells
    )
    steps = export(caller.scope, Chosen(session_ids=(session_id,)), options, SMALL)
    answer = on_session(b"", seq=session.seq, head=head)
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("etag", "content-length", "content-type")
    }
    headers["Content-Disposition"] = _disposition(file_name(options, session_id))
    headers["Cache-Control"] = "private, no-store"
    outputs = pieces(steps, service.reader.fetch)
    return StreamingResponse(_data(outputs), 200, headers, media_type=MEDIA_TYPES[options.format])


@router.post(
    "/v1/exports",
    summary="Ask for an export of many sessions",
    status_code=202,
    response_class=Response,
    responses=answers(
        202,
        Export,
        examples.EXPORT_WAITING,
        *("key-reused", "too-many-exports", "too-large"),
        *("unsupported-media-type", "postgres-unavailable"),
        also=(200,),
    ),
    openapi_extra=asks(
        query=NoParams,
        body=ExportIn,
        body_example=examples.EXPORT_IN,
        writes=True,
        of_a_session=False,
    ),
)
async def ask_for_export(request: Request) -> Response:
    """Have a file made of the sessions that the caller may read: all of them as they are at one
    moment. 200: an earlier request with the same Idempotency-Key has asked for it."""
    service, caller = service_of(request), caller_of(request)
    read_params(request, NoParams)
    body = await read_body(request, ExportIn)
    chosen, options = _asked(body)
    export_id, is_new = await service.exports.ask(caller, chosen, options, idempotency_key(request))
    service.export_duty.nudge()
    item = await service.exports.one(caller, export_id)
    headers = {"Location": f"/v1/exports/{export_id}"}
    return Response(item, 202 if is_new else 200, headers, JSON)


@router.get(
    "/v1/exports",
    summary="Exports, the newest first",
    response_class=Response,
    responses=answers(200, ExportPage, examples.EXPORT_PAGE, "bad-cursor", "postgres-unavailable"),
    openapi_extra=asks(query=ExportsParams),
)
async def list_exports(request: Request) -> Response:
    """What the caller has asked for, and what became of it; whoever reads the whole tenant sees
    everybody's."""
    exports, caller = _mine(request)
    params = read_params(request, ExportsParams)
    before = None
    if params.cursor is not None:
        before = cursors.read(ExportsCursor, params.cursor).before
    items, last = await exports.page(caller, before, params.limit)
    following = None if last is None else ExportsCursor(before=last).text()
    return Response(page(items, following), media_type=JSON)


@router.get(
    "/v1/exports/{export_id}",
    summary="One export, with its progress",
    response_class=Response,
    responses=answers(200, Export, examples.EXPORT, "not-found", "postgres-unavailable"),
    openapi_extra=asks(path=("export_id",), query=NoParams),
)
async def get_export(request: Request) -> Response:
    """How far an export is; `failed` says why in `error`."""
    exports, caller = _mine(request)
    read_params(request, NoParams)
    return Response(await exports.one(caller, _export_id(request)), media_type=JSON)


@router.delete(
    "/v1/exports/{export_id}",
    summary="Cancel or remove an export",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone."}}
    | _problems("not-found", "postgres-unavailable"),
    openapi_extra=asks(path=("export_id",), query=NoParams),
)
async def remove_export(request: Request) -> Response:
    """Remove an export with its file; one that is under way is broken off."""
    exports, caller = _mine(request)
    read_params(request, NoParams)
    await exports.remove(caller, _export_id(request))
    return Response(status_code=204)


@router.get(
    "/v1/exports/{export_id}/file",
    summary="The file of an export",
    response_class=Response,
    responses=_file_answers(200, "The file.")
    | _file_answers(206, "The range that was asked for.")
    | {304: {"description": "The client has it already."}}
    | _problems(
        *("not-found", "export-not-done", "export-expired", "bad-range", "postgres-unavailable")
    ),
    openapi_extra=asks(path=("export_id",), query=NoParams),
)
async def get_file(request: Request) -> Response:
    """The file, from any API process. A download that broke off goes on with `Range: bytes=N-` and
    `If-Range: <ETag>`; without `Accept-Encoding` the length is told. 409: it is not done; 410: it
    has expired, or something in it was erased since."""
    exports, caller = _mine(request)
    read_params(request, NoParams)
    file = await exports.file(caller, _export_id(request))
    tag = f'"{file.tag}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if _names(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = _disposition(file.name)
    first, last, status = 0, file.bytes - 1, 200
    asked = _range(request, file, tag)
    if asked is not None:
        first, last, status = *asked, 206
        headers["Content-Range"] = f"bytes {first}-{last}/{file.bytes}"
    headers["Content-Length"] = str(last - first + 1)
    return StreamingResponse(
        _parts(exports, caller, file, first, last),
        status,
        headers,
        media_type=MEDIA_TYPES[file.format],
    )


async def _data(outputs: AsyncIterator[Output]) -> AsyncIterator[bytes]:
    async for output in outputs:
        if output.data:
            yield output.data


async def _parts(
    exports: Exports, caller: Caller, file: ExportFile, first: int, last: int
) -> AsyncIterator[bytes]:
    while first <= last:
        number, begin = divmod(first, PART_BYTES)
        data = await exports.part(caller, file, number)
        if data is None:
            raise Problem("export-expired", "the file was removed while it was sent")
        piece = data[begin : last + 1 - number * PART_BYTES]
        yield piece
        first += len(piece)


def _range(request: Request, file: ExportFile, tag: str) -> tuple[int, int] | None:
    """The first and last byte that are asked for; None: the whole file. What is not understood is
    passed over, as it is to be."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked is None or asked[0] == "bytes=-":
        return None
    if request.headers.get("if-range", tag) != tag:
        return None
    if asked[1]:
        first = int(asked[1])
        last = min(int(asked[2]) if asked[2] else file.bytes - 1, file.bytes - 1)
        if asked[2] and int(asked[2]) < first:
            return None
    else:
        first, last = max(file.bytes - int(asked[2]), 0), file.bytes - 1
    if first > last:
        raise Problem(
            "bad-range",
            f"the file has {file.bytes} bytes",
            headers={"Content-Range": f"bytes */{file.bytes}"},
            bytes=file.bytes,
        )
    return first, last


def _names(known: str | None, tag: str) -> bool:
    if known is None:
        return False
    tags = {each.strip().removeprefix("W/") for each in known.split(",")}
    return "*" in tags or tag in tags


def _disposition(name: str) -> str:
    """Names are of the characters of ids alone: nothing in them needs to be escaped."""
    return f'attachment; filename="{name}"'


def _mine(request: Request) -> tuple[Exports, Caller]:
    return service_of(request).exports, caller_of(request)


def _export_id(request: Request) -> str:
    text: str = request.path_params["export_id"]
    if not is_id(text):
        raise no_export()
    return text


def _asked(body: dict[str, Any]) -> tuple[Chosen, ExportOptions]:
    given = {name: value for name, value in body.items() if value is not None}
    session_ids = tuple(dict.fromkeys(given.pop("session_ids", ())))
    options = ExportOptions(**{k: given.pop(k) for k in ExportOptions._fields if k in given})
    if session_ids and given:
        raise Problem("invalid", f"session_ids: goes without {', '.join(sorted(given))}")
    for name in ("since", "until"):
        if name in given:
            given[name] = times.normalise(given[name])
    return Chosen(Filters(**given), session_ids), options
