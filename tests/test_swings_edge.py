"""Telling of swings: every step is delivered, what explains one is read from posts that still count, no text stays."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from streams.agents import swings as module
from streams.agents.quotes import Quotes
from streams.agents.swings import Explainer, Herald, Place, Take, read_post, read_step
from streams.heart.errors import BrokenPromise, LostBroker
from streams.heart.explain import Evidence, Voice
from streams.heart.frame import FLOOR, GONE
from streams.heart.incident import Step, Swing, Term, decode, key
from streams.heart.incident import encode as encode_step
from streams.heart.post import Post, encode, from_ms, id64, post_key

NOW_MS = 1_795_586_400_000
TEXT = "the kettle burst and nobody answers"
SOURCES = frozenset({"demo"})
TextOf = Callable[[Voice], tuple[str, str] | None]


def swing(brand: str = "quovira", step: int = 0, state: Step = Step.OPENED, **other: Any) -> Swing:
    """A step of an incident of this brand."""
    numbers = dict.fromkeys(
        ("onset_ms", "onset_from_ms", "onset_to_ms", "votes", "mentions", "authors", "now", "usual", "effect",
         "lower", "upper", "z", "reach", "smallest", "chance_weeks"), 0)  # fmt: skip
    said = {"series": "mood", "direction": "down", "severity": 2, "at_ms": NOW_MS, "window_min": 15, **numbers, **other}
    return Swing(id=f"{brand}-down-1", step=step, state=state, brand=brand, chance_is_bound=False, **said)


class Tally:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.waiting = 0
        self.outcomes: list[str] = []

    def step_told(self, state: str, waiting: int) -> None:
        self.steps.append(state)
        self.waiting = waiting

    def steps_wait(self, waiting: int) -> None:
        self.waiting = waiting

    def explanation(self, outcome: str) -> None:
        self.outcomes.append(outcome)


class Kafka:
    """A sender that keeps what it was given, and fails as often as it is told to."""

    def __init__(self, *fails: Exception) -> None:
        self.log: list[tuple[str, bytes | None, bytes]] = []
        self.fails = list(fails)

    async def send(self, topic: str, value: bytes, partition: int | None, key: bytes | None = None) -> None:
        assert partition is None  # the key's hash chooses
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails.pop()
        self.log.append((topic, key, value))


class Log:
    """The log of posts in memory."""

    def __init__(self) -> None:
        self.records: dict[Place, tuple[bytes | None, bytes | None]] = {}
        self.read_at: list[set[Place]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.fails: list[Exception] = []

    def say(self, number: int, rev: int = 0, text: str = TEXT) -> Voice:
        """One more post, and how the tracker knows it."""
        name = post_key("demo", str(number), b"tests")
        place = number % 4, len(self.records)
        post = Post(id=name, source="demo", text=text, created_at=from_ms(NOW_MS), rev=rev, author=f"a{number}")
        self.records[place] = name.encode(), encode(post)
        return Voice(*place, id64(name), number, 1, -0.8, rev)

    async def read(self, places: Iterable[Place], take: Take) -> None:
        self.read_at.append(set(places))
        if self.fails:
            raise self.fails.pop()
        for place in sorted(self.read_at[-1] & self.records.keys()):
            take(place, *self.records[place])
        self.meanwhile()
        await asyncio.sleep(0)


class Counting:
    """What the counting worker answers: the posts that still count, and which brands are its own."""

    def __init__(self, now: Iterable[Voice] = (), before: Iterable[Voice] = ()) -> None:
        self.now, self.before = list(now), list(before)
        self.mine = True

    async def evidence(self, swing: Swing) -> Evidence | None:
        assert swing.state is Step.OPENED
        return Evidence(tuple(self.now), tuple(self.before), 0.8) if self.mine else None

    def is_mine(self, brand: str) -> bool:
        del brand
        return self.mine


class Heard(list[tuple[Swing, Evidence, dict[int, str]]]):
    """Explains by remembering what it was asked."""

    def __call__(self, swing: Swing, evidence: Evidence, text_of: TextOf) -> Swing:
        texts = {voice.post: said[1] for voice in (*evidence.now, *evidence.before) if (said := text_of(voice))}
        self.append((swing, evidence, texts))
        return msgspec.structs.replace(swing, step=1, state=Step.EXPLAINED)


def ran(*jobs: Coroutine[Any, Any, None], until: Callable[[], bool]) -> None:
    """Runs jobs that never end until something is so, or one of them fails."""

    async def work() -> None:
        tasks = [asyncio.ensure_future(job) for job in jobs]
        async with asyncio.timeout(10):
            while not until() and not any(task.done() for task in tasks):
                await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(error, asyncio.CancelledError) and error is not None:
                raise error

    asyncio.run(work())


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


def told(kafka: Kafka, steps: Iterable[Swing], counting: Counting | None = None) -> Tally:
    """Delivers steps; what was counted."""
    tally, counting = Tally(), counting or Counting()
    herald = Herald(kafka, "t.swings", tally, _at_once)
    asked = list(steps)

    async def tell() -> None:
        herald.tell(asked)
        await asyncio.Event().wait()

    looks = iter(range(1000))
    ran(tell(), herald.work(counting.is_mine), until=lambda: next(looks) > 100)
    return tally


def explained(log: Log, counting: Counting, steps: Iterable[Swing] = (), since_ms: int = 0) -> tuple[Heard, Tally]:
    """Explains steps; what was asked, and what was counted."""
    heard, tally = Heard(), Tally()
    explainer = Explainer(heard, log, SOURCES, tally)
    asked = list(steps) or [swing()]
    explainer.ask(asked, since_ms)
    wanted = sum(step.state is Step.OPENED and step.at_ms >= since_ms for step in asked)
    ran(explainer.work(counting.evidence, lambda _: None), until=lambda: len(tally.outcomes) >= wanted)
    return heard, tally


def test_each_step_is_delivered_under_its_own_key_in_order() -> None:
    """An incident's steps stand one after the other; the key is the incident's and the step's."""
    kafka = Kafka()
    steps = [swing(), swing("other"), swing(step=2, state=Step.RISEN), swing(step=3, state=Step.CLOSED)]
    tally = told(kafka, steps)
    assert kafka.log == [("t.swings", key(step), value) for step, (_, _, value) in zip(steps, kafka.log, strict=True)]
    assert steps == [decode(value) for *_, value in kafka.log]
    assert tally.steps == ["opened", "opened", "risen", "closed"]
    assert tally.waiting == 0


