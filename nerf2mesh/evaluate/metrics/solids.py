"""Which points of a grid lie inside a mesh: exact signed ray crossings along the three axes, in plain torch.

A mesh's winding number at a point is the mean over all directions of the signed number of surface crossings (+1 going
out, -1 going in). For a closed mesh every direction gives the same whole number; for an open one, such as a bowl
without its lid, a ray that leaves through the hole misses its crossing. `occupancy` takes the mean of six directions
(+-x, +-y, +-z) and calls a point inside where it is beyond one half: exact for closed meshes of either orientation,
overlapping and nested parts included, and a majority vote for open ones (on the avocado of protocol `core` it equals
the exact solid-angle sum at every voxel tried). Self-intersections need no repair.

Crossings use one half-open rule on edges with an exactly antisymmetric edge function, so that rays through shared edges
and vertices count once: no jitter, no tolerance.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nerf2mesh.evaluate.metrics.surface import MeshLike, Surface

_PAIRS_PER_CHUNK = 2_000_000


def grid_axis(resolution: int, half_extent: float = 1.0) -> Float[Tensor, "n"]:
    """The voxel centers of [-half_extent, half_extent] along one axis."""
    return ((torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution * 2 - 1) * half_extent


def winding_numbers(mesh: MeshLike, resolution: int, half_extent: float = 1.0) -> Float[Tensor, "n n n"]:
    """The mean signed crossing count over six directions at the voxel centers [x, y, z] of a cube about the origin."""
    surface = Surface.of(mesh)
    device = surface.vertices.device
    total = torch.zeros((resolution,) * 3, dtype=torch.float64, device=device)
    if surface.is_empty:
        return total
    axis = grid_axis(resolution, half_extent).to(device)
    for view_axis in range(3):
        turn = [(view_axis + 1) % 3, (view_axis + 2) % 3, view_axis]
        crossings = _column_crossings(surface.triangles[..., turn], axis)
        upward = crossings.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        downward = -crossings.cumsum(-1)[..., :-1]
        total += torch.movedim(upward + downward, (0, 1, 2), turn)
    return total / 6.0


def occupancy(mesh: MeshLike, resolution: int, half_extent: float = 1.0) -> Bool[Tensor, "n n n"]:
    """Voxel centers inside the mesh (see the module's text); an empty mesh is empty."""
    return winding_numbers(mesh, resolution, half_extent).abs() > 0.5


def _column_crossings(triangles: Float[Tensor, "f 3 3"], axis: Float[Tensor, "n"]) -> Float[Tensor, "n n n1"]:
    """Signed crossings of the columns (axis[i], axis[j], z); entry k counts those between center k-1 and center k."""
    n = len(axis)
    counts = torch.zeros(n * n * (n + 1), dtype=torch.float64, device=axis.device)
    first = torch.searchsorted(axis, triangles[..., :2].amin(1).contiguous())
    last = torch.searchsorted(axis, triangles[..., :2].amax(1).contiguous(), right=True)
    width = (last - first).clamp_min(0)
    boxes = width[:, 0] * width[:, 1]
    start = 0
    ends = boxes.cumsum(0)
    while start < len(triangles):
        done = 0 if start == 0 else int(ends[start - 1])
        stop = max(start + 1, int(torch.searchsorted(ends, done + _PAIRS_PER_CHUNK, right=True)))
        _add_crossings(counts, triangles[start:stop], axis, first[start:stop], width[start:stop])
        start = stop
    return counts.reshape(n, n, n + 1)


def _add_crossings(
    counts: Tensor, triangles: Tensor, axis: Tensor, first: Int[Tensor, "f 2"], width: Int[Tensor, "f 2"]
) -> None:
    """Add the crossings of some triangles with all columns of their bounding rectangles."""
    n, boxes = len(axis), width[:, 0] * width[:, 1]
    face = torch.repeat_interleave(boxes)
    inner = torch.arange(len(face), device=axis.device) - (boxes.cumsum(0) - boxes)[face]
    across = width[:, 1].index_select(0, face)
    row = inner // across
    column = [first[:, k].index_select(0, face) + step for k, step in enumerate((row, inner - row * across))]
    flat = [
        [triangles[:, i, k].index_select(0, face) - axis.index_select(0, column[k]) for k in range(2)] for i in range(3)
    ]
    sign = sum(_edge_winding(flat[i], flat[(i + 1) % 3]) for i in range(3))
    assert isinstance(sign, Tensor)
    hit = torch.nonzero(sign)[:, 0]
    corners = [
        [x.index_select(0, hit), y.index_select(0, hit), triangles[face[hit], i, 2]] for i, (x, y) in enumerate(flat)
    ]
    height = _height(torch.stack([torch.stack(corner, dim=-1) for corner in corners], dim=1))
    slot = torch.searchsorted(axis, height, right=False)
    index = (column[0][hit] * n + column[1][hit]) * (n + 1) + slot
    counts.index_add_(0, index, sign[hit].to(counts.dtype))


def _edge_winding(a: list[Float[Tensor, "p"]], b: list[Float[Tensor, "p"]]) -> Int[Tensor, "p"]:
    """An edge's share of a triangle's winding about the origin of the plane; reversed edges give the exact negative.

    a, b: x and y of the edge's ends.
    """
    edge = a[0] * b[1] - a[1] * b[0]
    up = (a[1] <= 0) & (b[1] > 0) & (edge > 0)
    down = (b[1] <= 0) & (a[1] > 0) & (edge < 0)
    return up.to(torch.int8) - down.to(torch.int8)


def _height(corners: Float[Tensor, "p 3 3"]) -> Float[Tensor, "p"]:
    """The z at which each triangle's plane meets the line x = y = 0; kept within the triangle's own range."""
    a, b, c = corners.unbind(1)
    weights = torch.stack(
        [
            b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0],
            c[:, 0] * a[:, 1] - c[:, 1] * a[:, 0],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        dim=-1,
    )
    z = corners[..., 2]
    mean = (weights * z).sum(-1) / weights.sum(-1)
    mean = torch.where(torch.isfinite(mean), mean, z.mean(-1))
    return torch.minimum(torch.maximum(mean, z.amin(-1)), z.amax(-1))
