"""Damaged items.jsonl of style adapters, and damaged files beside it: pairs that can be learnt from, or one line.

python -m tests.fuzz.items SECONDS [SEED]
"""

from __future__ import annotations

import functools
import io
import json
import random
from pathlib import Path

import torch
import trimesh

from nerf2mesh.lora.train.pairs import ITEMS, load_pairs, read_pairs
from nerf2mesh.types import Camera
from tests.fuzz.common import command, damaged, damaged_json, damaged_text, run, stand_in
from tests.inputs.pictures import disc_rgba


@functools.cache
def corpus() -> dict[str, bytes]:
    """The files beside items.jsonl."""
    files = {"cube.glb": trimesh.creation.box().export(file_type="glb")}
    for k, name in enumerate(("a.png", "b.png", "c.png")):
        stream = io.BytesIO()
        disc_rgba((60 * k + 40, 90, 200 - 50 * k), (0, 0, 0), size=40, radius=12.0).save(stream, "PNG")
        files[name] = stream.getvalue()
    return files


def lines() -> list[dict]:
    """One line of each kind."""
    poses = [Camera.orbit(40.0 * k, 10.0, width_px=16).camera_to_world.tolist() for k in range(3)]
    frames = [{"transform_matrix": pose, "camera_angle_x": 0.7} for pose in poses]
    about = {"licence": "CC0-1.0", "source": "drawn"}
    flat = {"ortho_scale": 2.4, "frames": [{"transform_matrix": pose} for pose in poses]}
    return [
        {"picture": "a.png", "model": "cube.glb", "azimuth_deg": 20, "elevation_deg": 5, "up": "y", "front": "z"}
        | about,
        {"picture": "b.png", "views": ["b.png", "c.png"], "cameras": {"frames": frames}} | about,
        {"picture": "c.png", "views": ["a.png", "b.png", "c.png"], "cameras": flat, "picture_camera": frames[0]}
        | about,
    ]


def case(draw: random.Random, folder: Path) -> str:
    for name, data in corpus().items():
        (folder / name).write_bytes(data)
    chosen, kind = [draw.choice(lines())], draw.random()
    if kind < 0.75:
        chosen = [damaged_json(line, draw) for line in chosen]
    text = "".join(json.dumps(line) + "\n" for line in chosen)
    text = damaged_text(text, draw) if 0.75 <= kind < 0.85 else text
    data = text.encode("utf-8", errors="replace")
    (folder / ITEMS).write_bytes(damaged(data, draw) if kind >= 0.85 else data)
    if draw.random() < 0.15:
        name = draw.choice([*corpus(), ITEMS])
        (folder / name).write_bytes(damaged((folder / name).read_bytes(), draw))
    if draw.random() < 0.05:
        stand_in(folder / draw.choice([*corpus(), ITEMS]), draw)
    try:
        pairs, _ = read_pairs(folder, draw.choice(("refuse", "skip")))
        frames = load_pairs(pairs, 16, 2, 0)
    except ValueError as error:
        assert ITEMS in str(error), error
        raise
    check(pairs, frames.geometry.pose, frames.geometry.focal)
    return ITEMS


def check(pairs: list, poses: torch.Tensor, focals: torch.Tensor) -> None:
    """What a reader of the pairs relies on."""
    turn, place = poses[..., :3, :3], poses[..., :3, 3]
    assert torch.isfinite(poses).all() and (focals > 0).all() and torch.isfinite(focals).all(), "cameras of no numbers"
    assert (turn @ turn.mT - torch.eye(3)).abs().max() < 0.05 and (torch.linalg.det(turn) > 0).all(), "bent cameras"
    assert ((turn[..., 2] * place).sum(-1) > 0).all(), "cameras that look away"
    assert all(isinstance(pair.source().licence, str) and pair.source().licence.strip() for pair in pairs), "licences"


def main(seconds: float, seed: int = 0) -> dict[str, int]:
    """Counts of cases, tracebacks and hangs, and of what was read and refused."""
    torch.set_num_threads(1)
    return run(case, seconds, seed)


if __name__ == "__main__":
    command(main)
