"""From a field to a finished mesh: level set, marching cubes, repair, decimation, unwrap, bake, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh.access import FieldAccess, LevelSet
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.extract.calibrate import Calibration, calibrate, coarse_logits
from nerf2mesh.mesh.extract.marching_cubes import NoSurfaceError, extract_surface
from nerf2mesh.mesh.extract.project import field_gradient, project_vertices, surface_normals
from nerf2mesh.mesh.extract.smooth import SmoothedLevel
from nerf2mesh.mesh.extract.solidify import hidden_fill
from nerf2mesh.mesh.report import Figures, FinishReport, SurfaceReport, joined_report
from nerf2mesh.mesh.stages import Progress, Stages
from nerf2mesh.mesh.surface.inspect import inspect_mesh
from nerf2mesh.mesh.surface.remesh import RemeshRefused, remesh
from nerf2mesh.mesh.surface.repair import keep_largest, split_pinches
from nerf2mesh.mesh.surface.sharpen import sharpen
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.mesh.texture.bake import normal_march, shade_points
from nerf2mesh.mesh.texture.occlusion import Surface, bake_orm
from nerf2mesh.mesh.texture.paint import paint
from nerf2mesh.mesh.texture.tangents import bake_normal_map
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.render import OccupancyGrid, VolumeRenderer

ORM_PX = 1024
"""Longest side of the occlusion texture, which is smooth."""
DEFAULT_DENSITY = 10.0
"""Density of the surface (1 / world unit) where nothing can be rendered to calibrate it: half the light is lost in 0.07
world units."""


def extract_mesh(
    field: HashGridField,
    occupancy: OccupancyGrid | None = None,
    renderer: VolumeRenderer | None = None,
    config: MeshConfig | None = None,
    progress: Progress | None = None,
) -> tuple[TriangleMesh, dict[str, object]]:
    """`build_mesh` of a `HashGridField`, its `OccupancyGrid` and `VolumeRenderer`, in evaluation mode."""
    config = MeshConfig() if config is None else config
    meshes, report = extract_lods(field, occupancy, renderer, replace(config, lods=()), progress)
    return meshes[0], report


def extract_lods(
    field: HashGridField,
    occupancy: OccupancyGrid | None = None,
    renderer: VolumeRenderer | None = None,
    config: MeshConfig | None = None,
    progress: Progress | None = None,
) -> tuple[list[TriangleMesh], dict[str, object]]:
    """`build_lods` of a `HashGridField`, as in `extract_mesh`."""
    was_training = field.training
    field.eval()
    try:
        return build_lods(FieldAccess.of(field, occupancy, renderer), config or MeshConfig(), progress)
    finally:
        field.train(was_training)


def build_mesh(
    access: FieldAccess, config: MeshConfig | None = None, progress: Progress | None = None
) -> tuple[TriangleMesh, dict[str, object]]:
    """The mesh of any field and a report for JSON: threshold and its curve, figures of every step, topology, bake loss,
    seconds.

    progress: called as progress(stage, fraction of that stage).
    Raises ValueError where the field holds no surface.
    """
    config = MeshConfig() if config is None else config
    meshes, report = build_lods(access, replace(config, lods=()), progress)
    return meshes[0], report


def build_lods(
    access: FieldAccess, config: MeshConfig, progress: Progress | None = None
) -> tuple[list[TriangleMesh], dict[str, object]]:
    """`build_mesh`'s mesh, and one for each budget of `config.lods`, whose figures the report has under "lods"."""
    stages = Stages(progress)
    surface, level_set, surface_report = find_surface(access, config, stages)
    meshes, reports = [], []
    for k, budget in enumerate((config.target_faces, *config.lods)):
        size = max(64, config.texture_size >> k) if k else config.texture_size
        level = replace(config, target_faces=budget, texture_size=size)
        mesh, report = finish_surface(surface, level_set, access, level, stages)
        meshes.append(mesh)
        reports.append(report)
    stages.enter("")
    return meshes, joined_report(stages.seconds, surface_report, reports)


def find_surface(
    access: FieldAccess, config: MeshConfig, stages: Stages
) -> tuple[TriangleMesh, LevelSet, SurfaceReport]:
    """The repaired surface before decimation, and the level set that it lies on.

    Where the field is nowhere as dense as `config.threshold`, it lies where the silhouettes fit best; the report's
    threshold then has "instead_of".
    """
    try:
        return _surface_at(access, config, stages)
    except NoSurfaceError:
        if config.threshold is None or access.level is not None or access.render is None:
            raise
    surface, level_set, report = _surface_at(access, replace(config, threshold=None), stages)
    threshold = {**report.threshold, "instead_of": config.threshold}
    return surface, level_set, replace(report, threshold=threshold)


