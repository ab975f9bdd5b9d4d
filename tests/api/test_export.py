"""One session as a file: every format, what is in it, and who gets it."""

import csv
import io
import json
from typing import Any

import httpx
import pytest
from appending import event, foreign, poison, turn
from served import Stage, Users, problem
from writing_files import read_csv

from turnlog_api.exportcsv import ANNOTATION_COLUMNS, COLUMNS
from turnlog_schemas.exportlines import read_line

pytestmark = pytest.mark.integration
FORMATS = {
    "jsonl": "application/jsonl",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}
CHART = {"id": "a-1", "kind": "chart", "url": "https://x.example/1.svg", "name": "Revenue"}


@pytest.fixture
def session(stage: Stage) -> Stage:
    """A session with all that a turn may hold, branches, an edit, a retraction, annotations."""
    started = {"user_id": "me", "title": "Revenue", "project": "sales"}
    call = {"id": "c", "function": {"name": "sql", "arguments": '{"q": "1 < 2"}'}}
    rating = {"turn_id": "t2", "kind": "rating", "value": 1, "by": "me"}
    events = [
        event("session.started", started, at="2024-05-01T10:00:00Z"),
        turn("t1", "How is revenue?"),
        turn("t2", None, role="assistant", tool_calls=[call], model="m-1", parent_turn_id="t1"),
        turn("t3", '[{"x": 1}]', role="tool", name="sql", tool_call_id="c", parent_turn_id="t2"),
        turn("gone", "never mind", parent_turn_id="t3"),
        event("turn.retracted", {"turn_id": "gone"}),
        turn("t4", "Up.", role="assistant", artifacts=[CHART], parent_turn_id="t3"),
        turn("t5", "Down.", role="assistant", parent_turn_id="t3"),
        event("turn.edited", {"turn_id": "t5", "content": "Down by *1*."}),
        event("turn.annotated", rating),
        event("turn.annotated", {"turn_id": "t5", "kind": "comment", "value": "=no", "by": "me"}),
    ]
    stage.append("s", events, owner="me")
    stage.project()
    return stage


