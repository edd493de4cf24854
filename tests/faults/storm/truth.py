"""Truth: what the topics hold in the end, counted the slow way, against what pages show and `denyut.swings` tells.

    posts      everything that the feed was told is delivered is there
    figures    each window of each brand equals the slow recount of all posts, with the scores recorded in the frames
    rejects    what is no post, or breaks the model, is there; nothing else is
    swings     the steps told are those that an undisturbed tracker makes of the same mentions, read once; and those
               that a second detector, written from the rule, makes of the posts themselves

Of a long log the recount sees the end alone, which holds the windows; the second detector then says nothing.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition

from streams.heart import incident
from streams.heart.brands import Brands
from streams.heart.errors import BadPost
from streams.heart.frame import partition_of
from streams.heart.incident import Step, Swing
from streams.heart.intake import Judge, Judged, Limits, Record
from streams.heart.pane import MINUTE, PANE_MS, UNIT, pane_of
from streams.heart.post import Post, decode, encode
from streams.heart.tracker import Times, Tracker
from streams.heart.watermark import GUARD_MS
from streams.heart.window import WINDOWS, Reading
from streams.recount import Mention, Recount, authors, figures
from streams.settings import Settings
from streams.sources.public import SOURCE
from tests import slow_minute
from tests.driver import scores_in
from tests.faults.storm.flawed import POISON
from tests.faults.storm.speaker import MIN_MS, digest
from tests.slow_swing import SlowSwing

SOURCES = frozenset({SOURCE})
Minutes = Mapping[tuple[int, str], slow_minute.Told]  # minute and brand -> what is told of them
_DIRECTIONS = {-1: "down", 1: "up"}
AT_ONCE = 64  # frames that a tracker takes before it settles
UNMATCHED = "~"  # what is left of a poisoned text: its floor, and no mention


def read(settings: Settings, topic: str, parts: int) -> list[list[Record]]:
    """Every record of a topic up to now, partition by partition."""
    return [list(_read(settings, topic, number)) for number in range(parts)]


def _read(settings: Settings, topic: str, number: int) -> Iterator[Record]:
    near = {"bootstrap_servers": settings.brokers, "group_id": None, "enable_auto_commit": False}
    at = TopicPartition(settings.topic(topic), number)
    with closing(KafkaConsumer(**near)) as consumer:
        consumer.assign([at])
        end = consumer.end_offsets([at])[at]
        consumer.seek_to_beginning(at)
        while consumer.position(at) < end:
            for one in consumer.poll(500).get(at, ()):
                yield Record(one.partition, one.offset, one.timestamp, one.key, one.value)


class Posts(NamedTuple):
    """The log of posts: what of it is needed for the windows, how much there is, what should be there and is not."""

    records: list[Record]
    whole: int  # records of the whole log
    lost: int
    latest_ms: dict[int, int]  # partition -> its last arrival

    @classmethod
    def of(cls, settings: Settings, acked: Mapping[bytes, int], span_ms: int) -> "Posts":
        """Reads all of it and keeps the last `span_ms`."""
        left, whole, latest, kept = Counter(acked), 0, dict[int, int](), deque[Record]()
        for number in range(settings.partitions):
            mine = deque[Record]()
            for one in _read(settings, "posts", number):
                whole += 1
                left[digest(one.key, one.value)] -= 1
                latest[number] = max(one.arrival_ms, latest.get(number, 0))
                mine.append(one)
                while mine[0].arrival_ms < latest[number] - span_ms:
                    mine.popleft()
            kept += mine
        return cls(list(kept), whole, sum(number for number in left.values() if number > 0), latest)

    @property
    def low_ms(self) -> int:
        """The watermark when all of it has been counted."""
        return min(self.latest_ms.values()) - GUARD_MS


@cache
def judge() -> Judge:
    """The score worker's own verdict on languages."""
    import models
    from models.lang import Languages

    languages = Languages(models.load().card)

    def said(text: str, declared: str | None) -> Judged:
        verdict = languages.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    return said


class Rejected(NamedTuple):
    """Records that the score worker must refuse, by partition and offset, and the log as if nothing broke the model."""

    places: set[tuple[int, int]]
    healed: list[Record]