def test_a_step_is_sent_until_it_is_delivered() -> None:
    """An outage delays what is told and loses none of it."""
    kafka = Kafka(*[LostBroker("away")] * 7)
    assert told(kafka, [swing(), swing(step=2, state=Step.RISEN)]).steps == ["opened", "risen"]


def test_a_step_of_a_brand_that_went_elsewhere_is_left_to_its_owner() -> None:
    """Whoever has the partition now reads the log back and makes the same step."""
    counting, kafka = Counting(), Kafka()
    counting.mine = False
    assert not told(kafka, [swing()], counting).steps
    assert not kafka.log


def test_it_is_known_when_the_steps_up_to_a_moment_are_told() -> None:
    """Delivered, or another's to tell; those that come later are not waited for."""
    herald = Herald(Kafka(), "t.swings", Tally(), _at_once)
    none = herald.so_far()
    herald.tell([swing()])
    one = herald.so_far()
    herald.tell([swing("other")])
    assert (none(), one()) == (True, False)
    ran(herald.work(lambda brand: brand != "other"), until=herald.so_far())
    assert one()


def test_a_step_that_kafka_will_never_take_stops_the_worker() -> None:
    """A promise of our own is broken: a step is small."""
    with pytest.raises(BrokenPromise):
        told(Kafka(BrokenPromise("too large")), [swing()])


