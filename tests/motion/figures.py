"""Figures of capsules, whose joints are known: the signed distance of a union, cut by scikit-image's marching cubes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerf2mesh.mesh import TriangleMesh


@dataclass(frozen=True)
class Figure:
    """capsules: (start, end, radius); joints: where the truth has them."""

    capsules: tuple[tuple[np.ndarray, np.ndarray, float], ...]
    joints: dict[str, np.ndarray]

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance [...], negative inside."""
        found = np.full(points.shape[:-1], np.inf)
        for a, b, radius in self.capsules:
            run = b - a
            t = np.clip(((points - a) @ run) / (run @ run), 0.0, 1.0)
            found = np.minimum(found, np.linalg.norm(points - a - t[..., None] * run, axis=-1) - radius)
        return found

    def mesh(self, cell: float = 0.02) -> TriangleMesh:
        """Closed, faces outward."""
        from skimage.measure import marching_cubes

        ends = np.concatenate([[a - r, a + r, b - r, b + r] for a, b, r in self.capsules])
        low, high = ends.min(0) - 3 * cell, ends.max(0) + 3 * cell
        axes = [np.arange(x, y, cell) for x, y in zip(low, high)]
        values = self.distance(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(cell, cell, cell), gradient_direction="ascent")
        made = TriangleMesh(vertices + low, faces)
        return made if made.volume > 0 else TriangleMesh(made.vertices, made.faces[:, ::-1])


def person(drop_deg: float = 0.0) -> Figure:
    """An adult 1.8 tall, arms `drop_deg` below the horizon."""
    drop = np.radians(drop_deg)
    outward = np.array([0.0, np.cos(drop), -np.sin(drop)])
    capsules = [
        (np.array([0, 0, 1.0]), np.array([0, 0, 1.32]), 0.14),
        (np.array([0, 0, 1.4]), np.array([0, 0, 1.52]), 0.05),
        (np.array([0, 0, 1.62]), np.array([0, 0, 1.7]), 0.1),
    ]
    joints = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        flip = np.array([1.0, sign, 1.0])
        hip, ankle = np.array([0, 0.11, 0.95]) * flip, np.array([0, 0.14, 0.08]) * flip
        shoulder = np.array([0, 0.15, 1.38]) * flip
        hand = shoulder + 0.66 * outward * flip
        capsules += [(hip, ankle, 0.075), (ankle, ankle + np.array([0.16, 0, -0.02]), 0.05), (shoulder, hand, 0.05)]
        joints |= {f"{side}UpLeg": hip, f"{side}Leg": 0.5 * (hip + ankle), f"{side}Foot": ankle}
        joints |= {f"{side}Arm": shoulder, f"{side}Hand_End": hand + 0.05 * outward * flip}
        joints |= {f"{side}ForeArm": shoulder + 0.42 * 0.71 * outward * flip}
    joints |= {"Neck": np.array([0, 0, 1.44]), "HeadTop_End": np.array([0, 0, 1.8])}
    return Figure(tuple(capsules), joints)


def horse() -> Figure:
    """Four legs, a neck, a head and a tail; about 2 long."""
    capsules = [
        (np.array([-0.6, 0, 1.1]), np.array([0.6, 0, 1.1]), 0.26),
        (np.array([0.65, 0, 1.2]), np.array([1.0, 0, 1.75]), 0.13),
        (np.array([1.0, 0, 1.75]), np.array([1.35, 0, 1.65]), 0.11),
        (np.array([-0.8, 0, 1.2]), np.array([-1.25, 0, 0.95]), 0.05),
    ]
    joints = {"Hips": np.array([-0.6, 0, 1.1]), "Spine2": np.array([0.6, 0, 1.1])}
    joints |= {"HeadTop_End": np.array([1.46, 0, 1.65]), "Tail_End": np.array([-1.29, 0, 0.93])}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        for x, top, bottom in ((0.6, "Arm", "Hand_End"), (-0.6, "UpLeg", "Foot_End")):
            high, low = np.array([x, 0.17 * sign, 1.0]), np.array([x, 0.17 * sign, 0.08])
            capsules.append((high, low, 0.08))
            joints |= {f"{side}{top}": np.array([x, 0.17 * sign, 0.92]), f"{side}{bottom}": low}
    return Figure(tuple(capsules), joints)


def ball() -> Figure:
    """No limbs at all."""
    return Figure(((np.array([0, 0, -0.1]), np.array([0, 0, 0.1]), 0.5),), {})