def rejected(records: Iterable[Record], brands: Brands, limits: Limits) -> Rejected:
    """Those that are no post, and those that are asked of the model and break it. The latter keep their floors."""
    places, healed = set[tuple[int, int]](), list[Record]()
    for one in records:
        try:
            said = decode(one.key, one.value, SOURCES)
        except BadPost:
            places.add((one.partition, one.offset))
            healed.append(one)
            continue
        if isinstance(said, Post) and POISON in said.text and _is_asked(one, said, brands, limits):
            places.add((one.partition, one.offset))
            healed.append(one._replace(value=encode(msgspec.structs.replace(said, text=UNMATCHED))))
        else:
            healed.append(one)
    return Rejected(places, healed)


def _is_asked(record: Record, post: Post, brands: Brands, limits: Limits) -> bool:
    """Whether the model is asked for a post: it is neither early nor late, names a brand, and is in a language."""
    pane_ends = post.event_ms // PANE_MS * PANE_MS + PANE_MS
    if not post.event_ms - limits.early_ms <= record.arrival_ms < pane_ends + limits.grace_ms:
        return False
    judged = judge()(post.text, post.lang)
    return judged.known and any(not only or judged.lang in only for _, only in brands.of(post))


def slow(frames: list[list[bytes]], brands: Brands, limits: Limits) -> Recount:
    """The slow recount, with the scores that stand in these frames."""
    return Recount(SOURCES, brands, judge(), limits, scores_in(frames, limits.grace_ms))


