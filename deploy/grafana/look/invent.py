"""Invents hours of every series that Denyut, Prometheus and Alertmanager expose: something to look at boards with.

Nothing here was measured. The five brands are those of the demo; Kopi Lumora has a crisis whose swing is open at the
end, Lajuro had coordinated talk, Mi Kriwila a good hour. Writes OpenMetrics for `promtool tsdb create-blocks-from`.

    python deploy/grafana/look/invent.py [--end 2026-06-18T13:53:00Z] [--hours 8] > invented.om
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import erf, log, sqrt
from typing import TextIO

import numpy as np
import numpy.typing as npt

from streams.metrics import TABLE, TOOK, WORDS, Row

Line = npt.NDArray[np.float64]
Labels = Mapping[str, str]

STEP_S = 15
SOURCES = ("bluesky", "mastodon", "reviews")
SHARES = (0.62, 0.25, 0.13)
MODEL = "nusa-sentiment-6x768"
ROWS = {row.name: row for row in TABLE}
WINDOW_S = {"1m": 60, "5m": 300, "1h": 3600, "24h": 86400}


@dataclass(frozen=True, slots=True)
class Brand:
    """How a brand is talked of on a usual day. `pulse` counts it; `prompted` is the share of its own hand."""

    name: str
    usual: float
    per_minute: float
    pulse: str
    group: str = "daily"
    prompted: float = 0.04


BRANDS = (
    Brand("kopi-lumora", 0.18, 26.0, "pulse-0", "food", 0.22),
    Brand("quovira", 0.05, 41.0, "pulse-1"),
    Brand("lajuro", 0.24, 12.0, "pulse-0"),
    Brand("bank-sagarma", -0.12, 7.0, "pulse-1"),
    Brand("mi-kriwila", 0.31, 15.0, "pulse-0", "food", 0.08),
)


@dataclass(slots=True)
class Sheet:
    """All series, by family. NaN means that the series is absent at that time."""

    at: Line  # seconds since the epoch
    dice: np.random.Generator
    families: dict[str, tuple[str, list[tuple[str, Labels, Line]]]] = field(default_factory=dict)

    def put(self, name: str, labels: Labels, values: Line | float, kind: str = "gauge", suffix: str = "") -> None:
        """One series; a counter is given its increments' running sum."""
        line = np.broadcast_to(np.asarray(values, np.float64), self.at.shape)
        self.families.setdefault(name, (kind, []))[1].append((name + suffix, labels, line))

    def count(self, name: str, labels: Labels, per_second: Line | float) -> None:
        """A counter that rises by about so much a second."""
        rates = np.broadcast_to(np.asarray(per_second, np.float64), self.at.shape)
        self.put(name, labels, np.cumsum(self.dice.poisson(rates * STEP_S)).astype(float), "counter")

    def spread(self, name: str, labels: Labels, per_second: Line | float, middle: Line | float, width: float) -> None:
        """A histogram of log-normal values around `middle`, in the buckets of the metric of this name."""
        rates = np.broadcast_to(np.asarray(per_second, np.float64), self.at.shape)
        middles = np.broadcast_to(np.asarray(middle, np.float64), self.at.shape)
        new = self.dice.poisson(rates * STEP_S).astype(float)
        for bound in ROWS[name].buckets:
            share = np.array([0.5 + 0.5 * erf(log(bound / m) / (width * sqrt(2))) for m in middles])
            self.put(name, {**labels, "le": str(bound)}, np.floor(np.cumsum(new * share)), "histogram", "_bucket")
        self.put(name, {**labels, "le": "+Inf"}, np.cumsum(new), "histogram", "_bucket")
        self.put(name, labels, np.cumsum(new), "histogram", "_count")
        self.put(name, labels, np.cumsum(new * middles * np.exp(width**2 / 2)), "histogram", "_sum")

    def write(self, out: TextIO) -> None:
        """OpenMetrics, family by family."""
        for name, (kind, series) in self.families.items():
            out.write(f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}\n")
            for full, labels, line in series:
                head = full + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
                there = ~np.isnan(line)
                for second, value in zip(self.at[there].tolist(), line[there].tolist(), strict=True):
                    out.write(f"{head} {value:.10g} {second:.0f}\n")
        out.write("# EOF\n")

    def ago(self, minutes: float) -> Line:
        """Minutes since a moment so long before the end; negative before it."""
        since: Line = (self.at - (self.at[-1] - minutes * 60)) / 60
        return since

    def between(self, from_minutes: float, to_minutes: float) -> Line:
        """1 where time is between these many minutes before the end, else 0."""
        return ((self.ago(from_minutes) >= 0) & (self.ago(to_minutes) < 0)).astype(np.float64)

    def wander(self, size: float, memory: float = 0.98) -> Line:
        """Noise that remembers."""
        line = np.empty(self.at.shape)
        here = 0.0
        for index, push in enumerate(self.dice.normal(0, size * sqrt(1 - memory**2), self.at.size)):
            here = memory * here + push
            line[index] = here
        return line


