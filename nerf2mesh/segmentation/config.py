"""Settings of the segmentation network's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.inputs.segmentation.network import SegmentationConfig
from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Rate, Seed, Share, Within


@dataclass(kw_only=True)
class ForegroundTrainConfig:
    """How the network that finds a picture's object is trained, on composites that are drawn as they are needed."""

    data: ObjectDataConfig = field(default_factory=ObjectDataConfig)
    """`data.meshes`: the folder of objects; null trains on drawn shapes and procedural objects alone."""
    network: SegmentationConfig = field(default_factory=SegmentationConfig)
    weights: FilePath | None = None
    """Weights to start from; null: random."""
    output_dir: FilePath = "outputs/foreground"
    minutes: Annotated[float, Within(0.0, 1e6, above=True)] = 40.0
    """Training time of this run; the rate falls to zero over it."""
    batch: Annotated[int, Within(1, 100_000)] = 8
    new_share: Share = 0.5
    """This share of a batch is drawn anew; the rest are mirrored composites of earlier steps."""
    kept: Annotated[int, Within(1, 10_000_000)] = 3000
    """Composites that are kept for that."""
    half_share: Share = 0.35
    """The first share of the time trains on pictures of half the network's size, which is quicker."""
    small_share: Share = 0.75
    """Up to this share of the time they have three quarters of its size."""
    learning_rate: Rate = 2e-3
    ema_decay: Share = 0.995
    mesh_share: Share = 0.7
    """Of the objects; half of the rest are procedural scenes, half shapes drawn in the plane."""
    n_scenes: Annotated[int, Within(0, 100_000)] = 48
    """Procedural scenes, two views of each, that are rendered once at the start."""
    n_check: Annotated[int, Within(1, 100_000)] = 96
    """Held-out composites to validate on."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)
