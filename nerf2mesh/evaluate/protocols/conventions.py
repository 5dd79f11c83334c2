"""Published geometry conventions by name: what a paper's Chamfer distance, F-score and IoU mean, as code.

A Chamfer distance says nothing without its scale, squaring, sum or mean, samples and alignment. The same surface pair
measures twice as far in [-1, 1]^3 as in a unit box (four times if squared), a sum of directions is twice their mean,
and a cloud of n samples never comes closer to itself than about half its spacing. `measure` gives that floor beside the
figure. What a paper does not state is listed in `unstated`, with what was chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.align import (
    best_rotation,
    box_frame,
    iterative_closest_points,
    mean_frame,
    rotation_grid,
)
from nerf2mesh.evaluate.metrics.geometry import nearest_point_distance, volume_iou
from nerf2mesh.evaluate.metrics.surface import MeshLike, Surface
from nerf2mesh.types import Camera

FRAMES = ("as given", "box", "own boxes", "mean")
"""Scale and translation. box: both meshes move with the truth's bounding box. own boxes: each with its own, which
forgives a wrong size and place. mean: each about the mean of its points, by its own extent.
"""
ALIGNMENTS = ("none", "icp", "rotations", "rotations and icp")


@dataclass(frozen=True, kw_only=True)
class Convention:
    """One paper's arithmetic. Scale and translation are said by `frame`, the rotation by `alignment`."""

    name: str
    source: str
    frame: str = "box"
    side: float = 1.0
    """Longest side of the bounding box after scaling: the truth's (frame "box") or each mesh's (frame "own boxes")."""
    samples: int | None = 10_000
    """Points drawn uniformly from each surface; None: what 16 depth maps see, thinned to 0.01 (SyncDreamer)."""
    alignment: str = "none"
    squared: bool = False
    reduce: str = "mean"
    thresholds: tuple[float, ...] = ()
    iou_resolution: int | None = None
    unstated: tuple[str, ...] = ()


CONVENTIONS = (
    Convention(
        name="syncdreamer-gso",
        source="SyncDreamer's eval_mesh.py: unit box, visible points only, unaligned; IoU on a grid of [-1, 1]^3",
        samples=None,
        iou_resolution=64,
    ),
    Convention(
        name="zero123-gso",
        source="Zero-1-to-3's report, section 4.3: Chamfer distance and volumetric IoU against the scanned model",
        iou_resolution=64,
        unstated=("scale: unit box taken", "alignment: none taken", "samples: 10,000 taken", "IoU: 64^3 taken"),
    ),
    Convention(
        name="one-2-3-45",
        source="One-2-3-45's single_render_eval.py: each mesh by its own bounding box, longest side 0.8; F-score",
        frame="own boxes",
        side=0.8,
        thresholds=(0.05,),
        unstated=("rotation: none taken", "samples: 10,000 taken", "F-score threshold: 0.05 taken"),
    ),
    Convention(
        name="triposr",
        source="TripoSR's report: 10,000 samples, a linear search for the rotation of least Chamfer distance, then ICP",
        side=2.0,
        alignment="rotations and icp",
        thresholds=(0.1, 0.2, 0.5),
        unstated=("scale: [-1, 1]^3 taken", "search grid: ZeroShape's taken", "sum or mean: mean taken"),
    ),
    Convention(
        name="instantmesh",
        source="InstantMesh's report (arXiv 2404.07191), by second-hand notes: meshes in [-1, 1]^3, ICP",
        side=2.0,
        samples=16_000,
        alignment="icp",
        reduce="sum",
        thresholds=(0.2,),
        unstated=(
            "samples: 16,000 taken",
            "sum or mean: sum taken, its figure for one method is twice another report's",
        ),
    ),
    Convention(
        name="zeroshape",
        source="ZeroShape's eval_3D.py: clouds about their means, larger of x and y extents 1, camera axes",
        frame="mean",
        thresholds=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
    ),
    Convention(
        name="zeroshape-rotations",
        source="ZeroShape's eval_3D.py with the best of 6,912 rotations",
        frame="mean",
        alignment="rotations",
        thresholds=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
    ),
)


def convention(name: str) -> Convention:
    """The convention of that name."""
    found = {c.name: c for c in CONVENTIONS}
    if name not in found:
        raise ValueError(f"convention: expected one of {', '.join(found)}, got {name!r}; choose one")
    return found[name]


