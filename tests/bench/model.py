"""The model's speed: depths, widths and the usual ways to run one, on the same posts, in one run.

    python -m tests.bench.model [--posts 256] [--rounds 5] [--write]

Posts are the demo's public, each text once. All but the embedded model have random weights: they cost the same. One
thread; in each round all take turns, and a row shows its median and the median of the ratios to the embedded model, so
that a noisy machine is noisy to all. Needs `denyut[torch]`. `--write` puts the table into `tests/bench/README.md`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import onnx
import torch

import models
from models.onnx_backend import OnnxScorer
from models.recipes.export import Part, built, ranges
from models.recipes.network import Network
from models.recipes.train import has_bf16
from models.recipes.train import padded as as_tensors
from models.registry import EMBEDDED, tokenizer_of
from models.score import EFFORTS, Card
from models.text import normalise
from models.transformer import padded, planned
from streams.settings import Settings
from tests.bench.posts import distinct
from tests.bench.table import machine
from tests.bench.tutorial import pipeline_model
from tests.readme import BENCH, put

# Layers, and the width of their feed-forward parts.
DEPTHS = ((12, 1536), (8, 1536), (6, 1536), (4, 1536), (8, 1024), (4, 1024), (8, 768))
SAMPLE = 64  # texts for the ranges of activations
Way = Callable[[], object]
Ids = list[list[int]]


def network(layers: int, inner: int, pieces: int) -> Network:
    """A network of random weights."""
    torch.manual_seed(0)
    net = Network(pieces, [layers], inner=inner)
    net.eval()
    return net


def exported(layers: int, inner: int, ids: Ids, pieces: int, folder: Path, precision: str) -> OnnxScorer:
    """Such a network in onnxruntime."""
    net, path = network(layers, inner, pieces), folder / f"{layers}-{inner}-{precision}.onnx"
    onnx.save(built(net, Part(0, layers), ranges(net, ids[:SAMPLE]) if precision == "int8" else None), path)
    return OnnxScorer(Card(name=path.stem), path, tokenizer=None)


def eager(layers: int, ids: Ids, pieces: int, *, half: bool) -> Way:
    """Such a network in torch, in the same batches."""
    net = network(layers, 1536, pieces)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            for batch in planned(ids):
                net(*as_tensors([ids[at] for at in batch]))
    return run


def one_by_one(layers: int, texts: Sequence[str], folder: Path) -> Way:
    """The tutorial way: transformers' pipeline, called once a post."""
    from transformers import pipeline

    classify: Any = pipeline("sentiment-analysis", model=pipeline_model(folder / f"hub-{layers}", layers), device="cpu")
    return lambda: [classify(text) for text in texts]


def ways(texts: Sequence[str], folder: Path) -> dict[str, Way]:
    """Everything that is measured, by name; the embedded model first."""
    tokenizer = tokenizer_of(EMBEDDED)
    pieces = len(tokenizer)
    ids: Ids = tokenizer([normalise(text) for text in texts], truncation=True, max_length=96,
                         return_attention_mask=False)["input_ids"]
    out: dict[str, Way] = {}
    for effort in sorted(EFFORTS, key=lambda one: one != "balanced"):
        out[f"the embedded model, {effort}, from text"] = partial(models.load(effort=effort).score, texts)
    whole: Any = models.load()
    out["the same, balanced, text by text"] = lambda: [whole.score([text]) for text in texts]
    for layers, inner in DEPTHS:
        scorer = exported(layers, inner, ids, pieces, folder, "int8")
        out[f"int8, {layers} layers, feed-forward {inner}"] = partial(scorer.judged, ids)
    deepest: Any = exported(12, 1536, ids, pieces, folder, "int8")
    out["int8, 12 layers, in order of arrival"] = lambda: [
        deepest.logits(*padded(ids[at:at + 32], 1)) for at in range(0, len(ids), 32)]
    floats = exported(12, 1536, ids, pieces, folder, "fp32")
    out["onnxruntime fp32, 12 layers"] = lambda: floats.judged(ids)
    out["torch fp32, 12 layers"] = eager(12, ids, pieces, half=False)
    if has_bf16():
        out["torch bfloat16, 12 layers"] = eager(12, ids, pieces, half=True)
    for layers in (12, 6):
        out[f"transformers.pipeline(), {layers} layers, text by text"] = one_by_one(layers, texts, folder)
    return out


def measured(found: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds, and the speed against the first one's, by name."""
    took: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, way in found.items():
            began_s = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - began_s)
    first = next(iter(took.values()))
    return {name: (statistics.median(some), statistics.median(a / b for a, b in zip(first, some, strict=True)))
            for name, some in took.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into tests/bench/README.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    texts = [post.text for post in distinct(args.posts, Settings().read_brands())]
    tokens = sum(map(len, tokenizer_of(EMBEDDED)([normalise(text) for text in texts])["input_ids"]))
    lines = ["| way | posts/s | tokens/s | against the embedded model |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, (took_s, ratio) in measured(ways(texts, Path(folder)), args.rounds).items():
            lines.append(f"| {name} | {len(texts) / took_s:.0f} | {tokens / took_s:,.0f} | {ratio:.2f} |")
            sys.stderr.write(lines[-1] + "\n")
    said = "\n".join([*lines, "", f"`python -m tests.bench.model` on one core of {machine()}; {len(texts)} posts of "
                                  f"{tokens / len(texts):.0f} tokens."])
    print(said)
    if args.write:
        put(BENCH, {"model": said})


if __name__ == "__main__":
    main()
