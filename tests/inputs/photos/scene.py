"""A known scene: colored balls before cameras whose projection is written out here in plain numpy.

Everything is in a world with +Z up. A camera is (R, t): x_camera = R x + t with OpenCV axes (x right, y down, z ahead).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CENTERS = np.array([[0.0, 0.0, 0.0], [0.55, 0.1, 0.05], [-0.1, 0.5, -0.1], [0.0, -0.1, 0.55], [-0.4, -0.35, -0.2]])
RADII = np.array([0.42, 0.25, 0.22, 0.2, 0.25])
COLORS = np.array([[200, 60, 50], [60, 180, 70], [60, 80, 210], [220, 200, 60], [180, 80, 200]])
MIDDLE = np.array([3.0, -2.0, 0.7])
"""Where the object stands in the capture's world."""
SIZE = 1.7
"""World units of the capture for one unit of CENTERS."""


@dataclass(frozen=True)
class Known:
    """One camera with K [3, 3] (first pixel's center at 0.5), R, t, and OpenCV's distortion."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    width: int
    height: int
    distortion: tuple[float, ...] = ()

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [n, 2] of world points [n, 3], by the equations of OpenCV's manual."""
        x, y, z = (points @ self.R.T + self.t).T
        x, y = x / z, y / z
        k1, k2, p1, p2, k3 = (*self.distortion, *(0.0,) * 5)[:5]
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return np.stack([self.K[0, 0] * xd + self.K[0, 2], self.K[1, 1] * yd + self.K[1, 2]], axis=1)

    def blender_pose(self) -> np.ndarray:
        """camera_to_world in OpenGL axes."""
        pose = np.eye(4)
        pose[:3, :3] = self.R.T @ np.diag([1.0, -1.0, -1.0])
        pose[:3, 3] = -self.R.T @ self.t
        return pose

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Center [3] and unit directions [h, w, 3] of the pixels' centers; undistorted by fixed-point iteration."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        xd, yd = (x - self.K[0, 2]) / self.K[0, 0], (y - self.K[1, 2]) / self.K[1, 1]
        u, v = xd.copy(), yd.copy()
        k1, k2, p1, p2, k3 = (*self.distortion, *(0.0,) * 5)[:5]
        for _ in range(30):
            r2 = u * u + v * v
            radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
            u, v = (
                (xd - 2 * p1 * u * v - p2 * (r2 + 2 * u * u)) / radial,
                (yd - p1 * (r2 + 2 * v * v) - 2 * p2 * u * v) / radial,
            )
        directions = np.stack([u, v, np.ones_like(u)], axis=-1) @ self.R
        return -self.R.T @ self.t, directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def picture(self) -> np.ndarray:
        """uint8 RGBA [h, w, 4] of the balls."""
        origin, d = self.rays()
        nearest, rgba = np.full(d.shape[:2], np.inf), np.zeros((*d.shape[:2], 4), np.uint8)
        for center, radius, color in zip(MIDDLE + SIZE * CENTERS, SIZE * RADII, COLORS):
            b = d @ (origin - center)
            inside = b**2 - ((origin - center) @ (origin - center) - radius**2)
            t = -b - np.sqrt(np.maximum(inside, 0))
            hit = (inside > 0) & (t > 0) & (t < nearest)
            normal = (origin + t[..., None] * d - center) / radius
            shade = 0.6 + 0.4 * np.clip(normal @ np.array([0.3, 0.4, 0.87]), 0, 1)
            rgba[hit] = np.concatenate([color * shade[..., None], np.full((*shade.shape, 1), 255)], -1)[hit].astype(
                np.uint8
            )
            nearest = np.where(hit, t, nearest)
        return rgba


def cameras(
    n: int = 8,
    width: int = 96,
    height: int = 72,
    *,
    distortion: tuple[float, ...] = (),
    focal: float = 1.1,
    start_deg: float = 25.0,
    off_axis: float = 0.1,
    lift_deg: float = 20.0,
) -> list[Known]:
    """n cameras around the object that look roughly at it, each a little differently placed and aimed."""
    found = []
    for i in range(n):
        azimuth, elevation = np.deg2rad(start_deg + 360.0 * i / n), np.deg2rad(15.0 + lift_deg * (i % 3))
        distance = SIZE * (3.6 + 0.2 * (i % 2))
        out = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
        place = MIDDLE + distance * out
        ahead = MIDDLE + SIZE * off_axis * np.array([np.sin(3.0 * i), np.cos(2.0 * i), np.sin(i)]) - place
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(ahead, right), ahead])
        f = focal * max(width, height)
        K = np.array([[f, 0, 0.5 * width + 1.5], [0, 1.02 * f, 0.5 * height - 2.0], [0, 0, 1]])
        found.append(Known(K, R, -R @ place, width, height, distortion))
    return found


