"""One test case, what a method made of it, and the scores: the same arithmetic for every protocol and baseline.

Pictures are compared in front of the protocol's background (white), after no alignment whatever: the method knows the
camera, so its mesh must lie where the object lies. The exported mesh is what is scored, rasterized with the same
rasterizer, supersampling and flat (unlit) color as the truth; a radiance field, if there is one, is scored beside it
as `field_psnr`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.geometry import surface_distances, volume_iou
from nerf2mesh.evaluate.metrics.images import depth_error, foreground_psnr, mask_iou, normal_error, psnr, ssim
from nerf2mesh.evaluate.metrics.regions import region_scores, region_shape_scores
from nerf2mesh.evaluate.protocols.conventions import convention, measure
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera, Rendering, View

F_SCORE_THRESHOLDS = (0.02, 0.05, 0.1)
PSNR_OF_EQUALS = 100.0
"""What equal pictures score: a finite number, so that means and files stay numbers. 8-bit pictures that differ in one
place stay below it."""
CHAMFER_OF_NOTHING = 1.0
"""What a result without any surface scores in Chamfer distance: half the world box, worse than any placed shape."""


@dataclass(frozen=True)
class Settings:
    """The arithmetic that a protocol fixes; see `geometry` and `images` for the conventions."""

    background: float = 1.0
    supersample: int = 4
    iou_resolution: int = 128
    surface_samples: int = 20_000
    seed: int = 0
    convention: str = "nerf2mesh"
    """How geometry is measured: "nerf2mesh", or the name of a published one in `conventions`."""


@dataclass(frozen=True)
class Case:
    """One object: its true mesh in the canonical frame, what the method is given, and the true novel views."""

    name: str
    mesh: TriangleMesh | None
    """None where no true shape is known: geometry metrics then do not apply."""
    image: Float[Tensor, "h w 4"]
    """The input picture: straight-alpha RGBA, rounded to 8 bits as a PNG would hold it."""
    camera: Camera
    novel_cameras: Camera
    truth: Rendering
    """The true novel views [n, h, w, ...]."""
    settings: Settings = Settings()
    views: tuple[View, ...] = ()
    """In a protocol of several given views, all of them, `image` being the first: a method is called with these."""
    solid: Bool[Tensor, "n n n"] | None = None
    """Which voxel centers of the world box are inside, where that is known already, or better than from `mesh`."""
    regions: tuple[Bool[Tensor, "n h w"], Bool[Tensor, "n h w"]] | None = None
    """Pixels of the novel views whose surface the given views show, and whose they do not; see `visibility`."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the object, as plain JSON: its kind, its source, how much of it the given view hides."""

    @property
    def given(self) -> tuple[object, ...]:
        """What a method is called with: the picture and its camera, or all views."""
        return (self.views,) if self.views else (self.image, self.camera)

    @property
    def known_mesh(self) -> TriangleMesh:
        """`mesh`, in a case that has one."""
        assert self.mesh is not None, f"{self.name} has no true mesh"
        return self.mesh


@dataclass(frozen=True)
class Prediction:
    """What a method returns: a mesh, views, or both. `render` maps a batch of cameras to a Rendering [n, h, w, ...].

    With a mesh, `render` is the field that it came from. Without one, `render` is all there is (copying the input).
    """

    mesh: TriangleMesh | None = None
    render: Callable[[Camera], Rendering] | None = None

    def rendered(self, cameras: Camera) -> Rendering:
        """The views of a prediction that has `render`."""
        assert self.render is not None, "a prediction holds a mesh or a function"
        return self.render(cameras)


def as_prediction(found: Prediction | TriangleMesh) -> Prediction:
    """A Prediction as it is, a bare mesh as one."""
    prediction = found if isinstance(found, Prediction) else Prediction(mesh=found)
    assert prediction.mesh is not None or prediction.render is not None, "a prediction holds a mesh or a function"
    return prediction


Judge = Callable[[Tensor, Tensor, Tensor], dict[str, float]]
"""Metrics of the input picture [h, w, 3], the compared views and the true ones [n, h, w, 3], such as
`perceptual.Judges`: its keys join the scores."""

Method = Callable[..., Any]
"""Any function from the input picture [h, w, 4] and its camera to a TriangleMesh or a Prediction; see `Case.given`."""


def score(case: Case, prediction: Prediction | TriangleMesh, judge: Judge | None = None) -> dict[str, float]:
    """All metrics that apply to a Prediction or a bare mesh; the keys are those of `columns.METRICS`."""
    prediction = as_prediction(prediction)
    if prediction.mesh is None:
        return score_views(case, prediction.rendered(case.novel_cameras), judge)
    views = render_views(prediction.mesh, case.novel_cameras, case.settings)
    scores = score_views(case, views, judge)
    if case.mesh is not None:
        scores |= score_geometry(case, prediction.mesh)
    if prediction.render is not None:
        field = prediction.render(case.novel_cameras).over(case.settings.background)
        truth = case.truth.over(case.settings.background)
        scores["field_psnr"] = float(psnr(field.clamp(0, 1).cpu(), truth).clamp_max(PSNR_OF_EQUALS).mean())
    return scores


