"""Elevations on the surfaces that they show: orthographic projection onto the faces that look that way.

Of the outside a picture spans the building from end to end as seen from there, of a room its walls on that side, and
both the height of the walls above the floor. Floors and ceilings span the room's box, as on the sheet (a ceiling as in
a reflected ceiling plan). Sheet right is world +Y, sheet up is world -X.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.ops import unary_union

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.plan.elevations import LEVEL, TOWARDS, Elevation
from nerf2mesh.inputs.plan.kinds import Plan
from nerf2mesh.mesh.solid.parts import Part, Picture

FACING = 0.5
"""Least cosine between a face's normal and the direction from which it is seen: slanted and curved walls take part."""
BESIDE_M = 0.01
"""So far before a face lies what it belongs to."""
NOTICEABLE, OTHER_ASPECT = 0.05, 0.35
"""Difference of a picture's aspect from its surface's that is warned of, and refused."""


def with_elevations(
    parts: Sequence[Part], plan: Plan, elevations: Sequence[Elevation], config: InputConfig
) -> tuple[list[Part], list[str]]:
    """The parts with their pictures, and warnings about aspects.

    Raises:
        ValueError: a picture's aspect is not its surface's, or no face looks that way.
    """
    said: list[str] = []
    made = {part.name: part for part in parts}
    for elevation in elevations:
        name = f"{elevation.side}_{elevation.room}" if elevation.side in LEVEL else "walls"
        part = made[name]
        faces = _shown(part, plan, elevation)
        if not faces.any():
            raise ValueError(
                f"input.elevations.{elevation.name}: expected a surface that looks that way, got none in the plan; "
                "leave it out"
            )
        at = _placed(part, elevation)[faces]
        low, high = at.min((0, 1)), at.max((0, 1))
        if elevation.side not in LEVEL:
            low[1], high[1] = 0.0, config.wall_height_m
        said += _aspect(elevation, high - low)
        uv = (at - low) / (high - low)  # below the floor and above the walls the picture's edge goes on
        picture = Picture(elevation.name, np.flatnonzero(faces), uv.astype(np.float32), elevation.image)
        made[name] = replace(part, pictures=(*part.pictures, picture))
    return list(made.values()), said


def _shown(part: Part, plan: Plan, elevation: Elevation) -> Bool[np.ndarray, " f"]:
    """The faces that look at who sees this elevation, and border on the room or on the outside."""
    normals = part.mesh.face_normals
    if elevation.side in LEVEL:
        return normals[:, 2] * (1.0 if elevation.side == "floor" else -1.0) > FACING
    toward = _seen_from(elevation)
    before = part.mesh.vertices[part.mesh.faces].mean(1) + BESIDE_M * normals
    at = shapely.points(before[:, 1], -before[:, 0])
    if elevation.room is None:
        within = unary_union([plan.walls, *(r.region for r in plan.rooms), *(o.gap.region for o in plan.openings)])
        there = ~shapely.intersects(within, at)
    else:
        there = shapely.intersects(next(r.region for r in plan.rooms if r.name == elevation.room), at)
    return (normals @ toward > FACING) & there


def _seen_from(elevation: Elevation) -> Float[np.ndarray, " 3"]:
    """World direction from the surface to its viewer: a facade is seen from without, a room's wall from within."""
    x, y = TOWARDS[elevation.side]
    sign = 1.0 if elevation.room is None else -1.0
    return sign * np.array([-y, x, 0.0])


def _placed(part: Part, elevation: Elevation) -> Float[np.ndarray, "f 3 2"]:
    """Where corners lie in the picture's plane, to the right and up, in metres."""
    corners = part.mesh.vertices[part.mesh.faces]
    if elevation.side in LEVEL:
        return np.stack([corners[..., 1], -corners[..., 0]], axis=-1)
    right = np.cross([0.0, 0.0, 1.0], _seen_from(elevation))
    return np.stack([corners @ right, corners[..., 2]], axis=-1)


def _aspect(elevation: Elevation, size_m: np.ndarray) -> list[str]:
    height, width = elevation.image.shape[:2]
    factor = (width / height) / float(size_m[0] / size_m[1])
    off = max(factor, 1.0 / factor) - 1.0
    about = f"of {size_m[0]:.2f} x {size_m[1]:.2f} m, got {width} x {height} px ({off:.0%} another aspect)"
    if off > OTHER_ASPECT:
        raise ValueError(
            f"input.elevations.{elevation.name}: expected a picture {about}; crop it to the surface's ends, floor and "
            "top"
        )
    return [f"input.elevations.{elevation.name}: stretched to a surface {about}"] if off > NOTICEABLE else []
