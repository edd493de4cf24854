"""The command line of the storm. One JSON line for each run, and one for all; exit code 1 where anything differed."""

import argparse
import json
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.faults.kafka import Kafka
from tests.faults.storm.schedule import USUAL, Kind
from tests.faults.storm.speaker import Pace
from tests.faults.storm.storm import Outcome, Plan, Storm

A_RUN = 25  # faults; more are played in more runs


def main() -> int:
    """Plays what is asked for."""
    wish = _wish()
    pace = Pace(wish.rate, wish.speed, wish.minutes)
    if wish.soak:
        pace = pace._replace(minutes=int(wish.soak * wish.speed / 60))
    done = []
    for seed, faults in _runs(wish):
        outcome = play(Plan.of(seed, faults, pace, wish.kinds or (tuple(Kind) if wish.soak else USUAL)), keep=wish.keep)
        line = json.dumps(outcome.as_json())
        _say(line)
        if wish.out:
            with wish.out.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
        done.append(outcome)
    if len(done) > 1:
        _say(json.dumps(together(done)))
    return int(any(one.wrong for one in done))


def play(plan: Plan, *, keep: bool = False) -> Outcome:
    """One run with a broker of its own. Its folder stays where something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"denyut-storm-{plan.seed.replace('/', '-')}-"))
    outcome = Outcome(plan.seed)
    try:
        with Kafka(folder / "kafka", compacts=False) as kafka:
            storm = Storm(kafka, folder, plan)
            outcome = storm.outcome
            storm.play()
    except Exception:  # the next seed may say more
        outcome.wrong.append(f"the run broke off: {traceback.format_exc()}")
    if outcome.wrong or keep:
        outcome.notes.append(f"logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def together(done: list[Outcome]) -> dict[str, Any]:
    """All runs as one."""
    kinds: Counter[str] = sum((one.faults for one in done), Counter())
    sums = {name: sum(getattr(one, name) for one in done)
            for name in ("posts", "records", "lost", "doubled", "swings", "false", "missing", "seconds")}
    return {"runs": len(done), "faults": sum(kinds.values()), **sums,
            "differences": sum(len(one.wrong) for one in done),
            "failed": [one.seed for one in done if one.wrong], "kinds": dict(sorted(kinds.items())),
            "counted_again_s": _longest(one.counted_again_s for one in done),
            "caught_up_s": _longest(one.caught_up_s for one in done)}


def _longest(some: Iterable[Mapping[str, float]]) -> dict[str, float]:
    out: dict[str, float] = {}
    for one in some:
        out |= {kind: max(took_s, out.get(kind, took_s)) for kind, took_s in one.items()}
    return dict(sorted(out.items()))


def _runs(wish: argparse.Namespace) -> Iterator[tuple[str, int]]:
    for seed in wish.seeds or [wish.seed]:
        whole, rest = divmod(wish.faults, A_RUN)
        if wish.soak:
            whole, rest = 0, int(wish.soak / wish.every)
        counts = [A_RUN] * whole + [rest] * bool(rest or not whole)
        for leg, faults in enumerate(counts):
            yield (f"{seed}/{leg}" if len(counts) > 1 else f"{seed}"), faults


def _wish() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    asked.add_argument("--seed", default="1")
    asked.add_argument("--seeds", type=_seeds, default=[], help="more of them: 1-40, or 3,7,9")
    asked.add_argument("--faults", type=int, default=A_RUN, help="of each seed")
    asked.add_argument("--rate", type=float, default=Pace().rate_per_s, help="posts a second, on average")
    asked.add_argument("--speed", type=float, default=Pace().speed, help="of the public's clock")
    asked.add_argument("--minutes", type=int, default=Pace().minutes, help="of the public, a run")
    asked.add_argument("--kinds", type=_kinds, help=f"only these: {','.join(Kind)}")
    asked.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="one long run, and its memory")
    asked.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="of a soak: a fault so often")
    asked.add_argument("--out", type=Path, help="also write each run's line to the end of this file")
    asked.add_argument("--keep", action="store_true", help="keep the logs")
    return asked.parse_args()


def _seeds(said: str) -> list[str]:
    out: list[str] = []
    for part in said.split(","):
        first, _, last = part.partition("-")
        out += [str(number) for number in range(int(first), int(last or first) + 1)]
    return out


def _kinds(said: str) -> tuple[Kind, ...]:
    return tuple(Kind(one) for one in said.split(","))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
