"""A page read back says what was written on it."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streams.clock import Clock
from streams.heart.incident import Standing
from streams.heart.window import WINDOWS, Reading
from streams.metrics import Figures, Metrics, PulseCollector, Shown
from streams.scrape import Page


def reading(window: str, mood: float | None) -> Reading:
    return Reading("kopi", window, mentions=7, abstained=2, negative=1, neutral=1, positive=3, score_sum=1.25,
                   votes=4 if mood is not None else 0, mood=mood, lower=None if mood is None else mood - 0.1,
                   upper=None if mood is None else mood + 0.1, organic=0.8,
                   authors=None if window == "24h" else 5, completeness=1.0, prompted=2,
                   unprompted_votes=3 if mood is not None else 0, unprompted=mood,
                   unprompted_lower=None if mood is None else mood - 0.2,
                   unprompted_upper=None if mood is None else mood + 0.2)


@pytest.mark.parametrize("mood", [0.25, None])
def test_readings_come_back_from_the_page(mood: float | None) -> None:
    """What the pulse worker shows and what the board reads are the same readings, absent moods too."""
    figures = Figures(session_s=10.0, now=lambda: 0.0)
    figures.heard()
    shown = tuple(reading(window, mood) for window in WINDOWS)
    figures.show({0: Shown(readings={"kopi": shown}, watermark_ms=1_000)})
    registry = CollectorRegistry()
    registry.register(PulseCollector(figures, lambda: frozenset({"kopi"}), Clock(wall=lambda: 1.0)))
    page = Page(generate_latest(registry).decode())
    assert {"kopi": {one.window: one for one in shown}} == page.readings(["kopi", "teh"])


def test_a_quantile_is_read_off_the_buckets() -> None:
    """Of waits of 0.1 to 1.0 s, half are under about 0.5 s."""
    metrics = Metrics((), ("demo",), Clock())
    waits = np.arange(100, 1001, 10, dtype=np.int64)
    now = Clock().now_ms()
    metrics.became_visible(now - waits, now - waits)
    page = Page(generate_latest(metrics.registry).decode())
    p50 = page.quantile("denyut_post_to_metric_seconds", 0.5)
    assert p50 is not None
    assert 0.45 < p50 < 0.75
    assert page.quantile("denyut_inference_seconds", 0.5) is None


def test_standings_come_back_from_the_page() -> None:
    """What the pulse worker shows of a brand's swings is what the board reads; a brand without a gauge has none."""
    now_ms = 1_000
    figures = Figures(session_s=10.0, now=lambda: 0.0)
    figures.heard()
    standing = Standing(down=3, up=0, volume=1, coordinated=2, is_ready=True, smallest=0.23)
    shown = tuple(reading(window, 0.0) for window in WINDOWS)
    figures.show({0: Shown({"kopi": shown}, now_ms, now_ms, {"kopi": standing})})
    registry = CollectorRegistry()
    registry.register(PulseCollector(figures, lambda: frozenset({"kopi"}), Clock(wall=lambda: now_ms / 1000)))
    page = Page(generate_latest(registry).decode())
    assert {"kopi": standing} == page.standings(["kopi", "teh"])


def test_no_visible_swing_is_none() -> None:
    """A brand of which no swing could be seen yet has no smallest one."""
    page = Page('denyut_swing_ready{brand="kopi"} 0.0\n')
    assert {"kopi": Standing()} == page.standings(["kopi"])
