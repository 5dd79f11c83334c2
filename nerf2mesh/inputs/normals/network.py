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
from torch import Tensor

from nerf2mesh.inputs.conv_blocks import UNet, coordinates
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


class NormalsNetwork(UNet):
    """Premultiplied RGBA [B, 4, s, s] in [0, 1] to mean normals [B, 3, s, s] in camera axes (x right, y up, z to the
    eye)."""

    def __init__(self, config: NormalsConfig) -> None:
        super().__init__(IN_CHANNELS, 3, config.channels, n_deep=2)
        self.config = config

    def forward(self, pictures: Tensor) -> Tensor:
        return self.run(network_input(pictures))


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
