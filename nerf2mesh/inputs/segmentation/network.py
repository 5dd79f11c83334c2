"""The segmentation network: a U-Net (Ronneberger et al. 2015) of residual blocks on pictures of fixed size.

The picture is given twice, as it is and with its own mean and deviation taken out, so that dark on dark and white on
white look like any other contrast; two more channels tell where in the frame a pixel lies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from nerf2mesh.inputs.conv_blocks import UNet, coordinates
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Length, Within

IN_CHANNELS = 8
Channels = Annotated[int, Within(4, 512, multiple=4)]


@dataclass(kw_only=True)
class SegmentationConfig:
    """Sizes: the side of the square picture in pixels, and the channels at 1/2, 1/4, 1/8 and 1/16 of it."""

    size_px: Annotated[int, Within(32, 512, multiple=16)] = 128
    channels: Annotated[list[Channels], Length(4, 4)] = field(default_factory=lambda: [16, 32, 64, 128])
    n_deep: Annotated[int, Within(1, 16)] = 2
    """Residual blocks at 1/16 of the size, where every pixel sees the whole picture."""

    def __post_init__(self) -> None:
        check_ranges(self, "network.")


class SegmentationNetwork(UNet):
    """Pictures [B, 3, s, s], sRGB in [0, 1], to logits [B, s, s] of belonging to the object."""

    def __init__(self, config: SegmentationConfig) -> None:
        super().__init__(IN_CHANNELS, 1, config.channels, n_deep=config.n_deep)
        self.config = config

    def forward(self, pictures: Tensor) -> Tensor:
        return self.run(network_input(pictures))[:, 0]


def network_input(pictures: Tensor) -> Tensor:
    """[B, 8, h, w] of pictures [B, 3, h, w]: colors, the same standardized, and the coordinates in [-1, 1]."""
    mean = pictures.mean((-2, -1), keepdim=True)
    deviation = (pictures - mean).square().mean((-3, -2, -1), keepdim=True).sqrt()
    return torch.cat([2 * pictures - 1, (pictures - mean) / (deviation + 0.01), coordinates(pictures)], 1)
