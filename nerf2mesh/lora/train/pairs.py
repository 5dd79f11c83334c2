"""Pairs of a picture in a style and the 3D model that it shows: what a style adapter learns from.

A folder with items.jsonl, one line a pair; paths are relative to the folder:

    {"picture": "0001.png", "model": "0001.glb", "licence": "CC0-1.0", "source": "who drew it, where it is from",
     "azimuth_deg": 0, "elevation_deg": 10}
    {"picture": "0002.png", "views": ["0002/0.png", "0002/1.png"], "licence": "CC-BY-4.0", "source": "...",
     "cameras": {"camera_angle_x": 0.698, "frames": [{"transform_matrix": [[...]]}, ...]}}

model: GLB, OBJ and what else `TriangleMesh.from_file` reads, glTF axes ("up", "front" say otherwise); it is centered,
scaled and rendered from random sides. views: pictures of the model, with cameras as in transforms.json (Blender's axes,
+Z up, front +X; a frame may have its own camera_angle_x), one frame for each view in their order; one frame more, the
first, is the picture's own camera, and "picture_camera", a frame too, says it in both cases. Without any of these the
picture is read as `input.image` is: the object is centered and scaled, and seen from azimuth_deg and elevation_deg.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.lora.io.manifest import Source
from nerf2mesh.lora.train.curated import CURATED, curation_note, manifest_of, refused_pictures
from nerf2mesh.lora.train.pair_line import LineError, checked_entry
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.prior import reduced_rgba
from nerf2mesh.report import sha256_file
from nerf2mesh.types import Camera
from nerf2mesh.utils.regular_file import read_regular

if TYPE_CHECKING:
    from nerf2mesh.mesh import TriangleMesh

ITEMS = "items.jsonl"
MAX_BYTES = 2**28
MODEL_HALF_EXTENT = 0.62
"""Models are scaled to a box of twice this: a cube's corners then stay inside the prior's world."""


@dataclass(frozen=True)
class Pair:
    """One line of items.jsonl, checked; `entry` is the line."""

    entry: dict
    folder: Path
    line: int
    sha256: str
    file: str = ITEMS
    """The file that the line stands in."""

    @property
    def held_out(self) -> bool | None:
        """Whether the line's "split" is heldout; None where it says none."""
        return self.entry["split"] == "heldout" if "split" in self.entry else None

    @property
    def picture(self) -> Path:
        """The path of the styled picture."""
        return self.folder / self.entry["picture"]

    @property
    def targets(self) -> list[Path]:
        """The model's file, or those of its views."""
        names = [self.entry["model"]] if "model" in self.entry else self.entry["views"]
        return [self.folder / name for name in names]

    def source(self) -> Source:
        """The entry in the manifest: source, licence, and the hashes of the picture and of what it shows."""
        hashes = [sha256_file(path) for path in self.targets]
        about = {"source": self.entry.get("source", ""), "licence": self.entry["licence"]}
        return Source(**about, sha256=self.sha256, views_sha256=hashes)


def read_pairs(data: str | Path, unlicensed: str = "refuse") -> tuple[list[Pair], list[str]]:
    """The pairs of a folder, each picture once, and what was left out, in words.

    data: a folder, where curated.jsonl of `nerf2mesh-curate` comes before items.jsonl, or one such file.

    Raises:
        ValueError: no items, a broken line, a missing file; pictures that the curation refused; pictures without a
            licence, which are named, unless `unlicensed` is "skip": then they are left out.
    """
    folder, name = manifest_of(Path(data), ITEMS)
    path = folder / name
    if not path.is_file():
        raise ValueError(
            f"data: expected a folder with {ITEMS}, got {folder}; docs/adapters.md says what to write there"
        )
    notes, pairs, without = _curation_notes(folder, name), {}, []
    refused = refused_pictures(folder, ITEMS)
    for number, text in enumerate(read_lines(path), 1):
        if not text.strip():
            continue
        pair = _checked(folder, name, number, text)
        if pair.sha256 in refused:
            raise ValueError(
                f"data: line {number} of {path}: expected no picture that the curation refused, got "
                f"{pair.entry['picture']}: {refused[pair.sha256]}; take {CURATED}, or tick it on in the sheet"
            )
        if not pair.entry.get("licence", "").strip():
            without.append(pair)
        elif pair.sha256 in pairs:
            first = pairs[pair.sha256]
            notes.append(f"{pair.entry['picture']} (line {number}) is the picture of line {first.line} again: left out")
        else:
            pairs[pair.sha256] = pair
    notes += _without_licence(without, path, unlicensed)
    if not pairs:
        raise ValueError(f"data: expected at least one usable pair, got none in {path}; add one")
    return list(pairs.values()), notes