async def exported(api: httpx.AsyncClient, format_: str, **params: Any) -> str:
    answer = await api.get("/v1/sessions/s/export", params={"format": format_, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[format_]
    name = f'attachment; filename="turnlog-s.{format_}"'
    assert answer.headers["content-disposition"] == name
    assert answer.headers["turnlog-seq"] == "11"
    return answer.content.decode()


async def test_json_holds_what_the_api_shows(session: Stage, api: httpx.AsyncClient) -> None:
    document = json.loads(await exported(api, "json"))
    assert (document["format"], document["version"]) == ("turnlog", 1)
    [found] = document["sessions"]
    assert found["session"] == (await api.get("/v1/sessions/s")).json()
    turns = (await api.get("/v1/sessions/s/turns")).json()["items"]
    assert found["turns"] == turns
    assert [each["turn_id"] for each in turns] == ["t1", "t2", "t3", "t5"]
    [both] = json.loads(await exported(api, "json", branches="all"))["sessions"]
    assert [each["turn_id"] for each in both["turns"]] == ["t1", "t2", "t3", "t4", "t5"]


async def test_csv_has_a_row_a_turn(session: Stage, api: httpx.AsyncClient) -> None:
    text = await exported(api, "csv")
    assert text.startswith("\ufeff")
    rows = read_csv(text)
    assert tuple(rows[0]) == COLUMNS
    turns = (await api.get("/v1/sessions/s/turns")).json()["items"]
    for row, shown in zip(rows, turns, strict=True):
        assert (row["session_id"], row["title"], row["user_id"]) == ("s", "Revenue", "me")
        assert (row["turn_id"], row["seq"]) == (shown["turn_id"], str(shown["seq"]))
        assert (row["at"], row["role"], row["status"]) == (shown["at"], shown["role"], "complete")
        assert row["content"] == (shown["content"] or "")
        calls = json.loads(row["tool_calls"]) if row["tool_calls"] else None
        assert calls == shown["tool_calls"]
    assert rows[3]["edited"] == "true"
    noted = read_csv(await exported(api, "csv", annotations="true", delimiter="semicolon"), ";")
    assert tuple(noted[0]) == COLUMNS + ANNOTATION_COLUMNS
    assert (noted[1]["ratings"], noted[3]["comments"]) == ("1 (me)", "=no (me)")


async def test_markdown_reads_like_a_conversation(session: Stage, api: httpx.AsyncClient) -> None:
    text = await exported(api, "md", annotations="true")
    assert text.startswith("# Revenue\n\nSession `s` · user me · project sales · 2024-05-01")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## User", "## Assistant", "## Tool (sql)", "## Assistant"]
    assert "\nHow is revenue?\n" in text
    assert '<details><summary>Call of sql</summary>\n\n```json\n{\n  "q": "1 < 2"\n}\n```' in text
    assert '<details><summary>Result of sql</summary>\n\n```\n[{"x": 1}]\n```' in text
    assert "Down by *1*." in text
    assert "> Rating: 1, by me" in text
    assert "> Comment: =no, by me" in text
    both = await exported(api, "md", branches="all")
    assert "> Artifact: [Revenue](<https://x.example/1.svg>) (chart, a-1)" in both
    assert "Rating" not in both


async def test_lines_hold_the_log(session: Stage, api: httpx.AsyncClient) -> None:
    lines = [read_line(line) for line in (await exported(api, "jsonl")).encode().splitlines()]
    events = (await api.get("/v1/sessions/s/events")).json()["items"]
    assert [line.seq for line in lines] == list(range(1, 12))
    for line, stored in zip(lines, events, strict=True):
        place = {"seq": line.seq, "recorded_at": line.recorded_at}
        assert json.loads(line.raw) | place == stored
        assert line.event_id == stored["event_id"]


async def test_lines_of_what_cannot_be_read(stage: Stage, api: httpx.AsyncClient) -> None:
    spaced = foreign("turn.sung", {"a": "b\nc"})
    raw = spaced.raw.replace(b'"data"', b'\n"data"')
    stage.append("s", [turn("t1"), spaced._replace(raw=raw), poison(b"\xff{"), turn("t2")])
    stage.project()
    answer = await api.get("/v1/sessions/s/export?format=jsonl")
    lines = [read_line(line) for line in answer.content.splitlines()]
    assert [line.seq for line in lines] == [1, 2, 3, 4]
    assert json.loads(lines[1].raw)["data"] == {"a": "b\nc"}
    assert lines[2].raw == b"\xff{"


@pytest.mark.parametrize("format_", FORMATS)
async def test_a_long_session_is_whole(stage: Stage, api: httpx.AsyncClient, format_: str) -> None:
    events = [
        turn(f"t{n}", f"content {n} " + "x" * (200_000 if n == 3 else 10)) for n in range(900)
    ]
    writer = stage.writer()
    for start in range(0, 900, 300):
        writer.append("s", *events[start : start + 300])
    stage.project()
    answer = await api.get("/v1/sessions/s/export", params={"format": format_, "min_seq": 900})
    text = answer.content.decode()
    places = [text.rindex(f"content {n} ") for n in range(1, 900)]  # a preview comes before
    assert places == sorted(places)
    assert all(text.count(f"content {n} ") == 1 for n in range(50, 899, 50))
    if format_ == "json":
        assert len(json.loads(text)["sessions"][0]["turns"]) == 900
    if format_ == "csv":
        assert len(read_csv(text)) == 900


async def test_branches_of_a_long_session(stage: Stage, api: httpx.AsyncClient) -> None:
    events = [turn(f"a{n}") for n in range(300)]
    events += [turn("b0", parent_turn_id="a9")] + [turn(f"b{n}") for n in range(1, 300)]
    stage.writer().append("s", *events)
    stage.project()
    document = (await api.get("/v1/sessions/s/export?format=json")).json()
    shown = [each["turn_id"] for each in document["sessions"][0]["turns"]]
    assert shown == [f"a{n}" for n in range(10)] + [f"b{n}" for n in range(300)]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_files_are_compressed_for_those_who_take_it(
    session: Stage, api: httpx.AsyncClient, coding: str
) -> None:
    plain = await exported(api, "md")
    answer = await api.get("/v1/sessions/s/export?format=md", headers={"Accept-Encoding": coding})
    assert answer.headers["content-encoding"] == coding
    assert answer.content.decode() == plain


async def test_what_cannot_be_asked_for(session: Stage, api: httpx.AsyncClient) -> None:
    for query in ("", "format=xml", "format=csv&branches=no", "format=csv&x=1", "format=csv&q"):
        problem(await api.get(f"/v1/sessions/s/export?{query}"), 422, "invalid")
    problem(await api.get("/v1/sessions/none/export?format=csv"), 404, "not-found")
    problem(await api.get("/v1/sessions/s/export?format=csv&min_seq=99"), 409, "behind-head")


async def test_a_deleted_session_is_exported_and_an_erased_one_not(
    session: Stage, api: httpx.AsyncClient
) -> None:
    session.append("s", [event("session.deleted")])
    session.project()
    assert (await api.get("/v1/sessions/s/export?format=md")).status_code == 200
    session.append("s", [event("session.erased")])
    session.project()
    problem(await api.get("/v1/sessions/s/export?format=jsonl"), 404, "not-found")


async def test_a_shared_session_is_exported_by_its_readers_alone(
    session: Stage, guarded: httpx.AsyncClient, users: Users
) -> None:
    for format_ in FORMATS:
        path = f"/v1/sessions/s/export?format={format_}"
        assert (await guarded.get(path, headers=users.headers("me"))).status_code == 200
        other = users.headers("other")
        problem(await guarded.get(path, headers=other), 404, "not-found")
    session.append("s", [event("session.updated", {"visibility": "tenant"})])
    session.project()
    for format_ in FORMATS:
        path = f"/v1/sessions/s/export?format={format_}"
        answer = await guarded.get(path, headers=users.headers("other"))
        assert answer.status_code == 200
        assert "How is revenue?" in answer.text
        elsewhere = users.headers("me", tenant="elsewhere")
        problem(await guarded.get(path, headers=elsewhere), 404, "not-found")


def test_reading_csv_back_fails_for_what_is_no_table() -> None:
    with pytest.raises(AssertionError):
        read_csv("\ufeff" + '"a","b"\r\n"1","=2"\r\n')
    assert next(csv.reader(io.StringIO('"a"'))) == ["a"]
