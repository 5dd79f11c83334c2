"""Settings of the viewpoint network's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.inputs.viewpoint.network import ViewpointConfig
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.view_config import ViewTrainConfig
from nerf2mesh.utils.ranges import Elevation, FilePath, Share, Within

Fov = Annotated[float, Within(1.0, 150.0)]


def _augment() -> AugmentConfig:
    """Upright objects, some pictures of which are drawings or cut out of photographs."""
    return AugmentConfig(tumble_share=0.0, look_share=0.15, cutout_share=0.15)


@dataclass(kw_only=True)
class ViewpointTrainConfig(ViewTrainConfig):
    """How the network that tells elevation and field of view is trained."""

    data: ObjectDataConfig = field(default_factory=lambda: ObjectDataConfig(augment=_augment()))
    """`data.meshes`: the folder of objects; null trains on procedural scenes alone."""
    network: ViewpointConfig = field(default_factory=ViewpointConfig)
    output_dir: FilePath = "outputs/viewpoint"
    batch: Annotated[int, Within(1, 100_000)] = 64
    new_share: Share = 0.4
    """This share of a batch is drawn anew; the rest are views of earlier steps. Half of all are mirrored."""
    kept: Annotated[int, Within(1, 10_000_000)] = 60_000
    """Views that are kept for that, as bytes."""
    elevation_deg: tuple[Elevation, Elevation] = (-20.0, 75.0)
    fov_deg: tuple[Fov, Fov] = (15.0, 60.0)
    roll_deg: Annotated[float, Within(0.0, 180.0)] = 2.0
    """Standard deviation of the camera's roll: people hold them level, nearly."""
    front_share: Share = 0.5
    """Of the pictures; these show the front or a side, give or take 20 degrees, the others any side."""
    procedural_share: Share = 0.15
    """This share of the new views is of procedural scenes."""
    n_scenes: Annotated[int, Within(0, 1_000_000)] = 256
    """Procedural scenes, two views of each, that are rendered once at the start."""
    n_check: Annotated[int, Within(1, 100_000)] = 192
    """Views of held-out objects to validate on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high) in (("elevation_deg", self.elevation_deg), ("fov_deg", self.fov_deg)):
            if not low < high:
                raise ValueError(f"{name}: expected [low, high] with low < high, got [{low:g}, {high:g}]; swap them")
