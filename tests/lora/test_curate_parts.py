"""What curation looks at, part by part: names in a picture's file, blur, hashes, groups, silhouettes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from nerf2mesh.lora.curate.duplicates import Groups
from nerf2mesh.lora.curate.items import Item
from nerf2mesh.lora.curate.likeness import split_groups
from nerf2mesh.lora.curate.metadata import names_in, write_without
from nerf2mesh.lora.curate.pictures import blur, look_at
from nerf2mesh.lora.train.pairs import read_pairs
from nerf2mesh.types import Camera
from tests.lora.curated import clean, compared_once, drawing, kinds, run, written  # noqa: F401  (fixtures)
from tests.lora.test_style import weights  # noqa: F401  (a fixture)

pytest.importorskip("imagehash", reason="needs the curate extra")


def test_names_are_kept_or_removed(tmp_path: Path, clean: list[dict], weights: Path) -> None:  # noqa: F811
    exif = Image.Exif()
    exif[315] = "Ada Example"
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Bob Example")
    pixels = Image.open(tmp_path / "1.png")
    pixels.save(tmp_path / "1.png", exif=exif, pnginfo=text)
    kept = run(written(tmp_path, clean), weights)
    assert kinds(kept) == {2: {"names"}} and kept.items[1].findings[0].why.endswith("EXIF Artist, text Author")
    removed = run(tmp_path, weights, names="remove")
    entry = json.loads((tmp_path / "curated.jsonl").read_text().splitlines()[1])
    assert entry["picture"] == "curation/pictures/00002.png" and len(removed.kept) == 6
    copy = (tmp_path / entry["picture"]).read_bytes()
    assert b"Example" not in copy and b"Example" in (tmp_path / "1.png").read_bytes()
    assert np.array_equal(np.asarray(Image.open(tmp_path / entry["picture"])), np.asarray(pixels))
    assert len(read_pairs(tmp_path)[0]) == 6
    for written_file in (tmp_path / "curation").glob("*.*"):
        assert "Example" not in written_file.read_text(encoding="utf-8"), written_file.name


def test_names_in_xmp_and_iptc(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator><rdf:Seq><rdf:li>Cy Example</rdf:li></rdf:Seq></dc:creator>'
    by_line = b"\x1c\x02\x50\x00\x0aDi Example"
    resource = b"8BIM\x04\x04\x00\x00" + len(by_line).to_bytes(4, "big") + by_line + b"\x00" * (len(by_line) % 2)
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", xmp=xmp)
    data = (tmp_path / "a.jpg").read_bytes()
    segment = b"Photoshop 3.0\x00" + resource
    app13 = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    (tmp_path / "a.jpg").write_bytes(data[:2] + app13 + data[2:])
    with Image.open(tmp_path / "a.jpg") as image:
        assert names_in(image) == {"XMP dc:creator": "Cy Example", "IPTC By-line": "Di Example"}
    with Image.open(write_without(tmp_path / "a.jpg", tmp_path / "b.png")) as image:
        assert names_in(image) == {} and image.mode == "RGB"


def test_blur_is_that_of_scikit_image() -> None:
    measure = pytest.importorskip("skimage.measure")
    image = np.random.default_rng(0).random((40, 50))
    assert blur(image) == pytest.approx(measure.blur_effect(image, h_size=11), rel=1e-6)
    assert blur(np.zeros((20, 20))) == 0.0


def test_a_picture_is_known_again(tmp_path: Path) -> None:
    """The hash stands for the object, not its framing: a border more changes nothing, another drawing half of it."""
    first = look_at(drawing(tmp_path / "a.png", 1), 16)
    wide = Image.new("RGBA", (160, 140))
    wide.paste(Image.open(tmp_path / "a.png"), (40, 20))
    wide.save(tmp_path / "b.png")
    framed, other = look_at(tmp_path / "b.png", 16), look_at(drawing(tmp_path / "c.png", 2), 16)
    assert np.array_equal(first.hashes, framed.hashes) and torch.equal(first.small, framed.small)
    assert (256 - first.hashes[0] @ other.hashes[0]) / 2 > 64


def test_groups_stay_on_one_side_of_the_split(tmp_path: Path) -> None:
    items = [Item(i + 1, {"picture": f"{i}.png"}, tmp_path, sha256=str(i)) for i in range(40)]
    groups = Groups(40)
    for i in range(0, 40, 2):
        groups.join(i, i + 1)
    splits = split_groups(items, groups, 0.2)
    assert sum(split == "heldout" for split in splits.values()) == 8
    assert all(splits[i + 1] == splits[i + 2] for i in range(0, 40, 2))


def test_meshes_by_their_silhouettes(tmp_path: Path, weights: Path) -> None:  # noqa: F811
    """A box and a flat disc: the right mesh, the wrong one, and the right one seen from elsewhere."""
    import trimesh

    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.render.rasterizer import rasterize_mesh

    trimesh.creation.box(extents=(0.3, 1.0, 2.0)).export(tmp_path / "box.glb")
    trimesh.creation.cylinder(radius=1.0, height=0.3).export(tmp_path / "disc.glb")
    mesh = TriangleMesh.from_file(tmp_path / "box.glb").normalized(0.62)
    for name, azimuth in (("front", 0.0), ("side", 70.0)):
        seen = rasterize_mesh(mesh, Camera.orbit(azimuth, 10.0, width_px=96), shading="normal", supersample=2)
        rgba = torch.cat([seen.rgba[..., :3] / seen.rgba[..., 3:].clamp_min(1e-6), seen.rgba[..., 3:]], dim=-1)
        Image.fromarray((rgba.clamp(0, 1) * 255).round().byte().numpy()).save(tmp_path / f"{name}.png")
    rights = {"licence": "CC0-1.0", "source": "test", "author": "test", "elevation_deg": 10}
    frame = {"transform_matrix": Camera.orbit(0.0, 10.0).camera_to_world.tolist(), "camera_angle_x": np.radians(40.0)}
    lines = [
        {"picture": "front.png", "model": "box.glb", "azimuth_deg": 0} | rights,
        {"picture": "side.png", "model": "disc.glb", "picture_camera": frame} | rights,
    ]
    found = kinds(run(written(tmp_path, lines), weights))
    assert found == {2: {"wrong model"}}
    lines = [
        {"picture": "front.png", "model": "box.glb", "picture_camera": frame} | rights,
        {"picture": "side.png", "model": "box.glb", "azimuth_deg": 0} | rights,
    ]
    assert kinds(run(written(tmp_path, lines), weights)) == {2: {"other side"}}
