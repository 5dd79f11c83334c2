"""A rig as a file: GLB or USDZ with skin and animations, a JSON of its bones beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.export.skin import Animation, Skin
from nerf2mesh.motion.rig.motion_clip import RigClip, own_clips
from nerf2mesh.motion.rig.rigged import Rig
from nerf2mesh.motion.rig.rotations import quaternions
from nerf2mesh.motion.rig.skeleton import PREFIX
from nerf2mesh.rights import Record

JSON_NAME = "rig.json"


def skin_of(rig: Rig, clips: Sequence[RigClip] = ()) -> Skin:
    """What the exporter writes: Mixamo's names with their prefix, weights, and the clips on this rig."""
    names = [PREFIX + name for name in rig.skeleton.names]
    animations = [Animation(clip.name, clip.times_s, quaternions(clip.local), clip.moved) for clip in clips]
    s, w = rig.skeleton, rig.weights
    return Skin(names, s.parents, s.positions, w.joints, w.values, animations)


def skin_for(
    rig: Rig, mesh: TriangleMesh, placed: Callable[[np.ndarray], np.ndarray], clips: Sequence[RigClip] | None = None
) -> Skin:
    """The skin of a mesh of the same shape.

    placed: where the mesh lies, of points [n, 3] of the rig's own frame. clips: on the rig where `placed` changes
    nothing; by default the package's.
    """
    moved = replace(rig.mesh, vertices=placed(rig.mesh.vertices))
    there = Rig(moved, replace(rig.skeleton, positions=placed(rig.skeleton.positions)), rig.weights)
    return skin_of(there.bound_to(mesh), own_clips(there) if clips is None else clips)


def save_rig(
    rig: Rig,
    path: str | Path,
    clips: Sequence[RigClip] = (),
    *,
    scale: float = 1.0,
    record: Record | None = None,
) -> list[Path]:
    """Writes the .glb or .usdz and, as NAME.rig.json beside it, what its bones are; returns both paths.

    scale: metres per world unit. record: as of `save_mesh`. Raises ValueError as `save_mesh` does.
    """
    path = save_mesh(rig.mesh, path, scale=scale, record=record, skin=skin_of(rig, clips))
    return [path, rig.write_json(path.with_name(f"{path.stem}.{JSON_NAME}"))]
