"""Draws the pictures in nerf2mesh/assets/demo from the shape grammar: `python -m benchmarks.demo_pictures`.

Azimuth 35 from the object's front, elevation 20, distance 3.2, vertical field of view 40 degrees, 512 px, straight
alpha, one soft light. The seeds are none that the built-in prior was trained on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nerf2mesh.procedural.exact import render_exact
from nerf2mesh.procedural.grammar import draw_scene, place_scenes
from nerf2mesh.types import Camera

FOLDER = Path(__file__).resolve().parents[1] / "nerf2mesh" / "assets" / "demo"
FIRST_SEED = (1 << 30) + (1 << 22)
CHARACTERS = {"duck": ("bird", FIRST_SEED + 3), "wizard": ("figure", FIRST_SEED + 2)}
"""Name of the picture -> family and seed of the grammar."""
LIGHT = np.array([1.0, 0.5, 1.2]) / np.linalg.norm([1.0, 0.5, 1.2])
AMBIENT, GAIN = 0.5, 1.05


def draw(family: str, seed: int, *, size_px: int = 512) -> np.ndarray:
    """Straight-alpha RGBA uint8 [size_px, size_px, 4] of one object of the grammar, its front turned to +X."""
    drawn = replace(draw_scene(seed, [family]), rotation=np.eye(3), light=np.array([*LIGHT, AMBIENT, GAIN]))
    shown = render_exact(place_scenes([drawn]), Camera.orbit(torch.tensor([35.0]), 20.0, width_px=size_px))
    alpha = shown["alpha"][0, ..., None]
    straight = torch.cat([shown["rgb"][0] / alpha.clamp_min(1e-6), alpha], dim=-1).clamp(0, 1)
    return np.round(straight.numpy() * 255).astype(np.uint8)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (family, seed) in CHARACTERS.items():
        path = FOLDER / f"{name}.png"
        Image.fromarray(draw(family, seed)).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
