"""The slow recount: from the raw records of `denyut.posts` to every figure, in plain loops over plain objects.

It is the tests' oracle, and how `denyut demo` knows that nothing was lost or doubled. It shares with the heart only
what is not counted here: the wire format of a post, the brand matcher and the hashes. It sees all records at once, so
it needs no marks, no frames, no floors kept in time: that is what it is compared with.
Knows nothing of Kafka, workers or metrics.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams.heart.brands import Brands, words
from streams.heart.errors import BadPost
from streams.heart.intake import Judge, Limits, Record
from streams.heart.post import Post, Removal, decode, id64, near_duplicate

PANE_MS = 10_000
HOUR_MS = 3_600_000
# The score (in 1/10,000) and label (0 negative, 1 neutral, 2 positive) recorded for a brand and the record at
# (partition, offset). It is recorded once for each partition of mentions, so two brands may hold two replays' scores.
Scores = Mapping[tuple[str, int, int], tuple[int, int]]


@dataclass
class Mention:
    """One counted mention, with what becomes of its vote."""

    brand: str
    post: int
    event_ms: int
    author: int
    text: int
    label: int  # 3: abstained
    score: int
    source: str
    vote: int | None = None
    copy: bool = False
    prompted: bool = False

    @property
    def pane(self) -> int:
        return self.event_ms // PANE_MS


@dataclass
class _Version:
    rev: int
    record: Record
    post: Post
    score: int
    label: int
    prompted: bool

    @property
    def order(self) -> tuple[int, int, int, int, int]:
        return (-self.rev, self.record.arrival_ms, self.record.partition, self.record.offset, self.score)


_Versions = dict[tuple[int, str, int], list[_Version]]
_Floors = dict[int, list[tuple[int, float]]]


@dataclass
class Recount:
    """All records read, and the figures that follow."""

    sources: frozenset[str]
    brands: Brands
    judge: Judge
    limits: Limits
    scores: Scores
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def mentions(self, records: Iterable[Record]) -> list[Mention]:
        """Every mention that counts, votes cast."""
        versions: _Versions = defaultdict(list)
        floors: _Floors = defaultdict(list)
        for record in records:
            self._take(record, versions, floors)
        out = []
        for (post, brand, event), known in versions.items():
            best = min(known, key=lambda v: v.order)
            grace = self.limits.grace_ms
            since, reach = best.record.arrival_ms - grace, event // PANE_MS * PANE_MS + PANE_MS + grace
            if best.rev >= max((rev for arrival, rev in floors[post] if since <= arrival < reach), default=0):
                said = best.post
                author = post if said.author is None else id64(f"{said.source}/{said.author}")
                text = near_duplicate(said.text)
                out.append(Mention(brand, post, event, author, text, best.label, best.score, said.source,
                                   prompted=best.prompted))
        vote(out)
        return out

    def _take(self, record: Record, versions: _Versions, floors: _Floors) -> None:
        try:
            said = decode(record.key, record.value, self.sources)
        except BadPost:
            self.outcomes["rejected"] += 1
            return
        if isinstance(said, Removal):
            self.outcomes["removals"] += 1
            floors[id64(said.id)].append((record.arrival_ms, float("inf")))
        elif isinstance(said, Post):
            self.outcomes[self._post(record, said, versions, floors)] += 1
        else:
            self.outcomes["ticks"] += 1

    def _post(self, record: Record, post: Post, versions: _Versions, floors: _Floors) -> str:
        event = post.event_ms
        if event > record.arrival_ms + self.limits.early_ms:
            return "early"
        if not record.arrival_ms < event // PANE_MS * PANE_MS + PANE_MS + self.limits.grace_ms:
            return "late"
        if post.rev > 0:
            floors[id64(post.id)].append((record.arrival_ms, post.rev))
        judged = self.judge(post.text, post.lang)
        named = [match.brand for match, only in self.brands.of(post) if not only or judged.lang in only]
        for brand in named:
            score, label = self.scores[brand, record.partition, record.offset] if judged.known else (0, 3)
            prompted = brand in post.prompted or self._is_tagged(brand, post)
            versions[id64(post.id), brand, event].append(_Version(post.rev, record, post, score, label, prompted))
        return "matched" if named else "unmatched"

    def _is_tagged(self, brand: str, post: Post) -> bool:
        """Whether the text holds a tag of the campaigns of this brand's rule then in force."""
        rules = [rule for rule in self.brands.file.brand if rule.name == brand and rule.since_ms <= post.event_ms]
        said = words(post.text).split()
        return any(words(tag).strip() in said for tag in max(rules, key=lambda rule: rule.since_ms).own.tags)


def vote(mentions: list[Mention]) -> None:
    """Casts the votes: the loop of the rule's own words."""
    voted: set[tuple[object, ...]] = set()
    scored = sorted((m for m in mentions if m.label != 3), key=lambda m: (m.event_ms, m.post))
    panes: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for m in scored:
        panes[_hour(m, "author", m.author), m.pane].append(m.score)
    for m in scored:
        author, text = _hour(m, "author", m.author), _hour(m, "text", m.text)
        m.copy = text in voted
        if author not in voted and text not in voted:
            voted |= {author, text}
            scores = panes[author, m.pane]
            m.vote = (2 * sum(scores) + len(scores)) // (2 * len(scores))


def _hour(mention: Mention, kind: str, value: int) -> tuple[object, ...]:
    return kind, mention.brand, value, (mention.event_ms + value % 3600 * 1000) // HOUR_MS


def figures(mentions: Iterable[Mention], first: int, after: int) -> dict[str, dict[str, int]]:
    """Brand -> field -> sum, over the panes [first, after)."""
    out: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for m in mentions:
        if first <= m.pane < after:
            of = out[m.brand]
            of[("negative", "neutral", "positive", "abstained")[m.label]] += 1
            of["score"] += m.score if m.label != 3 else 0
            of["copies"] += m.copy
            of["prompted"] += m.prompted
            if m.vote is not None:
                of[("negative_votes", "neutral_votes", "positive_votes")[m.label]] += 1
                of["vote"] += m.vote
                of["vote_square"] += m.vote**2
                if not m.prompted:
                    of["unprompted_votes"] += 1
                    of["unprompted_vote"] += m.vote
                    of["unprompted_vote_square"] += m.vote**2
    return {brand: {name: value for name, value in of.items() if value} for brand, of in out.items()}


def authors(mentions: Iterable[Mention], first: int, after: int) -> dict[str, int]:
    """Brand -> distinct authors over the panes [first, after)."""
    out: dict[str, set[int]] = defaultdict(set)
    for m in mentions:
        if first <= m.pane < after:
            out[m.brand].add(m.author)
    return {brand: len(people) for brand, people in out.items()}
