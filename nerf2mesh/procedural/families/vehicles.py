"""Cars, lorries, planes, rockets: hulls with wheels or fins in pairs."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.families.building import blob, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part


def vehicle(rng: Generator, palette: Palette) -> list[Part]:
    """Cars and lorries on two pairs of wheels; a third of them are aircraft."""
    paint, other, tyre = palette.main(), palette.any(), palette.dark()
    length, width, height = rng.uniform(0.5, 0.85), rng.uniform(0.2, 0.38), rng.uniform(0.1, 0.24)
    if rng.random() < 0.35:
        return _aircraft(rng, palette, length, width * 0.6)
    parts = [Part(size=(length, width, height), corner=0.3, edge=rng.uniform(0.2, 0.9), color=paint, blend=0.04)]
    cab = (length * rng.uniform(0.25, 0.6), width * rng.uniform(0.75, 0.98), height * rng.uniform(0.5, 1.3))
    cx = rng.uniform(-0.4, 0.4) * length
    parts.append(
        Part(
            center=(cx, 0, height + cab[2] * 0.7),
            size=cab,
            corner=0.3,
            edge=0.3,
            taper=rng.uniform(-0.4, 0.0),
            color=paint if rng.random() < 0.5 else other,
            blend=0.03,
        )
    )
    parts.append(
        Part(
            center=(cx, 0, height + cab[2] * 0.8),
            size=(cab[0] * 0.75, cab[1] * 1.03, cab[2] * 0.45),
            corner=0.1,
            edge=0.1,
            color=palette.dark(),
            blend=0.002,
        )
    )
    wheel = height * rng.uniform(0.5, 1.0)
    for x in (length * rng.uniform(0.5, 0.7), -length * rng.uniform(0.5, 0.7)):
        parts.append(
            Part(
                center=(x, width * 0.95, -height),
                size=(wheel, wheel, rng.uniform(0.04, 0.09)),
                axes=turned("x", 90),
                edge=0.4,
                mirror=True,
                color=tyre,
                blend=0.002,
            )
        )
    parts.append(
        blob(
            (length * 0.97, width * 0.6, rng.uniform(-0.2, 0.5) * height),
            (0.04, 0.06, 0.06),
            mirror=True,
            color=palette.any(),
            blend=0.002,
        )
    )
    if rng.random() < 0.4:
        parts.append(
            Part(
                center=(-length * 0.55, 0, height * 1.3),
                size=(length * 0.4, width * 0.9, height * rng.uniform(0.4, 1.2)),
                corner=0.1,
                edge=0.1,
                color=other,
            )
        )
    return parts


def _aircraft(rng: Generator, palette: Palette, length: float, radius: float) -> list[Part]:
    paint, other = palette.main(), palette.any()
    upright = rng.random() < 0.4
    axes = np.eye(3) if upright else turned("y", 90)
    along = np.array([0.0, 0, 1]) if upright else np.array([1.0, 0, 0])
    parts = [Part(size=(radius, radius, length), axes=axes, edge=0.9, color=paint, blend=0.03)]
    parts.append(
        Part(
            center=tuple(along * length),
            size=(radius, radius, radius * 1.4),
            axes=axes,
            taper=-0.8,
            edge=0.5,
            color=other,
            blend=0.03,
        )
    )
    fin = rng.uniform(0.25, 0.7)
    up, reach = (0.0, -length * rng.uniform(-0.2, 0.8)), radius + fin * 0.5
    place = (0.0, reach, up[1]) if upright else (up[1] * 0.4, reach, 0.0)
    size = (0.04, fin * 0.7, rng.uniform(0.1, 0.25)) if upright else (rng.uniform(0.1, 0.25), fin * 0.7, 0.035)
    parts.append(Part(center=place, size=size, corner=0.4, edge=0.5, mirror=True, color=other))
    tail = tuple(
        -along * length * 0.85 + (np.array([radius + 0.1, 0, 0]) if upright else np.array([0, 0, radius + 0.1]))
    )
    parts.append(
        Part(
            center=tail,
            size=(0.2, 0.03, 0.12) if upright else (0.12, 0.03, 0.2),
            corner=0.3,
            edge=0.3,
            fold=upright,
            color=other,
        )
    )
    spot = along * length * rng.uniform(0.2, 0.6) + (
        np.array([radius, 0, 0]) if upright else np.array([0, 0, radius * 0.8])
    )
    parts.append(blob(tuple(spot), tuple(radius * rng.uniform(0.3, 0.7, 3)), color=palette.dark(), blend=0.01))
    return parts
