"""Make: the model that ships, from the base to its card, by one command.

    python -m models.recipes.make --data DATA --out OUT [--KNOB VALUE ...]

    base     multilingual-e5-small, its vocabulary cut                             base/
    small    12 layers that can answer after five of them, first steps             small/
    all      the same, on every labelled row: the teacher                          all/
    teach    what it says of the labelled rows and of unlabelled posts             targets.npy
    narrow   its first layers with half of their feed-forward neurons              narrow/
    student  these, taught by those answers                                        student/
    export   int8 graphs: the model, and the variants that it is compared with     model/ variants/
    choose   temperatures and the threshold of the early exit, on dev rows         model/card.json
    compare  quality and speed of the model and the variants                       model/card.json
    card     quality on dev rows, behaviour, and the page for people               model/card.json model/README.md

Each training stage is two twins, one core each, and their mean. A step that is done is not done again, one that was
stopped goes on from its checkpoint; so the same command resumes. What ships is the folder OUT/model.
"""

import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.recipes import knobs
from models.recipes.base import INNER, LAYERS
from models.recipes.whole import write_json, write_whole

FACTS = Path(__file__).parent / "card.json"  # licence, base, data and their terms


@dataclass(frozen=True)
class Plan:
    """Everything that may be turned. Unknown names and wrong types are errors; the values stay with the result."""

    data: str  # folder of labelled.jsonl.gz and unlabelled.jsonl.gz
    out: str
    source: str = "wheels"  # where the base comes from, see models.recipes.base
    name: str = "denyut-small-2"
    twins: int = 2
    teacher: str = "3,4,6,8,12"  # exits
    student: str = "4,6,8"  # exits; the model gets the two of `serve`
    inner: int = 1024  # neurons of the student's feed-forward parts, of the base's 1,536
    serve: str = "4,8"
    english: int = 10_000  # tweets in the first steps
    posts: int = 30_000  # unlabelled English posts for the student; Indonesian ones are all taken
    small_lr: float = 1e-4
    all_lr: float = 1.2e-4
    student_lr: float = 1.5e-4
    limit: int = 0  # rows of each stage; 0: all. For a test run

    def path(self, *names: str) -> Path:
        """Below OUT."""
        return Path(self.out, *names)

    def fault(self) -> str:
        """What is wrong with the knobs, or empty: an hour of training must not end in it."""
        teacher, student, serve = layers(self.teacher), layers(self.student), layers(self.serve)
        if not all(exits == sorted(set(exits)) and exits[0] > 0 for exits in (teacher, student, serve)):
            return "--teacher, --student, --serve: expected layers that rise, such as 4,8"
        if len(serve) != 2 or not set(serve) <= set(student):
            return f"--serve {self.serve}: expected two of --student {self.student}"
        if not set(student) <= set(teacher):
            return f"--student {self.student}: expected some of --teacher {self.teacher}"
        if not (0 < self.inner <= INNER and self.twins > 0 and teacher[-1] <= LAYERS):
            return f"expected --inner up to {INNER}, --twins from 1 and at most {LAYERS} layers"
        return ""


class Log:
    """What took how long, kept over resumes in OUT/making.json."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._file = plan, plan.path("making.json")
        self.said: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {"minutes": {}}
        self.said |= {"command": f"python -m models.recipes.make {' '.join(words(plan))}", "hardware": hardware()}

    def making(self) -> dict[str, Any]:
        """What the card says of it."""
        return {"command": self.said["command"], "hours": self.said.get("hours", 0.0),
                "minutes": self.said["minutes"], "knobs": turnable(self._plan), "hardware": self.said["hardware"],
                "seeds": list(range(1, self._plan.twins + 1))}

    def add(self, step: str, began_s: float) -> None:
        """A step has ended, or was stopped: its time so far."""
        minutes = self.said["minutes"]
        minutes[step] = round(minutes.get(step, 0.0) + (time.monotonic() - began_s) / 60, 1)
        self.said["hours"] = round(sum(minutes.values()) / 60, 2)
        write_json(self._file, self.said)


def turnable(plan: Plan) -> dict[str, Any]:
    """The knobs, without folders: a card is read elsewhere."""
    hidden = {"data", "out"} | ({"source"} if Path(plan.source).is_dir() else set())
    return {name: value for name, value in asdict(plan).items() if name not in hidden}


def words(plan: Plan) -> list[str]:
    """The command's words: the knobs that are not as they come."""
    usual = Plan(plan.data, plan.out)
    turned = [word for name, value in turnable(plan).items() if value != getattr(usual, name)
              for word in (f"--{name}", str(value))]
    return ["--data", "DATA", "--out", "OUT", *turned]


