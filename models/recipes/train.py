"""Training: one stage of one twin. Read it from top to bottom; `models.recipes.make` runs all of it.

    python -m models.recipes.train --base BASE --data DATA --out OUT --stage small [--KNOB VALUE ...]

Stages, each one pass over its rows:
    small    the first steps from the base: some English tweets, SmSA, NusaX in five languages
    all      every labelled row but UMSAB, whose languages the product does not score
    student  the same rows and unlabelled posts, with what a larger network says of each (`models.recipes.teach`)

An exit learns from the labels, and from the network's last exit (or the teacher's answers) softened by a temperature
(Hinton et al. 2015). Twins are two runs that differ by their seed; `models.recipes.merge` takes their mean. OUT gets
model.pt, knobs.json and a checkpoint every few minutes, from which the same command goes on.
"""

import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Every batch has a shape of its own; the usual thousand remembered kernels would be made again and again.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")

import numpy as np
import torch
from torch import Tensor, nn

from models.recipes.data import UNLABELLED, Row, labelled, unlabelled
from models.recipes.knobs import read as knobs_of
from models.recipes.network import INNER, Network
from models.recipes.register import typed
from models.recipes.whole import write_json, write_whole
from models.text import normalise

NUSAX = {"id", "en", "jv", "su", "min"}
STAGES = ("small", "all", "student")
# How often a student reads rows of these in its pass, each time spelled anew. Indonesian labels are few; by the time
# that a teacher had read them twice, it was still learning from them, and had learnt what it could from English.
AGAIN = {"smsa": 3, "nusax": 2}
TABLE = "word.weight"


@dataclass(frozen=True)
class Knobs:
    """Everything that may be turned. An unknown name or a wrong type is an error; the values stay with the result."""

    base: str  # folder of base.npz and tokenizer.json (models.recipes.base)
    data: str  # folder of labelled.jsonl.gz
    out: str
    stage: str
    start: str = ""  # a model.pt to start from; empty: the base
    targets: str = ""  # what the teacher says (models.recipes.teach); for the student stage
    exits: str = "3,4,6,8,12"  # layers after which it answers; the last one is the depth
    inner: int = INNER  # width of the feed-forward part
    english: int = 12_000  # English tweets in the small stage
    posts: int = 30_000  # unlabelled English posts in the student stage, of all twins; Indonesian ones are all taken
    twins: int = 2
    seed: int = 1  # of the order of rows; twins are 1, 2, ...
    lr: float = 1e-4
    head_lr: float = 5.0  # times lr, for fresh heads
    early: float = 0.25  # weight of an early exit's loss
    soft: float = 0.7  # share of the teacher in a loss, where there is one
    heat: float = 2.0  # temperature that softens
    typed: int = 1  # 1: a share of the rows is respelled as people type (models.recipes.register); 0: as they are
    balance: float = 0.6  # rows weigh (share of their class in their source) to the power of minus this
    batch: int = 32
    tokens: int = 64  # a text's longest
    warmup: float = 0.06  # share of the steps
    decay: float = 0.01  # on matrices
    dropout: float = 0.1
    clip: float = 1.0  # norm of the gradient, the table of words apart
    threads: int = 1
    bf16: str = "auto"  # yes, no, or auto: where the processor has it
    limit: int = 0  # rows in all; 0: no limit. For a test run
    save_s: int = 180

    @classmethod
    def read(cls, argv: Sequence[str]) -> "Knobs":
        """From `--name value` pairs. Raises SystemExit for what is unknown, of a wrong type or missing."""
        found = knobs_of(cls, argv)
        if found.stage not in STAGES:
            raise SystemExit(f"--stage {found.stage!r}: expected {', '.join(STAGES)}")
        if (found.stage == "student") != bool(found.targets):
            raise SystemExit("--targets: the student stage needs them, no other takes them")
        return found

    @property
    def layers(self) -> tuple[int, ...]:
        """The exits as numbers."""
        return tuple(int(one) for one in self.exits.split(","))


# Data


