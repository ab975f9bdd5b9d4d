"""What people type to search: read, made into a query of Postgres, and looked up in one text. Pure.

The syntax is that of web searches. All words have to be there; "quoted words" side by side, in that
order; `-word` or `-"quoted words"` must not; `or` between words means either side, and binds less
than words beside each other. Whatever else is typed is text: nothing is ever a wrong query. What
people join without a space (`user_id`, `gpt-5`, a path, a Chinese sentence) counts as quoted.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from turnlog_schemas.searchtext import Asked, asked_words

MAX_QUERY = 512
"""Characters of a query that are looked at by whoever takes one from people."""


class Term(NamedTuple):
    """Words that stand side by side, or must not."""

    words: tuple[Asked, ...]
    negated: bool = False


class Query(NamedTuple):
    """Groups of terms: all terms of at least one group. Each group has a term to look for; without
    any group there is nothing to look for, and nothing is found."""

    groups: tuple[tuple[Term, ...], ...]

    @property
    def wanted(self) -> list[Term]:
        """All terms that may be found in a text."""
        return [term for group in self.groups for term in group if not term.negated]


# A sign, then something quoted, to the end if need be, or anything up to a space or quote.
_PIECE = re.compile(r'(?P<minus>-(?=[^\s-]))?(?:"(?P<quoted>[^"]*)(?:"|$)|(?P<bare>[^\s"]+))')
_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d"), '"')


def parse_query(typed: str) -> Query:
    """Read what was typed; total."""
    groups: list[list[Term]] = [[]]
    for piece in _PIECE.finditer(typed.translate(_QUOTES)):
        bare = piece["bare"]
        if bare is not None and not piece["minus"] and bare.lower() == "or":
            groups.append([])
            continue
        asked = asked_words(bare if bare is not None else piece["quoted"])
        if asked:
            groups[-1].append(Term(tuple(asked), piece["minus"] is not None))
    # A group that only says what must not be there would find nearly everything.
    return Query(tuple(tuple(group) for group in groups if not all(t.negated for t in group)))


def tsquery(query: Query) -> str | None:
    """The query as Postgres reads a tsquery; None when there is nothing to look for."""
    if not query.groups:
        return None
    return " | ".join(f"({' & '.join(map(_term, group))})" for group in query.groups)


def _term(term: Term) -> str:
    text, before = "", 0
    for place, word, begins in term.words:
        if text:
            text += f" <{place - before}> "
        text += f"'{word}':*" if begins else f"'{word}'"
        before = place
    return f"!({text})" if term.negated else f"({text})"


class Hit(NamedTuple):
    """Where a text answers a term: its words from `first` to `last`. `cut`: of the last one only
    the first character was asked for."""

    first: int
    last: int
    cut: bool
    term: int
    """The number of the term among those that are wanted."""


class Looked:
    """The words of one text, looked up for one query."""

    def __init__(self, query: Query, found: Sequence[str]) -> None:
        self._query = query
        self._words = found
        firsts = [term.words[0] for group in query.groups for term in group]
        exact = {asked.word for asked in firsts if not asked.begins}
        begun = {asked.word for asked in firsts if asked.begins}
        places: dict[str, list[int]] = {}
        for place, word in enumerate(found):
            if word in exact:
                places.setdefault(word, []).append(place)
            if begun and word[0] in begun:
                places.setdefault(word[0], []).append(place)
        self._places = places

    def answers(self) -> bool:
        """Whether the text answers the query."""
        return any(
            all((next(self._starts(term), None) is None) == term.negated for term in group)
            for group in self._query.groups
        )

    def hits(self) -> list[Hit]:
        """Every place of every term that is wanted, in the order of the text."""
        return sorted(
            Hit(start, start + term.words[-1].place, term.words[-1].begins, number)
            for number, term in enumerate(self._query.wanted)
            for start in self._starts(term)
        )

    def _starts(self, term: Term) -> Iterator[int]:
        first, *others = term.words
        count = len(self._words) - term.words[-1].place
        for start in self._places.get(first.word, ()):
            if start < count and all(
                self._words[start + place][: 1 if begins else None] == word
                for place, word, begins in others
            ):
                yield start
