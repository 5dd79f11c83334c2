"""The report of a folder that somebody sent: damaged and foreign files are named, nothing hangs, no path is shown."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

import pytest
from PIL import Image

from nerf2mesh.report import provenance, read_metrics, write_json, write_report
from nerf2mesh.utils.without_paths import without_paths

TEXTS = {
    "timings.json": ['{"a": 1}', '{"a": {}}', '{"a": {"seconds": "1"}}', '{"a": {"seconds": Infinity}}', "[]"],
    "metrics.json": ['{"a": {"value": "x", "baseline": 1}}', '{"a": {"baseline": []}}', "3"],
    "provenance.json": ['{"code": 1}', '{"code": {"commit": 3}}', '{"versions": []}', "{"],
    "cost.json": ['{"stages": 1}', '{"stages": {"a": {"seconds": "1"}}}', '{"stages": {}, "method": 3}', "[]"],
    "warnings.json": ['{"a": 1}', "[1]", '["a"'],
    "versions.json": ["[1]", "[" * 5000],
    "overrides.yaml": ["a: [", "*a"],
    "config.yaml": ["a: &x 1\nb: *x", "!!python/object:os.system {}"],
}


@pytest.mark.parametrize("name", TEXTS)
def test_damaged_and_foreign_files_are_named(name: str, tmp_path: Path) -> None:
    for text in TEXTS[name]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        page = write_report(tmp_path).read_text("utf-8")
        assert f"<li>{name}: expected" in page, text


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_only_regular_files_are_shown_and_none_hangs(kind: str, tmp_path: Path) -> None:
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("my secret", encoding="utf-8")
    (run / "previews").mkdir(parents=True)
    names = (*TEXTS, "metrics.jsonl", "mesh.glb", "turntable.mp4", "turntable.gif", "previews/step_000001.png")
    for name in (*names, "report.html", "report.html.part"):
        plant = {"fifo": os.mkfifo, "link": lambda path: path.symlink_to(mine), "folder": Path.mkdir}[kind]
        if kind == "link" or name in names:
            plant(run / name)
    page = write_report(run).read_text("utf-8")
    assert mine.read_text("utf-8") == "my secret" and "my secret" not in page
    assert all(f"{name}: expected a regular file" in page for name in (*TEXTS, "metrics.jsonl"))


def test_a_damaged_preview_is_named_and_the_others_shown(tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "previews/step_000001.png")
    (tmp_path / "previews/step_000002.png").touch()
    (tmp_path / "previews/step_000003.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    page = write_report(tmp_path).read_text("utf-8")
    assert "step 1" in page and "Not readable: step_000002.png, step_000003.png" in page


def test_previews_of_a_folder_elsewhere_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "mine/step_000001.png")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/previews").symlink_to(tmp_path / "mine")
    assert "step 1" not in write_report(tmp_path / "run").read_text("utf-8")


def test_numbers_of_a_foreign_log_are_finite(tmp_path: Path) -> None:
    rows = (
        '{"step": 1, "a": NaN, "b": "x", "c": 2, "d": null}',
        '{"step": "1"}',
        "[" * 5000,
        "9" * 5000,
        '{"step": 2}',
    )
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows), encoding="utf-8")
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "c": 2, "d": None}, {"step": 2}]


def test_no_absolute_path_and_no_host_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home of/maria mustermann"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for module, name in ((platform, "node"), (socket, "gethostname")):
        monkeypatch.setattr(module, name, lambda: "maria-pc")
    (tmp_path / "config.yaml").write_text(
        f"input: {{image: '{home}/pictures of/cup.png', prompt: a 1/2 cup}}\n"
        f"lora: {{adapters: ['{home}/a.safetensors']}}\n"
        f"prior: {{weights: /srv/group maria/w.safetensors}}\n",
        encoding="utf-8",
    )
    lines = [f"- 'input.image={home}/pictures of/cup.png'", "- lora=[/home/maria/b.safetensors,c.safetensors]"]
    (tmp_path / "overrides.yaml").write_text("\n".join(lines), encoding="utf-8")
    write_json(tmp_path / "warnings.json", [f"lora: {home}/a.safetensors: 3 of 7 layers fit, see https://a.org/b/c"])
    weights = {"prior": {"model": str(home / "models/sd21"), "licence": "CC-BY-4.0"}}
    write_json(tmp_path / "provenance.json", provenance(weights=weights))
    page = write_report(tmp_path).read_text("utf-8")
    assert "maria" not in page and "maria" not in (tmp_path / "provenance.json").read_text("utf-8")
    for kept in ("cup.png", "a.safetensors", "b.safetensors", "c.safetensors", "w.safetensors", "sd21", "a 1/2 cup"):
        assert kept in page
    assert "https://a.org/b/c" in page


def test_relative_paths_and_prose_stay() -> None:
    for text in ("pictures/cup.png", "a cup / a mug", "../x/y.png", "torch 2.9+cpu", "org/model", "input.prompt=a/b"):
        assert without_paths(text) == text
