"""Curation of a style adapter's data: each fault is found where it was put, and nowhere else; training obeys."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from nerf2mesh.lora.curate import checks
from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.curate import Curation, curate
from nerf2mesh.lora.curate.duplicates import Groups
from nerf2mesh.lora.curate.items import Item
from nerf2mesh.lora.curate.likeness import split_groups
from nerf2mesh.lora.curate.metadata import names_in, write_without
from nerf2mesh.lora.curate.pictures import blur, look_at
from nerf2mesh.lora.curate.silhouettes import Fit, Overlap, overlap
from nerf2mesh.lora.train.pairs import Pair, read_pairs
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.priors import PriorConfig
from nerf2mesh.types import Camera
from tests.lora.test_style import weights  # noqa: F401  (a fixture)

pytest.importorskip("imagehash", reason="needs the curate extra")
FRONT = 25.0
COMPARED: dict[str, Overlap] = {}


@pytest.fixture(autouse=True)
def compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests have the same pairs, and each comparison with a model takes half a second: equal files, one result."""

    def remembered(pair: Pair, least: Fit) -> Overlap:
        told = {key: value for key, value in pair.entry.items() if key in ("cameras", "azimuth_deg", "elevation_deg")}
        files = [path.read_bytes() for path in (pair.picture, *pair.targets) if path.is_file()]
        name = hashlib.sha256(b"|".join([repr((told, len(files), least)).encode(), *files])).hexdigest()
        if name not in COMPARED:
            COMPARED[name] = overlap(pair, least)
        return COMPARED[name]

    monkeypatch.setattr(checks, "overlap", remembered)


def drawing(path: Path, seed: int, size: int = 96) -> Path:
    """A drawing of its own: colored blobs inside a disc, transparent around."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    rgb = np.full((size, size, 3), 230.0)
    for _ in range(9):
        cx, cy, r = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75), rng.uniform(0.04, 0.16)
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(0, 255, 3)
    alpha = 255.0 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.4**2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8)).save(path)
    return path


def ball(path: Path, radius: float = 0.35) -> None:
    """A view of a ball in the middle."""
    y, x = (np.mgrid[:64, :64] + 0.5) / 64
    alpha = 255 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < radius**2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([np.full((64, 64, 3), 90), alpha]).astype(np.uint8)).save(path)


def line(folder: Path, i: int, **more: object) -> dict:
    """A drawing of a ball, and the ball's views from six sides; its radius differs from line to line."""
    drawing(folder / f"{i}.png", i)
    shade = np.asarray(Image.open(folder / f"{i}.png")).copy()
    y, x = (np.mgrid[:96, :96] + 0.5) / 96
    radius = 0.2 + 0.02 * i
    shade[..., 3] = 255 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < radius**2)
    Image.fromarray(shade).save(folder / f"{i}.png")
    sides = [(10.0, 0.0), (10.0, 60.0), (10.0, 120.0), (60.0, 20.0), (-10.0, 90.0), (45.0, 200.0)]
    for k in range(6):
        ball(folder / f"{i}/{k}.png", radius)
    frames = [{"transform_matrix": Camera.orbit(a, e).camera_to_world.tolist()} for e, a in [(10.0, FRONT), *sides]]
    entry = {"picture": f"{i}.png", "views": [f"{i}/{k}.png" for k in range(6)]}
    entry |= {
        "cameras": {"camera_angle_x": 0.7, "frames": frames},
        "licence": "CC0-1.0",
        "source": "made for this test",
    }
    return entry | {"author": "the test"} | more


def written(folder: Path, lines: list[dict]) -> Path:
    (folder / "items.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8")
    return folder


def run(folder: Path, weights: Path, **more: object) -> Curation:  # noqa: F811
    prior = PriorConfig(weights=str(weights))
    return curate(CurateConfig(data=str(folder), prior=prior, quiet=True, min_side_px=32, **more))


def kinds(found: Curation) -> dict[int, set[str]]:
    """Line -> kinds that were found, of lines where anything was."""
    return {item.line: {f.kind for f in item.findings} for item in found.items if item.findings}


@pytest.fixture
def clean(tmp_path: Path) -> list[dict]:
    """Six lines without a fault; their files lie in tmp_path."""
    return [line(tmp_path, i) for i in range(6)]


