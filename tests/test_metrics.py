"""What Prometheus reads is what the table promises, and no label comes from a post."""

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from streams.agents.pulse import called
from streams.clock import Clock
from streams.heart import notice
from streams.heart.brands import Brands
from streams.heart.errors import Reason
from streams.heart.incident import Copies, Part, Standing, Step
from streams.heart.window import WINDOWS, Reading
from streams.metrics import (
    FIGURES,
    OTHER,
    TABLE,
    WORDS,
    Called,
    Figures,
    Metrics,
    PulseCollector,
    Severities,
    Shown,
    is_replaying,
)
from tests.test_swings_edge import swing

NOW_MS = 1_795_586_400_000
BRANDS = ("kopi-lumora", "quovira")
SOURCES = ("demo", "file")


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.at = 50.0

    def __call__(self) -> float:
        return self.at


def reading(brand: str, window: str = "5m", scored: int = 4) -> Reading:
    """A reading with `scored` positive mentions and one abstention."""
    mood = (0.5, 0.25, 0.75) if scored else (None, None, None)
    return Reading(
        brand=brand, window=window, mentions=scored + 1, abstained=1, negative=0, neutral=0, positive=scored,
        score_sum=0.5 * scored, votes=scored, mood=mood[0], lower=mood[1], upper=mood[2],
        organic=1.0 if scored else None, authors=None if window == "24h" else scored + 1, completeness=0.75,
        prompted=2, unprompted_votes=max(scored - 2, 0), unprompted=0.25 if scored > 2 else None,
        unprompted_lower=0.0 if scored > 2 else None, unprompted_upper=0.5 if scored > 2 else None,
    )  # fmt: skip


def shown(*readings: Reading, watermark_ms: int | None = NOW_MS - 2_000, **standing: Standing) -> Shown:
    """A partition that shows these."""
    by_brand: dict[str, list[Reading]] = {}
    for one in readings:
        by_brand.setdefault(one.brand, []).append(one)
    return Shown(by_brand, watermark_ms, NOW_MS, standing)


class Page:
    """A pulse worker's page without the worker."""

    def __init__(self) -> None:
        self.time = Time()
        clock = Clock(wall=lambda: NOW_MS / 1000)
        self.metrics = Metrics(BRANDS, SOURCES, clock)
        self.figures = Figures(10.0, now=self.time)
        self.figures.heard()
        self.called = {"quovira": Called("Quovira", "food")}
        self.metrics.registry.register(PulseCollector(self.figures, self.metrics.listed, clock, lambda: self.called))

    def families(self) -> dict[str, Metric]:
        """What a scrape says, parsed as Prometheus would."""
        text = generate_latest(self.metrics.registry).decode()
        return {family.name: family for family in text_string_to_metric_families(text)}

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """Label values, in the order of the labels' names -> value of one metric."""
        found = [s for family in self.families().values() for s in family.samples if s.name == name]
        return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in found}


@pytest.fixture
def page() -> Page:
    return Page()


def everything(page: Page) -> None:
    """One of each notice, and figures for one partition."""
    page.metrics.build("0.1.0", "denyut-mini", "pulse")
    page.metrics.assigned(BRANDS)
    notices: Iterable[notice.Notice] = (
        notice.PostsRead(read=7, matched=1, unmatched=1, rejected=1, late=1, early=1, removals=1, ticks=1),
        notice.PostRejected("not_json"), notice.HandedBack(2), notice.BatchScored(3, 2, 40, 0.02),
        notice.MentionsRead(1, 2, 3, 4, 5, 6), notice.MentionCounted("quovira", "demo", "negative", 2),
        notice.Fresh(1.2), notice.Rebalanced("pulse"), notice.Recovered(2, 10, 0.4), notice.PostSent("tick"),
        notice.PostNotSent("refused"), notice.SourceHeard("demo", "post"), notice.SourceRefused("demo", "not_json"),
        notice.SourceStands("demo", True, 0.5), notice.SourceGap("demo", 2.0), notice.SourceReconnects("demo"),
        notice.Notice(),
    )  # fmt: skip
    for one in notices:
        page.metrics.observe(one)
    page.metrics.counted([("quovira", "file", "neutral", 1)], [("quovira", "positive", 3)])
    page.metrics.became_visible(np.array([NOW_MS - 3_000]), np.array([NOW_MS - 1_500]))
    page.metrics.reading_took(0.01)
    page.metrics.loop_lag(0.001)
    page.metrics.owns(3)
    page.metrics.oldest_unacked(lambda: 4.0)
    page.metrics.swung([swing()])
    page.metrics.step_told("opened", 2)
    page.metrics.explanation("explained")
    page.metrics.telling("told")
    page.metrics.block_written(0, NOW_MS, 0.2)
    page.metrics.feeds()
    told = swing(chance_weeks=57.6, copies=Copies(0.97, 0.9), parts=(Part("mix", "source", "file", -0.1),))
    standing = Standing(down=2, smallest=0.2, swing=told)
    page.figures.show({0: shown(*(reading("quovira", window) for window in WINDOWS), quovira=standing)})


