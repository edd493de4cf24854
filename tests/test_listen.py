"""Listening, without Kafka: what a session does when something that it handed over is lost."""

import asyncio
from unittest import mock

import pytest

from streams import listen
from streams.listen import Session
from streams.progress import LOST, Progress


def test_a_lost_record_ends_the_session() -> None:
    """All begins again at the last position: what was lost is told again."""
    session = Session.__new__(Session)
    session._progress = Progress()
    session._progress.record(session._progress.open({"": "1"}))(LOST)
    with mock.patch.object(listen, "WRITE_S", 0.01), pytest.raises(listen._Lost):
        asyncio.run(asyncio.wait_for(session._keep_writing(), 5))
