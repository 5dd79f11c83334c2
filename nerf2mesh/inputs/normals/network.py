"""The normals network: a U-Net (Ronneberger et al. 2015) from a cut-out picture to the mean normal of each pixel.

It is trained on squared differences, so that its answer is the mean of what the normal may be (the posterior mean):
the direction is the best guess, and the length, at most 1, says how sure it is. The picture is framed as an input is:
the object's box centered, its longer side FILL wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerf2mesh.inputs.conv_blocks import Context, Residual, Up, conv, coordinates
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Length, Within

FILL = 0.85
"""The longer side of the object's box as a share of the network's frame."""
IN_CHANNELS = 10
Channels = Annotated[int, Within(4, 256, multiple=4)]


@dataclass(kw_only=True)
class NormalsConfig:
    """Sizes: the side of the square picture in pixels, and the channels at 1/2, 1/4, 1/8 and 1/16 of it."""

    size_px: Annotated[int, Within(32, 256, multiple=16)] = 64
    channels: Annotated[list[Channels], Length(4, 4)] = field(default_factory=lambda: [16, 32, 64, 96])

    def __post_init__(self) -> None:
        check_ranges(self, "network.")


class NormalsNetwork(nn.Module):
    """Premultiplied RGBA [B, 4, s, s] in [0, 1] to mean normals [B, 3, s, s] in camera axes (x right, y up, z to the
    eye)."""

    def __init__(self, config: NormalsConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.channels
        self.stem = conv(IN_CHANNELS, a, 2)
        self.down = nn.ModuleList(
            [
                Residual(a),
                nn.Sequential(conv(a, b, 2), Residual(b)),
                nn.Sequential(conv(b, c, 2), Residual(c)),
                nn.Sequential(conv(c, d, 2), Residual(d), Residual(d), Context(d)),
            ]
        )
        self.up = nn.ModuleList([Up(d, c), Up(c, b), Up(b, a)])
        self.head = nn.Conv2d(a, 12, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(network_input(pictures))
        beside = []
        for stage in self.down:
            x = stage(x)
            beside.append(x)
        for up, features in zip(self.up, beside[-2::-1], strict=True):
            x = up(x, features)
        return F.pixel_shuffle(self.head(x), 2)


def network_input(pictures: Tensor) -> Tensor:
    """[B, 10, h, w] of premultiplied pictures [B, 4, h, w]: color over mid-grey, the same with the object's own mean
    and deviation taken out, opacity, a wide blur of it (how far the outline is), and the coordinates."""
    rgb, alpha = pictures.split([3, 1], dim=1)
    share = alpha.mean((-2, -1), keepdim=True).clamp_min(1e-3)
    mean = rgb.mean((-2, -1), keepdim=True) / share
    centered = rgb - alpha * mean
    deviation = (centered.square().mean((-3, -2, -1), keepdim=True) / share).sqrt()
    wide = F.avg_pool2d(alpha, 17, stride=1, padding=8)
    return torch.cat(
        [2 * rgb - alpha, centered / (deviation + 0.02), 2 * alpha - 1, 2 * wide - 1, coordinates(pictures)], 1
    )
