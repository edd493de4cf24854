"""When the records in hand become a batch, and what joining does to what was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.agents.batcher import Batcher, Caps, drain, join, record
from streams.heart.brands import Brands
from streams.heart.frame import ROW
from streams.heart.intake import Batch, Intake, Judged, Record, Scored
from streams.heart.post import Post, encode, encode_tick, from_ms, tick_key

NOW_MS = 1_795_586_400_000
BRANDS = Brands.parse("""
number = 1
published = 2020-01-01T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
[[brand]]
name = "teh"
any = ["teh"]
""")


def judge(text: str, declared: str | None) -> Judged:
    """Texts with `xx` are in no language that the model knows."""
    return Judged(declared or "id", "xx" not in text)


INTAKE = Intake(frozenset({"demo"}), BRANDS, judge)


def said(number: int, text: str, rev: int = 0) -> Record:
    """A post as a record; the same number, the same post."""
    post = Post(id=f"demo:{number:032x}", source="demo", text=text, created_at=from_ms(NOW_MS), rev=rev)
    return Record(number % 3, number, NOW_MS + number, post.key, encode(post))


def anything(number: int) -> Record:
    """A post that names a brand, two, or none, an edit, an abstention, a removal, a tick, or nonsense."""
    texts = ["kopi enak", "kopi dan teh", "hujan", "teh xx"]
    kind = number % 7
    if kind < 4:
        return said(number, texts[kind], rev=number % 2)
    if kind == 4:
        return said(number, "")._replace(value=None)
    if kind == 5:
        return Record(number % 3, number, NOW_MS - number, tick_key("f"), encode_tick({"demo": NOW_MS}))
    return Record(number % 3, number, NOW_MS + number, b"?", b"{")


def batcher_with(records: Sequence[Record], caps: Caps) -> Batcher:
    """A batcher that took these records one by one, 1 ms apart from second 10 on."""
    batcher = Batcher(caps)
    for at, one in enumerate(records):
        batcher.add([one], INTAKE.read([one]), 10 + at / 1000)
    return batcher


def test_a_load_is_due_so_long_after_its_first_record() -> None:
    """Later records do not put it off."""
    #  10.000   10.001      10.500
    #  first    second      due
    batcher = batcher_with([said(1, "hujan"), said(2, "hujan")], Caps(wait_s=0.5))
    assert (batcher.is_due(10.499), batcher.is_due(10.5)) == (False, True)


def test_nothing_in_hand_is_never_due() -> None:
    """No record, no load, however late it is."""
    batcher = Batcher(Caps(wait_s=0.5))
    batcher.add([], Batch(), 10.0)
    assert (batcher.is_due(1e9), batcher.is_full, batcher.take(), batcher.since_s) == (False, False, None, None)


@pytest.mark.parametrize("caps", [Caps(records=3), Caps(texts=3), Caps(bytes=3 * ROW.itemsize)])
def test_a_load_is_full_at_any_of_its_caps(caps: Caps) -> None:
    """Records, texts for the model, or bytes of rows, whichever is reached first; full is due at once."""
    records = [said(number, "kopi enak") for number in range(3)]
    assert not batcher_with(records[:2], caps).is_full
    full = batcher_with(records, caps)
    assert full.is_full
    assert full.is_due(10.0)


def test_records_that_name_no_brand_fill_only_the_cap_of_records() -> None:
    """A firehose goes by in thousands, however few texts the model may be asked at once."""
    assert not batcher_with([said(n, "hujan") for n in range(100)], Caps(texts=1, bytes=ROW.itemsize)).is_full


def test_removals_fill_the_cap_of_bytes() -> None:
    """Their floors go to every partition, so they count as rows do."""
    removals = [said(n, "")._replace(value=None) for n in range(4)]
    assert batcher_with(removals, Caps(bytes=80)).is_full


def test_what_is_taken_is_no_longer_in_hand() -> None:
    """The next load begins with the next record, and has its own time."""
    batcher = batcher_with([said(1, "kopi"), said(2, "kopi")], Caps())
    load = batcher.take()
    assert load is not None
    assert (len(load), load.since_s, len(load.batch.texts)) == (2, 10.0, 2)
    batcher.add([said(3, "kopi")], INTAKE.read([said(3, "kopi")]), 20.0)
    assert (len(batcher), batcher.since_s, batcher.is_full) == (1, 20.0, False)


@given(st.lists(st.integers(0, 200), max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_joined_slices_are_the_batch_read_in_one_go(numbers: list[int], cuts: list[int]) -> None:
    """However the records were sliced: the same texts, floors, rejects, marks, counts, and frames in the end."""
    records = [anything(number) for number in numbers]
    whole, joined = INTAKE.read(records), Batch()
    places = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    for start, end in pairwise(places):
        join(joined, INTAKE.read(records[start:end]))
    assert joined == whole
    scores = [Scored(at / 100, at % 3) for at in range(len(whole.texts))]
    assert INTAKE.finish(joined, scores, "m", 4) == INTAKE.finish(whole, scores, "m", 4)


@dataclass
class Message:
    """What Faust gives for a record."""

    partition: int
    offset: int
    timestamp: float
    key: bytes | None = b"k"
    value: bytes | None = b"v"


@given(st.integers(0, 4_102_444_800_000))
def test_an_arrival_survives_as_whole_milliseconds(arrival_ms: int) -> None:
    """Faust gives seconds as a float; lateness is decided by the millisecond."""
    assert record(Message(3, 17, arrival_ms / 1000.0)) == Record(3, 17, arrival_ms, b"k", b"v")


class Queue(list[str]):
    """A stream's queue, as far as `drain` knows it."""

    relieved = 0

    def empty(self) -> bool:
        return not self

    def get_nowait(self) -> "Queue":
        self.message = self.pop(0)
        return self

    def maybe_endorse_pressure_drop(self) -> None:
        self.relieved += 1


def test_draining_an_empty_queue_lets_its_partitions_go_on() -> None:
    """Faust asks before it takes; a queue that we emptied would leave the partitions paused for ever."""
    queue = Queue("abc")
    assert (drain(queue, 2), queue.relieved) == (["a", "b"], 0)
    assert (drain(queue, 2), queue.relieved) == (["c"], 1)
    assert (drain(queue, 2), queue.relieved) == ([], 2)
