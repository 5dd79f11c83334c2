"""Families of procedural objects: each is a function from a random generator to a list of parts.

The symmetric and part-based ones (animals, birds, figures, vehicles, furniture, vessels, fruit) are what makes an unseen
side guessable; `rubble` follows the idea of LRM-Zero (Xie et al. 2024, arXiv 2406.09371): unrelated textured primitives
with cuts. Scenes are drawn at any size and place: `grammar.sample_scenes` normalises them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.looks import Palette
from nerf2mesh.procedural.parts import Part


def turned(axis: str, angle_deg: float) -> np.ndarray:
    """Part axes (rows) turned about a scene axis by `angle_deg`."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = c
    turn[j, i], turn[i, j] = s, -s
    return turn.T


def random_axes(rng: Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def toward(direction: np.ndarray) -> np.ndarray:
    """Part axes whose z points along `direction`."""
    w = np.asarray(direction, dtype=float) / max(float(np.linalg.norm(direction)), 1e-9)
    helper = np.array([0.0, 1.0, 0.0]) if abs(w[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, w)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(w, u), w])


def limb(start: tuple[float, ...], end: tuple[float, ...], thick: float, **more: object) -> Part:
    """A rounded rod between two points."""
    p, q = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    half = 0.5 * float(np.linalg.norm(q - p)) + 0.5 * thick
    more = {"corner": 1.0, "edge": 0.95} | more
    return Part(center=tuple(0.5 * (p + q)), size=(thick, thick, half), axes=toward(q - p), **more)  # type: ignore[arg-type]


def blob(center: tuple[float, ...], size: tuple[float, ...], **more: object) -> Part:
    return Part(center=tuple(center), size=tuple(size), ellipsoid=True, **more)  # type: ignore[arg-type]


def rubble(rng: Generator, look: Palette) -> list[Part]:
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
                center=tuple(anchor), size=tuple(size), axes=np.eye(3) if upright else random_axes(rng),
                corner=float(rng.choice([0.05, 0.3, 1.0, 1.0])), edge=float(rng.choice([0.05, 0.3, 0.95])), wall=wall,
                taper=float(rng.choice([0.0, 0.0, rng.uniform(-0.9, 0.5)])),
                bend=float(rng.choice([0.0, 0.0, rng.uniform(-0.6, 0.6)])), ellipsoid=bool(rng.random() < 0.35),
                mirror=bool(rng.random() < 0.2), blend=float(rng.choice([0.002, 0.05, 0.2])), colour=look.any(),
            )
        )  # fmt: skip
    if rng.random() < 0.3:
        at = np.asarray(parts[0].center) + rng.normal(size=3) * 0.4
        parts.append(Part(center=tuple(at), size=tuple(rng.uniform(0.15, 0.45, 3)), axes=random_axes(rng),
                          corner=float(rng.choice([0.1, 1.0])), edge=0.1, cut=True, colour=look.any()))  # fmt: skip
    return parts


