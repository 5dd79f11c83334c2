"""A density field's surface as a signed-distance field, made smoother where that helps.

Letters
    f: signed distance to the calibrated level set, negative inside; the new field's logit is -f, its surface the zero
    set (see `fields.sdf`). Conversion: f is fitted to distances from the extracted surface, with the eikonal term
    (|grad f| - 1)^2 by finite differences. Refinement: its silhouettes are then fitted to the density field's opacity,
    the eikonal term kept.
The stage is judged by silhouettes at cameras that were not fitted and by how even the surface's normals are; where it
does not win, the surface that came in stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.fields.sdf import sdf_config
from nerf2mesh.kernels import FusedAdam
from nerf2mesh.mesh.access import FieldAccess, LevelSet
from nerf2mesh.mesh.extract.calibrate import view_ring
from nerf2mesh.mesh.extract.marching_cubes import extract_surface
from nerf2mesh.mesh.extract.outline import Outlines
from nerf2mesh.mesh.surface.repair import keep_largest, split_pinches
from nerf2mesh.mesh.texture.texture_fit import fit_ring
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.render import regularizers as reg
from nerf2mesh.types import Rays, Rendering

NEAR_STD = 0.04
"""Spread of the samples around the surface, world units."""
CLIP = 0.3
"""Distances beyond this only have to be beyond it."""


@dataclass(kw_only=True)
class DistanceConfig:
    steps: int = 300
    """Of the conversion."""
    refine_steps: int = 100
    """Of the refinement by silhouettes; 0 leaves the converted field."""
    points: int = 4096
    rays: int = 2048
    n_views: int = 24
    size_px: int = 128
    weight_eikonal: float = 0.1
    beta: float = 0.01
    """Sharpness while rendering, world units."""
    lr_encoding: float = 1e-2
    lr_network: float = 2e-3
    seed: int = 0


def convert(surface: TriangleMesh, config: DistanceConfig, field_config: FieldConfig | None = None) -> HashGridField:
    """The signed-distance field of a closed surface, in evaluation mode."""
    generator = torch.Generator().manual_seed(config.seed)
    radius = float(np.ptp(surface.bounds, axis=0).mean()) / 2.0
    field = HashGridField(sdf_config(field_config, radius=radius, beta=config.beta), generator)
    field.n_active_levels = field.config.n_levels
    optimizer = FusedAdam(field.param_groups(config.lr_encoding, config.lr_network))
    targets = DistanceTargets(surface)
    field.train()
    for step in range(config.steps):
        _set_rates(optimizer, config, step / config.steps)
        points, wanted = targets.draw(config.points, generator)
        optimizer.zero_grad(set_to_none=False)
        error = (-field.density_logit(points)).clamp(-CLIP, CLIP) - wanted.clamp(-CLIP, CLIP)
        total = error.abs().mean() + config.weight_eikonal * _eikonal(field, points[: config.points // 4])
        total.backward()
        optimizer.step()
    return field.eval()


class DistanceTargets:
    """Points and their signed distances to a closed surface, half of them near it."""

    def __init__(self, surface: TriangleMesh) -> None:
        from scipy.spatial import cKDTree

        weights = surface.normals[surface.faces].sum(1)
        self.points = np.concatenate([surface.vertices, surface.corners.mean(1)])
        self.normals = np.concatenate([surface.normals, weights / np.linalg.norm(weights, axis=1, keepdims=True)])
        self.tree = cKDTree(self.points)
        self.spacing = float(np.sqrt(surface.area / len(self.points)))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(self.points), (n // 2,), generator=generator).numpy()
        near = self.points[rows] + NEAR_STD * torch.randn(n // 2, 3, generator=generator).numpy()
        far = 2.0 * torch.rand(n - n // 2, 3, generator=generator).numpy() - 1.0
        points = np.clip(np.concatenate([near, far]), -1.0, 1.0)
        points = points[torch.randperm(n, generator=generator).numpy()]
        return torch.from_numpy(points).float(), torch.from_numpy(self.distances(points)).float()

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Signed distances [n]: to the nearest sample, close by to its tangent plane."""
        length, row = self.tree.query(points)
        along = ((points - self.points[row]) * self.normals[row]).sum(1)
        return np.where(length < 2.5 * self.spacing, along, np.sign(along) * length)