def surface_points(n: int = 60, seed: int = 0) -> np.ndarray:
    """World points [n, 3] within the object's bounds."""
    rng = np.random.default_rng(seed)
    return MIDDLE + SIZE * rng.uniform(-0.5, 0.5, (n, 3))


def write_pictures(folder: Path, known: list[Known], alpha: bool = True) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:03d}.png" for i in range(len(known))]
    for name, camera in zip(names, known):
        image = Image.fromarray(camera.picture(), "RGBA")
        image = image if alpha else over_white(image)
        image.save(folder / name)
    return names


def over_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(page, image).convert("RGB")


def write_transforms(folder: Path, known: list[Known], **more: object) -> Path:
    """nerfstudio's dialect: intrinsics for each frame."""
    names = write_pictures(folder / "images", known)
    frames = []
    for name, c in zip(names, known):
        k = dict(zip(("k1", "k2", "p1", "p2", "k3"), c.distortion))
        lens = {
            "fl_x": c.K[0, 0],
            "fl_y": c.K[1, 1],
            "cx": c.K[0, 2],
            "cy": c.K[1, 2],
            "w": c.width,
            "h": c.height,
            **k,
        }
        frames.append({"file_path": f"images/{name}", "transform_matrix": c.blender_pose().tolist(), **lens})
    path = folder / "transforms.json"
    path.write_text(json.dumps({"camera_model": "OPENCV", "frames": frames, **more}))
    return path


def write_synthetic(folder: Path, known: list[Known]) -> Path:
    """NeRF-synthetic: one camera_angle_x, file names without suffix; wants square pixels and centered cameras."""
    names = write_pictures(folder / "train", known)
    angle = 2 * np.arctan(0.5 * known[0].width / known[0].K[0, 0])
    frames = [
        {"file_path": f"./train/{name[:-4]}", "rotation": 0.01, "transform_matrix": c.blender_pose().tolist()}
        for name, c in zip(names, known)
    ]
    for split in ("train", "test"):
        text = json.dumps({"camera_angle_x": angle, "frames": frames if split == "train" else frames[:1]})
        (folder / f"transforms_{split}.json").write_text(text)
    return folder


def quaternion(R: np.ndarray) -> np.ndarray:
    """(w, x, y, z) by scipy, which has the scalar last."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return np.array([w, x, y, z])


def write_colmap(folder: Path, known: list[Known]) -> Path:
    """COLMAP's text format, as its documentation has it; the model OPENCV."""
    names = write_pictures(folder / "images", known)
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    lines, images = ["# Camera list"], ["# Image list"]
    for i, (name, c) in enumerate(zip(names, known), start=1):
        k = (*c.distortion, *(0.0,) * 4)[:4]
        numbers = (c.K[0, 0], c.K[1, 1], c.K[0, 2], c.K[1, 2], *k)
        lines.append(f"{i} OPENCV {c.width} {c.height} " + " ".join(map(repr, map(float, numbers))))
        pose = (*quaternion(c.R), *c.t)
        images += [f"{i} " + " ".join(repr(float(v)) for v in pose) + f" {i} {name}", ""]
    (model / "cameras.txt").write_text("\n".join(lines) + "\n")
    (model / "images.txt").write_text("\n".join(images) + "\n")
    (model / "points3D.txt").write_text("")
    return folder


def write_dtu(folder: Path, known: list[Known]) -> Path:
    """cameras.npz of IDR: projections onto pixels whose first center is at 0, and the sphere around the object."""
    write_pictures(folder / "image", known, alpha=False)
    (folder / "mask").mkdir()
    arrays = {}
    for i, c in enumerate(known):
        mask = np.repeat(c.picture()[..., 3:], 3, axis=-1)
        Image.fromarray(mask).save(folder / "mask" / f"{i:03d}.png")
        K = c.K.copy()
        K[:2, 2] -= 0.5
        projection = np.eye(4)
        projection[:3] = K @ np.concatenate([c.R, c.t[:, None]], axis=1)
        arrays[f"world_mat_{i}"] = projection * (-2.5 if i % 2 else 2.5)  # a projection's scale and sign are free
        scale = np.diag([SIZE, SIZE, SIZE, 1.0])
        scale[:3, 3] = MIDDLE
        arrays[f"scale_mat_{i}"] = scale
    np.savez(folder / "cameras.npz", **arrays)
    return folder
