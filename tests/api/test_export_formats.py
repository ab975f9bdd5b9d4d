"""The texts of exports: tables that hold no formula and lose nothing, Markdown that ends where it
ends."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writing_files import read_csv

from turnlog_api import examples
from turnlog_api.exportcsv import CUT, MAX_CELL, CsvWriter
from turnlog_api.exportjson import JsonWriter
from turnlog_api.exportmarkdown import MarkdownWriter, safe

TURN: dict[str, Any] = examples.TURN | {"artifacts": None, "usage": None}
_RISKY = st.sampled_from(
    ["=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "'", '"', ",", ";", " ", "\uff1d"]
)
_TEXTS = st.lists(_RISKY | st.text(max_size=3), max_size=6).map("".join)


def table(turn: dict[str, Any], title: str = "T", **options: Any) -> dict[str, str]:
    """The row of a turn, read back."""
    writer = CsvWriter(**options)
    session = json.dumps(examples.SESSION | {"title": title}).encode()
    text = writer.begin() + writer.session(session) + writer.turns([json.dumps(turn).encode()])
    delimiters = {"comma": ",", "semicolon": ";", "tab": "\t"}
    [row] = read_csv(text.decode(), delimiters[options.get("delimiter", "comma")])
    return row


@settings(deadline=None, max_examples=300, derandomize=True)
@given(text=_TEXTS, title=_TEXTS, delimiter=st.sampled_from(["comma", "semicolon", "tab"]))
def test_any_text_comes_back_and_is_no_formula(text: str, title: str, delimiter: str) -> None:
    row = table(TURN | {"content": text, "model": text}, title, delimiter=delimiter)
    assert (row["content"], row["model"], row["title"]) == (text, text, title)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|calc", "%0A", "  =1", "\uff1d1"],
)
def test_what_begins_a_formula_gets_an_apostrophe(text: str) -> None:
    writer = CsvWriter()
    writer.begin()
    writer.session(json.dumps(examples.SESSION).encode())
    line = writer.turns([json.dumps(TURN | {"content": text}).encode()]).decode()
    assert f'"\'{text}"' in line
    assert re.fullmatch(r'("(?:[^"]|"")*",)*"(?:[^"]|"")*"\r\n', line), "every cell is in quotes"


@pytest.mark.parametrize("letter", ["x", "😀"])
def test_cells_end_where_spreadsheets_end(letter: str) -> None:
    text = letter * 40_000
    cut = table(TURN | {"content": text})["content"]
    assert len(cut.encode("utf-16-le")) // 2 <= MAX_CELL
    assert text.startswith(cut.removesuffix(CUT))
    assert cut.endswith(CUT)
    assert table(TURN | {"content": text}, whole_cells=True)["content"] == text


def test_parts_and_numbers_in_a_table() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert table(TURN | {"content": parts})["content"] == "a\nb"
    mixed = [{"type": "image", "url": "x"}, *parts]
    assert json.loads(table(TURN | {"content": mixed})["content"]) == mixed
    row = table(examples.TURN | {"content": None})
    assert (row["content"], row["input_tokens"], row["edited"]) == ("", "31", "false")
    assert row["response_time_ms"] == "812.0"


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("```py\nx < y", "```py\nx < y\n```"),
        ("````\n```\n", "````\n```\n\n````"),
        ("~~~\n```", "~~~\n```\n~~~"),
        ("```a\n1\n```\nend", "```a\n1\n```\nend"),
        ("``` not `a fence", "``` not `a fence"),
        ("<script>alert(1)</script>", "\\<script>alert(1)\\</script>"),
        ("<!-- a", "\\<!-- a"),
        ("use `<b>` and ``a`<i>`` but <b>", "use `<b>` and ``a`<i>`` but \\<b>"),
        ("`open <b>", "`open \\<b>"),
        ("1 < 2, List<int>, <https://x.example>", "1 < 2, List\\<int>, <https://x.example>"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_markdown_ends_where_it_ends(given_: str, shown: str) -> None:
    assert safe(given_) == shown


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    st.lists(
        st.sampled_from(
            ["```", "````", "~~~", "~~~~", "```py", "text", "  ```", "    ```", "` `", ""]
        ),
        max_size=8,
    )
)
def test_no_turn_leaves_a_fence_open(lines: list[str]) -> None:
    opened = ""
    for line in safe("\n".join(lines)).split("\n"):
        found = re.match(r" {0,3}(`{3,}|~{3,})(.*)", line)
        if not opened and found and not (found[1][0] == "`" and "`" in found[2]):
            opened = found[1]
        elif opened and found and found[1].startswith(opened) and not found[2].strip():
            opened = ""
    assert opened == ""


def test_results_of_tools_stay_in_their_fence() -> None:
    writer = MarkdownWriter()
    turn = TURN | {"role": "tool", "name": "<b>", "content": "a\n```\n</details>\n# b"}
    text = writer.turns([json.dumps(turn).encode()]).decode()
    assert "<summary>Result of &lt;b&gt;</summary>\n\n````\na\n```\n</details>\n# b\n````\n" in text


def test_addresses_that_are_no_web_addresses_are_not_linked() -> None:
    for url in ("javascript:alert(1)", "data:text/html,x", None, 7):
        artifact = {"id": "a](x)", "kind": "k", "url": url}
        turn = TURN | {"artifacts": [artifact]}
        text = MarkdownWriter().turns([json.dumps(turn).encode()]).decode()
        assert "](<" not in text
        assert "a\\](x)" in text


def test_json_of_no_session_is_a_document() -> None:
    writer = JsonWriter()
    assert json.loads(writer.begin() + writer.end())["sessions"] == []
