"""Postgres and the API answer alike: a text is found by the index if, and only if, its snippet is
cut. And both make the same words of a scope."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig

from turnlog_schemas.searchquery import Looked, parse_query, tsquery
from turnlog_schemas.searchtext import kind_letters, scope_word, vector, words

pytestmark = pytest.mark.integration

PIECES = st.sampled_from(
    [
        *("apple", "pie", "Pies", "user_id", "id", "gpt-5", "5", "é", "ß", "½", "don't", "a.b/c"),
        *(
            "東",
            "東京",
            "京都",
            "都",
            "東京都",
            "ｶﾞ",
            "가나",
            "나",
            "ไทย",
            "ท",
            "हिन्दी",
            "x京y",
            "\u200b",
        ),
        *(" ", " ", " ", "\n", ", "),
    ]
)
TYPED = st.sampled_from(['"', "-", " or ", " ", '"apple pie"', '-"東京"', "or", "''", "\\"])
TEXTS = st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=30)
QUERIES = st.lists(PIECES | TYPED, min_size=1, max_size=6).map("".join) | st.text(max_size=10)


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXTS, typed=QUERIES)
def test_the_index_finds_what_the_snippet_shows(rig: Rig, text: str, typed: str) -> None:
    query, found = parse_query(typed), words(text)
    wanted = tsquery(query)
    if wanted is None:
        assert not Looked(query, found).answers()
        return
    row = rig.connection.execute(
        "SELECT %s::tsvector @@ %s::tsquery", (vector(found), wanted)
    ).fetchone()
    assert row == (Looked(query, found).answers(),)


def test_a_phrase_is_found_anywhere_in_a_long_text(rig: Rig) -> None:
    found = [f"w{number}" for number in range(40_000)]
    rig.connection.execute(
        "CREATE TEMPORARY TABLE long AS SELECT %s::tsvector AS v", (vector(found),)
    )
    for place in (0, 15_000, 15_871, 15_872, 15_999, 16_000, 16_383, 31_743, 31_744, 39_990):
        phrase = '"' + " ".join(found[place : place + 8]) + '"'
        row = rig.connection.execute(
            "SELECT v @@ %s::tsquery FROM long", (tsquery(parse_query(phrase)),)
        ).fetchone()
        assert row == (True,), place


@given(
    ids=st.tuples(
        *[st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)]
        * 2
    )
)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_words_of_a_scope_are_the_same_in_sql(rig: Rig, ids: tuple[str, str]) -> None:
    tenant, name = ids
    row = rig.connection.execute(
        "SELECT turnlog.search_scope('u', %s, %s, %s)",
        (kind_letters(["conversation", "title"]), tenant, name),
    ).fetchone()
    words_made = [scope_word("u", kind, tenant, name) for kind in ("conversation", "title")]
    assert row == (f"({' | '.join(words_made)})",)
