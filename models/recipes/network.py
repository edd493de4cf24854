"""The network: the first layers of a BERT, masked mean pooling, a linear head. Plain torch, nothing hidden.

Post-norm, as in the base: LN(x + attention), LN(x + feed-forward), exact GELU, positions from 0. Knows nothing of data,
tokenizers or training.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

WIDTH, HEADS, INNER, EPS = 384, 12, 1536, 1e-12


class Layer(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """One layer: attention, then feed-forward, each with its residual and norm."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.q, self.k, self.v, self.ao = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.fi, self.fo = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.aln, self.oln = nn.LayerNorm(WIDTH, EPS), nn.LayerNorm(WIDTH, EPS)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (batch, tokens, width); bias: (batch, 1, 1, tokens), 0 for a token and a large negative for padding."""
        q, k, v = (self._heads(part(x)) for part in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + bias, dim=-1)
        mixed = (self.drop(weights) @ v).transpose(1, 2).reshape(x.shape)
        x = self.aln(x + self.drop(self.ao(mixed)))
        return self.oln(x + self.drop(self.fo(nn.functional.gelu(self.fi(x)))))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)


class Network(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Token ids and mask in, three logits out (negative, neutral, positive)."""

    def __init__(self, pieces: int, layers: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.word, self.pos = nn.Embedding(pieces, WIDTH), nn.Embedding(512, WIDTH)
        self.ln = nn.LayerNorm(WIDTH, EPS)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(layers))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids, mask: (batch, tokens) int64, mask 1 for a token; returns (batch, 3)."""
        x = self.drop(self.ln(self.word(ids) + self.pos.weight[:ids.shape[1]]))
        keep = mask.to(x.dtype)
        bias = (1.0 - keep)[:, None, None, :] * -10_000.0
        for layer in self.layers:
            x = layer(x, bias)
        pooled = (x * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)
        return self.head(self.drop(pooled))

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
