"""One round of refinement, as far as it is known before the first step: everything that can fail does so here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, distance_transform_edt

from nerf2mesh.evaluate.metrics.images import mask_iou
from nerf2mesh.refine.atlas import check_atlas
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.refine.held import Picture, holding_views, seen
from nerf2mesh.refine.nearest import NearestPoints
from nerf2mesh.refine.paint import Painting, read_painting
from nerf2mesh.refine.region import Contains, Painted, RegionGrid, everywhere, make_region
from nerf2mesh.refine.source import Source, load_source
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, View

SAME_OUTLINE = 0.985
"""IoU of the outlines of paint-over and mesh from which on only colors are taken to have changed."""
KNOWN_PX = 4
"""The paint-over is a given view in the pixels that count and so far around them; the rest is held by other views."""
SOLID = 0.9
"""Opacity of a pixel whose color is the object's alone."""


@dataclass(frozen=True, eq=False)
class Round:
    """What starts a round.

    region: the surface and the space that may change; grid: a coarse copy that also holds the space around a painted
    surface. change: "color" or "shape". painted: the paint-over in the region, the source's rendering elsewhere.
    """

    source: Source
    config: RefineConfig
    nearest: NearestPoints
    region: Contains
    grid: RegionGrid
    change: str
    painted: View | None
    painted_free: np.ndarray | None
    """Pixels [h, w] of the paint-over that count."""
    paint_sha256: str

    @property
    def is_bounded(self) -> bool:
        """Whether a region was named, so that there is a rest to be held."""
        return self.region is not everywhere

    def reference(self, camera: Camera) -> View:
        """The source as a given view from `camera`, for a prior that needs a picture and gets no other."""
        return View(seen(self.source.mesh, camera, everywhere, None).image, camera)

    def held(self, steered: bool) -> list[View]:
        """The pictures that hold the rest; the paint-over is not among them.

        steered: whether a prior shapes the region; without one, what a change of color does not paint stays, too.
        """
        if not self.is_bounded:
            return []
        c, region = self.config, self.region
        if self.change == "color" and self.painted is not None and not steered:
            region = _both(region, _visible(self.source, self.painted.camera))
        grid = self.grid if self.change == "shape" else None
        return holding_views(self.source.mesh, region, grid, n_views=c.views, size_px=c.size_px)


def begin(start_from: str, config: RefineConfig, *, steered: bool) -> Round:
    """Reads and checks all that a round needs.

    steered: whether a prior will shape the region.

    Raises:
        ValueError: in one line, what is wrong with the source, the region, the paint-over or its camera.
    """
    source, painting = load_source(start_from), read_painting(config)
    camera = None if painting.camera is None else source.placement.camera(painting.camera)
    change = _change(config, source, painting, camera)
    if painting.paint is None and not steered:
        raise ValueError(
            "refine.paint: expected a paint-over or a prior that steers (distill.weight above 0), got neither; add one"
        )
    nearest = NearestPoints(source.mesh)
    region = make_region(config, source, nearest, painting.mask, camera, shape=change == "shape")
    if config.keep_topology:
        check_atlas(source, region)
    space = region
    if change == "color" and config.mask is not None:  # of a mask alone the surface is not all
        space = make_region(config, source, nearest, painting.mask, camera, shape=True)
    grid, painted, free = RegionGrid.of(space), None, None
    if painting.paint is not None and camera is not None:
        painted, free = _painted(config, source, painting, camera, region, grid if change == "shape" else None)
    return Round(source, config, nearest, region, grid, change, painted, free, painting.sha256)


def _change(config: RefineConfig, source: Source, painting: Painting, camera: Camera | None) -> str:
    """color or shape; ValueError where the paint-over has no outline to tell it by."""
    if painting.paint is not None and painting.opaque and config.change != "color":
        raise ValueError(
            "refine.paint: expected the transparency of the rendering around the object, got an opaque picture; save "
            "it with its alpha, or say refine.change=color"
        )
    if config.change != "auto":
        return config.change
    if painting.paint is None or camera is None:
        return "shape"
    before = rasterize_mesh(source.mesh, camera, supersample=3).opacity
    alike = float(mask_iou(torch.from_numpy(painting.paint[None, ..., 3]), before[None]))
    return "color" if alike > SAME_OUTLINE else "shape"


def _painted(
    config: RefineConfig,
    source: Source,
    painting: Painting,
    camera: Camera,
    region: Contains,
    grid: RegionGrid | None,
) -> tuple[View, np.ndarray]:
    """The view of the paint-over and the pixels that count; ValueError where it does not show the region."""
    before = seen(source.mesh, camera, region, grid)
    free = before.free if painting.mask is None else before.free & painting.mask
    if not free.any():
        raise ValueError(
            "refine.paint: expected a picture that shows the region, got one from another side; paint over a rendering "
            "in which it is seen"
        )
    image = _merged(painting, before, free, color=grid is None)
    if not bool((image[..., 3] > 0.05).any()):
        raise ValueError("refine.paint: expected the object, got an empty picture; paint over a rendering")
    known = torch.from_numpy(np.asarray(binary_dilation(free, iterations=KNOWN_PX)))
    if not bool((image[known][:, 3] > 0.05).any()):  # all that was there is painted away: the rest says what stays
        known = None
    return View(image, camera, weight=config.paint_weight, known=known), free


def _merged(painting: Painting, before: Picture, free: np.ndarray, *, color: bool) -> torch.Tensor:
    """The paint-over where it counts, the source elsewhere; where only colors change the outline is the source's."""
    assert painting.paint is not None
    paint = torch.from_numpy(painting.paint)
    if color:
        inside = paint[..., 3:] > 0.5  # a faint pixel of the outline has no color of its own
        rgb = torch.where(inside, paint[..., :3], before.image[..., :3])
        paint = torch.cat([rgb, before.image[..., 3:]], dim=-1)
    merged = torch.where(torch.from_numpy(free)[..., None], paint, before.image).numpy()
    solid = merged[..., 3] > SOLID
    if solid.any():  # a color looked up at the outline mixes with none of the empty pixels beside it
        rows, columns = np.asarray(distance_transform_edt(~solid, return_distances=False, return_indices=True))
        merged[..., :3] = merged[rows, columns, :3]
    return torch.from_numpy(merged)


def _visible(source: Source, camera: Camera) -> Contains:
    """What a camera sees of the source."""
    return Painted(source.mesh, np.ones((camera.height_px, camera.width_px), bool), camera, 0.0)


def _both(one: Contains, two: Contains) -> Contains:
    return lambda points: one(points) & two(points)
