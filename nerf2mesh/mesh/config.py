"""Settings of mesh building."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class MeshConfig:
    """Settings `mesh.*`. Lengths are in world units: the box [-1, 1]^3 is 2 wide.

    Raises ValueError for a setting outside its range.
    """

    resolution: int = 192
    """Cells along one side of the box [-1, 1]^3, 16 to 2048; memory grows with the surface, about resolution^2."""
    refine_steps: int = 6
    """Evaluations of the field per vertex that bring it onto the level set."""
    threshold: float | None = None
    """Density of the surface; None finds it by silhouettes. A signed-distance field has its own and ignores this."""
    fill_hidden: bool = True
    """Make solid what no light reaches: fields are hollow inside, and tunnels lead in."""
    smooth_radius: float = 0.01
    """Noise below this scale (world units) is taken off the level set; 0 meshes the field as it is, bit for bit."""
    sharpen: bool = False
    """Split edges whose middle leaves the surface, so that the creases and corners that marching cubes cuts off come
    back. Needs `smooth_radius=0`, since a smoothed level set has no creases; `mesh=sharp` sets both. Worth it where the
    field itself is sharp (analytic shapes, signed distances); on an optimized density field it follows the noise."""
    calibration_views: int = 12
    calibration_size_px: int = 128
    calibration_resolution: int = 96
    """Cells of the coarse grid on which the threshold and what is hidden are found."""
    keep_components: int = 0
    """How many of the largest pieces stay; 0 keeps all that have `min_component_share`."""
    min_component_share: float = 0.03
    """A piece's share of the mesh's silhouettes all around. Smaller ones are floaters; the largest always stays."""
    target_faces: int = 20000
    """Face budget; 0 keeps every face."""
    lods: tuple[int, ...] = ()
    """Further face budgets; each gives a mesh of its own beside the first, textures half as wide each time."""
    real_size_m: float = 0.0
    """The longest side of the exported mesh in metres; 0 leaves world units."""
    remesh: str = "none"
    """"isotropic" (even triangles) or "quad" (quads, written as pairs of triangles), instead of the decimated mesh;
    needs the extra `remesh`. Kept where the result is closed and the same surface."""
    project: bool = True
    """Bring the vertices back onto the level set after decimation."""
    texture: bool = True
    """False: vertex colors only, no unwrap."""
    texture_size: int = 1024
    texture_padding_px: int = 4
    unwrap_time_limit_s: float = 120.0
    """After this the fallback unwrap takes over."""
    texture_supersample: int = 1
    """Points per texel along one axis."""
    normal_map: bool = False
    """Also a tangent-space normal map of the field's own normals: detail that the face budget took."""
    bake_samples: int = 16
    """Field samples along the inward normal of each texel."""
    bake_outward: float = 0.02
    bake_inward: float = 0.1
    """How far before and behind the surface a texel looks, in world units: a soft field shows what lies deeper."""
    bake_fit_views: int = 12
    """Pictures of the field by which the texture is corrected; kept only where the comparison at `bake_views`, which
    are other cameras, improves. 0 leaves the colors of the march along the normal."""
    bake_fit_size_px: int = 160
    color_radius: float | None = None
    """Colors are blurred by this standard deviation (world units) before the given views' are put over them; None is
    half a pixel of the views that the prior steers by, 0 leaves what was baked."""
    given_views: bool = True
    """Colors of the given pictures themselves where these show the surface well; drawings are left out."""
    settle_limit: float = 0.0
    """How far (world units) the painted mesh may sink along its normals to look more like the field; costs some outline
    and volume. 0 leaves the surface where the calibration put it."""
    bake_views: int = 8
    """Cameras at which the exported mesh is compared with the field; 0 skips the comparison."""
    bake_view_size_px: int = 256
    chunk_points: int = 1 << 18
    """Points in one call of the field."""

    def __post_init__(self) -> None:
        _within("resolution", self.resolution, 16, 2048, "cells along one side of the box")
        _within("texture_size", self.texture_size, 64, 16384, "pixels")
        if not 0.0 <= self.min_component_share <= 1.0:
            raise ValueError(
                f"mesh.min_component_share: expected 0 to 1, got {self.min_component_share}; set a share such as 0.03"
            )
        for name in ("refine_steps", "keep_components", "smooth_radius", "settle_limit", "target_faces", "bake_views"):
            if getattr(self, name) < 0:
                raise ValueError(f"mesh.{name}: expected 0 or more, got {getattr(self, name)}; set 0 to switch it off")
        if self.remesh not in ("none", "isotropic", "quad"):
            raise ValueError(f"mesh.remesh: expected none, isotropic or quad, got {self.remesh!r}; choose one of these")
        if self.sharpen and self.smooth_radius > 0.0:
            raise ValueError(
                f"mesh.sharpen: expected mesh.smooth_radius 0 beside it, got {self.smooth_radius}; "
                "choose mesh=sharp, or set mesh.smooth_radius=0"
            )
        if self.color_radius is not None and not self.color_radius >= 0.0:
            raise ValueError(
                f"mesh.color_radius: expected 0 or more, or null, got {self.color_radius}; set null for the default"
            )
        if self.threshold is not None and not self.threshold > 0.0:
            raise ValueError(
                f"mesh.threshold: expected a density above 0, or null, got {self.threshold}; set null to calibrate it"
            )
        for name, budget in (("target_faces", self.target_faces), *(("lods", n) for n in self.lods)):
            if 0 < budget < 20:
                raise ValueError(
                    f"mesh.{name}: expected 0 (all faces) or at least 20, got {budget}; raise the face budget"
                )


def _within(name: str, value: int, low: int, high: int, unit: str) -> None:
    if not low <= value <= high:
        raise ValueError(f"mesh.{name}: expected {low} to {high} {unit}, got {value}; choose a value in this range")
