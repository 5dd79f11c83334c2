"""Vessels, furniture and flat things."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.families.building import limb, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part


def vessel(rng: Generator, palette: Palette) -> list[Part]:
    """Lathed things: bottles, vases, lamps, mushrooms, cups and mugs with handles."""
    glaze = palette.main()
    parts, z, r = [], -0.6, rng.uniform(0.15, 0.5)
    for _ in range(rng.integers(1, 5)):
        h, nr = rng.uniform(0.08, 0.35), rng.uniform(0.1, 0.55)
        mean, taper = 0.5 * (r + nr), (nr - r) / max(r + nr, 1e-3)
        parts.append(
            Part(
                center=(0, 0, z + h),
                size=(mean, mean, h),
                taper=float(np.clip(taper, -0.85, 0.85)),
                edge=rng.uniform(0.05, 0.9),
                ellipsoid=rng.random() < 0.3,
                color=glaze if rng.random() < 0.6 else palette.any(),
                blend=rng.choice([0.003, 0.08, 0.2]),
            )
        )
        z, r = z + 2 * h * rng.uniform(0.8, 1.0), nr
    if rng.random() < 0.5:
        top = parts[-1]
        depth = top.size[2] * rng.uniform(0.5, 1.6)
        parts.append(
            Part(
                center=(0, 0, top.center[2] + top.size[2]),
                size=(top.size[0] * 0.8, top.size[1] * 0.8, depth),
                taper=top.taper,
                edge=0.2,
                cut=True,
                color=palette.any(),
            )
        )
    if rng.random() < 0.4:
        body = parts[0]
        reach = body.size[0] + rng.uniform(0.05, 0.2)
        side = turned("x", 90)
        parts.append(
            Part(
                center=(0, reach, body.center[2]),
                size=(0.22, rng.uniform(0.16, 0.3), rng.uniform(0.03, 0.07)),
                axes=turned("y", 90),
                wall=rng.uniform(0.2, 0.4),
                edge=0.9,
                mirror=rng.random() < 0.3,
                color=glaze,
                blend=0.02,
            )
        )
        del side
    return parts


def furniture(rng: Generator, palette: Palette) -> list[Part]:
    """Tables, stools, chairs and armchairs: a top on four legs or a column, often with a back."""
    wood, cloth = palette.main(), palette.any()
    w, d, top = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.03, 0.14)
    leg, h = rng.uniform(0.03, 0.08), rng.uniform(0.15, 0.6)
    round_top = rng.random() < 0.3
    parts = [Part(size=(d, w, top), corner=1.0 if round_top else 0.1, edge=rng.uniform(0.1, 0.8), color=cloth)]
    if rng.random() < 0.8:
        parts.append(
            limb(
                (d * 0.8, w * 0.8, 0),
                (d * rng.uniform(0.75, 0.95), w * rng.uniform(0.75, 0.95), -h),
                leg,
                mirror=True,
                fold=True,
                corner=rng.choice([0.1, 1.0]),
                edge=0.2,
                color=wood,
            )
        )
    else:
        parts.append(Part(center=(0, 0, -h / 2), size=(leg * 2, leg * 2, h / 2), color=wood))
        parts.append(Part(center=(0, 0, -h), size=(d * 0.6, d * 0.6, 0.04), color=wood))
    if rng.random() < 0.6:
        back = rng.uniform(0.2, 0.6)
        parts.append(
            Part(
                center=(-d * 0.92, 0, back),
                size=(rng.uniform(0.03, 0.1), w * rng.uniform(0.7, 1), back),
                corner=0.4,
                edge=0.5,
                color=cloth if rng.random() < 0.5 else wood,
            )
        )
        if rng.random() < 0.5:
            parts.append(
                Part(
                    center=(0, w * 0.92, rng.uniform(0.1, 0.25)),
                    size=(d * 0.9, 0.06, rng.uniform(0.05, 0.2)),
                    corner=0.3,
                    edge=0.3,
                    mirror=True,
                    color=cloth,
                )
            )
    elif rng.random() < 0.6:
        s = rng.uniform(0.08, 0.25)
        parts.append(
            Part(
                center=(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), top + s),
                size=(s * rng.uniform(0.5, 1), s * rng.uniform(0.5, 1), s),
                ellipsoid=rng.random() < 0.4,
                corner=rng.choice([0.1, 1.0]),
                color=palette.any(),
            )
        )
    if rng.random() < 0.3:
        parts.append(Part(center=(0, 0, -h * 0.55), size=(d * 0.85, w * 0.85, 0.03), corner=0.1, color=wood))
    return parts


def plate(rng: Generator, palette: Palette) -> list[Part]:
    """Flat things: signs, coins, discs, frames, tools, hearts of two blobs; seen mostly face on."""
    thin = rng.uniform(0.04, 0.16)
    parts = []
    for i in range(rng.integers(1, 4)):
        at = (0.0, 0.0, 0.0) if i == 0 else (rng.normal() * 0.02, rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5))
        parts.append(
            Part(
                center=at,
                size=(rng.uniform(0.15, 0.6), rng.uniform(0.15, 0.6), thin * rng.uniform(0.8, 1.6)),
                axes=turned("y", 90) @ np.eye(3),
                corner=rng.choice([0.1, 0.5, 1.0]),
                edge=rng.uniform(0.1, 0.9),
                wall=rng.uniform(0.2, 0.5) if rng.random() < 0.3 else 0.0,
                taper=0.0,
                mirror=rng.random() < 0.4,
                color=palette.any(),
                blend=0.02,
            )
        )
    if rng.random() < 0.5:
        parts.append(
            Part(
                center=(0, 0, -0.75),
                size=(thin, thin * rng.uniform(1, 3), 0.4),
                corner=0.5,
                edge=0.5,
                color=palette.any(),
            )
        )
    return parts
