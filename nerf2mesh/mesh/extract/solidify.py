"""Fills hidden cavities: a density field is optimized only where light reaches; inside it is hollow, with tunnels.

Letters
    V(x): visibility, the largest transmittance from outside to x over directions all around; sampled on a coarse grid.
    fill(x) = log(V0 / V(x)): above zero, and so inside, where less than the share V0 of any light arrives. The surface
    of max(field - level, fill) is the field's own wherever it can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

V0 = 0.2
N_DIRECTIONS = 64
FILL_LIMIT = 8.0


@dataclass(frozen=True)
class HiddenFill:
    """fill on the nodes [n, n, n] of the box [-1, 1]^3, trilinear between them."""

    values: Float[np.ndarray, "n n n"]

    def __call__(self, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, " p"]:
        """fill at world points; positive inside hidden places."""
        # grid_sample wants (z, y, x) order for a volume indexed (x, y, z).
        where = torch.from_numpy(np.ascontiguousarray(points[:, ::-1], np.float32))[None, None, None]
        volume = torch.from_numpy(self.values)[None, None]
        sampled = torch.nn.functional.grid_sample(volume, where, align_corners=True, padding_mode="border")
        return sampled.reshape(-1).numpy()


def hidden_fill(density: Float[np.ndarray, "n n n"], *, n_directions: int = N_DIRECTIONS) -> HiddenFill:
    """The fill of a field with these densities (1 / world unit) at the nodes of the box; light comes from
    `n_directions` directions all around."""
    cell = 2.0 / (density.shape[0] - 1)
    seen = np.zeros(density.shape, np.float32)
    for direction in sphere_directions(n_directions):
        np.maximum(seen, transmittance(density, direction, cell), out=seen)
    fill = np.log(V0 / np.maximum(seen, 1e-8))
    return HiddenFill(np.clip(fill, -FILL_LIMIT, FILL_LIMIT).astype(np.float32))


def sphere_directions(n: int) -> Float[np.ndarray, "n 3"]:
    """`n` nearly even unit directions (Fibonacci lattice)."""
    k = np.arange(n) + 0.5
    z, angle = 1.0 - 2.0 * k / n, np.pi * (1.0 + 5.0**0.5) * k
    ring = np.sqrt(1.0 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def transmittance(density: np.ndarray, direction: np.ndarray, cell: float) -> np.ndarray:
    """Share [n, n, n] of parallel light along `direction` (unit, [3]) that reaches each node of `density` (1 / world
    unit), by a sweep of sheared slices; `cell` is the distance of nodes in world units."""
    axis = int(np.abs(direction).argmax())
    order = [axis, (axis + 1) % 3, (axis + 2) % 3]
    volume = density.transpose(order)
    volume = volume[::-1] if direction[axis] < 0 else volume
    a, b = (direction[order[k]] / abs(direction[axis]) for k in (1, 2))
    step = cell * np.sqrt(1.0 + a * a + b * b)
    half = np.exp(-0.5 * step * volume, dtype=np.float32)
    out = np.empty(volume.shape, np.float32)
    light = np.ones(volume.shape[1:], np.float32)
    for i in range(len(volume)):
        light = _shifted(light, a, b) * half[i]
        out[i] = light
        light = light * half[i]
    out = out[::-1] if direction[axis] < 0 else out
    return out.transpose(np.argsort(order))


def _shifted(light: np.ndarray, a: float, b: float) -> np.ndarray:
    """light(y - a, z - b), bilinear, with full light from outside; |a|, |b| at most 1."""
    padded = np.pad(light, 1, constant_values=1.0)
    near, far_y, far_z = slice(1, -1), _behind(a), _behind(b)
    wa, wb = np.float32(abs(a)), np.float32(abs(b))
    straight = (1 - wa) * padded[near, near] + wa * padded[far_y, near]
    moved = (1 - wa) * padded[near, far_z] + wa * padded[far_y, far_z]
    return (1 - wb) * straight + wb * moved


def _behind(slope: float) -> slice:
    return slice(0, -2) if slope > 0 else slice(2, None)
