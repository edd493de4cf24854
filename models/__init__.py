"""Models: text in, score out. `load` gives a `Scorer`: the embedded model, an exported folder, or one from a hub.

Nothing heavy is imported before a model is loaded. Knows nothing of posts, brands or Kafka.
"""

import os

from models.score import Card, Effort, NoModel, Score, Scorer

# onnxruntime 1.29 and later send telemetry from Linux unless this stands before their first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Card", "Effort", "NoModel", "Score", "Scorer", "load"]


def load(name: str = "", *, threads: int = 1, effort: Effort = "balanced") -> Scorer:
    """The model of that name: "" the embedded one, else a folder, else a name on the Hugging Face hub.

    `threads`: cores that one call of `score` may use. The scorer belongs to one thread at a time. `effort`: of a model
    that can answer early, whether all texts do ("fast"), none ("exact") or the sure ones.
    Raises `NoModel`, saying what to do, when it cannot be had.
    """
    from models.registry import find

    return find(name, threads, effort)
