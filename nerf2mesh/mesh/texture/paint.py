"""The mesh gets its colors: unwrapped, baked from the field, compared with the field's pictures, corrected by them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.texture.bake import FieldViews, bake_loss, bake_texture, bake_vertices, normal_march, settle
from nerf2mesh.mesh.texture.texture_fit import fit_texture
from nerf2mesh.mesh.texture.unwrap import unwrap
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

Progress = Callable[[str, float], None]
"""Called as progress(stage, fraction of that stage)."""


class Stages:
    """Tells the caller where the work is and keeps how long each stage took."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.name = ""
        self.start = time.perf_counter()

    def enter(self, name: str) -> None:
        now = time.perf_counter()
        if self.name:
            self.seconds[self.name] = round(self.seconds.get(self.name, 0.0) + now - self.start, 3)
            self.fraction(1.0)
        self.name, self.start = name, now
        if name:
            self.fraction(0.0)

    def fraction(self, value: float) -> None:
        if self.progress is not None:
            self.progress(self.name, float(np.clip(value, 0.0, 1.0)))


def paint(mesh: TriangleMesh, access: FieldAccess, config: MeshConfig, stages: Stages, report: dict) -> TriangleMesh:
    """Texture or vertex colors from the field; nothing where it has no color."""
    if access.color is None:
        return mesh
    shade = normal_march(access, outward=config.bake_outward, inward=config.bake_inward, n_samples=config.bake_samples)
    if config.texture:
        stages.enter("unwrap")
        uv, report["unwrap"] = unwrap(
            mesh, config.texture_size, padding_px=config.texture_padding_px, time_limit_s=config.unwrap_time_limit_s
        )
        stages.enter("bake")
        mesh, figures = bake_texture(
            replace(mesh, uv=uv),
            shade,
            config.texture_size,
            supersample=config.texture_supersample,
            device=access.device,
            progress=stages.fraction,
        )
        report["bake"] = dict(figures)
    else:
        stages.enter("bake")
        mesh, report["bake"] = bake_vertices(mesh, shade, device=access.device, progress=stages.fraction), {}
    if config.bake_views and access.render is not None:
        stages.enter("compare")
        views = FieldViews.of(access, config.bake_views, config.bake_view_size_px)
        if config.settle_limit:
            mesh, figures = settle(mesh, views, config.settle_limit)
        else:
            figures = bake_loss(mesh, views)
        report["bake"] |= figures
        if config.texture and config.bake_fit_views:
            mesh, report["bake"] = _corrected(mesh, access, config, views, report["bake"], stages.fraction)
    return mesh


def _corrected(mesh: TriangleMesh, access, config, views: FieldViews, figures: dict, progress) -> tuple:
    """The mesh with its texture fitted to the field's pictures, where that helps at views that were not fitted."""
    best, fits = mesh, {}
    for fitted, fit in fit_texture(
        mesh, access, n_views=config.bake_fit_views, size_px=config.bake_fit_size_px, progress=progress
    ):
        after = bake_loss(fitted, views)
        kept = after["color_psnr"] > figures["color_psnr"]
        fits[f"stay_{fit['stay']:g}"] = {**fit, "color_psnr": after["color_psnr"], "better": kept}
        if kept:
            best, figures = fitted, figures | after
    return best, figures | {"fit": fits}
