"""Triangle surfaces for measuring: area-uniform samples and exact nearest points, in plain torch on any device.

The nearest point is found with a complete binary tree of boxes over Morton-ordered triangles, walked level by level for
all queries at once: no recursion, no dependency, the same result on CPU and GPU. V vertices, F faces, N queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

_QUERIES_PER_CHUNK = 4_096


@dataclass(frozen=True)
class Nearest:
    """For each query: the distance to the surface, the nearest point on it and the triangle that holds it."""

    distance: Float[Tensor, "n"]
    point: Float[Tensor, "n 3"]
    face: Int[Tensor, "n"]


class MeshLike(Protocol):
    """Anything with vertices [V, 3] and faces [F, 3]: TriangleMesh, trimesh.Trimesh, Surface."""

    @property
    def vertices(self) -> Any:
        """[V, 3] positions, an array or a tensor."""
        ...

    @property
    def faces(self) -> Any:
        """[F, 3] vertex numbers, an array or a tensor."""
        ...


class Surface:
    """A triangle soup in float64. Zero-area triangles count as the segments or points that they are."""

    def __init__(self, vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> None:
        self.vertices = torch.as_tensor(vertices).double().reshape(-1, 3)
        self.faces = torch.as_tensor(faces).to(self.vertices.device, torch.int64).reshape(-1, 3)
        if not torch.isfinite(self.vertices).all():
            raise ValueError("vertices: expected finite coordinates, got nan or inf; repair the mesh first")
        if self.faces.numel() and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < len(self.vertices):
            raise ValueError(
                f"faces: expected indices below {len(self.vertices)}, got {int(self.faces.max())}; repair the mesh"
            )

    @staticmethod
    def of(mesh: MeshLike) -> Surface:
        """The surface of a mesh; a Surface as it is."""
        return mesh if isinstance(mesh, Surface) else Surface(torch.tensor(mesh.vertices), torch.tensor(mesh.faces))

    @property
    def is_empty(self) -> bool:
        """Whether there is no face."""
        return len(self.faces) == 0

    @cached_property
    def triangles(self) -> Float[Tensor, "f 3 3"]:
        """The corners of every face."""
        return self.vertices[self.faces]

    @cached_property
    def _area_vectors(self) -> Float[Tensor, "f 3"]:
        a, b, c = self.triangles.unbind(1)
        return 0.5 * torch.linalg.cross(b - a, c - a)

    @property
    def normals(self) -> Float[Tensor, "f 3"]:
        """Unit normals of the faces by the right-hand rule; zero for faces without area."""
        return torch.nn.functional.normalize(self._area_vectors, dim=-1, eps=1e-30)

    @property
    def area(self) -> float:
        """The area of all faces together."""
        return float(self._area_vectors.norm(dim=-1).sum())

    def sample(self, count: int, *, seed: int = 0) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "n"]]:
        """Points spread uniformly over the area, and their faces; the same for the same seed on every device."""
        areas = self._area_vectors.norm(dim=-1).cpu()
        if self.is_empty or not float(areas.sum()) > 0:
            raise ValueError("mesh: expected a surface with area, got none; score an empty mesh as a failure")
        generator = torch.Generator().manual_seed(seed)
        u = torch.rand(count, 3, generator=generator, dtype=torch.float64)
        cumulative = areas.cumsum(0)
        face = torch.searchsorted(cumulative, u[:, 0] * cumulative[-1], right=True).clamp_max(len(areas) - 1)
        root = u[:, 1].sqrt()
        weights = torch.stack([1 - root, root * (1 - u[:, 2]), root * u[:, 2]], dim=-1).to(self.vertices.device)
        face = face.to(self.vertices.device)
        return (weights[:, :, None] * self.triangles[face]).sum(1), face

    def nearest(self, points: Float[Tensor, "n 3"]) -> Nearest:
        """The exact nearest surface point of every query."""
        if self.is_empty:
            raise ValueError("mesh: expected at least one triangle, got none; score an empty mesh as a failure")
        chunks = [self._nearest(p) for p in points.to(self.vertices).split(_QUERIES_PER_CHUNK)]
        return Nearest(*(torch.cat([getattr(c, name) for c in chunks]) for name in ("distance", "point", "face")))

    @cached_property
    def _tree(self) -> tuple[Int[Tensor, "p"], list[tuple[Tensor, Tensor, Tensor]]]:
        """Faces in Morton order padded to a power of two, and per level (low, high, one surface point of the node)."""
        centers = self.triangles.mean(1)
        low, high = centers.amin(0), centers.amax(0)
        cells = ((centers - low) / (high - low).clamp_min(1e-30) * 1023).long()
        order = torch.argsort(_morton(cells), stable=True)
        size = 1 << max(len(order) - 1, 0).bit_length()
        order = torch.cat([order, order[-1:].expand(size - len(order))])
        triangles = self.triangles[order]
        level = (triangles.amin(1), triangles.amax(1), centers[order])
        levels = [level]
        while len(level[0]) > 1:
            boxes = torch.minimum(level[0][::2], level[0][1::2]), torch.maximum(level[1][::2], level[1][1::2])
            level = (*boxes, level[2][::2])
            levels.append(level)
        return order, levels[::-1]

    def _nearest(self, points: Float[Tensor, "n 3"]) -> Nearest:
        order, levels = self._tree
        query = torch.arange(len(points), device=points.device)
        node = torch.zeros_like(query)
        bound = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
        for depth, (low, high, on_surface) in enumerate(levels):
            if depth:
                query, node = query.repeat_interleave(2), (2 * node[:, None] + node.new_tensor([0, 1])).flatten()
            p = rows(points, query)
            bound.scatter_reduce_(0, query, squared_norm(p - rows(on_surface, node)), "amin")
            gap = torch.maximum(rows(low, node) - p, p - rows(high, node)).clamp_min(0)
            keep = squared_norm(gap) <= bound[query] * (1 + 1e-12)
            query, node = query[keep], node[keep]
        face, p = order[node], rows(points, query)
        candidate = closest_on_triangle(p, rows(self.triangles, face))
        squared = squared_norm(candidate - p)
        best = torch.full_like(bound, torch.inf).scatter_reduce_(0, query, squared, "amin")
        pick = torch.full_like(query, len(query)).narrow(0, 0, len(points)).clone()
        hits = torch.nonzero(squared == best[query])[:, 0]
        pick.scatter_reduce_(0, query[hits], hits, "amin")
        return Nearest(best.sqrt(), candidate[pick], face[pick])


def closest_on_triangle(points: Float[Tensor, "n 3"], triangles: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3"]:
    """The nearest point of each triangle: its plane's foot point if inside, else the best of three edges."""
    best = closest_on_segment(points, triangles[:, 0], triangles[:, 1])
    for i, j in ((1, 2), (2, 0)):
        other = closest_on_segment(points, triangles[:, i], triangles[:, j])
        nearer = squared_norm(other - points) < squared_norm(best - points)
        best = torch.where(nearer[:, None], other, best)
    a, b, c = triangles.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    squared = squared_norm(normal)
    foot = points - normal * (dot(points - a, normal) / squared.clamp_min(1e-300))[:, None]
    inside = squared > 0
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= dot(torch.linalg.cross(end - start, foot - start), normal) >= 0
    return torch.where(inside[:, None], foot, best)


def closest_on_segment(
    points: Float[Tensor, "n 3"], start: Float[Tensor, "n 3"], end: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """The nearest point of each segment from `start` to `end`."""
    along = end - start
    t = dot(points - start, along) / squared_norm(along).clamp_min(1e-300)
    return start + t.clamp(0, 1)[:, None] * along


def dot(a: Float[Tensor, "n 3"], b: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """Products of rows. Written out: a sum over three neighbors in memory takes torch five times as long."""
    (ax, ay, az), (bx, by, bz) = a.unbind(-1), b.unbind(-1)
    return ax * bx + ay * by + az * bz


def squared_norm(a: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """Squared lengths of rows."""
    return dot(a, a)


def rows(values: Float[Tensor, "m ..."], index: Int[Tensor, "n"]) -> Float[Tensor, "n ..."]:
    """values[index], by the function of torch that copies whole rows."""
    return values.index_select(0, index)


def _morton(cells: Int[Tensor, "n 3"]) -> Int[Tensor, "n"]:
    """The bits of three 10-bit integers interleaved."""
    code = torch.zeros_like(cells[:, 0])
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code
