"""Level geometry of a multi-resolution hash grid, interchangeable with tiny-cuda-nn.

Level l has scale s_l = base * b^l - 1 (float32) and ceil(s_l) + 1 vertices along an axis. A level whose vertices fit
into 2^log2_table_size entries is stored densely (rounded up to a multiple of 8 entries), a larger one is hashed into
exactly that many. Parameters are one flat vector: level, then entry, then feature. Source: Mueller et al. 2022,
"Instant neural graphics primitives with a multiresolution hash encoding", section 3; the grid encoding of
tiny-cuda-nn 2.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

INTERPOLATIONS = ("linear", "smoothstep")


@dataclass(frozen=True)
class GridLayout:
    """Shape of a hash grid. Offsets and sizes count entries of `n_features` values."""

    n_dims: int = 3
    n_levels: int = 8
    n_features: int = 4
    log2_table_size: int = 15
    base_resolution: int = 16
    per_level_scale: float = 1.4473
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        wanted = {"n_dims": (2, 3), "n_features": (1, 2, 4, 8), "interpolation": INTERPOLATIONS}
        for name, values in wanted.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}: expected one of {values}, got {getattr(self, name)!r}; choose one")
        ranges = {"n_levels": (1, 32), "log2_table_size": (3, 28), "base_resolution": (2, 1 << 14)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: expected {low} to {high}, got {getattr(self, name)!r}; set it within these")
        if not 1.0 <= self.per_level_scale <= 16.0:
            raise ValueError(f"per_level_scale: expected 1 to 16, got {self.per_level_scale!r}; set it within these")
        if self.scales[-1] >= 2**24:
            raise ValueError(
                f"n_levels, base_resolution, per_level_scale: expected a finest level below 2^24 vertices, "
                f"got {self.scales[-1]:.3g}; take fewer levels or a smaller per_level_scale"
            )
        for name in ("resolutions", "hashed", "sizes", "offsets", "geometry"):
            getattr(self, name)  # now: inside a compiled function a cached_property cannot be filled

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """Float32 values; 2^x is rounded once from double, which is what a good exp2f gives."""
        log2_scale = np.float32(math.log2(np.float32(self.per_level_scale)))
        growth = [np.float32(2.0 ** float(np.float32(level) * log2_scale)) for level in range(self.n_levels)]
        return tuple(float(g * np.float32(self.base_resolution) - np.float32(1)) for g in growth)

    @cached_property
    def resolutions(self) -> tuple[int, ...]:
        """Vertices of each level along an axis."""
        return tuple(math.ceil(scale) + 1 for scale in self.scales)

    @cached_property
    def hashed(self) -> tuple[bool, ...]:
        """For each level, whether it has more vertices than the table has entries."""
        return tuple(r**self.n_dims > 1 << self.log2_table_size for r in self.resolutions)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each level."""
        cap = 1 << self.log2_table_size
        return tuple(min((r**self.n_dims + 7) // 8 * 8, cap) for r in self.resolutions)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First entry of each level, and the number of entries of all."""
        return (0, *np.cumsum(self.sizes).tolist())

    @property
    def n_params(self) -> int:
        """Length of the flat parameter vector: all entries times the features of one."""
        return self.offsets[-1] * self.n_features

    @property
    def n_outputs(self) -> int:
        """Length of one point's encoding: the features of all levels."""
        return self.n_levels * self.n_features

    @property
    def smoothstep(self) -> bool:
        """Whether the interpolation weights are 3 x^2 - 2 x^3 instead of x."""
        return self.interpolation == "smoothstep"

    @cached_property
    def geometry(self) -> tuple[int, ...]:
        """The integers that, with `per_level_scale`, an operator call carries."""
        sizes = (self.n_dims, self.n_levels, self.n_features, self.log2_table_size, self.base_resolution)
        return (*sizes, INTERPOLATIONS.index(self.interpolation))


@lru_cache(maxsize=256)
def layout_from(geometry: tuple[int, ...], per_level_scale: float) -> GridLayout:
    """Inverse of `GridLayout.geometry`."""
    n_dims, n_levels, n_features, log2_table_size, base_resolution, interpolation = geometry
    sizes = (n_dims, n_levels, n_features, log2_table_size, base_resolution)
    return GridLayout(*sizes, per_level_scale, INTERPOLATIONS[interpolation])
