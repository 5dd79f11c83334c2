"""Parts: the one primitive of the shape grammar, its numbers, and the signed distance of a scene made of them.

A part is a rounded, tapered, bent prism over a rounded (optionally hollow) rectangle, or an ellipsoid with the same
bends: boxes, cylinders, cones, capsules, tubes, rings, discs, eggs and horns are all points of one parameter space, so
a batch of scenes with different shapes is one dense computation without branches.

Letters
    B scenes, K parts a scene, R points a scene. Scene frame: +Z up, front +X, symmetric in y where a part says so.
    Part frame: z along the part's axis, half sizes (a, b, h). Distances are lower bounds (safe to sphere-trace).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

MAX_PARTS = 10
SOLID = 10.0
"""A wall this thick leaves no hole: |q + w| - w == q for every q above -w."""

SHAPE = {
    name: index
    for index, name in enumerate(
        ["cx", "cy", "cz"]
        + [f"r{i}{j}" for i in range(3) for j in range(3)]
        + [
            "a",
            "b",
            "h",
            "corner",
            "edge",
            "wall",
            "taper",
            "bend",
            "ellipsoid",
            "cut",
            "mirror",
            "fold",
            "blend",
            "safe",
        ]
    )
}
N_SHAPE = len(SHAPE)
N_WAVES = 3
N_COLOR = 6 + 5 * N_WAVES + 2
"""Two colors, N_WAVES x (frequency vector, phase, amplitude), sharpness, offset."""


@dataclass(kw_only=True)
class Part:
    """One part, in scene units. `axes` holds the part frame's x, y, z axes as rows."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[float, float, float] = (0.5, 0.5, 0.5)
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    corner: float = 1.0
    """Rounding of the rectangle, as a share of its shorter half side: 0 box, 1 cylinder."""
    edge: float = 0.2
    """Rounding of the ends, as a share of the shortest half size; 1 makes a capsule or a ring."""
    wall: float = 0.0
    """Wall of a hollow profile as a share of its shorter half side; 0 is solid."""
    taper: float = 0.0
    """Change of the profile's scale along z: 1 + taper * z / h, so -0.8 is nearly a cone."""
    bend: float = 0.0
    """Sideways shift along x at both ends, as a share of h."""
    ellipsoid: bool = False
    cut: bool = False
    mirror: bool = False
    """Also at -y."""
    fold: bool = False
    """Also at -x."""
    blend: float = 0.02
    color: np.ndarray = field(default_factory=lambda: np.zeros(N_COLOR))

    def shape_row(self) -> np.ndarray:
        """The part as a row [N_SHAPE] float32, which `part_distance` reads."""
        a, b, h = (max(float(s), 0.01) for s in self.size)
        shorter = min(a, b)
        edge = min(max(self.edge, 0.02), 0.98) * min(shorter if not self.wall else self.wall * shorter, h)
        lipschitz = 1.0 + 0.8 * abs(self.taper) * max(a, b) / h + 1.2 * abs(self.bend)
        row = np.zeros(N_SHAPE, dtype=np.float32)
        row[:3] = self.center
        row[3:12] = np.asarray(self.axes, dtype=np.float32).reshape(9)
        row[12:] = [
            a, b, h, self.corner * shorter, edge, 0.5 * self.wall * shorter if self.wall else SOLID, self.taper,
            self.bend / h, self.ellipsoid, self.cut, self.mirror, self.fold, max(self.blend, 1e-3), 1.0 / lipschitz,
        ]  # fmt: skip
        return row


def pack_parts(scenes: list[list[Part]]) -> tuple[Tensor, Tensor]:
    """Shape rows [B, K, N_SHAPE] and color rows [B, K, N_COLOR]; absent parts are far away and tiny.

    Raises ValueError for a scene of more than MAX_PARTS parts.
    """
    shapes = np.zeros((len(scenes), MAX_PARTS, N_SHAPE), dtype=np.float32)
    colors = np.zeros((len(scenes), MAX_PARTS, N_COLOR), dtype=np.float32)
    absent = Part(center=(0.0, 0.0, -50.0), size=(0.01, 0.01, 0.01)).shape_row()
    shapes[:] = absent
    for i, parts in enumerate(scenes):
        if len(parts) > MAX_PARTS:
            raise ValueError(f"scenes[{i}]: expected at most {MAX_PARTS} parts, got {len(parts)}; leave some out")
        for j, part in enumerate(parts):
            shapes[i, j] = part.shape_row()
            colors[i, j] = part.color
    return torch.from_numpy(shapes), torch.from_numpy(colors)


