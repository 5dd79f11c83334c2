"""From cut-out pictures to the elevation and the field of view that they were probably taken with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from nerf2mesh.inputs.framing import object_window, resample
from nerf2mesh.inputs.viewpoint.network import (
    ELEVATIONS_DEG,
    FILL,
    FOVS_DEG,
    ViewpointNetwork,
    median_and_share,
)
from nerf2mesh.inputs.viewpoint.weights import read_network

NEAR_DEG = 10.0
"""`confidence` is the probability of an error up to this."""


@dataclass(frozen=True)
class Viewpoint:
    """The estimate, and the network's own probability that elevation and field of view are within NEAR_DEG of it."""

    elevation_deg: float
    fov_deg: float
    elevation_confidence: float
    fov_confidence: float


def estimated(
    pictures: Sequence[Float[np.ndarray, "h w 4"]], network: ViewpointNetwork | None = None
) -> list[Viewpoint]:
    """Of upright cut-outs, straight RGBA [h, w, 4] in [0, 1], of any sizes. Each is seen with its mirror image."""
    network = network or read_network()
    return estimated_of(torch.stack([framed(picture, network.config.size_px) for picture in pictures]), network)


@torch.inference_mode()
def estimated_of(frames: torch.Tensor, network: ViewpointNetwork) -> list[Viewpoint]:
    """Of framed pictures [B, 4, s, s], premultiplied."""
    whole, mirrored = network(frames), network(frames.flip(-1))
    elevation, fov = (0.5 * (a.log_softmax(1) + b.log_softmax(1)) for a, b in zip(whole, mirrored))
    columns = (*median_and_share(elevation, ELEVATIONS_DEG, NEAR_DEG), *median_and_share(fov, FOVS_DEG, NEAR_DEG))
    rows = torch.stack(columns, dim=1).tolist()
    return [Viewpoint(e, f, sure_e, sure_f) for e, sure_e, f, sure_f in rows]


def framed(picture: Float[np.ndarray, "h w 4"], size_px: int) -> torch.Tensor:
    """Premultiplied RGBA [4, s, s]: the object's box centered, its longer side FILL of the frame."""
    small = torch.from_numpy(resample(picture, object_window(picture[..., 3], FILL), size_px))
    return torch.cat([small[..., :3] * small[..., 3:], small[..., 3:]], dim=-1).permute(2, 0, 1)
