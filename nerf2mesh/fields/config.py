"""Settings of a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.kernels import GridLayout
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import OneOf, Positive, Within

ENCODING_GROWTH = 1.4472692374403782
"""Per-level scale of threestudio's and DreamFusion's reimplementations: 16 to 4096 in 16 levels."""


@dataclass(kw_only=True)
class FieldConfig:
    """Settings `field.*` of a `HashGridField`. Raises ValueError for a value outside its range."""

    encoding: Annotated[str, OneOf("native", "torch", "tcnn")] = "native"
    """"native" (compiled kernels), "torch" (their twins in plain torch, slow), "tcnn" (tiny-cuda-nn, CUDA)."""
    n_levels: Annotated[int, Within(1, 32)] = 8
    n_features: Annotated[int, Within(1, 8)] = 4
    log2_table_size: Annotated[int, Within(3, 28)] = 15
    base_resolution: Annotated[int, Within(2, 16_384)] = 16
    per_level_scale: Annotated[float, Within(1.0, 16.0)] = ENCODING_GROWTH
    interpolation: Annotated[str, OneOf("linear", "smoothstep")] = "linear"
    """"linear" or "smoothstep"; smoothstep has continuous normals."""
    start_levels: Annotated[int, Within(1, 32)] = 4
    """How many levels are active at first (coarse to fine); the loop raises `field.n_active_levels`."""
    hidden: Annotated[int, Within(1, 8192)] = 64
    n_hidden: Annotated[int, Within(1, 64)] = 1
    n_geometry_features: Annotated[int, Within(0, 8192)] = 15
    """What the density network hands to the color head beside the logit."""
    color_hidden: Annotated[int, Within(1, 8192)] = 32
    n_color_hidden: Annotated[int, Within(0, 64)] = 1
    view_dependent: bool = False
    direction_degree: Annotated[int, Within(0, 3)] = 3
    density_activation: Annotated[str, OneOf("exp", "softplus", "laplace")] = "exp"
    """"exp", "softplus", or "laplace" (the logit is then minus a signed distance: see `sdf_config`). In fits of balls
    and bars "exp" had half the samples and the sharper skin; "softplus" (density_scale 10) leaves a thin fog."""
    density_scale: Positive = 1.0
    """Density per unit of activation, in 1 / world unit (the box is 2 wide)."""
    blob: Annotated[str, OneOf("cone", "gaussian", "sphere", "none")] = "cone"
    """What is added to the logit of a point at distance r from the origin, so that the start is a soft ball:
    "cone" blob_scale * max(1 - r / blob_width, blob_floor) (Magic3D),
    "gaussian" blob_scale * exp(-(r / blob_width)^2 / 2), "sphere" blob_width - r (a signed distance), "none"."""
    blob_scale: Annotated[float, Within(-1000.0, 1000.0)] = 3.0
    blob_width: Annotated[float, Within(0.0, 1000.0, above=True)] = 0.5
    blob_floor: Annotated[float, Within(-1000.0, 1.0)] = -1.0
    """Keeps the corners of the box within reach of the optimizer: without it a cone's logit there is -25."""
    beta: Annotated[float, Within(0.001, 100.0, above=True)] = 0.1
    """First sharpness of "laplace", in world units."""
    material: Annotated[str, OneOf("emissive", "lambert", "pbr")] = "emissive"
    """What the colors are: "emissive", what the given picture shows, its light painted in; "lambert", the albedo, with
    a light that is fitted to the picture (`light`); "pbr", as lambert, and roughness and metallic as two more heads of
    the field, from the picture's highlights. See docs/materials.md."""
    light: Annotated[str, OneOf("constant", "directional", "harmonics")] = "directional"
    """Of "lambert" and "pbr": "directional" (an even light and a far lamp), "harmonics" (degree 2, any soft
    surroundings; says little about sides that the picture does not show), "constant" (even: as emissive, on the same
    path)."""
    delight: Annotated[str, OneOf("before", "along")] = "before"
    """When the light is taken out: "before" (of the picture itself, by the body that its outline
    suggests; prior and field then see albedo alone), "along" (in the loop, by the normals of the field as it comes)."""
    precision: Annotated[str, OneOf("auto", "float32", "bfloat16")] = "auto"
    """Arithmetic of the networks while training: "float32", "bfloat16", or "auto" (bfloat16 where the hardware has it).
    Evaluation, normals and `density_logit` are float32 always: finite differences and level sets need the digits."""

    def __post_init__(self) -> None:
        check_ranges(self, "field.")
        if self.material == "pbr" and self.light != "directional":
            raise ValueError(
                f"field.light: expected directional with field.material=pbr, whose highlights are a lamp's, got "
                f"{self.light}; leave it out, or use field.material=lambert"
            )
        self.layout()

    def layout(self) -> GridLayout:
        """The hash grid's; ValueError where its levels and sizes do not go together."""
        names = ("n_levels", "n_features", "log2_table_size", "base_resolution", "per_level_scale", "interpolation")
        try:
            return GridLayout(**{name: getattr(self, name) for name in names})
        except ValueError as error:
            raise ValueError(f"field.{error}") from error