def test_the_table_is_what_is_served(page: Page) -> None:
    """Every metric of the table is on the page with its kind, labels and meaning, and the page has no other of ours."""
    everything(page)
    families = page.families()
    assert {name for name in families if name.startswith("denyut_")} == {r.name.removesuffix("_total") for r in TABLE}
    for row in TABLE:
        family = families[row.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (row.kind, row.meaning)
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(row.labels)}, row.name


def test_an_open_swing_shows_what_was_told_of_it_last(page: Page) -> None:
    """How far, since when, how sure, and the parts by source that add up to the effect; nothing once it is over."""
    parts = (Part("mix", "source", "file", -0.1), Part("mood", "source", "file", -0.4),
             Part("mood", "source", "demo", -0.2), Part("baseline", "source", "", 0.05),
             Part("mood", "language", "id", -0.65))
    told = swing(now=-0.45, usual=0.2, effect=-0.65, lower=-0.8, upper=-0.5, votes=412, onset_ms=NOW_MS - 60_000,
                 chance_weeks=57.6, copies=Copies(0.97, 0.9), parts=parts)
    page.figures.show({0: shown(reading("quovira"), quovira=Standing(down=2, swing=told))})
    get, at = page.metrics.registry.get_sample_value, {"brand": "quovira", "direction": "down"}
    said = {name: get(f"denyut_swing_{name}", at) for name in (
        "now", "usual", "effect", "effect_lower", "effect_upper", "votes", "chance_weeks", "authentic_ratio",
        "onset_timestamp_seconds")}
    assert said == {"now": -0.45, "usual": 0.2, "effect": -0.65, "effect_lower": -0.8, "effect_upper": -0.5,
                    "votes": 412, "chance_weeks": 57.6, "authentic_ratio": 0.97,
                    "onset_timestamp_seconds": NOW_MS / 1000 - 60}
    shares = {kind: get("denyut_swing_part", {**at, "kind": kind}) for kind in ("mix", "mood", "baseline")}
    assert shares == {"mix": pytest.approx(-0.1), "mood": pytest.approx(-0.6), "baseline": pytest.approx(0.05)}
    page.figures.show({0: shown(reading("quovira"), quovira=Standing())})
    assert get("denyut_swing_effect", at) is None


def test_label_values_are_brands_or_words_of_fixed_lists(page: Page) -> None:
    """Whatever a frame or a notice says, a label is from the brand file, the sources, or a fixed list."""
    everything(page)
    evil = 'haha"}\nkopi'
    page.metrics.observe(notice.MentionCounted(evil, "demo", "negative"))
    page.metrics.observe(notice.MentionCounted("quovira", evil, evil))
    page.metrics.observe(notice.PostRejected(evil))
    page.metrics.observe(notice.PostSent(evil))
    page.metrics.observe(notice.PostNotSent(evil))
    page.metrics.observe(notice.Rebalanced(evil))
    page.metrics.counted([], [(evil, "negative", 1)])
    page.metrics.assigned([evil])
    page.metrics.swung([swing(evil), swing("quovira", direction=evil)])
    page.metrics.step_told(evil, 0)
    page.metrics.explanation(evil)
    page.metrics.block_passed_over(evil)
    page.figures.show({0: shown(reading("quovira"), reading(evil), **{evil: Standing(down=3)})})  # type: ignore[arg-type]
    allowed = {label: {*words, OTHER} for label, words in WORDS.items()}
    allowed |= {"brand": {*BRANDS}, "source": {*SOURCES, OTHER}, "partition": {"0"}}
    allowed |= {"version": {"0.1.0"}, "model": {"denyut-mini"}, "title": {"Quovira"}, "group": {"food"}}
    for name, family in page.families().items():
        for sample in family.samples if name.startswith("denyut_") else ():
            for label, value in sample.labels.items():
                assert label == "le" or value in allowed[label], (name, label)


