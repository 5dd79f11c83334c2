"""Whether a picture shows the model that its line names: their silhouettes, laid over each other.

The model's silhouette at the picture's camera is rendered from the mesh, or where there are views alone, from their
visual hull (Laurentini 1994): the points whose projections lie inside the silhouettes of all views. Without a camera
both silhouettes are moved and scaled to their boxes, and the model may be seen from any side: the best of a search
counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.lora.hull import Shell, draw, grid_points, inside
from nerf2mesh.lora.train.pairs import Pair, model_of, picture_and_camera, picture_frame, view_cameras, view_image
from nerf2mesh.types import Camera

SIZE_PX = 64
COVERED = 0.2
"""Opacity from which on a pixel of a view counts: a hull must not lose the thin parts."""
AZIMUTHS = torch.arange(0.0, 360.0, 15.0)
ELEVATIONS = torch.tensor([-10.0, 10.0, 30.0, 50.0])
AROUND = Camera.orbit(torch.arange(12) * 30.0, 15.0, width_px=SIZE_PX)
"""Twelve fixed cameras, by which shapes are compared."""
Silhouettes = Callable[[Camera], Tensor]
"""Cameras [n] of SIZE_PX -> masks bool [n, SIZE_PX, SIZE_PX]."""


@dataclass(frozen=True)
class Fit:
    """How a picture's silhouette P and a model's M overlap."""

    iou: float
    """Of P and M. Of a hull it says little, which is fatter than its object by what few views leave open."""
    covered: float
    """The share of P that lies in M; of views the least of that and of their own silhouettes' share that is left when
    the hull is cut by P as well. A hull contains its object: both are 1 for the right model, whatever the views are."""
    of_views: bool = False

    def reaches(self, least: Fit) -> bool:
        """Whether the value that counts, of a mesh the first and of a hull the second, is at least that of `least`."""
        return self.covered >= least.covered if self.of_views else self.iou >= least.iou

    def __str__(self) -> str:
        return f"IoU {self.iou:.2f}, {self.covered:.0%} covered"


@dataclass(frozen=True)
class Model:
    """What is known of a model's shape: a mesh, or the hull of its views."""

    seen: Silhouettes
    points: Tensor | None = None
    """Of the hull, [n, 3]."""
    masks: Tensor | None = None
    """Of the views, bool [V, s, s]."""
    cameras: Camera | None = None

    def fit(self, picture: Tensor, seen: Tensor) -> Fit:
        """Of the picture's mask and the model's, bool of one size."""
        both, union = float((picture & seen).sum()), float((picture | seen).sum().clamp_min(1))
        return Fit(both / union, both / float(picture.sum().clamp_min(1)), self.points is not None)

    def left_of_views(self, picture: Tensor, camera: Camera) -> float:
        """The mean share of the views' silhouettes that the hull covers when it is cut by the picture's, bool [s, s],
        as well; 1 for a mesh."""
        if self.points is None or self.masks is None or self.cameras is None:
            return 1.0
        at, _ = camera.project(self.points)
        column, row = at.floor().long().clamp(0, SIZE_PX - 1).unbind(-1)
        wide = F.max_pool2d(picture.float()[None], 3, stride=1, padding=1)[0] > 0
        points = self.points[wide[row, column]]
        drawn = draw(Shell(points, torch.zeros_like(points)), self.cameras)[:, 3] > 0.5
        share = (self.masks & drawn).flatten(1).sum(1) / self.masks.flatten(1).sum(1).clamp_min(1)
        return float(share.mean())


@dataclass(frozen=True)
class Overlap:
    """What comparing a picture with its model gave."""

    stated: Fit
    """Seen from where the line says."""
    best: Fit
    """Seen from the best side of the search; `stated` where that was good enough, or the camera is known."""
    best_deg: tuple[float, float]
    """Azimuth and elevation of that side."""
    camera_known: bool
    picture: Tensor
    model: Tensor
    """The masks that were compared, bool, of one size; the model's from where the line says."""
    shape: Tensor
    """The model's masks from AROUND, bool [12, 32, 32]."""


def overlap(pair: Pair, least: Fit) -> Overlap:
    """Compares the picture of a pair with its model; no search where the stated side reaches `least`.

    ValueError where a file cannot be read, or the object in the picture is not found.
    """
    rgba, camera = picture_and_camera(pair, SIZE_PX)
    camera, known = camera.resized(SIZE_PX, SIZE_PX), picture_frame(pair) is not None
    model = model_shape(pair)
    shape = F.interpolate(model.seen(AROUND).float()[:, None], size=(32, 32), mode="area")[:, 0] > 0.5
    picture, mask = rgba[..., 3] > 0.5, model.seen(_batch(camera))[0]
    here = (float(camera.azimuth_deg), float(camera.elevation_deg))
    if known:
        found = model.fit(picture, mask)
        found = replace(found, covered=min(found.covered, model.left_of_views(picture, camera)))
        return Overlap(found, found, here, known, picture, mask, shape)
    picture, mask = boxed(picture), boxed(mask)
    stated = model.fit(picture, mask)
    if stated.reaches(least):
        return Overlap(stated, stated, here, known, picture, mask, shape)
    azimuth, elevation = (grid.flatten() for grid in torch.meshgrid(AZIMUTHS, ELEVATIONS, indexing="ij"))
    around = model.seen(Camera.orbit(azimuth, elevation, width_px=SIZE_PX))
    fits = [model.fit(picture, boxed(other)) for other in around]
    k = max(range(len(fits)), key=lambda i: fits[i].iou)
    return Overlap(stated, fits[k], (float(azimuth[k]), float(elevation[k])), known, picture, mask, shape)


def model_shape(pair: Pair) -> Model:
    """The mesh, or the hull of the views."""
    if "views" in pair.entry:
        opacity = torch.stack([view_image(path, SIZE_PX)[..., 3] for path in pair.targets])
        cameras = Camera.stack(view_cameras(pair, SIZE_PX))
        points = grid_points()[inside(opacity > COVERED, cameras)]
        shell = Shell(points, torch.zeros_like(points))
        return Model(lambda asked: draw(shell, asked)[:, 3] > 0.5, points, opacity > 0.5, cameras)
    mesh = model_of(pair)

    def seen(cameras: Camera) -> Tensor:
        from nerf2mesh.render.rasterizer import rasterize_mesh

        return rasterize_mesh(mesh, cameras).opacity > 0.5

    return Model(seen)


def boxed(mask: Tensor, size: int = 48) -> Tensor:
    """A mask bool [h, w], cut to its box, its longer side scaled to `size`, in the middle of [size, size]."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    square = torch.zeros(size, size, dtype=torch.bool)
    if not len(rows):
        return square
    cut = mask[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1].float()
    scale = size / max(cut.shape)
    h, w = (max(1, min(size, round(n * scale))) for n in cut.shape)
    scaled = F.interpolate(cut[None, None], size=(h, w), mode="bilinear", antialias=True)[0, 0] > 0.5
    top, left = (size - h) // 2, (size - w) // 2
    square[top : top + h, left : left + w] = scaled
    return square


def _batch(camera: Camera) -> Camera:
    return Camera(
        camera.camera_to_world[None],
        camera.focal_px[None],
        camera.principal_px[None],
        camera.width_px,
        camera.height_px,
        camera.orthographic,
    )
