"""Animals, birds and figures: bodies with heads, limbs in pairs, ears, tails, eyes."""

from __future__ import annotations

from numpy.random import Generator

from nerf2mesh.procedural.families.building import blob, limb, turned
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import Part


def animal(rng: Generator, palette: Palette) -> list[Part]:
    """Four-legged animals with a head, ears, eyes and mostly a tail."""
    coat, other = palette.main(), palette.any()
    length, girth, leg = rng.uniform(0.4, 0.75), rng.uniform(0.2, 0.42), rng.uniform(0.15, 0.55)
    flat = rng.uniform(0.8, 1.15)
    blend = rng.uniform(0.05, 0.2)
    parts = [blob((0, 0, 0), (length, girth * flat, girth), taper=0, color=coat, blend=blend)]
    if rng.random() < 0.4:
        parts[0] = Part(size=(girth, girth * flat, length), axes=turned("y", 90), edge=0.9, color=coat, blend=blend)
    head_r = girth * rng.uniform(0.55, 1.1)
    hx, hz = length + head_r * rng.uniform(-0.2, 0.6), rng.uniform(-0.1, 0.9) * girth + rng.uniform(0.0, 0.35)
    head = (head_r * rng.uniform(0.9, 1.3), head_r * rng.uniform(0.8, 1.1), head_r * rng.uniform(0.8, 1.1))
    parts.append(blob((hx, 0, hz), head, color=coat, blend=blend))
    if hz > girth * 0.7:
        parts.append(
            limb((length * 0.6, 0, girth * 0.3), (hx, 0, hz), head_r * rng.uniform(0.4, 0.7), color=coat, blend=blend)
        )
    sx = hx + head[0] * rng.uniform(0.6, 1.0)
    parts.append(
        blob(
            (sx, 0, hz - head_r * rng.uniform(0.1, 0.4)),
            tuple(head_r * rng.uniform(0.3, 0.6, 3)),
            color=other,
            blend=0.06,
        )
    )
    thick, spread = girth * rng.uniform(0.2, 0.42), girth * flat * rng.uniform(0.4, 0.75)
    legs = {"color": coat if rng.random() < 0.7 else other, "mirror": True, "blend": 0.05}
    for x in (length * rng.uniform(0.5, 0.75), -length * rng.uniform(0.5, 0.75)):
        top = (x, spread, -girth * 0.3)
        parts.append(
            limb(
                top,
                (x + rng.normal() * 0.06, spread * rng.uniform(0.9, 1.2), -girth - leg),
                thick,
                edge=0.5,
                taper=rng.uniform(-0.2, 0.3),
                **legs,
            )
        )
    ear = head_r * rng.uniform(0.25, 0.6)
    out = rng.uniform(0.2, 1.0)
    tip = (hx - ear * 0.3, head[1] * 0.6 + ear * out, hz + head[2] * 0.6 + ear * (1.3 - out))
    parts.append(
        limb(
            (hx, head[1] * 0.5, hz + head[2] * 0.6),
            tip,
            ear * rng.uniform(0.3, 0.6),
            mirror=True,
            color=coat if rng.random() < 0.5 else other,
            blend=0.03,
            taper=rng.uniform(-0.7, 0.2),
        )
    )
    eye = head_r * rng.uniform(0.1, 0.25)
    parts.append(
        blob(
            (hx + head[0] * 0.72, head[1] * 0.55, hz + head[2] * 0.3),
            (eye, eye, eye),
            mirror=True,
            color=palette.dark(),
            blend=0.002,
        )
    )
    if rng.random() < 0.8:
        parts.append(
            limb(
                (-length * 0.9, 0, girth * 0.3),
                (-length - rng.uniform(0.05, 0.4), 0, rng.uniform(-0.4, 0.6)),
                rng.uniform(0.03, 0.1),
                color=coat,
                blend=0.04,
                bend=rng.uniform(-0.4, 0.4),
            )
        )
    return parts


