"""The Blender add-on: its command lines, its process, its zip, and all of it inside Blender where there is one."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.config import load_config
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera
from tests.blender.check import ROOT, find_blender, in_blender, zip_in

ADDON = ROOT / "integrations" / "blender"
TO_BLENDER = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
"""The run's axes (front +X) to Blender's (front -Y)."""
needs_blender = pytest.mark.skipif(find_blender() is None, reason="needs Blender: see make check-blender")
STANDIN = """#!{python}
import json, pathlib, shutil, sys, time
asked = dict(word.split("=", 1) for word in sys.argv[1:])
out = pathlib.Path(asked["output_dir"])
(out / "argv.json").write_text(json.dumps(sys.argv[1:]))
(out / "config.yaml").write_text("optimize:\\n  steps: 20\\n  rays: 3\\n")
for step in range(1, 21):
    time.sleep(0.1)
    with open(out / "metrics.jsonl", "a") as log:
        log.write(json.dumps({{"step": step, "time_s": 0.1}}) + "\\n")
shutil.copy("{mesh}", out / "mesh.glb")
"""


def load(name: str) -> ModuleType:
    """A module of the add-on that needs no Blender."""
    spec = importlib.util.spec_from_file_location(f"n2m_blender_{name}", ADDON / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


command, process = load("command"), load("process")


def test_the_command_line_means_what_the_panel_says(tmp_path: Path) -> None:
    picture, adapter = tmp_path / "a, cup's.png", tmp_path / "ink.safetensors"
    picture.touch()
    adapter.touch()
    asked = command.Asked(
        str(picture), "tiny", 'a "red" cup', (str(adapter),), 7, "mesh.resolution=30 'input.author=A B'"
    )
    config = load_config(command.arguments(asked, tmp_path / "run"))
    assert (config.input.image, config.input.prompt, config.seed) == (str(picture), 'a "red" cup', 7)
    assert (config.lora.adapters, config.mesh.resolution, config.input.author) == ([str(adapter)], 30, "A B")
    assert config.output_dir == str(tmp_path / "run") and config.optimize.steps == 4
    words = load_config(command.arguments(command.Asked(prompt="a cup", preset="tiny"), tmp_path))
    assert (words.input.image, words.input.prompt) == (None, "a cup")


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^picture: expected a picture or a prompt"):
        command.arguments(command.Asked(), tmp_path)
    with pytest.raises(ValueError, match=r"^paint-over: expected a file"):
        command.arguments(command.Asked(start_from="m.glb", paint=str(tmp_path / "none.png")), tmp_path)
    with pytest.raises(ValueError, match=r"^more: expected settings as on a command line, got use='war; close"):
        command.arguments(command.Asked(prompt="a cup", more="use='war"), tmp_path)
    with pytest.raises(ValueError, match=r"^environment: expected a folder with bin/nerf2mesh"):
        command.find_command(str(tmp_path))
    with pytest.raises(ValueError, match=r"^environment: expected a folder or a program"):
        command.find_command(str(tmp_path / "none"))


def test_an_environment_is_a_folder_a_python_or_the_program(tmp_path: Path) -> None:
    for name in ("env/bin/nerf2mesh", "other/bin/python3.11"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert command.find_command(str(tmp_path / "env")) == [str(tmp_path / "env/bin/nerf2mesh")]
    assert command.find_command(str(tmp_path / "env/bin/nerf2mesh")) == [str(tmp_path / "env/bin/nerf2mesh")]
    python = str(tmp_path / "other/bin/python3.11")
    assert command.find_command(python) == [python, "-m", "nerf2mesh.cli"]
    assert command.clean_environment({"PYTHONPATH": "x", "PYTHONHOME": "y", "HOME": "z"}) == {"HOME": "z"}


def test_a_round_names_region_paint_and_mask(tmp_path: Path) -> None:
    paint = tmp_path / "p.png"
    paint.touch()
    round_of = {"start_from": "m.glb", "change": "color", "keep_topology": True}
    lines = command.arguments(command.Asked(has_region=True, paint=str(paint), **round_of), tmp_path)
    assert {"experiment=refine", "start_from=m.glb", "refine.vertex_group=N2M_REGION", f"refine.paint={paint}"} <= {
        *lines
    }
    assert {"refine.change=color", "refine.keep_topology=true"} <= {*lines} and "input=text" not in lines
    lines = command.arguments(command.Asked(has_region=True, mask=str(paint), **round_of), tmp_path)
    assert f"refine.mask={paint}" in lines and "refine.vertex_group=N2M_REGION" not in lines, "one region at most"


def test_every_round_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert command.next_free(tmp_path, "a cup") == tmp_path / "a-cup-1"
    (tmp_path / "a-cup-1").mkdir()
    assert command.next_free(tmp_path, "a cup") == tmp_path / "a-cup-2"
    assert command.next_free(tmp_path, "../..").parent == tmp_path
    assert command.next_free(tmp_path, "a cup", ".png") == tmp_path / "a-cup-1.png"


def started(folder: Path, code: str) -> object:
    return process.Run([sys.executable, "-c", code], folder, dict(os.environ))


def ended(run: object) -> str:
    end = time.monotonic() + 30
    while run.status == "running" and time.monotonic() < end:
        time.sleep(0.02)
    return run.status


def test_a_run_is_done_failed_or_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = started(tmp_path / "done", "open('mesh.glb', 'w')")
    assert ended(done) == "done"
    failed = started(tmp_path / "failed", "import sys; print('first'); sys.exit('error: x: expected 1, got 2; fix it')")
    assert ended(failed) == "failed" and failed.problem() == "x: expected 1, got 2; fix it"
    assert ended(started(tmp_path / "none", "pass")) == "failed", "no mesh"
    monkeypatch.setattr(process, "PATIENCE_S", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('up', 'w'); time.sleep(60)"
    run = started(tmp_path / "deaf", deaf)
    while not (tmp_path / "deaf" / "up").exists():
        time.sleep(0.02)
    run.cancel()
    assert ended(run) == "cancelled"


def test_progress_is_read_from_a_run_s_own_files(tmp_path: Path) -> None:
    from nerf2mesh.report.metrics_log import MetricsLog
    from nerf2mesh.run.settings import shareable_yaml

    run = started(tmp_path, "pass")
    assert run.progress() == (0, 0)
    (tmp_path / "config.yaml").write_text(shareable_yaml(load_config(["preset=tiny", "optimize.steps=77"])))
    MetricsLog(tmp_path / "metrics.jsonl").write(31, {"loss/color": 0.5})
    assert run.progress() == (31, 77) and run.words().startswith("step 31 of 77")


def test_the_zip_is_an_extension_under_the_gpl(tmp_path: Path) -> None:
    path = zip_in(tmp_path / "one")
    assert path.read_bytes() == zip_in(tmp_path / "two").read_bytes(), "the same files give the same bytes"
    with zipfile.ZipFile(path) as archive:
        names, manifest = archive.namelist(), archive.read("blender_manifest.toml").decode()
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    assert {"__init__.py", "blender_manifest.toml", "LICENSE"} < set(names)
    assert 'blender_version_min = "4.2.0"' in manifest and 'license = ["SPDX:GPL-3.0-or-later"]' in manifest
    assert all(text.startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n") for text in sources.values())
    imported = {name.split(".")[0] for text in sources.values() for name in imports(text)}
    assert imported <= {*sys.stdlib_module_names, "bpy", "mathutils"}, "pure standard library and Blender"


def imports(source: str) -> list[str]:
    nodes = list(ast.walk(ast.parse(source)))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]


def box() -> TriangleMesh:
    """No two sides alike, with a texture that has no two like quarters; 0.2 x 0.6 x 1, off the middle."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2, indexing="ij"), -1).reshape(-1, 2)
    cell = np.array([9 * i + j for i in range(8) for j in range(8)])
    pair = np.concatenate([np.stack([cell, cell + 9, cell + 10], 1), np.stack([cell, cell + 10, cell + 1], 1)])
    corners, faces, uv = [], [], []
    for k in range(3):
        for sign in (-1.0, 1.0):
            side = np.insert(grid, k, sign, axis=1)
            turned = pair if (sign > 0) == (k != 1) else pair[:, ::-1]
            faces.append(turned + 81 * len(corners))
            corners.append(side)
            uv.append((grid[turned] * 0.5 + 0.5).astype(np.float32))
    vertices = np.concatenate(corners) * [0.1, 0.3, 0.5] + [0.05, -0.1, 0.2]
    ramp = np.linspace(30, 220, 64)
    texture = np.stack([*np.meshgrid(ramp, ramp), np.full((64, 64), 90.0)], -1).astype(np.uint8)
    return TriangleMesh(vertices, np.concatenate(faces), uv=np.concatenate(uv), texture=texture)