def animal(rng: Generator, look: Palette) -> list[Part]:
    coat, other = look.main(), look.any()
    length, girth, leg = rng.uniform(0.4, 0.75), rng.uniform(0.2, 0.42), rng.uniform(0.15, 0.55)
    flat = rng.uniform(0.8, 1.15)
    blend = rng.uniform(0.05, 0.2)
    parts = [blob((0, 0, 0), (length, girth * flat, girth), taper=0, colour=coat, blend=blend)]
    if rng.random() < 0.4:
        parts[0] = Part(size=(girth, girth * flat, length), axes=turned("y", 90), edge=0.9, colour=coat, blend=blend)
    head_r = girth * rng.uniform(0.55, 1.1)
    hx, hz = length + head_r * rng.uniform(-0.2, 0.6), rng.uniform(-0.1, 0.9) * girth + rng.uniform(0.0, 0.35)
    head = (head_r * rng.uniform(0.9, 1.3), head_r * rng.uniform(0.8, 1.1), head_r * rng.uniform(0.8, 1.1))
    parts.append(blob((hx, 0, hz), head, colour=coat, blend=blend))
    if hz > girth * 0.7:
        parts.append(limb((length * 0.6, 0, girth * 0.3), (hx, 0, hz), head_r * rng.uniform(0.4, 0.7), colour=coat, blend=blend))
    sx = hx + head[0] * rng.uniform(0.6, 1.0)
    parts.append(blob((sx, 0, hz - head_r * rng.uniform(0.1, 0.4)), tuple(head_r * rng.uniform(0.3, 0.6, 3)), colour=other, blend=0.06))
    thick, spread = girth * rng.uniform(0.2, 0.42), girth * flat * rng.uniform(0.4, 0.75)
    legs = {"colour": coat if rng.random() < 0.7 else other, "mirror": True, "blend": 0.05}
    for x in (length * rng.uniform(0.5, 0.75), -length * rng.uniform(0.5, 0.75)):
        top = (x, spread, -girth * 0.3)
        parts.append(limb(top, (x + rng.normal() * 0.06, spread * rng.uniform(0.9, 1.2), -girth - leg), thick, edge=0.5, taper=rng.uniform(-0.2, 0.3), **legs))
    ear = head_r * rng.uniform(0.25, 0.6)
    out = rng.uniform(0.2, 1.0)
    tip = (hx - ear * 0.3, head[1] * 0.6 + ear * out, hz + head[2] * 0.6 + ear * (1.3 - out))
    parts.append(limb((hx, head[1] * 0.5, hz + head[2] * 0.6), tip, ear * rng.uniform(0.3, 0.6), mirror=True, colour=coat if rng.random() < 0.5 else other, blend=0.03, taper=rng.uniform(-0.7, 0.2)))
    eye = head_r * rng.uniform(0.1, 0.25)
    parts.append(blob((hx + head[0] * 0.72, head[1] * 0.55, hz + head[2] * 0.3), (eye, eye, eye), mirror=True, colour=look.dark(), blend=0.002))
    if rng.random() < 0.8:
        parts.append(limb((-length * 0.9, 0, girth * 0.3), (-length - rng.uniform(0.05, 0.4), 0, rng.uniform(-0.4, 0.6)), rng.uniform(0.03, 0.1), colour=coat, blend=0.04, bend=rng.uniform(-0.4, 0.4)))
    return parts


def bird(rng: Generator, look: Palette) -> list[Part]:
    coat, other = look.main(), look.any()
    body = (rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.45))
    parts = [blob((0, 0, 0), body, axes=turned("y", rng.uniform(-30, 10)), colour=coat, blend=0.12)]
    r = rng.uniform(0.16, 0.32)
    hx, hz = body[0] * rng.uniform(0.4, 0.95), body[2] + r * rng.uniform(0.2, 1.2)
    parts.append(blob((hx, 0, hz), (r, r * rng.uniform(0.85, 1.05), r), colour=coat if rng.random() < 0.7 else other, blend=0.1))
    parts.append(limb((hx * 0.7, 0, body[2] * 0.3), (hx, 0, hz), r * rng.uniform(0.4, 0.8), colour=coat, blend=0.1))
    beak = look.any()
    parts.append(Part(center=(hx + r * 1.15, 0, hz - r * 0.1), size=(r * 0.35, r * rng.uniform(0.3, 0.7), r * rng.uniform(0.3, 0.7)), axes=turned("y", 90), edge=0.5, taper=rng.uniform(-0.7, 0.0), colour=beak, blend=0.02))
    eye = r * rng.uniform(0.12, 0.25)
    parts.append(blob((hx + r * 0.65, r * 0.6, hz + r * 0.35), (eye, eye, eye), mirror=True, colour=look.dark(), blend=0.002))
    if rng.random() < 0.6:
        parts.append(blob((-body[0] * 0.1, body[1] * 0.95, 0.05), (body[0] * rng.uniform(0.5, 0.9), rng.uniform(0.04, 0.1), body[2] * rng.uniform(0.4, 0.8)), mirror=True, colour=coat if rng.random() < 0.5 else other, blend=0.03))
    if rng.random() < 0.7:
        parts.append(limb((-body[0] * 0.7, 0, 0.05), (-body[0] * rng.uniform(1.1, 1.5), 0, rng.uniform(-0.1, 0.4)), rng.uniform(0.06, 0.15), taper=rng.uniform(-0.6, 0.6), colour=coat, blend=0.06))
    choice = rng.random()
    if choice < 0.4:
        ring = rng.uniform(0.5, 0.75)
        parts.append(Part(center=(0, 0, -body[2] * rng.uniform(0.2, 0.9)), size=(ring, ring, rng.uniform(0.12, 0.22)), wall=rng.uniform(0.4, 0.75), edge=0.95, colour=look.any(), blend=rng.uniform(0.01, 0.1)))
        if rng.random() < 0.5:
            parts.pop(0)
    elif choice < 0.75:
        parts.append(limb((0, body[1] * 0.4, -body[2] * 0.6), (0.02, body[1] * 0.4, -body[2] - rng.uniform(0.1, 0.35)), rng.uniform(0.03, 0.08), mirror=True, colour=beak, blend=0.02))
        parts.append(blob((0.1, body[1] * 0.4, -body[2] - 0.3), (0.15, 0.09, 0.04), mirror=True, colour=beak, blend=0.02))
    return parts


