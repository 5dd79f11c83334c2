"""From a cut-out picture to the normals of what it shows."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.inputs.framing import object_window, resample
from nerf2mesh.inputs.normals.network import FILL, NormalsNetwork
from nerf2mesh.inputs.normals.weights import read_network


@torch.inference_mode()
def picture_normals(picture: Float[np.ndarray, "h w 4"], network: NormalsNetwork | None = None) -> np.ndarray:
    """Mean normals [h, w, 3] float32 of an upright cut-out, straight RGBA [h, w, 4] in [0, 1].

    In camera axes (x right, y up, z to the eye). The direction is the guess, the length in [0, 1] how sure it is; zero
    where the picture is at most half opaque. The picture is seen with its mirror image. ValueError where nothing is
    more than half opaque.
    """
    network = network or read_network()
    size, window = network.config.size_px, object_window(picture[..., 3], FILL)
    small = torch.from_numpy(resample(picture, window, size))
    frame = torch.cat([small[..., :3] * small[..., 3:], small[..., 3:]], dim=-1).permute(2, 0, 1)[None]
    found = seen_twice(frame, network)
    found = found / found.norm(dim=1, keepdim=True).clamp_min(1.0)
    height, width = picture.shape[:2]
    (left, top, side) = window
    y, x = (
        torch.from_numpy(2.0 * (np.arange(n) + 0.5 - start) / side - 1.0) for n, start in ((height, top), (width, left))
    )
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].float()
    back = F.grid_sample(found, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (back[0].permute(1, 2, 0) * torch.from_numpy(picture[..., 3:] > 0.5)).numpy()


def seen_twice(frames: Tensor, network: NormalsNetwork) -> Tensor:
    """The mean of the answers for frames [B, 4, s, s] and for their mirror images, [B, 3, s, s]."""
    mirrored = network(frames.flip(-1)).flip(-1)
    return 0.5 * (network(frames) + mirrored * mirrored.new_tensor([-1.0, 1.0, 1.0])[:, None, None])