def measure(
    kind: Convention,
    mesh: MeshLike,
    target: MeshLike,
    *,
    camera: Camera | None = None,
    seed: int = 0,
    floor: bool = True,
) -> dict[str, float]:
    """Chamfer distance, F-scores and IoU as `kind` has them; "chamfer_floor" is the truth against itself.

    `camera` gives the axes that frame "mean" looks along (world axes without one).
    """
    mesh, target = Surface.of(mesh), Surface.of(target)
    if kind.frame in ("box", "own boxes"):
        boxes = (target if kind.frame == "box" else mesh, target)
        mesh, target = (_in_box(s, box, kind.side) for s, box in zip((mesh, target), boxes))
    elif camera is not None:
        mesh, target = (Surface(s.vertices @ camera.camera_to_world[:3, :3].double(), s.faces) for s in (mesh, target))
    clouds = [_points(kind, s, seed + k) for k, s in enumerate((mesh, target))]
    clouds.append(_points(kind, target, seed + 2) if kind.samples else clouds[1])
    scores = _scores(kind, _aligned(kind, clouds[0], clouds[1]), _own_frame(kind, clouds[1]))
    if floor:
        clouds = [_own_frame(kind, cloud) for cloud in clouds]
        scores["chamfer_floor"] = _scores(kind, clouds[2], clouds[1])["chamfer"]
    if kind.iou_resolution is not None:
        scores["volume_iou"] = volume_iou(mesh, target, resolution=kind.iou_resolution)
    return scores


def visible_points(surface: Surface, *, voxel: float = 0.01) -> Float[Tensor, "n 3"]:
    """What SyncDreamer's 16 cameras (30 degrees up, distance 1.5, 256 px, focal length 280 px) see, thinned by voxels.

    Depths are lifted through the pixels' corners, half a pixel off, as its script does.
    """
    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.render.rasterizer import rasterize_mesh

    cameras = syncdreamer_cameras()
    mesh = TriangleMesh(surface.vertices.cpu().numpy(), surface.faces.cpu().numpy())
    drawn = rasterize_mesh(mesh, cameras)
    forward = -cameras.camera_to_world[:, None, None, :3, 2]
    z = drawn.depth * (cameras.rays().directions * forward).sum(-1)
    corners = cameras.rays(cameras.pixel_centers() - 0.5)
    along = corners.directions / (corners.directions * forward).sum(-1, keepdim=True)
    points = (corners.origins + along * z[..., None])[drawn.opacity > 0].double()
    return thinned(points, voxel)


def thinned(points: Float[Tensor, "n 3"], voxel: float) -> Float[Tensor, "m 3"]:
    """The mean of the points in each occupied voxel; the lattice starts half a voxel below the lowest corner."""
    cells = ((points - (points.amin(0) - 0.5 * voxel)) / voxel).floor().long()
    size = cells.amax(0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, group, count = torch.unique(keys, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(count), 3, dtype=points.dtype).index_add_(0, group, points)
    return sums / count[:, None]


def syncdreamer_cameras() -> Camera:
    """The 16 views of SyncDreamer's evaluation: azimuth 22.5 k degrees, elevation 30, distance 1.5."""
    fov_deg = float(torch.rad2deg(2 * torch.atan(torch.tensor(128 / 280))))
    return Camera.orbit(22.5 * torch.arange(16), 30.0, distance=1.5, fov_deg=fov_deg, width_px=256)


def _in_box(surface: Surface, box: Surface, side: float) -> Surface:
    """The surface in the frame of the bounding box of `box`, whose longest side becomes `side`."""
    center, scale = box_frame(box.triangles.reshape(-1, 3), side)
    return Surface((surface.vertices - center) * scale, surface.faces)


def _points(kind: Convention, surface: Surface, seed: int) -> Tensor:
    return visible_points(surface) if kind.samples is None else surface.sample(kind.samples, seed=seed)[0]


def _own_frame(kind: Convention, cloud: Tensor) -> Tensor:
    return mean_frame(cloud) if kind.frame == "mean" else cloud


def _aligned(kind: Convention, cloud: Tensor, target: Tensor) -> Tensor:
    cloud, target = _own_frame(kind, cloud), _own_frame(kind, target)
    if kind.alignment.startswith("rotations"):
        cloud = best_rotation(cloud, target, rotation_grid(), normalize=kind.frame == "mean")
    if kind.alignment.endswith("icp"):
        cloud = iterative_closest_points(cloud, target)
    return cloud


def _scores(kind: Convention, cloud: Tensor, target: Tensor) -> dict[str, float]:
    there, back = nearest_point_distance(cloud, target), nearest_point_distance(target, cloud)
    used = [d.square() if kind.squared else d for d in (there, back)]
    scores = {"chamfer": float(used[0].mean() + used[1].mean()) * (0.5 if kind.reduce == "mean" else 1.0)}
    for threshold in kind.thresholds:
        precision, recall = (float((d < threshold).double().mean()) for d in (there, back))
        scores[f"f_score_{threshold:g}"] = 2 * precision * recall / max(precision + recall, 1e-30)
    return scores