def test_a_clean_set_is_kept_whole(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    found = run(written(tmp_path, clean), weights)
    assert kinds(found) == {} and len(found.kept) == 6
    lines = [json.loads(text) for text in (tmp_path / "curated.jsonl").read_text().splitlines()]
    assert sorted(entry["split"] for entry in lines) == ["heldout", *["train"] * 5]
    assert [{k: v for k, v in entry.items() if k not in ("split", "sha256")} for entry in lines] == clean
    pairs, notes = read_pairs(tmp_path)
    assert len(pairs) == 6 and notes == ["curated.jsonl: the 6 of 6 items that were kept"]


def test_every_planted_fault_is_found_and_nothing_else(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    shutil.copy(tmp_path / "0.png", tmp_path / "same.png")
    image = Image.open(tmp_path / "1.png")
    image.resize((80, 80), Image.Resampling.LANCZOS).save(tmp_path / "smaller.png")
    Image.open(tmp_path / "2.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirror.png")
    lines = [
        *clean,
        clean[0] | {"picture": "same.png"},
        clean[1] | {"picture": "smaller.png"},
        clean[2] | {"picture": "mirror.png"},
        {k: v for k, v in line(tmp_path, 6).items() if k != "licence"},
        line(tmp_path, 7) | {"views": clean[0]["views"]},
        {"picture": "gone.png", "views": ["gone.png"]},
    ]
    (tmp_path / "torn.png").write_bytes((tmp_path / "3.png").read_bytes()[:200])
    lines.append(clean[3] | {"picture": "torn.png"})
    found = run(written(tmp_path, lines), weights)
    wanted = {7: {"duplicate"}, 8: {"near duplicate"}, 9: {"near duplicate"}, 10: {"no licence"}, 11: {"wrong model"}}
    assert kinds(found) == wanted | {12: {"broken line"}, 13: {"unreadable"}}
    assert [item.line for item in found.kept] == [1, 2, 3, 4, 5, 6]


def test_what_is_held_out_leaks(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    """By the picture, by the model's file, by its shape, and by a picture of another folder."""
    (tmp_path / "bench").mkdir()
    Image.open(tmp_path / "3.png").resize((72, 72), Image.Resampling.LANCZOS).save(tmp_path / "bench/shown.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "again.png")
    drawn = [drawing(tmp_path / f"other{k}.png", 50 + k) for k in range(2)]
    for k, path in enumerate(drawn):
        image = np.asarray(Image.open(path)).copy()
        image[..., 3] = np.asarray(Image.open(tmp_path / f"{k + 1}.png"))[..., 3]
        Image.fromarray(image).save(path)
    rewritten = []
    for k in range(6):
        Image.open(tmp_path / f"2/{k}.png").save(tmp_path / f"2/{k}.webp", lossless=True)
        rewritten.append(f"2/{k}.webp")
    lines = [
        *clean,
        clean[0] | {"picture": "again.png", "split": "heldout"},
        clean[1] | {"picture": "other0.png", "split": "heldout"},
        clean[2] | {"picture": "other1.png", "views": rewritten, "split": "heldout"},
    ]
    found = run(written(tmp_path, lines), weights, held_out=str(tmp_path / "bench"))
    leaks = {item.line: f.why for item in found.items for f in item.findings if f.kind == "leak"}
    assert sorted(leaks) == [1, 2, 3, 4]
    assert "by file" in leaks[2] and "silhouettes" in leaks[3] and "shown.png" in leaks[4]
    assert [item.line for item in found.kept] == [5, 6, 7, 8, 9]


def test_training_refuses_what_was_refused(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    lines = [*clean, line(tmp_path, 7) | {"views": clean[0]["views"]}]
    run(written(tmp_path, lines), weights)
    config = {"prior": PriorConfig(weights=str(weights)), "rank": 2, "steps": 1, "quiet": True, "views_per_model": 2}
    config |= {"memorization_probes": 0}
    done = train_style(StyleTrainConfig(data=str(tmp_path), output_dir=str(tmp_path / "out"), **config))
    manifest = json.loads(done.with_suffix("").with_suffix(".manifest.json").read_text())
    assert len(manifest["sources"]) == 6 and manifest["settings"]["curation"]["of"] == 7
    with pytest.raises(ValueError, match=r"line 7 of .*refused, got 7.png: wrong model"):
        read_pairs(tmp_path / "items.jsonl")
    with open(tmp_path / "curated.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(lines[6]) + "\n")
    with pytest.raises(ValueError, match="wrong model"):
        read_pairs(tmp_path)
    written(tmp_path, clean)
    with pytest.raises(ValueError, match=r"items\.jsonl as it was when .* was curated"):
        read_pairs(tmp_path)


def test_a_changed_picture_is_noticed(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    run(written(tmp_path, clean), weights)
    drawing(tmp_path / "2.png", 99)
    with pytest.raises(ValueError, match=r"expected 2\.png as it was curated"):
        read_pairs(tmp_path)


def test_ticks_come_back_and_do_not_unlock(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    shutil.copy(tmp_path / "0.png", tmp_path / "same.png")
    bare = {k: v for k, v in line(tmp_path, 6).items() if k != "licence"}
    first = run(written(tmp_path, [*clean, clean[0] | {"picture": "same.png"}, bare]), weights)
    assert [item.line for item in first.kept] == [1, 2, 3, 4, 5, 6]
    digest = json.loads((tmp_path / "curation/curation.json").read_text())["set"]
    ticks = {"kind": "nerf2mesh ticks", "set": digest, "on": {"1": False, "7": True, "8": True}}
    (tmp_path / "saved.json").write_text(json.dumps(ticks))
    ticked = run(tmp_path, weights, ticks=str(tmp_path / "saved.json"))
    assert [item.line for item in ticked.kept] == [2, 3, 4, 5, 6, 7]
    assert ticked.said == ["line 8 stays off, whatever the ticks say: no licence"]
    assert [item.line for item in run(tmp_path, weights).kept] == [2, 3, 4, 5, 6, 7]
    assert len(run(tmp_path, weights, ticks="none").kept) == 6
    (tmp_path / "saved.json").write_text(json.dumps(ticks | {"set": "another"}))
    with pytest.raises(ValueError, match="those of other lines or pictures"):
        run(tmp_path, weights, ticks=str(tmp_path / "saved.json"))


def test_licences_of_a_set(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    stated = ["CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-SA-4.0", "Somebody's own terms", "CC-BY-NC-4.0"]
    lines = [entry | {"licence": licence} for entry, licence in zip(clean, stated, strict=True)]
    found = kinds(run(written(tmp_path, lines), weights, licence="CC-BY-SA-4.0", use="commercial"))
    assert found == {
        3: {"use", "licence conflict"},
        5: {"unknown licence"},
        6: {"use", "licence conflict"},
    }


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


def test_a_folder_of_pictures_alone(tmp_path: Path, weights: Path) -> None:  # noqa: F811
    drawing(tmp_path / "Größe 1.png", 1)
    drawing(tmp_path / "deep/2.png", 2)
    (tmp_path / "deep/2.txt").write_text("a thing", encoding="utf-8")
    (tmp_path / "deep/empty.jpg").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = run(tmp_path, weights, require=[])
    assert [item.name for item in found.items] == ["Größe 1.png", "deep/2.png", "deep/empty.jpg"]
    assert kinds(found) == {1: {"no caption"}, 3: {"unreadable"}}
    card = (tmp_path / "curation/card.md").read_text(encoding="utf-8")
    assert "1 have a caption" in card and str(tmp_path) not in card
    assert {item.line for item in run(tmp_path, weights).items if item.refused} == {1, 2, 3}


@pytest.mark.parametrize(
    ("make", "message"), [(lambda path: path, "got none in"), (lambda path: path / "no", "a folder")]
)
def test_nothing_to_look_at(make, message: str, tmp_path: Path, weights: Path) -> None:  # noqa: F811
    with pytest.raises(ValueError, match=message):
        run(make(tmp_path), weights)


BROWSER = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_sheet_saves_ticks_that_come_back(clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    """The page in a browser: a box is ticked off, the file is saved, and the command reads what was saved."""
    bare = {k: v for k, v in line(tmp_path, 6).items() if k != "licence"}
    run(written(tmp_path, [*clean, bare]), weights)
    page = (tmp_path / "curation/sheet.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "") and page.count('<label class="item') == 7
    script = "URL.createObjectURL = (blob) => { blob.text().then((text) => { document.title = text; }); return '#'; };"
    script += "document.querySelector('[data-line=\"3\"] input').click(); document.querySelector('.save').click();"
    (tmp_path / "probe.html").write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [*command, (tmp_path / "probe.html").as_uri()], capture_output=True, check=True, timeout=120, encoding="utf-8"
    )
    saved = html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1])
    (tmp_path / "saved.json").write_text(saved, encoding="utf-8")
    assert json.loads(saved)["on"] == {str(k): k not in (3, 7) for k in range(1, 8)}
    again = run(tmp_path, weights, ticks=str(tmp_path / "saved.json"))
    assert [item.line for item in again.kept] == [1, 2, 4, 5, 6] and again.said == []


def test_the_command(clean: list[dict], tmp_path: Path, weights: Path, monkeypatch, capsys) -> None:  # noqa: F811
    from nerf2mesh import cli

    written(tmp_path, clean)
    monkeypatch.setattr("sys.argv", ["nerf2mesh-curate", str(tmp_path), f"prior.weights={weights}", "quiet=true"])
    with pytest.raises(SystemExit) as ended:
        cli.curate()
    assert ended.value.code == 0 and "6 of 6 items kept" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["nerf2mesh-curate", str(tmp_path / "none"), f"prior.weights={weights}"])
    with pytest.raises(SystemExit) as ended:
        cli.curate()
    assert ended.value.code == 2 and "data: expected a folder" in capsys.readouterr().err


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


@pytest.mark.parametrize("name", ["curation", "curated.jsonl"])
def test_nothing_is_written_through_a_link(name: str, clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    written(tmp_path, clean)
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(ValueError, match="got a link"):
        run(tmp_path, weights)
    assert [*elsewhere.iterdir()] == []
