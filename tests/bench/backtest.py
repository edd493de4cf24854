"""A history through the heart: a million posts that bear scores, on one core.

    python -m tests.bench backtest
"""

import json
import time
from pathlib import Path

import numpy as np

from streams.backtest import Wish, run
from streams.settings import Settings
from tests.bench.stage import Bench
from tests.bench.table import Row

ROWS = 1_000_000
BRANDS = 20
DAYS = 3
T0_MS = 1_590_000_000_000  # long ago: rows dated after today are bad ones


def history(bench: Bench) -> Row:
    """Every swing in three days of 20 brands, from a file of JSON lines."""
    rows = bench.size(ROWS)
    posts, brands = bench.folder / "history.jsonl", bench.folder / "history.toml"
    brands.write_text("number = 1\npublished = 2019-12-31T00:00:00Z\n" + "".join(
        f'[[brand]]\nname = "brand-{number:02}"\nany = ["brand{number}"]\n' for number in range(BRANDS)))
    _write(posts, rows)
    began_s = time.process_time()
    run(Settings(brands=str(brands)), Wish(posts))
    took_s = time.process_time() - began_s
    return Row("a backtest of a million scored posts of 20 brands", "<= 60 s", f"{took_s * ROWS / rows:.0f} s",
               took_s * ROWS / rows <= 60, f"CPU; {rows:,} JSON lines with id, brand, score, author, text of "
               f"{DAYS} days: {1e6 * took_s / rows:.0f} us each; no picture")


def _write(path: Path, rows: int) -> None:
    """Posts in the order of their arrival; the span shrinks with their number, so that a minute holds as many."""
    random = np.random.default_rng(1)
    span_ms = DAYS * 86_400_000 * rows // ROWS
    when = np.sort(random.integers(T0_MS, T0_MS + span_ms, rows)).tolist()
    score = np.clip(random.choice([-0.72, 0.0, 0.72], rows, p=[0.25, 0.4, 0.35]) + random.normal(0, 0.15, rows), -1, 1)
    brand, author = random.integers(0, BRANDS, rows).tolist(), (random.zipf(1.3, rows) % 200_000).tolist()
    with path.open("w") as file:
        for number, (at, mood, of, by) in enumerate(zip(when, score.round(4).tolist(), brand, author, strict=True)):
            text = f"brand{of} opened a shop near the station and number {number % 9973} queued in the rain"
            row = {"id": number, "created_at": at, "brand": f"brand-{of:02}", "score": mood, "author": f"u{by}"}
            file.write(json.dumps({**row, "text": text}) + "\n")