def trail(line: Line, seconds: int) -> Line:
    """The mean of the last so many seconds."""
    length = max(1, seconds // STEP_S)
    sums = np.cumsum(np.concatenate([np.full(length, line[0]), line]))
    mean: Line = (sums[length:] - sums[:-length]) / length
    return mean


def talk(sheet: Sheet, brand: Brand) -> tuple[Line, Line, Line]:
    """A brand's mentions a minute, true mood and organic share."""
    day = 1 + 0.35 * np.sin((sheet.at % 86400) / 86400 * 2 * np.pi - 1.9)
    rate = brand.per_minute * day * np.exp(sheet.wander(0.12))
    mood = brand.usual + sheet.wander(0.03, 0.995)
    organic = np.clip(0.93 + sheet.wander(0.02), 0, 1)
    if brand.name == "kopi-lumora":
        grows = np.clip(sheet.ago(58) / 14, 0, 1)
        rate, mood = rate * (1 + 2.4 * grows), mood - 0.74 * grows
    if brand.name == "lajuro":
        burst = sheet.between(210, 165)
        rate, mood, organic = rate * (1 + 1.6 * burst), mood - 0.25 * burst, organic - 0.55 * burst
    if brand.name == "mi-kriwila":
        good = np.clip(sheet.ago(330) / 10, 0, 1) * (sheet.ago(270) < 0)
        rate, mood = rate * (1 + 0.8 * good), mood + 0.36 * good
    return rate, mood, organic


def figures(sheet: Sheet, brand: Brand) -> Line:
    """What the windows of a brand say, and what its counters count. Its mentions a minute."""
    rate, mood, organic = talk(sheet, brand)
    at = {"job": "denyut-pulse", "instance": f"{brand.pulse}:9100", "brand": brand.name}
    for window, seconds in WINDOW_S.items():
        here = {**at, "window": window}
        mentions = trail(rate, seconds) * seconds / 60
        votes: Line = np.maximum(mentions * 0.7, 1)
        error = 0.62 / np.sqrt(votes)
        shown = np.clip(trail(mood, seconds) + sheet.wander(0.5) * error, -1, 1)
        negative = np.clip(0.34 - 0.5 * shown, 0.02, 0.95)
        scored: Line = np.round(mentions * 0.92)
        values_of: dict[str, Line] = {
            "denyut_window_mentions": np.round(mentions),
            "denyut_window_scored": scored,
            "denyut_window_votes": np.round(votes),
            "denyut_window_negative": np.round(scored * negative),
            "denyut_window_positive": np.round(scored * np.clip(negative + shown, 0.02, 0.95)),
            "denyut_window_score_sum": scored * np.clip(0.85 * shown + 0.02, -1, 1),
            "denyut_mood": shown,
            "denyut_mood_lower": np.clip(shown - 1.96 * error, -1, 1),
            "denyut_mood_upper": np.clip(shown + 1.96 * error, -1, 1),
            "denyut_organic_ratio": trail(organic, seconds),
            **unprompted(brand, mentions, votes, shown),
        }
        for name, values in values_of.items():
            sheet.put(name, here, values)
        if window != "24h":
            sheet.put("denyut_window_authors", here, np.round(votes * 0.9))
    counters(sheet, brand, rate, mood)
    return rate


def unprompted(brand: Brand, mentions: Line, votes: Line, shown: Line) -> dict[str, Line]:
    """What is left without the talk that the brand prompted, which is kinder to it."""
    left: Line = np.maximum(votes * (1 - brand.prompted), 1)
    mood = np.clip(shown - 0.6 * brand.prompted, -1, 1)
    error = 0.62 / np.sqrt(left)
    return {
        "denyut_window_prompted": np.round(mentions * brand.prompted),
        "denyut_unprompted_votes": np.round(left),
        "denyut_unprompted_mood": mood,
        "denyut_unprompted_mood_lower": np.clip(mood - 1.96 * error, -1, 1),
        "denyut_unprompted_mood_upper": np.clip(mood + 1.96 * error, -1, 1),
    }


def counters(sheet: Sheet, brand: Brand, rate: Line, mood: Line) -> None:
    """Mentions and votes of a brand, one by one."""
    at = {"job": "denyut-pulse", "instance": f"{brand.pulse}:9100", "brand": brand.name}
    negative = np.clip(0.34 - 0.5 * mood, 0.02, 0.9)
    positive = np.clip(negative + mood, 0.02, 0.9)
    shares = {"negative": negative, "neutral": 1 - negative - positive, "positive": positive}
    for sentiment, share in shares.items():
        sheet.count("denyut_votes_total", {**at, "sentiment": sentiment}, np.maximum(rate * 0.7 * share / 60, 0))
        for source, part in zip(SOURCES, SHARES, strict=True):
            here = {**at, "source": source, "sentiment": sentiment}
            sheet.count("denyut_mentions_total", here, np.maximum(rate * 0.92 * part * share / 60, 0))
    for source, part in zip(SOURCES, SHARES, strict=True):
        here = {**at, "source": source, "sentiment": "abstained"}
        sheet.count("denyut_mentions_total", here, rate * 0.08 * part / 60)


def stands(sheet: Sheet, brand: Brand) -> None:
    """Whether a swing of a brand is open, and how sure its detector could be."""
    at = {"job": "denyut-pulse", "instance": f"{brand.pulse}:9100", "brand": brand.name}
    down = np.zeros(sheet.at.shape)
    up, coordinated, volume = down.copy(), down.copy(), down.copy()
    if brand.name == "kopi-lumora":
        down = np.where(sheet.ago(48) >= 0, np.where(sheet.ago(41) >= 0, 3.0, 2.0), 0.0)
        volume = np.where(sheet.ago(44) >= 0, 2.0, 0.0)
        swing(sheet, {**at, "direction": "down"}, sheet.ago(48) >= 0)
    if brand.name == "lajuro":
        coordinated = 2 * sheet.between(200, 140)
    if brand.name == "mi-kriwila":
        up = sheet.between(318, 248)
    for direction, severity in (("down", down), ("up", up)):
        sheet.put("denyut_swing_severity", {**at, "direction": direction}, severity)
        opened = np.cumsum(np.diff((severity > 0).astype(float), prepend=0.0) > 0)
        sheet.put("denyut_swings_total", {**at, "direction": direction}, opened.astype(float), "counter")
    sheet.put("denyut_coordinated_severity", at, coordinated)
    sheet.put("denyut_volume_severity", at, volume)
    sheet.put("denyut_swing_ready", at, 1.0)
    sheet.put("denyut_smallest_visible_swing", at, 0.75 / sqrt(brand.per_minute / 5) + sheet.wander(0.02))
    sheet.put("denyut_replaying", at, 0.0)
    sheet.put("denyut_completeness_ratio", at, 1 - 0.13 * sheet.between(125, 119))
    sheet.put("denyut_brand_info", {**at, "title": brand.name.replace("-", " ").title(), "group": brand.group}, 1.0)
    sheet.put("denyut_watermark_timestamp_seconds", at, sheet.at - 12 - np.abs(sheet.wander(2)))


def swing(sheet: Sheet, at: Labels, is_open: npt.NDArray[np.bool_]) -> None:
    """What was told last of the swing that is open: it grows in three steps."""
    far = np.where(sheet.ago(41) >= 0, np.where(sheet.ago(30) >= 0, 0.73, 0.66), 0.47)
    sure = np.where(sheet.ago(41) >= 0, 57.6, 5.9)
    for name, values in {
        "usual": np.full(sheet.at.shape, 0.18),
        "now": 0.18 - far,
        "effect": -far,
        "effect_lower": -far - 0.15,
        "effect_upper": -far + 0.15,
        "onset_timestamp_seconds": np.full(sheet.at.shape, sheet.at[-1] - 58 * 60),
        "votes": np.round(far / 0.73 * 412),
        "chance_weeks": sure,
        "authentic_ratio": np.full(sheet.at.shape, 0.97),
    }.items():
        sheet.put(f"denyut_swing_{name}", at, np.where(is_open, values, np.nan))
    for kind, part in (("mood", 0.9), ("mix", 0.08), ("baseline", 0.02)):
        sheet.put("denyut_swing_part", {**at, "kind": kind}, np.where(is_open, -far * part, np.nan))


def score(sheet: Sheet, total: Line) -> None:
    """Two score workers that share all posts."""
    for name in ("score-0", "score-1"):
        at = {"job": "denyut-score", "instance": f"{name}:9100"}
        rate = total / 60 / 2
        for outcome, share in {"matched": 1.0, "unmatched": 0.31, "rejected": 0.002, "late": 0.004, "early": 0.0,
                               "removal": 0.006, "handed_back": 0.0}.items():  # fmt: skip
            sheet.count("denyut_posts_total", {**at, "outcome": outcome}, rate * share)
        sheet.count("denyut_posts_total", {**at, "outcome": "tick"}, 3.0)
        for reason in dict.fromkeys(WORDS["reason"]):
            wrong = {"missing_field": 0.0012, "bad_text": 0.0008}.get(reason, 0.0)
            sheet.count("denyut_rejects_total", {**at, "reason": reason}, rate * wrong)
        sheet.count("denyut_texts_total", {**at, "outcome": "scored"}, rate * 0.8)
        sheet.count("denyut_texts_total", {**at, "outcome": "remembered"}, rate * 0.2)
        sheet.count("denyut_tokens_total", at, rate * 0.8 * 24)
        batches = np.minimum(rate / 2, 4.0)
        sheet.spread("denyut_batch_texts", at, batches, 3.0 * rate / rate.mean(), 0.6)
        sheet.spread("denyut_inference_seconds", at, batches, 0.021 * rate / rate.mean(), 0.5)
        common(sheet, at, "score", 6)


def pulse(sheet: Sheet, total: Line) -> None:
    """Two pulse workers; one was started anew two hours before the end."""
    slow = 1 + 3.5 * sheet.between(125, 119)
    for name in ("pulse-0", "pulse-1"):
        at = {"job": "denyut-pulse", "instance": f"{name}:9100"}
        rate = total / 60 / 2
        for outcome, share in {"new": 1.0, "duplicate": 0.02, "superseded": 0.004, "removed": 0.003,
                               "sealed": 0.001}.items():  # fmt: skip
            sheet.count("denyut_mention_rows_total", {**at, "outcome": outcome}, rate * share)
        sheet.count("denyut_floors_total", at, rate * 0.007)
        sheet.count("denyut_unlisted_mentions_total", at, 0.0)
        sheet.spread("denyut_freshness_seconds", at, rate, 9.5 * slow, 0.35)
        sheet.spread("denyut_post_to_metric_seconds", at, rate, 1.3 * slow, 0.4)
        sheet.spread("denyut_reading_seconds", at, 1.0, 0.006, 0.4)
        sheet.spread("denyut_recovery_seconds", at, 0.0002, 3.1, 0.4)
        sheet.count("denyut_recovered_frames_total", at, 0.2 * sheet.between(121, 119))
        for state, steps in {"opened": 1, "explained": 1, "risen": 2}.items():
            told = np.where(sheet.ago(47) >= 0, steps, 0) if name == "pulse-0" else 0.0
            sheet.put("denyut_swing_steps_total", {**at, "state": state}, told, "counter")
        for state in ("closed", "withdrawn"):
            sheet.put("denyut_swing_steps_total", {**at, "state": state}, 0.0, "counter")
        sheet.put("denyut_swing_steps_waiting", at, 0.0)
        for outcome in ("explained", "empty", "failed", "dropped", "revised"):
            asked = np.where(sheet.ago(46) >= 0, 1.0, 0.0) if outcome == "explained" else 0.0
            sheet.put("denyut_explanations_total", {**at, "outcome": outcome}, asked, "counter")
        for partition in range(0 if name == "pulse-0" else 1, 12, 2):
            behind = 4 * slow + np.abs(sheet.wander(1.5))
            here = {**at, "partition": str(partition)}
            sheet.put("denyut_watermark_delay_seconds", here, behind)
            sheet.put("denyut_partition_watermark_timestamp_seconds", here, sheet.at - behind)
            # One of the ten minutes that are over; partition 8 misses four of them after the restart.
            missed = 2400 * sheet.between(115, 80) * (partition == 8)
            sheet.put("denyut_block_timestamp_seconds", here, (sheet.at - behind) // 600 * 600 - missed)
        blocks(sheet, at)
        common(sheet, at, "pulse", 6)


def blocks(sheet: Sheet, at: Labels) -> None:
    """Six partitions' blocks: one each in ten minutes; taken after the restart, one of them in place of a torn one."""
    written = np.floor((sheet.at - sheet.at[0]) / 600) * 6
    restarted = np.where(sheet.ago(119) >= 0, 1.0, 0.0) * (at["instance"] == "pulse-1:9100")
    for outcome, many in {"written": written, "taken": 6 * restarted, "torn": restarted, "failed": 0 * written,
                          "newer": 0 * written, "foreign": 0 * written}.items():  # fmt: skip
        sheet.put("denyut_blocks_total", {**at, "outcome": outcome}, many, "counter")
    sheet.spread("denyut_block_seconds", at, 0.01, 0.12, 0.5)


def common(sheet: Sheet, at: Labels, worker: str, partitions: int) -> None:
    """What score and pulse workers alike tell of themselves."""
    opened = np.where(sheet.ago(120) >= 0, 2.0, 1.0)
    sheet.put("denyut_rebalances_total", {**at, "worker": worker}, opened, "counter")
    sheet.put("denyut_partitions", at, float(partitions))
    sheet.put("denyut_oldest_unacked_seconds", at, 0.4 + np.abs(sheet.wander(0.3)) + 11 * sheet.between(121, 119))
    sheet.spread("denyut_loop_lag_seconds", at, 4.0, 0.002, 0.9)
    sheet.put("denyut_build_info", {**at, "version": "0.7.0", "model": MODEL, "worker": at["instance"]}, 1.0)


def edges(sheet: Sheet, total: Line) -> None:
    """The feed, and the process that tells Alertmanager the reasons."""
    at = {"job": "denyut-feed", "instance": "feed-0:9100"}
    for kind, rate in (("post", total / 60 * 1.33), ("removal", total / 60 * 0.006), ("tick", 12.0)):
        sheet.count("denyut_feed_sent_total", {**at, "kind": kind}, rate)
    for reason in ("refused", "timeout", "too_large"):
        sheet.count("denyut_feed_refused_total", {**at, "reason": reason}, 0.0)
    for number, (source, share) in enumerate(zip(SOURCES, SHARES, strict=True)):
        at = {"job": "denyut-feed", "instance": f"feed-{number}:9100", "source": source}
        listening(sheet, at, total / 60 * share)
    at = {"job": "denyut-tell", "instance": "tell-0:9100"}
    sheet.count("denyut_tellings_total", {**at, "outcome": "told"}, np.where(sheet.ago(47) >= 0, 0.016, 0.0))
    sheet.count("denyut_tellings_total", {**at, "outcome": "failed"}, 0.0)


def listening(sheet: Sheet, at: Labels, rate: Line) -> None:
    """How a feed hears its source: mastodon was away for six minutes two hours before the end, and has a gap of two."""
    away = sheet.between(125, 119) * (at["source"] == "mastodon")
    sheet.put("denyut_source_up", at, 1 - away)
    behind = np.cumsum(away) * STEP_S * (sheet.ago(117) < 0)
    sheet.put("denyut_source_behind_seconds", at, 1.5 + np.abs(sheet.wander(0.5)) + behind)
    gap = 120.0 if away.any() else 0.0
    sheet.put("denyut_source_gap_seconds_total", at, np.where(sheet.ago(119) >= 0, gap, 0.0), "counter")
    sheet.count("denyut_source_reconnects_total", at, 0.0003 + away / 60)
    many = {"post": 1.0, "edit": 0.01, "removal": 0.004, "author": 0.0002, "unmatched": 8.0, "unknown": 0.6,
            "repeated": 0.02, "gone": 0.0005, "refused": 0.004, "misdated": 0.03}  # fmt: skip
    for outcome in TOOK:
        sheet.count("denyut_source_happenings_total", {**at, "outcome": outcome}, rate * many[outcome] * (1 - away))
    for reason, share in (("missing_field", 0.003), ("bad_text", 0.001)):
        sheet.count("denyut_source_refused_total", {**at, "reason": reason}, rate * share * (1 - away))


def processes(sheet: Sheet) -> None:
    """What every scraped process has: whether it answers, its memory and its work."""
    memory = {"denyut-score": 410e6, "denyut-pulse": 240e6, "prometheus": 180e6}
    for job in ("denyut-score", "denyut-pulse", "denyut-feed", "denyut-tell", "prometheus", "alertmanager"):
        for number in range(2 if job in memory and job != "prometheus" else 1):
            name = f"{job.removeprefix('denyut-')}-{number}"
            at = {"job": job, "instance": f"{name}:9100"}
            is_up = 1 - sheet.between(121, 119.5) * (name == "pulse-1")
            sheet.put("up", at, is_up)
            sheet.put("process_resident_memory_bytes", at, memory.get(job, 70e6) * (1 + sheet.wander(0.01)))
            sheet.put("process_start_time_seconds", at, sheet.at[0] - 3600)
            sheet.put("process_open_fds", at, 40.0)
            sheet.put("process_max_fds", at, 1048576.0)
            busy = 0.3 if job == "denyut-score" else 0.08
            sheet.put("process_cpu_seconds_total", at, np.cumsum(busy * STEP_S * np.exp(sheet.wander(0.2))), "counter")
    watch(sheet)


def watch(sheet: Sheet) -> None:
    """What Prometheus and Alertmanager tell of themselves and of the alerts that fire."""
    at = {"job": "prometheus", "instance": "prometheus-0:9100"}
    sheet.put("prometheus_config_last_reload_successful", at, 1.0)
    sheet.put("prometheus_rule_evaluation_failures_total", at, 0.0, "counter")
    sheet.put("prometheus_notifications_dropped_total", at, 0.0, "counter")
    at = {"job": "alertmanager", "instance": "alertmanager-0:9100"}
    sheet.put("alertmanager_config_last_reload_successful", at, 1.0)
    for integration in ("slack", "email", "webhook"):
        sheet.put("alertmanager_notifications_total", {**at, "integration": integration},
                  np.where(sheet.ago(47) >= 0, 2.0, 1.0), "counter")  # fmt: skip
        sheet.put("alertmanager_notifications_failed_total", {**at, "integration": integration}, 0.0, "counter")
    for labels, fires in (
        ({"alertname": "DenyutMoodDown", "brand": "kopi-lumora", "team": "marketing", "severity": "critical"},
         sheet.ago(47.5) >= 0),
        ({"alertname": "DenyutCoordinatedTalk", "brand": "lajuro", "team": "marketing", "severity": "warning"},
         sheet.between(199.5, 135) > 0),
        ({"alertname": "DenyutTargetDown", "job": "denyut-pulse", "instance": "pulse-1:9100", "team": "engineers",
          "severity": "warning"}, sheet.between(120.5, 119) > 0),
        ({"alertname": "DenyutWatchdog", "team": "engineers", "severity": "none"}, sheet.at > 0),
    ):  # fmt: skip
        sheet.put("ALERTS", {**labels, "alertstate": "firing"}, np.where(fires, 1.0, np.nan))


def invent(end_s: float, hours: float, seed: int) -> Sheet:
    """All series up to a moment."""
    end_s -= end_s % STEP_S
    sheet = Sheet(np.arange(end_s - hours * 3600, end_s + 1, STEP_S), np.random.default_rng(seed))
    total = np.zeros(sheet.at.shape)
    for brand in BRANDS:
        total = total + figures(sheet, brand)
        stands(sheet, brand)
    parts: tuple[Callable[[Sheet, Line], None], ...] = (score, pulse, edges)
    for part in parts:
        part(sheet, total)
    processes(sheet)
    return sheet


def missing(sheet: Sheet) -> Iterator[Row]:
    """The rows of the program's own table that nobody invented."""
    return (row for row in TABLE if row.name not in sheet.families)


def main() -> int:
    """Writes OpenMetrics to standard output; a metric of the table that is not invented is an error."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--end", default="2026-06-18T13:53:00Z", help="the last moment, RFC 3339")
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    sheet = invent(datetime.fromisoformat(given.end).timestamp(), given.hours, given.seed)
    forgotten = [row.name for row in missing(sheet)]
    if forgotten:
        sys.stderr.write(f"not invented yet: {', '.join(forgotten)}\n")
        return 1
    sheet.write(sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
