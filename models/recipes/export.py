"""Export: a trained network becomes the embedded model, int8 and without torch.

    python -m models.recipes.export --base BASE --data DATA --weights MODEL.pt --out FOLDER

The graph is written by hand from onnxruntime's own operators, which spares a tracer, an optimiser and a quantiser:

- weights int8, one scale per output channel, within +-64: without VNNI two products of u8 and s8 are added in 16 bits,
  and full-range weights overflow there without a word;
- activations uint8 with scales measured once, on training texts. Scales taken from each batch, the usual way, let a
  score move with its neighbours in the batch. A few channels of the feed-forward products are 30 times wider than the
  others: there channels are narrowed and their weights widened (SmoothQuant, Xiao et al. 2023). With the exponent 0.7
  on both products a score moves from fp32 by 0.013 on average; with 0.5 on the first alone by 0.025, with none by 0.03;
- word embeddings int8, one scale per row; norms, pooling and head in float32.

Writes FOLDER/model.onnx, tokenizer.json and card.json (from card.json here, with the digests).
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from models.recipes.data import labelled
from models.recipes.network import HEADS, WIDTH, Network
from models.recipes.train import padded

Array = npt.NDArray[Any]
Range = tuple[Array, Array]  # lowest and highest value of each channel
MICROSOFT = "com.microsoft"
EPS = 1e-12
POSITIONS = 128  # of the base's 512: no text is longer (Card.max_tokens)
SMOOTHING = 0.7
CALIBRATION_TEXTS, CALIBRATION_BATCH = 1024, 32


def ranges(network: Network, ids: Sequence[list[int]]) -> dict[str, Range]:
    """Lowest and highest input of each channel of each quantised product over some texts, 0 included; by name."""
    seen: dict[str, Range] = {}

    def watch(name: str) -> Any:
        def look(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            value = inputs[0][live].numpy()
            low, high = seen.get(name, (np.float32(0), np.float32(0)))
            seen[name] = (np.minimum(low, value.min(0)), np.maximum(high, value.max(0)))
        return look

    hooks = [getattr(layer, part).register_forward_pre_hook(watch(f"l{at}.{part}"))
             for at, layer in enumerate(network.layers) for part in ("q", "ao", "fi", "fo")]
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    with torch.no_grad():
        for start in range(0, len(order), CALIBRATION_BATCH):
            tokens, mask = padded([ids[at] for at in order[start:start + CALIBRATION_BATCH]])
            live = mask.bool()
            network(tokens, mask)
    for hook in hooks:
        hook.remove()
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

    def smoothed(self, x: str, name: str, weight: Array) -> str:
        """x @ weight.T in int8, after smoothing."""
        smooth = smoothing(self._reach[name], weight)
        x = self.node("Mul", [x, self.const(f"{name}.smooth", 1 / smooth)], f"{name}.x")
        return self.product(x, name, weight * smooth, smooth)

    def product(self, x: str, name: str, weight: Array, smooth: Array | float = 1.0) -> str:
        """x @ weight.T in int8, without bias; weight is (out, in)."""
        small, scale = narrowed(weight, 64)
        x8, x_scale, x_zero = self.quantised(x, name, smooth)
        w8 = self.const(f"{name}.w", np.ascontiguousarray(small.T))
        return self.node("MatMulIntegerToFloat",
                         [x8, w8, x_scale, self.const(f"{name}.w.scale", scale), x_zero], f"{name}.y", MICROSOFT)

    def attention(self, x: str, at: int, weights: dict[str, Array]) -> str:
        """Attention of layer `at` without its output projection."""
        name = f"l{at}.q"
        small, scale = narrowed(np.concatenate([weights[f"layers.{at}.{part}.weight"] for part in "qkv"]), 64)
        bias = np.concatenate([weights[f"layers.{at}.{part}.bias"] for part in "qkv"])
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

        def residual(y: str, skip: str, part: str, norm: str) -> str:
            inputs = [y, skip, self.const(f"l{at}.{norm}.w", of(f"{norm}.weight")),
                      self.const(f"l{at}.{norm}.b", of(f"{norm}.bias")),
                      self.const(f"l{at}.{part}.bias", of(f"{part}.bias"))]
            return self.node("SkipLayerNormalization", inputs, f"l{at}.{norm}", MICROSOFT, epsilon=EPS)

        mixed = self.attention(x, at, weights)
        x = residual(self.product(mixed, f"l{at}.ao", of("ao.weight")), x, "ao", "aln")
        inner = self.smoothed(x, f"l{at}.fi", of("fi.weight"))
        inner = self.node("BiasGelu", [inner, self.const(f"l{at}.fi.bias", of("fi.bias"))], f"l{at}.gelu", MICROSOFT)
        return residual(self.smoothed(inner, f"l{at}.fo", of("fo.weight")), x, "fo", "oln")

    def embedded(self, weights: dict[str, Array]) -> str:
        """Word and position embeddings, normed."""
        words, scale = narrowed(weights["word.weight"], 127)
        word = self.node("Cast", [self.node("Gather", [self.const("word", words), "input_ids"], "word.s8")], "word.f32",
                         to=TensorProto.FLOAT)
        scale_of = self.node("Gather", [self.const("word.scale", scale[:, None]), "input_ids"], "word.scale.of")
        word = self.node("Mul", [word, scale_of], "word.of")
        length = self.node("Shape", ["input_ids"], "length", start=1, end=2)
        positions = self.const("pos", weights["pos.weight"][:POSITIONS])
        position = self.node("Slice", [positions, self.const("zero", np.array([0])), length], "pos.of")
        whole = self.node("Add", [word, position], "embedded")
        norm = [self.const("ln.w", weights["ln.weight"]), self.const("ln.b", weights["ln.bias"])]
        return self.node("LayerNormalization", [whole, *norm], "ln", axis=-1, epsilon=EPS)

    def judged(self, x: str, weights: dict[str, Array]) -> str:
        """Masked mean, then the head."""
        keep = self.node("Cast", ["attention_mask"], "keep.f32", to=TensorProto.FLOAT)
        keep = self.node("Unsqueeze", [keep, self.const("last", np.array([-1]))], "keep")
        tokens = self.const("tokens", np.array([1]))
        total = self.node("ReduceSum", [self.node("Mul", [x, keep], "kept"), tokens], "sum", keepdims=0)
        count = self.node("ReduceSum", [keep, tokens], "count", keepdims=0)
        pooled = self.node("Div", [total, count], "pooled")
        head = [self.const("head.w", weights["head.weight"]), self.const("head.b", weights["head.bias"])]
        return self.node("Gemm", [pooled, *head], "logits", transB=1)

    def model(self) -> onnx.ModelProto:
        """The whole, checked. Inputs as hub models name them: input_ids, attention_mask, (batch, tokens) int64."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
                  for name in ("input_ids", "attention_mask")]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
        graph = helper.make_graph(self._nodes, "denyut", inputs, outputs, self._constants)
        model = helper.make_model(graph, ir_version=8, producer_name="denyut", opset_imports=[
            helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)])
        onnx.checker.check_model(model)
        return model


