"""Rerun: the heart over history. Happenings in, steps of swings out; no Kafka, no clock.

    happenings ──groups──▶ Group ──▶ the model, some groups at once ──▶ frames ──▶ one tracker, settled group by group
                           posts that bear a score become rows at once; the others go the way of the score worker

Time passes by the arrivals of the rows, as it does by marks in the log; after the last one it is carried on until its
minute has closed. How rows are grouped is decided by their number and their arrivals alone, so the same file gives the
same steps. Long silences are passed in strides, for a tracker keeps the sums of one day.
Texts are kept for two hours of arrivals, to explain a swing, and nowhere but here.
Knows nothing of files, formats or how a step is shown.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from streams.heart.brands import Brands, Match
from streams.heart.errors import BadSetting, Reason
from streams.heart.explain import Voice, explain
from streams.heart.frame import ABSTAINED, FLOOR, GONE, KINDS, PROMPTED, ROW, Frame, Health, Mark, Names, pack
from streams.heart.incident import Step, Swing
from streams.heart.intake import UNKNOWN_LANG, Asked, Batch, Intake, Judge, Limits, Record, Scored, counted
from streams.heart.pane import UNIT, end_ms, pane_of
from streams.heart.post import Kind, encode, id64, near_duplicate
from streams.heart.settled import Settled
from streams.heart.tracker import Times, Tracker
from streams.heart.watermark import GUARD_MS
from streams.history import Flawed, Gone, Happening, Said

GROUP_MS = 300_000  # settling costs by the pane: often enough to explain a swing while its posts are there
GROUP_ROWS = 4_096
STRIDE_MS = 6 * 3_600_000
TEXTS_MS = 2 * 3_600_000
MINUTE_MS = 60_000
REMEMBERED = 200_000  # authors' hashes
GIVEN = "given"  # the rule of a mention whose row names its brand


class Ruler(Protocol):
    """Who scores, and who says what language a text is in. Loaded when first asked."""

    @property
    def name(self) -> str:
        """How it is called in frames."""

    def judge(self, text: str, declared: str | None) -> Any:
        """The score worker's verdict on a language (`Judged`)."""

    def language(self, text: str, declared: str | None) -> str:
        """The language alone, of a text that bears its score; needs no model."""

    def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        """One score for each text; None: the model fails on this text alone."""


class Rules(NamedTuple):
    """What a run goes by. Of one file, all rows share them."""

    brands: Brands
    sources: frozenset[str]
    limits: Limits
    ask: int = 256  # texts at most in one call of the model


@dataclass
class Tally:
    """What became of the rows of `path`. With `strict`, the first that is passed by ends the run."""

    path: Path
    strict: bool = True
    rows: int = 0
    recorded: int = 0  # mentions that bore their score
    asked: int = 0  # mentions that the model was asked for, or that it abstained from
    outcomes: Counter[str] = field(default_factory=Counter)  # of rows and mentions: late, duplicates, removals, …
    brands: set[str] = field(default_factory=set)  # those with a mention
    known: set[str] = field(default_factory=set)  # those of them that ever were known well enough to see a swing
    bad: Counter[str] = field(default_factory=Counter)  # reason -> rows
    first: dict[str, Flawed] = field(default_factory=dict)  # reason -> the first of them

    def note(self, flawed: Flawed) -> None:
        """Counts a row that is passed by. Raises `BadSetting`, with `strict`."""
        if self.strict:
            raise BadSetting(f"{self.path}: row {flawed.number}: {flawed.why}; --on-error skip passes such rows by")
        self.bad[flawed.reason] += 1
        self.first.setdefault(flawed.reason, flawed)


