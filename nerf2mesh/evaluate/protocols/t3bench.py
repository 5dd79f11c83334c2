"""T3Bench (He et al. 2023): prompts of a folder, 162 x 5 views, and its way of making one score of them.

After run_eval_quality.py and meshrender.py of its repository: the mesh's mean vertex at the origin, its largest
coordinate at 1; best field of view, three rounds of averaging over neighbors on the icosphere, best direction. Here
CLIP's cosines go that way; T3Bench's own quality is ImageReward's, its alignment a language model's: not comparable.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.text_metrics import TextCase
from nerf2mesh.evaluate.protocols.scoring import Settings
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera

FOVS_DEG = (60.0, 45.0, 36.0, 30.0, 24.0)


def t3bench_case(name: str, prompts: dict[str, str]) -> TextCase:
    """One prompt of T3Bench; R-precision is among the prompts of its group (single, surr or multi)."""
    group = name.split("-")[0]
    rivals = tuple(dict.fromkeys(words for other, words in prompts.items() if other.split("-")[0] == group))
    cameras = t3bench_cameras()
    flat = replace(
        cameras,
        camera_to_world=cameras.camera_to_world.flatten(0, 1),
        focal_px=cameras.focal_px.flatten(0, 1),
        principal_px=cameras.principal_px.flatten(0, 1),
    )
    settings = Settings(background=0.0, supersample=1)
    return TextCase(name, prompts[name], rivals, flat, settings, frame=t3bench_frame, aggregate=t3bench_aggregate)


def t3bench_cameras(size_px: int = 512) -> Camera:
    """T3Bench's views [162, 5]: the vertices of a twice divided icosahedron at distance 2.2, five fields of view.

    The mesh is centered on its vertices' mean and divided by its largest coordinate; black background, one ray a pixel.
    There is no truth to compare with: see `text_metrics` for the scores.
    """
    from nerf2mesh.mesh.shapes import icosphere

    x, y, z = torch.from_numpy(icosphere(2).vertices).float().unbind(-1)
    azimuth, elevation = torch.rad2deg(torch.atan2(y, x)), torch.rad2deg(torch.asin(z.clamp(-1, 1)))
    fov = torch.tensor(FOVS_DEG)
    return Camera.orbit(azimuth[:, None], elevation[:, None], distance=2.2, fov_deg=fov, width_px=size_px)


def t3bench_frame(mesh: TriangleMesh) -> TriangleMesh:
    """The mean vertex at the origin, the largest coordinate at 1; a mesh without vertices stays as it is."""
    if not mesh.n_vertices:
        return mesh
    vertices = mesh.vertices - mesh.vertices.mean(axis=0)
    return replace(mesh, vertices=vertices / np.abs(vertices).max())


def t3bench_aggregate(scores: Float[Tensor, "810"]) -> float:
    """One score of those of the icosphere's directions and fields of view, in the order of `t3bench_cameras`."""
    from nerf2mesh.mesh.shapes import icosphere

    scores = scores.reshape(-1, len(FOVS_DEG))
    faces = torch.from_numpy(icosphere(2).faces).long()
    near = torch.eye(len(scores))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        near[faces[:, i], faces[:, j]] = near[faces[:, j], faces[:, i]] = 1.0
    near, best = near / near.sum(1, keepdim=True), scores.float().amax(1)
    for _ in range(3):
        best = near @ best
    return float(best.max())
