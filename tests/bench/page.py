"""The page of figures: what scraping it does to the event loop beside it."""

import asyncio
import subprocess
import sys
import time
from statistics import quantiles

from streams.agents.app import calm
from streams.clock import Clock
from streams.heart.window import WINDOWS, Reading
from streams.metrics import Figures, Metrics, PulseCollector, Shown
from streams.serve import Health, Pages
from tests.bench.mentions import brands
from tests.bench.stage import Bench
from tests.bench.table import Row

BRANDS = 139  # 72 series each
SCRAPES = 40
STEP_S = 0.002
SCRAPER = """
import sys, time, urllib.request
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    asked = urllib.request.Request(sys.argv[1], headers={"Accept-Encoding": "gzip"})
    urllib.request.urlopen(asked).read()
    print(time.monotonic() - began)
"""


def scrape(bench: Bench) -> Row:
    """Scrape after scrape from another process, while a loop in this one asks to be woken every 2 ms."""
    names = brands(BRANDS)
    metrics, figures = Metrics(names, ("a",), Clock()), Figures(3600.0)
    figures.heard()
    now_ms = int(time.time() * 1000)
    figures.show({0: Shown({name: [_reading(name, window) for window in WINDOWS] for name in names}, now_ms, now_ms)})
    collector = PulseCollector(figures, metrics.listed, Clock())
    metrics.registry.register(collector)
    series = sum(len(family.samples) for family in collector.collect())
    calm()  # as a worker is
    with Pages("127.0.0.1:0", metrics.registry, Health()) as pages:
        lags, times = asyncio.run(_lags(f"{pages.url}/metrics", bench.size(SCRAPES)))
    p99_ms = 1000 * quantiles(lags, n=100)[98]
    return Row(f"scrape of {series:,} series", "loop lag p99 <= 15 ms", f"{p99_ms:.1f} ms", p99_ms <= 15,
               f"{len(times)} scrapes without a pause, {1000 * sum(times) / len(times):.0f} ms each, by another "
               f"process; longest lag {1000 * max(lags):.0f} ms")


async def _lags(url: str, scrapes: int) -> tuple[list[float], list[float]]:
    scraper = subprocess.Popen([sys.executable, "-c", SCRAPER, url, str(scrapes)], stdout=subprocess.PIPE, text=True)
    lags = []
    while scraper.poll() is None:
        asked = time.monotonic()
        await asyncio.sleep(STEP_S)
        lags.append(time.monotonic() - asked - STEP_S)
    assert scraper.stdout is not None
    return lags, [float(line) for line in scraper.stdout.read().split()]


def _reading(brand: str, window: str) -> Reading:
    return Reading(brand, window, 1000, 10, 300, 290, 400, 123.4567, 800, 0.123456789, 0.1, 0.14, 0.98,
                   None if window == "24h" else 700, 1.0, 40, 770, 0.113456789, 0.09, 0.13)
