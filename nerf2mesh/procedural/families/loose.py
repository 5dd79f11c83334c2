"""Fruit, and unrelated primitives with cuts (the idea of LRM-Zero, Xie et al. 2024, arXiv 2406.09371)."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.families.building import blob, limb, random_axes, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part


def rubble(rng: Generator, palette: Palette) -> list[Part]:
    """One to six unrelated primitives close to one another, now and then with a cut."""
    parts: list[Part] = []
    for i in range(rng.integers(1, 7)):
        anchor = np.zeros(3) if i == 0 else np.asarray(parts[rng.integers(0, i)].center) + rng.normal(size=3) * 0.35
        size = rng.uniform(0.12, 0.6, 3) if i else rng.uniform(0.25, 0.7, 3)
        if rng.random() < 0.35:
            size[:] = size.mean()
        upright = rng.random() < 0.5
        wall = rng.uniform(0.15, 0.5) if rng.random() < 0.15 else 0.0
        parts.append(
            Part(
                center=(anchor[0], anchor[1], anchor[2]), size=tuple(size),
                axes=np.eye(3) if upright else random_axes(rng),
                corner=float(rng.choice([0.05, 0.3, 1.0, 1.0])), edge=float(rng.choice([0.05, 0.3, 0.95])), wall=wall,
                taper=float(rng.choice([0.0, 0.0, rng.uniform(-0.9, 0.5)])),
                bend=float(rng.choice([0.0, 0.0, rng.uniform(-0.6, 0.6)])), ellipsoid=bool(rng.random() < 0.35),
                mirror=bool(rng.random() < 0.2), blend=float(rng.choice([0.002, 0.05, 0.2])), color=palette.any(),
            )
        )  # fmt: skip
    if rng.random() < 0.3:
        at = np.asarray(parts[0].center) + rng.normal(size=3) * 0.4
        parts.append(Part(center=tuple(at), size=tuple(rng.uniform(0.15, 0.45, 3)), axes=random_axes(rng),
                          corner=float(rng.choice([0.1, 1.0])), edge=0.1, cut=True, color=palette.any()))  # fmt: skip
    return parts


def fruit(rng: Generator, palette: Palette) -> list[Part]:
    """Whole and halved fruit, mushrooms, cakes: round bodies, stems, leaves, a cut that shows another color."""
    skin, flesh = palette.main(), palette.any()
    r = rng.uniform(0.35, 0.6)
    size = (r, r * rng.uniform(0.8, 1.0), r * rng.uniform(0.7, 1.5))
    lean = turned("x", rng.uniform(-20, 20)) if rng.random() < 0.3 else np.eye(3)
    parts = [
        blob(
            (0, 0, 0),
            size,
            axes=lean,
            taper=rng.uniform(-0.45, 0.45),
            bend=rng.choice([0, 0, 0.4]),
            color=skin,
            blend=0.05,
        )
    ]
    if rng.random() < 0.45:
        thick = rng.uniform(-0.3, 0.4) * r
        parts.append(
            Part(center=(thick + 1.0, 0, 0), size=(1.0, 3.0, 3.0), corner=0.02, edge=0.02, cut=True, color=flesh)
        )
        if rng.random() < 0.7:
            stone = r * rng.uniform(0.25, 0.5)
            parts.append(
                blob(
                    (thick, 0, rng.uniform(-0.3, 0.3) * size[2]),
                    (stone, stone, stone * rng.uniform(0.9, 1.3)),
                    color=palette.any(),
                    blend=0.01,
                )
            )
    if rng.random() < 0.6:
        parts.append(
            limb(
                (0, 0, size[2] * 0.85),
                (rng.normal() * 0.08, rng.normal() * 0.08, size[2] + rng.uniform(0.1, 0.3)),
                rng.uniform(0.02, 0.07),
                color=palette.any(),
            )
        )
        if rng.random() < 0.6:
            parts.append(
                blob((0.12, 0.1, size[2] + 0.08), (0.2, 0.1, 0.03), axes=random_axes(rng), color=palette.any())
            )
    if rng.random() < 0.25:
        parts.append(blob((0, 0, size[2] * 0.6), (r * 1.4, r * 1.4, r * 0.6), color=palette.any(), blend=0.02))
    return parts
