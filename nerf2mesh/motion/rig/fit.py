"""Chooses and fits the template: two legs apart sideways make a biped, two pairs behind each other a quadruped."""

from __future__ import annotations

import numpy as np

from nerf2mesh.motion.rig.biped import fit_biped, has_arms
from nerf2mesh.motion.rig.branches import Branch, axis_at, find_legs
from nerf2mesh.motion.rig.measures import along, mirror_plane
from nerf2mesh.motion.rig.quadruped import fit_quadruped, four_legs
from nerf2mesh.motion.rig.skeleton import Skeleton, made_skeleton
from nerf2mesh.motion.rig.volume import Solid

KINDS = ("auto", "biped", "quadruped")


def fit_skeleton(solid: Solid, kind: str = "auto") -> Skeleton:
    """The skeleton of a solid, its joints inside. What is not a figure gets a spine of a few joints and a note.

    Raises:
        ValueError: `kind` is none of KINDS, or a quadruped was asked for and there are no two pairs of legs.
    """
    if kind not in KINDS:
        raise ValueError(f"rig: expected one of {', '.join(KINDS)}, got {kind!r}; choose one")
    legs = find_legs(solid)
    if kind == "biped":
        return fit_biped(solid, legs)
    found = fit_quadruped(solid, legs)
    if found is None and kind == "quadruped":
        raise ValueError(
            f"rig: expected two pairs of legs that stand apart, got {len(legs)} legs; use kind auto, or turn the mesh "
            "so that its front is +X and its up is +Z"
        )
    if found is not None:
        return found
    if len(legs) > 2 and four_legs(_turned(solid), legs_of := find_legs(_turned(solid))) and len(legs_of) > 2:
        return fit_spine(solid, "legs stand in pairs along y, so that the mesh's front is not +X")
    return fit_biped(solid, legs) if _stands_on_two(solid, legs) or has_arms(solid, legs) else fit_spine(solid)


def _turned(solid: Solid) -> Solid:
    """The solid with x and y exchanged."""
    return Solid(np.ascontiguousarray(solid.solid.transpose(1, 0, 2)), solid.origin[[1, 0, 2]], solid.cell)


def _stands_on_two(solid: Solid, legs: list[Branch]) -> bool:
    y0, _ = mirror_plane(solid)
    ys = [axis_at(solid, leg, 0.5)[1] - y0 for leg in legs]
    return any(y > 0 for y in ys) and any(y < 0 for y in ys)


def fit_spine(solid: Solid, why: str = "no legs were found") -> Skeleton:
    """Four joints and a tip along the longest way through the solid, upward where it stands, else toward the front."""
    start = int(np.argmax(solid.distances(np.array([solid.nearest(solid.centers.mean(0))]))))
    end = int(np.argmax(solid.distances(np.array([start]))))
    line = solid.centers[solid.middle_path(start, end)]
    run = line[-1] - line[0]
    axis = 2 if abs(run[2]) >= abs(run[0]) else 0
    line = line if run[axis] >= 0.0 else line[::-1]
    shares = {"Hips": 0.15, "Spine": 0.35, "Spine1": 0.55, "Head": 0.75, "HeadTop_End": 0.95}
    places = {name: solid.inner(along(line, share)) for name, share in shares.items()}
    note = f"{why}; the rig is a spine of four joints along the longest way through the shape"
    return made_skeleton("spine", places, [note])
