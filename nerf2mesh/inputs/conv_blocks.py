"""Layers that the small networks of this room are built of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    """A 3-wide convolution, batch normalization and ReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + f(x) with two convolutions, followed by ReLU (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] -> the same shape."""
        return F.relu(x + self.norm(self.second(self.first(x))))


class Context(nn.Module):
    """Scales the channels by what the whole picture holds (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.gate(x.mean((-2, -1))))[..., None, None]


class Up(nn.Module):
    """Twice the size, beside the features of that size."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(n_in + n_out, n_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.block = Residual(n_out)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.block(F.relu(self.norm(self.mix(torch.cat([x, beside], 1)))))


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) of residual blocks at 1/2, 1/4, 1/8 and 1/16 of the size, `n_deep` blocks at
    the last, where every pixel sees the whole picture: [B, n_in, h, w] -> [B, n_out, h, w], h and w multiples of 16."""

    def __init__(self, n_in: int, n_out: int, channels: Sequence[int], n_deep: int) -> None:
        super().__init__()
        a, b, c, d = channels
        self.stem = conv(n_in, a, 2)
        self.down = nn.ModuleList(
            [
                Residual(a),
                nn.Sequential(conv(a, b, 2), Residual(b)),
                nn.Sequential(conv(b, c, 2), Residual(c)),
                nn.Sequential(conv(c, d, 2), *(Residual(d) for _ in range(n_deep)), Context(d)),
            ]
        )
        self.up = nn.ModuleList([Up(d, c), Up(c, b), Up(b, a)])
        self.head = nn.Conv2d(a, 4 * n_out, 3, padding=1)

    def run(self, x: Tensor) -> Tensor:
        """The maps of the input's size."""
        x = self.stem(x)
        beside = []
        for stage in self.down:
            x = stage(x)
            beside.append(x)
        for up, features in zip(self.up, beside[-2::-1], strict=True):
            x = up(x, features)
        return F.pixel_shuffle(self.head(x), 2)


def coordinates(pictures: Tensor) -> Tensor:
    """Where in the frame each pixel lies, y and x in [-1, 1], of pictures [B, c, h, w]: [B, 2, h, w]."""
    height, width = pictures.shape[-2:]
    y, x = (torch.linspace(-1, 1, n, device=pictures.device, dtype=pictures.dtype) for n in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(len(pictures), -1, -1, -1)
