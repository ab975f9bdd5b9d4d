"""Twenty questions with known answers, over 150 real conversations: what somebody remembers of a
conversation finds it."""

import gzip
import json
from pathlib import Path

import httpx
import pytest
from appending import NewEvent, event
from searched import index_all
from served import Stage, serving

from turnlog_schemas.openai import from_openai

pytestmark = pytest.mark.integration

QUESTIONS = [
    # what was looked for, and the task of the conversations (three of each) that are about it
    ("flight New York to Seattle May 20", "000"),
    ("later flight Texas Newark", "001"),
    ("downgrade business class economy money", "002"),
    ("quickest Denver Houston May 27", "003"),
    ("sum of gift card and certificate balances", "008"),
    ("same flights friend Ivan", "011"),
    ("remove passenger Sophia", "015"),
    ("HAT039 delayed", "016"),
    ("SI5UKW", "018"),
    ("EWR nonstop May 21", "022"),
    ("how many suitcases gold member", "044"),
    ('"lenient customer service agent"', "027"),
    ("s'il vous plait", "028"),
    ("amelia_davis_8890", "028"),
    ("multiple flights booked same day mix-up", "030"),
    ("similar ORD PHL May 10", "032"),
    ("XEHM4B or 59XX6W", "034"),
    ("family emergency full refund", "035"),
    ("delayed HAT045 meeting -compensation", "037"),
    ('remove "Ethan Lopez" or "Noah Hernandez" -business', "010"),
]


def events_of(line: str) -> tuple[str, list[NewEvent]]:
    """A conversation as events."""
    conversation = from_openai(json.loads(line))
    events = [event("session.started", conversation.started)]
    events += [event("turn.appended", each.data) for each in conversation.turns]
    return conversation.session_id, events


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[str]:
    with gzip.open(shared_data, "rt", encoding="utf-8") as file:
        return file.readlines()


async def test_what_is_remembered_of_a_conversation_finds_it(
    stage: Stage, lines: list[str]
) -> None:
    writer = stage.writer()
    for line in lines:
        session_id, events = events_of(line)
        writer.append(session_id, *events)
    stage.project()
    index_all(stage.connection)
    first, within_five, told = 0, 0, []
    async with serving(stage) as api:
        for words, task in QUESTIONS:
            found = await tasks(api, words)
            first += found[:1] == [task]
            within_five += task in found[:5]
            told.append(f"{words}: {found[:5]}, not {task}" if found[:1] != [task] else "")
    missed = "\n".join(filter(None, told))
    assert within_five == len(QUESTIONS), missed
    assert first >= 18, missed


async def tasks(api: httpx.AsyncClient, words: str) -> list[str]:
    """The tasks of the conversations found, the best first."""
    answer = await api.get("/v1/search", params={"q": words})
    items = answer.raise_for_status().json()["items"]
    return [item["session_id"].split("-")[1] for item in items]
