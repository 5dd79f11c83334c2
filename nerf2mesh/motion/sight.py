"""What a frame says about a moved mesh: where its outline is to be, and where the flow has carried what was seen.

Letters
    Places in a picture are pixels (x right, y down). Each contour vertex of the mesh has a goal, the mean of the
    nearest point of the frame's outline and of those of its points to which the vertex is the nearest; points are
    compared by place and by the direction in which the outline looks there, so that the two sides of a leg are not
    mixed up. Flow is DIS (Kroeger et al. 2016, "Fast optical flow using dense inverse search"); where the way there
    and back does not end where it began, it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial import KDTree

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.outline import contour_vertices, outline_points
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, Clip

DIRECTION_PX = 14.0
"""How far apart in pixels counts as much as opposite halves of the direction."""
FURTHEST = 0.12
"""Share of the picture's height beyond which a point of the outline is someone else's."""
CONSISTENT_PX, WITHIN_PX = 1.0, 1.5
"""Flow there and back, and how deep inside the mask it is believed."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its camera, mask [h, w], outline points [k, 2] with outward directions [k, 2], grey picture uint8."""

    camera: Camera
    alpha: np.ndarray
    points: np.ndarray
    outward: np.ndarray
    inside_px: np.ndarray
    grey: np.ndarray


@dataclass(frozen=True, eq=False)
class Goals:
    """Vertices [k], where each is to be seen [k, 2], and how much that counts [k]."""

    rows: np.ndarray
    at: np.ndarray
    weight: np.ndarray


def frames_of(clip: Clip) -> list[Frame]:
    """The frames of a clip, made ready. Grey is along the axis on which the object's colors differ most."""
    tone = _tone(clip.images[0].numpy())
    return [_frame(clip.images[k].numpy(), clip.cameras[k], tone) for k in range(len(clip.times_s))]


def _tone(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The axis [3] of the most variance of the object's colors, and where most of them lie on it."""
    colors = image[image[..., 3] > 0.5][:, :3].astype(np.float64)
    axis = np.linalg.eigh(np.cov(colors.T) + 1e-6 * np.ones((3, 3)))[1][:, -1]
    axis = axis if axis.sum() >= 0 else -axis
    low, high = np.percentile(colors @ axis, [2.0, 98.0])
    return axis, float(low), max(float(high - low), 0.05)


def _frame(image: np.ndarray, camera: Camera, tone: tuple[np.ndarray, float, float]) -> Frame:
    alpha = image[..., 3].astype(np.float64)
    points = outline_points(alpha, np.ones(alpha.shape, bool))
    soft = np.asarray(gaussian_filter(alpha, 1.5))
    across, down = (np.asarray(np.gradient(soft, axis=k)) for k in (1, 0))
    rows, columns = (np.clip(np.floor(points[:, 1 - k]).astype(int), 0, alpha.shape[k] - 1) for k in (0, 1))
    outward = -np.stack([across[rows, columns], down[rows, columns]], axis=1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    axis, low, extent = tone
    grey = alpha * (0.3 + 0.7 * np.clip((image[..., :3].astype(np.float64) @ axis - low) / extent, 0.0, 1.0))
    inside = np.asarray(distance_transform_edt(alpha > 0.5))
    return Frame(camera, alpha, points, outward, inside, np.round(grey * 255.0).astype(np.uint8))


def seen(moved: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [n, 2] and depths [n] of places."""
    pixels, depth = camera.project(torch.from_numpy(moved.astype(np.float32)))
    return pixels.double().numpy(), depth.double().numpy()


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return float((a & b).sum() / max(int((a | b).sum()), 1))


def silhouette_iou(mesh: TriangleMesh, frame: Frame) -> float:
    """IoU of the mesh's silhouette and the frame's mask, both at least half opaque."""
    shown = rasterize_mesh(mesh, frame.camera, smooth=False, supersample=2).opacity.numpy() > 0.5
    return mask_iou(shown, frame.alpha > 0.5)


def outline_goals(mesh: TriangleMesh, frame: Frame) -> Goals:
    """Where the contour vertices of the mesh are to be in the frame."""
    at, _ = seen(mesh.vertices, frame.camera)
    rows = np.flatnonzero(contour_vertices(mesh, frame.camera, at))
    if not len(rows) or not len(frame.points):
        return Goals(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0))
    limit = FURTHEST * frame.alpha.shape[0]
    facing = _facing(mesh.normals[rows], frame.camera)
    here = _with_direction(at[rows], facing)
    wanted = _with_direction(frame.points, frame.outward)
    far, nearest = (np.asarray(part) for part in KDTree(wanted).query(here))
    back, vertex = (np.asarray(part) for part in KDTree(here).query(wanted))
    near = back < limit
    count = np.bincount(vertex[near], minlength=len(rows))
    sums = [np.bincount(vertex[near], frame.points[near, k], len(rows)) for k in (0, 1)]
    pulled = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    goal = np.where((count > 0)[:, None], 0.4 * frame.points[nearest] + 0.6 * pulled, frame.points[nearest])
    use = (far < limit) | (count > 0)
    return Goals(rows[use], goal[use], np.ones(int(use.sum())))


def _with_direction(at: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return np.concatenate([at, DIRECTION_PX * direction], axis=1)


def _facing(normals: np.ndarray, camera: Camera) -> np.ndarray:
    """Directions in the picture of normals [n, 3]."""
    right, up = camera.camera_to_world[:3, :2].double().numpy().T
    flat = np.stack([normals @ right, -(normals @ up)], axis=1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, eq=False)
class Flow:
    """From one frame to another, there and back, [h, w, 2] in pixels each."""

    there: np.ndarray
    back: np.ndarray


def flow_between(before: Frame, after: Frame) -> Flow:
    """DIS flow of both grey pictures."""
    return Flow(dis_flow(before.grey, after.grey), dis_flow(after.grey, before.grey))


def flow_goals(mesh: TriangleMesh, before: Frame, after: Frame, flow: Flow) -> Goals:
    """Where the vertices that `before` shows well are in `after`; mesh: as it is in `before`."""
    there, back = flow.there, flow.back
    at, depth = seen(mesh.vertices, before.camera)
    drawn = rasterize_mesh(mesh, before.camera, smooth=False)
    surface = drawn.depth.double().numpy()
    ray = np.linalg.norm(mesh.vertices - before.camera.position.double().numpy(), axis=1)
    ray = depth if before.camera.orthographic else ray
    column, row = (np.clip(np.floor(at[:, k]).astype(int), 0, before.alpha.shape[1 - k] - 1) for k in (0, 1))
    shown = (surface[row, column] > 0) & (ray < surface[row, column] + 0.03)
    shown &= before.inside_px[row, column] > WITHIN_PX
    rows = np.flatnonzero(shown)
    goal = at[rows] + _sampled(there, at[rows])
    error = np.linalg.norm(goal + _sampled(back, goal) - at[rows], axis=1)
    x, y = (np.clip(np.floor(goal[:, k]).astype(int), 0, after.alpha.shape[1 - k] - 1) for k in (0, 1))
    good = (error < CONSISTENT_PX) & (after.inside_px[y, x] > 1.0)
    return Goals(rows[good], goal[good], np.ones(int(good.sum())))


def dis_flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[h, w, 2] as (x, y) in pixels, of grey pictures uint8."""
    import cv2

    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    return method.calc(before, after, None).astype(np.float64)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _sampled(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    place = at[:, ::-1].T - 0.5
    columns = range(values.shape[2])
    return np.stack([map_coordinates(values[..., k], place, order=1, mode="nearest") for k in columns], axis=1)
