"""Structure from motion by pycolmap (Schoenberger and Frahm 2016): from pictures alone to lenses, poses and points.

One thread and fixed seeds, so that the same pictures give the same poses; found models are kept in a cache by the
content of the pictures, so that a run that goes on finds the very same numbers.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nerf2mesh.inputs.config import PhotosConfig
from nerf2mesh.inputs.photos.adjust import adjusted
from nerf2mesh.inputs.photos.capture import Capture
from nerf2mesh.inputs.photos.colmap import from_reconstruction, import_pycolmap, open_model
from nerf2mesh.inputs.photos.exposure import evened
from nerf2mesh.inputs.photos.files import Unposed

EXHAUSTIVE_UP_TO = 80
OVERLAP = 12
"""Neighbors in time that sequential matching pairs with each frame."""
KEY_FRAMES = 40
"""So many frames, evenly picked, sequential matching pairs with each other, which closes the way around the object."""
METHOD = "adjusted without needless distortion, closed around"
"""Of what a kept model is the outcome; part of the cache's key."""
FEWEST = 3
SEED = 0
GREY = 118
"""Behind transparent pictures; plain, so that no feature comes from it."""


def find_poses(pictures: Sequence[Unposed], config: PhotosConfig, masks: Sequence[np.ndarray] | None = None) -> Capture:
    """The capture of the pictures that could be placed.

    masks: uint8 [h, w] each, above 0 where features may lie.

    Raises:
        ValueError: in one line, how many pictures were placed where these are too few.
    """
    pycolmap = import_pycolmap()
    folder = _cache_folder(config) / _key(pycolmap, pictures, config, masks)
    if not (folder / "images.bin").is_file():
        _reconstruct(pycolmap, pictures, config, masks, folder)
    n_placed = 0
    if (folder / "images.bin").is_file():
        model = open_model(folder)
        n_placed = model.num_reg_images()
    _refuse_too_few(n_placed, len(pictures), config)
    by_name = {item.name: item.picture for item in pictures}
    differ: dict[str, object] = {}
    if config.exposure == "even":
        by_name, differ = evened(model, by_name, [image.name for image in model.images.values() if image.has_pose])
    capture = from_reconstruction(model, None, "structure from motion", by_name)
    warnings = []
    if n_placed < len(pictures):
        placed = {str(shot.path) for shot in capture.shots}
        lost = [item.name for item in pictures if item.name not in placed]
        named = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        warnings.append(f"structure from motion placed {n_placed} of {len(pictures)} photographs; left out: {named}")
    facts = {**capture.facts, **differ, "photographs": len(pictures), "registered": n_placed}
    facts["registered_share"] = n_placed / len(pictures)
    facts["matches"] = model.compute_num_observations()
    return replace(capture, facts=facts, warnings=warnings)


def _refuse_too_few(placed: int, total: int, config: PhotosConfig) -> None:
    fewest = max(FEWEST, math.ceil(config.min_registered * total))
    if placed < fewest:
        raise ValueError(
            f"input.image: expected structure from motion to place at least {fewest} of {total} photographs, got "
            f"{placed}; take more with smaller steps around a textured object, say input.photos.turntable=true if the "
            "object was turned, or give poses (transforms.json, COLMAP)"
        )


def _cache_folder(config: PhotosConfig) -> Path:
    if config.cache_dir:
        return Path(config.cache_dir).expanduser() / "poses"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nerf2mesh" / "poses"


def _key(pycolmap: Any, pictures: Sequence[Unposed], config: PhotosConfig, masks: Sequence[np.ndarray] | None) -> str:
    digest = hashlib.sha256(repr((pycolmap.__version__, config.matching, SEED, METHOD)).encode())
    for item in pictures:
        digest.update(repr((item.name, item.focal_px, item.picture.sha256)).encode())
    for mask in masks or ():
        digest.update(np.ascontiguousarray(mask).tobytes())
    return digest.hexdigest()[:32]


