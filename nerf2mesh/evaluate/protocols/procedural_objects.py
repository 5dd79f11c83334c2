"""Objects of the shape grammar with exact signed distances, in the canonical frame.

A true mesh is the zero level of the signed distance, by marching cubes on 128^3 samples (vertices within about 1e-3 of
the surface), colored per vertex with the grammar's base color. `exact_cases` makes test cases of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.solids import grid_axis
from nerf2mesh.evaluate.protocols.canonical import BOUNDING_RADIUS, canonical_frame
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.procedural.render import Scenes

FIRST_SEED = (1 << 30) + (1 << 20)
COUNT = 20
"""Seeds of `benchmarks.meshes`, of any family; those of protocol `core` are its own."""
_HALF_EXTENT = 1.25


def procedural_mesh(seed: int, resolution: int = 128) -> TriangleMesh:
    """The TriangleMesh of one grammar seed in the canonical frame, all pieces kept."""
    from nerf2mesh.procedural.grammar import sample_scenes

    return canonical_frame(scene_mesh(sample_scenes([seed]), resolution))


def scene_mesh(scenes: Scenes, resolution: int = 128) -> TriangleMesh:
    """The TriangleMesh of a batch of one scene, where the scene lies. ValueError where the shape is empty."""
    import mcubes

    from nerf2mesh.procedural.parts import scene_albedo

    values = distances(scenes, torch.linspace(-_HALF_EXTENT, _HALF_EXTENT, resolution))
    vertices, faces = mcubes.marching_cubes(-values.numpy().astype(np.float64), 0.0)
    if len(faces) == 0:
        raise ValueError("scenes: expected a scene that shows a shape, got an empty one; take another seed")
    vertices = vertices / (resolution - 1) * (2 * _HALF_EXTENT) - _HALF_EXTENT
    points = torch.from_numpy(vertices).float()[None]
    local = points @ scenes.rotation / scenes.scale[:, None, None] + scenes.center[:, None]
    colors = scene_albedo(scenes.shapes, scenes.colors, *local.unbind(-1))[0]
    mesh = TriangleMesh(vertices, faces.astype(np.int64), vertex_colors=colors.numpy())
    return mesh if mesh.volume > 0 else replace(mesh, faces=mesh.faces[:, ::-1])


def turned_scene(scenes: Scenes, yaw_deg: float) -> Scenes:
    """The scene turned about Z so that its side at azimuth `yaw_deg` comes to azimuth 0; its light stays."""
    angle = np.radians(-yaw_deg)
    turn = [[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]]
    return replace(scenes, rotation=torch.tensor(turn).to(scenes.rotation) @ scenes.rotation) if yaw_deg else scenes


def scene_in_canonical_frame(scenes: Scenes, mesh: TriangleMesh) -> Scenes:
    """The scene moved and scaled as `canonical_frame` moves and scales `mesh`, its surface."""
    middle = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    grown = BOUNDING_RADIUS / np.linalg.norm(mesh.vertices - middle, axis=1).max()
    shift = torch.from_numpy(middle).float() @ scenes.rotation[0] / scenes.scale[0]
    return replace(scenes, center=scenes.center + shift, scale=scenes.scale * float(grown))


def solid(scenes: Scenes, resolution: int) -> Bool[Tensor, "n n n"]:
    """Which voxel centers of the world box lie in one scene, by the sign of its distance: exact, without a mesh."""
    return distances(scenes, grid_axis(resolution).float()) < 0


def distances(scenes: Scenes, axis: Float[Tensor, "n"], step: int = 4) -> Float[Tensor, "n n n"]:
    """Signed distances on the lattice axis x axis x axis: all on a coarse one, the rest only where a surface may be.

    Away from the surface the value of the nearest coarse sample stands; its sign is right since distances are bounds.
    """
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    middle = slice(step // 2, None, step)
    coarse = scenes.distance(grid[middle, middle, middle].reshape(1, -1, 3))[0]
    coarse = coarse.reshape((len(axis) // step,) * 3)
    values = coarse.repeat_interleave(step, 0).repeat_interleave(step, 1).repeat_interleave(step, 2).clone()
    reach = (step + 1) * float(axis[1] - axis[0]) * 3**0.5
    near = values.abs() < reach
    points = grid[near].split(1 << 16)
    values[near] = torch.cat([scenes.distance(p[None])[0] for p in points]) if points else values[near]
    return values
