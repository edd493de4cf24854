"""Watch: what goes into parts of a network while it reads some texts.

Knows nothing of what is done with it: the ranges of int8 scales, or which neurons say most.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.recipes.network import Network
from models.recipes.train import padded

BATCH = 32


def watch(network: Network, ids: Sequence[list[int]], parts: Mapping[str, nn.Module],
          see: Callable[[str, Tensor], None]) -> None:
    """Has `see` told, batch by batch, a part's name and its input of every token: (tokens, channels), padding apart."""
    live = torch.zeros(0)

    def hook(name: str) -> Any:
        return lambda _, inputs: see(name, inputs[0][live])

    hooks = [part.register_forward_pre_hook(hook(name)) for name, part in parts.items()]
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            tokens, mask = padded([ids[at] for at in order[start:start + BATCH]])
            live = mask.bool()
            network(tokens, mask)
    for one in hooks:
        one.remove()