def _without_licence(without: list[Pair], path: Path, unlicensed: str) -> list[str]:
    names = ", ".join(f"{pair.entry['picture']} (line {pair.line})" for pair in without)
    if without and unlicensed == "refuse":
        raise ValueError(
            f'data: expected a licence for each picture, got none for {names}; add "licence" in {path}, '
            "or set unlicensed=skip"
        )
    return [f"no licence: {names}: left out"] if without else []


def _curation_notes(folder: Path, name: str) -> list[str]:
    note = curation_note(folder) if name == CURATED else {}
    return [f"{CURATED}: the {note['kept']} of {note['of']} items that were kept"] if note else []


def read_lines(path: Path) -> list[str]:
    """The lines of a file of items. ValueError where it is no UTF-8, or too large."""
    try:
        return read_regular(path, limit_bytes=MAX_BYTES, follow=True).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"data: expected UTF-8 in {path}, got {error}; save it as UTF-8") from error


def load_pairs(
    pairs: list[Pair], size: int, n_views: int, seed: int, on_pair: Callable[[], None] = lambda: None
) -> Frames:
    """Reads and renders the pairs at `size` pixels with `n_views` frames of each model (views repeat where fewer).

    Each pair is one scene, in uint8: frame 0 is the picture, the others show the model.
    """
    rows = []
    for i, pair in enumerate(pairs):
        try:
            rows.append(_frames(pair, size, n_views, torch.Generator().manual_seed(seed * 1_000_003 + i)))
        except ValueError as error:
            raise ValueError(f"data: line {pair.line} of {pair.folder / pair.file}: {error}") from error
        on_pair()
    images, poses, focals, flat = (list(column) for column in zip(*rows))
    return Frames(torch.stack(images), FrameGeometry(torch.stack(poses), torch.stack(focals), torch.tensor(flat)))


def _frames(pair: Pair, size: int, n_views: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, bool]:
    picture, camera = picture_and_camera(pair, size)
    if "model" in pair.entry:
        views, cameras = _rendered(pair, camera, size, n_views, g)
    else:
        views, cameras = _posed_views(pair, size, n_views, g)
    images = torch.cat([picture[None], views]).permute(0, 3, 1, 2)
    every = [camera, *cameras]
    pose = torch.stack([c.camera_to_world for c in every])
    focal = torch.stack([c.focal_px[1] / c.height_px for c in every])
    return (images * 255.0).round().to(torch.uint8), pose, focal, camera.orthographic


def picture_and_camera(pair: Pair, size: int) -> tuple[Tensor, Camera]:
    """The picture as the prior will be given such ones, and its camera."""
    frame = picture_frame(pair)
    config = InputConfig(image=str(pair.picture), recenter=frame is None)
    angles = {name: float(pair.entry[name]) for name in ("azimuth_deg", "elevation_deg") if name in pair.entry}
    config = replace(config, **angles)
    view = load_observations(config).views[0]
    camera = view.camera if frame is None else _camera(pair, frame, size)
    return reduced_rgba(view.image, size), camera


