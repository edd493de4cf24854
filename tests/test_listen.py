"""Listening, without Kafka: what a session does when something that it handed over is lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from streams import listen
from streams.door import Door
from streams.heart.brands import Brands
from streams.heart.errors import Reason
from streams.kept import Kept
from streams.listen import Session, Wish
from streams.progress import LOST, Progress
from streams.sources.contract import Gone, Happening, Heard, Refused, Said

NOW = 1_795_586_400_000
BRANDS = Brands.parse("""
    number = 1
    published = 2026-01-01T00:00:00Z
    [[brand]]
    name = "kopi-senja"
    any = ["kopi senja"]
    """)


def test_a_lost_record_ends_the_session() -> None:
    """All begins again at the last position: what was lost is told again."""
    session = Session.__new__(Session)
    session._progress = Progress()
    session._progress.record(session._progress.open({"": "1"}))(LOST)
    with mock.patch.object(listen, "WRITE_S", 0.01), pytest.raises(listen._Lost):
        asyncio.run(asyncio.wait_for(session._keep_writing(), 5))


def test_a_source_hears_which_of_its_posts_stand_in_the_log() -> None:
    """Before it is asked for more: what names no brand, is gone or refused is not there to be looked at again."""
    told: tuple[Happening, ...] = (
        Said("one", "Kopi Senja enak", NOW), Said("two", "pagi", NOW), Said("one", "tutup", NOW, rev=5),
        Said("three", "Kopi Senja", -1), Refused(Reason.NOT_JSON), Gone("one"), Said("one", "Kopi Senja enak", NOW),
        Said("four", "Kopi Senja", NOW), Said("four", "Kopi Senja", NOW))
    heard: list[Any] = []

    class Source:
        name, is_pushed = "mastodon", False

        async def hear(self, _: Mapping[str, str]) -> AsyncIterator[Heard]:
            yield Heard(told, taken=heard.append)
            raise asyncio.CancelledError

    session = Session.__new__(Session)
    session._progress, session._ear, session._hands = Progress(), mock.Mock(), ThreadPoolExecutor(1)
    session._door = Door("mastodon", b"a key", Kept("mastodon"))
    session._room = mock.Mock(make=Source, wish=Wish(), brands=SimpleNamespace(now=BRANDS))
    session._room.clock.now_ms.return_value = NOW
    with session._hands, pytest.raises(asyncio.CancelledError):
        asyncio.run(session._hear(mock.Mock(), {}))
    assert [[True, False, True, False, False, False, False, True, True]] == heard