def score_geometry(case: Case, mesh: TriangleMesh) -> dict[str, float]:
    """Volume IoU, Chamfer distance, F-scores, normal consistency. A mesh without surface gets the worst values."""
    settings = case.settings
    published = None if settings.convention == "nerf2mesh" else convention(settings.convention)
    if len(mesh.faces) == 0:
        thresholds = F_SCORE_THRESHOLDS if published is None else published.thresholds
        scores = {"volume_iou": 0.0, "chamfer": CHAMFER_OF_NOTHING, **{f"f_score_{t:g}": 0.0 for t in thresholds}}
        return scores | ({"normal_consistency": 0.0} if published is None else {})
    if published is not None:
        return measure(published, mesh, case.known_mesh, camera=case.camera, seed=settings.seed)
    distances = surface_distances(mesh, case.known_mesh, samples=settings.surface_samples, seed=settings.seed)
    return {
        "volume_iou": volume_iou(
            mesh, case.known_mesh if case.solid is None else case.solid, resolution=settings.iou_resolution
        ),
        "chamfer": distances.chamfer(),
        **{f"f_score_{t:g}": distances.f_score(t) for t in F_SCORE_THRESHOLDS},
        "normal_consistency": distances.normal_consistency(),
    }


def score_views(case: Case, views: Rendering, judge: Judge | None = None) -> dict[str, float]:
    """Means over the novel views: PSNR, foreground PSNR, SSIM, mask IoU and, where both have a shape, its error.

    Normal and depth error are over the pixels that both cover wholly; a view without such pixels counts as 90 degrees
    and CHAMFER_OF_NOTHING. Depths are compared as they are, in world units: nothing is fitted.
    """
    background = case.settings.background
    image, target = views.over(background).clamp(0, 1).cpu(), case.truth.over(background)
    opacity, truth = views.opacity.cpu(), case.truth.opacity
    scores = {
        "psnr": float(psnr(image, target).clamp_max(PSNR_OF_EQUALS).mean()),
        "foreground_psnr": float(foreground_psnr(image, target, truth).clamp_max(PSNR_OF_EQUALS).mean()),
        "ssim": float(ssim(image, target).mean()),
        "mask_iou": float(mask_iou(opacity, truth).mean()),
    }
    if views.normal is not None and case.truth.normal is not None:
        both = (opacity > 0.999) & (truth > 0.999)
        scores["normal_error_deg"] = float(
            normal_error(views.normal.cpu(), case.truth.normal, both).nan_to_num(90).mean()
        )
        apart = depth_error(views.depth.cpu(), case.truth.depth, both)
        scores["depth_error"] = float(apart.nan_to_num(CHAMFER_OF_NOTHING).mean())
        if case.regions is not None:
            shape, true_shape = (views.depth.cpu(), views.normal.cpu()), (case.truth.depth, case.truth.normal)
            worst = {"worst_deg": 90.0, "worst_depth": CHAMFER_OF_NOTHING}
            scores |= region_shape_scores(shape, true_shape, both, *case.regions, **worst)
    if case.regions is not None:
        scores |= region_scores(image, target, *case.regions, best_psnr=PSNR_OF_EQUALS)
    if judge is not None:
        given = case.image[..., :3] * case.image[..., 3:] + (1 - case.image[..., 3:]) * background
        scores |= judge(given, image, target)
    return scores


def render_views(mesh: TriangleMesh, cameras: Camera, settings: Settings) -> Rendering:
    """The mesh as the protocol draws it, [*b, h, w, ...]; an empty mesh gives empty pictures."""
    from nerf2mesh.render.rasterizer import rasterize_mesh

    if len(mesh.faces) == 0:
        shape = (*cameras.batch_shape, cameras.height_px, cameras.width_px)
        empty = torch.zeros(*shape, 3)
        return Rendering(empty, torch.zeros(shape), torch.zeros(shape), empty)
    return rasterize_mesh(mesh, cameras, supersample=settings.supersample, shading="albedo")


def picture(rendering: Rendering) -> Float[Tensor, "h w 4"]:
    """A rendering as the picture a user would bring: straight alpha, 8 bits per channel."""
    rgb = rendering.rgb / rendering.opacity.clamp_min(1e-6)[..., None]
    rgba = torch.cat([rgb, rendering.opacity[..., None]], dim=-1)
    return (rgba.clamp(0, 1) * 255).round() / 255