def judged(data: Path) -> list[Row]:
    """The labelled rows to learn from."""
    return [row for row in labelled(data, "train") if row.source != "umsab"]


def pool(data: Path, posts: int, limit: int) -> list[Row]:
    """What a student learns from, always in this order: all labelled rows, then unlabelled posts."""
    found = unlabelled(data)
    english = [row for row in found if row.lang == "en"]
    random.Random(0).shuffle(english)
    rows = [*judged(data), *(row for row in found if row.lang != "en"), *english[:posts]]
    if limit:
        random.Random(0).shuffle(rows)
    return rows[:limit or None]


def is_plenty(row: Row) -> bool:
    """Of these a student's twins see their own part each: their mean has seen them all."""
    return row.label == UNLABELLED or row.source == "semeval2017"


def lessons(knobs: Knobs) -> tuple[list[Row], Tensor | None]:
    """The rows of a stage and, for a student, what the teacher says of each: (rows, 3)."""
    data = Path(knobs.data)
    if knobs.stage == "student":
        rows = pool(data, knobs.posts, knobs.limit)
        targets = np.load(knobs.targets)
        if len(targets) != len(rows):
            raise SystemExit(f"{knobs.targets} is of {len(targets)} rows, these are {len(rows)}: teach again")
        mine = [at for at, row in enumerate(rows) for _ in range(AGAIN.get(row.source, 1))
                if not is_plenty(row) or at % knobs.twins == knobs.seed % knobs.twins]
        return [rows[at] for at in mine], torch.from_numpy(targets[mine])
    rng = random.Random(knobs.seed)
    rows = judged(data)
    rng.shuffle(rows)
    if knobs.stage == "small":
        english = [row for row in rows if row.source == "semeval2017"][:knobs.english]
        rows = english + [r for r in rows if r.source == "smsa" or (r.source == "nusax" and r.lang in NUSAX)]
        rng.shuffle(rows)
    return rows[:knobs.limit or None], None


def texts(rows: Sequence[Row], knobs: Knobs) -> list[str]:
    """What is read of each row."""
    if not knobs.typed:
        return [row.text for row in rows]
    rng = random.Random(knobs.seed + 2)
    return [normalise(typed(row.text, row.lang, rng)) for row in rows]


def batches(lengths: Sequence[int], knobs: Knobs) -> list[list[int]]:
    """Length-grouped batches in random order: within 50 batches' worth of rows, neighbours are of one length."""
    rng = random.Random(knobs.seed + 1)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    out = []
    for start in range(0, len(order), 50 * knobs.batch):
        group = sorted(order[start:start + 50 * knobs.batch], key=lambda at: lengths[at])
        out += [group[at:at + knobs.batch] for at in range(0, len(group), knobs.batch)]
    rng.shuffle(out)
    return out


def padded(ids: Sequence[list[int]], pad: int = 1) -> tuple[Tensor, Tensor]:
    """Ids and mask, (batch, longest), the width rounded up to a multiple of four: fewer shapes to make kernels for."""
    longest = -(-max(map(len, ids)) // 4) * 4
    return (torch.tensor([one + [pad] * (longest - len(one)) for one in ids]),
            torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids]))