@pytest.mark.slow
@needs_blender
def test_in_blender_with_a_stand_in_for_the_run(tmp_path: Path) -> None:
    """Axes, material, region, rendering and camera against the mesh that the stand-in hands out."""
    mesh, program = box(), tmp_path / "env" / "bin" / "nerf2mesh"
    program.parent.mkdir(parents=True)
    save_mesh(mesh, tmp_path / "box.glb")
    program.write_text(STANDIN.format(python=sys.executable, mesh=tmp_path / "box.glb"))
    program.chmod(0o755)
    seen = in_blender(tmp_path, tmp_path / "env")
    assert seen["install"] == seen["run"] == seen["refine"] == seen["uninstall"] == ["FINISHED"]
    assert seen["left"] == {"enabled": False, "property": False, "files": False}
    low, high = np.sort(mesh.bounds @ TO_BLENDER.T, axis=0)
    assert np.allclose(seen["mesh"]["bounds"], [low, high], atol=1e-3)
    assert (seen["mesh"]["texture"], seen["mesh"]["metallic"], seen["collection"]) == (
        [64, 64, "sRGB"],
        0.0,
        ["nerf2mesh"],
    )
    assert seen["cancelled"] == "cancelled" and seen["progress"].startswith("step") and seen["longest look, ms"] < 250
    assert seen["refined against before"] == {"same count": True, "most moved": 0.0}
    assert "_N2M_REGION" not in seen["attributes of the source"]
    camera = camera_of(seen["camera"])
    shown = rasterize_mesh(mesh, camera)
    drawn = np.asarray(Image.open(tmp_path / "rendered.png")).astype(np.float32) / 255.0
    inside, opaque = shown.opacity.numpy() > 0.5, drawn[..., 3] > 0.5
    assert (inside & opaque).sum() / (inside | opaque).sum() > 0.95
    both = (shown.opacity.numpy() > 0.99) & (drawn[..., 3] > 0.99)
    assert -10 * np.log10(np.square(shown.rgb.numpy() - drawn[..., :3])[both].mean()) > 35.0, "the texture's own colors"
    check_region(tmp_path, mesh)


