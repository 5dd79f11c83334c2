"""Settings of the normals network's training."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerf2mesh.inputs.normals.network import NormalsConfig
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.view_config import ViewTrainConfig
from nerf2mesh.utils.ranges import FilePath, Share


def _augment() -> AugmentConfig:
    """Objects in their own paint or under a pattern, fronts and any sides."""
    return AugmentConfig(front_share=0.6, side_share=0.1, tumble_share=0.02, pattern_share=0.25)


@dataclass(kw_only=True)
class NormalsTrainConfig(ViewTrainConfig):
    """How the network that tells a picture's normals is trained."""

    data: ObjectDataConfig = field(default_factory=lambda: ObjectDataConfig(augment=_augment()))
    """`data.meshes`: the folder of objects; null trains on procedural scenes alone."""
    network: NormalsConfig = field(default_factory=NormalsConfig)
    output_dir: FilePath = "outputs/normals"
    highlight_share: Share = 0.3
    """Of the views: with a highlight of the lamp over the colors."""
    ambient: tuple[Share, Share] = (0.15, 0.9)
    """The share of the light that comes from everywhere; the rest comes from a lamp, mostly above."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ambient[0] <= self.ambient[1]:
            low, high = self.ambient
            raise ValueError(f"ambient: expected [low, high] with low <= high, got [{low:g}, {high:g}]; swap them")
