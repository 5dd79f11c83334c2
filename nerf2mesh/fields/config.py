"""Settings of a field."""

from __future__ import annotations

from dataclasses import dataclass

ENCODING_GROWTH = 1.4472692374403782
"""Per-level scale of threestudio's and DreamFusion's reimplementations: 16 to 4096 in 16 levels."""


@dataclass(kw_only=True)
class FieldConfig:
    """Settings `field.*` of a `HashGridField`. Raises ValueError for a value outside its range."""

    encoding: str = "native"
    """"native" (compiled kernels), "torch" (their twins in plain torch, slow), "tcnn" (tiny-cuda-nn, CUDA)."""
    n_levels: int = 8
    n_features: int = 4
    log2_table_size: int = 15
    base_resolution: int = 16
    per_level_scale: float = ENCODING_GROWTH
    interpolation: str = "linear"
    """"linear" or "smoothstep"; smoothstep has continuous normals."""
    start_levels: int = 4
    """How many levels are active at first (coarse to fine); the loop raises `field.n_active_levels`."""
    hidden: int = 64
    n_hidden: int = 1
    n_geometry_features: int = 15
    """What the density network hands to the color head beside the logit."""
    color_hidden: int = 32
    n_color_hidden: int = 1
    view_dependent: bool = False
    direction_degree: int = 3
    density_activation: str = "exp"
    """"exp", "softplus", or "laplace" (the logit is then minus a signed distance: see `sdf_config`). In fits of balls
    and bars "exp" had half the samples and the sharper skin; "softplus" (density_scale 10) leaves a thin fog."""
    density_scale: float = 1.0
    """Density per unit of activation, in 1 / world unit (the box is 2 wide)."""
    blob: str = "cone"
    """What is added to the logit of a point at distance r from the origin, so that the start is a soft ball:
    "cone" blob_scale * max(1 - r / blob_width, blob_floor) (Magic3D),
    "gaussian" blob_scale * exp(-(r / blob_width)^2 / 2), "sphere" blob_width - r (a signed distance), "none"."""
    blob_scale: float = 3.0
    blob_width: float = 0.5
    blob_floor: float = -1.0
    """Keeps the corners of the box within reach of the optimizer: without it a cone's logit there is -25."""
    beta: float = 0.1
    """First sharpness of "laplace", in world units."""
    precision: str = "auto"
    """Arithmetic of the networks while training: "float32", "bfloat16", or "auto" (bfloat16 where the hardware has it).
    Evaluation, normals and `density_logit` are float32 always: finite differences and level sets need the digits."""

    def __post_init__(self) -> None:
        for name in ("n_levels", "n_features", "start_levels", "hidden", "n_hidden", "color_hidden", "base_resolution"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"field.{name}: expected a whole number of at least 1, got {getattr(self, name)}; raise it"
                )
        if self.density_scale <= 0 or self.blob_width <= 0:
            raise ValueError(
                f"field.density_scale, field.blob_width: expected numbers above 0, got {self.density_scale} and "
                f"{self.blob_width}; raise them"
            )
        if self.blob not in ("cone", "gaussian", "sphere", "none"):
            raise ValueError(
                f"field.blob: expected cone, gaussian, sphere or none, got {self.blob!r}; choose one of these"
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(
                f"field.precision: expected auto, float32 or bfloat16, got {self.precision!r}; choose one of these"
            )
