"""Cursors: however much stands in the topic a feed starts, and what is known to stand there is not written again."""

from collections import deque
from types import SimpleNamespace
from typing import Any
from unittest import mock

import kafka
import pytest
from kafka import TopicPartition

from streams import cursors
from streams.cursors import PATIENCE_S, Cursors
from streams.heart.errors import LostBroker
from streams.settings import Settings

AT = TopicPartition("denyut.cursors", 0)


class Slow:
    """A consumer of a topic in which each step takes its time: a record, or (None) nothing."""

    def __init__(self, steps: list[bytes | None], each_s: float) -> None:
        self._steps, self._each_s = deque(steps), each_s
        self._end = sum(step is not None for step in steps) or 1
        self._place, self.now_s = 0, 0.0

    def poll(self, **_: int) -> dict[TopicPartition, list[Any]]:
        self.now_s += self._each_s
        value = self._steps.popleft() if self._steps else None
        self._place += value is not None
        return {} if value is None else {AT: [SimpleNamespace(key=b"bluesky", value=value)]}

    def end_offsets(self, _: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {AT: self._end}

    def position(self, _: TopicPartition) -> int:
        return self._place

    def __getattr__(self, _: str) -> Any:
        return mock.Mock()


def read(consumer: Slow) -> dict[str, str]:
    with mock.patch.object(kafka, "KafkaConsumer", return_value=consumer), mock.patch.object(
            cursors, "time", SimpleNamespace(monotonic=lambda: consumer.now_s)):
        return Cursors(Settings(), "bluesky").read()


def test_a_topic_that_takes_long_to_read_is_read_to_its_end() -> None:
    """Patience is with silence, not with length: days of positions once kept a feed from ever starting again."""
    many: list[bytes | None] = [None, *(b'{"position": "%d"}' % n for n in range(100))]
    assert {"": "99"} == read(Slow(many, PATIENCE_S / 4))


def test_a_broker_that_falls_silent_is_given_up() -> None:
    """All begins again then; nobody waits for ever."""
    with pytest.raises(LostBroker, match="no answer"):
        read(Slow([b'{"position": "1"}', None, b'{"position": "2"}', *(6 * [None]), b'{"position": "3"}'], 5.0))


def test_only_what_has_changed_is_written() -> None:
    """A source may say where it stands as often as it likes; what could not be written is written after all."""
    producer = mock.Mock()
    with mock.patch.object(Cursors, "_connected", return_value=producer):
        ours = Cursors(Settings(), "mastodon")
        ours.write({"": "1", "recent": "a b"})
        ours.write({"": "2", "recent": "a b"})
        ours.write({"": "2"})
        producer.send.return_value.get.side_effect = OSError
        with pytest.raises(LostBroker):
            ours.write({"": "3"})
        producer.send.return_value.get.side_effect = None
        ours.write({"": "3"})
    sent = [(one.args[2], one.args[1]) for one in producer.send.call_args_list]
    assert [b"mastodon", b"mastodon/recent", b"mastodon", b"mastodon", b"mastodon"] == [key for key, _ in sent]
