"""The onnxruntime back end: the embedded model, and any sequence classifier that was exported to ONNX.

The only file that imports onnxruntime. Knows nothing of where a folder comes from or whether it is what its card says.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.early import EarlyScorer, Hidden
from models.score import Card, Late, NoModel
from models.transformer import Ids, Logits, TransformerScorer


class OnnxScorer(TransformerScorer):
    """A model of (batch, tokens) int64 inputs, named as the hub names them, and one output of logits."""

    def __init__(self, card: Card, weights: Path, tokenizer: Any, threads: int = 1) -> None:
        """Loads `weights`, an .onnx file. Raises `NoModel` if it is none, or wants inputs that a text does not give."""
        super().__init__(card, tokenizer)
        self._session = _session(weights, threads)
        self._wants = tuple(one.name for one in self._session.get_inputs())
        self._gives = self._session.get_outputs()[0].name
        odd = set(self._wants) - {"input_ids", "attention_mask", "token_type_ids"}
        if odd:
            raise NoModel(f"{weights}: wants {', '.join(sorted(odd))}; a text gives input_ids and attention_mask. "
                          "Export it as a sequence classifier.")
        _check(weights, self._session.get_outputs()[0], len(card.labels))

    def logits(self, ids: Ids, mask: Ids) -> Logits:
        """(batch, labels)."""
        all_inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        out: Logits = self._session.run([self._gives], {name: all_inputs[name] for name in self._wants})[0]
        return out


class EarlyOnnxScorer(EarlyScorer):
    """A network in two graphs: ids and mask to early logits and hidden states; these and the mask to late logits."""

    def __init__(self, card: Card, late: Late, graphs: Sequence[Path], tokenizer: Any, threads: int = 1) -> None:
        """Loads `graphs`, the lower and the upper one. Raises `NoModel` if they are none, or not two such halves."""
        super().__init__(card, late, tokenizer)
        self._sessions = [_session(graph, threads) for graph in graphs]
        for graph, session, wants, gives in zip(
                graphs, self._sessions, (("input_ids", "attention_mask"), ("hidden", "attention_mask")),
                (("logits", "hidden"), ("logits",)), strict=True):
            seen = (tuple(one.name for one in session.get_inputs()), tuple(one.name for one in session.get_outputs()))
            if seen != (wants, gives):
                raise NoModel(f"{graph}: expected a half that turns {' and '.join(wants)} into {' and '.join(gives)}, "
                              f"found {' and '.join(seen[0])} into {' and '.join(seen[1])}")
            _check(graph, session.get_outputs()[0], len(card.labels))
        given, taken = self._sessions[0].get_outputs()[1].shape[-1], self._sessions[1].get_inputs()[0].shape[-1]
        if given != taken:
            raise NoModel(f"{graphs[1]}: takes hidden states {taken} wide, {graphs[0]} gives {given}: no halves of one")

    def lower(self, ids: Ids, mask: Ids) -> tuple[Logits, Hidden]:
        """Early logits, (batch, labels), and hidden states, (batch, tokens, width)."""
        logits, hidden = self._sessions[0].run(None, {"input_ids": ids, "attention_mask": mask})
        return logits, hidden

    def upper(self, hidden: Hidden, mask: Ids) -> Logits:
        """Late logits, (batch, labels)."""
        logits: Logits = self._sessions[1].run(None, {"hidden": hidden, "attention_mask": mask})[0]
        return logits


def _check(graph: Path, output: Any, labels: int) -> None:
    """Whether an output can be logits. Raises `NoModel`."""
    if len(output.shape) != 2 or (isinstance(output.shape[1], int) and output.shape[1] != labels):
        raise NoModel(f"{graph}: gives {output.name} of shape {output.shape}, expected (texts, {labels}): no sequence "
                      f"classifier of {labels} classes")


def _session(weights: Path, threads: int) -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # again: whoever came here without models/__init__ is meant too
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Every batch has its own shape: remembered patterns would only fill memory.
    options.enable_mem_pattern = False
    # A waiting thread must not burn the core that the event loop lives on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # The fused kernel takes ten times as long as the sum and the norm apart, on a processor: 29 % of our model.
        return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"],
                                            disabled_optimizers=["SkipLayerNormFusion"])
    except Exception as error:  # onnxruntime raises classes of its own, by kind of damage
        raise NoModel(f"{weights}: onnxruntime cannot load it ({error})") from error
