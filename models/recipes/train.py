"""Fine-tuning: the base becomes a judge of sentiment. Read it from top to bottom.

    python -m models.recipes.train --base BASE --data DATA --out OUT [--KNOB VALUE ...]

Two stages of one epoch each: `--stage small` (12,000 English tweets, SmSA, NusaX in five languages), then `--stage all
--start OUT/model.pt --lr 2e-4` (every labelled row; of UMSAB as much as `--umsab` says). OUT gets model.pt, knobs.json
and a checkpoint every few minutes; the same command goes on from it. One AVX2 core learns from 750 tokens a second.
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
    umsab: float = 0.0  # share of UMSAB's rows in the stage `all`
    lr: float = 1e-4
    head_lr: float = 5.0  # times lr, for a fresh head
    batch: int = 32
    tokens: int = 64  # a text's longest
    warmup: float = 0.06  # share of the steps
    decay: float = 0.01  # on matrices
    dropout: float = 0.1
    clip: float = 1.0  # norm of the gradient, embeddings apart
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
    rows = [row for row in rows if row.source != "umsab" or rng.random() < knobs.umsab]
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


class Optimiser:
    """AdamW for the network; lazy Adam for the word embeddings, of which only the rows of a batch move."""

    def __init__(self, network: Network, knobs: Knobs, steps: int) -> None:
        named = [(name, p) for name, p in network.named_parameters() if not name.startswith("word")]
        head = [p for name, p in named if name.startswith("head")]
        matrices = [p for name, p in named if p.ndim > 1 and not name.startswith(("head", "pos"))]
        others = [p for name, p in named if not name.startswith("head") and (p.ndim < 2 or name.startswith("pos"))]
        head_lr = knobs.lr * (1.0 if knobs.start else knobs.head_lr)
        self._dense = torch.optim.AdamW([
            {"params": matrices, "weight_decay": knobs.decay, "lr": knobs.lr},
            {"params": others, "weight_decay": 0.0, "lr": knobs.lr},
            {"params": head, "weight_decay": knobs.decay, "lr": head_lr}], betas=(0.9, 0.98))
        self._lazy = torch.optim.SparseAdam([network.word.weight], lr=knobs.lr, betas=(0.9, 0.98))
        self._clipped = [p for _, p in named]
        self._clip = knobs.clip
        self._paces = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: pace(step, steps, knobs.warmup))
                       for one in (self._dense, self._lazy)]

    def step(self, loss: Tensor) -> None:
        """One step down."""
        self._dense.zero_grad()
        self._lazy.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._clipped, self._clip)
        self._dense.step()
        self._lazy.step()
        for one in self._paces:
            one.step()

    def state(self) -> list[dict[str, Any]]:
        """All that `restore` needs."""
        return [part.state_dict() for part in (self._dense, self._lazy, *self._paces)]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """Goes on from there."""
        for part, saved in zip((self._dense, self._lazy, *self._paces), state, strict=True):
            part.load_state_dict(saved)


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

    network = Network(tokenizer.get_vocab_size(), knobs.layers, knobs.dropout, sparse=True)
    if knobs.start:
        network.load_state_dict(torch.load(knobs.start))
    else:
        network.load_base(base / "base.npz")
    optimiser = Optimiser(network, knobs, len(plan))
    checkpoint, first = out / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        network.load_state_dict(saved["network"])
        optimiser.restore(saved["optimiser"])
        first = saved["step"]

    network.train()
    progress, kept = Progress(first, len(plan)), time.monotonic()
    for step in range(first, len(plan)):
        at = plan[step]
        tokens, mask = padded([ids[i] for i in at])
        # A source without a neutral class says nothing of neutral: its logit is left out there.
        unsaid = torch.tensor([[False, rows[i].two_class, False] for i in at])
        loss = loss_of(network(tokens, mask).masked_fill(unsaid, -1e4), torch.tensor([rows[i].label for i in at]))
        optimiser.step(loss)
        progress.tell(step, float(loss.detach()), int(mask.sum()))
        if time.monotonic() - kept > knobs.save_s:
            kept = time.monotonic()
            torch.save({"network": network.state_dict(), "optimiser": optimiser.state(), "step": step + 1}, checkpoint)
    torch.save(network.state_dict(), out / "model.pt")
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
