"""Metrics: what Prometheus is told, and nothing else is.

Every series stands in `TABLE`: name, kind, labels, meaning. `Metrics` turns notices into counters and histograms;
`PulseCollector` renders the readings of the partitions owned now, so that a brand that moved to another worker is gone
at the next scrape. A label is a word of a fixed list or a brand of the brand file: nothing from a post is ever a label.
`Severities` holds a severity while the figures are a replay: nobody is alerted of what may be over.
Seconds are those of a watch, also where posts live on a public clock of their own.
Knows nothing of Kafka, of frames, or of who serves the page.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.clock import Clock
from streams.heart import notice as said
from streams.heart.errors import Reason
from streams.heart.frame import LABELS
from streams.heart.incident import Standing, Step, Swing
from streams.heart.window import WINDOWS, Reading

PARTS = ("mix", "mood", "baseline")  # what a swing's effect is split into
OTHER = "other"  # the label of a word that is in no list
BEHIND_MS = 300_000  # a watermark further behind the clock: figures are a replay, not the present
BEHIND_S = 15.0  # and by a watch at least so much: a public clock runs 5 minutes in the time of a few flushes


class Row(NamedTuple):
    """One metric. `buckets` are the upper bounds of a histogram."""

    name: str
    kind: str  # counter, gauge, histogram
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


# From 0.1 to 10 s in steps of a quarter or less, so that p50 and p95 can be read off to a tenth of their value.
_WAITS = (
    0.05,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    1.0,
    1.1,
    1.25,
    1.4,
    1.6,
    1.8,
    2.0,
    2.25,
    2.5,
    2.75,
    3.0,
    3.5,
    4.0,
    4.5,
    5.0,
    6.0,
    7.0,
    8.0,
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
)
_AGES = (*_WAITS, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0)
_WORK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
_LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_BLOCKS = (0.01, 0.025, 0.05, *_LONG)

_BW = ("brand", "window")
_BD = ("brand", "direction")

FIGURES: tuple[Row, ...] = (
    Row("denyut_window_mentions", "gauge", _BW, "Mentions in the window, abstentions included"),
    Row("denyut_window_scored", "gauge", _BW, "Mentions in the window that have a mood"),
    Row("denyut_window_votes", "gauge", _BW, "Votes in the window: one for each author's hour and each text's"),
    Row("denyut_window_negative", "gauge", _BW, "Scored mentions in the window whose label is negative"),
    Row("denyut_window_positive", "gauge", _BW, "Scored mentions in the window whose label is positive"),
    Row("denyut_window_score_sum", "gauge", _BW, "Sum of the scores in the window; over _scored it is the plain mood"),
    Row("denyut_window_authors", "gauge", _BW, "Distinct authors in the window; up to one hour"),
    Row("denyut_mood", "gauge", _BW, "Mean vote, -1 to 1; absent without a vote"),
    Row("denyut_mood_lower", "gauge", _BW, "Lower end of the mood's 95 % interval"),
    Row("denyut_mood_upper", "gauge", _BW, "Upper end of the mood's 95 % interval"),
    Row(
        "denyut_organic_ratio",
        "gauge",
        _BW,
        "Share of the scored mentions that repeat nobody's text; absent without one",
    ),
    Row("denyut_window_prompted", "gauge", _BW, "Mentions in the window that the brand itself prompted"),
    Row("denyut_unprompted_votes", "gauge", _BW, "Votes in the window whose mention the brand did not prompt"),
    Row("denyut_unprompted_mood", "gauge", _BW, "The mean of those votes; absent without one"),
    Row("denyut_unprompted_mood_lower", "gauge", _BW, "Lower end of its 95 % interval"),
    Row("denyut_unprompted_mood_upper", "gauge", _BW, "Upper end of its 95 % interval"),
    Row(
        "denyut_swing_severity",
        "gauge",
        _BD,
        "A swing of public mood that is open: 0 none, 1 notice, 2 serious, 3 severe; held while replaying",
    ),
    # What was told of it last. Absent while none is open; of a coordinated one as well, whose severity stands below.
    Row("denyut_swing_now", "gauge", _BD, "Open swing: the mean vote of its window"),
    Row("denyut_swing_usual", "gauge", _BD, "Open swing: the mood that is usual of the brand"),
    Row("denyut_swing_effect", "gauge", _BD, "Open swing: now less usual"),
    Row("denyut_swing_effect_lower", "gauge", _BD, "Open swing: lower end of the effect's 95 % interval"),
    Row("denyut_swing_effect_upper", "gauge", _BD, "Open swing: upper end of the effect's 95 % interval"),
    Row("denyut_swing_onset_timestamp_seconds", "gauge", _BD, "Open swing: when it began, event time"),
    Row("denyut_swing_votes", "gauge", _BD, "Open swing: votes in its window"),
    Row("denyut_swing_chance_weeks", "gauge", _BD, "Open swing: by chance one as sure comes once in so many weeks"),
    Row("denyut_swing_authentic_ratio", "gauge", _BD, "Open swing: votes to posts over the brand's usual, at most 1"),
    Row(
        "denyut_swing_part",
        "gauge",
        (*_BD, "kind"),
        "Open swing: summands of the effect by source: mix (who speaks), mood (how they speak), baseline (the last "
        "day's mean less the usual)",
    ),
    Row(
        "denyut_coordinated_severity",
        "gauge",
        ("brand",),
        "The same for a swing made of copies or of a few loud accounts, either direction",
    ),
    Row("denyut_volume_severity", "gauge", ("brand",), "The same for how much is said, whatever its mood"),
    Row("denyut_swing_ready", "gauge", ("brand",), "1 when the brand's baseline is warm: a swing would be seen"),
    Row(
        "denyut_smallest_visible_swing",
        "gauge",
        ("brand",),
        "The smallest swing of mood that could be seen now; absent when none could be",
    ),
    Row(
        "denyut_replaying",
        "gauge",
        ("brand",),
        "1 while the log's time is far behind the clock: these figures are not the present",
    ),
    Row(
        "denyut_completeness_ratio",
        "gauge",
        ("brand",),
        "Share of the brand's usual mentions whose source was healthy, last 5 minutes",
    ),
    Row("denyut_brand_info", "gauge", ("brand", "title", "group"), "1; how the brand file calls and groups it"),
    Row("denyut_watermark_timestamp_seconds", "gauge", ("brand",), "How far time has come by the log alone"),
    Row("denyut_watermark_delay_seconds", "gauge", ("partition",), "How far the log's time is behind the clock"),
    Row(
        "denyut_partition_watermark_timestamp_seconds",
        "gauge",
        ("partition",),
        "How far a partition's time has come by the log alone",
    ),
)

PIPELINE: tuple[Row, ...] = (
    Row(
        "denyut_mentions_total",
        "counter",
        ("brand", "source", "sentiment"),
        "Mentions that became visible in live reading",
    ),
    Row("denyut_votes_total", "counter", ("brand", "sentiment"), "Votes of the panes that closed in live reading"),
    Row(
        "denyut_swings_total",
        "counter",
        ("brand", "direction"),
        "Swings of mood that opened in live reading, coordinated ones as well",
    ),
    Row(
        "denyut_unlisted_mentions_total",
        "counter",
        (),
        "Mentions of brands that this worker's brand file does not have",
    ),
    Row("denyut_posts_total", "counter", ("outcome",), "Records of the posts topic, by what became of them"),
    Row("denyut_rejects_total", "counter", ("reason",), "Records that are no post, by why"),
    Row(
        "denyut_mention_rows_total",
        "counter",
        ("outcome",),
        "Rows of the mentions topic in live reading, by what became of them",
    ),
    Row("denyut_floors_total", "counter", (), "Edits and removals in live reading"),
    Row("denyut_texts_total", "counter", ("outcome",), "Distinct texts asked of the model: scored, or remembered"),
    Row("denyut_tokens_total", "counter", (), "Tokens given to the model"),
    Row("denyut_batch_texts", "histogram", (), "Distinct texts in a batch", _SIZES),
    Row("denyut_inference_seconds", "histogram", (), "Time of the model for a batch", _WORK),
    Row("denyut_freshness_seconds", "histogram", (), "From a post's event time to the reading that shows it", _AGES),
    Row(
        "denyut_post_to_metric_seconds",
        "histogram",
        (),
        "From a post's arrival in Kafka to the reading that shows it",
        _AGES,
    ),
    Row("denyut_reading_seconds", "histogram", (), "CPU time to settle and to make readings, once", _WORK),
    Row(
        "denyut_swing_steps_total",
        "counter",
        ("state",),
        "Steps of swings delivered to Kafka; once more after a restart",
    ),
    Row("denyut_swing_steps_waiting", "gauge", (), "Steps of swings that are not delivered yet"),
    Row("denyut_explanations_total", "counter", ("outcome",), "Swings asked for their terms, by what became of it"),
    Row("denyut_recovery_seconds", "histogram", (), "Time to read partitions back after an assignment", _LONG),
    Row("denyut_recovered_frames_total", "counter", (), "Frames read back after assignments"),
    Row("denyut_blocks_total", "counter", ("outcome",), "Blocks of sealed state, by what became of them"),
    Row("denyut_block_seconds", "histogram", (), "From the snapshot of a block to its delivered manifest", _BLOCKS),
    Row(
        "denyut_block_timestamp_seconds",
        "gauge",
        ("partition",),
        "Watermark of the newest block that was written or taken, event time; absent before the first",
    ),
    Row("denyut_rebalances_total", "counter", ("worker",), "Assignments of partitions to this worker"),
    Row("denyut_partitions", "gauge", (), "Partitions that this worker owns now"),
    Row("denyut_oldest_unacked_seconds", "gauge", (), "Age of the oldest record read and not acked"),
    Row("denyut_loop_lag_seconds", "histogram", (), "How late the event loop ran", _WORK),
    Row("denyut_feed_sent_total", "counter", ("kind",), "Records that a feed delivered"),
    Row("denyut_feed_refused_total", "counter", ("reason",), "Records that a feed could not deliver"),
    Row("denyut_source_up", "gauge", ("source",), "1 while a feed listens to this source"),
    Row(
        "denyut_source_behind_seconds",
        "gauge",
        ("source",),
        "How long ago the moment is up to which nothing of this source is missing",
    ),
    Row(
        "denyut_source_gap_seconds_total",
        "counter",
        ("source",),
        "Seconds of this source in which something may have been said that will not come",
    ),
    Row("denyut_source_reconnects_total", "counter", ("source",), "Connections to this source that ended or failed"),
    Row(
        "denyut_source_happenings_total",
        "counter",
        ("source", "outcome"),
        "What came from this source, by what became of it",
    ),
    Row(
        "denyut_source_refused_total", "counter", ("source", "reason"), "What came from this source and is none, by why"
    ),
    Row("denyut_tellings_total", "counter", ("outcome",), "Looks at what Alertmanager fires, to give it reasons"),
    Row("denyut_build_info", "gauge", ("version", "model", "worker"), "1; which release runs here, with which model"),
)

TABLE: tuple[Row, ...] = FIGURES + PIPELINE

# What becomes of what comes from a source.
TOOK = (
    "post",
    "edit",
    "removal",
    "author",  # an author is gone
    "unmatched",  # a post that names no brand: not sent
    "unknown",  # a removal, or an edit, of what was never sent
    "repeated",  # was sent before
    "gone",  # a post that comes after its own removal: not sent
    "refused",
    "misdated",  # counted beside what became of it: more than a minute from when its server saw it
)

# Why a block is passed over for the one before it: not whole, of a schema that is too new, of another log.
PASSED_OVER = ("torn", "newer", "foreign")

# Every value that a label outside the brand file, the source setting, the partitions and the build may take.
WORDS: dict[str, tuple[str, ...]] = {
    "sentiment": LABELS,
    "window": tuple(WINDOWS),
    "reason": (*(reason.value for reason in Reason), "refused", "timeout", "too_large", OTHER),
    "worker": ("score", "pulse", "feed", "tell"),
    "kind": ("post", "removal", "tick", *PARTS),
    "direction": ("down", "up"),
    "state": tuple(step.value for step in Step),
    "outcome": (
        "matched",
        "unmatched",
        "rejected",
        "late",
        "early",
        "removal",
        "tick",
        "handed_back",
        "new",
        "duplicate",
        "superseded",
        "removed",
        "sealed",
        "scored",
        "remembered",
        "explained",
        "empty",
        "failed",
        "dropped",
        "told",
        *TOOK,
        "written",
        "taken",
        *PASSED_OVER,
        "revised",
    ),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What one partition shows: its readings by brand, the time of its log (ms UTC; None: not known yet), and how each
    brand stands; one without a standing has no swing."""

    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    watermark_ms: int | None = None
    highest_mark_ms: int | None = None
    standing: Mapping[str, Standing] = field(default_factory=dict)


