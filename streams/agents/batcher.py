"""Batcher: when the records in hand become a batch.

    records ──slices of 64──▶ decoded and matched at once ──add──▶ in hand ──take──▶ a Load, on its way to the model

A load is due when its first record has waited long enough, and full when it holds enough texts, records or bytes of
rows: records of a firehose that names no brand go by in thousands, those that cost inference in hundreds. Between due
and full it goes on growing for as long as the model is busy: larger batches under load, small ones when it is calm.
Whoever takes a load acks its messages in the order in which they came, or drops them all.
Knows nothing of Kafka, clocks, models or what a record says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.heart.frame import FLOOR, ROW
from streams.heart.intake import Batch, Record

SLICE = 64  # records decoded in one go: about 5 ms of the event loop, and how far a load may exceed its caps


class Caps(NamedTuple):
    """When a load is due (`wait_s` after its first record) and when it is full."""

    wait_s: float = 0.5
    records: int = 4096
    texts: int = 256
    bytes: int = 262_144  # of rows and floors, as they will stand in a frame


@dataclass(slots=True, eq=False)
class Load:
    """A batch and the messages it was read from, in the order in which they came."""

    since_s: float  # when the first one was taken
    batch: Batch = field(default_factory=Batch)
    messages: list[Any] = field(default_factory=list)
    is_lost: bool = False  # no longer ours to finish

    def __len__(self) -> int:
        return len(self.messages)


class Batcher:
    """The records in hand. Time is passed in, seconds of any steady clock.

    >>> batcher = Batcher(Caps(wait_s=0.5, records=2))
    >>> batcher.add(["message"], Batch(), now_s=10.0)
    >>> batcher.is_due(10.4), batcher.is_due(10.5), batcher.is_full
    (False, True, False)
    """

    def __init__(self, caps: Caps | None = None) -> None:
        self._caps = caps or Caps()
        self._load: Load | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return 0 if self._load is None else len(self._load)

    @property
    def since_s(self) -> float | None:
        """When the oldest record in hand was taken; None: nothing is in hand."""
        return None if self._load is None else self._load.since_s

    def add(self, messages: Sequence[Any], part: Batch, now_s: float) -> None:
        """Takes messages in, and what was read from them."""
        if not messages:
            return
        if self._load is None:
            self._load = Load(now_s)
        self._load.messages.extend(messages)
        join(self._load.batch, part)
        self._bytes += ROW.itemsize * sum(len(one.matches) for one in part.pending) + FLOOR.itemsize * len(part.floors)

    @property
    def is_full(self) -> bool:
        """Nothing more should be added."""
        load, caps = self._load, self._caps
        return load is not None and (
            len(load) >= caps.records or len(load.batch.texts) >= caps.texts or self._bytes >= caps.bytes)

    def is_due(self, now_s: float) -> bool:
        """What is in hand should go."""
        return self._load is not None and (self.is_full or now_s - self._load.since_s >= self._caps.wait_s)

    def take(self) -> Load | None:
        """Gives away what is in hand; None: nothing."""
        load, self._load, self._bytes = self._load, None, 0
        return load


def join(batch: Batch, part: Batch) -> None:
    """Adds what was read from later records to a batch, as if all had been read in one go."""
    shift = len(batch.texts)
    batch.texts.extend(part.texts)
    batch.pending.extend(one._replace(text=one.text + shift) if one.text >= 0 else one for one in part.pending)
    batch.floors.extend(part.floors)
    batch.rejects.extend(part.rejects)
    batch.health |= part.health
    batch.read += part.read
    for partition, arrival_ms in part.latest.items():
        batch.latest[partition] = max(arrival_ms, batch.latest.get(partition, 0))
    for verdict, count in part.counts.items():
        batch.counts[verdict] = batch.counts.get(verdict, 0) + count


def record(message: Any) -> Record:
    """A Faust message as the heart knows it: its time as whole ms again."""
    return Record(message.partition, message.offset, round(message.timestamp * 1000), message.key, message.value)


def drain(queue: Any, most: int) -> list[Any]:
    """Up to `most` messages of a stream's queue, without waiting, past Faust's stream (45 to 75 us for each event)."""
    messages: list[Any] = []
    while len(messages) < most and not queue.empty():
        messages.append(queue.get_nowait().message)
    if queue.empty():
        # Faust asks this before it takes; a queue that was emptied by us would leave its partitions paused.
        queue.maybe_endorse_pressure_drop()
    return messages