def weights(rows: Sequence[Row], balance: float) -> Tensor:
    """What each row weighs, (rows,): more where its class is rare in its source, 1 on average; 0 without a label."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        if row.label != UNLABELLED:
            counts[row.source][row.label] += 1
    raw = {source: {label: (n / some.total()) ** -balance for label, n in some.items()}
           for source, some in counts.items()}
    mean = {source: sum(raw[source][label] * n for label, n in some.items()) / some.total()
            for source, some in counts.items()}
    return torch.tensor([0.0 if row.label == UNLABELLED else raw[row.source][row.label] / mean[row.source]
                         for row in rows])


@dataclass(frozen=True)
class Lesson:
    """What the rows of a stage ask for, ready to be indexed by a batch."""

    labels: Tensor  # (rows,), 0 where there is none
    weights: Tensor  # (rows,)
    unsaid: Tensor  # (rows, 3): a source without a neutral class says nothing of neutral
    targets: Tensor | None  # (rows, 3)

    @classmethod
    def of(cls, rows: Sequence[Row], targets: Tensor | None, balance: float) -> "Lesson":
        """Of a stage's rows."""
        return cls(torch.tensor([max(row.label, 0) for row in rows]), weights(rows, balance),
                   torch.tensor([[False, row.two_class, False] for row in rows]), targets)

    def loss(self, logits: Tensor, at: Sequence[int], knobs: Knobs) -> Tensor:
        """Of the answers of all exits, (exits, batch, 3), to the rows `at`."""
        total = logits.new_zeros(())
        for exit_, answer in enumerate(logits):
            last = exit_ == len(logits) - 1
            hard = nn.functional.cross_entropy(answer.masked_fill(self.unsaid[at], -1e4), self.labels[at],
                                               reduction="none")
            loss = (hard * self.weights[at]).mean()
            teacher = self.targets[at] if self.targets is not None else None if last else logits[-1].detach()
            if teacher is not None:
                soft = nn.functional.kl_div(torch.log_softmax(answer / knobs.heat, -1),
                                            torch.log_softmax(teacher / knobs.heat, -1),
                                            reduction="batchmean", log_target=True)
                loss = (1 - knobs.soft) * loss + knobs.soft * knobs.heat**2 * soft
            total = total + (1.0 if last else knobs.early) * loss
        return total


# Optimising


def groups(network: Network, knobs: Knobs) -> list[dict[str, Any]]:
    """The optimiser's groups: matrices decay, norms and biases do not; fresh heads learn faster."""
    named = [(name, p) for name, p in network.named_parameters() if name != TABLE]
    heads = [p for name, p in named if name.startswith("heads")]
    matrices = [p for name, p in named if p.ndim > 1 and not name.startswith(("heads", "pos"))]
    others = [p for name, p in named if name.startswith("pos") or (p.ndim < 2 and not name.startswith("heads"))]
    return [{"params": matrices, "weight_decay": knobs.decay, "lr": knobs.lr},
            {"params": others, "weight_decay": 0.0, "lr": knobs.lr},
            {"params": heads, "weight_decay": knobs.decay, "lr": knobs.lr * (1.0 if knobs.start else knobs.head_lr)}]


