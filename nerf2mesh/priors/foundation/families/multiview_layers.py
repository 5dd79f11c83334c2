"""The layers of MVDream's UNet, with the published weights' names: residual blocks, and attention across views.

Letters: n = scenes x frames rows, c channels, [n, tokens, c] what attention sees.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32


class Block(nn.Sequential):
    """Layers of which each takes what it needs."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor, n_frames: int) -> Tensor:
        """x [n, c, h, w], emb [n, width], context [n, m, d] -> [n, out, h', w']."""
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, MultiViewTransformer):
                x = layer(x, context, n_frames)
            else:
                x = layer(x)
        return x


class ResBlock(nn.Module):
    """Two convolutions with a skip connection; the embedding of time and camera is added between them."""

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(width, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x [n, channels, h, w], emb [n, width] -> [n, out, h, w]."""
        h = self.in_layers(x) + self.emb_layers(emb)[..., None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    """Halves the size by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c, ceil(h / 2), ceil(w / 2)]."""
        return self.op(x)


class Upsample(nn.Module):
    """Doubles the size by repeating pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c, 2 h, 2 w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class MultiViewTransformer(nn.Module):
    """Tokens of all frames attend to one another; each frame attends to its own words."""

    def __init__(
        self, channels: int, head: int, context: int, depth: int = 1, ip_dim: int = 0, ip_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, head, context, ip_dim, ip_weight) for _ in range(depth)
        )

    def forward(self, x: Tensor, context: Tensor, n_frames: int) -> Tensor:
        """x [n, c, h, w], context [n, m, d] -> [n, c, h, w]; each n_frames rows are the views of one scene."""
        size = x.shape[-2:]
        h = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            h = block(h, context, n_frames)
        return x + self.proj_out(h).transpose(1, 2).unflatten(-1, size)


class TransformerBlock(nn.Module):
    """Attention across the tokens of all frames of a scene, attention to the context, and a pointwise network."""

    def __init__(self, channels: int, head: int, context: int, ip_dim: int, ip_weight: float) -> None:
        super().__init__()
        self.attn1 = Attention(channels, channels, head)
        self.ff = FeedForward(channels)
        self.attn2 = Attention(channels, context, head, ip_dim, ip_weight)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(channels), nn.LayerNorm(channels), nn.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor, n_frames: int) -> Tensor:
        """x [n, tokens, c], context [n, m, d] -> [n, tokens, c]; each n_frames rows are the views of one scene."""
        n, tokens, c = x.shape
        x = x.reshape(n // n_frames, n_frames * tokens, c)
        h = self.norm1(x)
        x = (x + self.attn1(h, h)).reshape(n, tokens, c)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Attention(nn.Module):
    """With `ip_dim`, the last `ip_dim` tokens of the context are a picture's and have keys and values of their own."""

    def __init__(self, channels: int, context: int, head: int, ip_dim: int = 0, ip_weight: float = 1.0) -> None:
        super().__init__()
        self.head, self.ip_dim, self.ip_weight = head, ip_dim, ip_weight
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k, self.to_v = nn.Linear(context, channels, bias=False), nn.Linear(context, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels), nn.Identity())
        if ip_dim:
            self.to_k_ip = nn.Linear(context, channels, bias=False)
            self.to_v_ip = nn.Linear(context, channels, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """x [n, tokens, c] attends to context [n, m, d] -> [n, tokens, c]."""
        words = context[:, : context.shape[1] - self.ip_dim]
        q = self.to_q(x)
        out = self._attend(q, self.to_k(words), self.to_v(words))
        if self.ip_dim:
            picture = context[:, -self.ip_dim :]
            out = out + self.ip_weight * self._attend(q, self.to_k_ip(picture), self.to_v_ip(picture))
        return self.to_out(out)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (y.unflatten(-1, (-1, self.head)).transpose(1, 2) for y in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """The pointwise network of a transformer block, four times as wide inside, gated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedLinear(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[..., c] -> [..., c]."""
        return self.net(x)


class GatedLinear(nn.Module):
    """GEGLU (Shazeer 2020)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * out)

    def forward(self, x: Tensor) -> Tensor:
        """[..., channels] -> [..., out]."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)