class Figures:
    """The figures of the partitions owned now. The loop puts a whole new mapping; any thread reads the last one."""

    def __init__(self, session_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._session_s = session_s
        self._now = now
        self._heard = float("-inf")
        self._shown: Mapping[int, Shown] = {}

    def heard(self) -> None:
        """The group still knows us: a heartbeat was answered just now."""
        self._heard = self._now()

    def show(self, shown: Mapping[int, Shown]) -> None:
        """From now on this is shown; the mapping is never changed again."""
        self._shown = shown

    def now(self) -> Mapping[int, Shown]:
        """Partition -> what it shows. Nothing once the group has not answered for a session time-out: another may
        own these partitions by now, and nobody could tell us."""
        return self._shown if self.silent_s <= self._session_s else {}

    @property
    def silent_s(self) -> float:
        """Seconds since a heartbeat was last answered; infinite before the first."""
        return self._now() - self._heard


def is_replaying(watermark_ms: int | None, clock: Clock) -> bool:
    """Whether figures at this watermark are a replay, not the present.

    >>> clock = Clock(wall=lambda: 1_000.0)
    >>> is_replaying(None, clock), is_replaying(700_000, clock), is_replaying(699_999, clock)
    (True, False, True)
    """
    if watermark_ms is None:
        return True
    behind = clock.now_ms() - watermark_ms
    return behind > BEHIND_MS and clock.seconds(behind) > BEHIND_S


class Severities:
    """The severities that are shown: the live ones; in a replay those that were last live, and none before any was.

    >>> held = Severities(Clock(wall=lambda: 1_000.0))
    >>> now, past = (Shown({}, at_ms, at_ms, {"quovira": Standing(down=2)}) for at_ms in (999_000, 0))
    >>> held.of(3, past).standing["quovira"].down
    0
    >>> held.of(3, now).standing["quovira"].down
    2
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live: dict[int, Mapping[str, Standing]] = {}

    def keep(self, partitions: Iterable[int]) -> None:
        """Forgets the partitions that are not among these: what comes after an assignment begins at none."""
        kept = frozenset(partitions)
        self._live = {partition: live for partition, live in self._live.items() if partition in kept}

    def of(self, partition: int, shown: Shown) -> Shown:
        """What a partition shows, with the severities that may be shown."""
        if not is_replaying(shown.watermark_ms, self._clock):
            self._live[partition] = shown.standing
            return shown
        live = self._live.get(partition, {})
        brands = shown.standing.keys() | live.keys()
        return replace(shown, standing={brand: _held(live.get(brand), shown.standing.get(brand)) for brand in brands})


def _held(live: Standing | None, now: Standing | None) -> Standing:
    """Severities of the one, all else of the other."""
    now = now or Standing()
    return (live or Standing())._replace(is_ready=now.is_ready, smallest=now.smallest)


class Called(NamedTuple):
    """How the brand file calls a brand, and with which others it compares it; "": with none."""

    title: str
    group: str = ""


class PulseCollector(Collector):
    """Renders the figures that are shown now, for brands of the brand file (as `listed` knows it) only.

    `called`: how the brand file calls and groups them; one that it does not have (any more) is called by its name.
    """

    def __init__(
        self,
        figures: Figures,
        listed: Callable[[], frozenset[str]],
        clock: Clock,
        called: Callable[[], Mapping[str, Called]] = dict,
    ) -> None:
        self._figures = figures
        self._listed = listed
        self._clock = clock
        self._called = called

    def describe(self) -> Iterable[Metric]:
        """The names, without asking for figures."""
        return [GaugeMetricFamily(row.name, row.meaning, labels=row.labels) for row in FIGURES]

    def collect(self) -> Iterator[Metric]:
        """One family for each row of `FIGURES`."""
        families = {row.name: GaugeMetricFamily(row.name, row.meaning, labels=row.labels) for row in FIGURES}
        listed, called = self._listed(), self._called()
        for partition, shown in sorted(self._figures.now().items()):
            if shown.watermark_ms is not None:
                behind = self._clock.seconds(self._clock.now_ms() - shown.watermark_ms)
                families["denyut_watermark_delay_seconds"].add_metric((str(partition),), behind)
                come = families["denyut_partition_watermark_timestamp_seconds"]
                come.add_metric((str(partition),), shown.watermark_ms / 1000)
            self._partition(families, shown, listed)
            for brand in listed.intersection(shown.readings):
                families["denyut_brand_info"].add_metric((brand, *called.get(brand, Called(brand))), 1)
        yield from families.values()

    def _partition(self, families: dict[str, GaugeMetricFamily], shown: Shown, listed: frozenset[str]) -> None:
        replaying = float(is_replaying(shown.watermark_ms, self._clock))
        for brand, readings in shown.readings.items():
            if brand not in listed:
                continue
            families["denyut_replaying"].add_metric((brand,), replaying)
            if shown.watermark_ms is not None:
                families["denyut_watermark_timestamp_seconds"].add_metric((brand,), shown.watermark_ms / 1000)
            for name, labels, number in _stands(brand, shown.standing.get(brand, Standing())):
                families[name].add_metric(labels, number)
            for reading in readings:
                if reading.window == "5m":
                    families["denyut_completeness_ratio"].add_metric((brand,), reading.completeness)
                for name, value in _values(reading):
                    if value is not None:
                        families[name].add_metric((brand, reading.window), value)


def _values(reading: Reading) -> tuple[tuple[str, float | None], ...]:
    return (
        ("denyut_window_mentions", reading.mentions),
        ("denyut_window_scored", reading.scored),
        ("denyut_window_votes", reading.votes),
        ("denyut_window_negative", reading.negative),
        ("denyut_window_positive", reading.positive),
        ("denyut_window_score_sum", reading.score_sum),
        ("denyut_window_authors", reading.authors),
        ("denyut_mood", reading.mood),
        ("denyut_mood_lower", reading.lower),
        ("denyut_mood_upper", reading.upper),
        ("denyut_organic_ratio", reading.organic),
        ("denyut_window_prompted", reading.prompted),
        ("denyut_unprompted_votes", reading.unprompted_votes),
        ("denyut_unprompted_mood", reading.unprompted),
        ("denyut_unprompted_mood_lower", reading.unprompted_lower),
        ("denyut_unprompted_mood_upper", reading.unprompted_upper),
    )


def _stands(brand: str, standing: Standing) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """The series of a brand's standing: name, labels, value."""
    yield "denyut_swing_severity", (brand, "down"), standing.down
    yield "denyut_swing_severity", (brand, "up"), standing.up
    yield "denyut_coordinated_severity", (brand,), standing.coordinated
    yield "denyut_volume_severity", (brand,), standing.volume
    yield "denyut_swing_ready", (brand,), float(standing.is_ready)
    if standing.smallest is not None:
        yield "denyut_smallest_visible_swing", (brand,), standing.smallest
    if standing.swing is not None:
        yield from _told(standing.swing)


def _told(swing: Swing) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """The series of a swing that is open."""
    at = swing.brand, swing.direction
    yield "denyut_swing_now", at, swing.now
    yield "denyut_swing_usual", at, swing.usual
    yield "denyut_swing_effect", at, swing.effect
    yield "denyut_swing_effect_lower", at, swing.lower
    yield "denyut_swing_effect_upper", at, swing.upper
    yield "denyut_swing_onset_timestamp_seconds", at, swing.onset_ms / 1000
    yield "denyut_swing_votes", at, swing.votes
    if swing.chance_weeks > 0:
        yield "denyut_swing_chance_weeks", at, swing.chance_weeks
    if swing.copies is not None:
        yield "denyut_swing_authentic_ratio", at, swing.copies.authentic
    for kind in PARTS:
        amounts = [part.amount for part in swing.parts if part.dimension == "source" and part.kind == kind]
        yield "denyut_swing_part", (*at, kind), sum(amounts)


class Spread(Collector):
    """A histogram that takes whole arrays: the library's own costs a microsecond and more for each value."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._bounds = np.array(row.buckets)
        self._counts = np.zeros(len(row.buckets) + 1, np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Takes values in; one below 0 (a clock that is a little behind) counts as 0."""
        values = np.maximum(values, 0.0)
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum += float(values.sum())

    def describe(self) -> Iterable[Metric]:
        """The name alone."""
        return [HistogramMetricFamily(self._row.name, self._row.meaning)]

    def collect(self) -> Iterator[Metric]:
        """The family, its buckets cumulative."""
        with self._lock:
            counts, total = np.cumsum(self._counts).tolist(), self._sum
        bounds = [*map(str, self._row.buckets), "+Inf"]
        yield HistogramMetricFamily(
            self._row.name, self._row.meaning, buckets=list(zip(bounds, counts, strict=True)), sum_value=total
        )


class Metrics:
    """An observer that counts. `registry` is what /metrics shows. `brands` and `sources` are the labels allowed."""

    def __init__(self, brands: Iterable[str] = (), sources: Iterable[str] = (), clock: Clock | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._brands, self._sources = frozenset(brands), frozenset(sources)
        self.clock = clock or Clock()
        self._of: dict[str, Any] = {row.name: self._made(row) for row in PIPELINE}
        for name, label in (
            ("posts", "outcome"),
            ("mention_rows", "outcome"),
            ("texts", "outcome"),
            ("rejects", "reason"),
            ("swing_steps", "state"),
            ("explanations", "outcome"),
            ("tellings", "outcome"),
            ("blocks", "outcome"),
        ):
            for word in _FIRST[name]:
                self._of[f"denyut_{name}_total"].labels(**{label: word})
        self._blocks: set[int] = set()  # the partitions whose newest block is shown
        self._heard: dict[type[said.Notice], Callable[[Any], None]] = {
            said.PostsRead: self._posts_read,
            said.PostRejected: self._post_rejected,
            said.HandedBack: self._handed_back,
            said.BatchScored: self._batch_scored,
            said.MentionsRead: self._mentions_read,
            said.MentionCounted: self._mention_counted,
            said.Fresh: self._fresh,
            said.Rebalanced: self._rebalanced,
            said.Recovered: self._recovered,
            said.PostSent: self._post_sent,
            said.PostNotSent: self._post_not_sent,
            said.SourceHeard: self._source_heard,
            said.SourceRefused: self._source_refused,
            said.SourceStands: self._source_stands,
            said.SourceGap: self._source_gap,
            said.SourceReconnects: self._source_reconnects,
        }

    def _made(self, row: Row) -> Any:
        if row.kind == "counter":
            return Counter(row.name.removesuffix("_total"), row.meaning, row.labels, registry=self.registry)
        if row.kind == "gauge":
            return Gauge(row.name, row.meaning, row.labels, registry=self.registry)
        if row.buckets == _AGES:
            spread = Spread(row)
            self.registry.register(spread)
            return spread
        return Histogram(row.name, row.meaning, row.labels, buckets=row.buckets, registry=self.registry)

    def observe(self, notice: said.Notice) -> None:
        """Counts what was told; a notice that is not shown is passed by."""
        heard = self._heard.get(type(notice))
        if heard is not None:
            heard(notice)

    # What no notice tells.

    def listed(self) -> frozenset[str]:
        """The brands that may be labels."""
        return self._brands

    def renew(self, brands: Iterable[str]) -> None:
        """A new brand file: these may be labels from now on, and those that were before."""
        self._brands |= frozenset(brands)

    def build(self, release: str, model: str, worker: str) -> None:
        """Says which release runs here, with which model, as which worker."""
        self._of["denyut_build_info"].labels(release, model, worker).set(1)
        if worker in ("score", "pulse"):
            self._of["denyut_rebalances_total"].labels(worker)  # at 0, so that the first assignment is an increase

    def assigned(self, brands: Iterable[str]) -> None:
        """Creates the counters of these brands at 0, so that a first mention is an increase."""
        for brand in self._brands.intersection(brands):
            for sentiment in LABELS:
                for source in self._sources:
                    self._of["denyut_mentions_total"].labels(brand, source, sentiment)
                if sentiment != LABELS[-1]:
                    self._of["denyut_votes_total"].labels(brand, sentiment)
            for direction in WORDS["direction"]:
                self._of["denyut_swings_total"].labels(brand, direction)

    def unlisted(self, brands: Iterable[str]) -> frozenset[str]:
        """Which of these are in no brand file of ours, and so in no label."""
        return frozenset(brands) - self._brands

    def counted(self, mentions: Iterable[tuple[str, str, str, int]], votes: Iterable[tuple[str, str, int]]) -> None:
        """Counts (brand, source, sentiment, how many) and (brand, sentiment, how many), in live reading."""
        for brand, source, sentiment, count in mentions:
            self._mention_counted(said.MentionCounted(brand, source, sentiment, count))
        for brand, sentiment, count in votes:
            if brand in self._brands:
                self._of["denyut_votes_total"].labels(brand, sentiment).inc(count)

    def swung(self, steps: Iterable[Swing]) -> None:
        """Counts the swings of mood that these steps open, in live reading."""
        for step in steps:
            if step.state is Step.OPENED and step.series == "mood" and step.brand in self._brands:
                direction = _listed(step.direction, WORDS["direction"])
                self._of["denyut_swings_total"].labels(step.brand, direction).inc()

    def step_told(self, state: str, waiting: int) -> None:
        """One step of a swing was delivered; so many wait."""
        self._of["denyut_swing_steps_total"].labels(_listed(state, WORDS["state"])).inc()
        self.steps_wait(waiting)

    def steps_wait(self, waiting: int) -> None:
        """So many steps of swings wait for their delivery."""
        self._of["denyut_swing_steps_waiting"].set(waiting)

    def block_written(self, partition: int, watermark_ms: int, took_s: float) -> None:
        """A block of this partition is whole in Kafka: exact at this watermark, so long after its snapshot."""
        self._of["denyut_block_seconds"].observe(took_s)
        self._block(partition, watermark_ms, "written")

    def block_taken(self, partition: int, watermark_ms: int) -> None:
        """Recovery went on from this block, exact at this watermark."""
        self._block(partition, watermark_ms, "taken")

    def block_failed(self) -> None:
        """A block was given up: its partition went away, or Kafka did not take it."""
        self._of["denyut_blocks_total"].labels("failed").inc()

    def block_passed_over(self, reason: str) -> None:
        """Recovery looks for an older block: this one is torn, newer or foreign (`PASSED_OVER`)."""
        self._of["denyut_blocks_total"].labels(_listed(reason, PASSED_OVER)).inc()

    def blocks_keep(self, partitions: Collection[int]) -> None:
        """Only of these is the newest block shown from now on: the others are somebody else's to show."""
        for partition in self._blocks.difference(partitions):
            self._of["denyut_block_timestamp_seconds"].remove(str(partition))
        self._blocks.intersection_update(partitions)

    def _block(self, partition: int, watermark_ms: int, outcome: str) -> None:
        self._of["denyut_blocks_total"].labels(outcome).inc()
        self._of["denyut_block_timestamp_seconds"].labels(str(partition)).set(watermark_ms / 1000)
        self._blocks.add(partition)

    def feeds(self) -> None:
        """Creates what a feed counts at 0."""
        for kind in ("post", "removal", "tick"):
            self._of["denyut_feed_sent_total"].labels(kind)
        for reason in ("refused", "timeout", "too_large"):
            self._of["denyut_feed_refused_total"].labels(reason)

    def listens(self, source: str) -> None:
        """Creates what is counted of a live source at 0."""
        self._of["denyut_source_up"].labels(source).set(0)
        for name in ("gap_seconds", "reconnects"):
            self._of[f"denyut_source_{name}_total"].labels(source)
        for outcome in TOOK:
            self._of["denyut_source_happenings_total"].labels(source, outcome)

    def telling(self, outcome: str) -> None:
        """Alertmanager was asked what it fires and told the reasons: told, failed."""
        self._of["denyut_tellings_total"].labels(_listed(outcome, WORDS["outcome"])).inc()

    def explanation(self, outcome: str) -> None:
        """A swing was asked for its terms: explained, empty (nothing that still exists), failed, dropped."""
        self._of["denyut_explanations_total"].labels(_listed(outcome, WORDS["outcome"])).inc()

    def became_visible(self, event_ms: npt.NDArray[np.int64], arrival_ms: npt.NDArray[np.int64]) -> None:
        """Mentions with these times are shown from now on."""
        now_ms = self.clock.now_ms()
        for name, times in (("freshness", event_ms), ("post_to_metric", arrival_ms)):
            self._of[f"denyut_{name}_seconds"].observe((now_ms - times) / (1000 * self.clock.speed))

    def reading_took(self, seconds: float) -> None:
        """One round of settling and reading, CPU seconds."""
        self._of["denyut_reading_seconds"].observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran this much later than it was asked to."""
        self._of["denyut_loop_lag_seconds"].observe(seconds)

    def owns(self, partitions: int) -> None:
        """How many partitions this worker has now."""
        self._of["denyut_partitions"].set(partitions)

    def oldest_unacked(self, age_s: Callable[[], float]) -> None:
        """Asks for the age of the oldest unacked record at each scrape; any thread."""
        self._of["denyut_oldest_unacked_seconds"].set_function(age_s)

    # Notices.

    def _posts_read(self, notice: said.PostsRead) -> None:
        for outcome, count in (
            ("matched", notice.matched),
            ("unmatched", notice.unmatched),
            ("rejected", notice.rejected),
            ("late", notice.late),
            ("early", notice.early),
            ("removal", notice.removals),
            ("tick", notice.ticks),
        ):
            if count:
                self._of["denyut_posts_total"].labels(outcome).inc(count)

    def _handed_back(self, notice: said.HandedBack) -> None:
        self._of["denyut_posts_total"].labels("handed_back").inc(notice.count)

    def _post_rejected(self, notice: said.PostRejected) -> None:
        self._of["denyut_rejects_total"].labels(_listed(notice.reason, WORDS["reason"])).inc()

    def _batch_scored(self, notice: said.BatchScored) -> None:
        self._of["denyut_texts_total"].labels("scored").inc(notice.fresh)
        self._of["denyut_texts_total"].labels("remembered").inc(notice.texts - notice.fresh)
        self._of["denyut_tokens_total"].inc(notice.tokens)
        self._of["denyut_batch_texts"].observe(notice.texts)
        self._of["denyut_inference_seconds"].observe(notice.seconds)

    def _mentions_read(self, notice: said.MentionsRead) -> None:
        for outcome in _FIRST["mention_rows"]:
            count = getattr(notice, outcome)
            if count:
                self._of["denyut_mention_rows_total"].labels(outcome).inc(count)
        self._of["denyut_floors_total"].inc(notice.floors)

    def _mention_counted(self, notice: said.MentionCounted) -> None:
        if notice.brand in self._brands:
            labels = notice.brand, _listed(notice.source, self._sources), _listed(notice.sentiment, LABELS)
            self._of["denyut_mentions_total"].labels(*labels).inc(notice.count)
        else:
            self._of["denyut_unlisted_mentions_total"].inc(notice.count)

    def _fresh(self, notice: said.Fresh) -> None:
        self._of["denyut_freshness_seconds"].observe(np.full(notice.count, notice.seconds))

    def _rebalanced(self, notice: said.Rebalanced) -> None:
        self._of["denyut_rebalances_total"].labels(_listed(notice.worker, WORDS["worker"])).inc()

    def _recovered(self, notice: said.Recovered) -> None:
        self._of["denyut_recovery_seconds"].observe(notice.seconds)
        self._of["denyut_recovered_frames_total"].inc(notice.frames)

    def _post_sent(self, notice: said.PostSent) -> None:
        self._of["denyut_feed_sent_total"].labels(_listed(notice.kind, WORDS["kind"])).inc()

    def _post_not_sent(self, notice: said.PostNotSent) -> None:
        self._of["denyut_feed_refused_total"].labels(_listed(notice.reason, WORDS["reason"])).inc()

    # Live sources.

    def _source(self, name: str) -> str:
        return _listed(name, self._sources)

    def _source_heard(self, notice: said.SourceHeard) -> None:
        outcome = _listed(notice.outcome, TOOK)
        self._of["denyut_source_happenings_total"].labels(self._source(notice.source), outcome).inc(notice.count)

    def _source_refused(self, notice: said.SourceRefused) -> None:
        reason = _listed(notice.reason, WORDS["reason"])
        self._of["denyut_source_refused_total"].labels(self._source(notice.source), reason).inc()

    def _source_stands(self, notice: said.SourceStands) -> None:
        source = self._source(notice.source)
        self._of["denyut_source_up"].labels(source).set(float(notice.is_up))
        self._of["denyut_source_behind_seconds"].labels(source).set(notice.behind_s)

    def _source_gap(self, notice: said.SourceGap) -> None:
        self._of["denyut_source_gap_seconds_total"].labels(self._source(notice.source)).inc(notice.seconds)

    def _source_reconnects(self, notice: said.SourceReconnects) -> None:
        self._of["denyut_source_reconnects_total"].labels(self._source(notice.source)).inc()


# The series that are there at 0 before anything happens: a rate needs a beginning.
_FIRST: dict[str, tuple[str, ...]] = {
    "posts": ("matched", "unmatched", "rejected", "late", "early", "removal", "tick", "handed_back"),
    "mention_rows": ("new", "duplicate", "superseded", "removed", "sealed"),
    "texts": ("scored", "remembered"),
    "rejects": tuple(reason.value for reason in Reason),
    "swing_steps": WORDS["state"],
    "explanations": ("explained", "empty", "failed", "dropped", "revised"),
    "tellings": ("told", "failed"),
    "blocks": ("written", "failed", "taken", *PASSED_OVER),
}


def release() -> str:
    """The release that runs here; "unknown" where it was not installed."""
    try:
        return version("denyut")
    except PackageNotFoundError:
        return "unknown"


def _listed(word: str, words: Iterable[str]) -> str:
    return word if word in words else OTHER
