"""Settings of the segmentation network's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.inputs.segmentation.network import SegmentationConfig
from nerf2mesh.objects.view_config import DrawnTrainConfig
from nerf2mesh.utils.ranges import FilePath, Share, Within


@dataclass(kw_only=True)
class ForegroundTrainConfig(DrawnTrainConfig):
    """How the network that finds a picture's object is trained, on composites that are drawn as they are needed."""

    network: SegmentationConfig = field(default_factory=SegmentationConfig)
    output_dir: FilePath = "outputs/foreground"
    minutes: Annotated[float, Within(0.0, 1e6, above=True)] = 40.0
    """Training time of this run; the rate falls to zero over it."""
    batch: Annotated[int, Within(1, 100_000)] = 8
    new_share: Share = 0.5
    """This share of a batch is drawn anew; the rest are mirrored composites of earlier steps."""
    kept: Annotated[int, Within(1, 10_000_000)] = 3000
    """Composites that are kept for that, as bytes."""
    half_share: Share = 0.35
    """The first share of the time trains on pictures of half the network's size, which is quicker."""
    small_share: Share = 0.75
    """Up to this share of the time they have three quarters of its size."""
    mesh_share: Share = 0.7
    """Of the objects; half of the rest are procedural scenes, half shapes drawn in the plane. Without `data.meshes`
    these alone."""
    n_scenes: Annotated[int, Within(0, 100_000)] = 48
    """Procedural scenes, two views of each, that are rendered once at the start."""
    n_check: Annotated[int, Within(1, 100_000)] = 96
    """Held-out composites to validate on."""
