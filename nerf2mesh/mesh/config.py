"""Settings of mesh building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Length, OneOf, Positive, Share, Within

FORMATS = ("glb", "obj", "ply", "stl", "3mf", "usdz", "fbx", "abc")


@dataclass(kw_only=True)
class MeshConfig:
    """Settings `mesh.*`. Lengths are in world units: the box [-1, 1]^3 is 2 wide.

    Raises ValueError for a setting outside its range.
    """

    resolution: Annotated[int, Within(16, 2048)] = 192
    """Cells along one side of the box [-1, 1]^3, 16 to 2048; memory grows with the surface, about resolution^2."""
    refine_steps: Annotated[int, Within(0, 100)] = 6
    """Evaluations of the field per vertex that bring it onto the level set."""
    threshold: Positive | None = None
    """Density of the surface; None finds it by silhouettes. A signed-distance field has its own and ignores this."""
    fill_hidden: bool = True
    """Make solid what no light reaches: fields are hollow inside, and tunnels lead in."""
    smooth_radius: Annotated[float, Within(0.0, 1.0)] = 0.01
    """Noise below this scale (world units) is taken off the level set; 0 meshes the field as it is, bit for bit."""
    sharpen: bool = False
    """Split edges whose middle leaves the surface, so that the creases and corners that marching cubes cuts off come
    back. Needs `smooth_radius=0`, since a smoothed level set has no creases; `mesh=sharp` sets both. Worth it where the
    field itself is sharp (analytic shapes, signed distances); on an optimized density field it follows the noise."""
    calibration_views: Annotated[int, Within(1, 256)] = 12
    calibration_size_px: Annotated[int, Within(16, 2048)] = 128
    calibration_resolution: Annotated[int, Within(8, 512)] = 96
    """Cells of the coarse grid on which the threshold and what is hidden are found."""
    keep_components: Annotated[int, Within(0, 1_000_000)] = 0
    """How many of the largest pieces stay; 0 keeps all that have `min_component_share`."""
    min_component_share: Share = 0.03
    """A piece's share of the mesh's silhouettes all around. Smaller ones are floaters; the largest always stays."""
    target_faces: Annotated[int, Within(20, 100_000_000, also=(0,))] = 20000
    """Face budget; 0 keeps every face."""
    lods: Annotated[tuple[Annotated[int, Within(20, 100_000_000, also=(0,))], ...], Length(0, 16)] = ()
    """Further face budgets; each gives a mesh of its own beside the first, textures half as wide each time."""
    formats: Annotated[tuple[Annotated[str, OneOf(*FORMATS)], ...], Length(0, 8)] = ("glb",)
    """Of a run's files; mesh.glb is written in any case. Each is tried before the first step."""
    real_size_m: Annotated[float, Within(0.0, 1e6)] = 0.0
    """The longest side of the exported mesh in metres; 0 leaves world units. STL and 3MF count in millimetres."""
    remesh: Annotated[str, OneOf("none", "isotropic", "quad")] = "none"
    """"isotropic" (even triangles) or "quad" (quads, written as pairs of triangles), instead of the decimated mesh;
    needs the extra `remesh`. Kept where the result is closed and the same surface."""
    project: bool = True
    """Bring the vertices back onto the level set after decimation."""
    texture: bool = True
    """False: vertex colors only, no unwrap."""
    texture_size: Annotated[int, Within(64, 16_384)] = 1024
    texture_padding_px: Annotated[int, Within(0, 256)] = 4
    unwrap_time_limit_s: Annotated[float, Within(0.0, 1e6)] = 120.0
    """After this the fallback unwrap takes over."""
    texture_supersample: Annotated[int, Within(1, 8)] = 1
    """Points per texel along one axis."""
    normal_map: bool = False
    """Also a tangent-space normal map of the field's own normals: detail that the face budget took."""
    occlusion: bool = False
    """Also a texture of occlusion, roughness and metallic: how much of the surroundings each texel sees."""
    roughness: Annotated[float, Within(0.0, 1.0)] = 1.0
    """Of the whole surface, as engines read it; `field.material=pbr` finds its own."""
    metallic: Annotated[float, Within(0.0, 1.0)] = 0.0
    """As `roughness`: 1 for bare metal, else 0."""
    bake_samples: Annotated[int, Within(1, 1024)] = 16
    """Field samples along the inward normal of each texel."""
    bake_outward: Annotated[float, Within(0.0, 2.0)] = 0.02
    bake_inward: Annotated[float, Within(0.0, 2.0)] = 0.1
    """How far before and behind the surface a texel looks, in world units: a soft field shows what lies deeper."""
    bake_fit_views: Annotated[int, Within(0, 256)] = 12
    """Pictures of the field by which the texture is corrected; kept only where the comparison at `bake_views`, which
    are other cameras, improves. 0 leaves the colors of the march along the normal."""
    bake_fit_size_px: Annotated[int, Within(16, 2048)] = 160
    color_radius: Annotated[float, Within(0.0, 2.0)] | None = None
    """Colors are blurred by this standard deviation (world units) before the given views' are put over them; None is
    half a pixel of the views that the prior steers by, 0 leaves what was baked."""
    given_views: bool = True
    """Colors of the given pictures themselves where these show the surface well; drawings are left out."""
    given_normals: bool = True
    """Of `field.material=lambert` and `pbr`: shading normals from the given pictures where these show the surface, by a
    small network; positions stay."""
    palette: Annotated[float, Within(0.0, 100.0)] = 7.0
    """Colors of hidden sides are drawn towards those that the given pictures show, which they mostly share: the
    standard deviation, in CIELAB units, of what a prior's guess is off. 0 leaves them; drawings are left out."""
    settle_limit: Annotated[float, Within(0.0, 1.0)] = 0.0
    """How far (world units) the painted mesh may sink along its normals to look more like the field; costs some outline
    and volume. 0 leaves the surface where the calibration put it."""
    bake_views: Annotated[int, Within(0, 256)] = 8
    """Cameras at which the exported mesh is compared with the field; 0 skips the comparison."""
    bake_view_size_px: Annotated[int, Within(16, 2048)] = 256
    rig: Annotated[str, OneOf("none", "auto", "biped", "quadruped")] = "none"
    """A skeleton, skinning weights and clips in GLB and USDZ, rig.json beside them: biped or quadruped, or auto by the
    legs. See docs/rigging.md."""
    chunk_points: Annotated[int, Within(256, 1_000_000_000)] = 1 << 18
    """Points in one call of the field."""

    def __post_init__(self) -> None:
        check_ranges(self, "mesh.")
        if self.sharpen and self.smooth_radius > 0.0:
            raise ValueError(
                f"mesh.sharpen: expected mesh.smooth_radius 0 beside it, got {self.smooth_radius}; "
                "choose mesh=sharp, or set mesh.smooth_radius=0"
            )
