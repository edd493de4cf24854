"""The tutorial way: a Faust agent that asks a `transformers` pipeline once a post. Beside it, ours.

    python -m tests.bench.tutorial BROKERS TOPIC MODEL COUNT     prints posts/s
"""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.score import kafka_to_kafka
from tests.bench.stage import Bench, fill, written
from tests.bench.table import Row
from tests.faults.kafka import ROOT

NAME, BUDGET = "our score worker against the tutorial way", ">= 4x"
POSTS = 2000
WARM = 50
LAYERS, WIDTH, HEADS, INNER = 12, 384, 12, 1536  # the base of the embedded model


def against(bench: Bench) -> Row:
    """The same posts from the same Kafka, one after the other through fp32 torch."""
    if importlib.util.find_spec("torch") is None:
        return Row(NAME, BUDGET, "needs denyut[torch]", None, "a Faust agent with one pipeline call a post")
    if bench.capacity is None:
        bench.capacity = kafka_to_kafka(bench)
    settings, count = bench.topics(), min(bench.size(POSTS), len(bench.posts))
    fill(settings.brokers, settings.topic("posts"), written(bench.posts[:count]))
    model = pipeline_model(bench.folder / "tutorial", LAYERS)
    done = subprocess.run([sys.executable, "-m", "tests.bench.tutorial", settings.brokers, settings.topic("posts"),
                           str(model), str(count)], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    theirs = float(done.stdout.split()[-1])
    times = bench.capacity / theirs
    return Row(NAME, BUDGET, f"{times:.1f}x", times >= 4,
               f"{bench.capacity:.0f} posts/s against {theirs:.0f} of a Faust agent that calls "
               f"`pipeline(\"sentiment-analysis\")` once a post: fp32 torch, {LAYERS} layers of {WIDTH}, the same "
               "tokenizer, random weights (they cost the same), one thread")


def pipeline_model(folder: Path, layers: int) -> Path:
    """A network of the base's shape as transformers knows it, with the embedded tokenizer; the folder."""
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from models.registry import EMBEDDED

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(EMBEDDED / "tokenizer.json"), model_max_length=512,
                                        model_input_names=["input_ids", "attention_mask"])
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=layers,
                        num_attention_heads=HEADS, intermediate_size=INNER, num_labels=3)
    tokenizer.save_pretrained(folder)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def main() -> None:
    """The worker of a tutorial; ends itself when it has scored all."""
    import faust
    import torch
    from transformers import pipeline

    brokers, topic, model, count = sys.argv[1:]
    torch.set_num_threads(1)
    classify = pipeline("sentiment-analysis", model=model, device="cpu")
    app = faust.App("tutorial", broker=f"kafka://{brokers}", web_enabled=False, topic_disable_leader=True,
                    consumer_auto_offset_reset="earliest", value_serializer="json")
    posts, scored = app.topic(topic, key_type=bytes), app.topic(topic.replace(".posts", ".rejects"))

    @app.agent(posts)  # type: ignore[untyped-decorator]
    async def score(stream: Any) -> None:
        began_s, seen = 0.0, 0
        async for post in stream:
            verdict = classify(post["text"])[0]
            await scored.send(value={"id": post["id"], **verdict})
            seen += 1
            if seen == WARM:
                began_s = time.monotonic()
            if seen == int(count):
                print((seen - WARM) / (time.monotonic() - began_s), file=sys.__stdout__, flush=True)
                os._exit(0)  # past Faust's own long goodbye

    faust.Worker(app, loglevel="warning").execute_from_commandline()


if __name__ == "__main__":
    main()