def bird(rng: Generator, palette: Palette) -> list[Part]:
    """Birds with a beak, often with wings, a tail and legs."""
    coat, other = palette.main(), palette.any()
    body = (rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.45))
    parts = [blob((0, 0, 0), body, axes=turned("y", rng.uniform(-30, 10)), color=coat, blend=0.12)]
    r = rng.uniform(0.16, 0.32)
    hx, hz = body[0] * rng.uniform(0.4, 0.95), body[2] + r * rng.uniform(0.2, 1.2)
    parts.append(
        blob((hx, 0, hz), (r, r * rng.uniform(0.85, 1.05), r), color=coat if rng.random() < 0.7 else other, blend=0.1)
    )
    parts.append(limb((hx * 0.7, 0, body[2] * 0.3), (hx, 0, hz), r * rng.uniform(0.4, 0.8), color=coat, blend=0.1))
    beak = palette.any()
    parts.append(
        Part(
            center=(hx + r * 1.15, 0, hz - r * 0.1),
            size=(r * 0.35, r * rng.uniform(0.3, 0.7), r * rng.uniform(0.3, 0.7)),
            axes=turned("y", 90),
            edge=0.5,
            taper=rng.uniform(-0.7, 0.0),
            color=beak,
            blend=0.02,
        )
    )
    eye = r * rng.uniform(0.12, 0.25)
    parts.append(
        blob((hx + r * 0.65, r * 0.6, hz + r * 0.35), (eye, eye, eye), mirror=True, color=palette.dark(), blend=0.002)
    )
    if rng.random() < 0.6:
        parts.append(
            blob(
                (-body[0] * 0.1, body[1] * 0.95, 0.05),
                (body[0] * rng.uniform(0.5, 0.9), rng.uniform(0.04, 0.1), body[2] * rng.uniform(0.4, 0.8)),
                mirror=True,
                color=coat if rng.random() < 0.5 else other,
                blend=0.03,
            )
        )
    if rng.random() < 0.7:
        parts.append(
            limb(
                (-body[0] * 0.7, 0, 0.05),
                (-body[0] * rng.uniform(1.1, 1.5), 0, rng.uniform(-0.1, 0.4)),
                rng.uniform(0.06, 0.15),
                taper=rng.uniform(-0.6, 0.6),
                color=coat,
                blend=0.06,
            )
        )
    choice = rng.random()
    if choice < 0.4:
        ring = rng.uniform(0.5, 0.75)
        parts.append(
            Part(
                center=(0, 0, -body[2] * rng.uniform(0.2, 0.9)),
                size=(ring, ring, rng.uniform(0.12, 0.22)),
                wall=rng.uniform(0.4, 0.75),
                edge=0.95,
                color=palette.any(),
                blend=rng.uniform(0.01, 0.1),
            )
        )
        if rng.random() < 0.5:
            parts.pop(0)
    elif choice < 0.75:
        parts.append(
            limb(
                (0, body[1] * 0.4, -body[2] * 0.6),
                (0.02, body[1] * 0.4, -body[2] - rng.uniform(0.1, 0.35)),
                rng.uniform(0.03, 0.08),
                mirror=True,
                color=beak,
                blend=0.02,
            )
        )
        parts.append(
            blob((0.1, body[1] * 0.4, -body[2] - 0.3), (0.15, 0.09, 0.04), mirror=True, color=beak, blend=0.02)
        )
    return parts


def figure(rng: Generator, palette: Palette) -> list[Part]:
    """Upright figures with a head, arms and legs in pairs."""
    skin, shirt, trousers = palette.any(), palette.main(), palette.any()
    torso = (rng.uniform(0.12, 0.28), rng.uniform(0.18, 0.35), rng.uniform(0.22, 0.4))
    r, arm, leg = rng.uniform(0.14, 0.34), rng.uniform(0.06, 0.12), rng.uniform(0.07, 0.15)
    box = rng.random() < 0.4
    parts = [
        Part(
            size=torso,
            corner=rng.uniform(0.3, 1),
            edge=0.4,
            taper=rng.uniform(-0.3, 0.3),
            ellipsoid=not box,
            color=shirt,
            blend=0.05,
        )
    ]
    hz = torso[2] + r * rng.uniform(0.6, 1.0)
    parts.append(
        Part(
            center=(0, 0, hz),
            size=(r, r, r),
            corner=0.4,
            edge=0.4,
            ellipsoid=rng.random() < 0.75,
            color=skin,
            blend=0.03,
        )
    )
    lift = rng.uniform(-0.35, 0.4)
    parts.append(
        limb(
            (0, torso[1] * 0.9, torso[2] * 0.6),
            (rng.uniform(-0.1, 0.3), torso[1] + rng.uniform(0.1, 0.4), torso[2] * 0.6 + lift),
            arm,
            mirror=True,
            color=shirt if rng.random() < 0.5 else skin,
            blend=0.03,
        )
    )
    parts.append(
        limb(
            (0, torso[1] * 0.5, -torso[2] * 0.7),
            (rng.uniform(-0.1, 0.1), torso[1] * 0.6, -torso[2] - rng.uniform(0.2, 0.5)),
            leg,
            mirror=True,
            edge=0.5,
            color=trousers,
            blend=0.03,
        )
    )
    eye = r * rng.uniform(0.1, 0.2)
    parts.append(
        blob((r * 0.85, r * 0.4, hz + r * 0.15), (eye, eye, eye), mirror=True, color=palette.dark(), blend=0.002)
    )
    if rng.random() < 0.6:
        parts.append(
            Part(
                center=(-0.01, 0, hz + r * rng.uniform(0.4, 0.9)),
                size=(r * 1.05, r * 1.05, r * rng.uniform(0.2, 0.6)),
                edge=0.6,
                taper=rng.uniform(-0.9, 0.1),
                ellipsoid=rng.random() < 0.4,
                color=palette.any(),
                blend=0.01,
            )
        )
    if rng.random() < 0.4:
        parts.append(
            blob(
                (0, r * rng.uniform(0.6, 1), hz + r * rng.uniform(0.5, 1)),
                (r * 0.2, r * rng.uniform(0.2, 0.5), r * rng.uniform(0.2, 0.6)),
                mirror=True,
                color=skin,
                blend=0.03,
            )
        )
    if rng.random() < 0.4:
        parts.append(
            Part(
                center=(-torso[0] - 0.08, 0, 0.05),
                size=(0.1, torso[1] * 0.7, torso[2] * 0.6),
                corner=0.4,
                edge=0.4,
                color=palette.any(),
                blend=0.02,
            )
        )
    return parts
