"""Merge: the mean of the weights of twins, runs of one start that saw their rows in different orders.

    python -m models.recipes.merge OUT MODEL.pt MODEL.pt ...

Twins of one start end in one valley, where the mean is better than each, at no cost in use (model soups, Wortsman et
al. 2022). Two of them keep two cores busy without waiting for one another.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from models.recipes.whole import write_whole


def merge(models: Sequence[Path], out: Path) -> None:
    """Writes the mean of some networks of one shape."""
    states = [torch.load(path) for path in models]
    out.parent.mkdir(parents=True, exist_ok=True)
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    write_whole(out, lambda part: torch.save(mean, part))


if __name__ == "__main__":
    merge([Path(one) for one in sys.argv[2:]], Path(sys.argv[1]))
