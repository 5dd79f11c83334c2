"""Protocol `core`: single-image reconstruction of Spot, Bob and Avocado.

Objects
    Each mesh is turned from its file's +Y up to the house's +Z up, with the face (the avocado's cut) along +X, so that
    azimuth 0 looks the cow in the eyes. Then it is moved so that its bounding box is centred on the origin, and scaled
    so that its farthest vertex lies at distance 0.9: whatever way it is turned it stays inside the box [-1, 1]^3, and
    inside every picture below.
Input
    One picture from the front: azimuth 0, elevation 20 degrees, distance 3.2, vertical field of view 40 degrees,
    256 px, RGBA with straight alpha, the texture's flat colour without light. The method is given this camera: it must
    not move or scale the picture (`input.recenter=false`). No alignment of any kind is done afterwards.
Novel views
    16 on a ring at the same distance and field of view: azimuth 22.5 k degrees, elevation 0 for even k, 30 for odd,
    256 px. None has the input's elevation; k = 0 is nearest to it, 20 degrees below.
Scores
    See `scoring` (white background, unlit), `geometry` (Chamfer point to triangle, F at 0.02, 0.05 and 0.1 of the house
    unit, 20,000 samples each way) and `solids` (volume IoU on 128^3 voxels of the house box). Floors, measured truth
    against truth: Chamfer 0, IoU 1, F 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.evaluate.scoring import Case, Settings, picture, render_views
from nerf2mesh.types import Camera

BOUNDING_RADIUS = 0.9
INPUT_ELEVATION_DEG = 20.0
RING_VIEWS = 16
DATA_DIR = Path(__file__).resolve().parents[2] / "benchmarks" / "data"


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


def core(
    objects: Sequence[str] | None = None, *, data_dir: Path | str = DATA_DIR, settings: Settings | None = None
) -> list[Case]:
    """The cases of protocol `core`, all three objects or those named."""
    known = [spec.name for spec in CORE_OBJECTS]
    unknown = sorted(set(objects or ()) - set(known))
    if unknown:
        raise ValueError(f"objects: names out of {', '.join(known)} wanted, got {', '.join(unknown)}")
    wanted = [spec for spec in CORE_OBJECTS if not objects or spec.name in objects]
    return [make_case(spec.name, load_object(spec, Path(data_dir)), settings=settings) for spec in wanted]


def load_object(spec: ObjectFile, data_dir: Path) -> object:
    """A bundled TriangleMesh in the house frame."""
    from nerf2mesh.mesh import TriangleMesh

    path = data_dir / spec.path
    if not path.is_file():
        raise ValueError(f"data_dir: a folder with {spec.path} wanted, got {data_dir}; give benchmarks/data of a clone")
    return house_frame(TriangleMesh.from_file(path, up=spec.up, front=spec.front))


def house_frame(mesh: object, radius: float = BOUNDING_RADIUS) -> object:
    """The mesh with its bounding box centred on the origin and its farthest vertex at distance `radius`."""
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
