"""A drawing's views as Observations: orthographic, their silhouettes known exactly and in force as a bound.

The part's longest side becomes PART_SIDE world units, its box's middle the origin. Note `metres_per_unit` leads back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from shapely.affinity import scale as scaled

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.drawing.kinds import Cut, Drawing, Projection
from nerf2mesh.inputs.drawing.read import read_drawing
from nerf2mesh.inputs.viewpoint.told import usual_fov
from nerf2mesh.types import Camera, Carving, Observations, View

PART_SIDE = 1.6
SIDES = {"front": (0.0, 0.0), "right": (90.0, 0.0), "left": (-90.0, 0.0), "top": (0.0, 90.0), "bottom": (0.0, -90.0)}
"""Azimuth and elevation from which a view was drawn, in degrees; the part's front faces +X."""
EXACT_PX = 3.0
"""Distances up to this are those to the outline itself, farther ones those between pixels."""
FILL, LINE = 0.65, 0.1
"""Grey of the part and of its inner lines in the views."""


def load_drawing(config: InputConfig) -> Observations:
    """The views of `input.image` at `input.size_px`, each with its `clearance`.

    Raises:
        ValueError: as of `read_drawing`.
    """
    drawing = read_drawing(config)
    unit_m = max(float(np.ptp(np.reshape(view.region.bounds, (2, 2)), axis=0).max()) for view in drawing.views)
    unit_m /= PART_SIDE
    views = tuple(
        drawn_view(view, unit_m, config, [cut for cut in drawing.cuts if cut.view == view.name])
        for view in drawing.views
    )
    return Observations(views, config.prompt, _notes(drawing, unit_m), config.negative_prompt)


def drawn_view(view: Projection, unit_m: float, config: InputConfig, cuts: Sequence[Cut] = ()) -> View:
    """One view: grey inside its outline, inner lines dark, alpha antialiased. unit_m: metres of a world unit.

    cuts: those that this view's own lines bound.
    """
    azimuth, elevation = SIDES[view.name]
    side = config.size_px
    camera = Camera.orbit(
        azimuth,
        elevation,
        distance=config.distance,
        fov_deg=usual_fov(config).fov_deg,
        width_px=side,
        orthographic=True,
    )
    focal = float(camera.focal_px[0])
    inside = clearance(_in_units(view.region, unit_m), side, focal)
    carvings = tuple(
        Carving(
            torch.from_numpy(clearance(_in_units(cut.region, unit_m), side, focal).astype(np.float32)),
            cut.floor_m / unit_m,
            cut.behind,
        )
        for cut in cuts
    )
    alpha = np.clip(0.5 + inside * focal, 0.0, 1.0)
    picture = Image.new("L", (side, side), round(255 * FILL))
    pen = ImageDraw.Draw(picture)
    for ring in view.lines:
        points = np.asarray(ring) / unit_m * focal * (1.0, -1.0) + side / 2
        pen.line([tuple(point) for point in points], fill=round(255 * LINE), width=max(1, side // 128))
    grey = np.asarray(picture, np.float32) / 255.0
    image = np.stack([grey, grey, grey, alpha.astype(np.float32)], axis=-1)
    domain = "lineart" if config.domain == "auto" else config.domain
    depth = torch.from_numpy(inside.astype(np.float32))
    return View(torch.from_numpy(image), camera, domain=domain, clearance=depth, carvings=carvings)


def _in_units(region: Any, unit_m: float) -> Any:
    """A region of metres in world units."""
    return scaled(region, 1.0 / unit_m, 1.0 / unit_m, origin=(0.0, 0.0))


def clearance(region: Any, side_px: int, focal_px: float) -> np.ndarray:
    """How deep each pixel's center lies inside a region [s, s], world units, negative outside.

    region: a shapely geometry in world units about the picture's middle, y up. focal_px: pixels of a world unit. Near
    the outline the distances are exact, so that between pixels straight edges lie where they are drawn.
    """
    at = (np.arange(side_px) + 0.5 - side_px / 2) / focal_px
    x, y = np.meshgrid(at, -at)
    shapely.prepare(region)
    within = shapely.contains_xy(region, x, y)
    in_px, out_px = (np.asarray(distance_transform_edt(side)) for side in (within, ~within))
    far = np.where(within, in_px - 0.5, 0.5 - out_px) / focal_px
    near = np.abs(far) <= (EXACT_PX + 1.0) / focal_px
    exact = shapely.distance(shapely.points(x[near], y[near]), region.boundary)
    far[near] = np.where(within[near], exact, -exact)
    return far


def _notes(drawing: Drawing, unit_m: float) -> dict[str, object]:
    """For the report, as of other inputs."""
    sheet = drawing.sheet
    notes: dict[str, object] = {
        "path": sheet.path,
        "sha256": sheet.sha256,
        "format": sheet.format,
        "scale": f"{sheet.scale}; {drawing.angle}-angle projection",
        "metres_per_unit": unit_m,
        "warnings": list(drawing.warnings),
    }
    return notes | ({} if sheet.picture is None else {"picture": sheet.picture})