def pace(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then linear to nothing."""
    warm = max(int(warmup * steps), 1)
    return max(min((step + 1) / warm, (steps - step) / max(steps - warm, 1)), 0.0)


class Progress:
    """A line every 15 seconds: where the run is, what it loses, how fast it goes and how long it will take."""

    def __init__(self, name: str, first: int, steps: int) -> None:
        self._name, self._first, self._steps = name, first, steps
        self._began = self._told = time.monotonic()
        self._tokens, self._loss = 0, 0.0

    def tell(self, step: int, loss: float, tokens: int) -> None:
        """After each step."""
        self._tokens += tokens
        self._loss = loss if step == self._first else 0.98 * self._loss + 0.02 * loss
        now = time.monotonic()
        if now - self._told < 15 and step < self._steps - 1:
            return
        self._told = now
        left_min = (now - self._began) / (step + 1 - self._first) * (self._steps - step - 1) / 60
        pace_ = self._tokens / (now - self._began)
        print(f"{self._name}: {step + 1}/{self._steps} loss {self._loss:.3f} {pace_:.0f} tokens/s, "
              f"{left_min:.0f} min left", flush=True)


class Run:
    """Network, optimisers and pace, as one thing that is saved and goes on."""

    def __init__(self, network: Network, knobs: Knobs, steps: int) -> None:
        self.network = network
        self._knobs = knobs
        # A batch uses few of the words: only their rows are touched, moments included.
        optimisers = (torch.optim.AdamW(groups(network, knobs), betas=(0.9, 0.98), fused=True),
                      torch.optim.SparseAdam([network.word.weight], lr=knobs.lr, betas=(0.9, 0.98)))
        self._parts: dict[str, Any] = {"network": network}
        for name, optimiser in zip(("dense", "words"), optimisers, strict=True):
            self._parts[name] = optimiser
            self._parts[f"{name} pace"] = torch.optim.lr_scheduler.LambdaLR(
                optimiser, lambda step: pace(step, steps, knobs.warmup))
        self._clipped = [p for name, p in network.named_parameters() if name != TABLE]
        self._file = Path(knobs.out) / "checkpoint.pt"
        self._kept_s = time.monotonic()

    def resume(self) -> int:
        """The step to go on with; 0 without a checkpoint. Raises SystemExit for one of other knobs."""
        if not self._file.exists():
            return 0
        saved = torch.load(self._file)
        other = [name for name, value in asdict(self._knobs).items() if saved["knobs"].get(name) != value]
        if other:
            raise SystemExit(f"{self._file}: begun with another --{other[0]}; remove it, or name another --out")
        for name, part in self._parts.items():
            part.load_state_dict(saved[name])
        torch.set_rng_state(saved["random"])  # else dropout would begin anew
        return int(saved["step"])

    def learn(self, loss: Tensor, done: int) -> None:
        """One step down; a checkpoint when it is time. `done`: steps, this one included."""
        self.network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._clipped, self._knobs.clip)
        for name in ("dense", "words", "dense pace", "words pace"):
            self._parts[name].step()
        if time.monotonic() - self._kept_s > self._knobs.save_s:
            self._kept_s = time.monotonic()
            saved = {name: part.state_dict() for name, part in self._parts.items()}
            saved |= {"step": done, "random": torch.get_rng_state(), "knobs": asdict(self._knobs)}
            write_whole(self._file, lambda part: torch.save(saved, part))

    def finish(self) -> None:
        """Leaves model.pt in place of the checkpoint."""
        write_whole(self._file.with_name("model.pt"), lambda part: torch.save(self.network.state_dict(), part))
        self._file.unlink(missing_ok=True)


def has_bf16() -> bool:
    """Whether the processor multiplies in bfloat16: twice as fast where it does, ten times slower elsewhere."""
    tell = getattr(torch.cpu, "get_capabilities", None)  # torch 2.9 and later
    return bool(tell and tell().get("avx512_bf16"))


def half(knobs: Knobs) -> bool:
    """Whether to train in bfloat16."""
    return knobs.bf16 == "yes" or (knobs.bf16 == "auto" and has_bf16())


def train(knobs: Knobs) -> None:
    """One stage of one twin, from its checkpoint if there is one."""
    from tokenizers import Tokenizer

    out, base = Path(knobs.out), Path(knobs.base)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "knobs.json", asdict(knobs))
    torch.set_num_threads(knobs.threads)
    rows, targets = lessons(knobs)
    lesson = Lesson.of(rows, targets, knobs.balance)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(knobs.tokens)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts(rows, knobs))]
    plan = batches([len(one) for one in ids], knobs)

    torch.manual_seed(0)  # twins share their fresh heads: the mean of two different ones would mean nothing
    network = Network(tokenizer.get_vocab_size(), knobs.layers, knobs.dropout, knobs.inner)
    if knobs.start:
        network.load_part(torch.load(knobs.start))
    else:
        network.load_base(base / "base.npz")
    torch.manual_seed(knobs.seed)
    network.train()
    run = Run(network, knobs, len(plan))
    first = run.resume()
    progress = Progress(out.name, first, len(plan))
    for step in range(first, len(plan)):
        tokens, mask = padded([ids[at] for at in plan[step]])
        with torch.autocast("cpu", torch.bfloat16, enabled=half(knobs)):
            logits = network(tokens, mask)
        loss = lesson.loss(logits, plan[step], knobs)
        run.learn(loss, step + 1)
        progress.tell(step, float(loss.detach()), int(mask.sum()))
    run.finish()


if __name__ == "__main__":
    train(Knobs.read(sys.argv[1:]))