def figure(rng: Generator, look: Palette) -> list[Part]:
    skin, shirt, trousers = look.any(), look.main(), look.any()
    torso = (rng.uniform(0.12, 0.28), rng.uniform(0.18, 0.35), rng.uniform(0.22, 0.4))
    r, arm, leg = rng.uniform(0.14, 0.34), rng.uniform(0.06, 0.12), rng.uniform(0.07, 0.15)
    box = rng.random() < 0.4
    parts = [Part(size=torso, corner=rng.uniform(0.3, 1), edge=0.4, taper=rng.uniform(-0.3, 0.3), ellipsoid=not box, colour=shirt, blend=0.05)]
    hz = torso[2] + r * rng.uniform(0.6, 1.0)
    parts.append(Part(center=(0, 0, hz), size=(r, r, r), corner=0.4, edge=0.4, ellipsoid=rng.random() < 0.75, colour=skin, blend=0.03))
    lift = rng.uniform(-0.35, 0.4)
    parts.append(limb((0, torso[1] * 0.9, torso[2] * 0.6), (rng.uniform(-0.1, 0.3), torso[1] + rng.uniform(0.1, 0.4), torso[2] * 0.6 + lift), arm, mirror=True, colour=shirt if rng.random() < 0.5 else skin, blend=0.03))
    parts.append(limb((0, torso[1] * 0.5, -torso[2] * 0.7), (rng.uniform(-0.1, 0.1), torso[1] * 0.6, -torso[2] - rng.uniform(0.2, 0.5)), leg, mirror=True, edge=0.5, colour=trousers, blend=0.03))
    eye = r * rng.uniform(0.1, 0.2)
    parts.append(blob((r * 0.85, r * 0.4, hz + r * 0.15), (eye, eye, eye), mirror=True, colour=look.dark(), blend=0.002))
    if rng.random() < 0.6:
        parts.append(Part(center=(-0.01, 0, hz + r * rng.uniform(0.4, 0.9)), size=(r * 1.05, r * 1.05, r * rng.uniform(0.2, 0.6)), edge=0.6, taper=rng.uniform(-0.9, 0.1), ellipsoid=rng.random() < 0.4, colour=look.any(), blend=0.01))
    if rng.random() < 0.4:
        parts.append(blob((0, r * rng.uniform(0.6, 1), hz + r * rng.uniform(0.5, 1)), (r * 0.2, r * rng.uniform(0.2, 0.5), r * rng.uniform(0.2, 0.6)), mirror=True, colour=skin, blend=0.03))
    if rng.random() < 0.4:
        parts.append(Part(center=(-torso[0] - 0.08, 0, 0.05), size=(0.1, torso[1] * 0.7, torso[2] * 0.6), corner=0.4, edge=0.4, colour=look.any(), blend=0.02))
    return parts


