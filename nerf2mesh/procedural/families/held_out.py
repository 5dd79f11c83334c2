"""Families that no prior is trained on: desk lamps, houses, guitars. They measure what carries over to new kinds."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.families.building import blob, limb, toward, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part


def lamp(rng: Generator, palette: Palette) -> list[Part]:
    """A desk lamp: heavy foot, arm of two rods with a joint, hollow conical shade with a bulb."""
    metal, joint = palette.main(), palette.dark()
    foot = rng.uniform(0.22, 0.38)
    square = rng.random() < 0.3
    base = Part(size=(foot, foot, 0.05), corner=0.2 if square else 1.0, edge=0.6, color=palette.any())
    elbow = np.array([-rng.uniform(0.05, 0.4), 0.0, rng.uniform(0.4, 0.7)])
    head = elbow + np.array([rng.uniform(0.3, 0.7), 0.0, rng.uniform(0.05, 0.45)])
    rod = rng.uniform(0.022, 0.045)
    parts = [
        base,
        limb((0, 0, 0.02), tuple(elbow), rod, color=metal),
        limb(tuple(elbow), tuple(head), rod, color=metal),
    ]
    parts.append(blob(tuple(elbow), (1.9 * rod,) * 3, color=joint, blend=0.005))
    tilt = np.array([rng.uniform(0.1, 0.8), 0.0, -1.0])
    tilt /= np.linalg.norm(tilt)
    mouth, height = rng.uniform(0.16, 0.28), rng.uniform(0.12, 0.22)
    shade = head + 0.8 * height * tilt
    axes, narrow = toward(-tilt), rng.uniform(-0.75, -0.35)
    shade_color = palette.any()
    parts.append(
        Part(center=tuple(shade), size=(mouth, mouth, height), axes=axes, taper=narrow, edge=0.1, color=shade_color)
    )
    hollow = shade + 0.25 * height * tilt
    parts.append(
        Part(
            center=tuple(hollow),
            size=(0.85 * mouth, 0.85 * mouth, height),
            axes=axes,
            taper=narrow,
            edge=0.1,
            cut=True,
            color=shade_color,
        )
    )
    bulb = 0.4 * mouth
    parts.append(blob(tuple(shade + 0.35 * height * tilt), (bulb,) * 3, color=palette.any(), blend=0.005))
    return parts


def house(rng: Generator, palette: Palette) -> list[Part]:
    """A house or a tower: walls, a roof, a chimney, a door, windows in pairs, perhaps a wing."""
    wall, roof, pane = palette.main(), palette.any(), palette.dark()
    d, w, h = rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.5), rng.uniform(0.22, 0.6)
    parts = [Part(size=(d, w, h), corner=0.02, edge=0.05, color=wall)]
    eave, rise = rng.uniform(1.05, 1.25), rng.uniform(0.12, 0.3)
    pointed = rng.random() < 0.4
    parts.append(
        Part(
            center=(0, 0, h + rise),
            size=(eave * d * 0.55, eave * w * 0.55, rise),
            taper=-0.82,
            corner=0.02,
            edge=0.05,
            color=roof,
        )
        if pointed
        else Part(
            center=(0, 0, h),
            size=(0.74 * w * eave, 0.74 * w * eave, eave * d),
            corner=0.02,
            edge=0.05,
            color=roof,
            axes=turned("z", 45) @ turned("y", 90),
        )
    )
    door = rng.uniform(0.06, 0.12)
    parts.append(
        Part(
            center=(d, rng.uniform(-0.5, 0.5) * w, -h + 1.8 * door),
            size=(0.02, door, 1.8 * door),
            corner=0.1,
            edge=0.1,
            color=palette.any(),
            blend=0.003,
        )
    )
    pane_at = rng.uniform(0.1, 0.4) * h
    size = rng.uniform(0.06, 0.1)
    parts.append(
        Part(
            center=(d, 0.55 * w, pane_at),
            size=(0.02, size, size),
            corner=0.1,
            edge=0.1,
            mirror=True,
            fold=True,
            color=pane,
            blend=0.003,
        )
    )
    parts.append(
        Part(
            center=(0.45 * d, w, pane_at),
            size=(size, 0.02, size),
            corner=0.1,
            edge=0.1,
            mirror=True,
            fold=True,
            color=pane,
            blend=0.003,
        )
    )
    if rng.random() < 0.7:
        top = h + rng.uniform(0.5, 1.0) * w
        parts.append(
            Part(
                center=(-0.5 * d, 0.45 * w, 0.5 * (h + top)),
                size=(0.07, 0.07, 0.5 * (top - h) + 0.05),
                corner=0.05,
                edge=0.1,
                color=palette.any(),
            )
        )
    if rng.random() < 0.4:
        low = rng.uniform(0.4, 0.8) * h
        parts.append(
            Part(center=(-0.1 * d, -w - 0.18, low - h), size=(0.5 * d, 0.22, low), corner=0.02, edge=0.05, color=wall)
        )
    return parts


def guitar(rng: Generator, palette: Palette) -> list[Part]:
    """A stringed instrument: waisted flat body with a sound hole, neck, head, pegs in pairs; stands on its body."""
    wood, dark = palette.main(), palette.dark()
    thin, lower = rng.uniform(0.06, 0.13), rng.uniform(0.26, 0.4)
    upper = lower * rng.uniform(0.65, 0.9)
    gap, flat = 0.85 * (lower + upper) * rng.uniform(0.6, 0.8), turned("y", 90)
    body = {"axes": flat, "edge": rng.uniform(0.3, 0.8), "color": wood, "blend": rng.uniform(0.08, 0.15)}
    parts = [Part(size=(lower, lower, thin), **body), Part(center=(0, 0, gap), size=(upper, upper, thin), **body)]
    hole = rng.uniform(0.25, 0.4) * lower
    parts.append(
        Part(center=(thin, 0, 0.45 * gap), size=(hole, hole, 0.012), axes=flat, edge=0.3, color=dark, blend=0.003)
    )
    start, length = gap + 0.9 * upper, rng.uniform(0.5, 0.8)
    neck = rng.uniform(0.035, 0.06)
    parts.append(
        Part(
            center=(0.5 * thin, 0, start + 0.3 * length),
            size=(0.04, neck, 0.7 * length),
            corner=0.3,
            edge=0.3,
            color=palette.any(),
        )
    )
    top = start + length
    parts.append(
        Part(
            center=(0.4 * thin, 0, top + 0.1),
            size=(0.035, neck * rng.uniform(1.3, 2.0), 0.13),
            corner=0.3,
            edge=0.3,
            taper=rng.uniform(-0.3, 0.3),
            color=palette.any(),
        )
    )
    for k in (0.04, 0.16):
        parts.append(
            limb((0.4 * thin, neck, top + k), (0.4 * thin, 2.6 * neck, top + k), 0.022, mirror=True, color=dark)
        )
    parts.append(
        Part(center=(thin, 0, -0.35 * lower), size=(0.03, 0.35 * lower, 0.03), corner=0.2, edge=0.2, color=dark)
    )
    return parts
