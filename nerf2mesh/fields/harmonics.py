"""Real spherical harmonics of unit directions, degrees 0 to 3."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def harmonics_count(degree: int) -> int:
    """How many functions the degrees 0 to `degree` have. Raises ValueError for a degree that is not built in."""
    if not 0 <= degree <= 3:
        raise ValueError(f"degree: expected 0, 1, 2 or 3, got {degree}; choose one of these")
    return (degree + 1) ** 2


def spherical_harmonics(directions: Float[Tensor, "*n 3"], degree: int) -> Float[Tensor, "*n k"]:
    """The orthonormal real basis, ordered (l, m) with m from -l to l, Condon-Shortley phase included.

    Constants: Sloan 2008, Stupid Spherical Harmonics Tricks, appendix A2.
    """
    harmonics_count(degree)
    x, y, z = directions.unbind(-1)
    parts = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        parts += [-0.48860251190291987 * y, 0.48860251190291987 * z, -0.48860251190291987 * x]
    if degree >= 2:
        parts += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree >= 3:
        parts += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1),
            0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(parts, dim=-1)