def camera_of(values: dict) -> Camera:
    numbers = [torch.tensor(values[name]) for name in ("camera_to_world", "focal_px", "principal_px")]
    return Camera(*numbers, values["width_px"], values["height_px"], values["orthographic"])


def check_region(folder: Path, mesh: TriangleMesh) -> None:
    """The region that was sent is the front, +X, of the mesh that was sent; the paint-over is named beside it."""
    import trimesh

    (sent,) = folder.glob("runs/*refined*/source-*.glb")
    shape = trimesh.load(sent, force="mesh")
    marks = np.asarray(shape.vertex_attributes["_N2M_REGION"]).reshape(-1)
    front = np.asarray(shape.vertices) @ np.array([0.0, 0.0, 1.0])  # glTF's +Z is the run's +X
    assert np.allclose(front[marks > 0.5], mesh.bounds[1, 0], atol=1e-4) and (marks > 0.5).sum() >= 81
    lines = json.loads((sent.parent / "argv.json").read_text())
    assert "refine.vertex_group=N2M_REGION" in lines and f"start_from={sent}" in lines
    assert any(line.startswith("refine.paint=") for line in lines)


@pytest.mark.slow
@needs_blender
def test_in_blender_with_real_runs(tmp_path: Path) -> None:
    seen = in_blender(tmp_path)
    assert seen["run"] == seen["refine"] == ["FINISHED"] and seen["cancelled"] == "cancelled"
    assert {"mesh.glb", "report.html", "provenance.json"} <= {*seen["run folder"]}
    assert seen["mesh"]["texture"][2] == seen["refined"]["texture"][2] == "sRGB"
    assert seen["refined against before"]["same count"], "keep_topology"
    (refined,) = tmp_path.glob("runs/*refined*/provenance.json")
    assert json.loads(refined.read_text())["parent"]["name"] == "source-duck-1.glb"
