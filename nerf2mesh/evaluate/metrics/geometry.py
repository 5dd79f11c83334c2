"""Geometry metrics between two meshes: pure functions, the convention in the name, batched over samples, CPU and GPU.

`mesh` is the result and `target` the truth; anything with `vertices` and `faces` serves. Distances are in the meshes'
own unit (the world box has side 2). Unless a docstring says otherwise: samples are uniform over area and seeded, and
distances go to the nearest point on the other TRIANGLES (to sampled points they would have a floor: the mean spacing
of the samples) and are not squared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.solids import occupancy
from nerf2mesh.evaluate.metrics.surface import MeshLike, Surface

DEFAULT_SAMPLES = 20_000


@dataclass(frozen=True)
class SurfaceDistances:
    """Both directed distances between two surfaces, and how well the normals agree at the nearest points.

    accuracy [n]: from the result's samples to the truth; completeness [n]: from the truth's samples to the result.
    *_cosine [n]: cosine between the sample's face normal and the nearest face's normal.
    """

    accuracy: Float[Tensor, "n"]
    completeness: Float[Tensor, "n"]
    accuracy_cosine: Float[Tensor, "n"]
    completeness_cosine: Float[Tensor, "n"]

    def chamfer(self) -> float:
        """The mean of the two mean directed distances, not squared."""
        return 0.5 * float(self.accuracy.mean() + self.completeness.mean())

    def f_score(self, threshold: float) -> float:
        """Harmonic mean of precision and recall: the shares of the two sample sets closer than `threshold`."""
        precision = float((self.accuracy < threshold).double().mean())
        recall = float((self.completeness < threshold).double().mean())
        return 2 * precision * recall / max(precision + recall, 1e-30)

    def normal_consistency(self, *, signed: bool = False) -> float:
        """Mean cosine of normals at nearest points, both ways; absolute (Occupancy Networks 2019) unless `signed`."""
        cosines = torch.stack([self.accuracy_cosine.mean(), self.completeness_cosine.mean()])
        if not signed:
            cosines = torch.stack([self.accuracy_cosine.abs().mean(), self.completeness_cosine.abs().mean()])
        return float(cosines.mean())


def surface_distances(
    mesh: MeshLike, target: MeshLike, *, samples: int = DEFAULT_SAMPLES, seed: int = 0
) -> SurfaceDistances:
    """Sample both surfaces and find the nearest points on the other's triangles: the base of what follows."""
    result, truth = Surface.of(mesh), Surface.of(target)
    accuracy, accuracy_cosine = _directed(result, truth, samples, seed)
    completeness, completeness_cosine = _directed(truth, result, samples, seed + 1)
    return SurfaceDistances(accuracy, completeness, accuracy_cosine, completeness_cosine)


def chamfer(mesh: MeshLike, target: MeshLike, *, samples: int = DEFAULT_SAMPLES, seed: int = 0) -> float:
    """Point-to-triangle Chamfer distance: the mean of both directions, not squared. Zero for equal surfaces."""
    return surface_distances(mesh, target, samples=samples, seed=seed).chamfer()


def f_score(
    mesh: MeshLike, target: MeshLike, thresholds: Sequence[float], *, samples: int = DEFAULT_SAMPLES, seed: int = 0
) -> list[float]:
    """F-scores at distance thresholds (Knapitsch et al. 2017), point to triangle."""
    distances = surface_distances(mesh, target, samples=samples, seed=seed)
    return [distances.f_score(t) for t in thresholds]


def normal_consistency(
    mesh: MeshLike, target: MeshLike, *, samples: int = DEFAULT_SAMPLES, seed: int = 0, signed: bool = False
) -> float:
    """Mean (absolute) cosine between normals at nearest points, both ways; 1 for equal surfaces."""
    return surface_distances(mesh, target, samples=samples, seed=seed).normal_consistency(signed=signed)


def volume_iou(mesh: MeshLike, target: MeshLike | Tensor, *, resolution: int = 128, half_extent: float = 1.0) -> float:
    """Intersection over union of the solids, counted at the voxel centers of [-half_extent, half_extent]^3.

    Inside is decided by `solids.occupancy`, which copes with open boundaries and overlapping parts. What lies outside
    the cube is not seen. 1 if both are empty. A flat face along the lattice may be off by half a voxel: at 128^3 the
    baselines of protocol `core` are within 0.002 of their values at 256^3. `target` may also be the solid itself, bool
    [resolution, resolution, resolution] at the voxel centers.
    """
    a = occupancy(mesh, resolution, half_extent)
    b = target if isinstance(target, Tensor) else occupancy(target, resolution, half_extent)
    if a.shape != b.shape:
        raise ValueError(
            f"target: expected a solid of shape {tuple(a.shape)}, got {tuple(b.shape)}; give its resolution"
        )
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def nearest_point_distance(points: Float[Tensor, "n 3"], cloud: Float[Tensor, "m 3"]) -> Float[Tensor, "n"]:
    """Distance of each point to the nearest of a cloud; a k-d tree on the CPU, blocks of all pairs on a GPU."""
    if points.device.type == "cpu":
        from scipy.spatial import KDTree

        # Median splits crawl where many coordinates are equal, as on flat faces seen through a pixel lattice.
        tree = KDTree(cloud.double().numpy(), balanced_tree=False)
        return torch.from_numpy(tree.query(points.double().numpy())[0])
    rows = max(1, 50_000_000 // max(len(cloud), 1))
    return torch.cat([torch.cdist(p, cloud.double()).amin(1) for p in points.double().split(rows)])


def _directed(source: Surface, target: Surface, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    points, face = source.sample(samples, seed=seed)
    nearest = target.nearest(points)
    return nearest.distance, (source.normals[face] * target.normals[nearest.face]).sum(-1)
