"""Intake: the score worker's pure half. Records of `denyut.posts` in, texts to score out; scores in, frames out.

    records ──read──▶ Batch(texts, …) ──▶ the model ──▶ scores ──finish──▶ Done(frames per partition, rejects, counts)

Every record gets a verdict, and the verdicts add up:
read = matched + unmatched + rejected + late + early + removals + ticks.
Lateness belongs to the record (its arrival against its pane), so a replay years later gives the same verdict.
Knows nothing of Kafka, models, clocks or what the rows will add up to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.heart.brands import Brands, Match
from streams.heart.errors import BadPost, BrokenPromise, Reason
from streams.heart.frame import (
    ABSTAINED,
    FLOOR,
    GONE,
    KINDS,
    PROMPTED,
    ROW,
    Frame,
    Health,
    Mark,
    Names,
    pack,
    partition_of,
    used,
)
from streams.heart.notice import PostsRead
from streams.heart.pane import UNIT, Rows, end_ms, pane_of
from streams.heart.post import Post, Removal, Tick, decode, id64, near_duplicate

UNKNOWN_LANG = "und"
# Languages that are counted under their own codes: ISO 639-1, and of three letters those that people post in. Frames
# and trackers number languages in one byte, over all posts of all workers, and sources may declare what they like.
LANGS = frozenset("""
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj
kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv
ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th
ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
ace apc arq ary arz ast awa ban bbc bcl bew bho bjn bts bug ceb ckb dsb fil gor hak haw hil hmn hsb ilo kab kmr kok lmo
lus mad mag mai mak min mni nap nds new nij nia nso pag pam pap pcm pms pnb sas sat scn sco shn szl tet tpi vec war yue
""".split())  # noqa: SIM905 - a table to read


class Record(NamedTuple):
    """One record of `denyut.posts`."""

    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


class Reject(NamedTuple):
    """Why and where, never what: the coordinates of a record that is no post."""

    partition: int
    offset: int
    arrival_ms: int
    reason: Reason
    detail: str


class Scored(NamedTuple):
    """What the model said of one text: the three probabilities' difference, and its label's place in LABELS."""

    score: float
    label: int


class Asked(NamedTuple):
    """A text that the model is asked for, and its language."""

    text: str
    lang: str


class Judged(NamedTuple):
    """Which language a text is in, and whether the model may score it."""

    lang: str
    known: bool


class Limits(NamedTuple):
    """How late and how early a post may be and still count, ms."""

    grace_ms: int = 3_600_000
    early_ms: int = 60_000


Judge = Callable[[str, str | None], Judged]


def counted(lang: str) -> str:
    """The code under which a language is counted: its own without a region, or the one for all that we do not know.

    >>> counted("id"), counted("en-GB"), counted("tlh")
    ('id', 'en', 'und')
    """
    if lang in LANGS:
        return lang
    code = lang.replace("_", "-").split("-", 1)[0].lower()
    return code if code in LANGS else UNKNOWN_LANG


class _Pending(NamedTuple):
    record: Record
    post: Post
    matches: tuple[Match, ...]
    lang: str
    text: int  # place in Batch.texts, or -1: abstained


@dataclass(slots=True)
class Batch:
    """Some records, decoded and matched, on their way to the model. `texts` are what the model is asked."""

    texts: list[Asked] = field(default_factory=list)
    pending: list[_Pending] = field(default_factory=list)
    floors: list[tuple[int, int, int]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    health: set[tuple[str, int, int]] = field(default_factory=set)
    latest: dict[int, int] = field(default_factory=dict)  # posts partition -> latest arrival
    counts: dict[str, int] = field(default_factory=dict)
    read: int = 0

    def count(self, verdict: str) -> None:
        """One more record with this verdict."""
        self.counts[verdict] = self.counts.get(verdict, 0) + 1


class Done(NamedTuple):
    """A batch with its scores: one frame for each mentions partition, what was rejected, and the counts."""

    frames: dict[int, bytes]
    rejects: tuple[Reject, ...]
    counts: PostsRead
    mentions: int


class Intake:
    """Decodes, matches and packs. Holds no state but what it was built with: any two agree on any record."""

    def __init__(self, sources: frozenset[str], brands: Brands, judge: Judge, limits: Limits | None = None) -> None:
        self._sources = sources
        self._brands = brands
        self._judge = judge
        self._limits = limits or Limits()

    def read(self, records: Sequence[Record]) -> Batch:
        """Gives every record its verdict. Records of one partition come in offset order."""
        batch = Batch(read=len(records))
        for record in records:
            batch.latest[record.partition] = max(record.arrival_ms, batch.latest.get(record.partition, 0))
            try:
                said = decode(record.key, record.value, self._sources)
            except BadPost as bad:
                batch.count("rejected")
                batch.rejects.append(Reject(*record[:3], bad.reason, bad.detail))
                continue
            if isinstance(said, Post):
                batch.count(self._post(batch, record, said))
            elif isinstance(said, Removal):
                batch.count("removals")
                batch.floors.append((id64(said.id), GONE, record.arrival_ms))
            else:
                batch.count(self._tick(batch, record, said))
        return batch

    def _tick(self, batch: Batch, record: Record, tick: Tick) -> str:
        batch.health.update((source, record.arrival_ms, until) for source, until in tick.healthy.items()
                            if source in self._sources)
        return "ticks"

    def _post(self, batch: Batch, record: Record, post: Post) -> str:
        event = post.event_ms
        if event - record.arrival_ms > self._limits.early_ms:
            return "early"
        if record.arrival_ms >= end_ms(pane_of(event)) + self._limits.grace_ms:
            return "late"
        if post.rev:
            batch.floors.append((id64(post.id), post.rev, record.arrival_ms))
        found = self._brands.of(post)
        if not found:
            return "unmatched"
        judged = self._judge(post.text, post.lang)
        matches = tuple(match for match, languages in found if not languages or judged.lang in languages)
        if not matches:
            return "unmatched"
        # All languages that the model does not know are one to us.
        lang, text = UNKNOWN_LANG, -1
        if judged.known:
            lang = counted(judged.lang)
            text = len(batch.texts)
            batch.texts.append(Asked(post.text, judged.lang))
        batch.pending.append(_Pending(record, post, matches, lang, text))
        return "matched"

    def finish(self, batch: Batch, scores: Sequence[Scored | None], model: str, partitions: int) -> Done:
        """Turns scores (one per text, None: the model fails on this very text) into frames for all `partitions`."""
        if len(scores) != len(batch.texts):
            raise BrokenPromise(f"{len(scores)} scores for {len(batch.texts)} texts")
        poison = [p for p in batch.pending if p.text >= 0 and scores[p.text] is None]
        rejects = tuple(batch.rejects) + tuple(Reject(*p.record[:3], Reason.POISON, "") for p in poison)
        counts = dict(batch.counts)
        if poison:
            counts["matched"] -= len(poison)
            counts["rejected"] = counts.get("rejected", 0) + len(poison)
        rows = _Rows(model)
        for pending in batch.pending:
            scored = scores[pending.text] if pending.text >= 0 else _ABSTAINED
            if scored is not None:
                rows.add(pending, scored)
        frames = {at: pack(frame) for at, frame in rows.frames(batch, partitions).items()}
        return Done(frames, rejects, PostsRead(read=batch.read, **counts), len(rows))


_ABSTAINED = Scored(0.0, ABSTAINED)


class _Rows:
    """Rows in the making, with the names behind their numbers."""

    def __init__(self, model: str) -> None:
        self._rows: list[tuple[int, ...]] = []
        self._names: dict[str, dict[str, int]] = {kind: {} for kind in ("brand", "source", "lang", "model", "rule")}
        self._number("model", model)

    def __len__(self) -> int:
        return len(self._rows)

    def _number(self, kind: str, name: str) -> int:
        names = self._names[kind]
        return names.setdefault(name, len(names))

    def add(self, pending: _Pending, scored: Scored) -> None:
        record, post = pending.record, pending.post
        name = id64(post.id)
        author = name if post.author is None else id64(f"{post.source}/{post.author}")
        shared = (name, author, near_duplicate(post.text), post.event_ms, record.arrival_ms, record.offset,
                  record.partition)
        said, kind = (round(scored.score * UNIT), scored.label), KINDS.index(post.kind)
        manner = self._number("source", post.source), self._number("lang", pending.lang), 0
        for match in pending.matches:
            brand, rule = self._number("brand", match.brand), self._number("rule", match.rule)
            hand = PROMPTED if match.tagged or match.brand in post.prompted else 0
            self._rows.append((*shared, brand, post.rev, *said, kind | hand, *manner, rule))

    def frames(self, batch: Batch, partitions: int) -> dict[int, Frame]:
        rows = np.array(self._rows, ROW)
        floors = np.array(batch.floors, FLOOR)
        marks = tuple(Mark(partition, arrival) for partition, arrival in sorted(batch.latest.items()))
        health = tuple(Health(*said) for said in sorted(batch.health))
        brands = list(self._names["brand"])
        home = np.array([partition_of(brand, partitions) for brand in brands], np.int64)
        places = home[rows["brand"]] if len(rows) else np.zeros(0, np.int64)
        return {at: self._frame(rows[places == at], floors, marks, health) for at in range(partitions)}

    def _frame(self, rows: Rows, floors: Rows, marks: tuple[Mark, ...], health: tuple[Health, ...]) -> Frame:
        names = {}
        for kind, known in self._names.items():
            rows[kind], names[kind] = used(rows[kind], list(known))
        return Frame(Names(**names), rows, floors, marks, health)
