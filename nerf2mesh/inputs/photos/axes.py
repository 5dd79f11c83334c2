"""Which way is up, where the cameras look, and the change from the capture's world to the object's axes.

The object's axes are the house's: +Z up, the front along +X, the object around the origin. A change of world is
x' = s R (x - c) with a rotation R [3, 3], a scale s and a middle c [3].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerf2mesh.inputs.photos.capture import Capture, Shot

NAMED = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1)}
LEVEL = 0.05
"""Smallest mean square of the cameras' right axes along the second direction, for these to span the horizon."""
PARALLEL = 1e-3
"""Smallest eigenvalue of the mean of I - d d^T for which axes d meet in a place."""
BESIDE = 0.25
"""Of a picture's size: how far beside it the common place may fall."""


@dataclass(frozen=True)
class WorldChange:
    """x' = scale rotation (x - middle)."""

    rotation: np.ndarray
    middle: np.ndarray
    scale: float

    def points(self, points: np.ndarray) -> np.ndarray:
        """World points [n, 3] in the object's axes."""
        return self.scale * (points - self.middle) @ self.rotation.T

    def pose(self, pose: np.ndarray) -> np.ndarray:
        """A camera_to_world [4, 4] in the object's axes; its axes stay of unit length."""
        moved = np.eye(4)
        moved[:3, :3] = self.rotation @ pose[:3, :3]
        moved[:3, 3] = self.points(pose[None, :3, 3])[0]
        return moved

    def matrix(self) -> list[list[float]]:
        """[4, 4], from the capture's world to the object's axes."""
        full = np.eye(4)
        full[:3, :3] = self.scale * self.rotation
        full[:3, 3] = -self.scale * self.rotation @ self.middle
        return full.tolist()


def up_direction(capture: Capture, wanted: str) -> np.ndarray:
    """Unit up direction [3]: `wanted` is an axis of the file's world, "cameras", or "auto" (the file's word, else the
    cameras)."""
    if wanted in NAMED:
        return np.array(NAMED[wanted], np.float64)
    if capture.up is not None and wanted == "auto":
        return capture.up / np.linalg.norm(capture.up)
    return up_of_cameras(capture.shots)


def up_of_cameras(shots: tuple[Shot, ...]) -> np.ndarray:
    """The direction at right angles to the pictures' rows, if people hold cameras level: the eigenvector of the right
    axes' mean of r r^T with the smallest eigenvalue. Where these axes are all alike, the mean up axis."""
    right, up = (np.stack([shot.pose[:3, k] for shot in shots]) for k in (0, 1))
    mean = up.sum(0)
    values, vectors = np.linalg.eigh(right.T @ right / len(shots))
    if values[1] > LEVEL and abs(vectors[:, 0] @ mean) > 1e-6 * len(shots):
        return vectors[:, 0] * np.sign(vectors[:, 0] @ mean)
    length = float(np.linalg.norm(mean))
    if length < 0.1 * len(shots):
        raise ValueError(
            "input.photos.up: expected cameras that agree on what is up, got none common; say input.photos.up=z or "
            "another axis of the file"
        )
    return mean / length


def object_rotation(up: np.ndarray, first: Shot, middle: np.ndarray, azimuth_deg: float | None) -> np.ndarray:
    """R [3, 3] that takes `up` to +Z and puts the first camera at `azimuth_deg`; None keeps the world's x axis in front
    as far as `up` allows."""
    toward = first.position - middle if azimuth_deg is not None else np.eye(3)[0]
    flat = toward - (toward @ up) * up
    if np.linalg.norm(flat) < 1e-3 * np.linalg.norm(toward):  # straight from above: the viewer stands below the picture
        flat = -first.pose[:3, 1] if azimuth_deg is not None else np.eye(3)[1]
        flat = flat - (flat @ up) * up
    front = flat / np.linalg.norm(flat)
    level = np.stack([front, np.cross(up, front), up])
    turn = np.deg2rad(azimuth_deg or 0.0)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ level


def common_place(shots: tuple[Shot, ...], directions: np.ndarray) -> np.ndarray:
    """The point [3] nearest to all rays from the cameras along unit `directions` [n, 3].

    Raises:
        ValueError: the rays are parallel, or the point is out of sight of half of the cameras or more.
    """
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = across.mean(0)
    positions = np.stack([shot.position for shot in shots])
    if np.linalg.eigvalsh(normal)[0] < PARALLEL:
        raise ValueError(
            "input.image: expected photographs from different sides of one object, got cameras that all look the same "
            "way; take some from further round"
        )
    place = np.linalg.solve(normal, (across @ positions[..., None])[..., 0].mean(0))
    seen = [bool(shot.sees(place[None], BESIDE)[0]) for shot in shots]
    if sum(seen) * 2 <= len(seen):
        raise ValueError(
            f"input.image: expected cameras that look at one place, got {len(seen) - sum(seen)} of {len(seen)} that "
            "do not see where their axes come closest; check the poses and their axes"
        )
    return place


def mask_directions(shots: tuple[Shot, ...], masks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Unit rays [n, 3] through the middles of the masks' boxes, and the boxes' half diagonals [n] as tangents.

    masks: [h, w] each, True on the object, of any size; distortion is left aside.
    """
    rays, radii = [], []
    for shot, mask in zip(shots, masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        scale = np.array([shot.lens.width_px / mask.shape[1], shot.lens.height_px / mask.shape[0]])
        low = np.array([columns[0], rows[0]]) * scale
        high = np.array([columns[-1] + 1, rows[-1] + 1]) * scale
        focal = np.array(shot.lens.focal_px)
        at = (0.5 * (low + high) - np.array(shot.lens.principal_px)) / focal
        ray = shot.pose[:3, :3] @ np.array([at[0], -at[1], -1.0])
        rays.append(ray / np.linalg.norm(ray))
        radii.append(0.5 * np.linalg.norm((high - low) / focal))
    return np.stack(rays), np.array(radii)
