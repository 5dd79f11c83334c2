"""Clips of models whose motion is known, framed as `input=frames` frames them.

The model is turned so that the chosen side is the front, and placed so that its first frame fills `FILL` of the view of
the camera at azimuth 0, or with a sheet so that its box is in the middle and the longest side of the drawings fills as
much: the frame of the run's mesh and that of the truth are then one, up to a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.rigged import Moving
from nerf2mesh.inputs.framing import object_box
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

FILL = 0.7
VIEW_PX, WIDER = 256, 1.6
"""Of the first frame's view; the clip's pictures are so many times wider, through the same lens."""
SHEET_DEG = (0.0, 270.0, 180.0)
SIDES = ("front", "right", "back")


@dataclass(frozen=True)
class Truth:
    """meshes: one for each frame, with the same faces, in the world of the run. times_s: of the frames."""

    meshes: list[TriangleMesh]
    times_s: list[float]
    elevation_deg: float

    @property
    def camera(self) -> Camera:
        """The still camera; its pictures are wider than the first frame's view."""
        return wide_camera(self.elevation_deg)


def wide_camera(elevation_deg: float, azimuth_deg: float = 0.0) -> Camera:
    """The camera of the first frame's view with a wider picture."""
    view = Camera.orbit(azimuth_deg, elevation_deg, width_px=VIEW_PX)
    size = round(VIEW_PX * WIDER)
    return replace(view, width_px=size, height_px=size, principal_px=torch.full_like(view.principal_px, size / 2))


def truth_of(
    moving: Moving, n: int, front_deg: float, start: float, elevation_deg: float, *, drawn: bool = False
) -> Truth:
    """n frames over one period from the share `start` on, seen from azimuth `front_deg` of the model; drawn: placed as
    by a sheet."""
    times = [k * moving.seconds / n for k in range(n)]
    at = [moving.positions((t + start * moving.seconds) % moving.seconds) for t in times]
    angle = np.radians(-front_deg)
    turn = np.array([[np.cos(angle), np.sin(angle), 0.0], [-np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    at = [x @ turn for x in at]
    middle, size = 0.5 * (at[0].min(0) + at[0].max(0)), float(np.ptp(at[0], axis=0).max())
    per_view = 2.0 * VIEW_PX / float(Camera.orbit(0.0, 0.0, width_px=2 * VIEW_PX, orthographic=True).focal_px[0])
    at = [(x - middle) * (FILL * per_view / size) for x in at]
    camera = Camera.orbit(0.0, elevation_deg, width_px=2 * VIEW_PX)
    right, up = camera.camera_to_world[:3, :2].double().numpy().T
    for _ in range(0 if drawn else 4):
        opacity = rasterize_mesh(TriangleMesh(at[0], moving.faces), camera, supersample=2).opacity.numpy()
        top, bottom, left, rightmost = object_box(opacity)
        per_px = 3.2 / float(camera.focal_px[0])
        shift = ((left + rightmost) / 2 - VIEW_PX) * right - ((top + bottom) / 2 - VIEW_PX) * up
        scale = FILL * 2 * VIEW_PX / max(bottom - top, rightmost - left)
        at = [(x - shift * per_px) * scale for x in at]
    meshes = [TriangleMesh(x, moving.faces, vertex_colors=moving.colors) for x in at]
    return Truth(meshes, times, elevation_deg)


def write_clip(truth: Truth, path: Path) -> None:
    """The frames as an animated PNG with transparency."""
    frames = [_picture(mesh, truth.camera) for mesh in truth.meshes]
    step_ms = 1000.0 * (truth.times_s[1] - truth.times_s[0])
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=step_ms, loop=0, blend=0, disposal=1)


def write_sheet(truth: Truth, path: Path) -> None:
    """Front, right and back of the first frame beside each other on white, by level orthographic cameras, which show
    more than the box."""
    cameras = Camera.orbit(torch.tensor(SHEET_DEG), torch.zeros(3), fov_deg=48.0, width_px=460, orthographic=True)
    shown = rasterize_mesh(truth.meshes[0], cameras, supersample=2, shading="lambert").over(1.0)
    page = torch.cat(list(shown), dim=1).clamp(0, 1).numpy()
    Image.fromarray(np.round(page * 255.0).astype(np.uint8)).save(path)


def _picture(mesh: TriangleMesh, camera: Camera) -> Image.Image:
    shown = rasterize_mesh(mesh, camera, supersample=2, shading="lambert")
    alpha = shown.opacity[..., None]
    rgba = torch.cat([shown.rgb / alpha.clamp_min(1e-3), alpha], dim=-1).clamp(0, 1).numpy()
    return Image.fromarray(np.round(rgba * 255.0).astype(np.uint8))