class Counts(NamedTuple):
    """The slow recount: every mention that counts, and which panes the windows end with and are sealed before."""

    mentions: list[Mention]
    present: int  # the pane after the last
    sealed: int  # panes before it are known by whole minutes only

    @classmethod
    def of(cls, recount: Recount, records: Sequence[Record], latest_ms: Mapping[int, int]) -> "Counts":
        """`records` of posts, healed."""
        sealed = (min(latest_ms.values()) - GUARD_MS - recount.limits.grace_ms) // PANE_MS
        return cls(recount.mentions(records), pane_of(max(latest_ms.values())) + 1, sealed)

    def wrong(self, shown: Mapping[str, Mapping[str, Reading]], brands: Iterable[str]) -> list[str]:
        """Where what is shown differs."""
        out = []
        for window, panes in WINDOWS.items():
            first = self.present - panes
            inside = [one for one in self.mentions if first <= one.pane < self.present
                      and one.pane >= (first if one.pane >= self.sealed else -(-first // MINUTE) * MINUTE)]
            sums, people = figures(inside, first, self.present), authors(inside, first, self.present)
            for brand in brands:
                if brand not in shown:
                    out.append(f"{brand} {window} is not shown")
                    continue
                said = {} if window == "24h" else {"authors": people.get(brand, 0)}
                want, got = {**_wanted(sums.get(brand, {})), **said}, _got(shown[brand][window])
                out += [f"{brand} {window} {name}: want {value}, got {got[name]}" for name, value in want.items()
                        if not _same(value, got[name])]
        return out


def _wanted(sums: Mapping[str, int]) -> dict[str, float | None]:
    scored = sum(sums.get(label, 0) for label in ("negative", "neutral", "positive"))
    votes = sum(sums.get(f"{label}_votes", 0) for label in ("negative", "neutral", "positive"))
    alone = sums.get("unprompted_votes", 0)
    return {
        "mentions": scored + sums.get("abstained", 0), "abstained": sums.get("abstained", 0),
        "negative": sums.get("negative", 0), "positive": sums.get("positive", 0),
        "score_sum": sums.get("score", 0) / UNIT, "votes": votes, "mood": _mean(sums.get("vote", 0), votes),
        "organic": 1 - sums.get("copies", 0) / scored if scored else None, "prompted": sums.get("prompted", 0),
        "unprompted_votes": alone, "unprompted": _mean(sums.get("unprompted_vote", 0), alone)}


def _mean(total: int, votes: int) -> float | None:
    return total / votes / UNIT if votes else None


def _got(one: Reading) -> dict[str, float | None]:
    names = ("mentions", "abstained", "negative", "positive", "score_sum", "votes", "mood", "organic", "prompted",
             "unprompted_votes", "unprompted", "authors")
    return {name: getattr(one, name) for name in names}


def _same(want: float | None, got: float | None) -> bool:
    # Sums and counts to the last digit; a division may be made in another order.
    return want == got or (want is not None and got is not None and abs(want - got) < 1e-9)


# Swings.


def undisturbed(frames: Sequence[Sequence[bytes]], times: Times) -> dict[bytes, Swing]:
    """The steps of a fresh tracker for each partition that reads its log once: key -> step."""
    steps: dict[bytes, Swing] = {}
    for partition, log in enumerate(frames):
        tracker = Tracker(partition, len(frames), times)
        for begin in range(0, len(log), AT_ONCE):
            tracker.apply(log[begin:begin + AT_ONCE])
            steps |= {incident.key(step): step for step in tracker.settle().swings
                      if partition_of(step.brand, len(frames)) == partition}
    return steps


class Told(NamedTuple):
    """How what was told of swings differs from what should have been: keys of steps."""

    missing: list[str]
    false: list[str]
    changed: list[str]  # told with other values
    steps: int

    @property
    def is_right(self) -> bool:
        """Whether it does not."""
        return not (self.missing or self.false or self.changed)


def told(records: Iterable[Record], want: Mapping[bytes, Swing]) -> Told:
    """Compares every record of `denyut.swings`; what explains a swing is left out, being a reading of what exists."""
    got = [(one.key or b"", incident.decode(one.value or b"")) for one in records]
    got = [(name, step) for name, step in got if step.state is not Step.EXPLAINED]
    names = {name for name, _ in got}
    changed = {name for name, step in got if name in want and step != want[name]}
    return Told(sorted(map(_said(want), want.keys() - names)), sorted(map(_said(dict(got)), names - want.keys())),
                sorted(map(_said(want), changed)), len(want))


class Slow(NamedTuple):
    """What a second detector makes of the posts themselves, minute by minute: (brand, minute, direction).

    What was withdrawn, and when, it takes from the steps: it does not keep the posts that a swing rests on.
    """

    fired: set[tuple[str, int, str]]  # by votes
    ended: set[tuple[str, int]]  # by votes or by all posts
    until: int  # minutes before it have closed

    @classmethod
    def wrong(cls, minutes: Minutes, until: int, steps: Collection[Swing]) -> list[str]:
        """Where the steps differ, of minutes before `until`; no source may have been sick."""
        of_mood = [step for step in steps if step.series == "mood"]
        withdrawn = {_where(step) for step in of_mood if step.state is Step.WITHDRAWN}
        slow = cls(set(), set(), until)
        by_brand: dict[str, dict[int, slow_minute.Told]] = defaultdict(dict)
        for (minute, brand), said in minutes.items():
            by_brand[brand][minute] = said
        for brand, told_of in by_brand.items():
            for which in ("votes", "raw"):
                slow._hear(brand, which, told_of, withdrawn)
        return slow._differences(of_mood)

    def _hear(self, brand: str, which: str, minutes: Mapping[int, slow_minute.Told],
              withdrawn: Collection[tuple[str, int, str]]) -> None:
        twin = SlowSwing()
        for minute in range(min(minutes), self.until):
            sums = getattr(minutes[minute], which) if minute in minutes else (0, 0, 0, 0)
            for turn in twin.step(minute, *sums):
                if turn.kind != "fired":
                    self.ended.add((brand, minute))
                elif which == "votes":
                    self.fired.add((brand, minute, _DIRECTIONS[turn.sign]))
            if twin.on and (brand, minute, _DIRECTIONS[twin.on]) in withdrawn:
                twin.calm()

    def _differences(self, of_mood: Iterable[Swing]) -> list[str]:
        """Each alert of votes is a step, each step by votes is an alert, and what is over is over."""
        begun = {_where(step): step for step in of_mood if step.state in (Step.OPENED, Step.RISEN)}
        out = [f"the slow detector fired, no step: {one}" for one in sorted(self.fired - begun.keys())]
        out += [f"a step, the slow detector did not fire: {step.id} {where}" for where, step in begun.items()
                if where not in self.fired and step.state is Step.OPENED and step.authenticity != "coordinated"]
        return out + [f"a close, the slow detector went on: {step.id} {_where(step)}" for step in of_mood
                      if step.ended in ("over", "new normal") and _where(step)[:2] not in self.ended]


def _where(step: Swing) -> tuple[str, int, str]:
    return step.brand, step.at_ms // MIN_MS - 1, step.direction


def _said(steps: Mapping[bytes, Swing]) -> Callable[[bytes], str]:
    def said(name: bytes) -> str:
        step = steps[name]
        return f"{name.decode()} {step.series} {step.brand} {step.direction} {step.state} at {step.at_ms}"

    return said


def rejects(records: Iterable[Record]) -> set[tuple[int, int]]:
    """Partition and offset of everything that was rejected."""
    said = [msgspec.json.decode(one.value or b"", type=dict[str, int | str]) for one in records]
    return {(int(one["partition"]), int(one["offset"])) for one in said}
