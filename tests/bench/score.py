"""The score worker, from Kafka to Kafka."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from streams.heart.brands import Brands
from streams.heart.intake import Intake, Judged, Record
from streams.heart.post import Post, encode
from streams.scrape import Page
from tests.bench.posts import SOURCES, strangers
from tests.bench.stage import Bench, fill, frames_in, written
from tests.bench.table import Row
from tests.faults.kafka import ROOT

POSTS = "denyut_posts_total"
ROUNDS, TURN = 3, 4000  # posts of a turn
BRANDS = 10_000
SLICE = 64


def throughput(bench: Bench) -> Row:
    """Kafka to Kafka with the embedded model, against the bare loop, turn about."""
    bare, ours = [_bare(bench)], []
    for _ in range(ROUNDS):
        ours.append(kafka_to_kafka(bench))
        bare.append(_bare(bench))
    bench.capacity = median(ours)
    ratio = median(ours) / median(bare)
    return Row("score worker, Kafka to Kafka, against the bare loop", ">= 0.90", f"{ratio:.2f}", ratio >= 0.90,
               f"{median(ours):.0f} posts/s against {median(bare):.0f} texts/s of tokenizer and onnxruntime alone; "
               f"{len(_turn(bench)):,} distinct texts, one thread, medians of {ROUNDS} and {ROUNDS + 1} turns")


def _turn(bench: Bench) -> list[Post]:
    return bench.posts[:bench.size(TURN)]


def _bare(bench: Bench) -> float:
    path = bench.folder / "texts.json"
    path.write_text(json.dumps([post.text for post in _turn(bench)]))
    done = subprocess.run([sys.executable, "-m", "tests.bench.bare", str(path), "1"], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE)
    return float(done.stdout)


def kafka_to_kafka(bench: Bench) -> float:
    """Posts/s of a worker that finds all posts in the topic, by the broker's own times of the frames it wrote."""
    settings, posts = bench.topics(), _turn(bench)
    fill(settings.brokers, settings.topic("posts"), written(posts))
    with bench.worker("score", settings) as worker:
        worker.wait(lambda page: _matched(page) >= len(posts), 1.0)
    return _rate([(at_ms, frame.rows["id"]) for at_ms, frame in frames_in(settings) if len(frame.rows)])


def _rate(frames: Sequence[tuple[int, np.ndarray]]) -> float:
    """Distinct posts a second, the first tenth apart."""
    seen: set[int] = set()
    curve = []
    for at_ms, ids in sorted(frames, key=lambda one: one[0]):
        seen.update(ids.tolist())
        curve.append((at_ms, len(seen)))
    began_ms, before = next(one for one in curve if one[1] >= len(seen) / 10)
    return 1000 * (len(seen) - before) / (curve[-1][0] - began_ms)


def _matched(page: Page) -> int:
    return page.count(POSTS, outcome="matched")


def overhead(bench: Bench) -> Row:
    """The same worker with a model that costs nothing."""
    settings, count = bench.topics(), len(bench.posts)
    fill(settings.brokers, settings.topic("posts"), written(bench.posts))
    with bench.worker("score", settings, instant=True) as worker:
        page = worker.wait(lambda page: _matched(page) >= count / 10, 0.1)
        before, began_s, cpu_s = _matched(page), time.monotonic(), worker.cpu_s
        worker.wait(lambda page: _matched(page) >= count, 0.25)
        used_s, took_s = worker.cpu_s - cpu_s, time.monotonic() - began_s
    each_us = 1e6 * used_s / (count - before)
    return Row("everything but the model, for each matched post", "<= 350 us", f"{each_us:.0f} us", each_us <= 350,
               f"CPU of all threads of the score worker, from Kafka to Kafka with a model that answers at once: "
               f"{(count - before) / took_s:,.0f} posts/s")


def unmatched_memory(bench: Bench) -> Row:
    """Decode and match alone."""
    brands, posts = Brands.parse(strangers(BRANDS)), bench.posts
    intake = Intake(SOURCES, brands, lambda *_: Judged("id", True))
    records = [Record(0, at, post.event_ms, post.key, encode(post)) for at, post in enumerate(posts)]
    best = 0.0
    for _ in range(5):
        began_s = time.process_time()
        for start in range(0, len(records), SLICE):
            batch = intake.read(records[start:start + SLICE])
            assert not batch.pending
        best = max(best, len(records) / (time.process_time() - began_s))
    return Row(f"posts that match none of {BRANDS:,} brands, in memory", ">= 50,000/s", f"{best:,.0f}/s",
               best >= 50_000, "decode and match on one core, best of 5; three phrases a brand")


def unmatched_kafka(bench: Bench) -> Row:
    """The worker at a firehose that names nobody."""
    path = bench.folder / "strangers.toml"
    path.write_text(strangers(BRANDS))
    settings, count = bench.topics(brands=str(path)), bench.size(120_000)
    posts = _many(bench.posts, count)
    fill(settings.brokers, settings.topic("posts"), written(posts))
    with bench.worker("score", settings, instant=True) as worker:
        page = worker.wait(lambda page: page.count(POSTS, outcome="unmatched") >= count / 10, 0.1)
        before, began_s, cpu_s = page.count(POSTS, outcome="unmatched"), time.monotonic(), worker.cpu_s
        worker.wait(lambda page: page.count(POSTS, outcome="unmatched") >= count, 0.1)
        took_s, used_s = time.monotonic() - began_s, worker.cpu_s - cpu_s
    rate = (count - before) / took_s
    return Row(f"posts that match none of {BRANDS:,} brands, from Kafka", ">= 8,000/s", f"{rate:,.0f}/s", rate >= 8000,
               f"{count:,} posts by one score worker; {1e6 * used_s / (count - before):.0f} us CPU each")


def _many(posts: Sequence[Post], count: int) -> list[Post]:
    return [posts[at % len(posts)] for at in range(count)]
