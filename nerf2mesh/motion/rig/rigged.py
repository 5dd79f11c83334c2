"""A rigged mesh: skeleton, skinning weights, and the mesh in any pose by linear blend skinning.

Letters
    G_j [3, 3], p_j [3]: rotation and place of joint j in a pose, b_j its place in the bind pose. Vertex v goes to
    sum_j w_vj (G_j (v - b_j) + p_j).
    Rotations given from outside are local: of a joint against its parent, in the world's axes of the bind pose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.rig.fit import fit_skeleton
from nerf2mesh.motion.rig.skeleton import Skeleton
from nerf2mesh.motion.rig.volume import Solid, solid_of, surface_points
from nerf2mesh.motion.rig.weights import SkinWeights, skin_weights
from nerf2mesh.utils.atomic_write import atomic_write_text


@dataclass(frozen=True, eq=False)
class Rig:
    """mesh in its bind pose, joints and weights."""

    mesh: TriangleMesh
    skeleton: Skeleton
    weights: SkinWeights

    def __repr__(self) -> str:
        said = f"Rig({self.skeleton.kind}, {len(self.skeleton.names)} joints, bind pose {self.skeleton.pose}"
        return f"{said}, notes={list(self.skeleton.notes)})"

    @cached_property
    def dense(self) -> Float[np.ndarray, "v j"]:
        """The weights as a matrix."""
        return self.weights.dense(len(self.skeleton.names))

    def joints(
        self, local: Float[np.ndarray, "j 3 3"], moved: Float[np.ndarray, "3"] | None = None
    ) -> tuple[Float[np.ndarray, "j 3 3"], Float[np.ndarray, "j 3"]]:
        """(G, p) of local rotations; moved: what the root is shifted by, world units."""
        rest, parents = self.skeleton.positions, self.skeleton.parents
        turned, places = np.empty_like(local), np.empty_like(rest)
        for j, parent in enumerate(parents):
            if parent < 0:
                turned[j], places[j] = local[j], rest[j] + (0.0 if moved is None else moved)
            else:
                turned[j] = turned[parent] @ local[j]
                places[j] = places[parent] + turned[parent] @ (rest[j] - rest[parent])
        return turned, places

    def posed(
        self, local: Float[np.ndarray, "j 3 3"], moved: Float[np.ndarray, "3"] | None = None
    ) -> Float[np.ndarray, "v 3"]:
        """Vertex positions in a pose."""
        turned, places = self.joints(local, moved)
        offset = places - np.einsum("jab,jb->ja", turned, self.skeleton.positions)
        blended = np.einsum("vj,jab->vab", self.dense, turned)
        return np.einsum("vab,vb->va", blended, self.mesh.vertices) + self.dense @ offset

    def bound_to(self, mesh: TriangleMesh) -> Rig:
        """The same skeleton for another mesh of the same shape: each vertex takes the nearest one's weights."""
        from scipy.spatial import KDTree

        if len(mesh.vertices) == len(self.mesh.vertices) and np.allclose(mesh.vertices, self.mesh.vertices, atol=1e-9):
            return Rig(mesh, self.skeleton, self.weights)
        near = KDTree(self.mesh.vertices).query(mesh.vertices)[1]
        return Rig(mesh, self.skeleton, SkinWeights(self.weights.joints[near], self.weights.values[near]))

    def write_json(self, path: str | Path) -> Path:
        """rig.json: bones, parents, bind positions, names of Unity's and VRM's humanoid."""
        atomic_write_text(Path(path), json.dumps(self.skeleton.to_json(), indent=1) + "\n")
        return Path(path)


def rig(mesh: TriangleMesh, kind: str = "auto") -> Rig:
    """Makes a skeleton for a mesh (+Z up, front +X) and binds the mesh to it. The same mesh gives the same rig.

    kind: "biped", "quadruped", or "auto", which chooses by the legs and falls back to a short spine.

    Raises:
        ValueError: in one line, an unknown kind, a mesh that encloses nothing, or no two pairs of legs for "quadruped".
    """
    solid = solid_of(mesh)
    skeleton = _centered(fit_skeleton(solid, kind), mesh, solid)
    return Rig(mesh, skeleton, skin_weights(mesh, solid, skeleton))


def _centered(skeleton: Skeleton, mesh: TriangleMesh, solid: Solid) -> Skeleton:
    """Joints that lie outside, as in limbs thinner than the voxels tell, move to the middle of the surface around."""
    from scipy.spatial import KDTree

    outside = np.flatnonzero(_winding(mesh, skeleton.positions) < 0.5)
    if not len(outside):
        return skeleton
    points, _ = surface_points(mesh, 0.5 * solid.cell)
    tree, places = KDTree(points), skeleton.positions.copy()
    for j in outside:
        rings = [tree.query_ball_point(places[j], cells * solid.cell) for cells in (1.5, 2.0, 2.5, 3.5)]
        middles = np.array([points[ring].mean(0) for ring in rings if ring]).reshape(-1, 3)
        within = middles[_winding(mesh, middles) > 0.5] if len(middles) else middles
        places[j] = within[0] if len(within) else places[j]
    return replace(skeleton, positions=places)


def _winding(mesh: TriangleMesh, points: np.ndarray) -> np.ndarray:
    """Winding numbers [n]: the sum of the faces' solid angles over 4 pi (Van Oosterom and Strackee 1983)."""
    found = np.empty(len(points))
    for k, point in enumerate(points):
        a, b, c = (mesh.corners[:, i] - point for i in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        dots = (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        found[k] = np.arctan2((a * np.cross(b, c)).sum(1), la * lb * lc + dots).sum() / (2.0 * np.pi)
    return found
