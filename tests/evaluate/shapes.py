"""Small meshes and pictures made on the spot, with the attributes that the metrics read."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import torch
from scipy.spatial import KDTree

from nerf2mesh.mesh import TriangleMesh


def cube(center: tuple[float, float, float] = (0, 0, 0), side: float = 1.0) -> SimpleNamespace:
    """An axis-aligned cube, outward normals."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return SimpleNamespace(vertices=corners * side + np.array(center), faces=np.array(faces))


def sphere(
    radius: float = 0.5, subdivisions: int = 4, center: tuple[float, float, float] = (0, 0, 0)
) -> SimpleNamespace:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return SimpleNamespace(vertices=np.array(ball.vertices) + np.array(center), faces=np.array(ball.faces))


@lru_cache(maxsize=1)
def animal() -> TriangleMesh:
    """A colored creature of the shape grammar in the canonical frame: nothing about it is symmetric front to back."""
    from nerf2mesh.evaluate.protocols.canonical import canonical_frame
    from nerf2mesh.evaluate.protocols.core import scene
    from nerf2mesh.evaluate.protocols.procedural_objects import scene_mesh

    return canonical_frame(scene_mesh(scene("proc-02"), 64))


def painting(seed: int, size_px: int = 48, count: int = 2) -> torch.Tensor:
    """Smooth random color pictures with a hard edge in each, [count, size, size, 3] float64 in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator, dtype=torch.float64)
    fine = torch.nn.functional.interpolate(coarse, size=(size_px, size_px), mode="bicubic").clamp(0, 1)
    fine[..., : size_px // 3, size_px // 2 :] = torch.rand(count, 3, 1, 1, generator=generator, dtype=torch.float64)
    return fine.movedim(1, -1)


def cloud_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Half the sum of the two directed mean distances between point clouds, by SciPy."""
    there, back = KDTree(b.numpy()).query(a.numpy())[0], KDTree(a.numpy()).query(b.numpy())[0]
    return 0.5 * float(there.mean() + back.mean())
