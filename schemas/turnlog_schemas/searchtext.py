"""What of a turn is searched, and the words that it is found by. Pure.

One function, `words`, cuts texts as well as queries, so both sides agree:

- A word is a run of letters and digits, in small letters, without accents: `user_id`, `gpt-5` and
  `foo.bar()` are two words each, side by side. A light English plural is folded
  (`flights` -> `flight`); nothing else is stemmed, for a log holds many languages.
- Chinese, Japanese, Korean, Thai and other scripts that do not set words apart by spaces are cut
  into pairs of characters, one at each, and the last character of a run alone. So whatever part of
  a run is asked for is found.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import md5
from itertools import chain, islice
from typing import Any, Literal, NamedTuple

from turnlog_schemas import text as texts

MAX_WORD = 128
"""A longer word counts by its first so many characters."""

MAX_INDEXED_BYTES = 768 * 1024
"""What the words and places of one turn may take in the index, which has to stay below 1 MiB: of
longer turns the rest is not searched. English text of that size has about a million characters."""

# Postgres keeps places up to 16,383. Those of a longer text begin anew after a window, with an
# overlap, so that a phrase is found across the seam; what that finds too much, `matches` drops.
_WINDOW = 16_000
_OVERLAP = 128
_MOST_PLACES = 255

_PLAIN_WORDS = 1000
"""Of so many words there is no need to count what they take."""
_PLACES = [f":{number} " for number in range(1, _PLAIN_WORDS + 1)]

Kind = Literal["conversation", "tool", "system", "title"]
"""What a search may be limited to: what people and models said, results of tools, instructions,
titles that somebody gave."""

_KINDS: dict[str, Kind] = {"tool": "tool", "system": "system", "developer": "system"}
_LETTERS: dict[Kind, str] = {"conversation": "c", "tool": "t", "system": "s", "title": "n"}


class SearchScope(NamedTuple):
    """The session that a text belongs to, as far as it narrows a search."""

    tenant: str
    session_id: str
    user_id: str | None
    project: str | None
    shared: bool
    """Visible to the tenant."""


class Asked(NamedTuple):
    """A word of a query, `place` words behind its first one."""

    place: int
    word: str
    begins: bool
    """Any word that begins like this is meant: one character of a script without spaces."""


def kind_of(role: str) -> Kind:
    """Which kind of text turns of this role are."""
    return _KINDS.get(role, "conversation")


def searched_text(turn: Mapping[str, Any]) -> str:
    """The text of a turn by which it is found, and from which snippets are cut: its content, or the
    texts of its parts, and the names of its artifacts. Empty for a retracted turn."""
    if turn["status"] == "retracted":
        return ""
    pieces = [texts.plain(turn["content"])]
    artifacts: list[dict[str, Any]] = turn["artifacts"] or []
    for artifact in artifacts:
        name = artifact.get("name")
        if isinstance(name, str):
            pieces.append(name)
    return "\n".join(piece for piece in pieces if piece)


def words(text: str) -> list[str]:
    """The words of a text, in order; that of place n is the nth."""
    if not text.isascii():
        text = text.translate(_PUNCTUATION)
    if text.isascii():
        return [_word(word) for word in _ASCII.findall(text)]
    found: list[str] = []
    for dense, run in _runs().findall(text):
        if run:
            found.append(_word(run))
        else:
            folded = fold(dense)
            found += [folded[place : place + 2] for place in range(len(folded))]
    return [word for word in found if word]


def spans(text: str, count: int | None = None) -> list[tuple[int, int]]:
    """Where the words of a text stand, each from `start` to before `end`; at least so many."""
    if not text.isascii():
        text = text.translate(_PUNCTUATION)
    if text.isascii():
        return [found.span() for found in islice(_ASCII.finditer(text), count)]
    places: list[tuple[int, int]] = []
    for found in _runs().finditer(text):
        if count is not None and len(places) >= count:
            break
        if found["dense"]:
            places += _pairs(found[0], found.start())
        elif _word(found[0]):
            places.append(found.span())
    return places


def asked_words(text: str) -> list[Asked]:
    """The words by which a text is found that holds this one: as a phrase, unless it is one word.
    Of a run in a script without spaces, which may go on in the text, as few pairs as tell it."""
    asked: list[Asked] = []
    place = 0
    for dense, run in _runs().findall(text):
        if run:
            word = _word(run)
            if word:
                asked.append(Asked(place, word, False))
                place += 1
            continue
        folded = fold(dense)
        if len(folded) == 1:
            asked.append(Asked(place, folded, True))
        elif folded:
            starts = sorted({*range(0, len(folded) - 1, 2), len(folded) - 2})
            asked += [Asked(place + at, folded[at : at + 2], False) for at in starts]
        place += len(folded)
    return asked


def vector(found: Sequence[str], *, without_place: Iterable[str] = ()) -> str:
    """Words as Postgres reads a tsvector, each with its places; and some without any."""
    if len(found) > _PLAIN_WORDS:
        placed = _many_places(found)
    else:
        placed = "".join(chain.from_iterable(zip(found, _PLACES, strict=False)))
    return placed + " ".join(without_place)


def turn_vector(turn: Mapping[str, Any], scope: SearchScope) -> str | None:
    """What the index holds of a turn, as Postgres reads a tsvector; None when it holds nothing."""
    found = words(searched_text(turn))
    if not found:
        return None
    role: str = turn["role"]
    return vector(found, without_place=_scope_words(kind_of(role), scope, role))


def title_vector(title: str, scope: SearchScope) -> str | None:
    """The same of a title that somebody gave a session. One that was made from a turn is found by
    the turn."""
    found = words(title)
    return vector(found, without_place=_scope_words("title", scope)) if found else None


def kind_letters(kinds: Iterable[Kind]) -> str:
    """Kinds as the function that searches takes them."""
    return "".join(_LETTERS[kind] for kind in kinds)


def _scope_words(kind: Kind, scope: SearchScope, role: str | None = None) -> list[str]:
    """Words that no text holds, by which the index narrows a search to a tenant, session, user,
    project or role before it looks at any row. They save work; who may see what, the rows say."""
    tenant = scope.tenant
    found = [scope_word("t", kind, tenant), scope_word("s", kind, tenant, scope.session_id)]
    if scope.user_id is not None:
        found.append(scope_word("u", kind, tenant, scope.user_id))
    if scope.project is not None:
        found.append(scope_word("p", kind, tenant, scope.project))
    if scope.shared:
        found.append(scope_word("v", kind, tenant))
    if role is not None:
        found.append(scope_word("r", kind, tenant, role))
    return found


@lru_cache(maxsize=8192)
def scope_word(level: str, kind: Kind, tenant: str, name: str = "") -> str:
    """One of them: a digest, because ids may hold any text. `turnlog.search_scope` in SQL makes the
    same."""
    digest = md5(f"{tenant}\n{name}".encode(), usedforsecurity=False).hexdigest()
    return f"@{level}{_LETTERS[kind]}{digest[:16]}"


def _many_places(found: Sequence[str]) -> str:
    # Each word once, with all of its places: Postgres counts every time that it is given.
    places: dict[str, list[int]] = {}
    size = 0
    step = _WINDOW - _OVERLAP
    for number, word in enumerate(found):
        known = places.get(word)
        if known is None:
            size += len(word.encode()) + 6
            known = places[word] = []
        elif len(known) >= _MOST_PLACES:
            continue
        size += 2
        if size > MAX_INDEXED_BYTES:
            break
        place = number % step
        known.append(place + 1)
        if place < _OVERLAP and number >= step:  # also the end of the window before
            known.append(place + step + 1)
    return "".join(
        f"{word}:{','.join(map(str, known))} " for word, known in places.items() if known
    )


@lru_cache(maxsize=65_536)
def _word(run: str) -> str:
    """A run of letters and digits as it is compared; empty when nothing of it is left."""
    word = (run.lower() if run.isascii() else fold(run))[:MAX_WORD]
    return _singular(word) if word[-1:] == "s" else word


def _singular(word: str) -> str:
    """The light plural of English: it joins a few words that differ, and loses none."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("sses", "xes", "shes", "zzes")):
        return word[:-2]
    return word[:-1]


