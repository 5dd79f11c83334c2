"""A few learned queries read a picture's CLIP tokens (the perceiver resampler, Alayrac et al. 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Resampler(nn.Module):
    """[n, m, embedding] -> [n, n_queries, width]. Parameter names are those of the published weights."""

    def __init__(self, width: int, depth: int, head: int, n_heads: int, n_queries: int, embedding: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, n_queries, width) / width**0.5)
        self.proj_in, self.proj_out = nn.Linear(embedding, width), nn.Linear(width, width)
        self.norm_out = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(width, head, n_heads), feed_forward(width)]) for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, m, embedding] -> [n, n_queries, width]."""
        latents, x = self.latents.expand(len(x), -1, -1), self.proj_in(x)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            attention, forward = layer
            latents = attention(x, latents) + latents
            latents = forward(latents) + latents
        return self.norm_out(self.proj_out(latents))


class PerceiverAttention(nn.Module):
    """Queries attend to the picture's tokens and to themselves."""

    def __init__(self, width: int, head: int, n_heads: int) -> None:
        super().__init__()
        self.head = head
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, head * n_heads, bias=False)
        self.to_kv = nn.Linear(width, 2 * head * n_heads, bias=False)
        self.to_out = nn.Linear(head * n_heads, width, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Tokens x [n, m, width] and queries latents [n, q, width] -> [n, q, width]."""
        x, latents = self.norm1(x), self.norm2(latents)
        k, v = self.to_kv(torch.cat([x, latents], dim=1)).chunk(2, dim=-1)
        q, k, v = (y.unflatten(-1, (-1, self.head)).transpose(1, 2) for y in (self.to_q(latents), k, v))
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def feed_forward(width: int) -> nn.Sequential:
    """The pointwise network of a layer: [..., width] -> [..., width], four times as wide inside."""
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
    )
