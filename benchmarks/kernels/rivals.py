"""Other ways of encoding points: the plain torch scheme that nerfstudio falls back to, and tiny-cuda-nn.

`hash_by_tensors` restates that scheme: every level hashed, all levels of all points in one set of tensors, eight
gathers, seven lerps. It computes another function than ours (no dense levels, no half-cell offset), at the same sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.kernels import GridLayout


def hash_by_tensors(points: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """points [n, 3], table [n_levels * 2^log2_table_size, F] -> [n, n_levels * F]."""
    scales = torch.tensor(layout.scales, device=points.device)
    scaled = points[:, None, :] * scales[:, None]
    upper, lower = torch.ceil(scaled).int(), torch.floor(scaled).int()
    t = scaled - lower
    size = 1 << layout.log2_table_size
    first = torch.arange(layout.n_levels, device=points.device) * size
    primes = torch.tensor([1, 2654435761, 805459861], device=points.device)

    def corner(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        at = torch.stack([x[..., 0], y[..., 1], z[..., 2]], dim=-1) * primes
        index = torch.bitwise_xor(torch.bitwise_xor(at[..., 0], at[..., 1]), at[..., 2]) % size
        return table[index + first]

    tx, ty, tz = t[..., 0:1], t[..., 1:2], t[..., 2:3]
    planes = []
    for z in (lower, upper):
        rows = [corner(lower, y, z) * (1 - tx) + corner(upper, y, z) * tx for y in (lower, upper)]
        planes.append(rows[0] * (1 - ty) + rows[1] * ty)
    return (planes[0] * (1 - tz) + planes[1] * tz).flatten(1)


def tiny_cuda_nn(layout: GridLayout):
    """tiny-cuda-nn's encoding of the same shape in float32, or None where it cannot be imported."""
    try:
        import tinycudann as tcnn
    except (ImportError, OSError):
        return None
    config = {
        "otype": "Grid", "type": "Hash", "n_levels": layout.n_levels, "n_features_per_level": layout.n_features,
        "log2_hashmap_size": layout.log2_table_size, "base_resolution": layout.base_resolution,
        "per_level_scale": layout.per_level_scale, "interpolation": layout.interpolation.capitalize(),
    }  # fmt: skip
    return tcnn.Encoding(layout.n_dims, config, dtype=torch.float32)
