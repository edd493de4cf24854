"""Pieces: a bare tokenizer.json at work.

Answers as a fast tokenizer of transformers does, whose engine it is, and spares its import: a second at every start,
two where torch is installed. Knows nothing of models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.score import NoModel


class Pieces:
    """Confined to one thread: a shared one raises."""

    pad_token_id = None  # a tokenizer.json does not say; the card does

    def __init__(self, path: Path) -> None:
        """Reads a tokenizer.json. Raises `NoModel` if it is none."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library's own, which have no name
            raise NoModel(f"{path}: no tokenizer ({error})") from error
        self._tokenizer.no_padding()

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str], max_length: int | None = None, **_: Any) -> dict[str, list[list[int]]]:
        """The ids of each text, the specials among them; cut to `max_length`."""
        if max_length is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(max_length)
        return {"input_ids": [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]}
