"""A capture without poses, end to end: a video with motion blur and changing exposure -> pycolmap -> field -> mesh.

    python -m benchmarks capture --shape 0 --frames 48 --out FILE.json
    python -m benchmarks capture --overrides input.photos.exposure=keep
    python -m benchmarks capture --stills --frames 20 --out FILE.json     # a folder of sharp pictures of one exposure

A held-out scene with a fine pattern on it is filmed once around, up and down, in front of plain grey; each frame is the
mean of several moments, lit by an exposure that swings, and packed as H.264. The command's own input does the rest.
Poses are compared with the true ones after the best similarity, which also brings the mesh back; unseen views are true
ones at exposure 1.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import imageio
import numpy as np
import torch

from benchmarks.photos import ONLY_WHAT_IS_MEASURED, measured, shapes, unseen_cameras
from nerf2mesh.api import fit
from nerf2mesh.evaluate.metrics.align import kabsch
from nerf2mesh.inputs.config import InputConfig, PhotosConfig
from nerf2mesh.inputs.photos.load import read_capture
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.color_space import linear_to_srgb, srgb_to_linear
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera
from nerf2mesh.utils.atomic_write import atomic_write_text

MOMENTS = 5
"""Of which a frame is the mean."""
OPEN = 0.5
"""Share of the time between two frames for which the shutter is open."""
SWING = 0.35
"""Exposures lie between 1 - SWING and 1 + SWING."""
GROUND = 0.5
CELLS = 28
"""Of the pattern, along a side of the box."""


def patterned(mesh: TriangleMesh, seed: int = 0, longest: float = 0.02) -> TriangleMesh:
    """The mesh in small faces, each vertex in the color of its cell of space."""
    import trimesh

    vertices, faces = trimesh.remesh.subdivide_to_size(mesh.vertices, mesh.faces, longest, max_iter=12)
    colors = np.random.default_rng(seed).uniform(0.15, 0.75, (CELLS, CELLS, CELLS, 3))
    cell = np.clip(((vertices + 1) / 2 * CELLS).astype(int), 0, CELLS - 1)
    return TriangleMesh(vertices, faces, vertex_colors=colors[tuple(cell.T)].astype(np.float32))


def path_of(n: int, at: np.ndarray, size_px: int) -> Camera:
    """Where the camera is at moments `at` (in frames): once around in n frames, between 5 and 45 degrees."""
    turn = torch.from_numpy(at / n).float()
    return Camera.orbit(360.0 * turn, 25.0 + 20.0 * torch.sin(4 * np.pi * turn), width_px=size_px)


def film(path: Path, mesh: TriangleMesh, n: int, size_px: int) -> None:
    """Writes the video."""
    with imageio.get_writer(path, fps=12, quality=9, macro_block_size=16) as writer:
        for k in range(n):
            moments = k + OPEN * (np.arange(MOMENTS) / MOMENTS - 0.5)
            shown = rasterize_mesh(mesh, path_of(n, moments, size_px), supersample=1).over(GROUND).numpy()
            gain = 1.0 + SWING * np.sin(2 * np.pi * k / 17.0)
            light = srgb_to_linear(shown.clip(0, 1)).mean(0) * gain
            writer.append_data(np.round(255 * linear_to_srgb(light.clip(0, 1))).astype(np.uint8))


def photograph(folder: Path, mesh: TriangleMesh, n: int, size_px: int) -> None:
    """Writes the pictures: sharp, of one exposure, along the same way."""
    folder.mkdir()
    for k in range(n):
        shown = rasterize_mesh(mesh, path_of(n, np.array([float(k)]), size_px), supersample=2).over(GROUND)[0].numpy()
        imageio.imwrite(folder / f"still_{k:03d}.png", np.round(255 * shown.clip(0, 1)).astype(np.uint8))


def similarity(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """[4, 4] that brings points [n, 3] onto others one by one (Umeyama 1991)."""
    turn = kabsch(torch.from_numpy(found), torch.from_numpy(true)).numpy()
    a, b = found - found.mean(0), true - true.mean(0)
    scale = ((a @ turn.T) * b).sum() / (a**2).sum()
    matrix = np.eye(4)
    matrix[:3, :3] = scale * turn
    matrix[:3, 3] = true.mean(0) - scale * turn @ found.mean(0)
    return matrix


def main(argv: Sequence[str] | None = None) -> int:
    """Prints and writes the figures of one capture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks capture", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shape", type=int, default=0, help="which held-out scene")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, default=256, help="side of the video in pixels")
    parser.add_argument("--overrides", nargs="*", default=[], help="further settings of the run")
    parser.add_argument("--stills", action="store_true", help="a folder of sharp pictures instead of a video")
    parser.add_argument("--cache", type=Path, help="folder for the poses")
    parser.add_argument("--keep", type=Path, help="folder for the video and the run")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    asked = parser.parse_args(argv)
    mesh = patterned(shapes(None, 1, asked.shape)[0][1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        row = _captured(folder, asked.cache or folder, mesh, asked)
    print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))
    if asked.out:
        atomic_write_text(asked.out, json.dumps(row, indent=1))
    return 0


def _captured(folder: Path, cache: Path, mesh: TriangleMesh, asked: argparse.Namespace) -> dict[str, float]:
    video = folder / ("stills" if asked.stills else "walk.mp4")
    if not video.exists():
        (photograph if asked.stills else film)(video, mesh, asked.frames, asked.size)
    start = time.perf_counter()
    config = InputConfig(kind="photos", image=str(video), photos=PhotosConfig(cache_dir=str(cache)))
    shots = read_capture(config).shots
    motion_s, start = time.perf_counter() - start, time.perf_counter()
    numbers = np.array([int(shot.path.stem.split("_")[-1]) for shot in shots], np.float64)
    true = path_of(asked.frames, numbers, asked.size)
    found = np.stack([shot.position for shot in shots])
    world = similarity(found, true.position.double().numpy())
    off = np.linalg.norm(found @ world[:3, :3].T + world[:3, 3] - true.position.numpy(), axis=1)
    axes = np.stack([shot.axis for shot in shots]) @ world[:3, :3].T
    cosine = (axes * -true.camera_to_world[:, :3, 2].numpy()).sum(1) / np.linalg.norm(axes, axis=1)
    words = ["experiment=photos", f"input.image={video}", f"input.photos.cache_dir={cache}", *ONLY_WHAT_IS_MEASURED]
    result = fit(overrides=[*words, *asked.overrides], output_dir=folder / "run" if asked.keep else None)
    facts = result.observations.notes["photos"]
    assert isinstance(facts, dict)
    facts["object_from_world"] = facts["object_from_world"] @ np.linalg.inv(world)
    unseen = unseen_cameras(asked.size)
    return {
        "frames": asked.frames,
        "registered": len(shots),
        "exposures_differ_by": float(facts.get("exposures_differ_by", 1.0)),
        "center_error": float(np.median(off)) / float(true.position.norm(dim=1).mean()),
        "axis_error_deg": float(np.median(np.rad2deg(np.arccos(cosine.clip(-1, 1))))),
        **measured(result, mesh, unseen),
        "motion_s": motion_s,
        "fit_s": time.perf_counter() - start,
    }
