"""How texts are cut into words, queries read, and snippets made."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from turnlog_schemas.searchquery import Looked, Query, Term, parse_query, tsquery
from turnlog_schemas.searchtext import (
    MAX_INDEXED_BYTES,
    MAX_WORD,
    Asked,
    SearchScope,
    fold,
    kind_of,
    searched_text,
    spans,
    title_vector,
    turn_vector,
    vector,
    words,
)
from turnlog_schemas.snippets import SNIPPET_LENGTH, snippet

SCRIPTS = st.sampled_from(
    [
        *("apple", "Flights", "user_id", "gpt-5", "é", "E\u0301", "STRASSE", "ß", "Øre", "ŉ", "½"),
        *("東京", "京都", "都", "に", "ｶﾞ", "か\u3099", "서울", "각", "ไทย", "กำ", "ລາວ", "ខ្មែរ"),
        *("हिन्दी", "שָׁלוֹם", "كتاب", "ﷺ", "İ", "\u0131", "K", "ﬁ", "①", "\uff12"),
        *(" ", "  ", "\n", "-", "_", ".", "'", "\u200b", "\u00ad", "\u0301", "\U00020000", "😀"),
    ]
)
TEXTS = st.lists(SCRIPTS, max_size=20).map("".join) | st.text(max_size=40)
SCOPE = SearchScope("default", "s1", "u1", None, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The flights ARE late", ["the", "flight", "are", "late"]),
        (
            "user_id gpt-5 foo.bar() /etc/x.conf",
            [*("user", "id", "gpt", "5", "foo", "bar", "etc", "x", "conf")],
        ),
        (
            "boxes buses classes glass bus is this news",
            ["box", "buse", "class", "glass", "bus", "is", "this", "new"],
        ),
        ("cities ties series status", ["city", "tie", "sery", "status"]),
        ("Café CAFE\u0301 Straße Łódź Ærø", ["cafe", "cafe", "strasse", "lodz", "aero"]),
        ("東京都", ["東京", "京都", "都"]),
        ("猫 x猫", ["猫", "x", "猫"]),
        ("각 가\u11a8", ["각", "각"]),
        ("①２ﬁ", ["12fi"]),
        ("", []),
        ("\u0301\u200b - _ 😀", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(TEXTS)
def test_words_are_safe_to_write_down_and_short(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= MAX_WORD
        assert all(c.isalnum() or unicodedata.category(c)[0] in "MC" for c in word), word
        assert not set(word) & set(" '\\:*&|!<>()@")
        assert word == word.casefold() or word in words(word)


@given(TEXTS)
def test_every_word_stands_somewhere(text: str) -> None:
    where = spans(text)
    assert len(where) == len(words(text))
    assert all(0 <= start < end <= len(text) for start, end in where)
    assert sorted(where) == where


@given(TEXTS)
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)


@given(TEXTS, TEXTS, TEXTS)
def test_a_text_answers_every_part_of_it_that_ends_at_a_gap(a: str, b: str, c: str) -> None:
    """Asked for in quotes, whatever it is: between other text, apart from it by a space."""
    assume('"' not in b)
    query = parse_query(f'"{b}"')
    assume(query.groups)
    assert Looked(query, words(f"{a} {b} {c}")).answers()


@given(st.text("東京都市庁に行くｶﾞกขไทย서울각", min_size=1, max_size=12), st.data())
def test_of_a_script_without_spaces_any_part_is_found(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    start = data.draw(st.integers(0, len(folded) - 1))
    end = data.draw(st.integers(start + 1, len(folded)))
    assert Looked(parse_query(folded[start:end]), words(text)).answers()


@given(st.text("東京都に", max_size=8), st.text("東京都に", min_size=1, max_size=4))
def test_of_a_script_without_spaces_nothing_else_is_found(text: str, asked: str) -> None:
    assert Looked(parse_query(asked), words(text)).answers() == (asked in text)


@given(TEXTS)
def test_any_query_is_read_and_written(typed: str) -> None:
    query = parse_query(typed)
    text = tsquery(query)
    assert (text is None) == (not query.groups)
    assert not any(all(term.negated for term in group) for group in query.groups)


def asked(*found: str, negated: bool = False) -> Term:
    return Term(tuple(Asked(n, word, False) for n, word in enumerate(found)), negated)


@pytest.mark.parametrize(
    ("typed", "groups"),
    [
        ("red apple", [[asked("red"), asked("apple")]]),
        ('"red apple" pie', [[asked("red", "apple"), asked("pie")]]),
        ("red or green apple", [[asked("red")], [asked("green"), asked("apple")]]),
        ("OR red OR", [[asked("red")]]),
        ('"or" red', [[asked("or"), asked("red")]]),
        ("red -green", [[asked("red"), asked("green", negated=True)]]),
        ('red -"green apple"', [[asked("red"), asked("green", "apple", negated=True)]]),
        ("--verbose well-known", [[asked("verbose"), asked("well", "known")]]),
        ("red - green", [[asked("red"), asked("green")]]),
        ("red or -green", [[asked("red")]]),
        ("-red", []),
        ('"red', [[asked("red")]]),
        ('red""green', [[asked("red"), asked("green")]]),
        ("\u201ered apple\u201c", [[asked("red", "apple")]]),
    ],
)
def test_queries(typed: str, groups: list[list[Term]]) -> None:
    assert parse_query(typed) == Query(tuple(tuple(group) for group in groups))


def test_a_query_of_postgres() -> None:
    assert tsquery(parse_query('user_id -"a b" or 東京都庁 猫')) == (
        "(('user' <1> 'id') & !('a' <1> 'b')) | (('東京' <2> '都庁') & ('猫':*))"
    )


# Snippets -----------------------------------------------------------------------------------


def marked(query: str, text: str) -> str | None:
    """The snippet with its hits in brackets."""
    parts = snippet(parse_query(query), text)
    if parts is None:
        return None
    assert all(part.text for part in parts)
    assert all(one.hit != other.hit for one, other in pairwise(parts))
    return "".join(f"[{part.text}]" if part.hit else part.text for part in parts)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("apple", "An   apple\n\nand Apples.", "An [apple] and [Apples]."),
        ("user_id", "the user_id, not user-name", "the [user_id], not user-name"),
        ("京都", "東京都に", "東[京都]に"),
        ("京", "東京都に", "東[京]都に"),
        ("都に", "東京都に", "東京[都に]"),
        ("ガ", "ｶﾞｷﾞ", "[ｶﾞｷﾞ]"),
        ("a b", "<a> & </b>", "<[a]> & </[b]>"),
        ("cafe", "Cafe\u0301!", "[Cafe\u0301]!"),
        ('"new york"', "new in New York", "new in [New York]"),
        ("apple -pie", "apple pie", None),
        ("pear", "apple", None),
        ("x", "x \0 y", "[x] \ufffd y"),
    ],
)
def test_snippets(query: str, text: str, expected: str | None) -> None:
    assert marked(query, text) == expected


def test_a_snippet_is_the_part_with_most_of_what_was_asked_for() -> None:
    text = f"{'apple ' * 3}{'word ' * 200}an apple and a pear here {'word ' * 200}pear"
    shown = marked("apple pear", text)
    assert shown is not None
    assert "an [apple] and a [pear] here" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) < SNIPPET_LENGTH + 20


def test_a_hit_deep_in_a_long_text_is_shown() -> None:
    text = "word " * 40_000 + "needle " + "word " * 40_000
    shown = marked("needle", text)
    assert shown is not None
    assert "[needle]" in shown
    assert marked("needless", text) is None


@given(TEXTS, TEXTS)
def test_a_snippet_is_a_part_of_its_text(text: str, typed: str) -> None:
    parts = snippet(parse_query(typed), text)
    if parts is not None:
        shown = "".join(part.text for part in parts).strip("…")
        assert " ".join(shown.split()) in " ".join(text.replace("\0", "\ufffd").split())
        assert any(part.hit for part in parts)


# What is searched ---------------------------------------------------------------------------


def test_what_of_a_turn_is_searched() -> None:
    turn = {
        "status": "complete",
        "role": "assistant",
        "content": [{"type": "text", "text": "See"}, {"type": "image", "url": "x"}],
        "artifacts": [{"id": "a", "name": "Sales chart"}, {"id": "b", "name": None}],
    }
    assert searched_text(turn) == "See\nSales chart"
    assert searched_text({**turn, "content": None, "artifacts": None}) == ""
    assert searched_text({**turn, "status": "retracted"}) == ""
    assert [kind_of(role) for role in ("user", "agent", "tool", "developer", "system")] == [
        *("conversation", "conversation", "tool", "system", "system")
    ]
    made = turn_vector(turn, SCOPE)
    assert made is not None
    assert made.startswith("see:1 sale:2 chart:3 @tc")
    assert turn_vector({**turn, "status": "retracted"}, SCOPE) is None
    assert title_vector("…", SCOPE) is None


@pytest.mark.parametrize("words_of", [lambda n: f"w{n}", lambda n: chr(0x4E00 + n % 20_000) * 128])
def test_what_is_indexed_of_a_turn_is_bounded(words_of: object) -> None:
    assert callable(words_of)
    made = vector([words_of(n) for n in range(300_000)])
    lengths: dict[str, int] = {}
    for piece in made.split():
        word, _, places = piece.partition(":")
        assert word not in lengths
        assert all(1 <= int(place) <= 16_383 for place in places.split(","))
        lengths[word] = len(word.encode()) + 6 + 2 * len(places.split(","))
    assert sum(lengths.values()) <= MAX_INDEXED_BYTES * 1.1


def test_places_of_a_long_text_keep_neighbours_beside_each_other() -> None:
    found = [f"w{n}" for n in range(40_000)]
    places: dict[str, set[int]] = {}
    for piece in vector(found).split():
        word, _, given = piece.partition(":")
        places[word] = {int(place) for place in given.split(",")}
    assert len(places) == len(found)
    for one, other in pairwise(found):
        assert any(place + 1 in places[other] for place in places[one]), (one, other)
