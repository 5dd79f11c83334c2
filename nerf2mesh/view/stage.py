"""What stands in the scene beside the picture of the field: the mesh, and the given views where they were taken."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Observations, View
from nerf2mesh.view.pictures import opencv_pose

BESIDE = (0.0, 1.9, 0.0)
"""Where the mesh stands: to the right of the field for who looks at the front."""
GLTF_TO_WORLD = (0.5, 0.5, 0.5, 0.5)
"""Turns +Y up and front +Z into +Z up and front +X, as a quaternion (w, x, y, z)."""
LONGEST = 1.8
"""Side in world units to which a mesh is scaled that is much larger or smaller."""
PICTURE_PX = 192
FRUSTUM = 0.2


class Stage:
    """The scene of a viser server."""

    def __init__(self, server: Any, *, beside: bool = True) -> None:
        self.server = server
        self._at = BESIDE if beside else (0.0, 0.0, 0.0)
        self._lock = threading.Lock()
        self._mesh: Any = None
        self.mesh_visible = True
        self._frusta: list[Any] = []
        server.scene.set_up_direction("+z")
        middle = np.asarray(self._at) / 2.0 + np.array([0.0, 0.5, 0.0])  # the panel covers the right
        server.initial_camera.position = tuple(middle + np.array([5.2, -1.2, 2.6]))  # above the given view's frustum
        server.initial_camera.look_at = tuple(middle)
        server.initial_camera.fov = float(np.deg2rad(45.0))

    def show_mesh(self, mesh: TriangleMesh) -> None:
        """A mesh in world axes with vertex colors."""
        import trimesh

        colors = None if mesh.vertex_colors is None else (np.clip(mesh.vertex_colors, 0, 1) * 255).astype(np.uint8)
        shown = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
        with self._lock:
            self._mesh = self.server.scene.add_mesh_trimesh(
                "/mesh", shown, position=self._at, visible=self.mesh_visible
            )

    def show_glb(self, path: Path, scale: float = 1.0) -> None:
        """A file in glTF's axes."""
        with self._lock:
            self._mesh = self.server.scene.add_glb(
                "/mesh",
                path.read_bytes(),
                scale=scale,
                wxyz=GLTF_TO_WORLD,
                position=self._at,
                visible=self.mesh_visible,
            )

    def set_mesh_visible(self, visible: bool) -> None:
        """Shows or hides the mesh, also those to come."""
        self.mesh_visible = visible
        with self._lock:
            if self._mesh is not None:
                self._mesh.visible = visible

    def set_views_visible(self, visible: bool) -> None:
        """Shows or hides the given views."""
        for frustum in self._frusta:
            frustum.visible = visible

    def show_views(self, observations: Observations) -> None:
        """The given views as frusta with their pictures."""
        self._frusta = [self._frustum(k, view) for k, view in enumerate(observations.views)]

    def _frustum(self, k: int, view: View) -> Any:
        import viser.transforms

        camera = view.camera
        rotation, position = opencv_pose(camera)
        fov = 2.0 * np.arctan(0.5 * camera.height_px / float(camera.focal_px[1])) if not camera.orthographic else 0.4
        return self.server.scene.add_camera_frustum(
            f"/given/{k}", float(fov), camera.width_px / camera.height_px, scale=FRUSTUM, thickness=0.01,
            image=_small(view), wxyz=viser.transforms.SO3.from_matrix(rotation).wxyz, position=position,
        )  # fmt: skip


def glb_scale(path: Path) -> float:
    """1 for meshes of about the world's size; else what brings the longest side to LONGEST. ValueError for no mesh."""
    low, high = TriangleMesh.from_file(path).bounds
    longest = float((high - low).max())
    return 1.0 if 0.3 < longest < 2.1 else LONGEST / max(longest, 1e-9)


def _small(view: View) -> np.ndarray:
    """uint8 [h, w, 3] over white, at most PICTURE_PX a side."""
    step = max(1, max(view.image.shape[:2]) // PICTURE_PX)
    image = view.image[::step, ::step].cpu()
    rgb = image[..., :3] * image[..., 3:] + (1.0 - image[..., 3:])
    return (rgb.clamp(0, 1) * 255).byte().numpy()