def test_a_brand_without_a_scored_mention_has_no_mood(page: Page) -> None:
    """Mood and its interval are absent then, never NaN and never 0; its counts are there, at 0."""
    page.figures.show({0: shown(reading("quovira", scored=0), reading("kopi-lumora"))})
    for name in ("mood", "mood_lower", "mood_upper", "organic_ratio", "unprompted_mood", "unprompted_mood_lower",
                 "unprompted_mood_upper"):  # fmt: skip
        assert set(page.series(f"denyut_{name}")) == {("kopi-lumora", "5m")}
    assert page.series("denyut_window_scored")[("quovira", "5m")] == 0
    assert page.series("denyut_unprompted_votes")[("quovira", "5m")] == 0
    values = [sample.value for family in page.families().values() for sample in family.samples]
    assert not any(math.isnan(value) for value in values)


def test_figures_are_what_the_reading_says(page: Page) -> None:
    """Each gauge carries its own number of the reading; authors end at one hour."""
    page.figures.show({4: shown(*(reading("quovira", window) for window in WINDOWS))})
    for name, value in (("window_mentions", 5), ("window_scored", 4), ("window_votes", 4), ("window_negative", 0),
                        ("window_score_sum", 2.0), ("mood", 0.5), ("mood_lower", 0.25), ("mood_upper", 0.75),
                        ("organic_ratio", 1.0), ("window_prompted", 2), ("unprompted_votes", 2),
                        ("unprompted_mood", 0.25), ("unprompted_mood_lower", 0.0),
                        ("unprompted_mood_upper", 0.5)):  # fmt: skip
        assert page.series(f"denyut_{name}") == {("quovira", window): value for window in WINDOWS}
    assert page.series("denyut_window_authors") == {("quovira", window): 5 for window in ("1m", "5m", "1h")}
    assert page.series("denyut_completeness_ratio") == {("quovira",): 0.75}
    assert page.series("denyut_watermark_timestamp_seconds") == {("quovira",): NOW_MS / 1000 - 2}
    assert page.series("denyut_watermark_delay_seconds") == {("4",): 2.0}
    assert page.series("denyut_partition_watermark_timestamp_seconds") == {("4",): NOW_MS / 1000 - 2}


def test_a_brand_that_is_shown_says_how_the_file_calls_it(page: Page) -> None:
    """Title and group as they are now, the name and no group where the file has none; nobody who is not listed."""
    page.figures.show({0: shown(reading("quovira"), reading("stranger")), 1: shown(reading("kopi-lumora", scored=0))})
    named = {("quovira", "food", "Quovira"): 1, ("kopi-lumora", "", "kopi-lumora"): 1}
    assert page.series("denyut_brand_info") == named
    page.called = {"quovira": Called("Quovira Baru")}
    page.figures.show({0: shown(reading("quovira"))})
    assert page.series("denyut_brand_info") == {("quovira", "", "Quovira Baru"): 1}


def test_a_brand_is_called_and_grouped_by_the_last_of_its_rules() -> None:
    """An empty title is the one before, or the name."""
    brands = Brands.parse("""
        number = 1
        published = 2026-01-01T00:00:00Z
        [[brand]]
        name = "quovira"
        title = "Quovira"
        any = ["quovira"]
        group = "food"
        [[brand]]
        name = "kopi-lumora"
        any = ["lumora"]
        [[brand]]
        name = "quovira"
        any = ["quovira", "#quovira"]
        from = 2026-02-01T00:00:00Z
        group = "drinks"
        """)
    assert called(brands) == {"quovira": Called("Quovira", "drinks"), "kopi-lumora": Called("kopi-lumora", "")}


def test_how_a_brand_stands_is_always_there(page: Page) -> None:
    """Of every listed brand, whether anything was said of it or not; but the smallest swing only where one is."""
    stands = Standing(down=1, up=2, volume=3, coordinated=1, is_ready=True, smallest=0.15)
    page.figures.show({4: shown(reading("quovira"), reading("kopi-lumora", scored=0), quovira=stands)})
    assert page.series("denyut_swing_severity") == {
        ("quovira", "down"): 1, ("quovira", "up"): 2, ("kopi-lumora", "down"): 0, ("kopi-lumora", "up"): 0,
    }  # fmt: skip
    assert page.series("denyut_volume_severity") == {("quovira",): 3, ("kopi-lumora",): 0}
    assert page.series("denyut_coordinated_severity") == {("quovira",): 1, ("kopi-lumora",): 0}
    assert page.series("denyut_swing_ready") == {("quovira",): 1, ("kopi-lumora",): 0}
    assert page.series("denyut_smallest_visible_swing") == {("quovira",): 0.15}