def _rendered(pair: Pair, camera: Camera, size: int, n: int, g: torch.Generator) -> tuple[Tensor, list[Camera]]:
    """The model from sides all around, at the picture's distance and field of view, softly lit from a random side."""
    from nerf2mesh.render.rasterizer import rasterize_mesh

    turn = 360.0 * (torch.arange(n) + torch.rand(n, generator=g)) / n
    elevation = -15.0 + 70.0 * torch.rand(n, generator=g)
    cameras = Camera.orbit(turn, elevation, width_px=size, orthographic=camera.orthographic)
    light = torch.randn(3, generator=g)
    light[2] = light[2].abs() + 0.3
    ambient = 0.4 + 0.6 * float(torch.rand((), generator=g))
    seen = rasterize_mesh(
        model_of(pair), cameras, supersample=3, shading="lambert", light_direction=light, ambient=ambient
    )
    return seen.rgba, [cameras[i] for i in range(n)]


def _posed_views(pair: Pair, size: int, n: int, g: torch.Generator) -> tuple[Tensor, list[Camera]]:
    """n of the given views, without repeats as long as there are enough."""
    order = torch.cat([torch.randperm(len(pair.targets), generator=g) for _ in range(-(-n // len(pair.targets)))])
    cameras = view_cameras(pair, size)
    images = [view_image(pair.targets[i], size) for i in order[:n]]
    return torch.stack(images), [cameras[i] for i in order[:n]]


def view_image(path: Path, size: int) -> Tensor:
    """A view as premultiplied RGBA [size, size, 4], in its own framing."""
    config = InputConfig(image=str(path), recenter=False)
    return reduced_rgba(load_observations(config).views[0].image, size)


def picture_frame(pair: Pair) -> dict | None:
    """The frame that says where the picture was drawn from; None where no camera is known."""
    if "picture_camera" in pair.entry:
        return pair.entry["picture_camera"]
    frames = pair.entry.get("cameras", {}).get("frames", [])
    return frames[0] if "views" in pair.entry and len(frames) == len(pair.entry["views"]) + 1 else None


def view_cameras(pair: Pair, size: int) -> list[Camera]:
    """The cameras of the views, in their order."""
    return [_camera(pair, frame, size) for frame in pair.entry["cameras"]["frames"][-len(pair.entry["views"]) :]]


def model_of(pair: Pair) -> TriangleMesh:
    """The model as it is shown to the network: centered, scaled, +Z up. ValueError where the file cannot be read."""
    from nerf2mesh.mesh import TriangleMesh

    axes = {name: pair.entry[name] for name in ("up", "front") if name in pair.entry}
    return TriangleMesh.from_file(pair.targets[0], **axes).normalized(MODEL_HALF_EXTENT)


def _camera(pair: Pair, frame: dict, size: int) -> Camera:
    """A frame of transforms.json as a square camera; orthographic ones say "ortho_scale", the world units seen."""
    shared = pair.entry.get("cameras", {})
    pose = torch.tensor(frame["transform_matrix"], dtype=torch.float32)
    scale = frame.get("ortho_scale", shared.get("ortho_scale"))
    angle = frame.get("camera_angle_x", shared.get("camera_angle_x"))
    focal = size / scale if scale else 0.5 * size / math.tan(0.5 * angle)
    middle = torch.full((2,), 0.5 * size)
    return Camera(pose, torch.full((2,), float(focal)), middle, size, size, orthographic=bool(scale))


def _checked(folder: Path, name: str, number: int, text: str) -> Pair:
    """A line as a pair. ValueError that names the line and what it lacks."""
    try:
        entry = checked_entry(folder, text)
    except LineError as error:
        raise ValueError(f"data: line {number} of {folder / name}: {error}") from error
    sha256 = sha256_file(folder / entry["picture"])
    if entry.get("sha256", sha256) != sha256:
        raise ValueError(
            f"data: line {number} of {folder / name}: expected {entry['picture']} as it was curated, got another "
            f"picture; give nerf2mesh-curate {folder} again"
        )
    return Pair(entry, folder, number, sha256, name)
