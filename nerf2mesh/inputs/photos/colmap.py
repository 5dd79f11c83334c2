"""COLMAP's models, text or binary, read by pycolmap: sparse/0 with cameras, images and points3D.

Images hold world_to_camera in OpenCV axes; the world's axes are arbitrary, so that the up direction comes from the
cameras. Equations of the camera models: COLMAP's sensor/models.h; their parameters stand in OpenCV's order.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.inputs.photos.capture import OPENGL_TO_OPENCV, Capture, Lens, Shot, checked_pose
from nerf2mesh.inputs.picture import Picture

PLACES = ("", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
MIN_TRACK = 3
"""Points seen in fewer photographs are often wrong, and do not count for the object's box."""
MODELS = {
    # name: number of focal lengths, fisheye
    "SIMPLE_PINHOLE": (1, False),
    "PINHOLE": (2, False),
    "SIMPLE_RADIAL": (1, False),
    "RADIAL": (1, False),
    "OPENCV": (2, False),
    "FULL_OPENCV": (2, False),
    "SIMPLE_RADIAL_FISHEYE": (1, True),
    "RADIAL_FISHEYE": (1, True),
    "OPENCV_FISHEYE": (2, True),
}


def colmap_model(folder: Path) -> Path | None:
    """The folder of the model in or below `folder`, or None."""
    for place in PLACES:
        found = folder / place
        if any(all((found / f"{name}{end}").is_file() for name in ("cameras", "images")) for end in (".bin", ".txt")):
            return found
    return None


def read_colmap(folder: Path) -> Capture:
    """The capture of the COLMAP model in `folder`, its pictures in images/ beside it.

    Raises:
        ValueError: in one line, the model cannot be read, no photograph is registered, or files are missing.
    """
    model = colmap_model(folder)
    assert model is not None, "asked before"
    images = _images_folder(folder, model)
    reconstruction = open_model(model)
    return from_reconstruction(reconstruction, images, "COLMAP")


def open_model(model: Path) -> Any:
    """pycolmap's Reconstruction of a model's folder; ValueError as in `read_colmap`."""
    pycolmap = import_pycolmap()
    try:
        return pycolmap.Reconstruction(str(model))
    except (RuntimeError, ValueError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise ValueError(
            f"input.image: expected a COLMAP model in {model}, got one that pycolmap cannot read ({first}); "
            "export it again"
        ) from error


def import_pycolmap() -> Any:
    """The package, with its log lines off; ValueError where it is not installed."""
    try:
        import pycolmap
    except ImportError as error:
        raise ValueError(
            "input.image: expected the package pycolmap for COLMAP models and for photographs without poses, "
            "got none installed; pip install 'nerf2mesh[photos]'"
        ) from error
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL.value)
    _keep_handlers()
    return pycolmap


def _keep_handlers() -> None:
    """Python's own handler of SIGTERM again: the package's import puts one in its place that aborts the process, so
    that a run could not write its last checkpoint."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def from_reconstruction(
    model: Any, images: Path | None, layout: str, pictures: Mapping[str, Picture] | None = None
) -> Capture:
    """Shots in the order of the pictures' names, from files in `images` or from `pictures` by name."""
    registered = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    if not registered:
        raise ValueError(f"input.image: expected registered photographs in the {layout} model, got none; run it again")
    lenses = {number: _lens(camera) for number, camera in model.cameras.items()}
    if images is not None:
        missing = [image.name for image in registered if not (images / image.name).is_file()]
        if missing:
            raise ValueError(
                f"input.image: expected the {len(registered)} pictures of the model in {images}, got {len(missing)} "
                f"missing ({', '.join(missing[:3])}); put them there"
            )
    shots = []
    for image in registered:
        to_camera = np.eye(4)
        to_camera[:3] = image.cam_from_world().matrix()
        to_camera = checked_pose(to_camera, image.name)
        pose = np.linalg.inv(to_camera) @ OPENGL_TO_OPENCV
        picture = None if pictures is None else pictures[image.name]
        path = Path(image.name) if images is None else images / image.name
        shots.append(Shot(path, lenses[image.camera_id], pose, picture=picture))
    tracks = [point.xyz for point in model.points3D.values() if point.track.length() >= MIN_TRACK]
    facts = {"points": len(model.points3D), "reprojection_error_px": float(model.compute_mean_reprojection_error())}
    return Capture(tuple(shots), layout, points=np.array(tracks) if len(tracks) >= 20 else None, facts=facts)


def _lens(camera: Any) -> Lens:
    if camera.model_name not in MODELS:
        raise ValueError(
            f"input.image: expected a camera model of {', '.join(MODELS)}, got {camera.model_name}; "
            "undistort with colmap image_undistorter"
        )
    n_focal, fisheye = MODELS[camera.model_name]
    values = [float(value) for value in camera.params]
    focal, center, rest = values[:n_focal], values[n_focal : n_focal + 2], tuple(values[n_focal + 2 :])
    return Lens(camera.width, camera.height, (focal[0], focal[-1]), (center[0], center[1]), rest, fisheye)


def _images_folder(folder: Path, model: Path) -> Path:
    """images/ beside the model or above it."""
    around = [folder, model, *list(model.parents)[:3]]
    found = next((place / "images" for place in around if (place / "images").is_dir()), None)
    if found is None:
        raise ValueError(
            f"input.image: expected the model's pictures in {folder / 'images'}, got no such folder; add it"
        )
    return found
