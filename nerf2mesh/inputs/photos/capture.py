"""What a set of photographs is, whatever layout of files it came in: pictures, lenses and poses.

Frames and letters
    World: the axes of the capture's own file. A pose is camera_to_world [4, 4] in OpenGL axes (x right, y up, looking
    along -z), float64. A lens maps points in OpenCV's camera axes (x right, y down, looking along +z).
    Pixels: the first pixel's center is at (0.5, 0.5), as in COLMAP and transforms.json.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nerf2mesh.inputs.picture import Picture

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns a pose of one kind of camera axes into the other, from the right; it is its own inverse."""
SKEWED = 0.02
"""Largest cosine between two axes of a pose: above, the matrix shears."""


@dataclass(frozen=True)
class Lens:
    """Size, focal lengths and principal point in pixels, and distortion.

    distortion: OpenCV's coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]], or with `fisheye` k1 k2 k3 k4 of its equidistant
    model; empty without.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    def scaled(self, x: float, y: float) -> Lens:
        """The lens of the same picture resized by the factors x and y."""
        (fx, fy), (cx, cy) = self.focal_px, self.principal_px
        size = {"width_px": max(1, round(self.width_px * x)), "height_px": max(1, round(self.height_px * y))}
        return replace(self, focal_px=(fx * x, fy * y), principal_px=(cx * x, cy * y), **size)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [n, 2] of points [n, 3] in OpenCV's camera axes, and which of them the lens can show at all [n]:
        those in front of it, up to the angle at which its distortion turns back."""
        ahead = points[:, 2] > 1e-9
        plane = points[:, :2] / np.where(ahead, points[:, 2], 1.0)[:, None]
        shown = ahead & (np.linalg.norm(plane, axis=1) <= self._reach())
        if self.fisheye or any(self.distortion):
            plane = self._distorted(np.where(shown[:, None], plane, 0.0))
        return plane * np.array(self.focal_px) + np.array(self.principal_px), shown

    def _distorted(self, plane: np.ndarray) -> np.ndarray:
        """OpenCV's models on points [n, 2] at z = 1 (its manual, "Camera calibration"); cv2.projectPoints itself also
        computes a Jacobian of some 15 columns, which takes gigabytes for a picture's pixels."""
        k = (*self.distortion, *(0.0,) * 8)[:8]
        square = plane**2
        r = square.sum(1, keepdims=True)
        if self.fisheye:
            radius = np.sqrt(r)
            angle = np.arctan(radius)
            return plane * (_fisheye(k, angle) / np.maximum(radius, 1e-12))
        product = 2.0 * plane.prod(1, keepdims=True)
        bent = np.array([k[2], k[3]]) * product + np.array([k[3], k[2]]) * (r + 2.0 * square)
        return plane * _radial(k, r) + bent

    def _reach(self) -> float:
        """The largest tangent of the angle to the axis up to which the picture's radius grows with it."""
        if not any(self.distortion):
            return np.inf
        k = (*self.distortion, *(0.0,) * 8)[:8]
        angle = np.linspace(0.0, 0.499 * np.pi, 2048)
        tangent = np.tan(angle) if self.fisheye else np.linspace(0.0, 4.0, 4096)
        grown = _fisheye(k, angle) if self.fisheye else tangent * _radial(k, tangent**2)
        falls = np.flatnonzero(np.diff(grown) <= 0)
        return float(tangent[falls[0]]) if len(falls) else np.inf


def _radial(k: tuple[float, ...], r: np.ndarray) -> np.ndarray:
    """The radial factor at squared radii r; k in OpenCV's order k1 k2 p1 p2 k3 k4 k5 k6."""
    return (1 + r * (k[0] + r * (k[1] + r * k[4]))) / (1 + r * (k[5] + r * (k[6] + r * k[7])))


def _fisheye(k: tuple[float, ...], angle: np.ndarray) -> np.ndarray:
    """The distorted angle theta (1 + k1 theta^2 + ... + k4 theta^8), Kannala and Brandt 2006."""
    t = angle**2
    return angle * (1 + t * (k[0] + t * (k[1] + t * (k[2] + t * k[3]))))


@dataclass(frozen=True)
class Shot:
    """One photograph: its file (or the picture itself, where it is no file), lens, pose [4, 4] and mask file."""

    path: Path
    lens: Lens
    pose: np.ndarray
    mask: Path | None = None
    picture: Picture | None = None

    @property
    def position(self) -> np.ndarray:
        """The camera's center [3]."""
        return self.pose[:3, 3]

    @property
    def axis(self) -> np.ndarray:
        """The unit viewing direction [3]."""
        return -self.pose[:3, 2]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [n, 2] of world points [n, 3], and which the lens can show [n]; see `Lens.project`."""
        rotation = (self.pose @ OPENGL_TO_OPENCV)[:3, :3]
        return self.lens.project((points - self.position) @ rotation)

    def sees(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Which world points [n] fall into the picture, or within `margin` of its size beside it."""
        pixels, shown = self.project(points)
        size = np.array([self.lens.width_px, self.lens.height_px])
        return shown & ((pixels > -margin * size) & (pixels < (1 + margin) * size)).all(1)


@dataclass(frozen=True)
class Capture:
    """Photographs with their cameras in one world.

    up: the world's up direction where the layout has one. box: (low [3], high [3]) of the object where the file says
    it. points: sparse points [n, 3] on what was photographed, or None. facts: for report and provenance.
    """

    shots: tuple[Shot, ...]
    layout: str
    up: np.ndarray | None = None
    box: tuple[np.ndarray, np.ndarray] | None = None
    points: np.ndarray | None = None
    facts: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def checked_pose(matrix: object, name: str) -> np.ndarray:
    """A pose [4, 4] in float64 with unit axes, from nested lists [3 or 4, 4]; a uniform or axis-wise scale is removed.

    Raises:
        ValueError: another shape, values that are no finite numbers, a singular, sheared or mirrored matrix.
    """
    try:
        values = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape not in ((3, 4), (4, 4)):
        raise ValueError(
            f"input.image: expected a 4 x 4 pose for {name}, got the shape {list(values.shape)}; correct the file"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"input.image: expected finite numbers in the pose of {name}, got NaN or inf; leave it out")
    linear = values[:3, :3]
    lengths = np.linalg.norm(linear, axis=0)
    if lengths.min() < 1e-9 or abs(np.linalg.det(linear / np.maximum(lengths, 1e-30))) < 1e-3:
        raise ValueError(f"input.image: expected a rotation in the pose of {name}, got a singular matrix; correct it")
    linear = linear / lengths
    cosines = np.abs(linear.T @ linear - np.eye(3)).max()
    if cosines > SKEWED or np.linalg.det(linear) < 0:
        got = f"axes that are not at right angles (cosine {cosines:.2f})" if cosines > SKEWED else "a mirrored matrix"
        raise ValueError(f"input.image: expected a rotation in the pose of {name}, got {got}; correct the file")
    pose = np.eye(4)
    left, _, right = np.linalg.svd(linear)
    pose[:3, :3], pose[:3, 3] = left @ right, values[:3, 3]
    return pose
