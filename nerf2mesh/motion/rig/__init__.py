"""Rigging: a skeleton for a mesh, skinning weights, clips and their export."""

from nerf2mesh.motion.rig.bvh import read_bvh
from nerf2mesh.motion.rig.export import save_rig, skin_of
from nerf2mesh.motion.rig.motion_clip import Clip, RigClip, own_clips, read_clip, retarget
from nerf2mesh.motion.rig.rigged import Rig, rig
from nerf2mesh.motion.rig.skeleton import Skeleton
from nerf2mesh.motion.rig.track_fit import Fitted, fit_track

__all__ = [
    "Clip",
    "Fitted",
    "Rig",
    "RigClip",
    "Skeleton",
    "fit_track",
    "own_clips",
    "read_bvh",
    "read_clip",
    "retarget",
    "rig",
    "save_rig",
    "skin_of",
]
