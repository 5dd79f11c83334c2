"""Training views of one mesh: where it stands, how it is painted and lit, and what the given picture looks like.

All of it is drawn from one generator, in a fixed order: a generator in the same state draws the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nerf2mesh.objects.config import AugmentConfig
from nerf2mesh.objects.cutout import cut_out
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.patterns import Pattern, painted_parts
from nerf2mesh.objects.surface import Surface, see
from nerf2mesh.procedural.drawing import draw
from nerf2mesh.procedural.grammar import RADIUS, ViewConfig
from nerf2mesh.render.rasterizer import MeshArrays
from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG, Camera

PLAIN = AugmentConfig(
    front_share=1.0, side_share=0.0, yaw_deg=0.0, tumble_share=0.0, radius=(1.0, 1.0), fov_share=0.0, hue_share=0.0,
    pattern_share=0.0, cutout_share=0.0,
)  # fmt: skip
"""Objects as they are, for validation: only the light, and the paint of uncolored ones, are drawn at random."""


@dataclass(frozen=True, eq=False)
class ObjectViews:
    """rgba uint8 [V, s, s, 4], premultiplied; given: the same as pictures that a user might give; cameras [V]."""

    rgba: np.ndarray
    given: np.ndarray
    camera: Camera

    @property
    def cover(self) -> float:
        """Share of view 0 that the object covers."""
        return float(self.rgba[0, ..., 3].mean() / 255.0)


def draw_views(
    mesh: ObjectMesh,
    rng: np.random.Generator,
    views: ViewConfig,
    augment: AugmentConfig,
    device: torch.device | str = "cpu",
) -> ObjectViews:
    """`views.n_views` views of a mesh, rasterized on `device`; view 0 is the one that a user would give."""
    placed = place(mesh, rng, augment)
    return show(placed, draw_cameras(rng, views, augment), rng, augment, device)


def show(
    placed: MeshArrays,
    camera: Camera,
    rng: np.random.Generator,
    augment: AugmentConfig,
    device: torch.device | str = "cpu",
) -> ObjectViews:
    """Views [V] of a placed mesh: its paint, its light and the given picture's look are drawn from `rng`."""
    surface = see(placed, camera, device)
    albedo = repainted(surface, rng, augment)
    colors = albedo * _light(surface, rng, augment)[:, None]
    rgba = surface.rgba(colors)
    choice, look, seed = rng.random(), rng.integers(max(len(augment.looks), 1)), int(rng.integers(1 << 31))
    given = rgba
    if choice < augment.look_share:
        drawn = draw(surface.gbuffer(colors, albedo), augment.looks[look], seed=seed).numpy()
        given = np.concatenate([drawn[..., :3] * drawn[..., 3:], drawn[..., 3:]], axis=-1)
    elif choice < augment.look_share + augment.cutout_share:
        given = cut_out(rgba, np.random.default_rng(seed))
    return ObjectViews(_bytes(rgba), _bytes(given), camera)


def plain_views(mesh: ObjectMesh, rng: np.random.Generator, camera: Camera) -> np.ndarray:
    """Premultiplied RGBA [V, s, s, 4] float32 of the object as it is, its front at azimuth 0, from cameras [V].

    Only the light, and the paint of an uncolored object, are drawn from `rng`.
    """
    return plain_light(place(mesh, rng, PLAIN), camera, rng)