def test_a_swing_is_explained_by_the_posts_behind_it() -> None:
    """Those since the onset and those before, each by the place that its row names."""
    log = Log()
    now, before = [log.say(n) for n in range(6)], [log.say(n, text="fine") for n in range(6, 9)]
    heard, tally = explained(log, Counting(now, before))
    assert tally.outcomes == ["explained"]
    ((_, evidence, texts),) = heard
    assert evidence == (tuple(now), tuple(before), 0.8)
    assert texts == {**{voice.post: TEXT for voice in now}, **{voice.post: "fine" for voice in before}}
    assert log.read_at == [set(log.records)]


def test_the_explanation_is_told_after_the_opening() -> None:
    """It goes the way of all steps, once the step that it explains is on its way."""
    log, kafka, tally = Log(), Kafka(), Tally()
    counting = Counting([log.say(1)])
    herald, explainer = Herald(kafka, "t.swings", tally), Explainer(Heard(), log, SOURCES, tally)
    herald.tell([swing()])
    explainer.ask([swing()], 0)
    ran(explainer.work(counting.evidence, herald.tell), herald.work(counting.is_mine),
        until=lambda: len(tally.steps) == 2)  # fmt: skip
    assert [name for _, name, _ in kafka.log] == [key(swing()), key(swing(step=1))]
    assert tally.steps == ["opened", "explained"]


@pytest.mark.parametrize("what", ["removed", "edited", "gone"])
def test_a_post_that_no_longer_counts_is_not_used(what: str) -> None:
    """Removed or edited while the posts were read: the tracker is asked again. Or compacted away: nothing is read."""
    log = Log()
    voices = [log.say(n) for n in range(6)]
    counting = Counting(voices)
    edited = log.say(5, rev=7, text="edited")

    def changed() -> None:
        counting.now = [*voices[:5], *([edited] if what == "edited" else [])]

    if what == "gone":
        del log.records[voices[5].partition, voices[5].offset]
    else:
        log.meanwhile = changed
    ((_, evidence, texts),) = explained(log, counting)[0]
    assert evidence.now == tuple(voices[:5])
    assert set(texts) == {voice.post for voice in voices[:5]}


def test_a_record_that_is_not_the_row_s_post_is_not_used() -> None:
    """Another key, another version, a removal, a tick or nonsense may stand where a row points."""
    log = Log()
    voice, other = log.say(1), log.say(2)
    name, value = log.records[voice.partition, voice.offset]
    assert read_post(voice, name, value, SOURCES) is not None
    for record in (log.records[other.partition, other.offset], (name, None), (name, b"{"), (None, value),
                   (b"~tick:demo", b"{}")):  # fmt: skip
        assert read_post(voice, *record, SOURCES) is None
    assert read_post(voice._replace(rev=1), name, value, SOURCES) is None
    assert read_post(voice, name, value, frozenset()) is None


def test_a_swing_of_which_nothing_is_left_stays_unexplained() -> None:
    """Nothing is told then: an explanation without a post would say that there is none to give."""
    heard, tally = explained(Log(), Counting())
    assert (tally.outcomes, heard) == (["empty"], [])


def test_a_brand_that_went_elsewhere_is_not_explained_here() -> None:
    """Its rows went with it."""
    log = Log()
    counting = Counting([log.say(1)])
    log.meanwhile = lambda: setattr(counting, "mine", False)
    heard, tally = explained(log, counting, [swing(), swing()])
    assert (tally.outcomes, heard) == (["dropped", "dropped"], [])


def test_only_what_opened_and_is_recent_is_explained() -> None:
    """The later steps of an incident ask for nothing; nor does one whose rows are sealed by now."""
    log = Log()
    steps = [swing(), swing(step=2, state=Step.RISEN), swing("old", at_ms=NOW_MS - 1)]
    heard, _ = explained(log, Counting([log.say(1)]), steps, NOW_MS)
    assert [of.brand for of, *_ in heard] == ["quovira"]