def test_a_severity_is_held_while_the_figures_are_a_replay() -> None:
    """What was last live stays, whatever the replay says of severities; what could be seen is the replay's own."""
    held = Severities(Clock(wall=lambda: NOW_MS / 1000))
    live = Standing(down=2, volume=1, coordinated=3, is_ready=True, smallest=0.1)
    assert held.of(0, shown(quovira=live)).standing == {"quovira": live}
    past = shown(watermark_ms=NOW_MS - 600_000, quovira=Standing(up=3, smallest=0.4), other=Standing(down=1))
    assert held.of(0, past).standing == {"quovira": live._replace(is_ready=False, smallest=0.4), "other": Standing()}
    assert held.of(0, shown(watermark_ms=None)).standing == {"quovira": live._replace(is_ready=False, smallest=None)}
    assert held.of(0, shown()).standing == {}


def test_a_severity_is_none_after_an_assignment_until_time_is_the_present() -> None:
    """Nobody is alerted again of what a log says of yesterday."""
    held = Severities(Clock(wall=lambda: NOW_MS / 1000))
    past = shown(watermark_ms=NOW_MS - 600_000, quovira=Standing(down=3))
    assert held.of(1, past).standing["quovira"].down == 0
    held.of(1, shown(quovira=Standing(down=2)))
    held.keep({1, 2})
    assert held.of(1, past).standing["quovira"].down == 2
    held.keep({2})
    assert held.of(1, past).standing["quovira"].down == 0


def test_what_opens_is_counted(page: Page) -> None:
    """Openings of mood only: no later step, no burst of volume, no brand that is not listed. A campaign may turn out to
    be more than one, so it counts as well."""
    page.metrics.assigned(["quovira"])
    page.metrics.swung([
        swing(), swing(direction="up"), swing(direction="up"), swing(state=Step.RISEN), swing(state=Step.CLOSED),
        swing(series="volume", direction="up"), swing(authenticity="coordinated"), swing("stranger"),
    ])  # fmt: skip
    assert page.series("denyut_swings_total") == {("quovira", "down"): 2, ("quovira", "up"): 2}


def test_what_is_told_is_counted_from_nothing(page: Page) -> None:
    """Steps by state, and what became of each explanation, are there at 0."""
    page.metrics.step_told("opened", 4)
    page.metrics.explanation("failed")
    assert page.series("denyut_swing_steps_total") == {(step.value,): int(step is Step.OPENED) for step in Step}
    assert page.series("denyut_explanations_total") == {
        ("dropped",): 0, ("empty",): 0, ("explained",): 0, ("failed",): 1, ("revised",): 0}  # fmt: skip
    assert page.series("denyut_swing_steps_waiting") == {(): 4}
    page.metrics.steps_wait(0)
    assert page.series("denyut_swing_steps_waiting") == {(): 0}


def test_what_becomes_of_blocks_is_counted_from_nothing(page: Page) -> None:
    """Every outcome is there at 0; only a block that was written tells how long it took."""
    nothing = {(outcome,): 0 for outcome in ("written", "failed", "taken", "torn", "newer", "foreign")}
    assert page.series("denyut_blocks_total") == nothing
    page.metrics.block_written(3, NOW_MS, 0.04)
    page.metrics.block_written(4, NOW_MS, 12.0)
    page.metrics.block_taken(5, NOW_MS)
    page.metrics.block_failed()
    for reason in ("torn", "torn", "newer", "foreign"):
        page.metrics.block_passed_over(reason)
    counted = {("written",): 2, ("failed",): 1, ("taken",): 1, ("torn",): 2, ("newer",): 1, ("foreign",): 1}
    assert page.series("denyut_blocks_total") == counted
    assert page.series("denyut_block_seconds_sum") == {(): pytest.approx(12.04)}
    buckets = page.series("denyut_block_seconds_bucket")
    assert [buckets[(bound,)] for bound in ("0.025", "0.05", "10.0", "15.0", "+Inf")] == [0, 1, 1, 2, 2]


