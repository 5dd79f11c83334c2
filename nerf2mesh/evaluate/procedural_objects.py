"""Protocol `procedural`: 20 objects of the shape grammar, with exact signed distances, that no prior is trained on.

Same camera, views and scores as protocol `core`. The grammar's training seeds lie far below these. The true mesh is the
zero level of the signed distance, by marching cubes on 128^3 samples (vertices within about 1e-3 of the surface),
coloured per vertex with the grammar's base colour, then put into the house frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nerf2mesh.evaluate.protocols import house_frame, make_case
from nerf2mesh.evaluate.scoring import Case, Settings

FIRST_SEED = (1 << 30) + (1 << 20)
COUNT = 20
_HALF_EXTENT = 1.25


def procedural(objects: Sequence[str] | None = None, *, settings: Settings | None = None) -> list[Case]:
    """All cases, or those named: "p00" to "p19"."""
    names = [f"p{k:02d}" for k in range(COUNT)]
    unknown = sorted(set(objects or ()) - set(names))
    if unknown:
        raise ValueError(f"objects: names p00 to p{COUNT - 1} wanted, got {', '.join(unknown)}")
    wanted = [k for k, name in enumerate(names) if not objects or name in objects]
    return [make_case(names[k], procedural_mesh(FIRST_SEED + k), settings=settings) for k in wanted]


def procedural_mesh(seed: int, resolution: int = 128) -> object:
    """The TriangleMesh of one grammar seed in the house frame, all pieces kept."""
    import mcubes

    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.procedural.grammar import sample_scenes
    from nerf2mesh.procedural.parts import scene_albedo

    scenes = sample_scenes([seed])
    values = _distances(scenes, resolution)
    vertices, faces = mcubes.marching_cubes(-values.numpy().astype(np.float64), 0.0)
    if len(faces) == 0:
        raise ValueError(f"seed: one that gives a shape wanted, got {seed}, whose shape is empty")
    vertices = vertices / (resolution - 1) * (2 * _HALF_EXTENT) - _HALF_EXTENT
    points = torch.from_numpy(vertices).float()[None]
    local = points @ scenes.rotation / scenes.scale[:, None, None] + scenes.center[:, None]
    colors = scene_albedo(scenes.shapes, scenes.colours, *local.unbind(-1))[0]
    mesh = TriangleMesh(vertices, faces.astype(np.int64), vertex_colors=colors.numpy())
    mesh = mesh if mesh.volume > 0 else replace(mesh, faces=mesh.faces[:, ::-1])
    return house_frame(mesh)


def _distances(scenes: object, resolution: int, step: int = 4) -> torch.Tensor:
    """Signed distances at resolution^3 samples: all on a coarse lattice, the rest only where a surface may be near."""
    axis = torch.linspace(-_HALF_EXTENT, _HALF_EXTENT, resolution)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    middle = slice(step // 2, None, step)
    coarse = scenes.distance(grid[middle, middle, middle].reshape(1, -1, 3))[0]
    coarse = coarse.reshape((resolution // step,) * 3)
    values = coarse.repeat_interleave(step, 0).repeat_interleave(step, 1).repeat_interleave(step, 2).clone()
    reach = (step + 1) * float(axis[1] - axis[0]) * 3**0.5
    near = values.abs() < reach
    points = grid[near].split(1 << 16)
    values[near] = torch.cat([scenes.distance(p[None])[0] for p in points]) if points else values[near]
    return values