def built(network: Network, reach: dict[str, Range]) -> onnx.ModelProto:
    """The int8 graph of a network, given the ranges of its activations."""
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    graph = Graph(reach)
    graph.node("Cast", ["attention_mask"], "mask32", to=TensorProto.INT32)
    x = graph.embedded(weights)
    for at in range(len(network.layers)):
        x = graph.layer(x, at, weights)
    graph.judged(x, weights)
    return graph.model()


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Writes the folder."""
    from tokenizers import Tokenizer

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("base", "data", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=6)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    tokenizer.enable_truncation(96)
    network = Network(tokenizer.get_vocab_size(), args.layers)
    network.load_state_dict(torch.load(args.weights))
    network.eval()
    rows = labelled(args.data, "train")
    rows = rows[::max(len(rows) // CALIBRATION_TEXTS, 1)]
    reach = ranges(network, [encoding.ids for encoding in tokenizer.encode_batch([row.text for row in rows])])
    onnx.save(built(network, reach), args.out / "model.onnx")
    shutil.copyfile(args.base / "tokenizer.json", args.out / "tokenizer.json")
    card = json.loads((Path(__file__).parent / "card.json").read_text())
    card |= {"digest": digest(args.out / "model.onnx"), "tokenizer_digest": digest(args.out / "tokenizer.json")}
    (args.out / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    print(f"{args.out / 'model.onnx'}: {(args.out / 'model.onnx').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
