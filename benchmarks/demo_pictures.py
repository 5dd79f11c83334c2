"""Draws the pictures in nerf2mesh/assets/demo: `python -m benchmarks.demo_pictures FOLDER`.

FOLDER has the meshes (`nerf2mesh-bench fetch FOLDER spot bob`).

Azimuth 35, elevation 20, distance 3.2, vertical field of view 40 degrees, 512 px, straight alpha, one soft light.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nerf2mesh.evaluate.protocols.reference_meshes import load_mesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

ROOT = Path(__file__).resolve().parents[1]
LIGHT = torch.tensor([1.0, 0.5, 1.2])


def main() -> None:
    camera = Camera.orbit(35.0, 20.0, width_px=512)
    for name in ("spot", "bob"):
        mesh = load_mesh(name, sys.argv[1] if len(sys.argv) > 1 else None)
        drawn = rasterize_mesh(mesh, camera, supersample=4, shading="lambert", light_direction=LIGHT, ambient=0.5)
        alpha = drawn.opacity[..., None]
        straight = torch.cat([drawn.rgb / alpha.clamp_min(1e-6), alpha], dim=-1).clamp(0, 1).numpy()
        path = ROOT / "nerf2mesh" / "assets" / "demo" / f"{name}.png"
        Image.fromarray(np.round(straight * 255).astype(np.uint8)).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
