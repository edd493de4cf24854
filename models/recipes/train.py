"""Fine-tuning: the base becomes a judge of sentiment. Read it from top to bottom.

    python -m models.recipes.train --base BASE --data DATA --out OUT [--KNOB VALUE ...]

Two stages of one epoch each: `--stage small` (12,000 English tweets, SmSA, NusaX in five languages), then `--stage all
--start OUT/model.pt --lr 2e-4` (every labelled row but UMSAB, whose languages the product does not score). OUT gets
model.pt, knobs.json and a checkpoint every few minutes, from which the same command goes on. One free AVX2 core learns
from 750 tokens a second: 20 minutes, then 50. (The shipped model saw 50,000 rows in its second stage: --limit 50000.)
"""

import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.recipes.data import Row, labelled
from models.recipes.network import Network

NUSAX = {"id", "en", "jv", "su", "min"}


@dataclass(frozen=True)
class Knobs:
    """Everything that may be turned. An unknown name or a wrong type is an error; the values stay with the result."""

    base: str  # folder of base.npz and tokenizer.json (models.recipes.base)
    data: str  # folder of labelled.jsonl.gz
    out: str
    start: str = ""  # a model.pt to start from; empty: the base
    stage: str = "small"
    layers: int = 6  # of the base's 12
    english: int = 12_000  # English tweets in the small stage
    lr: float = 1e-4
    head_lr: float = 5.0  # times lr, for a fresh head
    batch: int = 32
    tokens: int = 64  # a text's longest
    warmup: float = 0.06  # share of the steps
    decay: float = 0.01  # on matrices
    dropout: float = 0.1
    clip: float = 1.0  # norm of the gradient
    seed: int = 1
    threads: int = 2
    limit: int = 0  # rows in all; 0: no limit. For a test run
    save_s: int = 180

    @classmethod
    def read(cls, argv: Sequence[str]) -> "Knobs":
        """From `--name value` pairs. Raises SystemExit for an unknown name, a wrong type or a missing value."""
        known = {knob.name: knob for knob in fields(cls)}
        values: dict[str, Any] = {}
        if len(argv) % 2:
            raise SystemExit(f"--name value pairs were expected, {len(argv)} words were seen")
        for flag, raw in zip(argv[::2], argv[1::2], strict=True):
            knob = known.get(flag.removeprefix("--"))
            if knob is None or not flag.startswith("--"):
                raise SystemExit(f"{flag}: not a knob; there are {', '.join(known)}")
            try:
                values[knob.name] = {"str": str, "int": int, "float": float}[getattr(knob.type, "__name__", "")](raw)
            except ValueError:
                raise SystemExit(f"{flag} {raw!r}: expected {getattr(knob.type, '__name__', knob.type)}") from None
        missing = [name for name, knob in known.items() if knob.default is MISSING and name not in values]
        if missing or values.get("stage", "small") not in ("small", "all"):
            raise SystemExit(f"--{' --'.join(missing)} missing" if missing else "--stage: expected small or all")
        return cls(**values)


# Data


def chosen(rows: Sequence[Row], knobs: Knobs) -> list[Row]:
    """The rows of a stage, shuffled."""
    rng = random.Random(knobs.seed)
    rows = [row for row in rows if row.source != "umsab"]
    rng.shuffle(rows)
    if knobs.stage == "small":
        english = [row for row in rows if row.source == "semeval2017"][:knobs.english]
        rows = english + [r for r in rows if r.source == "smsa" or (r.source == "nusax" and r.lang in NUSAX)]
        rng.shuffle(rows)
    return rows[:knobs.limit or None]


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
    """Ids and mask, (batch, longest)."""
    longest = max(map(len, ids))
    return (torch.tensor([one + [pad] * (longest - len(one)) for one in ids]),
            torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids]))


def class_weights(rows: Sequence[Row]) -> Tensor:
    """Square root of the inverse share of each class."""
    counts = Counter(row.label for row in rows)
    raw = torch.tensor([math.sqrt(len(rows) / (3 * max(counts[label], 1))) for label in range(3)])
    return raw / raw.mean()


# Optimising


