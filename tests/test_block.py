"""Blocks: what is written is read back, the newest that is whole is taken, and nothing that is needed is dropped."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart import block as module
from streams.heart.block import KEPT, SCHEMA, SUMS_MS, Block, Place, Shelf, pack_sums, unpack_sums
from streams.heart.errors import BadSetting, BrokenPromise
from streams.heart.packed import pack
from streams.heart.pane import FIELDS, Sums

MINUTE_MS = 60_000
START = 29_891_940  # a minute, the first of ten
Topic = dict[bytes, bytes]


def sums(minute: int) -> tuple[int, Sums]:
    """Sums of one brand that tell the minute."""
    return minute, Sums(np.array([3], np.uint32), np.full((1, len(FIELDS)), minute, np.int32))


def block(number: int, *, state: bytes = b"", minutes: int = 0, partition: int = 2) -> Block:
    """The block made after so many times ten minutes."""
    watermark_ms = (START + 10 * number) * MINUTE_MS
    return Block(partition, 4, 100 * number, 100 * number - 50, watermark_ms, state or str(number).encode() * 10,
                 tuple(sums(START + at) for at in range(minutes)))


def write(topic: Topic, shelf: Shelf, one: Block) -> None:
    """Delivers a block, and drops what it replaces."""
    records = shelf.records(one)
    topic.update(records)
    gone = shelf.wrote(records)
    for key in gone:
        topic.pop(key, None)
    shelf.dropped(gone)


def starts(keys: Iterable[bytes]) -> list[int]:
    """The first minutes of the sums among these."""
    return sorted(place.start for place in map(Place.of, keys) if place and place.kind == "sums")


def read(topic: Topic, end: int = 10**9, *, partitions: int = 4, writer: str = "reader") -> tuple[Shelf, Block | None]:
    """What somebody new finds."""
    shelf = Shelf(2, writer)
    for key, value in topic.items():
        shelf.put(key, value)
    return shelf, shelf.newest(partitions, end).block


def why(topic: Topic, end: int = 10**9) -> tuple[str, ...]:
    """Why blocks were passed over."""
    shelf = Shelf(2, "why")
    for key, value in topic.items():
        shelf.put(key, value)
    return shelf.newest(4, end).passed_over


def same(one: Block | None, other: Block) -> bool:
    """Whether two blocks say the same."""
    return one is not None and one[:6] == other[:6] and [
        (minute, found.brand.tolist(), found.values.tolist()) for minute, found in one.minutes
    ] == [(minute, found.brand.tolist(), found.values.tolist()) for minute, found in other.minutes]


@settings(max_examples=30)
@given(st.binary(max_size=700), st.integers(0, 45))
def test_a_block_that_is_written_is_read_back(state: bytes, minutes: int) -> None:
    """In chunks, whatever its size; an empty state as well."""
    before, module.CHUNK = module.CHUNK, 100
    try:
        topic: Topic = {}
        one = block(5, state=state or b"x", minutes=minutes)
        write(topic, Shelf(2, "w"), one)
        assert max(len(value) for key, value in topic.items() if b"manifest" not in key) <= 100
        assert same(read(topic)[1], one)
    finally:
        module.CHUNK = before


def test_the_newest_is_taken_and_only_a_few_are_kept() -> None:
    """Whoever writes ten blocks leaves the last of them, and a manifest and a state for each."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    for number in range(10):
        write(topic, shelf, block(number, minutes=10 * number))
    assert same(read(topic)[1], block(9, minutes=90))
    kinds = sorted(place.kind for place in map(Place.of, topic) if place)
    assert kinds == ["manifest"] * KEPT + ["state"] * KEPT + ["sums"] * 9


def test_sums_are_written_once() -> None:
    """A span that is sealed does not change: the next block names the record that stands, also after a restart."""
    topic: Topic = {}
    write(topic, Shelf(2, "one"), block(3, minutes=30))
    before = {key for key in topic if b"/sums/" in key}
    shelf, _ = read(topic, writer="two")
    records = shelf.records(block(4, minutes=40))
    assert starts(key for key, _ in records) == [START + 30]
    topic.update(records)
    assert before < {key for key in topic if b"/sums/" in key}
    assert same(read(topic)[1], block(4, minutes=40))


def test_sums_of_the_day_before_yesterday_are_dropped() -> None:
    """Once no window reaches them; those of the last 25 hours stay."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    write(topic, shelf, block(0, minutes=20))
    late = block(0)._replace(watermark_ms=START * MINUTE_MS + SUMS_MS + 1, position=900)
    write(topic, shelf, late)
    assert starts(topic) == [START, START + 10]
    for number in range(1, KEPT):
        write(topic, shelf, late._replace(watermark_ms=late.watermark_ms + number, position=900 + number))
    assert starts(topic) == [START + 10]


@pytest.mark.parametrize("kind", ["state", "sums", "manifest"])
@pytest.mark.parametrize("damage", ["gone", "other"])
def test_a_torn_block_is_passed_over(kind: str, damage: str) -> None:
    """Any record of the newest that is missing or not what was written: the one before it is taken."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    for number in (1, 2):
        write(topic, shelf, block(number, minutes=10 * number))
    victim = max(key for key in topic if f"/{kind}/".encode() in key)
    if damage == "gone":
        del topic[victim]
    else:
        topic[victim] = topic[victim][:-1]
    assert same(read(topic)[1], block(1, minutes=10))
    assert why(topic) == (() if (kind, damage) == ("manifest", "gone") else ("torn",))


