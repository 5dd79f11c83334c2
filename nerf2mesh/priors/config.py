"""Which prior, and where its weights are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class PriorConfig:
    name: str = "builtin"
    """"builtin": the multi-view denoiser that comes with the package."""
    weights: str | None = None
    """Path of a safetensors file from nerf2mesh-train-prior; null takes the packaged weights."""
    precision: str = "bfloat16"
    """Arithmetic of the network: "bfloat16" or "float32"."""

    def __post_init__(self) -> None:
        if self.name != "builtin":
            raise ValueError(f"prior.name: wanted builtin, got {self.name!r}; set prior.name=builtin")
        if self.precision not in ("bfloat16", "float32"):
            raise ValueError(f"prior.precision: bfloat16 or float32 wanted, got {self.precision!r}")
