"""DTU scans in the layout of IDR (Yariv et al. 2020) and NeuS: cameras.npz, image/*.png and mask/*.png.

For each picture i cameras.npz holds world_mat_i [4, 4], the projection K [R | t] of world points onto pixels whose
first center is at (0, 0), and scale_mat_i, which maps the unit sphere around the object into the world.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from nerf2mesh.inputs.photos.capture import OPENGL_TO_OPENCV, Capture, Lens, Shot, checked_pose

NAMES = ("cameras.npz", "cameras_sphere.npz")
PICTURES, MASKS = ("image", "images", "rgb"), ("mask", "masks")
SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_SKEW = 0.005
"""Of the focal length; larger ones change more than a pixel."""


def read_dtu(path: Path) -> Capture:
    """The capture of a cameras.npz, whose pictures lie in the folders beside it.

    Raises:
        ValueError: in one line, the file is no such archive, pictures and cameras differ in number, a matrix is bad.
    """
    matrices = _load(path)
    pictures, masks = _files(path.parent, PICTURES), _files(path.parent, MASKS)
    count = sum(name.startswith("world_mat_") and not name.startswith("world_mat_inv") for name in matrices)
    if count == 0 or count != len(pictures):
        raise ValueError(
            f"input.image: expected as many pictures in {path.parent / PICTURES[0]} as cameras in {path.name}, "
            f"got {len(pictures)} and {count}; complete the folder"
        )
    if masks and len(masks) != count:
        raise ValueError(f"input.image: expected {count} masks beside {path.name}, got {len(masks)}; complete them")
    shots = tuple(_shot(matrices, i, picture, masks[i] if masks else None, path) for i, picture in enumerate(pictures))
    return Capture(shots, "DTU", box=_sphere(matrices, path))


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], np.float64) for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"input.image: expected an archive of matrices in {path}, got {str(error)[:80]}; copy it again"
        ) from error


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        if (folder / name).is_dir():
            return sorted(file for file in (folder / name).iterdir() if file.suffix.lower() in SUFFIXES)
    return []


def _shot(matrices: dict[str, np.ndarray], i: int, picture: Path, mask: Path | None, path: Path) -> Shot:
    from PIL import Image

    name = f"world_mat_{i}"
    if name not in matrices or matrices[name].shape not in ((3, 4), (4, 4)):
        raise ValueError(f"input.image: expected {name} [4, 4] in {path}, got none; number them from 0")
    intrinsic, pose = decompose(matrices[name][:3], f"{name} in {path.name}")
    with Image.open(picture) as opened:
        width, height = opened.size
    center = (intrinsic[0, 2] + 0.5, intrinsic[1, 2] + 0.5)  # the first pixel's center is at 0 there
    return Shot(picture, Lens(width, height, (intrinsic[0, 0], intrinsic[1, 1]), center), pose, mask)


def decompose(projection: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """K [3, 3] with K[2, 2] = 1 and the pose [4, 4] (OpenGL axes) of a projection matrix [3, 4].

    Raises:
        ValueError: it is singular, holds NaN, or its pixels are skewed.
    """
    import cv2

    if not np.isfinite(projection).all() or abs(np.linalg.det(_unit_rows(projection[:, :3]))) < 1e-12:
        raise ValueError(f"input.image: expected a projection matrix in {name}, got a singular one or NaN; correct it")
    projection = projection * np.sign(np.linalg.det(projection[:, :3]))
    intrinsic, rotation, center = cv2.decomposeProjectionMatrix(projection)[:3]
    intrinsic = intrinsic / intrinsic[2, 2]
    if abs(intrinsic[0, 1]) > MAX_SKEW * intrinsic[0, 0]:
        raise ValueError(
            f"input.image: expected square pixels in {name}, got a skew of {intrinsic[0, 1]:.2f} px; correct it"
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, (center[:3] / center[3])[:, 0]
    return intrinsic, checked_pose(pose @ OPENGL_TO_OPENCV, name)


def _unit_rows(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-300)


def _sphere(matrices: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    scale = matrices.get("scale_mat_0")
    if scale is None:
        return None
    if scale.shape != (4, 4) or not np.isfinite(scale).all() or not scale[0, 0] > 0:
        raise ValueError(f"input.image: expected a scale above 0 in scale_mat_0 of {path}, got none; correct it")
    return scale[:3, 3] - scale[0, 0], scale[:3, 3] + scale[0, 0]
