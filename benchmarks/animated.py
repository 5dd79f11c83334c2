"""A still camera's frames of models whose motion is known: how the mesh follows, seen from there and from the side.

    python -m benchmarks animated --data FOLDER --out DIR [--models Cow eel] [--every N] [--most N] [--overrides ...]
    python -m benchmarks animated --out DIR --table

FOLDER holds the eight rigged models (Quaternius, CC0); eel and walker are made here. Each is rendered at 24 frames of
one period and given as an animated PNG, alone and with a sheet of the first frame (front, right, back). Everything goes
the command's own way (`nerf2mesh.fit`), in the world of the truth up to a pixel (`benchmarks.clips`).

given           mean over frames of the silhouette IoU with the clip's own pictures at the camera that the run was given
own, own_least  the same with the truth, in the world of the truth: a size that is off counts, mean and least
side, side_still  silhouette IoU with the truth at 90 degrees from it, and that of the mesh of the first frame
track, track_still  mean end-point error in world units (the object is about 1.4 long): every vertex of the truth takes
                the displacement of the vertex of the mesh that is nearest to it in the first frame; the still mesh's
                is the mean length of the true displacements
flicker, flicker_true  mean second difference of the vertices over frames, of the mesh and of the truth
s, motion_s     wall seconds of the run up to the track, and of its motion alone, with whatever else the machine does

Every line is written to DIR/animated.json when it is done; the same command goes on. The finished mesh of each first
frame is kept in DIR/first, with the clip as the run read it and the seconds that it took: without animated.json only
the motion is made again. `--repeat` runs the first one twice and says whether track and file are equal bit for bit.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import torch
from scipy.spatial import KDTree

from benchmarks.clips import Truth, truth_of, wide_camera, write_clip, write_sheet
from benchmarks.kept import Row, keep_rows, kept_rows
from benchmarks.rigged import Moving, eel, read_rigged, walker
from nerf2mesh.api import fit
from nerf2mesh.config import load_config
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.carry import carry
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.run.result import Result
from nerf2mesh.types import Camera, Clip
from nerf2mesh.utils.atomic_write import atomic_write_bytes

MODELS: dict[str, tuple[str, float, float]] = {
    "Cow": ("Walk", 90.0, 0.0),
    "Wolf": ("Gallop", 90.0, 0.25),
    "Horse": ("Walk", 90.0, 0.0),
    "Dolphin": ("Swim", 90.0, 0.0),
    "Koi": ("Swimming_Fast", 60.0, 0.0),
    "Snake": ("Snake_Walk", 90.0, 0.25),
    "Spider": ("Spider_Walk", 30.0, 0.0),
    "Enemy_2Legs": ("Walk", 0.0, 0.0),
    "eel": ("", 90.0, 0.0),
    "walker": ("", 60.0, 0.25),
}
"""The animation, the azimuth of the model from which it is shown, and the share of the period at which the clip begins:
a side from which the motion is seen, a frame in which limbs are apart."""
WAYS = ("alone", "sheet")
FRAMES, ELEVATION_DEG, SIDE_DEG, SIDE_PX = 24, 10.0, 90.0, 256
COLUMNS = (
    "given",
    "own",
    "own_least",
    "side",
    "side_still",
    "track",
    "track_still",
    "flicker",
    "flicker_true",
    "s",
    "motion_s",
)
USUAL = ("experiment=frames", "mesh.texture=false", "report.html=false", "report.quiet=true")


def moving(data: Path, name: str) -> Moving:
    """The model of that name."""
    made = {"eel": eel, "walker": walker}
    return made[name]() if name in made else read_rigged(data / f"{name}.glb", MODELS[name][0])


def truth(data: Path, name: str, way: str) -> Truth:
    """Its frames, as they are shown."""
    _, front, start = MODELS[name]
    return truth_of(moving(data, name), FRAMES, front, start, ELEVATION_DEG, drawn=way == "sheet")


def fitted(known: Truth, way: str, overrides: Sequence[str], folder: Path) -> Result:
    """The run on the clip, alone or with the sheet; the clip and the sheet lie in `folder`."""
    write_clip(known, folder / "clip.png")
    asked = ["input=frames", f"input.frames={folder / 'clip.png'}", *overrides]
    if way == "sheet":
        write_sheet(known, folder / "sheet.png")
        asked.append(f"input.sheet=[{folder / 'sheet.png'}]")
    return fit(overrides=asked, output_dir=folder / "run")


@dataclass(frozen=True)
class First:
    """What the motion begins with: the mesh of the first frame and the clip, and how long it took to come there."""

    mesh: TriangleMesh
    clip: Clip
    seconds: float


class _Reached(Exception):
    """The motion is about to begin."""


def first_frame(known: Truth, way: str, overrides: Sequence[str], kept: Path) -> First:
    """The run up to where its motion begins, or what is kept of it in the file `kept`."""
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    found: list[tuple[TriangleMesh, Clip]] = []

    def reached(mesh: TriangleMesh, clip: Clip, *_: object) -> None:
        found.append((mesh, clip))
        raise _Reached

    start = time.monotonic()
    with TemporaryDirectory() as place, patch("nerf2mesh.run.moving.carry", reached), suppress(_Reached):
        fitted(known, way, overrides, Path(place))
    first = First(*found[0], time.monotonic() - start)
    atomic_write_bytes(kept, pickle.dumps(first))
    return first


def figures(known: Truth, mesh: TriangleMesh, track: VertexTrack) -> Row:
    """What is measured of one run, by the names of COLUMNS."""
    side = wide_camera(ELEVATION_DEG, SIDE_DEG).resized(SIDE_PX, SIDE_PX)
    own, there, still = [], [], []
    for k, now in enumerate(known.meshes):
        moved = TriangleMesh(track.positions[k], mesh.faces)
        own.append(_iou(moved, now, known.camera))
        there.append(_iou(moved, now, side))
        still.append(_iou(mesh, now, side))
    true = np.stack([now.vertices for now in known.meshes])
    near = np.asarray(KDTree(mesh.vertices).query(true[0])[1])
    shift = (track.positions - track.positions[0])[:, near]
    second = np.linalg.norm(np.diff(true, 2, axis=0), axis=-1)
    return {
        "own": float(np.mean(own)),
        "own_least": float(np.min(own)),
        "side": float(np.mean(there)),
        "side_still": float(np.mean(still)),
        "track": float(np.linalg.norm(true - true[0] - shift, axis=-1).mean()),
        "track_still": float(np.linalg.norm(true - true[0], axis=-1).mean()),
        "flicker": track.flicker,
        "flicker_true": float(second.mean()),
    }


def _iou(a: TriangleMesh, b: TriangleMesh, camera: Camera) -> float:
    one, two = (rasterize_mesh(mesh, camera, smooth=False).opacity > 0.5 for mesh in (a, b))
    return float((one & two).sum() / (one | two).sum().clamp_min(1))


def measured(data: Path, name: str, way: str, overrides: Sequence[str], kept: Path, every: int = 1) -> Row:
    """One run and its figures; kept: the folder of the first frames; every: one frame of so many is followed."""
    known = truth(data, name, way)
    first = first_frame(known, way, overrides, kept / f"{name}-{way}.pickle")
    known = replace(known, meshes=known.meshes[::every], times_s=known.times_s[::every])
    clip = Clip(first.clip.images[::every], first.clip.cameras[::every], first.clip.times_s[::every])
    start = time.monotonic()
    made = carry(first.mesh, clip, load_config(["input=frames", *overrides]).motion)
    seconds = time.monotonic() - start
    found = {"given": float(np.mean(made.silhouettes)), **figures(known, made.mesh, made.track)}
    return {"model": name, "way": way, **found, "s": first.seconds + seconds, "motion_s": seconds}


def repeated(data: Path, name: str, overrides: Sequence[str]) -> str:
    """Whether two runs are equal, in words."""
    tracks, files = [], []
    for _ in range(2):
        with TemporaryDirectory() as place:
            result = fitted(truth(data, name, "alone"), "alone", overrides, Path(place))
            assert result.track is not None
            tracks.append(result.track.positions)
            files.append((Path(place) / "run" / "mesh.glb").read_bytes())
    same = np.array_equal(*tracks), files[0] == files[1]
    return f"repeat of {name}: track bit-equal {same[0]}, mesh.glb bit-equal {same[1]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser("benchmarks animated", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the rigged models")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--overrides", nargs="*", default=list(USUAL), help="settings of the runs")
    parser.add_argument("--every", type=int, default=1, help="follow one of so many of the 24 frames")
    parser.add_argument("--most", type=int, default=10**6, help="end after so many runs")
    parser.add_argument("--repeat", action="store_true", help="run the first model twice and compare")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    asked = parser.parse_args(argv)
    if asked.data is None and not asked.table:
        parser.error("--data: expected a folder of models, got none; name it, or say --table")
    data: Path = asked.data or Path()
    asked.out.mkdir(parents=True, exist_ok=True)
    first = asked.out / "first"
    first.mkdir(exist_ok=True)
    path, settings = asked.out / "animated.json", {"overrides": list(asked.overrides), "every": asked.every}
    rows = kept_rows(path, settings)
    if asked.repeat:
        print(repeated(data, asked.models[0], asked.overrides))
        return 0
    done = {(row["model"], row["way"]) for row in rows}
    missing = [(name, way) for name in asked.models for way in asked.ways if (name, way) not in done]
    for name, way in [] if asked.table else missing[: asked.most]:
        torch.manual_seed(0)
        rows.append(measured(data, name, way, asked.overrides, first, asked.every))
        keep_rows(path, settings, rows)
        print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    return 0


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each run, the means of each way, on how many models the moving mesh is better, intervals."""
    lines = ["| model | way | " + " | ".join(COLUMNS) + " |", "| --- | --- |" + " ---: |" * len(COLUMNS)]
    lines += [f"| {row['model']} | {row['way']} | {_cells([row[name] for name in COLUMNS])} |" for row in rows]
    for way in WAYS:
        some = [row for row in rows if row["way"] == way]
        if not some:
            continue
        values = {name: np.array([row[name] for row in some], np.float64) for name in COLUMNS}
        lines.append(f"| mean of {len(some)} | {way} | {_cells([column.mean() for column in values.values()])} |")
        better = int((values["side"] > values["side_still"]).sum())
        nearer = int((values["track"] < values["track_still"]).sum())
        lines.append(
            f"| better than still | {way} | | | | {better} of {len(some)} | | {nearer} of {len(some)} | | | | | |"
        )
    return "\n".join(lines) + "\n\n" + "\n".join(_intervals(rows))


def _intervals(rows: Sequence[Row]) -> list[str]:
    """Of each way: means with 95 % intervals, of a bootstrap over the models."""
    lines = []
    for way in WAYS:
        some = {name: np.array([row[name] for row in rows if row["way"] == way], np.float64) for name in COLUMNS}
        if len(some["given"]) < 2:
            continue
        told = {
            "given": some["given"],
            "own": some["own"],
            "side - side_still": some["side"] - some["side_still"],
            "track - track_still": some["track"] - some["track_still"],
        }
        bounds = {name: bootstrap_interval(values.tolist()) for name, values in told.items()}
        parts = [f"{name} {told[name].mean():.3f} [{low:.3f}, {high:.3f}]" for name, (low, high) in bounds.items()]
        lines.append(f"{way}: " + ", ".join(parts))
    return lines


def _cells(values: Sequence[object]) -> str:
    return " | ".join(
        f"{float(str(value)):.4f}" if k < 9 else f"{float(str(value)):.0f}" for k, value in enumerate(values)
    )
