"""Settings of the volume renderer: density of samples, occupancy grid, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

BOX_DIAGONAL = 2 * math.sqrt(3)


@dataclass(kw_only=True)
class RendererConfig:
    """Settings `renderer.*`. Raises ValueError for a value outside its range."""

    backend: str = "native"
    """"native" (compiled kernels), "torch" (their twins), "nerfacc" (CUDA only)."""
    samples_per_ray: int = 128
    """Lattice points on the box's diagonal; the step is 2 sqrt(3) / samples_per_ray world units."""
    occupancy_resolution: int = 64
    occupancy_threshold: float = 0.01
    """A cell counts as empty where one step through it would be less opaque than this."""
    occupancy_decay: float = 0.8
    """Per refresh; 0.95 is usual for runs of 10,000 steps, too slow for runs of 500."""
    occupancy_every: int = 16
    """Steps of the loop between two refreshes."""
    occupancy_warmup: int = 128
    """Steps of the loop during which every refresh looks at all cells."""
    prune_transmittance: float = 1e-4
    """Samples that less of the light than this reaches are not shaded (a density pass finds them); 0 shades all."""
    memory_budget_bytes: int | None = None
    """For the samples of one pass; more rays than fit are rendered in blocks (differentiable ones twice). None: 2 GiB,
    on a GPU an eighth of its memory if that is more."""
    near: float = 0.0
    far: float = 1e10

    def __post_init__(self) -> None:
        if self.samples_per_ray < 1:
            raise ValueError(f"renderer.samples_per_ray: expected at least 1, got {self.samples_per_ray}; raise it")
        if not 0 < self.occupancy_threshold < 1:
            raise ValueError(
                f"renderer.occupancy_threshold: expected an opacity between 0 and 1, got {self.occupancy_threshold}; "
                "choose a value in this range"
            )
        if not 0 <= self.prune_transmittance < 1:
            raise ValueError(
                f"renderer.prune_transmittance: expected 0 or more and below 1, got {self.prune_transmittance}; "
                "set 0 to shade every sample"
            )
        if self.memory_budget_bytes is not None and self.memory_budget_bytes < 1 << 20:
            raise ValueError(
                f"renderer.memory_budget_bytes: expected at least 1048576 (1 MiB), got {self.memory_budget_bytes}; "
                "raise it"
            )

    @property
    def step_size(self) -> float:
        """World units between two samples."""
        return BOX_DIAGONAL / self.samples_per_ray

    @property
    def density_threshold(self) -> float:
        """`occupancy_threshold` as a density in 1 / world unit."""
        return -math.log1p(-self.occupancy_threshold) / self.step_size
