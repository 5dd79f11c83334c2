"""Settings of the volume renderer: density of samples, occupancy grid, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Count, OneOf, Share, Within

BOX_DIAGONAL = 2 * math.sqrt(3)


@dataclass(kw_only=True)
class RendererConfig:
    """Settings `renderer.*`. Raises ValueError for a value outside its range."""

    backend: Annotated[str, OneOf("native", "torch", "nerfacc")] = "native"
    """"native" (compiled kernels), "torch" (their twins), "nerfacc" (CUDA only)."""
    samples_per_ray: Annotated[int, Within(1, 65_536)] = 128
    """Lattice points on the box's diagonal; the step is 2 sqrt(3) / samples_per_ray world units."""
    occupancy_resolution: Annotated[int, Within(2, 1024, multiple=2)] = 64
    occupancy_threshold: Annotated[float, Within(0.0, 1.0, above=True, below=True)] = 0.01
    """A cell counts as empty where one step through it would be less opaque than this."""
    occupancy_decay: Share = 0.8
    """Per refresh; 0.95 is usual for runs of 10,000 steps, too slow for runs of 500."""
    occupancy_every: Count = 16
    """Steps of the loop between two refreshes."""
    occupancy_warmup: Annotated[int, Within(0, 1_000_000_000)] = 128
    """Steps of the loop during which every refresh looks at all cells."""
    prune_transmittance: Annotated[float, Within(0.0, 1.0, below=True)] = 1e-4
    """Samples that less of the light than this reaches are not shaded (a density pass finds them); 0 shades all."""
    memory_budget_bytes: Annotated[int, Within(1 << 20, 1 << 50)] | None = None
    """For the samples of one pass; more rays than fit are rendered in blocks (differentiable ones twice). None: 2 GiB,
    on a GPU an eighth of its memory if that is more."""
    near: Annotated[float, Within(0.0, 1e10)] = 0.0
    far: Annotated[float, Within(0.0, 1e10, above=True)] = 1e10

    def __post_init__(self) -> None:
        check_ranges(self, "renderer.")
        if not self.near < self.far:
            raise ValueError(f"renderer.near: expected less than far ({self.far:g}), got {self.near:g}; lower it")

    @property
    def step_size(self) -> float:
        """World units between two samples."""
        return BOX_DIAGONAL / self.samples_per_ray

    @property
    def density_threshold(self) -> float:
        """`occupancy_threshold` as a density in 1 / world unit."""
        return -math.log1p(-self.occupancy_threshold) / self.step_size