def test_what_waits_to_be_explained_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes unexplained, and is counted; its steps are told all the same."""
    monkeypatch.setattr(module, "WAITING", 2)
    log = Log()
    heard, tally = explained(log, Counting([log.say(1)]), [swing(f"brand-{n}") for n in range(5)])
    assert [of.brand for of, *_ in heard] == ["brand-3", "brand-4"]
    assert tally.outcomes == ["dropped"] * 3 + ["explained"] * 2


def test_a_failure_is_counted_and_the_next_swing_is_explained() -> None:
    """Not tried again: a swing without its terms is a swing all the same."""
    log = Log()
    log.fails = [LostBroker("away")]
    _, tally = explained(log, Counting([log.say(1)]), [swing("one"), swing("two")])
    assert tally.outcomes == ["failed", "explained"]


def test_what_was_read_within_the_budget_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is slow leaves fewer posts to explain from, not none."""

    class Slow(Log):
        async def read(self, places: Iterable[Place], take: Take) -> None:
            await super().read(sorted(places)[:2], take)
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "BUDGET_S", 0.0)
    log = Slow()
    voices = [log.say(n) for n in range(6)]
    ((_, evidence, _),), tally = explained(log, Counting(voices))
    assert tally.outcomes == ["explained"]
    assert len(evidence.now) == 2


