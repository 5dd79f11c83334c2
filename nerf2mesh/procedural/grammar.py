"""From a seed to a scene: picks a family, places the object, normalizes it into the world box, adds light and cameras.

Seed n always gives the same scene, whatever the batch it is drawn in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.procedural.families import FAMILIES, HELD_OUT_FAMILIES
from nerf2mesh.procedural.families.building import random_axes, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part, pack_parts, scene_distance
from nerf2mesh.procedural.render import Scenes
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Elevation, Share, Within

RADIUS = 0.9
"""Objects are centered by their bounding box and scaled to about this bounding radius, as inputs are framed."""


@dataclass(kw_only=True)
class ViewConfig:
    """How views of a scene are drawn. View 0 is the one that a user would give: azimuth 0, moderate elevation."""

    n_views: Annotated[int, Within(1, 256)] = 6
    size_px: Annotated[int, Within(8, 1024)] = 32
    input_elevation_deg: tuple[Elevation, Elevation] = (
        -5.0,
        40.0,
    )
    elevation_deg: tuple[Elevation, Elevation] = (-25.0, 65.0)
    orthographic_share: Share = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, "views.")


Distance = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Drawn:
    """The scene of a seed before it is placed in the world box; rotation [3, 3] (scene to world), light [5] (direction,
    ambient share, gain), radius in world units."""

    family: str
    parts: list[Part]
    rotation: np.ndarray
    light: np.ndarray
    radius: float

    @property
    def front_deg(self) -> float:
        """Azimuth at which the object's front stands in the world; nan where the object is tumbled."""
        upright = self.rotation[2, 2] > 1.0 - 1e-6
        return float(np.degrees(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))) if upright else float("nan")


def sample_scenes(
    seeds: np.ndarray | list[int] | range, families: list[str] | None = None, distance: Distance = scene_distance
) -> Scenes:
    """The scenes of `seeds` [B], drawn from all training families or from the named ones (held-out ones too).

    `distance` may be a compiled `parts.scene_distance`, as a renderer has it.
    """
    return place_scenes([draw_scene(seed, families) for seed in seeds], distance)


def place_scenes(drawn: list[Drawn], distance: Distance = scene_distance, device: str = "cpu") -> Scenes:
    """Drawn scenes, centered and scaled into the world box; measured on `device`, where they stay."""
    shapes, colors = (rows.to(device) for rows in pack_parts([scene.parts for scene in drawn]))
    rotation = torch.from_numpy(np.stack([scene.rotation for scene in drawn])).float().to(device)
    center, radius = _extent(shapes, rotation, distance)
    scale = torch.tensor([scene.radius for scene in drawn], dtype=torch.float32).to(device) / radius
    light = torch.from_numpy(np.stack([scene.light for scene in drawn])).float().to(device)
    return Scenes(shapes, colors, rotation, center, scale, light)


def draw_scene(seed: int, families: list[str] | None = None) -> Drawn:
    """The scene of a seed, as the grammar draws it."""
    family, parts, rng = draw_parts(seed, families)
    return Drawn(family, parts, _placement(rng), _light(rng), RADIUS * rng.uniform(0.85, 1.1))


def draw_parts(seed: int, families: list[str] | None = None) -> tuple[str, list[Part], np.random.Generator]:
    """The family and the parts of a seed, and the generator that goes on to place them."""
    known = FAMILIES | HELD_OUT_FAMILIES
    names = list(FAMILIES) if families is None else list(families)
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise ValueError(
            f"families: expected names of {', '.join(known)}, got {', '.join(unknown) or 'none'}; choose from these"
        )
    share = np.array([known[name][1] for name in names])
    rng = np.random.default_rng([int(seed), 20231])
    name = names[rng.choice(len(names), p=share / share.sum())]
    return name, known[name][0](rng, Palette(rng)), rng


def _placement(rng: np.random.Generator) -> np.ndarray:
    """Mostly upright, often facing the camera or showing its side; now and then tumbled."""
    kind = rng.random()
    if kind < 0.08:
        return random_axes(rng)
    yaw = rng.uniform(0, 360)
    if kind < 0.45:
        yaw = rng.normal(0, 12)
    elif kind < 0.6:
        yaw = rng.choice([-90, 90]) + rng.normal(0, 12)
    return turned("z", yaw).T


def _light(rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(size=3)
    direction[2] = abs(direction[2]) + 0.3
    ambient = 1.0 if rng.random() < 0.35 else rng.uniform(0.3, 0.9)
    gain = 1.0 if ambient == 1.0 else rng.uniform(0.95, 1.15)
    return np.concatenate([direction / np.linalg.norm(direction), [ambient, gain]])


def _extent(shapes: Tensor, rotation: Tensor, distance_of: Distance, resolution: int = 28) -> tuple[Tensor, Tensor]:
    """Center [B, 3] (scene frame) of the box around each object in world axes, and the radius [B] about it."""
    axis = torch.linspace(-1.7, 1.7, resolution)
    cell = float(axis[1] - axis[0])
    axis = axis.to(shapes.device)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    n = shapes.shape[0]
    x, y, z = (c.expand(n, -1).contiguous() for c in grid.unbind(-1))
    distance = distance_of(shapes, x, y, z)
    inside = distance <= distance.amin(1, keepdim=True).clamp_min(0.35 * cell)
    world = torch.einsum("bij,rj->bri", rotation, grid[0])
    far = 1e3
    low = torch.where(inside[..., None], world, far).amin(1)
    high = torch.where(inside[..., None], world, -far).amax(1)
    middle = 0.5 * (low + high)
    reach = (world - middle[:, None]).norm(dim=-1)
    radius = torch.where(inside, reach, 0.0).amax(1).clamp_min(0.1)
    return torch.einsum("bji,bj->bi", rotation, middle), radius


def sample_cameras(seeds: np.ndarray | list[int] | range, config: ViewConfig) -> Camera:
    """Cameras of batch shape [B, n_views] for the scenes of `seeds`; one projection for the whole batch.

    Field of view and distance vary together, so that the world box keeps its size in the picture.
    """
    n, v = len(seeds), config.n_views
    azimuth, elevation, fov = np.zeros((n, v)), np.zeros((n, v)), np.zeros((n, v))
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng([int(seed), 77003])
        azimuth[i] = rng.uniform(-180, 180, v)
        azimuth[i, 0] = 0.0
        elevation[i] = rng.uniform(*config.elevation_deg, v)
        elevation[i, 0] = rng.uniform(*config.input_elevation_deg)
        fov[i] = DEFAULT_FOV_DEG if rng.random() < 0.6 else rng.uniform(20, 55)
    half = DEFAULT_DISTANCE * np.tan(np.radians(DEFAULT_FOV_DEG / 2))
    distance = half / np.tan(np.radians(fov / 2))
    orthographic = bool(np.random.default_rng([int(seeds[0]), 5]).random() < config.orthographic_share)
    values = [torch.from_numpy(a).float() for a in (azimuth, elevation, distance, fov)]
    return Camera.orbit(
        values[0], values[1], distance=values[2], fov_deg=values[3], width_px=config.size_px, orthographic=orthographic
    )
