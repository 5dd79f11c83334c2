"""Lit views with the normals of what they show; the same for a number and a seed.

Letters: n unit normal, v to the eye, l to the lamp, h their half vector. A view's colors are
    albedo (e + (1 - e) max(0, (n . l + w) / (1 + w))) + k (n . h)^p
with the share e of even light, a wrap w of soft lamps, and for some a highlight of strength k and exponent p.
"""

from __future__ import annotations

import numpy as np
import torch

from nerf2mesh.inputs.normals.network import FILL
from nerf2mesh.normals.config import NormalsTrainConfig
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.surface import see
from nerf2mesh.objects.views import draw_cameras, framed, place, repainted
from nerf2mesh.procedural.gbuffer import scene_gbuffer
from nerf2mesh.procedural.grammar import ViewConfig, draw_scene, place_scenes, sample_cameras
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera

GROUP = 2
"""Views of one mesh."""
LEAST_COVER = 0.03
KEY = 930_001
"""Of this training's random numbers."""
Shown = tuple[np.ndarray, np.ndarray]
"""A premultiplied picture uint8 [s, s, 4], and the premultiplied normals in camera axes, int8 [s, s, 3] of 127ths."""


def mesh_views(mesh: ObjectMesh, rng: np.random.Generator, config: NormalsTrainConfig, n: int) -> list[Shown]:
    """n views of a mesh, framed; those in which almost nothing is seen are left out."""
    augment, found = config.data.augment, []
    views = ViewConfig(n_views=1, size_px=config.network.size_px, input_elevation_deg=(-10.0, 45.0))
    for _ in range(n):
        placed = place(mesh, rng, augment)
        camera = framed(draw_cameras(rng, views, augment), placed.vertices, FILL)
        surface = see(placed, camera)
        albedo = repainted(surface, rng, augment)
        colors = lit(albedo, surface.normal, -surface.ray, camera, rng, config)
        rgba = surface.rgba(colors)[0]
        if rgba[..., 3].mean() > LEAST_COVER:
            turned = surface.normal @ camera.camera_to_world[0, :3, :3].numpy()
            found.append(_bytes(rgba, surface.images(turned)[0]))
    return found


def lit(
    albedo: np.ndarray,
    normal: np.ndarray,
    to_eye: np.ndarray,
    camera: Camera,
    rng: np.random.Generator,
    config: NormalsTrainConfig,
) -> np.ndarray:
    """Colors [N, 3] of surface points as the module says; the lamp is drawn, mostly above and before the object."""
    even = rng.random() < config.data.augment.flat_light_share / 3.0
    share, wrap = rng.uniform(*config.ambient), rng.random() * rng.random()
    before = camera.camera_to_world[0, :3, 2].numpy()
    toward = rng.normal(size=3) + [0.0, 0.0, 0.5] + 0.5 * before
    toward = (toward / np.linalg.norm(toward)).astype(np.float32)
    cosine = np.clip((normal @ toward + wrap) / (1.0 + wrap), 0.0, 1.0)
    shade = np.ones_like(cosine) if even else share + (1.0 - share) * cosine
    colors = albedo * (shade * rng.uniform(0.8, 1.1))[:, None]
    if not even and rng.random() < config.highlight_share:
        half = toward + to_eye
        half = half / np.linalg.norm(half, axis=1, keepdims=True).clip(1e-6)
        lobe = np.clip((normal * half).sum(1), 0.0, 1.0) ** float(np.exp(rng.uniform(1.5, 5.0)))
        colors = colors + (rng.uniform(0.1, 1.0) * lobe)[:, None]
    return colors.clip(0.0, 1.0).astype(np.float32)


def procedural_views(first_seed: int, n: int, config: NormalsTrainConfig) -> list[Shown]:
    """Two views each of the procedural scenes `first_seed` ... `first_seed` + n - 1, in their own frame."""
    views = ViewConfig(n_views=2, size_px=config.network.size_px, orthographic_share=0.0)
    renderer, found = SceneRenderer(supersample=2), []
    for first in range(first_seed, first_seed + n, 32):
        seeds = range(first, min(first + 32, first_seed + n))
        cameras = sample_cameras(seeds, views)
        buffer = scene_gbuffer(place_scenes([draw_scene(seed) for seed in seeds]), cameras, renderer)
        turned = torch.einsum("bvhwk,bvkc->bvhwc", buffer["normal"], cameras.camera_to_world[..., :3, :3])
        rgba = torch.cat([buffer["rgb"], buffer["alpha"][..., None]], dim=-1)
        found += [_bytes(rgba[i, k].numpy(), turned[i, k].numpy()) for i in range(len(turned)) for k in range(2)]
    return found


def _bytes(rgba: np.ndarray, normal: np.ndarray) -> Shown:
    picture = (rgba * 255.0 + 0.5).clip(0, 255).astype(np.uint8)
    return picture, np.round(127.0 * normal.clip(-1.0, 1.0)).astype(np.int8)
