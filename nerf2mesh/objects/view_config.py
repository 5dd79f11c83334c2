"""Settings that trainings of small networks share (`timed_training`, `view_training`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Rate, Seed, Share, Within


@dataclass(kw_only=True)
class DrawnTrainConfig:
    """How a small network is trained on pictures that are drawn as they are needed."""

    data: ObjectDataConfig = field(default_factory=ObjectDataConfig)
    """`data.meshes`: the folder of objects; null trains on procedural scenes alone."""
    network: Any = None
    """Sizes of the network."""
    weights: FilePath | None = None
    """Weights to start from; null: random."""
    output_dir: FilePath = "outputs/views"
    minutes: Annotated[float, Within(0.0, 1e6, above=True)] = 20.0
    """Training time of this run; the rate falls to zero over it."""
    batch: Annotated[int, Within(1, 100_000)] = 32
    new_share: Share = 0.25
    """This share of a batch is drawn anew; the rest are of earlier steps, mirrored at random."""
    kept: Annotated[int, Within(1, 10_000_000)] = 16_000
    """Pictures that are kept for that, as bytes."""
    n_scenes: Annotated[int, Within(0, 1_000_000)] = 128
    """Procedural scenes, two views of each, that are rendered once at the start."""
    learning_rate: Rate = 2e-3
    ema_decay: Share = 0.995
    n_check: Annotated[int, Within(1, 100_000)] = 64
    """Pictures of held-out objects to validate on."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(kw_only=True)
class ViewTrainConfig(DrawnTrainConfig):
    """The same on framed views of meshes and of procedural scenes."""

    procedural_share: Share = 0.1
    """This share of the new views is of procedural scenes."""
