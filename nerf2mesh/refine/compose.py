"""The mesh of a round: the source's own outside the region, what the field and the paint-over say inside.

change  keep_topology  what is done
color   either         the source's surface as it is; its texture changed in the region (`recolor`). Where the region
                       cannot be painted in that texture, and need not stay, the mesh is unwrapped anew first
shape   true           the triangles of the region made finer (`split`), bent onto the field's surface (`bend`), brought
                       to the paint-over's outline (`outline`) and painted in the source's own texture
shape   false          a new mesh from the field, whose vertices and colors outside the region are put back to the
                       source's (`remade`)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import FieldAccess, MeshConfig, TriangleMesh, build_lods, inspect_mesh
from nerf2mesh.mesh.build import find_surface
from nerf2mesh.mesh.stages import Stages
from nerf2mesh.mesh.texture.bake import normal_march, shade_points
from nerf2mesh.refine.atlas import atlas_fault, region_faces, with_atlas
from nerf2mesh.refine.bend import bent
from nerf2mesh.refine.outline import COARSE, FINE, outlined
from nerf2mesh.refine.recolor import Shown, repainted
from nerf2mesh.refine.remade import on_source, source_colors
from nerf2mesh.refine.round import Round
from nerf2mesh.refine.split import subdivided
from nerf2mesh.render import VolumeRenderer

LONGEST = 0.03
"""World units of the box: edges of the region before it is bent."""


@dataclass(frozen=True)
class Made:
    """The mesh in the box, coarser ones, and figures for mesh.json."""

    mesh: TriangleMesh
    lods: list[TriangleMesh] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


def make_mesh(
    begun: Round,
    now: HashGridField,
    renderer: VolumeRenderer,
    before: HashGridField,
    config: MeshConfig,
    progress: Callable[[str, float], None] | None = None,
) -> Made:
    """The mesh after the round's optimization; `before` is the field as it was fitted to the source."""
    was_training = now.training
    now.eval()
    before.eval()
    try:
        access = FieldAccess.of(now, renderer.occupancy, renderer)
        if begun.change == "shape" and not begun.config.keep_topology:
            return _remade(begun, access, config, progress)
        return _kept(begun, access, FieldAccess.of(before), config, Stages(progress))
    finally:
        now.train(was_training)


def _kept(begun: Round, access: FieldAccess, before: FieldAccess, config: MeshConfig, stages: Stages) -> Made:
    """The source's triangles: repainted, and bent where the shape changes."""
    old, facts = begun.source.mesh, {}
    stages.enter("texture")
    if not begun.config.keep_topology and (fault := atlas_fault(old, begun.region)):
        old, unwrapped = with_atlas(old, config)
        facts["unwrap"] = {**unwrapped, "because": f"{fault} cannot be painted there"}
    mesh = old
    if begun.change == "shape":
        stages.enter("bend")
        surface, _, report = find_surface(access, config, stages)
        facts |= report.to_dict()
        old, _ = subdivided(old, region_faces(old, begun.region), LONGEST)
        mesh, facts["outline_first"] = _outlined(begun, old, old, COARSE)
        mesh, facts["bend"] = bent(mesh, old, surface, begun.region)
        mesh, facts["outline"] = _outlined(begun, mesh, old, FINE)
    stages.enter("paint")
    mesh, facts["paint"] = repainted(
        mesh, old, begun.region, _shown(access, config), _shown(before, config), begun.painted
    )
    stages.enter("inspect")
    facts["mesh"] = inspect_mesh(mesh.welded())
    stages.enter("")
    return Made(mesh, facts={"seconds": stages.seconds, **facts})


def _outlined(
    begun: Round, mesh: TriangleMesh, old: TriangleMesh, stiff: Sequence[float]
) -> tuple[TriangleMesh, dict[str, float]]:
    """As the mesh is where there is no paint-over."""
    if begun.painted is None or begun.painted_free is None:
        return mesh, {"moved_most": 0.0}
    return outlined(mesh, old, begun.region, begun.painted, begun.painted_free, stiff=stiff)


def _remade(
    begun: Round, access: FieldAccess, config: MeshConfig, progress: Callable[[str, float], None] | None
) -> Made:
    """A new mesh; what is outside the region is the source's."""
    meshes, facts = build_lods(access, config, progress)
    made = []
    for k, mesh in enumerate(meshes):
        placed, share = on_source(mesh, begun.nearest, begun.region)
        placed, figures = source_colors(placed, begun.nearest, begun.region, begun.painted)
        made.append(placed)
        if not k:
            facts["paint"] = {**figures, "on_source": share}
    return Made(made[0], made[1:], facts)


def _shown(access: FieldAccess, config: MeshConfig) -> Shown:
    shade = normal_march(access, outward=config.bake_outward, inward=config.bake_inward, n_samples=config.bake_samples)

    def shown(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        return shade_points(shade, points, normals, access.device).astype(np.float64)

    return shown
