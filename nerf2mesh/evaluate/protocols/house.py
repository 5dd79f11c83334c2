"""The house frame, the house's cameras and the bundled meshes: what protocol `core` (see there) and others share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.evaluate.protocols.scoring import Case, Settings, picture, render_views
from nerf2mesh.types import Camera

BOUNDING_RADIUS = 0.9
INPUT_ELEVATION_DEG = 20.0
RING_VIEWS = 16
DATA_DIR = Path(__file__).resolve().parents[3] / "benchmarks" / "data"


@dataclass(frozen=True)
class ObjectFile:
    """A mesh file and the axes along which it stands and faces in that file."""

    name: str
    path: str
    front: str
    up: str = "y"


CORE_OBJECTS = (
    ObjectFile("spot", "spot/spot.obj", front="-z"),
    ObjectFile("bob", "bob/bob_tri.obj", front="-x"),
    ObjectFile("avocado", "avocado/avocado.obj", front="z"),
)


def load_object(spec: ObjectFile, data_dir: Path) -> object:
    """A bundled TriangleMesh in the house frame."""
    from nerf2mesh.mesh import TriangleMesh

    path = data_dir / spec.path
    if not path.is_file():
        raise ValueError(f"data_dir: a folder with {spec.path} wanted, got {data_dir}; give benchmarks/data of a clone")
    return house_frame(TriangleMesh.from_file(path, up=spec.up, front=spec.front))


def house_frame(mesh: object, radius: float = BOUNDING_RADIUS) -> object:
    """The mesh with its bounding box centered on the origin and its farthest vertex at distance `radius`."""
    vertices = mesh.vertices - 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    return replace(mesh, vertices=vertices * (radius / np.linalg.norm(vertices, axis=1).max()))


def make_case(name: str, mesh: object, *, size_px: int = 256, settings: Settings | None = None) -> Case:
    """Render the input and the ring of novel views of a mesh that is in the house frame."""
    settings = settings or Settings()
    camera, ring = input_camera(size_px), ring_cameras(size_px)
    image = picture(render_views(mesh, camera, settings))
    return Case(name, mesh, image, camera, ring, render_views(mesh, ring, settings), settings)


def input_camera(size_px: int = 256) -> Camera:
    return Camera.orbit(0.0, INPUT_ELEVATION_DEG, width_px=size_px)


def ring_cameras(size_px: int = 256) -> Camera:
    k = torch.arange(RING_VIEWS)
    return Camera.orbit(360.0 / RING_VIEWS * k, torch.where(k % 2 == 0, 0.0, 30.0), width_px=size_px)
