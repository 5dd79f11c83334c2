"""Views with known elevation and field of view, framed as inputs are; the same for a number and a seed.

Meshes are framed by the camera (its focal length and principal point), so that nothing is resampled; procedural scenes,
which are rendered once, by area.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nerf2mesh.inputs.framing import object_window, resample
from nerf2mesh.inputs.viewpoint.network import FILL
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.views import framed, place, show
from nerf2mesh.procedural.grammar import ViewConfig, draw_scene, place_scenes, sample_cameras
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera
from nerf2mesh.viewpoint.config import ViewpointTrainConfig

GROUP = 4
"""Views of one mesh."""
LEAST_COVER = 0.01
KEY = 810_011
"""Of this training's random numbers."""
Labeled = tuple[np.ndarray, float, float]
"""A premultiplied picture uint8 [s, s, 4], its elevation and its field of view in degrees."""


def mesh_views(mesh: ObjectMesh, rng: np.random.Generator, config: ViewpointTrainConfig, n: int) -> list[Labeled]:
    """n views of an upright mesh; those in which almost nothing is seen are left out."""
    augment = config.data.augment
    placed = place(mesh, rng, replace(augment, front_share=1.0, side_share=0.0, yaw_deg=0.0))
    found: list[Labeled] = []
    for _ in range(n):
        elevation, fov = float(rng.uniform(*config.elevation_deg)), _log_uniform(rng, *config.fov_deg)
        camera = _rolled(_orbit(_azimuth(rng, config), elevation, fov, config.network.size_px), rng, config.roll_deg)
        drawn = show(placed, framed(camera, placed.vertices, FILL), rng, augment).given[0]
        if drawn[..., 3].mean() > 255.0 * LEAST_COVER:
            found.append((drawn, elevation, fov))
    return found


def procedural_views(first_seed: int, n: int, config: ViewpointTrainConfig) -> list[Labeled]:
    """Two views each of the upright ones of the procedural scenes `first_seed` ... `first_seed` + n - 1."""
    size = config.network.size_px
    views = ViewConfig(
        n_views=2, size_px=size, input_elevation_deg=config.elevation_deg, elevation_deg=config.elevation_deg,
        orthographic_share=0.0,
    )  # fmt: skip
    renderer, found = SceneRenderer(supersample=2), []
    for first in range(first_seed, first_seed + n, 32):
        seeds = range(first, min(first + 32, first_seed + n))
        drawn = [draw_scene(seed) for seed in seeds]
        cameras = sample_cameras(seeds, views)
        rgba = renderer.render(place_scenes(drawn), cameras)["rgba"].numpy()
        elevations = cameras.elevation_deg.tolist()
        fovs = torch.rad2deg(2 * torch.atan(0.5 * size / cameras.focal_px[..., 1])).tolist()
        for i, scene in enumerate(drawn):
            if np.isfinite(scene.front_deg):
                found += [(_framed(rgba[i, k], size), elevations[i][k], fovs[i][k]) for k in range(2)]
    return found


def _framed(rgba: np.ndarray, size: int) -> np.ndarray:
    """A premultiplied picture [s, s, 4] in [0, 1] framed anew, uint8."""
    straight = np.concatenate([rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-6), rgba[..., 3:]], axis=-1)
    small = resample(straight.clip(0.0, 1.0), object_window(rgba[..., 3], FILL), size)
    return np.round(np.concatenate([small[..., :3] * small[..., 3:], small[..., 3:]], -1) * 255.0).astype(np.uint8)


def _azimuth(rng: np.random.Generator, config: ViewpointTrainConfig) -> float:
    """Where the user stands: before the front (half of these), a side, or anywhere."""
    if rng.random() >= config.front_share:
        return float(rng.uniform(-180.0, 180.0))
    return float(rng.choice([0.0, 0.0, -90.0, 90.0]) + 20.0 * rng.normal())


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _orbit(azimuth_deg: float, elevation_deg: float, fov_deg: float, size_px: int) -> Camera:
    """A batch of one camera, as far away as makes the object as large as usual."""
    distance = DEFAULT_DISTANCE * np.tan(np.radians(DEFAULT_FOV_DEG / 2)) / np.tan(np.radians(fov_deg / 2))
    angles = torch.tensor([azimuth_deg]), torch.tensor([elevation_deg])
    return Camera.orbit(*angles, distance=float(distance), fov_deg=fov_deg, width_px=size_px)


def _rolled(camera: Camera, rng: np.random.Generator, roll_deg: float) -> Camera:
    angle = np.radians(roll_deg * rng.normal())
    turn = torch.eye(4)
    turn[0, 0] = turn[1, 1] = float(np.cos(angle))
    turn[1, 0], turn[0, 1] = float(np.sin(angle)), -float(np.sin(angle))
    return replace(camera, camera_to_world=camera.camera_to_world @ turn)