def _reconstruct(
    pycolmap: Any,
    pictures: Sequence[Unposed],
    config: PhotosConfig,
    masks: Sequence[np.ndarray] | None,
    folder: Path,
) -> None:
    """Writes the largest model into `folder`; nothing where there is none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    pycolmap.set_random_seed(SEED)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        place = Path(name)
        _write_pictures(place, pictures, masks)
        database = place / "database.db"
        for group in _same_lens(pictures):
            _extract(pycolmap, place, database, group, masks is not None)
        sequential = config.matching == "sequential" or (config.matching == "auto" and len(pictures) > EXHAUSTIVE_UP_TO)
        names = [item.name for item in pictures]
        listed = place / "pairs.txt"
        listed.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in pairs(len(names), sequential)))
        matching = pycolmap.FeatureMatchingOptions(num_threads=1)
        verification = pycolmap.TwoViewGeometryOptions()
        verification.ransac.random_seed = SEED
        pairing = pycolmap.ImportedPairingOptions(match_list_path=str(listed))
        pycolmap.match_image_pairs(str(database), matching, pairing, verification, pycolmap.Device.cpu)
        (place / "models").mkdir()
        options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=SEED, min_model_size=FEWEST)
        models = pycolmap.incremental_mapping(str(database), str(place / "images"), str(place / "models"), options)
        if not models:
            return
        best = max(models.values(), key=lambda model: (model.num_reg_images(), len(model.points3D)))
        best = adjusted(pycolmap, best)
        written = place / "best"
        written.mkdir()
        best.write_binary(str(written))
        if not folder.exists():
            shutil.move(str(written), str(folder))


def pairs(n: int, sequential: bool) -> list[tuple[int, int]]:
    """Which of n pictures are matched: all with all, or each with its neighbors and key frames with each other.

    Without the latter a walk around an object never meets its beginning, and its error grows all the way.
    """
    if not sequential:
        return [(i, j) for i in range(n) for j in range(i + 1, n)]
    near = {(i, j) for i in range(n) for j in range(i + 1, min(n, i + 1 + OVERLAP))}
    keys = sorted({round(k) for k in np.linspace(0, n - 1, min(n, KEY_FRAMES))})
    return sorted(near | {(i, j) for i in keys for j in keys if i < j})


def _write_pictures(place: Path, pictures: Sequence[Unposed], masks: Sequence[np.ndarray] | None) -> None:
    (place / "images").mkdir()
    (place / "masks").mkdir()
    for i, item in enumerate(pictures):
        rgba = item.picture.rgba.astype(np.float32)
        opacity = rgba[..., 3:] / 255.0
        rgb = np.round(rgba[..., :3] * opacity + GREY * (1.0 - opacity)).astype(np.uint8)
        Image.fromarray(rgb).save(place / "images" / item.name)
        if masks is not None:
            Image.fromarray(masks[i]).save(place / "masks" / f"{item.name}.png")


def _same_lens(pictures: Sequence[Unposed]) -> list[list[Unposed]]:
    """Pictures of one size and focal length are taken for one camera's."""
    groups: dict[tuple[object, ...], list[Unposed]] = {}
    for item in pictures:
        groups.setdefault((item.picture.rgba.shape, item.focal_px), []).append(item)
    return list(groups.values())


def _extract(pycolmap: Any, place: Path, database: Path, group: list[Unposed], masked: bool) -> None:
    """SIFT features of the pictures of one lens, with one radial coefficient to be found."""
    reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL")
    if masked:
        reader.mask_path = str(place / "masks")
    height, width = group[0].picture.rgba.shape[:2]
    if group[0].focal_px is not None:
        reader.camera_params = f"{group[0].focal_px},{width / 2},{height / 2},0"
    pycolmap.extract_features(
        str(database),
        str(place / "images"),
        [item.name for item in group],
        pycolmap.CameraMode.SINGLE,
        reader,
        pycolmap.FeatureExtractionOptions(num_threads=1),
        pycolmap.Device.cpu,
    )
