"""A level set without noise below a chosen scale: small pits and handles vanish before they are meshed.

The level function is cut to +-CLIP logits, so that very dense or very empty places weigh no more than others, low-pass
filtered on a lattice of spacing `radius` and read as a cubic B-spline: twice differentiable, and as cheap as the field
or cheaper. Filter and spline together are close to a Gaussian of standard deviation 0.9 `radius`.
"""

from __future__ import annotations

import numpy as np

from nerf2mesh.mesh.access import LevelSet

CLIP = 1.0
MAX_CELLS = 512


class SmoothedLevel(LevelSet):
    """`exact`, smoothed; built with one evaluation of the field per lattice node near the surface."""

    def __init__(self, exact: LevelSet, coarse: np.ndarray, radius: float) -> None:
        """coarse: logits [n, n, n] at the nodes of a coarser lattice of the box (`calibrate.coarse_logits`), which tell
        where the surface is. radius: of the smoothing, world units. Raises ValueError where it is too small.
        """
        super().__init__(exact.access, exact.level, exact.chunk_points)
        least = 2.0 / MAX_CELLS
        if not radius >= least:
            raise ValueError(
                f"mesh.smooth_radius: expected 0 or at least {least:.4f} world units, got {radius}; raise it or set 0"
            )
        self.n_cells = max(16, round(2.0 / radius))
        before = exact.n_evaluations
        volume = np.clip(_level_volume(exact, coarse, self.n_cells), -CLIP, CLIP)
        self.n_evaluations = exact.n_evaluations - before
        self.smallest, self.largest = min(exact.smallest, coarse.min()), max(exact.largest, coarse.max())
        for axis in range(3):
            volume = _binomial(volume, axis)
        self.coefficients = volume

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Smoothed values [N] float32 at points [N, 3], positive inside."""
        from scipy.ndimage import map_coordinates

        values = np.empty(len(points), np.float32)
        for start in range(0, len(points), self.chunk_points):
            where = (np.asarray(points[start : start + self.chunk_points]).T + 1.0) * (0.5 * self.n_cells)
            values[start : start + where.shape[1]] = map_coordinates(
                self.coefficients, where, order=3, mode="nearest", prefilter=False
            )
        return values


def _level_volume(exact: LevelSet, coarse: np.ndarray, n_cells: int) -> np.ndarray:
    """Level values at the (n_cells + 1)^3 nodes: the field's near the surface, the nearest coarse node's elsewhere."""
    n_coarse = coarse.shape[0] - 1
    rough = coarse - np.float32(exact.level)
    if exact.fill is not None:
        axis = np.linspace(-1.0, 1.0, n_coarse + 1)
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        rough = np.maximum(rough, exact.fill(grid).reshape(rough.shape))
    band = _near_surface(rough)
    axis = np.linspace(-1.0, 1.0, n_cells + 1)
    nearest = np.rint((axis + 1.0) * 0.5 * n_coarse).astype(int)
    volume = rough[np.ix_(nearest, nearest, nearest)]
    x, y, z = np.nonzero(band[np.ix_(nearest, nearest, nearest)])
    volume[x, y, z] = exact(np.stack([axis[x], axis[y], axis[z]], axis=1))
    return volume


def _near_surface(values: np.ndarray) -> np.ndarray:
    """Nodes within two steps of a sign change, or of a place that changes by as much as it lacks to one."""
    from scipy.ndimage import binary_dilation, maximum_filter, minimum_filter

    low, high = minimum_filter(values, 3), maximum_filter(values, 3)
    slack = np.minimum(high - low, 4.0 * CLIP)
    return binary_dilation((low - slack < 0.0) & (high + slack > 0.0), np.ones((3, 3, 3), bool))


def _binomial(volume: np.ndarray, axis: int) -> np.ndarray:
    """[1, 2, 1] / 4 along an axis, the ends repeated."""
    padded = np.pad(volume, [(1, 1) if k == axis else (0, 0) for k in range(3)], mode="edge")
    n = volume.shape[axis]
    parts = [np.take(padded, range(k, k + n), axis=axis) for k in range(3)]
    return 0.25 * (parts[0] + parts[2]) + 0.5 * parts[1]