def plain_light(placed: MeshArrays, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Premultiplied RGBA [V, s, s, 4] float32 of a placed mesh under a light drawn from `rng`."""
    surface = see(placed, camera)
    return surface.rgba(surface.albedo * _light(surface, rng, PLAIN)[:, None])


def drawn_picture(placed: MeshArrays, camera: Camera, rng: np.random.Generator, look: str) -> np.ndarray:
    """Straight RGBA [V, s, s, 4] float32 of a placed mesh, drawn in one of `procedural.drawing`'s looks.

    The light and the strokes are drawn from `rng`.
    """
    surface = see(placed, camera)
    colors = surface.albedo * _light(surface, rng, PLAIN)[:, None]
    return draw(surface.gbuffer(colors, surface.albedo), look, seed=int(rng.integers(1 << 31))).numpy()


def place(mesh: ObjectMesh, rng: np.random.Generator, augment: AugmentConfig) -> MeshArrays:
    """The mesh turned, centered by its bounding box and scaled into the world, uncolored ones painted."""
    turn = draw_turn(rng, augment)
    radius = RADIUS * rng.uniform(*augment.radius)
    vertices = mesh.vertices @ turn.T
    vertices -= (vertices.min(0) + vertices.max(0)) / 2
    vertices *= radius / np.linalg.norm(vertices, axis=1).max()
    normals = None if mesh.normals is None else np.ascontiguousarray(mesh.normals @ turn.T)
    colors = mesh.colors if mesh.parts is None else painted_parts(mesh.parts, rng)
    return MeshArrays(vertices.astype(np.float64), mesh.faces, normals, colors, mesh.uv, mesh.texture)


def draw_turn(rng: np.random.Generator, augment: AugmentConfig) -> np.ndarray:
    """A rotation [3, 3] float32: tumbled, or about Z with the front or a side favored."""
    if rng.random() < augment.tumble_share:
        q, r = np.linalg.qr(rng.normal(size=(3, 3)))
        q *= np.sign(np.diag(r))
        return (q * np.linalg.det(q)).astype(np.float32)
    choice, side, noise = rng.random(), rng.choice([-90.0, 90.0]), augment.yaw_deg * rng.normal()
    yaw = noise if choice < augment.front_share else side + noise
    if choice >= augment.front_share + augment.side_share:
        yaw = rng.uniform(0.0, 360.0)
    cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)


def draw_cameras(rng: np.random.Generator, views: ViewConfig, augment: AugmentConfig) -> Camera:
    """Cameras [V] around the object, drawn as `procedural.grammar.sample_cameras` does; one projection for all."""
    azimuth = rng.uniform(-180, 180, views.n_views)
    elevation = rng.uniform(*views.elevation_deg, views.n_views)
    azimuth[0], elevation[0] = 0.0, rng.uniform(*views.input_elevation_deg)
    fov = rng.uniform(*augment.fov_deg) if rng.random() < augment.fov_share else DEFAULT_FOV_DEG
    distance = DEFAULT_DISTANCE * np.tan(np.radians(DEFAULT_FOV_DEG / 2)) / np.tan(np.radians(fov / 2))
    return Camera.orbit(
        torch.from_numpy(azimuth).float(),
        torch.from_numpy(elevation).float(),
        distance=float(distance),
        fov_deg=float(fov),
        width_px=views.size_px,
        orthographic=bool(rng.random() < views.orthographic_share),
    )


def framed(camera: Camera, vertices: np.ndarray, fill: float) -> Camera:
    """The camera [1] with the focal length and principal point that put the box of the projected `vertices` [V, 3] into
    the middle, its longer side the share `fill` of the frame."""
    pixels = camera.project(torch.from_numpy(vertices).float())[0][0]
    low, high = pixels.amin(0), pixels.amax(0)
    scale = fill * camera.width_px / (high - low).max().clamp_min(1e-6)
    principal = 0.5 * camera.width_px + scale * (camera.principal_px - 0.5 * (low + high))
    return replace(camera, focal_px=camera.focal_px * scale, principal_px=principal)


def repainted(surface: Surface, rng: np.random.Generator, augment: AugmentConfig) -> np.ndarray:
    """The samples' colors [N, 3] after a change of hue and under a pattern."""
    albedo = surface.albedo
    if rng.random() < augment.hue_share:
        mix = np.eye(3) + rng.normal(0.0, 0.15, (3, 3))
        albedo = (albedo @ mix.T.astype(np.float32)).clip(0.0, 1.0)
    if rng.random() < augment.pattern_share:
        albedo = Pattern.draw(rng).laid_over(albedo, surface.point)
    return albedo


def _light(surface: Surface, rng: np.random.Generator, augment: AugmentConfig) -> np.ndarray:
    """Brightness [N]: wrapped Lambert (n.l + w) / (1 + w) of a light from above, and an ambient share.

    w = 1 is soft and reaches round the object, w = 0 ends at the terminator.
    """
    flat, ambient, wrap = rng.random() < augment.flat_light_share, rng.uniform(0.3, 0.9), rng.random()
    light = rng.normal(size=3)
    light[2] = abs(light[2]) + 0.3
    if flat:
        return np.ones(len(surface.at), np.float32)
    cosine = surface.normal @ (light / np.linalg.norm(light)).astype(np.float32)
    lit = np.clip((cosine + np.float32(wrap)) / np.float32(1.0 + wrap), 0.0, 1.0)
    return np.float32(ambient) + np.float32(1.0 - ambient) * lit


def _bytes(images: np.ndarray) -> np.ndarray:
    return (images * np.float32(255.0) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