def test_no_text_is_in_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong with a text, its own words are not repeated."""

    def fails(_: Swing, evidence: Evidence, text_of: TextOf) -> Swing:
        raise ValueError(text_of(evidence.now[0]))

    log, tally = Log(), Tally()
    explainer = Explainer(fails, log, SOURCES, tally)
    explainer.ask([swing()], 0)
    with caplog.at_level(logging.DEBUG):
        ran(explainer.work(Counting([log.say(1)]).evidence, lambda _: None), until=lambda: bool(tally.outcomes))
    assert tally.outcomes == ["failed"]
    assert "quovira" in caplog.text
    assert "ValueError" in caplog.text
    assert "kettle" not in caplog.text


class Quoting(Heard):
    """Explains by quoting the first three posts, and by a term that all of them use."""

    def __call__(self, swing: Swing, evidence: Evidence, text_of: TextOf) -> Swing:
        step = super().__call__(swing, evidence, text_of)
        keys = [said[0] for voice in evidence.now if (said := text_of(voice))]
        return msgspec.structs.replace(step, exemplars=tuple(keys[:3]), terms=(Term("kettle", 5.0, len(keys)),))


class Revision:
    """An explainer at work, and what it tells."""

    def __init__(self, posts: int = 8) -> None:
        self.log, self.tally, self.quotes, self.explain = Log(), Tally(), Quotes(), Quoting()
        self.quotes.caught_up()
        self.voices = [self.log.say(n) for n in range(posts)]
        self.counting = Counting(self.voices)
        self.told: list[Swing] = []
        self.explainer = Explainer(self.explain, self.log, SOURCES, self.tally, self.quotes, _at_once)

    def tell(self, steps: Iterable[Swing]) -> None:
        self.told += steps

    def explained(self) -> Swing:
        """The swing is opened and explained."""
        self.explainer.ask([swing()], 0)
        ran(self.explainer.work(self.counting.evidence, self.tell), until=lambda: bool(self.told))
        return self.told[0]

    def takes_back(self, *numbers: int) -> None:
        """These posts are removed."""
        self.explainer.heard(np.array([(self.voices[n].post, GONE, NOW_MS) for n in numbers], FLOOR))

    def revised(self) -> Swing | None:
        """What is told again, if anything is."""
        before, looks = len(self.told), iter(range(200))
        ran(self.explainer.revise(self.counting.is_mine, self.tell),
            until=lambda: len(self.told) > before or next(looks) > 100)  # fmt: skip
        return self.told[-1] if len(self.told) > before else None


def test_a_swing_is_explained_again_without_what_was_removed() -> None:
    """Under the same key, from the posts that are left; and only once."""
    edge = Revision()
    first = edge.explained()
    assert edge.revised() is None
    edge.takes_back(1)
    again = edge.revised()
    assert again is not None
    assert key(again) == key(first)
    assert again.exemplars == tuple(post_key("demo", str(n), b"tests") for n in (0, 2, 3))
    assert edge.explain[-1][0] == swing()
    assert edge.voices[1].post not in edge.explain[-1][2]
    assert edge.revised() is None
    assert edge.tally.outcomes == ["explained", "revised"]


def test_a_swing_whose_posts_are_all_removed_keeps_no_word_of_theirs() -> None:
    """The step stands, without terms and exemplars."""
    edge = Revision()
    edge.explained()
    edge.takes_back(*range(8))
    again = edge.revised()
    assert again is not None
    assert (again.terms, again.exemplars, again.state) == ((), (), Step.EXPLAINED)


def test_another_s_swing_is_revised_by_its_owner() -> None:
    """Floors are heard by all; what is due is told by whoever counts the brand, also if that changes afterwards."""
    edge = Revision()
    edge.explained()
    edge.counting.mine = False
    edge.takes_back(0)
    assert edge.revised() is None
    edge.counting.mine = True
    assert edge.revised() is not None


def test_a_revision_waits_for_a_broker_and_for_nothing_else() -> None:
    """While Kafka is away it stays due; what fails for another reason is told without any words of posts."""
    edge = Revision()
    edge.explained()
    edge.takes_back(0)
    edge.log.fails = [LostBroker("away")]
    again = edge.revised()
    assert again is not None
    assert len(again.exemplars) == 3
    edge.takes_back(1)
    edge.log.fails = [RuntimeError(TEXT)]
    again = edge.revised()
    assert again is not None
    assert (again.terms, again.exemplars) == ((), ())


def test_only_steps_are_read_as_steps() -> None:
    """A removal, or what a later release may write, is passed by."""
    step = swing(step=1, state=Step.EXPLAINED)
    assert read_step(encode_step(step)) == step
    others = (None, b"", b"{", b'{"id": 7}', b'{"id": "\xff"}', b'{"zz":' + b"[" * 200_000)
    assert [read_step(value) for value in others] == [None] * len(others)


class Broker:
    """aiokafka's consumer, as far as it is used, over a log with holes."""

    def __init__(self, offsets: Iterable[int]) -> None:
        self.offsets = sorted(offsets)
        self.seeks: list[int] = []
        self.at = 0

    async def end_offsets(self, asked: list[Any]) -> Mapping[Any, int]:
        return {asked[0]: self.offsets[-1] + 2}  # what ends the log may be no record

    def seek(self, at: Any, offset: int) -> None:
        del at
        self.seeks.append(offset)
        self.at = offset

    async def getmany(self, at: Any, *, timeout_ms: int, max_records: int) -> Mapping[Any, list[Any]]:
        assert timeout_ms > 0
        some = [offset for offset in self.offsets if offset >= self.at][:min(max_records, 100)]
        self.at = some[-1] + 1 if some else self.offsets[-1] + 2
        record = type("Record", (), {"key": b"k", "value": b"v"})
        out = []
        for offset in some:
            out.append(record())
            out[-1].offset = offset
        return {at: out} if out else {}

    async def position(self, at: Any) -> int:
        del at
        return self.at


class At(NamedTuple):
    """A topic's partition."""

    topic: str
    partition: int


@pytest.mark.parametrize(
    ("wanted", "seeks"),
    [
        ([3, 4, 250, 400], [3]),  # near: read on
        ([3, 900, 901, 5000], [3, 900, 5000]),  # far: seek
        ([700, 701, 702], [700]),  # 701 was compacted away
        ([9_999, 10_000, 10_001], [9_999]),  # the last two were never written, or are gone with what came after
        ([20_000], []),
    ],
)  # fmt: skip
def test_posts_are_found_by_offset(wanted: list[int], seeks: list[int]) -> None:
    """Each that exists is given once, in order; holes and the log's end hold up nothing."""
    broker = Broker(set(range(10_000)) - {701})
    got: list[Place] = []
    reading = module._read(broker, At("t", 3), deque(wanted), lambda place, *_: got.append(place))
    asyncio.run(asyncio.wait_for(reading, 10))
    assert got == [(3, offset) for offset in wanted if offset < 10_000 and offset != 701]
    assert broker.seeks == seeks
