"""Export: a trained network becomes ONNX graphs, int8 and without torch.

    python -m models.recipes.export --base BASE --data DATA --weights MODEL.pt --exits 4,8 --out FOLDER

A network with two exits becomes two graphs: model.onnx, from ids to early logits and hidden states, and late.onnx, from
these to late logits. With one exit there is model.onnx alone.

The graphs are written by hand from onnxruntime's own operators, which spares a tracer, an optimiser and a quantiser:

- weights int8, one scale per output channel, within +-64: without VNNI two products of u8 and s8 are added in 16 bits,
  and full-range weights overflow there without a word;
- activations uint8 with scales measured once, on training texts. Scales taken from each batch, the usual way, let a
  score move with its neighbours in the batch. A few channels of the feed-forward products are 30 times wider than the
  others: there channels are narrowed and their weights widened (SmoothQuant, Xiao et al. 2023). With the exponent 0.7
  on both products a score moves from fp32 by 0.013 on average; with 0.5 on the first alone by 0.025, with none by 0.03;
- word embeddings int8, one scale per row; norms, pooling and heads in float32.

The same graphs in float32 (`--precision fp32`) are what the eight bits are compared with.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from models.recipes.data import labelled
from models.recipes.network import HEADS, WIDTH, Network
from models.recipes.watch import watch
from models.recipes.whole import write_json
from models.registry import digest
from models.score import LABELS

Array = npt.NDArray[Any]
Range = tuple[Array, Array]  # lowest and highest value of each channel
MICROSOFT = "com.microsoft"
EPS = 1e-12
LATE = "late.onnx"
MAX_TOKENS = 96  # a longer text is cut
POSITIONS = 128  # of the base's 512: no text is longer
SMOOTHING = 0.7
SAMPLE_TEXTS = 1024


def ranges(network: Network, ids: Sequence[list[int]]) -> dict[str, Range]:
    """Lowest and highest input of each channel of each quantised product over some texts, 0 included; by name."""
    seen: dict[str, Range] = {}

    def see(name: str, value: torch.Tensor) -> None:
        low, high = seen.get(name, (np.float32(0), np.float32(0)))
        seen[name] = (np.minimum(low, value.numpy().min(0)), np.maximum(high, value.numpy().max(0)))

    watch(network, ids, {f"l{at}.{part}": getattr(layer, part)
                         for at, layer in enumerate(network.layers) for part in ("q", "ao", "fi", "fo")}, see)
    return seen


def smoothing(reach: Range, weight: Array) -> Array:
    """What to divide each channel of an activation by, and multiply the weights with: (channels,)."""
    wide = np.maximum(np.maximum(-reach[0], reach[1]), 1e-5)
    smooth: Array = wide**SMOOTHING / np.maximum(np.abs(weight).max(0), 1e-5) ** (1 - SMOOTHING)
    return smooth.astype(np.float32)


def narrowed(weight: Array, top: int) -> tuple[Array, Array]:
    """int8 in +-top with one scale per row: (rows, columns) and (rows,)."""
    scale = np.maximum(np.abs(weight).max(1), 1e-12) / top
    return np.rint(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)


class Graph:
    """An ONNX graph that grows: constants and nodes by name."""

    def __init__(self, reach: dict[str, Range]) -> None:
        self._reach = reach
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def const(self, name: str, value: Array) -> str:
        """A constant."""
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: Sequence[str], out: str, domain: str = "", **attributes: Any) -> str:
        """A node of one output."""
        self._nodes.append(helper.make_node(op, inputs, [out], name=out, domain=domain, **attributes))
        return out

    def quantised(self, x: str, name: str, smooth: Array | float = 1.0) -> tuple[str, str, str]:
        """x as uint8, with the names of its scale and zero point; `smooth`: by what x was divided."""
        lows, highs = self._reach[name]
        low, high = float((lows / smooth).min()), float((highs / smooth).max())
        scale = (high - low) / 255
        scales = self.const(f"{name}.scale", np.array(scale, np.float32))
        zero = self.const(f"{name}.zero", np.array(round(-low / scale), np.uint8))
        return self.node("QuantizeLinear", [x, scales, zero], f"{name}.u8"), scales, zero

    def smoothed(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """x @ weight.T + bias in int8, after smoothing."""
        smooth = smoothing(self._reach[name], weight)
        x = self.node("Mul", [x, self.const(f"{name}.smooth", 1 / smooth)], f"{name}.x")
        return self.product(x, name, weight * smooth, bias, smooth)

    def product(self, x: str, name: str, weight: Array, bias: Array, smooth: Array | float = 1.0) -> str:
        """x @ weight.T + bias in int8; weight is (out, in)."""
        small, scale = narrowed(weight, 64)
        x8, x_scale, x_zero = self.quantised(x, name, smooth)
        w8 = self.const(f"{name}.w", np.ascontiguousarray(small.T))
        return self.node("MatMulIntegerToFloat", [
            x8, w8, x_scale, self.const(f"{name}.w.scale", scale), x_zero, "", self.const(f"{name}.bias", bias)],
            f"{name}.y", MICROSOFT)

    def attention(self, x: str, at: int, weights: dict[str, Array]) -> str:
        """Attention of layer `at` without its output projection."""
        name = f"l{at}.q"
        whole, bias = queries(at, weights)
        small, scale = narrowed(whole, 64)
        x8, x_scale, x_zero = self.quantised(x, name)
        return self.node("QAttention", [
            x8, self.const(f"{name}.w", np.ascontiguousarray(small.T)), self.const(f"{name}.bias", bias), x_scale,
            self.const(f"{name}.w.scale", scale), "mask32", x_zero,
            self.const(f"{name}.w.zero", np.zeros(3 * WIDTH, np.int8))],
            f"l{at}.mixed", MICROSOFT, num_heads=HEADS, unidirectional=0)

    def layer(self, x: str, at: int, weights: dict[str, Array]) -> str:
        """One post-norm layer."""
        def of(part: str) -> Array:
            return weights[f"layers.{at}.{part}"]

        def normed(y: str, skip: str, norm: str) -> str:
            # Not SkipLayerNormalization, which does both at once: it took ten times as long, 29 % of the whole.
            total = self.node("Add", [y, skip], f"l{at}.{norm}.sum")
            return self.node("LayerNormalization", [
                total, self.const(f"l{at}.{norm}.w", of(f"{norm}.weight")),
                self.const(f"l{at}.{norm}.b", of(f"{norm}.bias"))], f"l{at}.{norm}", axis=-1, epsilon=EPS)

        mixed = self.attention(x, at, weights)
        x = normed(self.product(mixed, f"l{at}.ao", of("ao.weight"), of("ao.bias")), x, "aln")
        inner = self.node("Gelu", [self.smoothed(x, f"l{at}.fi", of("fi.weight"), of("fi.bias"))], f"l{at}.gelu",
                          MICROSOFT)
        return normed(self.smoothed(inner, f"l{at}.fo", of("fo.weight"), of("fo.bias")), x, "oln")

    def words(self, weights: dict[str, Array]) -> str:
        """Word embeddings of the ids."""
        words, scale = narrowed(weights["word.weight"], 127)
        word = self.node("Cast", [self.node("Gather", [self.const("word", words), "input_ids"], "word.s8")], "word.f32",
                         to=TensorProto.FLOAT)
        scale_of = self.node("Gather", [self.const("word.scale", scale[:, None]), "input_ids"], "word.scale.of")
        return self.node("Mul", [word, scale_of], "word.of")

    def embedded(self, weights: dict[str, Array]) -> str:
        """Word and position embeddings, normed."""
        word = self.words(weights)
        length = self.node("Shape", ["input_ids"], "length", start=1, end=2)
        positions = self.const("pos", weights["pos.weight"][:POSITIONS])
        position = self.node("Slice", [positions, self.const("zero", np.array([0])), length], "pos.of")
        whole = self.node("Add", [word, position], "embedded")
        norm = [self.const("ln.w", weights["ln.weight"]), self.const("ln.b", weights["ln.bias"])]
        return self.node("LayerNormalization", [whole, *norm], "ln", axis=-1, epsilon=EPS)

    def judged(self, x: str, weights: dict[str, Array], exit_: int) -> str:
        """Masked mean, then the head of an exit."""
        keep = self.node("Cast", ["attention_mask"], "keep.f32", to=TensorProto.FLOAT)
        keep = self.node("Unsqueeze", [keep, self.const("last", np.array([-1]))], "keep")
        tokens = self.const("tokens", np.array([1]))
        total = self.node("ReduceSum", [self.node("Mul", [x, keep], "kept"), tokens], "sum", keepdims=0)
        count = self.node("ReduceSum", [keep, tokens], "count", keepdims=0)
        pooled = self.node("Div", [total, count], "pooled")
        head = [self.const(f"head.{of}", weights[f"heads.{exit_}.{of}"]) for of in ("weight", "bias")]
        return self.node("Gemm", [pooled, *head], "logits", transB=1)

    def model(self, part: "Part") -> onnx.ModelProto:
        """The whole, checked. Inputs as hub models name them: input_ids, attention_mask, (batch, tokens) int64."""
        mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "tokens"])
        hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", WIDTH])
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
        graph = helper.make_graph(self._nodes, "denyut", [hidden if part.first else ids, mask],
                                  [logits, hidden] if part.goes_on else [logits], self._constants)
        model = helper.make_model(graph, ir_version=8, producer_name="denyut", opset_imports=[
            helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)])
        onnx.checker.check_model(model)
        return model


class FloatGraph(Graph):
    """The same in float32."""

    def __init__(self) -> None:
        super().__init__({})

    def words(self, weights: dict[str, Array]) -> str:
        """Word embeddings of the ids."""
        return self.node("Gather", [self.const("word", weights["word.weight"]), "input_ids"], "word.of")

    def smoothed(self, x: str, name: str, weight: Array, bias: Array) -> str:
        """x @ weight.T + bias."""
        return self.product(x, name, weight, bias)

    def product(self, x: str, name: str, weight: Array, bias: Array, smooth: Array | float = 1.0) -> str:
        """x @ weight.T + bias."""
        del smooth
        y = self.node("MatMul", [x, self.const(f"{name}.w", np.ascontiguousarray(weight.T))], f"{name}.y")
        return self.node("Add", [y, self.const(f"{name}.bias", bias)], f"{name}.z")

    def attention(self, x: str, at: int, weights: dict[str, Array]) -> str:
        """Attention of layer `at` without its output projection."""
        whole, bias = queries(at, weights)
        return self.node("Attention", [
            x, self.const(f"l{at}.q.w", np.ascontiguousarray(whole.T)), self.const(f"l{at}.q.bias", bias), "mask32"],
            f"l{at}.mixed", MICROSOFT, num_heads=HEADS, unidirectional=0)


def queries(at: int, weights: dict[str, Array]) -> tuple[Array, Array]:
    """Weights and biases of queries, keys and values of layer `at`, one below the other."""
    return (np.concatenate([weights[f"layers.{at}.{part}.weight"] for part in "qkv"]),
            np.concatenate([weights[f"layers.{at}.{part}.bias"] for part in "qkv"]))


@dataclass(frozen=True, slots=True)
class Part:
    """A run of layers with the answer after its last one."""

    first: int  # layers before it; 0: it begins with ids
    last: int  # an exit
    goes_on: bool = False  # it gives its hidden states too


def parts(exits: Sequence[int]) -> dict[str, Part]:
    """The graphs of a network, by file.

    >>> parts([4, 8])["late.onnx"]
    Part(first=4, last=8, goes_on=False)
    """
    if len(exits) == 1:
        return {"model.onnx": Part(0, exits[0])}
    early, late = exits
    return {"model.onnx": Part(0, early, goes_on=True), LATE: Part(early, late)}


def built(network: Network, part: Part, reach: dict[str, Range] | None) -> onnx.ModelProto:
    """The graph of a part of a network: int8, given the ranges of its activations, else float32."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    graph = FloatGraph() if reach is None else Graph(reach)
    graph.node("Cast", ["attention_mask"], "mask32", to=TensorProto.INT32)
    x = "hidden" if part.first else graph.embedded(weights)
    for at in range(part.first, part.last):
        x = graph.layer(x, at, weights)
    graph.judged(x, weights, part.last)
    if part.goes_on:
        graph.node("Identity", [x], "hidden")
    return graph.model(part)