def vessel(rng: Generator, look: Palette) -> list[Part]:
    """Lathed things: bottles, vases, lamps, mushrooms, cups and mugs with handles."""
    glaze = look.main()
    parts, z, r = [], -0.6, rng.uniform(0.15, 0.5)
    for _ in range(rng.integers(1, 5)):
        h, nr = rng.uniform(0.08, 0.35), rng.uniform(0.1, 0.55)
        mean, taper = 0.5 * (r + nr), (nr - r) / max(r + nr, 1e-3)
        parts.append(Part(center=(0, 0, z + h), size=(mean, mean, h), taper=float(np.clip(taper, -0.85, 0.85)), edge=rng.uniform(0.05, 0.9), ellipsoid=rng.random() < 0.3, colour=glaze if rng.random() < 0.6 else look.any(), blend=rng.choice([0.003, 0.08, 0.2])))
        z, r = z + 2 * h * rng.uniform(0.8, 1.0), nr
    if rng.random() < 0.5:
        top = parts[-1]
        depth = top.size[2] * rng.uniform(0.5, 1.6)
        parts.append(Part(center=(0, 0, top.center[2] + top.size[2]), size=(top.size[0] * 0.8, top.size[1] * 0.8, depth), taper=top.taper, edge=0.2, cut=True, colour=look.any()))
    if rng.random() < 0.4:
        body = parts[0]
        reach = body.size[0] + rng.uniform(0.05, 0.2)
        side = turned("x", 90)
        parts.append(Part(center=(0, reach, body.center[2]), size=(0.22, rng.uniform(0.16, 0.3), rng.uniform(0.03, 0.07)), axes=turned("y", 90), wall=rng.uniform(0.2, 0.4), edge=0.9, mirror=rng.random() < 0.3, colour=glaze, blend=0.02))
        del side
    return parts


def furniture(rng: Generator, look: Palette) -> list[Part]:
    wood, cloth = look.main(), look.any()
    w, d, top = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.03, 0.14)
    leg, h = rng.uniform(0.03, 0.08), rng.uniform(0.15, 0.6)
    round_top = rng.random() < 0.3
    parts = [Part(size=(d, w, top), corner=1.0 if round_top else 0.1, edge=rng.uniform(0.1, 0.8), colour=cloth)]
    if rng.random() < 0.8:
        parts.append(limb((d * 0.8, w * 0.8, 0), (d * rng.uniform(0.75, 0.95), w * rng.uniform(0.75, 0.95), -h), leg, mirror=True, fold=True, corner=rng.choice([0.1, 1.0]), edge=0.2, colour=wood))
    else:
        parts.append(Part(center=(0, 0, -h / 2), size=(leg * 2, leg * 2, h / 2), colour=wood))
        parts.append(Part(center=(0, 0, -h), size=(d * 0.6, d * 0.6, 0.04), colour=wood))
    if rng.random() < 0.6:
        back = rng.uniform(0.2, 0.6)
        parts.append(Part(center=(-d * 0.92, 0, back), size=(rng.uniform(0.03, 0.1), w * rng.uniform(0.7, 1), back), corner=0.4, edge=0.5, colour=cloth if rng.random() < 0.5 else wood))
        if rng.random() < 0.5:
            parts.append(Part(center=(0, w * 0.92, rng.uniform(0.1, 0.25)), size=(d * 0.9, 0.06, rng.uniform(0.05, 0.2)), corner=0.3, edge=0.3, mirror=True, colour=cloth))
    elif rng.random() < 0.6:
        s = rng.uniform(0.08, 0.25)
        parts.append(Part(center=(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), top + s), size=(s * rng.uniform(0.5, 1), s * rng.uniform(0.5, 1), s), ellipsoid=rng.random() < 0.4, corner=rng.choice([0.1, 1.0]), colour=look.any()))
    if rng.random() < 0.3:
        parts.append(Part(center=(0, 0, -h * 0.55), size=(d * 0.85, w * 0.85, 0.03), corner=0.1, colour=wood))
    return parts


