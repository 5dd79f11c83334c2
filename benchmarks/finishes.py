"""Roughness and metal that `field.material=pbr` finds of balls of known finish under a known lamp.

    python -m benchmarks finishes [--size-px 192] [--out FILE.json]

Each ball has one paint, is lit by an even light and one lamp (`render.gloss`) and seen as 8-bit pictures are; the
picture alone is given. A row each: what was found in the middle of it, and how far its lamp is off.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.optimize import taken_apart
from nerf2mesh.render.gloss import glossy_radiance
from nerf2mesh.render.shading import Light, to_srgb
from nerf2mesh.types import Camera, Observations, View

RADIUS = 0.8
LAMP = torch.tensor([0.8, -1.2, 1.2])
RED, BLUE, GREY = (0.5, 0.1, 0.1), (0.1, 0.3, 0.5), (0.4, 0.4, 0.4)
GOLD, STEEL = (0.9, 0.6, 0.25), (0.55, 0.55, 0.55)
BALLS = (
    ("plastic", 0.2, 0.0, RED),
    ("plastic", 0.35, 0.0, RED),
    ("plastic", 0.5, 0.0, BLUE),
    ("plastic, grey", 0.3, 0.0, GREY),
    ("plastic", 1.0, 0.0, RED),
    ("gold", 0.3, 1.0, GOLD),
    ("gold", 0.6, 1.0, GOLD),
    ("steel", 0.3, 1.0, STEEL),
)
"""Name, roughness, metallic, and the albedo in linear light."""


def ball(
    roughness: float, metallic: float, color: tuple[float, float, float], size_px: int
) -> tuple[Observations, Tensor]:
    """Its picture in 8 bits, as a camera gives it, and its normals [s, s, 3], zero outside."""
    camera = Camera.orbit(0.0, 10.0, width_px=size_px)
    rays = camera.rays()
    origins, directions = rays.origins.double(), rays.directions.double()
    along = (origins * directions).sum(-1)
    under = along**2 - origins.square().sum(-1) + RADIUS**2
    hit = under > 0.0
    t = -along - under.clamp_min(0.0).sqrt()
    normals = F.normalize(origins + t[..., None] * directions, dim=-1)
    albedo = torch.tensor(color, dtype=torch.float64).expand_as(normals)
    light = Light("directional", LAMP, 1.0 / (1.0 + 0.5 * float(LAMP.norm())))
    one = torch.ones(size_px, size_px, dtype=torch.float64)
    lit = glossy_radiance(albedo, roughness * one, metallic * one, normals, -directions, light)
    rgb = (to_srgb(lit.clamp(0.0, 1.0)) * 255.0).round() / 255.0
    image = torch.cat([rgb, hit[..., None].double()], dim=-1).float() * hit[..., None]
    return Observations((View(image, camera),)), normals * hit[..., None]


def lamp_error_deg(values: Tensor) -> float:
    """Between a directional light's values [3] and the lamp's direction."""
    return float(torch.rad2deg(F.cosine_similarity(values, LAMP, dim=0).clamp(-1.0, 1.0).acos()))


def found_of(name: str, roughness: float, metallic: float, color: tuple[float, float, float], size_px: int) -> dict:
    """One row."""
    given, _ = ball(roughness, metallic, color, size_px)
    found = taken_apart(given, "directional", glossy=True)
    middle = found.finishes.at(found.observations.views[0].image[size_px // 2, size_px // 2, :3])
    return {
        "ball": name,
        "roughness": roughness,
        "metallic": metallic,
        "found_roughness": round(float(middle[0]), 3),
        "found_metallic": round(float(middle[1]), 3),
        "lamp_error_deg": round(lamp_error_deg(found.light.values), 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a row for each ball and, with --out, keeps them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks finishes", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size-px", type=int, default=192, help="of the pictures")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    args = parser.parse_args(argv)
    rows = []
    for one in BALLS:
        rows.append(found_of(*one, args.size_px))
        print(json.dumps(rows[-1]), flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