def read(base: Path, weights: Path, exits: Sequence[int]) -> tuple[Network, Any]:
    """The trained network with these exits, as wide as its weights are, and its tokenizer as it serves."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    state = torch.load(weights)
    network = Network(tokenizer.get_vocab_size(), exits, inner=len(state["layers.0.fi.bias"]))
    network.load_part(state)
    return network.eval(), tokenizer


def sampled(data: Path, tokenizer: Any) -> list[list[int]]:
    """The tokens of some training texts, to see what a network does with them."""
    rows = [row for row in labelled(data, "train") if row.source != "umsab"]
    rows = rows[::max(len(rows) // SAMPLE_TEXTS, 1)]
    return [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])]


def export(base: Path, data: Path, weights: Path, exits: Sequence[int], out: Path, precision: str = "int8") -> None:
    """Writes the folder of a model that can be loaded; its card is bare."""
    out.mkdir(parents=True, exist_ok=True)
    network, tokenizer = read(base, weights, exits)
    reach = None if precision == "fp32" else ranges(network, sampled(data, tokenizer))
    (out / "card.json").unlink(missing_ok=True)  # written last: where it is, the folder is whole
    for name, part in parts(exits).items():
        onnx.save(built(network, part, reach), out / name)
    shutil.copyfile(base / "tokenizer.json", out / "tokenizer.json")
    card: dict[str, Any] = {"name": out.name, "labels": LABELS, "max_tokens": MAX_TOKENS, "normalised": True}
    card |= {"digest": digest([out / name for name in parts(exits)]),
             "tokenizer_digest": digest([out / "tokenizer.json"])}
    if len(exits) > 1:
        card["late"] = {"file": LATE, "threshold": 0.9}
    write_json(out / "card.json", card)


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("base", "data", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--exits", default="4,8")
    parser.add_argument("--precision", choices=["int8", "fp32"], default="int8")
    args = parser.parse_args()
    exits = [int(one) for one in args.exits.split(",")]
    export(args.base, args.data, args.weights, exits, args.out, args.precision)
    print(", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted(args.out.glob("*.onnx"))))


if __name__ == "__main__":
    main()