def vehicle(rng: Generator, look: Palette) -> list[Part]:
    paint, other, tyre = look.main(), look.any(), look.dark()
    length, width, height = rng.uniform(0.5, 0.85), rng.uniform(0.2, 0.38), rng.uniform(0.1, 0.24)
    if rng.random() < 0.35:
        return _aircraft(rng, look, length, width * 0.6)
    parts = [Part(size=(length, width, height), corner=0.3, edge=rng.uniform(0.2, 0.9), colour=paint, blend=0.04)]
    cab = (length * rng.uniform(0.25, 0.6), width * rng.uniform(0.75, 0.98), height * rng.uniform(0.5, 1.3))
    cx = rng.uniform(-0.4, 0.4) * length
    parts.append(Part(center=(cx, 0, height + cab[2] * 0.7), size=cab, corner=0.3, edge=0.3, taper=rng.uniform(-0.4, 0.0), colour=paint if rng.random() < 0.5 else other, blend=0.03))
    parts.append(Part(center=(cx, 0, height + cab[2] * 0.8), size=(cab[0] * 0.75, cab[1] * 1.03, cab[2] * 0.45), corner=0.1, edge=0.1, colour=look.dark(), blend=0.002))
    wheel = height * rng.uniform(0.5, 1.0)
    for x in (length * rng.uniform(0.5, 0.7), -length * rng.uniform(0.5, 0.7)):
        parts.append(Part(center=(x, width * 0.95, -height), size=(wheel, wheel, rng.uniform(0.04, 0.09)), axes=turned("x", 90), edge=0.4, mirror=True, colour=tyre, blend=0.002))
    parts.append(blob((length * 0.97, width * 0.6, rng.uniform(-0.2, 0.5) * height), (0.04, 0.06, 0.06), mirror=True, colour=look.any(), blend=0.002))
    if rng.random() < 0.4:
        parts.append(Part(center=(-length * 0.55, 0, height * 1.3), size=(length * 0.4, width * 0.9, height * rng.uniform(0.4, 1.2)), corner=0.1, edge=0.1, colour=other))
    return parts


def _aircraft(rng: Generator, look: Palette, length: float, radius: float) -> list[Part]:
    paint, other = look.main(), look.any()
    upright = rng.random() < 0.4
    axes = np.eye(3) if upright else turned("y", 90)
    along = np.array([0.0, 0, 1]) if upright else np.array([1.0, 0, 0])
    parts = [Part(size=(radius, radius, length), axes=axes, edge=0.9, colour=paint, blend=0.03)]
    parts.append(Part(center=tuple(along * length), size=(radius, radius, radius * 1.4), axes=axes, taper=-0.8, edge=0.5, colour=other, blend=0.03))
    fin = rng.uniform(0.25, 0.7)
    up, reach = (0.0, -length * rng.uniform(-0.2, 0.8)), radius + fin * 0.5
    place = (0.0, reach, up[1]) if upright else (up[1] * 0.4, reach, 0.0)
    size = (0.04, fin * 0.7, rng.uniform(0.1, 0.25)) if upright else (rng.uniform(0.1, 0.25), fin * 0.7, 0.035)
    parts.append(Part(center=place, size=size, corner=0.4, edge=0.5, mirror=True, colour=other))
    tail = tuple(-along * length * 0.85 + (np.array([radius + 0.1, 0, 0]) if upright else np.array([0, 0, radius + 0.1])))
    parts.append(Part(center=tail, size=(0.2, 0.03, 0.12) if upright else (0.12, 0.03, 0.2), corner=0.3, edge=0.3, fold=upright, colour=other))
    spot = along * length * rng.uniform(0.2, 0.6) + (np.array([radius, 0, 0]) if upright else np.array([0, 0, radius * 0.8]))
    parts.append(blob(tuple(spot), tuple(radius * rng.uniform(0.3, 0.7, 3)), colour=look.dark(), blend=0.01))
    return parts


