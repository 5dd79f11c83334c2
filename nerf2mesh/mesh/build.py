"""From a field to a finished mesh: level set, marching cubes, repair, decimation, unwrap, bake, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from nerf2mesh.mesh.access import FieldAccess, LevelSet
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.extract.calibrate import Calibration, calibrate, coarse_logits
from nerf2mesh.mesh.extract.marching_cubes import extract_surface
from nerf2mesh.mesh.extract.outline import fit_outlines
from nerf2mesh.mesh.extract.project import field_gradient, project_vertices, surface_normals
from nerf2mesh.mesh.extract.smooth import SmoothedLevel
from nerf2mesh.mesh.extract.solidify import hidden_fill
from nerf2mesh.mesh.inspect import inspect_mesh
from nerf2mesh.mesh.surface.repair import keep_largest, split_pinches
from nerf2mesh.mesh.surface.sharpen import sharpen
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.mesh.texture.paint import Progress, Stages, paint
from nerf2mesh.mesh.texture.tangents import bake_normal_map
from nerf2mesh.mesh.triangle_mesh import TriangleMesh, unit

DEFAULT_DENSITY = 10.0
"""The surface's density where nothing can be rendered to calibrate it: half the light is lost in 0.07 world units."""


def extract_mesh(
    field, occupancy=None, renderer=None, config: MeshConfig | None = None, progress: Progress | None = None
) -> tuple[TriangleMesh, dict[str, object]]:
    """`build_mesh` of a `HashGridField`, its `OccupancyGrid` and `VolumeRenderer`, in evaluation mode."""
    config = MeshConfig() if config is None else config
    meshes, report = extract_lods(field, occupancy, renderer, replace(config, lods=()), progress)
    return meshes[0], report


def extract_lods(
    field, occupancy=None, renderer=None, config: MeshConfig | None = None, progress: Progress | None = None
) -> tuple[list[TriangleMesh], dict[str, object]]:
    """`build_lods` of the house's own field, as in `extract_mesh`."""
    was_training = field.training
    field.eval()
    try:
        return build_lods(FieldAccess.of(field, occupancy, renderer), config or MeshConfig(), progress)
    finally:
        field.train(was_training)


def build_mesh(
    access: FieldAccess, config: MeshConfig | None = None, progress: Progress | None = None
) -> tuple[TriangleMesh, dict[str, object]]:
    """The mesh of any field and a report for JSON: threshold and its curve, what each step did, topology, bake loss,
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
    """`build_mesh`'s mesh, and one for each budget of `config.lods`; the report has theirs under "lods"."""
    stages = Stages(progress)
    report: dict[str, object] = {"seconds": stages.seconds}
    surface, level_set = find_surface(access, config, stages, report)
    meshes = [finish_surface(surface, level_set, access, config, stages, report)]
    for k, budget in enumerate(config.lods, start=1):
        size = max(64, config.texture_size >> k)
        figures: dict[str, object] = {}
        smaller = replace(config, target_faces=budget, texture_size=size)
        meshes.append(finish_surface(surface, level_set, access, smaller, stages, figures))
        report.setdefault("lods", []).append(figures)
    stages.enter("")
    return meshes, report


def find_surface(
    access: FieldAccess, config: MeshConfig, stages: Stages, report: dict
) -> tuple[TriangleMesh, LevelSet]:
    """The repaired surface before decimation, and the level set that it lies on."""
    stages.enter("calibrate")
    coarse = coarse_logits(access, min(config.calibration_resolution, config.resolution), config.chunk_points)
    level = find_level(access, config, coarse, stages.fraction)
    fill = hidden_fill(_densities(access, coarse)) if config.fill_hidden else None
    report["threshold"] = {"logit": level.level, "density": level.density, "curve": level.curve}

    stages.enter("extract")
    level_set = LevelSet(access, level.level, config.chunk_points, fill)
    if config.smooth_radius:
        level_set = SmoothedLevel(level_set, coarse, config.smooth_radius)
    cell = 2.0 / config.resolution
    surface = extract_surface(
        level_set, config.resolution, occupancy=access.occupancy, refine_steps=config.refine_steps
    )
    report["extract"] = {"resolution": config.resolution, "faces": surface.n_faces, **surface.metadata}
    if config.sharp_tolerance and not config.smooth_radius:
        surface, figures = sharpen(surface, level_set, cell, tolerance_cells=config.sharp_tolerance)
        report["extract"]["sharpened"] = figures

    stages.enter("repair")
    mesh, report["repair"] = keep_largest(surface, config.keep_components, config.min_component_share)
    mesh, report["repair"]["pinches_split"] = split_pinches(mesh)
    if config.distance_stage and access.render is not None:
        from nerf2mesh.mesh.extract.signed_distance import distance_stage

        stages.enter("distance")
        mesh, smoother, report["distance"] = distance_stage(mesh, access, config.resolution)
        level_set = smoother or level_set
    return mesh, level_set


def finish_surface(
    surface: TriangleMesh,
    level_set: LevelSet,
    access: FieldAccess,
    config: MeshConfig,
    stages: Stages,
    report: dict,
) -> TriangleMesh:
    """Decimated to the budget, put back onto the level set, painted, inspected."""
    cell = 2.0 / config.resolution
    stages.enter("simplify")
    mesh, method = simplify(surface, config.target_faces) if config.target_faces else (surface, "unchanged")
    report["simplify"] = {"method": method, "target": config.target_faces, "faces": mesh.n_faces}
    if config.remesh != "none":
        stages.enter("remesh")
        mesh, report["remesh"] = _remeshed(surface, mesh, config.remesh)
    if config.project:
        mesh, report["simplify"]["projected"] = project_vertices(mesh, level_set, cell)
    if config.fit_outlines and access.render is not None:
        stages.enter("outlines")
        mesh, report["outlines"] = fit_outlines(mesh, access, level_set, cell)
    mesh = replace(mesh, vertex_normals=surface_normals(mesh, level_set, cell), metadata={})
    mesh = paint(mesh, access, config, stages, report)
    if config.normal_map and mesh.uv is not None:
        stages.enter("normals")
        normals = bake_normal_map(mesh, lambda p: unit(-field_gradient(level_set, p, 0.5 * cell)), config.texture_size)
        mesh = replace(mesh, normal_map=normals)
    stages.enter("inspect")
    report["mesh"] = inspect_mesh(mesh)
    return mesh


def _remeshed(surface: TriangleMesh, decimated: TriangleMesh, kind: str) -> tuple[TriangleMesh, dict[str, object]]:
    """Another triangulation with as many faces as the decimated mesh, or that mesh where none can be trusted."""
    from nerf2mesh.mesh.surface.remesh import RemeshRefused, remesh

    try:
        found = remesh(
            simplify(surface, 4 * decimated.n_faces)[0], kind, decimated.n_faces // (2 if kind == "quad" else 1)
        )
    except RemeshRefused as error:
        return decimated, {"kept": False, "reason": str(error)}
    return found.mesh, {"kept": True, **found.figures}


def find_level(
    access: FieldAccess, config: MeshConfig, coarse: np.ndarray, progress: Callable[[float], None]
) -> Calibration:
    """The surface's logit: the field's own, the user's density, or the calibrated one."""

    def converted(value: float, function) -> float:
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