def test_the_newest_block_of_a_partition_is_the_last_one_told(page: Page) -> None:
    """Written or taken, event time in seconds, also where it is older: after a roll-back it is. None before the first,
    and a block that is given up or passed over is none."""
    page.metrics.block_failed()
    page.metrics.block_passed_over("torn")
    assert page.series("denyut_block_timestamp_seconds") == {}
    page.metrics.block_taken(3, NOW_MS - 600_500)
    page.metrics.block_written(11, NOW_MS, 0.1)
    assert page.series("denyut_block_timestamp_seconds") == {("3",): NOW_MS / 1000 - 600.5, ("11",): NOW_MS / 1000}
    page.metrics.block_written(3, NOW_MS, 0.1)
    page.metrics.block_taken(11, NOW_MS - 1_200_000)
    assert page.series("denyut_block_timestamp_seconds") == {("3",): NOW_MS / 1000, ("11",): NOW_MS / 1000 - 1_200}


def test_the_block_of_a_partition_that_moved_away_is_gone_and_comes_back_with_it(page: Page) -> None:
    """Another worker shows it now; what was counted stays. Who keeps what has no block yet shows none."""
    for partition in (3, 4):
        page.metrics.block_written(partition, NOW_MS, 0.1)
    page.metrics.blocks_keep({4, 5})
    assert page.series("denyut_block_timestamp_seconds") == {("4",): NOW_MS / 1000}
    page.metrics.blocks_keep([4])
    page.metrics.block_taken(3, NOW_MS)
    assert set(page.series("denyut_block_timestamp_seconds")) == {("3",), ("4",)}
    page.metrics.blocks_keep(())
    assert page.series("denyut_block_timestamp_seconds") == {}
    assert page.series("denyut_blocks_total")[("written",)] == 2


def test_a_brand_that_moved_away_is_gone_at_the_next_scrape(page: Page) -> None:
    """The page renders what is shown now; there is nothing to delete. Counters stay: they add 0 to a rate."""
    page.metrics.assigned(BRANDS)
    page.figures.show({0: shown(reading("quovira")), 1: shown(reading("kopi-lumora"))})
    assert set(page.series("denyut_window_mentions")) == {("quovira", "5m"), ("kopi-lumora", "5m")}
    page.figures.show({0: shown(reading("quovira"))})
    assert set(page.series("denyut_window_mentions")) == {("quovira", "5m")}
    assert ("kopi-lumora", "negative", "demo") in page.series("denyut_mentions_total")


def test_a_worker_that_the_group_no_longer_answers_shows_no_figure(page: Page) -> None:
    """Once the last heartbeat is older than the session time-out, somebody else may be counting."""
    page.figures.show({0: shown(reading("quovira"))})
    page.time.at += 10.0
    assert page.series("denyut_mood")
    page.time.at += 0.1
    assert not any(page.series(row.name) for row in FIGURES)
    page.figures.heard()
    assert page.series("denyut_mood")


def test_counters_are_there_before_the_first_mention(page: Page) -> None:
    """An assignment creates each brand's counters at 0; a second one changes none."""
    page.metrics.assigned(["quovira"])
    page.metrics.counted([("quovira", "demo", "negative", 2)], [("quovira", "negative", 1)])
    page.metrics.assigned(["quovira"])
    mentions, votes = page.series("denyut_mentions_total"), page.series("denyut_votes_total")
    sentiments = ("negative", "neutral", "positive", "abstained")
    nothing = {("quovira", sentiment, source): 0.0 for source in SOURCES for sentiment in sentiments}
    assert mentions == {**nothing, ("quovira", "negative", "demo"): 2.0}
    assert votes == {("quovira", "negative"): 1, ("quovira", "neutral"): 0, ("quovira", "positive"): 0}


def test_records_read_add_up(page: Page) -> None:
    """The outcomes of posts sum to the records read, and none is forgotten."""
    page.metrics.observe(notice.PostsRead(28, 1, 2, 3, 4, 5, 6, 7))
    assert sum(page.series("denyut_posts_total").values()) == 28
    assert len(page.series("denyut_posts_total")) == 8
    assert set(page.series("denyut_rejects_total")) == {(reason.value,) for reason in Reason}


