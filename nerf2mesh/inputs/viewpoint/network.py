"""The viewpoint network: from a cut-out picture to distributions over elevation and field of view.

Both are classified into bins, not regressed, so that the answer comes with its spread: a ball looks the same from
everywhere, and says so. The picture is framed as an input is: the object's box centered, its longer side FILL wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerf2mesh.inputs.conv_blocks import Residual, conv, coordinates
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Length, Within

FILL = 0.8
"""The longer side of the object's box as a share of the network's frame."""
ELEVATIONS_DEG = (-30.0, 90.0, 24)
"""First edge, last edge and number of the elevation's bins."""
FOVS_DEG = (10.0, 64.0, 9)
IN_CHANNELS = 6
Channels = Annotated[int, Within(4, 256, multiple=4)]


@dataclass(kw_only=True)
class ViewpointConfig:
    """Sizes: the side of the square picture in pixels, and the channels at 1/2, 1/4, 1/8 and 1/16 of it."""

    size_px: Annotated[int, Within(32, 256, multiple=16)] = 64
    channels: Annotated[list[Channels], Length(4, 4)] = field(default_factory=lambda: [16, 32, 48, 60])

    def __post_init__(self) -> None:
        check_ranges(self, "network.")


class ViewpointNetwork(nn.Module):
    """Premultiplied RGBA [B, 4, s, s] in [0, 1] to logits of elevation [B, 24] and of field of view [B, 9]."""

    def __init__(self, config: ViewpointConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.channels
        self.body = nn.Sequential(
            conv(IN_CHANNELS, a, 2), Residual(a), conv(a, b, 2), Residual(b), conv(b, c, 2), Residual(c),
            conv(c, d, 2), Residual(d),
        )  # fmt: skip
        side = config.size_px // 16
        self.narrow = nn.Linear(d * side * side, 64)
        self.head = nn.Linear(64, ELEVATIONS_DEG[2] + FOVS_DEG[2])

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(network_input(pictures)).flatten(1)
        logits = self.head(F.dropout(F.relu(self.narrow(x)), 0.2, self.training))
        elevation, fov = logits.split([ELEVATIONS_DEG[2], FOVS_DEG[2]], dim=1)
        return elevation, fov


def network_input(pictures: Tensor) -> Tensor:
    """[B, 6, h, w] of premultiplied pictures [B, 4, h, w]: color over mid-grey, opacity, and the coordinates."""
    rgb, alpha = pictures.split([3, 1], dim=1)
    return torch.cat([2.0 * rgb - alpha, 2.0 * alpha - 1.0, coordinates(pictures)], 1)


def bin_centers(bins: tuple[float, float, int]) -> Tensor:
    """The middles of the bins, [n], in degrees."""
    low, high, n = bins
    return low + (torch.arange(n) + 0.5) * ((high - low) / n)


def median_and_share(logits: Tensor, bins: tuple[float, float, int], within: float) -> tuple[Tensor, Tensor]:
    """The distribution's median [B] (which has the least expected absolute error), linear within its bin, and the
    probability [B] of lying at most `within` from it."""
    low, high, n = bins
    width = (high - low) / n
    up_to = F.pad(logits.float().softmax(1).cumsum(1), (1, 0))
    after = (up_to[:, 1:] < 0.5).sum(1).clamp(max=n - 1)
    below, above = (up_to.gather(1, (after + k)[:, None])[:, 0] for k in (0, 1))
    median = low + width * (after + (0.5 - below) / (above - below).clamp_min(1e-9))
    ends = [_cumulative(up_to, (median + sign * within - low) / width) for sign in (-1.0, 1.0)]
    return median, ends[1] - ends[0]


def _cumulative(up_to: Tensor, place: Tensor) -> Tensor:
    """The cumulative distribution [B, n + 1] read at places [B] counted in bins, linear between the edges."""
    place = place.clamp(0.0, up_to.shape[1] - 1.0)
    left = place.floor().long().clamp(max=up_to.shape[1] - 2)
    first, second = (up_to.gather(1, (left + k)[:, None])[:, 0] for k in (0, 1))
    return first + (place - left) * (second - first)
