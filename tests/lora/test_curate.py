"""Curation of a style adapter's data: each fault is found where it was put, and nowhere else; training obeys."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.lora.train.pairs import read_pairs
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.priors import PriorConfig
from tests.lora.curated import clean, compared_once, drawing, kinds, line, run, written  # noqa: F401  (fixtures)
from tests.lora.test_style import weights  # noqa: F401  (a fixture)

pytest.importorskip("imagehash", reason="needs the curate extra")


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


@pytest.mark.parametrize("name", ["curation", "curated.jsonl"])
def test_nothing_is_written_through_a_link(name: str, clean: list[dict], tmp_path: Path, weights: Path) -> None:  # noqa: F811
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    written(tmp_path, clean)
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(ValueError, match="got a link"):
        run(tmp_path, weights)
    assert [*elsewhere.iterdir()] == []
