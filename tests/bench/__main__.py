"""Measures the rows and prints their table.

    python -m tests.bench [NAMES...] [--quick] [--write]

`--quick` runs a tenth of the size: to see that it works, not for figures. `--write` puts the table into the
README, and the rows of the decoders into `tests/bench/README.md`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from tests.bench import backtest, flow, heart, page, pulse, score, sources, tutorial
from tests.bench.stage import Bench
from tests.bench.table import Row, machine, table
from tests.readme import BENCH, README, put

ROWS: Mapping[str, Callable[[Bench], Row]] = {
    "score": score.throughput,
    "tutorial": tutorial.against,
    "overhead": score.overhead,
    "heart": heart.live,
    "replay": heart.recovery,
    "pulse": pulse.live,
    "unmatched": score.unmatched_memory,
    "firehose": score.unmatched_kafka,
    "flow": flow.post_to_metric,
    "recovery": pulse.recovery,
    "blocks": pulse.recovery_from_blocks,
    "mention": heart.memory_mention,
    "day": heart.memory_day,
    "backtest": backtest.history,
    "scrape": page.scrape,
    **sources.ROWS,
    "loop": flow.loop,  # the last one: it looks back at the workers of the others
}


def main() -> int:
    """Runs what is asked for, in the table's order. 1: a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The table of budgets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of a row: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--write", action="store_true", help="into the pages")
    asked = parser.parse_args()
    unknown = set(asked.names) - set(ROWS)
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    rows: dict[str, Row] = {}
    with Bench(0.1 if asked.quick else 1.0) as bench:
        for name, measure in ROWS.items():
            if not asked.names or name in asked.names:
                began_s = time.monotonic()
                rows[name] = measure(bench)
                sys.stderr.write(f"{name}: {rows[name].measured} ({time.monotonic() - began_s:.0f} s)\n")
    by = f"Measured by `make bench` on {machine()}."
    print(f"{table(list(rows.values()))}\n\n{by}")
    if asked.write:
        for page, mark, are_decoders in ((README, "bench", False), (BENCH, "decoders", True)):
            if some := [row for name, row in rows.items() if (name in sources.ROWS) is are_decoders]:
                put(page, {mark: f"{table(some)}\n\n{by}"})
    return int(any(row.met is False for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
