"""How the prior's opinion becomes a gradient."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class DistillConfig:
    """Score distillation: which gradient, how strongly guided, at which noise levels."""

    weight: float = 10.0
    """Of the distillation gradient; its unit is that of a mean squared error over the views' pixels. With 10 and the
    loop's rates, 150 steps bring the ball of `tests/optimize` to 28.8 dB on unseen sides; with 1 and a third of the
    rates, 14.7."""
    weighting: str = "x0"
    """w(t): "x0" pulls the view straight to the denoised one, "sds" is sigma^2 (DreamFusion), "uniform" is 1."""
    guidance_scale: float = 1.5
    """Classifier-free guidance: uncond + scale * (cond - uncond). 1 is the conditional prediction alone."""
    n_views: int = 3
    """Views a step, denoised together."""
    supersample: int = 1
    """Rays a pixel side for the views that the prior sees; it was trained on antialiased pictures."""
    t_start: float = 0.95
    """Noise level at the first step, as time in [0, 1]."""
    t_end: float = 0.7
    t_spread: float = 0.05
    """Each step draws its time uniformly within +- this of the schedule."""
    schedule: str = "linear"
    """From t_start to t_end: "linear" or "sqrt" (HiFA: falls fast first)."""
    elevation_deg: tuple[float, float] = (-15.0, 55.0)
    """Range of the distillation cameras; azimuths are spread evenly with a random turn."""

    def __post_init__(self) -> None:
        if self.weighting not in ("x0", "sds", "uniform"):
            raise ValueError(f"distill.weighting: one of x0, sds, uniform wanted, got {self.weighting!r}")
        if self.schedule not in ("linear", "sqrt"):
            raise ValueError(f"distill.schedule: linear or sqrt wanted, got {self.schedule!r}")
        if not 0.0 < self.t_end <= self.t_start < 1.0:
            raise ValueError(
                f"distill.t_start, t_end: 0 < t_end <= t_start < 1 wanted, got {self.t_start} and {self.t_end}"
            )
        if self.n_views < 1 or self.supersample < 1:
            raise ValueError(
                f"distill.n_views, supersample: at least 1 wanted, got {self.n_views} and {self.supersample}"
            )
