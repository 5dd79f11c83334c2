"""What the loop is told: how long, how fast, and how much each term counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class OptimizeConfig:
    """The loop. Weights multiply means (over pixels, rays or samples), so they mean the same at any resolution."""

    steps: int = 240
    lr_encoding: float = 6e-2
    lr_network: float = 6e-3
    lr_final_share: float = 0.1
    """The rates fall exponentially to this share of themselves."""
    levels_full_at: float = 0.5
    """Share of the steps after which all levels of the hash grid are active."""

    rays: int = 1024
    """Rays a step through the given pictures."""
    weight_color: float = 30.0
    """Mean squared color error at the given views, in front of a random background; docs/prior.md has figures. Not of
    drawings (input.domain)."""
    weight_mask: float = 5.0
    """Mean squared opacity error at the given views."""
    weight_entropy: float = 0.02
    """Opacity of every ray towards 0 or 1, over the second half of the run."""
    weight_sparsity: float = 0.0
    weight_orientation: float = 0.5
    weight_smoothness: float = 0.5
    smoothness_std: float = 0.03
    """How far apart the compared normals are, in world units."""
    weight_distortion: float = 0.05
    regularizer_samples: int = 512
    """Points a step at which normals are looked at."""

    log_every: int = 10
    preview_every: int = 100
    preview_size_px: int = 96
    checkpoint_every: int = 100
    """Steps between two checkpoints; the last step always makes one."""
    checkpoint_every_s: float = 300.0
    """Seconds after which there is one anyway."""

    def __post_init__(self) -> None:
        for name in ("steps", "rays", "regularizer_samples", "log_every", "preview_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"optimize.{name}: a whole number of at least 1 wanted, got {getattr(self, name)}")
        for name in ("lr_encoding", "lr_network", "lr_final_share", "checkpoint_every_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"optimize.{name}: a number above 0 wanted, got {getattr(self, name)}")
