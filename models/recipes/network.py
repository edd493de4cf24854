"""The network: a BERT that can answer early. After some of its layers, the exits, a linear head reads the mean token.

Post-norm, as in the base: LN(x + attention), LN(x + feed-forward), exact GELU, positions from 0. Exits in the manner of
DeeBERT (Xin et al. 2020). Plain torch, nothing hidden. Knows nothing of data, tokenizers or training.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

WIDTH, HEADS, INNER, EPS = 384, 12, 1536, 1e-12


class Layer(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """One layer: attention, then feed-forward, each with its residual and norm."""

    def __init__(self, inner: int, dropout: float) -> None:
        super().__init__()
        self.q, self.k, self.v, self.ao = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.fi, self.fo = nn.Linear(WIDTH, inner), nn.Linear(inner, WIDTH)
        self.aln, self.oln = nn.LayerNorm(WIDTH, EPS), nn.LayerNorm(WIDTH, EPS)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (batch, tokens, width); bias: (batch x heads, 1, tokens), 0 for a token, far below it for padding."""
        q, k, v = (self._heads(part(x)) for part in (self.q, self.k, self.v))
        # Products of three dimensions: those of four leave the fast path of bfloat16 on a processor.
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) * (WIDTH // HEADS) ** -0.5 + bias, dim=-1)
        mixed = torch.bmm(self.drop(weights).to(v.dtype), v).view(x.shape[0], HEADS, x.shape[1], WIDTH // HEADS)
        x = self.aln(x + self.drop(self.ao(mixed.transpose(1, 2).reshape(x.shape))))
        return self.oln(x + self.drop(self.fo(nn.functional.gelu(self.fi(x)))))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        split = x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)
        return split.reshape(x.shape[0] * HEADS, x.shape[1], WIDTH // HEADS)


class Network(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Token ids and mask in, three logits an exit out (negative, neutral, positive)."""

    def __init__(self, pieces: int, exits: Sequence[int], dropout: float = 0.1, inner: int = INNER) -> None:
        """`exits`: after which layers it answers, rising; the last one says how many layers there are.

        `inner`: width of the feed-forward part, the base's unless it was narrowed.
        """
        super().__init__()
        self.exits = tuple(exits)
        self.word, self.pos = nn.Embedding(pieces, WIDTH, sparse=True), nn.Embedding(512, WIDTH)
        self.ln = nn.LayerNorm(WIDTH, EPS)
        self.layers = nn.ModuleList(Layer(inner, dropout) for _ in range(self.exits[-1]))
        self.drop = nn.Dropout(dropout)
        # By name of the layer, so that a network with fewer exits can take what it needs from one with more.
        self.heads = nn.ModuleDict({str(at): nn.Linear(WIDTH, 3) for at in self.exits})

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids, mask: (batch, tokens) int64, mask 1 for a token; returns (exits, batch, 3) float32."""
        x = self.drop(self.ln(self.word(ids) + self.pos.weight[:ids.shape[1]]))
        keep = mask.to(x.dtype)
        bias = ((1.0 - keep) * -10_000.0).repeat_interleave(HEADS, 0)[:, None, :]
        answers = []
        for at, layer in enumerate(self.layers, 1):
            x = layer(x, bias)
            if at in self.exits:
                pooled = (x.float() * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)
                answers.append(self.heads[str(at)](self.drop(pooled)).float())
        return torch.stack(answers)

    def load_part(self, weights: dict[str, Tensor]) -> None:
        """Takes the state of a network with the same vocabulary and at least these layers and exits."""
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    def load_base(self, path: Path) -> None:
        """Takes the weights of `base.npz`: embeddings and as many layers, from the first, as this network has."""
        base = np.load(path)
        with torch.no_grad():
            self.word.weight.copy_(torch.from_numpy(base["emb.word"]))
            # Type 0 is added to every token: it may as well stand in the positions.
            types = torch.from_numpy(base["emb.type"].reshape(2, WIDTH)[0])
            self.pos.weight.copy_(torch.from_numpy(base["emb.pos"].reshape(512, WIDTH)) + types)
            self._norm(self.ln, base, "emb.ln")
            for at, layer in enumerate(self.layers):
                for name in ("q", "k", "v", "ao", "fi", "fo"):
                    linear = getattr(layer, name)
                    linear.weight.copy_(torch.from_numpy(base[f"l{at}.{name}.w"].reshape(linear.weight.shape)))
                    linear.bias.copy_(torch.from_numpy(base[f"l{at}.{name}.b"]))
                for name in ("aln", "oln"):
                    self._norm(getattr(layer, name), base, f"l{at}.{name}")

    @staticmethod
    def _norm(norm: nn.LayerNorm, base: dict[str, np.ndarray], name: str) -> None:
        norm.weight.copy_(torch.from_numpy(base[f"{name}.w"]))
        norm.bias.copy_(torch.from_numpy(base[f"{name}.b"]))
