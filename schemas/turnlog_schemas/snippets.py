"""The piece of a text that shows why it was found, cut into parts that are hits and parts that are
not. Pure. Parts are plain text: whoever shows them escapes them and marks the hits as he likes."""

import re
from typing import NamedTuple

from turnlog_schemas.searchquery import Hit, Looked, Query
from turnlog_schemas.searchtext import spans, words
from turnlog_schemas.text import storable

SNIPPET_LENGTH = 240
"""About how many characters a snippet has."""

_LEAD = 60
"""Characters that stand before the first hit, at most."""

_WHOLE_TEXT = 64 * 1024
_PIECE = 16 * 1024
_MOST_HITS = 64

_SPACE = re.compile(r"\s+")


class Part(NamedTuple):
    """A piece of a snippet; together they are the snippet."""

    text: str
    hit: bool


class _Place(NamedTuple):
    """A hit in characters."""

    start: int
    end: int
    term: int


def snippet(query: Query, text: str) -> list[Part] | None:
    """The part of the text with most of what was asked for; None when the text does not answer the
    query (as it may be when it was changed and the index is behind).

    Of a long text only as much is looked at as it takes to show something.
    """
    if len(text) > _WHOLE_TEXT:
        places = _first_places(query, text)
        if not places:
            return None
    else:
        looked = Looked(query, words(text))
        if not looked.answers():
            return None
        places = _in_characters(text, looked.hits(), 0)
    start, end = _window(text, places)
    return _parts(text, start, end, places)


def _first_places(query: Query, text: str) -> list[_Place]:
    """Hits in a long text, from the first piece on until there is one of each term."""
    wanted = set(range(len(query.wanted)))
    places: list[_Place] = []
    start = 0
    while start < len(text) and wanted:
        end = _cut_before(text, start + _PIECE, start)
        piece = text[start:end]
        hits = _in_characters(piece, Looked(query, words(piece)).hits(), start)
        places += [place for place in hits if place.term in wanted]
        wanted -= {place.term for place in hits}
        start = end
    return places


def _in_characters(text: str, hits: list[Hit], offset: int) -> list[_Place]:
    hits = hits[:_MOST_HITS]
    if not hits:
        return []
    where = spans(text, max(hit.last for hit in hits) + 1)
    places: list[_Place] = []
    for first, last, cut, term in hits:
        start, end = where[first][0], where[last][1]
        if cut and where[last][1] - where[last][0] == 2:  # a pair, of which one was asked for
            end -= 1
        places.append(_Place(offset + start, offset + end, term))
    return places


def _window(text: str, places: list[_Place]) -> tuple[int, int]:
    """The stretch of text that shows most terms, then most hits, then what comes first."""
    if len(text) <= SNIPPET_LENGTH:
        return 0, len(text)
    if not places or places[-1].end <= SNIPPET_LENGTH - _LEAD:
        return 0, _cut_before(text, SNIPPET_LENGTH, places[-1].end if places else 0)

    def shown(first: _Place) -> tuple[int, int]:
        last = first.start + SNIPPET_LENGTH - _LEAD
        inside = [place for place in places if first.start <= place.start and place.end <= last]
        return len({place.term for place in inside}), len(inside)

    best = max(places, key=lambda place: (*shown(place), -place.start))
    start = max(0, min(best.start - _LEAD, len(text) - SNIPPET_LENGTH))
    if start:
        space = _SPACE.search(text, start, best.start)
        start = space.end() if space else start
    return start, _cut_before(text, start + SNIPPET_LENGTH, max(start, best.end))


def _cut_before(text: str, end: int, least: int) -> int:
    """A place to cut at or before `end`, behind a word where one ends after `least`."""
    if end >= len(text):
        return len(text)
    space = max(text.rfind(" ", least, end + 1), text.rfind("\n", least, end + 1))
    return space if space > least else max(end, least)


def _parts(text: str, start: int, end: int, places: list[_Place]) -> list[Part]:
    pieces: list[tuple[str, bool]] = [("…", False)] if text[:start].strip() else []
    at = start
    for place in sorted(places):
        first, last = max(place.start, at), min(place.end, end)
        if first < last:
            pieces += [(text[at:first], False), (text[first:last], True)]
            at = last
    pieces.append((text[at:end], False))
    if text[end:].strip():
        pieces.append(("…", False))
    return _joined(pieces)


def _joined(pieces: list[tuple[str, bool]]) -> list[Part]:
    """Neighbours of one kind as one part; white space as single spaces."""
    parts: list[Part] = []
    for text, hit in pieces:
        if "  " in text or not text.isprintable():
            text = storable(_SPACE.sub(" ", text))
        if not parts or parts[-1].text.endswith(" "):
            text = text.removeprefix(" ")
        if not text:
            continue
        if parts and parts[-1].hit == hit:
            parts[-1] = Part(parts[-1].text + text, hit)
        else:
            parts.append(Part(text, hit))
    if parts:
        last = Part(parts[-1].text.rstrip(" "), parts[-1].hit)
        parts = parts[:-1] + ([last] if last.text else [])
    return parts
