"""Teach: what a large network says of every row that a student will learn from.

Writes the logits of its last exit, (rows, 3) float32, in the order of `models.recipes.train.pool`. Run by
`models.recipes.make`.
"""

import time
from pathlib import Path

import numpy as np
import torch

from models.recipes.network import Network
from models.recipes.train import Knobs, Progress, half, padded, pool
from models.recipes.whole import write_whole

BATCH = 64


def answers(network: Network, ids: list[list[int]], bf16: bool) -> np.ndarray:
    """The last exit's logits of each text, (texts, 3)."""
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    out = np.zeros((len(ids), 3), np.float32)
    progress = Progress("teach", 0, -(-len(order) // BATCH))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for start in range(0, len(order), BATCH):
            at = order[start:start + BATCH]
            tokens, mask = padded([ids[one] for one in at])
            out[at] = network(tokens, mask)[-1].numpy()
            progress.tell(start // BATCH, 0.0, int(mask.sum()))
    return out


def teach(knobs: Knobs, weights: Path, out: Path) -> None:
    """Writes the targets of a student stage; `knobs` are the teacher's, with the student's number of posts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(knobs.base) / "tokenizer.json"))
    tokenizer.enable_truncation(knobs.tokens)
    network = Network(tokenizer.get_vocab_size(), knobs.layers)
    network.load_part(torch.load(weights))
    rows = pool(Path(knobs.data), knobs.posts, knobs.limit)
    ids = [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])]
    began_s = time.monotonic()
    said = answers(network.eval(), ids, half(knobs))
    write_whole(out, lambda part: np.save(part, said))
    print(f"{len(rows)} rows in {(time.monotonic() - began_s) / 60:.1f} min")
