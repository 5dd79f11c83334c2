"""Gives a mesh's shading normals what the given pictures say of them, where these show its surface.

A field that was fitted to one picture has its outline and its colors there, but hardly its shape: normals of the mesh
are the worst of what is seen when it is lit anew. Only `TriangleMesh.vertex_normals` change, no position does, so that
files keep the silhouette and every reader shades by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.mesh.texture.given_views import look_up
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.types import View

COSINES, INSIDE_PX = (-0.1, 0.1), (0.0, 1.5)
"""As those of `given_views`, of the mesh's own normals, which are not trusted much here; normals may be used nearer to
edges than colors, in which the background would show."""


def with_given_normals(
    mesh: TriangleMesh, views: Sequence[View], normals: Sequence[Float[Tensor, "h w 3"]]
) -> TriangleMesh:
    """The mesh with the normals of `views`, unit and in world axes, at the vertices that these show, by the weights of
    `given_views`; the rest keeps its own."""
    own, total, most = mesh.normals, np.zeros_like(mesh.vertices), np.zeros(mesh.n_vertices)
    for view, told in zip(views, normals, strict=True):
        colors = torch.cat([0.5 + 0.5 * told.cpu().float(), view.image[..., 3:].cpu()], dim=-1)
        shown = replace(view, image=colors.clamp(0.0, 1.0))
        weight, found = look_up(mesh, shown, mesh.vertices, own, COSINES, INSIDE_PX)
        total += (weight * weight)[:, None] * (2.0 * found - 1.0)
        most = np.maximum(most, weight)
    seen = unit(total)
    return replace(mesh, vertex_normals=unit(own + most[:, None] * (seen - own)))