def part_distance(s: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Signed distance bound [B, R] of part rows `s` [B, N_SHAPE] at scene points given by coordinate [B, R]."""

    def get(name: str) -> Tensor:
        return s[:, SHAPE[name], None]

    y = torch.where(get("mirror") > 0.5, y.abs(), y)
    x = torch.where(get("fold") > 0.5, x.abs(), x)
    x, y, z = x - get("cx"), y - get("cy"), z - get("cz")
    u = get("r00") * x + get("r01") * y + get("r02") * z
    v = get("r10") * x + get("r11") * y + get("r12") * z
    w = get("r20") * x + get("r21") * y + get("r22") * z
    a, b, h = get("a"), get("b"), get("h")
    u = u - get("bend") * w.clamp(-h, h) ** 2
    scale = 1.0 + get("taper") * (w / h).clamp(-1.0, 1.0)
    scale = scale.clamp_min(0.1)
    u, v = u / scale, v / scale

    k0 = (u / a).square() + (v / b).square() + (w / h).square()
    k1 = (u / (a * a)).square() + (v / (b * b)).square() + (w / (h * h)).square()
    k0, k1 = (k0 + 1e-12).sqrt(), (k1 + 1e-12).sqrt()
    egg = k0 * (k0 - 1.0) / k1

    corner, edge, wall = get("corner"), get("edge"), get("wall")
    qu, qv = u.abs() - (a - corner), v.abs() - (b - corner)
    q = (
        (qu.clamp_min(0).square() + qv.clamp_min(0).square() + 1e-12).sqrt()
        + torch.maximum(qu, qv).clamp_max(0)
        - corner
    )
    q = (q + wall).abs() - wall
    e0, e1 = q + edge, w.abs() - h + edge
    prism = (
        (e0.clamp_min(0).square() + e1.clamp_min(0).square() + 1e-12).sqrt() + torch.maximum(e0, e1).clamp_max(0) - edge
    )
    return torch.where(get("ellipsoid") > 0.5, egg, prism) * scale.clamp_max(1.0) * get("safe")


def scene_distance(shapes: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Signed distance bound [B, R] of whole scenes [B, K, N_SHAPE]: smooth unions, then cuts.

    The smooth minimum is the quadratic polynomial one (Quilez, "smooth minimum"), per part radius `blend`.
    """
    total = torch.full_like(x, 50.0)
    for k in range(shapes.shape[1]):
        s = shapes[:, k]
        d = part_distance(s, x, y, z)
        cut, blend = s[:, SHAPE["cut"], None] > 0.5, s[:, SHAPE["blend"], None]
        near = (blend - (total - d).abs()).clamp_min(0)
        union = torch.minimum(total, d) - near.square() / (4.0 * blend)
        total = torch.where(cut, torch.maximum(total, -d), union)
    return total


def scene_albedo(shapes: Tensor, colors: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Base color [B, R, 3] near the surface: parts weighted by how close their own surface is."""
    total = torch.zeros(*x.shape, 3, device=x.device)
    weight = torch.full_like(x, 1e-12)
    for k in range(shapes.shape[1]):
        s, c = shapes[:, k], colors[:, k, :, None]
        d = part_distance(s, x, y, z).abs()
        w = torch.exp(-d.clamp_max(1.0) / 0.012) + 1e-9 * torch.exp(-d.clamp_max(20.0))
        side = torch.where(s[:, SHAPE["mirror"], None] > 0.5, y.abs(), y)
        wave = c[:, -1].expand_as(x)
        for j in range(N_WAVES):
            f = c[:, 6 + 5 * j : 11 + 5 * j]
            wave = wave + f[:, 4] * torch.sin(f[:, 0] * x + f[:, 1] * side + f[:, 2] * z + f[:, 3])
        mix = torch.sigmoid(c[:, -2] * wave)
        color = torch.stack([c[:, i] + (c[:, 3 + i] - c[:, i]) * mix for i in range(3)], dim=-1)
        total, weight = total + w[..., None] * color, weight + w
    return (total / weight[..., None]).clamp(0.0, 1.0)