def groups(network: Network, knobs: Knobs) -> list[dict[str, Any]]:
    """The optimiser's groups: matrices decay, embeddings, norms and biases do not; a fresh head learns faster."""
    named = list(network.named_parameters())
    head = [p for name, p in named if name.startswith("head")]
    matrices = [p for name, p in named if p.ndim > 1 and not name.startswith(("head", "word", "pos"))]
    tables = ("word", "pos")
    others = [p for name, p in named if name.startswith(tables) or (p.ndim < 2 and not name.startswith("head"))]
    return [{"params": matrices, "weight_decay": knobs.decay, "lr": knobs.lr},
            {"params": others, "weight_decay": 0.0, "lr": knobs.lr},
            {"params": head, "weight_decay": knobs.decay, "lr": knobs.lr * (1.0 if knobs.start else knobs.head_lr)}]


def pace(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then linear to nothing."""
    warm = max(int(warmup * steps), 1)
    return max(min((step + 1) / warm, (steps - step) / max(steps - warm, 1)), 0.0)


class Progress:
    """A line every 15 seconds: where the run is, what it loses, how fast it goes and how long it will take."""

    def __init__(self, first: int, steps: int) -> None:
        self._first, self._steps = first, steps
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
        print(f"{step + 1}/{self._steps} loss {self._loss:.3f} {self._tokens / (now - self._began):.0f} tokens/s, "
              f"{left_min:.0f} min left", flush=True)


class Run:
    """Network, optimiser and pace, as one thing that is saved and goes on."""

    def __init__(self, network: Network, knobs: Knobs, steps: int) -> None:
        self.network = network
        self._knobs = knobs
        self._optimiser = torch.optim.AdamW(groups(network, knobs), betas=(0.9, 0.98))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: pace(step, steps, knobs.warmup))
        self._file = Path(knobs.out) / "checkpoint.pt"
        self._kept_s = time.monotonic()

    def resume(self) -> int:
        """The step to go on with; 0 without a checkpoint."""
        if not self._file.exists():
            return 0
        saved = torch.load(self._file)
        for part, name in ((self.network, "network"), (self._optimiser, "optimiser"), (self._schedule, "schedule")):
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def learn(self, loss: Tensor, done: int) -> None:
        """One step down; a checkpoint when it is time. `done`: steps, this one included."""
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._knobs.clip)
        self._optimiser.step()
        self._schedule.step()
        if time.monotonic() - self._kept_s > self._knobs.save_s:
            self._kept_s = time.monotonic()
            torch.save({"network": self.network.state_dict(), "optimiser": self._optimiser.state_dict(),
                        "schedule": self._schedule.state_dict(), "step": done}, self._file)

    def finish(self) -> None:
        """Leaves model.pt in place of the checkpoint."""
        torch.save(self.network.state_dict(), self._file.with_name("model.pt"))
        self._file.unlink(missing_ok=True)


def main() -> None:
    """Trains one stage."""
    from tokenizers import Tokenizer

    knobs = Knobs.read(sys.argv[1:])
    out, base = Path(knobs.out), Path(knobs.base)
    out.mkdir(parents=True, exist_ok=True)
    (out / "knobs.json").write_text(json.dumps(asdict(knobs), indent=1) + "\n")
    torch.set_num_threads(knobs.threads)
    torch.manual_seed(knobs.seed)

    rows = chosen(labelled(Path(knobs.data), "train"), knobs)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(knobs.tokens)
    ids = [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])]
    plan = batches([len(one) for one in ids], knobs)
    loss_of = nn.CrossEntropyLoss(weight=class_weights(rows))

    network = Network(tokenizer.get_vocab_size(), knobs.layers, knobs.dropout)
    if knobs.start:
        network.load_state_dict(torch.load(knobs.start))
    else:
        network.load_base(base / "base.npz")
    network.train()
    run = Run(network, knobs, len(plan))
    first = run.resume()
    progress = Progress(first, len(plan))
    for step in range(first, len(plan)):
        at = plan[step]
        tokens, mask = padded([ids[i] for i in at])
        # A source without a neutral class says nothing of neutral: its logit is left out there.
        unsaid = torch.tensor([[False, rows[i].two_class, False] for i in at])
        loss = loss_of(network(tokens, mask).masked_fill(unsaid, -1e4), torch.tensor([rows[i].label for i in at]))
        run.learn(loss, step + 1)
        progress.tell(step, float(loss.detach()), int(mask.sum()))
    run.finish()


if __name__ == "__main__":
    main()
