"""Colors a mesh: unwrapped, baked from the field, compared with the field's pictures, corrected by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.report import Figures, PaintReport
from nerf2mesh.mesh.stages import Stages
from nerf2mesh.mesh.texture.bake import (
    FieldViews,
    Shade,
    bake_loss,
    bake_texture,
    bake_vertices,
    normal_march,
    settle,
)
from nerf2mesh.mesh.texture.texture_fit import fit_texture
from nerf2mesh.mesh.texture.unwrap import unwrap
from nerf2mesh.mesh.triangle_mesh import TriangleMesh


def paint(
    mesh: TriangleMesh, access: FieldAccess, config: MeshConfig, stages: Stages
) -> tuple[TriangleMesh, PaintReport]:
    """The mesh with a texture or vertex colors from the field; unchanged where the field has no color."""
    if access.color is None:
        return mesh, PaintReport()
    shade = normal_march(access, outward=config.bake_outward, inward=config.bake_inward, n_samples=config.bake_samples)
    unwrapped: Figures | None = None
    bake: Figures = {}
    if config.texture:
        mesh, unwrapped, bake = _textured(mesh, shade, access, config, stages)
    else:
        stages.enter("bake")
        mesh = bake_vertices(mesh, shade, device=access.device, progress=stages.fraction)
    if config.bake_views and access.render is not None:
        stages.enter("compare")
        mesh, compared = _compared(mesh, access, config, stages.fraction)
        bake = {**bake, **compared}
    return mesh, PaintReport(unwrapped, bake)


def _textured(
    mesh: TriangleMesh, shade: Shade, access: FieldAccess, config: MeshConfig, stages: Stages
) -> tuple[TriangleMesh, Figures, Figures]:
    """The mesh with uv and a baked texture, and the figures of both steps."""
    stages.enter("unwrap")
    uv, unwrapped = unwrap(
        mesh, config.texture_size, padding_px=config.texture_padding_px, time_limit_s=config.unwrap_time_limit_s
    )
    stages.enter("bake")
    mesh, baked = bake_texture(
        replace(mesh, uv=uv),
        shade,
        config.texture_size,
        supersample=config.texture_supersample,
        device=access.device,
        progress=stages.fraction,
    )
    return mesh, unwrapped, baked


def _compared(
    mesh: TriangleMesh, access: FieldAccess, config: MeshConfig, progress: Callable[[float], None]
) -> tuple[TriangleMesh, Figures]:
    """The mesh against the field's pictures; settled and with its texture corrected where the settings ask for it."""
    views = FieldViews.of(access, config.bake_views, config.bake_view_size_px)
    figures: Figures
    if config.settle_limit:
        mesh, figures = settle(mesh, views, config.settle_limit)
    else:
        figures = bake_loss(mesh, views)
    if not (config.texture and config.bake_fit_views):
        return mesh, figures
    return _corrected(mesh, access, config, views, figures, progress)


def _corrected(
    mesh: TriangleMesh,
    access: FieldAccess,
    config: MeshConfig,
    views: FieldViews,
    figures: Figures,
    progress: Callable[[float], None],
) -> tuple[TriangleMesh, Figures]:
    """The mesh with its texture fitted to the field's pictures, where that helps at views that were not fitted."""
    best, fits = mesh, {}
    best_db = float(str(figures["color_psnr"]))
    for fitted, fit in fit_texture(
        mesh, access, n_views=config.bake_fit_views, size_px=config.bake_fit_size_px, progress=progress
    ):
        after = bake_loss(fitted, views)
        kept = after["color_psnr"] > best_db
        fits[f"stay_{fit['stay']:g}"] = {**fit, "color_psnr": after["color_psnr"], "better": kept}
        if kept:
            best, best_db, figures = fitted, after["color_psnr"], {**figures, **after}
    return best, {**figures, "fit": fits}
