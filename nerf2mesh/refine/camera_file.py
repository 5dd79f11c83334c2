"""A camera as a JSON file beside its picture, and its place in another frame.

The file holds what `Camera` holds: camera_to_world (4 x 4, OpenGL axes, world +Z up and front +X), focal_px and
principal_px (x, y), width_px, height_px, orthographic.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import read_regular

MOST_BYTES = 1 << 20
LARGEST = 0.99
SMALLEST = 0.3
"""A mesh whose half sides are in this range and which lies in the box stays where it is."""
HALF_EXTENT = 0.65


@dataclass(frozen=True)
class Placement:
    """Where a mesh lies in the box [-1, 1]^3: point in the box = (point - center) scale."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    @staticmethod
    def of(mesh: TriangleMesh) -> Placement:
        """None at all for a mesh that lies in the box and fills some of it, as our own do; else to its middle."""
        half = 0.5 * float(np.ptp(mesh.bounds, axis=0).max())
        if half <= 0.0:
            raise ValueError("start_from: expected a mesh with a size, got a single point; give another mesh")
        if half >= SMALLEST and float(np.abs(mesh.bounds).max()) <= LARGEST:
            return Placement()
        x, y, z = (float(value) for value in mesh.center)
        return Placement((x, y, z), HALF_EXTENT / half)

    def into_box(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the mesh's own frame in the box."""
        return (points - np.array(self.center)) * self.scale

    def out_of_box(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the box in the mesh's own frame."""
        return points / self.scale + np.array(self.center)

    def placed_back(self, mesh: TriangleMesh) -> TriangleMesh:
        """A mesh of the box in the mesh's own frame."""
        return replace(mesh, vertices=self.out_of_box(mesh.vertices))

    def camera(self, camera: Camera) -> Camera:
        """The camera of the mesh's own frame that sees the same of the mesh in the box."""
        pose = camera.camera_to_world.clone()
        pose[..., :3, 3] = (pose[..., :3, 3] - pose.new_tensor(self.center)) * self.scale
        focal = camera.focal_px / self.scale if camera.orthographic else camera.focal_px
        return replace(camera, camera_to_world=pose, focal_px=focal)

    def back(self, camera: Camera) -> Camera:
        """The inverse of `camera`."""
        center = np.array(self.center) * -self.scale
        return Placement((float(center[0]), float(center[1]), float(center[2])), 1.0 / self.scale).camera(camera)


def write_camera(path: Path, camera: Camera) -> Path:
    """Writes one camera."""
    values = {
        "camera_to_world": camera.camera_to_world.tolist(),
        "focal_px": camera.focal_px.tolist(),
        "principal_px": camera.principal_px.tolist(),
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "orthographic": camera.orthographic,
    }
    return atomic_write_text(path, json.dumps(values, indent=2) + "\n")


def read_camera(path: Path) -> Camera:
    """The camera of `refine.camera` from a file; ValueError where it is missing or holds something else."""
    try:
        values = json.loads(read_regular(path, limit_bytes=MOST_BYTES, follow=True))
        pose = torch.tensor(values["camera_to_world"], dtype=torch.float32)
        focal, principal = (torch.tensor(values[name], dtype=torch.float32) for name in ("focal_px", "principal_px"))
        width, height = int(values["width_px"]), int(values["height_px"])
        camera = Camera(pose, focal, principal, width, height, bool(values.get("orthographic", False)))
        shapes = pose.shape == (4, 4) and focal.shape == principal.shape == (2,)
        numbers = all(bool(part.isfinite().all()) for part in (pose, focal, principal))
        rotation = pose[:3, :3]
        upright = numbers and torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-3)
        if not (shapes and upright and bool((focal > 0).all()) and 8 <= width <= 8192 and 8 <= height <= 8192):
            raise ValueError("numbers that make no camera")
    except FileNotFoundError as error:
        raise ValueError(
            f"refine.camera: expected the camera of the picture, got no file {path}; take the picture with "
            "nerf2mesh-render"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(
            f"refine.camera: expected a camera of nerf2mesh-render, got {path} ({why}); write it anew"
        ) from error
    return camera
