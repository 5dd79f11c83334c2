"""Settings of the normals network's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.inputs.normals.network import NormalsConfig
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Rate, Seed, Share, Within


def _augment() -> AugmentConfig:
    """Objects in their own paint or under a pattern, fronts and any sides."""
    return AugmentConfig(front_share=0.6, side_share=0.1, tumble_share=0.02, pattern_share=0.25)


@dataclass(kw_only=True)
class NormalsTrainConfig:
    """How the network that tells a picture's normals is trained, on views that are drawn as they are needed."""

    data: ObjectDataConfig = field(default_factory=lambda: ObjectDataConfig(augment=_augment()))
    """`data.meshes`: the folder of objects; null trains on procedural scenes alone."""
    network: NormalsConfig = field(default_factory=NormalsConfig)
    weights: FilePath | None = None
    """Weights to start from; null: random."""
    output_dir: FilePath = "outputs/normals"
    minutes: Annotated[float, Within(0.0, 1e6, above=True)] = 20.0
    """Training time of this run; the rate falls to zero over it."""
    batch: Annotated[int, Within(1, 100_000)] = 32
    new_share: Share = 0.25
    """This share of a batch is drawn anew; the rest are views of earlier steps. Half of all are mirrored."""
    kept: Annotated[int, Within(1, 10_000_000)] = 16_000
    """Views that are kept for that, as bytes."""
    highlight_share: Share = 0.3
    """Of the views: with a highlight of the lamp over the colors."""
    ambient: tuple[Share, Share] = (0.15, 0.9)
    """The share of the light that comes from everywhere; the rest comes from a lamp, mostly above."""
    procedural_share: Share = 0.1
    """This share of the new views is of procedural scenes."""
    n_scenes: Annotated[int, Within(0, 1_000_000)] = 128
    """Procedural scenes, two views of each, that are rendered once at the start."""
    learning_rate: Rate = 2e-3
    ema_decay: Share = 0.995
    n_check: Annotated[int, Within(1, 100_000)] = 64
    """Views of held-out objects to validate on."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.ambient[0] <= self.ambient[1]:
            low, high = self.ambient
            raise ValueError(f"ambient: expected [low, high] with low <= high, got [{low:g}, {high:g}]; swap them")
