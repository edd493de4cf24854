"""The torch back end: any sequence classifier of transformers in a folder. Needs the extra `denyut[torch]`.

The only serving file that imports torch. Ten times slower than an exported int8 model; meant for trying models out.
"""

from pathlib import Path
from typing import Any

from models.score import Card, NoModel
from models.transformer import Ids, Logits, TransformerScorer


class TorchScorer(TransformerScorer):
    """A `...ForSequenceClassification`, float32, on the CPU."""

    def __init__(self, card: Card, folder: Path, tokenizer: Any, threads: int = 1) -> None:
        """Loads the weights of `folder`. Raises `NoModel` without torch, or if they are no sequence classifier's."""
        super().__init__(card, tokenizer)
        try:
            import torch
            from transformers import AutoModelForSequenceClassification
        except ImportError as error:
            raise NoModel(f"{folder}: there is no ONNX file in it, and weights of PyTorch need PyTorch. "
                          "Install denyut[torch], or export the model to ONNX.") from error
        torch.set_num_threads(threads)
        try:
            self._model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise NoModel(f"{folder}: transformers cannot load it as a sequence classifier ({error})") from error
        self._torch = torch

    def logits(self, ids: Ids, mask: Ids) -> Logits:
        """(batch, labels)."""
        torch = self._torch
        with torch.inference_mode():
            out = self._model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        logits: Logits = out.logits.float().numpy()
        return logits