def test_a_manifest_of_a_newer_schema_is_passed_over() -> None:
    """A release back reads what it wrote itself before, and leaves what the newer one wrote in peace."""
    topic: Topic = {}
    write(topic, Shelf(2, "old"), block(1, minutes=10))
    newer = {Place(2, "manifest", 9 * MINUTE_MS, "new", 0).key: b'{"schema":%d,"shape":"unknown"}' % (SCHEMA + 1),
             Place(2, "state", block(2).watermark_ms, "new", 0).key: b"?"}
    topic.update(newer)
    assert why(topic) == ("newer",)
    shelf, found = read(topic)
    assert same(found, block(1, minutes=10))
    write(topic, shelf, block(3, minutes=20))
    assert Place(2, "state", block(2).watermark_ms, "new", 0).key in topic


def test_the_last_block_of_a_schema_before_ours_is_kept_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rolls a release back finds what the old one wrote, though the new one has written many since."""
    topic: Topic = {}
    shelf = Shelf(2, "old")
    for number in (1, 2):
        write(topic, shelf, block(number))
    monkeypatch.setattr(module, "SCHEMA", SCHEMA + 1)
    shelf, _ = read(topic, writer="new")
    hours = range(3, 3 + 6 * 25)
    for number in hours:
        write(topic, shelf, block(number))
        if number == 6 * 23:
            monkeypatch.setattr(module, "SCHEMA", SCHEMA)
            assert same(read(dict(topic))[1], block(2))
            monkeypatch.setattr(module, "SCHEMA", SCHEMA + 1)
    assert len([key for key in topic if b"/manifest/" in key]) == KEPT


def test_blocks_of_another_log_are_passed_over() -> None:
    """The log ends before the block does: records were lost, and the block of before them is true."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    for number in (1, 2):
        write(topic, shelf, block(number))
    assert same(read(topic, end=150)[1], block(1))
    assert why(topic, end=150) == ("foreign",)


def test_the_blocks_of_another_log_are_not_those_that_are_kept() -> None:
    """The log was cut behind them: what is written now stands, and they go."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    write(topic, shelf, block(1))
    for number in (7, 8):
        write(topic, shelf, block(number))
    heir, found = read(topic, end=150, writer="heir")
    assert same(found, block(1))
    write(topic, heir, block(2))
    assert same(read(topic, end=250)[1], block(2))
    assert not why(topic, end=250)


def test_where_sums_are_gone_the_state_is_taken() -> None:
    """All blocks share them: a day with a hole is better than nothing learned, and the hole is not named again."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    for number in (1, 2, 3):
        write(topic, shelf, block(number, minutes=30))
    del topic[next(key for key in topic if b"/sums/" in key)]
    shelf, found = read(topic, writer="heir")
    assert found is not None
    assert (found.position, len(found.minutes)) == (300, 20)
    assert why(topic) == ("torn",) * 3
    write(topic, shelf, block(4, minutes=30))
    assert same(read(topic)[1], block(4, minutes=30))


def test_where_none_can_be_read_the_start_stops_and_says_so() -> None:
    """How many there are, why, and what can be done."""
    topic: Topic = {}
    shelf = Shelf(2, "w")
    for number in (1, 2):
        write(topic, shelf, block(number))
    topic[Place(2, "manifest", 0, "new", 0).key] = b'{"schema":99}'
    with pytest.raises(BadSetting, match=r"partition 2: of 3 blocks none .*\(1 written by a newer release, 2 of "):
        read(topic, end=10)


def test_another_number_of_partitions_stops_the_start() -> None:
    """Both numbers are named."""
    topic: Topic = {}
    write(topic, Shelf(2, "w"), block(1))
    with pytest.raises(BadSetting, match="blocks of 4 partitions, and the topics have 6"):
        read(topic, partitions=6)


def test_without_blocks_there_is_none() -> None:
    """A first start; also when the first block was never finished, and what stands there is no record of ours."""
    topic: Topic = {}
    assert read(topic)[1] is None
    topic.update(Shelf(2, "w").records(block(1, minutes=20))[:-1])
    topic[b"\xff"] = topic[b"what/is/this"] = b"?"
    assert read(topic)[1] is None


def test_two_writers_do_not_touch_one_another() -> None:
    """Both go on, each dropping its own: the newest of either is whole at every moment."""
    topic: Topic = {}
    one = Shelf(2, "one")
    write(topic, one, block(1, minutes=10))
    two, _ = read(topic, writer="two")
    for number in range(2, 20):
        write(topic, one, block(number, state=b"of one", minutes=10 * number))
        write(topic, two, block(number, state=b"of two", minutes=10 * number)._replace(position=100 * number + 7))
        assert same(read(topic)[1], block(number, state=b"of two", minutes=10 * number)._replace(
            position=100 * number + 7))
    assert not why(topic)


def test_sums_of_a_release_with_other_fields_are_read() -> None:
    """By name: what it did not count is 0, what we do not count is left out."""
    fields = ("unheard_of", *reversed(FIELDS[:5]))
    values = np.arange(len(fields), dtype=np.int32)[None, :]
    ((minute, found),) = unpack_sums(pack((fields, [(7, np.array([1], np.uint32), values)])))
    assert (minute, found.values.tolist()) == (7, [[5, 4, 3, 2, 1, *[0] * (len(FIELDS) - 5)]])


@given(st.binary(max_size=60))
def test_no_bytes_are_sums_but_sums(junk: bytes) -> None:
    """A digest keeps them away; were it not so, the worker would stop."""
    good = pack_sums([sums(START)])
    if junk != good:
        with pytest.raises(BrokenPromise):
            unpack_sums(junk)