def test_mentions_of_a_brand_that_is_not_in_the_file_are_counted_without_a_name(page: Page) -> None:
    """An older worker's file may lack a brand: the number shows it, no label does."""
    page.metrics.counted([("new-brand", "demo", "neutral", 3)], [("new-brand", "neutral", 3)])
    assert page.series("denyut_unlisted_mentions_total") == {(): 3}
    assert page.metrics.unlisted(["new-brand", "quovira"]) == {"new-brand"}


def test_a_new_brand_file_adds_labels(page: Page) -> None:
    """From then on the new brand is shown and counted by name, and so are the old ones."""
    page.metrics.renew(["new-brand"])
    page.metrics.assigned(["new-brand"])
    page.figures.show({0: shown(reading("quovira"), reading("new-brand"))})
    page.metrics.counted([("new-brand", "demo", "neutral", 3)], [])
    assert page.series("denyut_mentions_total")[("new-brand", "neutral", "demo")] == 3
    assert set(page.series("denyut_mood")) == {("quovira", "5m"), ("new-brand", "5m")}


@pytest.mark.parametrize(
    ("clock", "behind_ms", "replaying"),
    [
        ("", 300_000, 0), ("", 300_001, 1), ("", -5_000, 0),
        # 15 s of a watch are an hour of a public that runs 240 times as fast.
        ("0@0x240", 3_600_000, 0), ("0@0x240", 3_601_000, 1),
    ],
)  # fmt: skip
def test_figures_are_a_replay_when_their_time_is_long_past(clock: str, behind_ms: int, replaying: int) -> None:
    """More than five minutes behind the clock, and at least 15 s by a watch."""
    made = Clock(clock, wall=lambda: 1_000_000.0)
    assert is_replaying(made.now_ms() - behind_ms, made) == bool(replaying)


def test_figures_are_a_replay_until_time_is_known(page: Page) -> None:
    """Without a watermark there is no present: replaying, and no time stamp."""
    page.figures.show({0: shown(reading("quovira"), watermark_ms=None)})
    assert page.series("denyut_replaying") == {("quovira",): 1}
    assert not page.series("denyut_watermark_timestamp_seconds")
    assert not page.series("denyut_watermark_delay_seconds")
    assert not page.series("denyut_partition_watermark_timestamp_seconds")


def test_waits_can_be_read_off_to_a_quarter(page: Page) -> None:
    """Between 0.1 and 10 s neighbouring buckets differ by a half at most, and mostly by a fifth."""
    for name in ("denyut_freshness_seconds", "denyut_post_to_metric_seconds"):
        row = next(row for row in TABLE if row.name == name)
        inside = [bound for bound in row.buckets if 0.1 <= bound <= 10]
        assert inside[0] == 0.1
        assert inside[-1] == 10
        assert all(after / before <= 1.51 for before, after in pairwise(inside))
    del page


def test_a_histogram_takes_whole_arrays(page: Page) -> None:
    """Buckets are cumulative, a value on a bound is inside, the sum is the sum, and a negative wait is none."""
    waits_ms = np.array([-50, 100, 1_000, 1_001, 900_000])
    page.metrics.became_visible(NOW_MS - waits_ms * 2, NOW_MS - waits_ms)
    buckets = page.series("denyut_post_to_metric_seconds_bucket")
    assert [buckets[(bound,)] for bound in ("0.05", "0.1", "0.9", "1.0", "1.1", "300.0", "900.0", "+Inf")] == [
        1, 2, 2, 3, 4, 4, 5, 5]  # fmt: skip
    assert page.series("denyut_post_to_metric_seconds_sum")[()] == pytest.approx(902.101)
    assert page.series("denyut_freshness_seconds_count") == {(): 5}


def test_waits_are_told_by_a_watch() -> None:
    """On a public clock 240 times as fast, four minutes of the public are a second."""
    metrics = Metrics(BRANDS, SOURCES, Clock("0@0x240", wall=lambda: 1_000.0))
    now_ms = 240_000_000
    metrics.became_visible(np.array([now_ms - 480_000]), np.array([now_ms - 240_000]))
    text = generate_latest(metrics.registry).decode()
    assert "denyut_post_to_metric_seconds_sum 1.0\n" in text
    assert "denyut_freshness_seconds_sum 2.0\n" in text


def test_no_series_tells_when_it_was_created(page: Page) -> None:
    """The library's `_created` series would double the page."""
    everything(page)
    assert b"_created" not in generate_latest(page.metrics.registry)
