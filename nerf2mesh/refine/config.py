"""Settings of a round of refinement: from what, where, and how the rest is held."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Length, Name, OneOf, Share, Weight, Within

CHANGES = ("auto", "color", "shape")
Coordinate = Annotated[float, Within(-1e6, 1e6)]


@dataclass(kw_only=True)
class StartConfig:
    """How the field is fitted to the mesh of `start_from` before the first step."""

    views: Annotated[int, Within(4, 1000)] = 36
    """Pictures of the mesh from all around."""
    size_px: Annotated[int, Within(16, 2048)] = 160
    point_steps: Annotated[int, Within(0, 100_000)] = 120
    """Steps on single points near the surface, whose density and color are known; they cost little."""
    points: Annotated[int, Within(64, 10_000_000)] = 4096
    ray_steps: Annotated[int, Within(0, 100_000)] = 200
    """Steps on rays of the pictures after that."""
    rays: Annotated[int, Within(64, 10_000_000)] = 2048

    def __post_init__(self) -> None:
        check_ranges(self, "refine.start.")


@dataclass(kw_only=True)
class RefineConfig:
    """A round of refinement; see docs/refine.md. Lengths and places are in the axes and units of the mesh of
    `start_from` as this package reads it: +Z up, front along +X.

    At most one of mask, vertex_group, vertex_color, box and sphere says which region alone may change; without one
    everything may.
    """

    paint: FilePath | None = None
    """A rendering of `nerf2mesh-render` that was painted over: a PNG with its transparency. It becomes a given view."""
    mask: FilePath | None = None
    """White where the region is, black elsewhere: as large as the rendering that it was painted on."""
    camera: FilePath | None = None
    """The camera of `paint` and `mask`, as nerf2mesh-render wrote it; null: the JSON file beside the picture."""
    mask_reach: Annotated[float, Within(0.001, 2.0)] = 0.3
    """With a mask and a change of shape: how far before and behind the painted surface the region goes, as a share of
    half the mesh's longest side."""
    vertex_group: Name = ""
    """Of a GLB the vertex attribute _NAME (Blender exports an attribute of that name), of a PLY the vertex property
    NAME, of an OBJ the group NAME."""
    vertex_color: Annotated[list[Share], Length(0, 3)] = field(default_factory=list)
    """[r,g,b] in [0, 1]: where the mesh's vertex colors are within 0.1 of it."""
    box: Annotated[list[Coordinate], Length(0, 6)] = field(default_factory=list)
    """[x0,y0,z0,x1,y1,z1]."""
    sphere: Annotated[list[Coordinate], Length(0, 4)] = field(default_factory=list)
    """[x,y,z,radius]."""
    change: Annotated[str, OneOf(*CHANGES)] = "auto"
    """color: the surface stays as it is everywhere. shape: it may change in the region. auto: color where the
    paint-over has the outline of the mesh, else shape."""
    keep_topology: bool = False
    """Vertices, triangles and texture coordinates of the mesh stay; in the region the same surface is bent into the new
    shape. Without: a change of shape makes the whole mesh anew. The mesh needs texture coordinates of its own."""
    views: Annotated[int, Within(1, 1000)] = 24
    """Pictures of the mesh that hold what is outside the region."""
    size_px: Annotated[int, Within(16, 2048)] = 192
    paint_weight: Weight = 2.0
    """How often rays of the paint-over are drawn, against 1 for all pictures of the mesh together."""
    start: StartConfig = field(default_factory=StartConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "refine.")
        wanted = {"box": (6, "[x0,y0,z0,x1,y1,z1]"), "sphere": (4, "[x,y,z,radius]"), "vertex_color": (3, "[r,g,b]")}
        for name, (count, form) in wanted.items():
            value = list(getattr(self, name))
            if len(value) not in (0, count):
                raise ValueError(f"refine.{name}: expected {form}, got {value}; give {count} numbers")
        if self.box and any(low >= high for low, high in zip(self.box[:3], self.box[3:])):
            raise ValueError(f"refine.box: expected the lower corner first, got {list(self.box)}; swap the corners")
        if self.sphere and not self.sphere[3] > 0.0:
            raise ValueError(f"refine.sphere: expected a radius above 0, got {self.sphere[3]:g}; correct it")
        if len(named := self.regions) > 1:
            raise ValueError(f"refine: expected at most one region, got {' and '.join(named)}; leave the others out")

    @property
    def regions(self) -> list[str]:
        """The settings that name a region; at most one."""
        return [name for name in ("mask", "vertex_group", "vertex_color", "box", "sphere") if getattr(self, name)]

    @property
    def asked(self) -> list[str]:
        """The settings that want a mesh to start from."""
        return self.regions + [name for name in ("paint", "camera", "keep_topology") if getattr(self, name)]