def _surface_at(
    access: FieldAccess, config: MeshConfig, stages: Stages
) -> tuple[TriangleMesh, LevelSet, SurfaceReport]:
    stages.enter("calibrate")
    coarse = coarse_logits(access, min(config.calibration_resolution, config.resolution), config.chunk_points)
    level = find_level(access, config, coarse, stages.fraction)
    fill = hidden_fill(_densities(access, coarse)) if config.fill_hidden else None

    stages.enter("extract")
    level_set = LevelSet(access, level.level, config.chunk_points, fill)
    if config.smooth_radius:
        level_set = SmoothedLevel(level_set, coarse, config.smooth_radius)
    surface = extract_surface(
        level_set, config.resolution, occupancy=access.occupancy, refine_steps=config.refine_steps, seen=level.seen
    )
    extract: dict[str, object] = {"resolution": config.resolution, "faces": surface.n_faces, **surface.metadata}
    if config.sharpen:
        surface, sharpened = sharpen(surface, level_set, 2.0 / config.resolution)
        extract = {**extract, "sharpened": sharpened}

    stages.enter("repair")
    surface, pieces = keep_largest(surface, config.keep_components, config.min_component_share)
    surface, n_split = split_pinches(surface)
    threshold = {"logit": level.level, "density": level.density, "curve": level.curve}
    return surface, level_set, SurfaceReport(threshold, extract, {**pieces, "pinches_split": n_split})


def finish_surface(
    surface: TriangleMesh, level_set: LevelSet, access: FieldAccess, config: MeshConfig, stages: Stages
) -> tuple[TriangleMesh, FinishReport]:
    """The surface decimated to the budget, put back onto the level set, painted and inspected."""
    cell = 2.0 / config.resolution
    stages.enter("simplify")
    mesh, method = simplify(surface, config.target_faces) if config.target_faces else (surface, "unchanged")
    simplified: Figures = {"method": method, "target": config.target_faces, "faces": mesh.n_faces}
    remeshed = None
    if config.remesh != "none":
        stages.enter("remesh")
        mesh, remeshed = _remeshed(surface, mesh, config.remesh)
    if config.project:
        mesh, projected = project_vertices(mesh, level_set, cell)
        simplified = {**simplified, "projected": projected}
    mesh = replace(mesh, vertex_normals=surface_normals(mesh, level_set, cell), metadata={})
    mesh, painted = paint(mesh, access, config, stages)
    if config.normal_map and mesh.uv is not None:
        stages.enter("normals")
        normals = bake_normal_map(mesh, lambda p: unit(-field_gradient(level_set, p, 0.5 * cell)), config.texture_size)
        mesh = replace(mesh, normal_map=normals)
    mesh = replace(mesh, roughness=config.roughness, metallic=config.metallic)
    finish = surface_of(access, config)
    if (config.occlusion or finish is not None) and mesh.uv is not None:
        stages.enter("occlusion" if config.occlusion else "surface")
        size = min(config.texture_size, ORM_PX)
        mesh = replace(mesh, orm=bake_orm(mesh, size, occlusion=config.occlusion, surface=finish))
    elif finish is not None:
        roughness, metallic = finish(mesh.vertices, mesh.normals).mean(0)
        mesh = replace(mesh, roughness=float(roughness), metallic=float(metallic))
    stages.enter("inspect")
    return mesh, FinishReport(simplified, remeshed, painted, inspect_mesh(mesh))


def surface_of(access: FieldAccess, config: MeshConfig) -> Surface | None:
    """Roughness and metallic of surface points as the field has them, composited as colors are; None: it has none."""
    if access.surface is None:
        return None
    shade = normal_march(
        replace(access, color=access.surface),
        outward=config.bake_outward,
        inward=config.bake_inward,
        n_samples=config.bake_samples,
    )
    return lambda points, normals: shade_points(shade, points, normals, access.device)[:, :2]


def _remeshed(surface: TriangleMesh, decimated: TriangleMesh, kind: str) -> tuple[TriangleMesh, Figures]:
    """Another triangulation with as many faces as the decimated mesh, or that mesh where the result is refused."""
    n_faces = decimated.n_faces // (2 if kind == "quad" else 1)
    try:
        found = remesh(simplify(surface, 4 * decimated.n_faces)[0], kind, n_faces)
    except RemeshRefused as error:
        return decimated, {"kept": False, "reason": str(error)}
    return found.mesh, {"kept": True, **found.figures}


def find_level(
    access: FieldAccess, config: MeshConfig, coarse: np.ndarray, progress: Callable[[float], None]
) -> Calibration:
    """The surface's logit: the field's own, that of the user's density, or the calibrated one.

    coarse: logits at the nodes of a lattice of the box, see `coarse_logits`.
    """

    def converted(value: float, function: Callable[[Tensor], Tensor]) -> float:
        return float(function(torch.tensor(float(value), device=access.device)))

    if access.level is not None:
        return Calibration(access.level, converted(access.level, access.activation), [])
    if config.threshold is not None or access.render is None:
        density = config.threshold or DEFAULT_DENSITY
        return Calibration(converted(density, access.inverse_activation), density, [])
    return calibrate(
        access,
        coarse,
        n_views=config.calibration_views,
        size_px=config.calibration_size_px,
        progress=progress,
    )


@torch.no_grad()
def _densities(access: FieldAccess, logits: np.ndarray) -> np.ndarray:
    return access.activation(torch.from_numpy(logits).to(access.device)).float().cpu().numpy()