def fold(run: str) -> str:
    """Small letters without accents, one form for the many that Unicode has for the same."""
    decomposed = unicodedata.normalize("NFKD", run).casefold()
    plain = unicodedata.normalize("NFKD", decomposed).translate(_folding())
    return _not_word().sub("", unicodedata.normalize("NFC", plain))


def _pairs(run: str, first: int) -> list[tuple[int, int]]:
    length, last = len(fold(run)), first + len(run)
    if length != len(run):  # it is not known which characters became which
        return [(first, last)] * length
    return [(place, min(place + 2, last)) for place in range(first, last)]


# Characters. Built when first needed: a log in English never does.

_ASCII = re.compile("[A-Za-z0-9]+")

# What else stands in English texts: with spaces in its place most of them are ASCII.
_PUNCTUATION = dict.fromkeys(
    map(ord, "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u00a0\u2192"), " "
)

# Scripts without spaces between words, marks included, punctuation left out: Thai and Lao,
# Myanmar, Khmer, Hangul, kana and bopomofo, Han.
_DENSE = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0edf"
    "\u1000-\u1049\u1050-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17d3\u17d7\u17dc-\u17e9"
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb\uffa1-\uffdc"
    "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9f"
    "\u2e80-\u2fd5\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
# What stands within words unseen.
_UNSEEN = "\u00ad\u200b-\u200d\u2060\ufeff"

# Letters that have no decomposition, as people type them without the right keyboard.
_LIKE = {
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h",
    "\u0131": "i", "ŋ": "n", "ŧ": "t", "ĸ": "k", "ƒ": "f", "ĳ": "ij", "\u02bc": "", "\u0640": "",
}  # fmt: skip

# Accents that are left out: of Latin, Greek and Cyrillic letters, and the vowel signs of Hebrew and
# Arabic, which mostly are not written. The signs of Indian scripts, Thai or kana make the word.
_ACCENTS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
_VOWELS = ((0x591, 0x5C7), (0x610, 0x61A), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6DC))


@cache
def _marks() -> str:
    """Combining marks, as ranges of a character class."""
    ranges: list[str] = []
    begin = None
    for code in range(0x300, 0x1F000):
        if unicodedata.category(chr(code))[0] == "M":
            begin = code if begin is None else begin
        elif begin is not None:
            ranges.append(f"\\U{begin:08x}-\\U{code - 1:08x}")
            begin = None
    return "".join(ranges)


@cache
def _runs() -> re.Pattern[str]:
    inner = f"[{_marks()}{_UNSEEN}]+"
    letter = f"[^\\W_{_DENSE}]"
    return re.compile(
        f"(?P<dense>[{_DENSE}]+(?:{inner}[{_DENSE}]*)*)|(?P<word>{letter}+(?:{inner}{letter}*)*)"
    )


@cache
def _not_word() -> re.Pattern[str]:
    return re.compile(f"(?:(?![{_marks()}{_DENSE}])[\\W_])+")


@cache
def _folding() -> dict[int, str | None]:
    dropped = [code for first, last in _ACCENTS + _VOWELS for code in range(first, last + 1)]
    return {**dict.fromkeys(dropped), **{ord(letter): like for letter, like in _LIKE.items()}}