def fruit(rng: Generator, look: Palette) -> list[Part]:
    """Whole and halved fruit, mushrooms, cakes: round bodies, stems, leaves, a cut that shows another colour."""
    skin, flesh = look.main(), look.any()
    r = rng.uniform(0.35, 0.6)
    size = (r, r * rng.uniform(0.8, 1.0), r * rng.uniform(0.7, 1.5))
    lean = turned("x", rng.uniform(-20, 20)) if rng.random() < 0.3 else np.eye(3)
    parts = [blob((0, 0, 0), size, axes=lean, taper=rng.uniform(-0.45, 0.45), bend=rng.choice([0, 0, 0.4]), colour=skin, blend=0.05)]
    if rng.random() < 0.45:
        thick = rng.uniform(-0.3, 0.4) * r
        parts.append(Part(center=(thick + 1.0, 0, 0), size=(1.0, 3.0, 3.0), corner=0.02, edge=0.02, cut=True, colour=flesh))
        if rng.random() < 0.7:
            stone = r * rng.uniform(0.25, 0.5)
            parts.append(blob((thick, 0, rng.uniform(-0.3, 0.3) * size[2]), (stone, stone, stone * rng.uniform(0.9, 1.3)), colour=look.any(), blend=0.01))
    if rng.random() < 0.6:
        parts.append(limb((0, 0, size[2] * 0.85), (rng.normal() * 0.08, rng.normal() * 0.08, size[2] + rng.uniform(0.1, 0.3)), rng.uniform(0.02, 0.07), colour=look.any()))
        if rng.random() < 0.6:
            parts.append(blob((0.12, 0.1, size[2] + 0.08), (0.2, 0.1, 0.03), axes=random_axes(rng), colour=look.any()))
    if rng.random() < 0.25:
        parts.append(blob((0, 0, size[2] * 0.6), (r * 1.4, r * 1.4, r * 0.6), colour=look.any(), blend=0.02))
    return parts


def plate(rng: Generator, look: Palette) -> list[Part]:
    """Flat things: signs, coins, discs, frames, tools, hearts of two blobs; seen mostly face on."""
    thin = rng.uniform(0.04, 0.16)
    parts = []
    for i in range(rng.integers(1, 4)):
        at = (0.0, 0.0, 0.0) if i == 0 else (rng.normal() * 0.02, rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5))
        parts.append(Part(center=at, size=(rng.uniform(0.15, 0.6), rng.uniform(0.15, 0.6), thin * rng.uniform(0.8, 1.6)), axes=turned("y", 90) @ np.eye(3), corner=rng.choice([0.1, 0.5, 1.0]), edge=rng.uniform(0.1, 0.9), wall=rng.uniform(0.2, 0.5) if rng.random() < 0.3 else 0.0, taper=0.0, mirror=rng.random() < 0.4, colour=look.any(), blend=0.02))
    if rng.random() < 0.5:
        parts.append(Part(center=(0, 0, -0.75), size=(thin, thin * rng.uniform(1, 3), 0.4), corner=0.5, edge=0.5, colour=look.any()))
    return parts


FAMILIES: dict[str, tuple[Callable[[Generator, Palette], list[Part]], float]] = {
    "rubble": (rubble, 0.24),
    "animal": (animal, 0.17),
    "bird": (bird, 0.11),
    "figure": (figure, 0.10),
    "vessel": (vessel, 0.11),
    "furniture": (furniture, 0.08),
    "vehicle": (vehicle, 0.08),
    "fruit": (fruit, 0.08),
    "plate": (plate, 0.03),
}
