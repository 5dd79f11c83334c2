"""Pairs of a folder's meshes: read back by the trainer's reader, with cameras that see what the pictures show."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.objects.pairs import main, write_object_pairs
from nerf2mesh.types import Camera
from tests.objects.files import pack, two_colored_ball, write_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("balls")
    lines = []
    for name, split, licence in (("a.npz", "train", "CC0-1.0"), ("b.npz", "heldout", "CC-BY-4.0")):
        pack(path / name, two_colored_ball())
        about = {"source": "drawn", "credit": "somebody", "kind": "food"}
        lines.append({"file": name, "split": split, "licence": licence} | about)
    write_manifest(path, lines)
    return path


@pytest.fixture(scope="module")
def pairs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pairs")
    meshes = ObjectFolder(folder, ObjectDataConfig(meshes=str(folder)))
    write_object_pairs(out, meshes, look="albedo", n=5, n_held_out=1, n_views=3, picture_px=64, view_px=64)
    return out


def test_lines_say_whose_objects_they_are(pairs: Path) -> None:
    lines = [json.loads(line) for line in (pairs / "items.jsonl").read_text().splitlines()]
    assert [(line["split"], line["licence"]) for line in lines] == [("train", "CC0-1.0"), ("heldout", "CC-BY-4.0")]
    assert [line["source"] for line in lines] == ["drawn a.npz", "drawn b.npz"]
    assert {line["author"] for line in lines} == {"somebody"} and {line["kind"] for line in lines} == {"food"}


def test_all_cameras_see_one_ball(pairs: Path) -> None:
    """A ball about the origin is a disk of sin(angle) = radius / distance, and its two colors part at one plane."""
    frames = load_pairs(read_pairs(pairs)[0], 64, 3, seed=0)
    for images, pose, focal in zip(frames.images, frames.geometry.pose, frames.geometry.focal, strict=True):
        focal_px = (64 * focal)[:, None].expand(-1, 2)
        rays = Camera(pose, focal_px, torch.full_like(focal_px, 32.0), 64, 64).rays()
        start, along = rays.origins.reshape(4, 64, 64, 3), rays.directions.reshape(4, 64, 64, 3)
        alpha = images[:, 3].float() / 255
        half = (alpha.mean((1, 2)) * 64 * 64 / math.pi).sqrt() / focal_px[:, 0]
        radius = (half.atan().sin() * pose[:, :3, 3].norm(dim=-1)).mean()
        middle = -(start * along).sum(-1)
        inside = middle**2 - (start**2).sum(-1) + radius**2
        hit = (alpha == 1) & (inside > 0)
        point = (start + (middle - inside.clamp_min(0).sqrt())[..., None] * along)[hit]
        red = (images[:, 0].float() > images[:, 2].float())[hit]
        yaw = torch.deg2rad(torch.arange(360.0))
        right = (point[:, :2] @ torch.stack([yaw.cos(), yaw.sin()]) > 0) == red[:, None]
        assert float(half.std() / half.mean()) < 0.01
        assert float(right.float().mean(0).max()) > 0.97


def test_the_same_arguments_write_the_same_files(folder: Path, tmp_path: Path) -> None:
    arguments = ["--meshes", str(folder), "--look", "line", "--n", "1", "--held-out", "0", "--views", "1"]
    for name in ("one", "two"):
        main([str(tmp_path / name), *arguments])
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()} for name in ("one", "two")]
    assert files[0] == files[1] and len(files[0]) == 3


def test_an_unknown_look_and_a_full_folder_are_refused(folder: Path, pairs: Path, tmp_path: Path) -> None:
    meshes = ObjectFolder(folder)
    with pytest.raises(ValueError, match=r"^look: expected photo"):
        write_object_pairs(tmp_path, meshes, look="oil")
    with pytest.raises(ValueError, match=r"^folder: expected one without pairs"):
        write_object_pairs(pairs, meshes)
