"""Small analytic meshes with the attributes that the metrics read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

CHICKEN = Path(__file__).parent / "data" / "gso_chicken"


def cube(center: tuple[float, float, float] = (0, 0, 0), side: float = 1.0) -> SimpleNamespace:
    """An axis-aligned cube, outward normals."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return SimpleNamespace(vertices=corners * side + np.array(center), faces=np.array(faces))


def sphere(radius: float = 0.5, subdivisions: int = 4, center: tuple[float, float, float] = (0, 0, 0)) -> object:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return SimpleNamespace(vertices=np.array(ball.vertices) + np.array(center), faces=np.array(ball.faces))


def chicken_views(prefix: str) -> torch.Tensor:
    """The 16 pictures of one kind, [16, 256, 256, c] in [0, 1] float32, depth as raw integers in float64."""
    pictures = [np.asarray(Image.open(CHICKEN / f"{prefix}_{i:02d}.png")) for i in range(16)]
    if prefix == "gt_depth":
        return torch.from_numpy(np.stack(pictures).astype(np.float64))
    return torch.from_numpy(np.stack(pictures)).float() / 255


def chicken_cameras() -> tuple[torch.Tensor, torch.Tensor]:
    """Intrinsics [3, 3] and world-to-camera poses [16, 3, 4], OpenCV axes, float64."""
    data = json.loads((CHICKEN / "cameras.json").read_text())
    return torch.tensor(data["K"]).double(), torch.tensor(data["world_to_camera"]).double()
