"""What stands behind the object: a fixed color, or a learned one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerf2mesh.fields.harmonics import harmonics_count, spherical_harmonics

KINDS = ("fixed", "constant", "direction")


@dataclass(kw_only=True)
class BackgroundConfig:
    kind: str = "fixed"
    """"fixed": `color` for ever. "constant": one learned color per image. "direction": learned, by direction."""
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """sRGB in [0, 1]; the start value of the learned kinds."""
    n_images: int = 1
    """How many colors kind "constant" holds."""
    degree: int = 3
    """Highest spherical harmonic of kind "direction"."""


class Background(nn.Module):
    """Colors [N, 3] in [0, 1] behind rays of unit `directions` [N, 3].

    A learned background can hide holes of the object: train with random fixed backgrounds where the mask is not given.
    """

    def __init__(self, config: BackgroundConfig | None = None) -> None:
        super().__init__()
        self.config = config = BackgroundConfig() if config is None else config
        if config.kind not in KINDS:
            raise ValueError(f"background.kind: one of {', '.join(KINDS)} wanted, got {config.kind!r}")
        color = torch.tensor([float(c) for c in config.color])
        if color.shape != (3,) or color.min() < 0 or color.max() > 1:
            raise ValueError(f"background.color: three numbers in [0, 1] wanted, got {config.color}")
        if config.kind == "fixed":
            self.register_buffer("color", color)
            return
        logit = torch.logit(color.clamp(0.02, 0.98))
        if config.kind == "constant":
            self.logits = nn.Parameter(logit.repeat(config.n_images, 1))
            return
        coefficients = torch.zeros(harmonics_count(config.degree), 3)
        coefficients[0] = logit / 0.28209479177387814
        self.coefficients = nn.Parameter(coefficients)

    def forward(
        self, directions: Float[Tensor, "n 3"], image_index: int | Int[Tensor, "n"] = 0
    ) -> Float[Tensor, "n 3"]:
        """`image_index` says which learned color serves each ray of kind "constant"."""
        if self.config.kind == "fixed":
            return self.color.expand(directions.shape)
        if self.config.kind == "constant":
            return torch.sigmoid(self.logits[image_index]).expand(directions.shape)
        return torch.sigmoid(spherical_harmonics(directions, self.config.degree) @ self.coefficients)
