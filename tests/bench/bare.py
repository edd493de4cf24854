"""The bare loop: tokenizer and onnxruntime on some texts, and nothing around them. Prints texts/s.

    python -m tests.bench.bare TEXTS.json THREADS
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import models
from models.batch import plan
from models.registry import EMBEDDED, tokenizer_of
from models.text import normalise
from models.transformer import BATCH_POSTS, BATCH_TOKENS, padded

CHUNK = 256  # texts that are sorted by length together, as in the worker


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
        ids = tokenizer(read, truncation=True, max_length=most, return_attention_mask=False)["input_ids"]
        for batch in plan([len(one) for one in ids], BATCH_TOKENS, BATCH_POSTS):
            scorer.logits(*padded([ids[at] for at in batch], scorer.card.pad))
        done += len(read) if began_s else 0
    print(done / (time.monotonic() - began_s))


if __name__ == "__main__":
    main()