def hardware() -> str:
    """Processor and cores, in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.partition(":")[2].strip() for line in info.read_text().splitlines()
                      if line.startswith("model name")), model)
    return f"{os.cpu_count()} cores, {model}"


# Steps


def base(plan: Plan) -> None:
    """The base and its cut vocabulary."""
    from models.recipes.base import NoBase, built

    try:
        built(plan.source, Path(plan.data), plan.path("base"))
    except NoBase as error:
        raise SystemExit(f"base: {error}") from error


def stage(plan: Plan, name: str, **turned: Any) -> None:
    """One training stage: its twins side by side, then their mean."""
    from models.recipes.merge import merge

    twins = [f"{name}-{seed}" for seed in range(1, plan.twins + 1)]
    running = []
    for seed, twin in enumerate(twins, 1):
        if not plan.path(twin, "model.pt").exists():
            given = {"base": plan.path("base"), "data": plan.data, "out": plan.path(twin), "stage": name, "seed": seed,
                     "limit": plan.limit, "twins": plan.twins} | turned
            flags = [word for knob, value in given.items() for word in (f"--{knob}", str(value))]
            running.append(subprocess.Popen([sys.executable, "-m", "models.recipes.train", *flags],
                                            env=os.environ | {"OMP_NUM_THREADS": "1"}))
    try:
        failed = [one.args for one in running if one.wait()]
    finally:
        for one in running:  # a twin that outlives us would write into the next run's checkpoint
            one.terminate()
    if failed:
        raise SystemExit(f"{name}: {len(failed)} of {plan.twins} twins failed; the same command goes on where it was")
    merge([plan.path(twin, "model.pt") for twin in twins], plan.path(name, "model.pt"))


def teach(plan: Plan) -> None:
    """The teacher's answers."""
    from models.recipes.teach import teach as answer
    from models.recipes.train import Knobs

    knobs_ = Knobs(base=str(plan.path("base")), data=plan.data, out=plan.out, stage="all", exits=plan.teacher,
                   posts=plan.posts, limit=plan.limit)
    answer(knobs_, plan.path("all", "model.pt"), plan.path("targets.npy"))


def narrow(plan: Plan) -> None:
    """The student's start: the teacher's first layers, narrowed by what they say of training texts."""
    import torch

    from models.recipes.export import read, sampled
    from models.recipes.narrow import narrowed

    network, tokenizer = read(plan.path("base"), plan.path("all", "model.pt"), layers(plan.student))
    state = narrowed(network, sampled(Path(plan.data), tokenizer), plan.inner)
    plan.path("narrow").mkdir(exist_ok=True)
    write_whole(plan.path("narrow", "model.pt"), lambda part: torch.save(state, part))


def export(plan: Plan) -> None:
    """The model and its variants."""
    from models.recipes.export import export as write

    for later in ("chosen", "compared", "done"):  # they speak of what is now made anew
        plan.path(later).unlink(missing_ok=True)
    early, late = layers(plan.serve)
    deepest = layers(plan.teacher)[-1]
    teacher, student = plan.path("all", "model.pt"), plan.path("student", "model.pt")
    single = [(f"variants/{at} layers, narrowed, taught", student, [at], "int8")
              for at in layers(plan.student) if at not in (early, late)]
    for name, weights, exits, precision in (
            (f"variants/{deepest} layers", teacher, [deepest], "int8"),
            (f"variants/{deepest} layers, fp32", teacher, [deepest], "fp32"),
            (f"variants/exits {early} and {deepest}, not narrowed, untaught", teacher, [early, deepest], "int8"),
            *single,
            (f"variants/exits {early} and {late}, fp32", student, [early, late], "fp32"),
            ("model", student, [early, late], "int8")):
        write(plan.path("base"), Path(plan.data), weights, exits, plan.path(name), precision)


