"""Runs the trials and prints their tables.

    python -m tests.sim [--full] [--preset NAME] [--seed N | --tag TAG] [--times N] [--json FILE] [--write] [--tighten]

Without `--full`: 12 brands for three scored weeks of calm, noisy-real and null, in under a minute, held against
`ratchet.json`; 1 if a figure is worse. `--tighten` writes what is better there. `--full`: every preset, 144
brand-weeks, 288 of the null ones; `--times 7` has seven times as many. Development uses seeds 1 to 50; `--tag v1.2.3`
takes the seeds of a release, and nothing is tuned on those. `--write` puts the tables into `tests/sim/README.md`,
their main rows into the README, and what chance does into `streams/heart/chance.py`.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.table import machine
from tests.readme import README, SIM, put
from tests.sim import nulls
from tests.sim.judge import Figure
from tests.sim.streams import PRESETS
from tests.sim.table import main_rows, tables
from tests.sim.trial import Outcome, Plan, attempt, seed_for, seeds_of

RATCHET = Path(__file__).parent / "ratchet.json"
QUICK = ("calm", "noisy-real", "null-calm")
SEEDS = (1, 2, 3, 4)  # calm, noisy-real, null, the rest
# Figures that the ratchet holds, and whether more of them is better.
HELD = {"false alarms": False, "caught": True, "median delay": False}


def quick_plans() -> list[Plan]:
    """What is run on every change."""
    return [Plan(preset, seed_for(preset, SEEDS), 12, 3) for preset in QUICK]


def full_plans(seeds: Sequence[int], presets: Sequence[str] = tuple(PRESETS), turn: int = 0) -> list[Plan]:
    """What is run by night and for a release. `turn`: other brands of the same seeds."""
    sizes = {preset: 36 if PRESETS[preset].kinds else 72 for preset in presets}
    return [Plan(preset, seed_for(preset, seeds), size, 4, turn * size) for preset, size in sizes.items()]


def held(outcome: Outcome) -> dict[str, float]:
    """The figures of a trial that the ratchet holds."""
    report = outcome.found
    found = {"false alarms": float(sum(report.false.values()))}
    if report.detectable:
        found["caught"] = float(sum(case.first is not None for case in report.detectable))
        delay = report.delay().value
        found["median delay"] = math.inf if math.isnan(delay) else delay
    return found


def worse(outcomes: Sequence[Outcome], ratchet: dict[str, dict[str, float]]) -> list[str]:
    """What fell behind the ratchet, in words."""
    return [f"{outcome.plan.preset}: {name} {value:g}, held at {least:g}"
            for outcome in outcomes for name, value in held(outcome).items()
            if (least := ratchet[outcome.plan.preset][name]) != value and HELD[name] is (value < least)]


def tightened(outcomes: Sequence[Outcome], ratchet: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The ratchet with what is better now."""
    return {outcome.plan.preset: {
        name: (max if HELD[name] else min)(value, ratchet.get(outcome.plan.preset, {}).get(name, value))
        for name, value in held(outcome).items()} for outcome in outcomes}


def figures(outcome: Outcome) -> dict[str, Any]:
    """All figures of a trial, for a file."""
    def told(found: dict[str, Figure]) -> dict[str, list[float | None]]:
        return {name: [value if math.isfinite(value) else None for value in figure] for name, figure in found.items()}

    return {
        **outcome.plan._asdict(), "us per pane": outcome.us_per_pane, "bytes per brand": outcome.bytes_per_brand,
        "figures": told(outcome.found.figures()),
        "on every post": told(outcome.on_posts.figures()) if outcome.on_posts else None,
        "curve": {f"{h:g}": told(report.figures()) for h, report in sorted(outcome.curve.items())},
        "others": {name: {f"{h:g}": told(report.figures()) for h, report in reports.items()}
                   for name, reports in outcome.rules.items()},
        "volume": told(outcome.volume.figures()),
    }


def full(seeds: Sequence[int], presets: Sequence[str], times: int) -> list[Outcome]:
    """A full run, so many times, each with other brands."""
    outcomes: list[Outcome] = []
    for turn in range(times):
        more = attempt(full_plans(seeds, presets, turn))
        outcomes = [old + new for old, new in zip(outcomes, more, strict=True)] if outcomes else more
        sys.stderr.write("".join(f"{one.plan.preset}, turn {turn + 1}: {one.found.brief()}\n" for one in more))
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="The detector, judged by made-up publics.")
    parser.add_argument("--full", action="store_true", help="every preset, beside the usual detectors")
    parser.add_argument("--preset", action="append", choices=PRESETS, help="of a full run, only this (may be repeated)")
    parser.add_argument("--seed", type=int, choices=range(1, 51), metavar="1..50", help="of every preset")
    parser.add_argument("--tag", help="of a release: its seeds follow from it")
    parser.add_argument("--times", type=int, default=1, help="so many times the brands of a full run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--write", action="store_true", help="the tables into the pages; chance")
    parser.add_argument("--tighten", action="store_true", help="the ratchet, where a quick run was better")
    return parser


def main() -> int:
    """Runs what is asked for. 1: a figure fell behind the ratchet."""
    parser = _parser()
    asked = parser.parse_args()
    is_full = bool(asked.full or asked.preset or asked.tag or asked.seed)
    if asked.write and (asked.preset or not is_full):
        parser.error("--write needs a full run of every preset")
    seeds = seeds_of(asked.tag) if asked.tag else (asked.seed,) * 4 if asked.seed else SEEDS
    outcomes = full(seeds, asked.preset or tuple(PRESETS), asked.times) if is_full else attempt(quick_plans(), True)
    found, by = tables(outcomes), _run_by(asked, is_full, outcomes)
    sys.stdout.write("\n\n".join([*found.values(), by]) + "\n")
    if asked.json:
        asked.json.write_text(json.dumps([figures(outcome) for outcome in outcomes], indent=1) + "\n")
    if asked.write:
        put(SIM, {**found, "made": by})
        put(README, {"swings": f"{main_rows(outcomes)}\n\n{by}"})
        nulls.write(outcomes)
    return 0 if is_full else _ratchet(outcomes, asked.tighten)


def _run_by(asked: argparse.Namespace, is_full: bool, outcomes: Sequence[Outcome]) -> str:
    seeds = f"seeds of the tag {asked.tag}" if asked.tag else f"seeds {asked.seed or ', '.join(map(str, SEEDS))}"
    brands, one = sum(outcome.plan.brands for outcome in outcomes), outcomes[0]
    how = "".join([" --full" * is_full, f" --tag {asked.tag}" if asked.tag else "",
                   f" --seed {asked.seed}" if asked.seed else "",
                   f" --times {asked.times}" if asked.times > 1 else ""])
    return (f"Made by `python -m tests.sim{how}`, {seeds}. With {brands} brands side by side "
            f"the detector took {one.us_per_pane:.1f} us a minute and {one.bytes_per_brand / 1000:.1f} kB for each; "
            f"{machine()}.")


def _ratchet(outcomes: Sequence[Outcome], tighten: bool) -> int:
    ratchet = json.loads(RATCHET.read_text()) if RATCHET.exists() else {}
    if tighten:
        RATCHET.write_text(json.dumps(ratchet := tightened(outcomes, ratchet), indent=1) + "\n")
    behind = worse(outcomes, ratchet)
    sys.stdout.write("".join(f"worse than held: {line}\n" for line in behind))
    return int(bool(behind))


if __name__ == "__main__":
    sys.exit(main())
