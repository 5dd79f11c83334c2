"""Settings of motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import OneOf, Weight, Within


@dataclass(kw_only=True)
class MotionConfig:
    """How the mesh follows the frames of `input=frames` (docs/frames.md)."""

    flow: Weight = 0.5
    """How much a visible vertex follows the optical flow from its neighbors in time, against an outline's 1."""
    momentum: Weight = 0.3
    """How much a vertex stays in the middle of its places before and after, against 1 of an outline's vertex."""
    depth: Weight = 0.1
    """How much a vertex keeps the depth that it has in the first frame: a still camera does not show it."""
    sweeps: Annotated[int, Within(0, 100)] = 3
    """How often all frames are gone through again, each with its neighbors in time."""
    closed: Annotated[str, OneOf("auto", "yes", "no")] = "auto"
    """Whether the clip ends where it begins: then it is followed from the first frame in both directions. auto:
    where the last frame's silhouette is as near to the first's as neighbors are."""

    lattice: Annotated[int, Within(4, 24)] = 10
    """Control points along an axis of the deformation of space that is fitted to the mesh's motion, for the field."""
    distill_steps: Annotated[int, Within(0, 100_000)] = 0
    """Steps of score distillation at random times, which move the parts along the camera's sight; 0 leaves it out. Each
    renders two neighboring frames from `distill_views` sides, with `distill`'s loss and noise levels."""
    distill_views: Annotated[int, Within(1, 64)] = 1
    """Cameras around the object in each of these steps."""
    distill_weight: Weight = 1.0
    """Of the distillation, against 1 of the energies."""
    distill_lr: Annotated[float, Within(1e-6, 1.0)] = 0.003
    """Adam's rate for the control points' ways, in world units."""
    distill_elastic: Weight = 10.0
    """Of the mean squared second difference of these ways in space."""
    distill_momentum: Weight = 10.0
    """The same in time."""

    def __post_init__(self) -> None:
        check_ranges(self, "motion.")
