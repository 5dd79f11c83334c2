"""Settings of the segmentation network's training."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerf2mesh.inputs.segmentation.network import SegmentationConfig
from nerf2mesh.objects.config import ObjectDataConfig


@dataclass(kw_only=True)
class ForegroundTrainConfig:
    """How the network that finds a picture's object is trained, on composites that are drawn as they are needed."""

    data: ObjectDataConfig = field(default_factory=ObjectDataConfig)
    """`data.meshes`: the folder of objects; null trains on drawn shapes and procedural objects alone."""
    network: SegmentationConfig = field(default_factory=SegmentationConfig)
    weights: str | None = None
    """Weights to start from; null: random."""
    output_dir: str = "outputs/foreground"
    minutes: float = 40.0
    """Training time of this run; the rate falls to zero over it."""
    batch: int = 8
    new_share: float = 0.5
    """This share of a batch is drawn anew; the rest are mirrored composites of earlier steps."""
    kept: int = 3000
    """Composites that are kept for that."""
    half_share: float = 0.35
    """The first share of the time trains on pictures of half the network's size, which is quicker."""
    small_share: float = 0.75
    """Up to this share of the time they have three quarters of its size."""
    learning_rate: float = 2e-3
    ema_decay: float = 0.995
    mesh_share: float = 0.7
    """Of the objects; half of the rest are procedural scenes, half shapes drawn in the plane."""
    n_scenes: int = 48
    """Procedural scenes, two views of each, that are rendered once at the start."""
    n_check: int = 96
    """Held-out composites to validate on."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("new_share", "half_share", "small_share", "mesh_share", "ema_decay"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}; change it")
        if not 0 <= self.n_scenes <= 100_000:
            raise ValueError(f"n_scenes: expected 0 to 100000, got {self.n_scenes}; change it")
        for name in ("batch", "kept", "n_check"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise ValueError(f"{name}: expected 1 to 1000000, got {getattr(self, name)}; change it")
        if not 0.0 < self.minutes <= 100_000.0:
            raise ValueError(f"minutes: expected 0 to 100000, got {self.minutes}; change it")
