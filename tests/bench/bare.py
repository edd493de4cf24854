"""The bare loop: tokenizer and onnxruntime on some texts, and nothing around them. Prints texts/s.

    python -m tests.bench.bare TEXTS.json THREADS
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import models
from models.batch import plan
from models.early import EarlyScorer, stacked
from models.registry import EMBEDDED, tokenizer_of
from models.text import normalise
from models.transformer import BATCH_POSTS, BATCH_TOKENS, padded

CHUNK = 256  # texts that are sorted by length together, as in the worker


def answer(scorer: EarlyScorer, ids: Sequence[Sequence[int]]) -> None:
    """Both halves: the upper one for the texts that the lower one is unsure of."""
    late = scorer.card.late
    assert late is not None
    waiting: list[Any] = []
    for batch in plan([len(one) for one in ids], BATCH_TOKENS, BATCH_POSTS):
        logits, hidden = scorer.lower(*padded([ids[at] for at in batch], scorer.card.pad))
        powers = np.exp(logits / scorer.card.temperature)
        unsure = (powers / powers.sum(1, keepdims=True)).max(1) < late.threshold
        waiting += [hidden[place, :len(ids[batch[place]])] for place in np.flatnonzero(unsure)]
    for batch in plan([len(one) for one in waiting], BATCH_TOKENS, BATCH_POSTS):
        scorer.upper(*stacked([waiting[at] for at in batch]))


def main() -> None:
    """Measures all chunks but the first."""
    texts, threads = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    scorer: Any = models.load(threads=threads)
    tokenizer, most = tokenizer_of(EMBEDDED), scorer.card.max_tokens
    began_s, done = 0.0, 0
    for start in range(0, len(texts), CHUNK):
        if start == CHUNK:
            began_s = time.monotonic()
        read = [normalise(text) for text in texts[start:start + CHUNK]]
        answer(scorer, tokenizer(read, max_length=most)["input_ids"])
        done += len(read) if began_s else 0
    print(done / (time.monotonic() - began_s))


if __name__ == "__main__":
    main()