class People:
    """The hashes under which authors are counted, remembered: hashing is what a row costs most."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def number(self, source: str, author: str) -> int:
        """The hash of an author, as the score worker computes it."""
        known = self._known.get((source, author))
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[source, author] = id64(f"{source}/{author}")
        return known


class _Rows:
    """Mentions of one ruler whose brand and language are known, as rows of a frame."""

    def __init__(self, model: str, people: People) -> None:
        self._rows: list[tuple[int, ...]] = []
        self._people = people
        self._names: dict[str, dict[str, int]] = {kind: {} for kind in Names.__struct_fields__}
        self._names["model"][model] = 0
        self._manners: dict[tuple[str, str, str], tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, said: Said, lang: str, matches: Iterable[Match], scored: tuple[int, int]) -> None:
        name = id64(said.id)
        author = name if said.author is None else self._people.number(said.source, said.author)
        text = name if said.text is None else near_duplicate(said.text)
        shared = (name, author, text, said.event_ms, said.arrival_ms, said.number, 0)
        manner = self._manners.get((said.kind, said.source, lang)) or self._manner(said.kind, said.source, lang)
        kind, *rest = manner
        brands, rules = self._names["brand"], self._names["rule"]
        for match in matches:
            hand = PROMPTED if match.tagged or match.brand in said.prompted else 0
            self._rows.append((*shared, brands.setdefault(match.brand, len(brands)), said.rev, *scored, kind | hand,
                               *rest, rules.setdefault(match.rule, len(rules))))

    def _manner(self, kind: Kind, source: str, lang: str) -> tuple[int, ...]:
        """The numbers of kind, source, language and model, of which there are few."""
        sources, langs = self._names["source"], self._names["lang"]
        code = counted(lang)
        made = (KINDS.index(kind), sources.setdefault(source, len(sources)), langs.setdefault(code, len(langs)), 0)
        self._manners[kind, source, lang] = made
        return made

    def frame(self, floors: Sequence[tuple[int, int, int]] = ()) -> bytes:
        names = Names(**{kind: tuple(known) for kind, known in self._names.items()})
        return pack(Frame(names, np.array(self._rows, ROW), np.array(list(floors), FLOOR)))


class Group:
    """What is settled together: rows that arrived one after the other."""

    def __init__(self, rules: Rules, ruler: Ruler, people: People, tally: Tally) -> None:
        self._rules, self._ruler, self._tally, self._people = rules, ruler, tally, people
        self._recorded = _Rows("recorded", people)
        self._records: list[Record] = []
        self._given: list[tuple[Said, str, bool]] = []  # posts that name their brand: language, may it be scored?
        self._floors: list[tuple[int, int, int]] = []
        self._health: list[Health] = []
        self._batch = Batch()
        self.texts: dict[int, tuple[str, str]] = {}  # row -> key, text
        self.rows = 0
        self.first_ms = self.last_ms = 0

    def add(self, one: Happening) -> None:
        """Takes a row in."""
        self.first_ms = self.first_ms or one.arrival_ms
        self.last_ms = one.arrival_ms
        self.rows += 1
        if isinstance(one, Said):
            self._post(one)
        elif isinstance(one, Gone):
            self._tally.outcomes["removals"] += 1
            self._floors.append((id64(one.id), GONE, one.arrival_ms))
        else:
            self._tally.outcomes["ticks"] += 1
            self._health += [Health(source, one.arrival_ms, until) for source, until in one.healthy.items()]

    def _post(self, said: Said) -> None:
        if said.score is None and said.brand is None:
            self._records.append(Record(0, said.number, said.arrival_ms, said.id.encode(), encode(said.post())))
            self.texts[said.number] = said.id, said.text or ""
            return
        if verdict := self._lateness(said):
            self._tally.outcomes[verdict] += 1
            return
        if said.rev:
            self._floors.append((id64(said.id), said.rev, said.arrival_ms))
        if said.text is not None:
            self.texts[said.number] = said.id, said.text
        if said.score is None:
            judged = self._ruler.judge(said.text or "", said.lang)
            self._given.append((said, judged.lang if judged.known else UNKNOWN_LANG, judged.known))
        elif said.brand is not None:
            self._recorded.add(said, said.lang or UNKNOWN_LANG, (Match(said.brand, GIVEN),), (said.score, said.label))
        else:
            self._matched(said, (said.score, said.label))

    def _lateness(self, said: Said) -> str:
        if said.event_ms == said.arrival_ms:
            return ""
        limits = self._rules.limits
        if said.event_ms - said.arrival_ms > limits.early_ms:
            return "early"
        return "late" if said.arrival_ms >= end_ms(pane_of(said.event_ms)) + limits.grace_ms else ""

    def _matched(self, said: Said, scored: tuple[int, int]) -> None:
        text = said.text or ""
        found = self._rules.brands.match(text, said.source, said.event_ms)
        lang = self._ruler.language(text, said.lang) if found else UNKNOWN_LANG
        matches = [match for match, languages in found if not languages or lang in languages]
        if matches:
            self._recorded.add(said, lang, matches, scored)
        else:
            self._tally.outcomes["unmatched"] += 1

    def close(self, intake: Callable[[], Intake]) -> list[Asked]:
        """No more rows: the texts that the model is to be asked for."""
        if self._records:
            self._batch = intake().read(self._records)
        return [*self._batch.texts, *(Asked(said.text or "", lang) for said, lang, known in self._given if known)]

    def frames(self, intake: Callable[[], Intake], scores: Sequence[Scored | None]) -> list[bytes]:
        """The frames, given one score for each text. The mark comes last: all rows before it are there."""
        ours = len(self._batch.texts)
        frames = [self._recorded.frame(self._floors)] if len(self._recorded) or self._floors else []
        self._tally.recorded += len(self._recorded)
        if self._given:
            frames.append(self._given_frame(scores[ours:]))
        if self._records:
            frames.append(self._intake_frame(intake(), scores[:ours]))
        marked = Frame(Names(), np.zeros(0, ROW), np.zeros(0, FLOOR), (Mark(0, self.last_ms),), tuple(self._health))
        return [*frames, pack(marked)]

    def _given_frame(self, scores: Sequence[Scored | None]) -> bytes:
        rows, left = _Rows(self._ruler.name, self._people), iter(scores)
        for said, lang, known in self._given:
            scored = next(left) if known else Scored(0.0, ABSTAINED)
            if scored is None:
                self._poison(said.number)
            else:
                assert said.brand is not None
                rows.add(said, lang, (Match(said.brand, GIVEN),), (round(scored.score * UNIT), scored.label))
        self._tally.asked += len(rows)
        return rows.frame()

    def _intake_frame(self, intake: Intake, scores: Sequence[Scored | None]) -> bytes:
        done = intake.finish(self._batch, scores, self._ruler.name, 1)
        for reject in done.rejects:
            self._poison(reject.offset)
        self._tally.asked += done.mentions
        for verdict in ("late", "early", "unmatched"):
            self._tally.outcomes[verdict] += getattr(done.counts, verdict)
        return done.frames[0]

    def _poison(self, number: int) -> None:
        self._tally.rows -= 1  # it was taken for a good one
        self._tally.note(Flawed(number, str(Reason.POISON), "the model fails on this text, and on this alone"))


class Rerun:
    """One history, from its first row to its end."""

    def __init__(self, rules: Rules, times: Times, ruler: Ruler, tally: Tally,
                 harvest: Callable[[Tracker, frozenset[str]], None] = lambda *_: None) -> None:
        """`harvest` is shown the tracker whenever it has settled, and the brands that have changed."""
        self.tracker = Tracker(0, 1, times)
        self.tally = tally
        self._rules, self._times, self._ruler, self._harvest = rules, times, ruler, harvest
        self._people = People()
        self._now_ms: int | None = None  # the arrival up to which the tracker has settled
        self._texts: dict[int, tuple[str, str]] = {}  # the same, of all groups that are not too old
        self._ages: deque[tuple[int, tuple[int, ...]]] = deque()  # arrival of a group's last row, its rows with a text
        self._intake: Intake | None = None

    def play(self, happenings: Iterable[Happening]) -> Iterator[Swing]:
        """All steps of all incidents, in order, explained where texts are at hand."""
        waiting: list[tuple[Group, list[Asked]]] = []
        for group in self._groups(happenings):
            waiting.append((group, group.close(self._reader)))
            rows, texts = sum(one.rows for one, _ in waiting), sum(len(some) for _, some in waiting)
            if not texts or texts >= self._rules.ask or rows >= GROUP_ROWS:
                yield from self._play(waiting)
                waiting = []
        yield from self._play(waiting)
        if self._now_ms is not None:
            minute_end_ms = (self._now_ms // MINUTE_MS + 1) * MINUTE_MS
            yield from self._pass(minute_end_ms + self._times.delay_ms + GUARD_MS)

    def _reader(self) -> Intake:
        if self._intake is None:
            rules = self._rules
            judge: Judge = self._ruler.judge
            self._intake = Intake(rules.sources, rules.brands, judge, rules.limits)
        return self._intake

    def _groups(self, happenings: Iterable[Happening]) -> Iterator[Group]:
        group, slot = None, 0
        for one in happenings:
            self.tally.rows += 1
            if group is None or one.arrival_ms // GROUP_MS != slot or group.rows >= GROUP_ROWS:
                if group is not None:
                    yield group
                group, slot = Group(self._rules, self._ruler, self._people, self.tally), one.arrival_ms // GROUP_MS
            group.add(one)
        if group is not None:
            yield group

    def _play(self, waiting: Sequence[tuple[Group, list[Asked]]]) -> Iterator[Swing]:
        texts = [text for _, some in waiting for text in some]
        scores: list[Scored | None] = []
        for start in range(0, len(texts), self._rules.ask):
            scores += self._ruler.ask(texts[start:start + self._rules.ask])
        done = 0
        for group, some in waiting:
            if self._now_ms is None or group.first_ms - self._now_ms > STRIDE_MS:
                yield from self._pass(group.first_ms)
            self._remember(group)
            self.tracker.apply(group.frames(self._reader, scores[done:done + len(some)]))
            done += len(some)
            self._now_ms = group.last_ms
            yield from self._settle()

    def _pass(self, until_ms: int) -> Iterator[Swing]:
        """Lets time pass where nothing arrives: a mark at the very first, then one every few hours."""
        now_ms = until_ms if self._now_ms is None else self._now_ms
        while now_ms < until_ms or self._now_ms is None:
            now_ms = min(now_ms + STRIDE_MS, until_ms)
            self.tracker.apply([pack(Frame(Names(), np.zeros(0, ROW), np.zeros(0, FLOOR), (Mark(0, now_ms),)))])
            self._now_ms = now_ms
            yield from self._settle()

    def _settle(self) -> Iterator[Swing]:
        settled = self.tracker.settle()
        self._harvest(self.tracker, settled.changed)
        self._count(settled)
        for swing in settled.swings:
            yield swing
            if swing.state is Step.OPENED:
                yield from self._explained(swing)

    def _count(self, settled: Settled) -> None:
        counts, tally = settled.counts, self.tally
        tally.outcomes.update(duplicates=counts.duplicate, superseded=counts.superseded, removed=counts.removed)
        tally.brands |= settled.changed
        if len(tally.known) < len(tally.brands):
            tally.known.update(name for name, standing in self.tracker.standing().items() if standing.is_ready)

    def _explained(self, swing: Swing) -> Iterator[Swing]:
        """The swing with its terms and exemplars, if any of its posts have a text that is at hand."""
        asked = self.tracker.evidence(swing)
        if any(voice.offset in self._texts for voice in asked.now):
            yield explain(swing, asked, self._text, self._rules.brands.called(swing.brand))

    def _text(self, voice: Voice) -> tuple[str, str] | None:
        return self._texts.get(voice.offset)

    def _remember(self, group: Group) -> None:
        self._texts |= group.texts
        self._ages.append((group.last_ms, tuple(group.texts)))
        while self._ages[0][0] < group.last_ms - TEXTS_MS:
            for row in self._ages.popleft()[1]:
                del self._texts[row]