def refine(field: HashGridField, access: FieldAccess, config: DistanceConfig) -> HashGridField:
    """Fits the silhouettes of `access`, eikonal term kept; in evaluation mode afterwards."""
    assert access.render is not None
    cameras = fit_ring(config.n_views, config.size_px)
    opacity = torch.cat([access.render(cameras[k]).opacity.reshape(-1).cpu() for k in range(config.n_views)])
    rays, generator = cameras.rays().flatten(), torch.Generator().manual_seed(config.seed + 1)
    render = RendererConfig(samples_per_ray=192, occupancy_resolution=48, occupancy_warmup=config.refine_steps)
    renderer = VolumeRenderer(render, field, OccupancyGrid(48))
    optimizer = FusedAdam(field.param_groups(0.2 * config.lr_encoding, 0.2 * config.lr_network))
    field.train()
    for step in range(config.refine_steps):
        renderer.update_occupancy(step, generator)
        rows = torch.randint(len(opacity), (config.rays,), generator=generator)
        optimizer.zero_grad(set_to_none=False)

        def silhouettes(rendering: Rendering, rows: Tensor = rows) -> Tensor:
            return (rendering.opacity - opacity[rows]).square().mean()

        jitter = torch.rand(config.rays, generator=generator)
        renderer.backward_in_chunks(Rays(rays.origins[rows], rays.directions[rows]), silhouettes, jitter=jitter)
        points = 2.0 * torch.rand(config.points // 4, 3, generator=generator) - 1.0
        (config.weight_eikonal * _eikonal(field, points)).backward()
        optimizer.step()
    return field.eval()


def distance_stage(
    surface: TriangleMesh, access: FieldAccess, resolution: int, config: DistanceConfig | None = None
) -> tuple[TriangleMesh, LevelSet | None, dict[str, object]]:
    """The surface of the converted and refined field with its level set where it is better, else (surface, None).

    Figures: silhouettes' IoU before and after, the mean angle between neighboring faces before and after, kept.
    """
    config = DistanceConfig() if config is None else config
    judge = Outlines.of(access, view_ring(max(4, config.n_views // 2), config.size_px))
    field = convert(surface, config)
    if config.refine_steps:
        field = refine(field, access, config)
    level = LevelSet(FieldAccess.of(field), 0.0)
    try:
        smoother = split_pinches(keep_largest(extract_surface(level, resolution), 1)[0])[0]
    except ValueError as error:
        return surface, None, {"kept": False, "reason": str(error)}
    figures: dict[str, object] = {"iou_before": judge.iou(surface), "iou_after": judge.iou(smoother)}
    figures |= {"bend_deg_before": mean_bend_deg(surface), "bend_deg_after": mean_bend_deg(smoother)}
    better = figures["iou_after"] > figures["iou_before"] and figures["bend_deg_after"] < figures["bend_deg_before"]
    return (smoother, level, figures | {"kept": True}) if better else (surface, None, figures | {"kept": False})


def mean_bend_deg(mesh: TriangleMesh) -> float:
    """Mean angle between the normals of faces that share an edge: roughness, at equal resolution."""
    half = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    order = np.argsort(half[:, 0] * mesh.n_vertices + half[:, 1], kind="stable") // 3
    one, two = mesh.face_normals[order[::2]], mesh.face_normals[order[1::2]]
    return float(np.degrees(np.arccos(np.clip((one * two).sum(1), -1.0, 1.0))).mean())


def _eikonal(field: HashGridField, points: Tensor) -> Tensor:
    return reg.eikonal(field.logit_gradient(points, "finite_difference"))


def _set_rates(optimizer: FusedAdam, config: DistanceConfig, share: float) -> None:
    for group, rate in zip(optimizer.param_groups, (config.lr_encoding, config.lr_network)):
        group["lr"] = rate * 0.05**share