def choose(plan: Plan) -> None:
    """Temperatures and threshold."""
    from models.recipes.choose import choose as fit

    fit(plan.path("model"), Path(plan.data), plan.name)
    for variant in sorted(plan.path("variants").iterdir()):
        if (variant / "late.onnx").exists():  # of one exit, no temperature changes a label
            fit(variant, Path(plan.data), variant.name)


def compare(plan: Plan) -> None:
    """The table of variants."""
    from models.recipes.compare import compare as measure

    measure(plan.path("model"), plan.path("variants"), Path(plan.data))


def card(plan: Plan) -> None:
    """How it was made; then quality, behaviour and the page."""
    path = plan.path("model", "card.json")
    written = json.loads(path.read_text())
    written.setdefault("report", {})["making"] = Log(plan).making()
    write_json(path, written)
    done = subprocess.run([sys.executable, "-m", "models.recipes.evaluate", "--data", plan.data, "--model",
                           str(plan.path("model")), "--write", "--about", str(FACTS)], check=False)
    if done.returncode:
        raise SystemExit("card: evaluating failed; the same command goes on where it was")


def layers(exits: str) -> list[int]:
    """Exits as numbers."""
    return [int(one) for one in exits.split(",")]


def steps(plan: Plan) -> list[tuple[str, Path, Callable[[], None]]]:
    """Every step: its name, the file that shows that it is done, and what does it."""
    small, teacher, start = (plan.path(name, "model.pt") for name in ("small", "all", "narrow"))
    return [
        ("base", plan.path("base", "base.npz"), lambda: base(plan)),
        ("small", small,
         lambda: stage(plan, "small", exits=plan.teacher, english=plan.english, lr=plan.small_lr, typed=0)),
        ("all", teacher, lambda: stage(plan, "all", exits=plan.teacher, start=small, lr=plan.all_lr)),
        ("teach", plan.path("targets.npy"), lambda: teach(plan)),
        ("narrow", start, lambda: narrow(plan)),
        ("student", plan.path("student", "model.pt"),
         lambda: stage(plan, "student", exits=plan.student, start=start, inner=plan.inner, lr=plan.student_lr,
                       early=1.0, soft=0.5, balance=0.5, posts=plan.posts, targets=plan.path("targets.npy"))),
        ("export", plan.path("model", "card.json"), lambda: export(plan)),
        ("choose", plan.path("chosen"), lambda: choose(plan)),
        ("compare", plan.path("compared"), lambda: compare(plan)),
        ("card", plan.path("done"), lambda: card(plan)),
    ]


def begin(plan: Plan) -> None:
    """Makes OUT, or proves that it is of this plan. Raises SystemExit for a plan or a folder that cannot be."""
    fault = plan.fault()
    if not fault and not (Path(plan.data) / "labelled.jsonl.gz").is_file():
        fault = f"--data {plan.data}: expected labelled.jsonl.gz there, see models/recipes/README.md"
    if fault:
        raise SystemExit(fault)
    plan.path().mkdir(parents=True, exist_ok=True)
    began, knobs_ = plan.path("plan.json"), turnable(plan)
    known = json.loads(began.read_text()) if began.exists() else knobs_
    other = [name for name, value in knobs_.items() if known.get(name) != value]
    if other:
        raise SystemExit(f"{plan.out} was begun with --{other[0]} {known.get(other[0])}: name another --out")
    write_json(began, knobs_)


def make(plan: Plan) -> None:
    """All steps that are not done yet."""
    begin(plan)
    lock = plan.path("lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(f"{plan.out}: another run is at work there") from None
    # What ends a service ends its twins too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on where it was"))
    log = Log(plan)
    for name, shown_by, do in steps(plan):
        if shown_by.exists():
            print(f"{name}: done before", flush=True)
            continue
        began_s = time.monotonic()
        try:
            do()
        finally:
            log.add(name, began_s)
        shown_by.touch()
        print(f"{name}: done in {(time.monotonic() - began_s) / 60:.1f} min", flush=True)


def main(argv: Sequence[str]) -> None:
    """Makes it."""
    make(knobs.read(Plan, argv))


if __name__ == "__main__":
    main(sys.argv[1:])
