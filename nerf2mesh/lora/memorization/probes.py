"""Pictures to try an adapter on that it has not learnt from: its held-out pairs, and procedural objects where these are
few."""

from __future__ import annotations

import tempfile

import torch

from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.procedural.pairs import PAIR_SEED, write_pairs

FIRST_SEED = PAIR_SEED + (1 << 27)
"""Far above the seeds of pairs that people make to learn from."""


def probes_of(held_out: Frames, n: int, size: int) -> Frames:
    """n probes: held-out pairs first, then line drawings of procedural objects with as many views."""
    taken = held_out[: min(n, len(held_out))]
    missing = n - len(taken)
    if missing <= 0:
        return taken
    n_views = held_out.images.shape[1] - 1
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(
            folder, n=missing, first_seed=FIRST_SEED, n_views=min(n_views, 6), picture_px=2 * size, view_px=size
        )
        made = load_pairs(read_pairs(folder)[0], size, n_views, seed=0)
    geometry = (
        torch.cat([getattr(f.geometry, name) for f in (taken, made)]) for name in ("pose", "focal", "orthographic")
    )
    return Frames(torch.cat([taken.images, made.images]), FrameGeometry(*geometry))
