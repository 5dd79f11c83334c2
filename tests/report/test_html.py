"""The report: complete, self-contained, safe against odd names, and alive in a browser where one is installed."""

from __future__ import annotations

import html.parser
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from nerf2mesh.report import (
    MetricsLog,
    ReportConfig,
    StageClock,
    viewer_iframe,
    write_json,
    write_report,
    write_turntable,
)
from nerf2mesh.report.charts import line_chart, smoothed, thinned
from nerf2mesh.report.sections import curve_panels
from nerf2mesh.types import Camera, Observations, View

BROWSER = next(
    (path for name in ("chromium-headless-shell", "chromium", "google-chrome") if (path := shutil.which(name))), None
)


def _mesh(path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    image = Image.fromarray(np.full((8, 8, 3), (220, 40, 30), np.uint8))
    sphere.visual = trimesh.visual.TextureVisuals(
        uv=np.random.default_rng(0).random((len(sphere.vertices), 2)), image=image
    )
    sphere.export(path)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "previews").mkdir()
    for step in (0, 50, 100):
        Image.new("RGB", (64, 32), (step, 100, 100)).save(tmp_path / "previews" / f"step_{step:06d}.png")
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in range(100):
        log.write(step, {"loss/color": 1.0 / (step + 1), "loss/mask": 0.1, "grad_norm/field": 2.0})
    write_turntable(tmp_path / "turntable.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3)
    _mesh(tmp_path / "mesh.glb")
    (tmp_path / "config.yaml").write_text("seed: 7\n")
    (tmp_path / "overrides.yaml").write_text("- preset=demo\n")
    write_json(tmp_path / "versions.json", {"torch": "2.13.0"})
    return tmp_path


def _report(folder: Path, **changes: object) -> str:
    notes = {
        "path": "pictures/<odd> & name.png",
        "file_size_px": (40, 30),
        "foreground": "plain",
        "mask_share": 0.25,
        "picture": np.zeros((30, 40, 3), np.uint8),
        "mask": np.zeros((30, 40), np.uint8),
        "warnings": ["a <b>warning</b>"],
    }
    clock = StageClock()
    with clock.stage("optimize"), clock.part("render"):
        pass
    arguments = {
        "observations": Observations((View(torch.zeros(16, 16, 4), Camera.orbit(0, 0, width_px=16)),), notes=notes),
        "facts": {"mesh": {"vertices": 162, "faces": 320, "watertight": True, "aspect": {"p50": 1.25}}},
        "metrics": {"psnr": {"value": 20.0, "baseline": 18.0, "better": "higher"}, "chamfer": 0.03},
        "stages": clock.to_dict(),
        "warnings": ["the field was empty"],
    }
    return write_report(folder, **(arguments | changes)).read_text()


def test_damaged_previews_leave_the_report_whole(run_folder: Path) -> None:
    """What a killed run or a full disk may leave: nothing, half a file, other bytes."""
    whole = (run_folder / "previews/step_000050.png").read_bytes()
    for name, data in (("000000", b""), ("000050", whole[: len(whole) // 2]), ("000100", b"no picture")):
        (run_folder / f"previews/step_{name}.png").write_bytes(data)
    Image.new("RGB", (64, 32)).save(run_folder / "previews/step_000150.png")
    text = _report(run_folder)
    assert "Not readable: step_000000.png, step_000050.png, step_000100.png" in text and "step 150</figcaption>" in text


def test_every_section_is_there(run_folder: Path) -> None:
    text = _report(run_folder)
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        *("Result", "Input", "Turntable", "Warnings", "Mesh", "Metrics"),
        *("Along the run", "Curves", "Time and memory", "How it was made"),
    ]
    for shown in ("preset=demo", "seed: 7", "2.13.0", "step 100", "the field was empty", "Mask by plain: 25.0%", "+2"):
        assert shown in text
    assert "<b>320</b> triangles" in text and text.index("watertight") < text.index("All that was measured")
    assert text.index("All that was measured") < text.index("aspect p50")
    assert text.count('<div class="chart">') == 2


def test_the_threshold_is_drawn_where_one_was_searched_for(run_folder: Path) -> None:
    rows = [
        {"density": d, "iou": 0.9 + 0.01 * k, "depth_error": 0.05 - 0.01 * k} for k, d in enumerate((1.0, 10.0, 99.0))
    ]
    rows.append({"density": 400.0, "iou": 0.1, "depth_error": math.nan})
    facts = {"threshold": {"logit": 2.3, "density": 10.0, "curve": rows}, "mesh": {"faces": 320, "genus": 1}}
    text = _report(run_folder, facts=facts)
    assert "Threshold of the surface" in text and "silhouette IoU" in text and "density 10 per world unit" in text
    assert text.count('<div class="chart">') == 4 and "<b>320</b> triangles" in text and "threshold density" in text
    assert "Threshold of the surface" not in _report(run_folder, facts={"threshold": {"density": 1.0, "curve": []}})


def test_nothing_comes_from_outside(run_folder: Path) -> None:
    text = _report(run_folder)
    assert not re.findall(
        r"https?://|//[a-z]+\.", re.sub(r'"data:[^"]*"|<script type="text/plain">.*?</script>', "", text)
    )
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert sources and all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text


def test_names_are_escaped(run_folder: Path) -> None:
    text = _report(run_folder)
    assert "&lt;odd&gt; &amp; name" in text and "<odd>" not in text
    assert "a &lt;b&gt;warning" in text


def test_empty_folder_gives_a_report(tmp_path: Path) -> None:
    text = write_report(tmp_path, title="nothing yet").read_text()
    assert "<h1>nothing yet</h1>" in text and "<h2>" not in text


def test_torn_files_do_not_stop_the_report(run_folder: Path) -> None:
    (run_folder / "versions.json").write_text('{"torch": ')
    (run_folder / "metrics.json").write_text("[")
    text = _report(run_folder, metrics=None)
    assert "How it was made" in text
    for name in ("versions.json", "metrics.json"):
        assert f"<li>{name}: expected JSON, got damaged text" in text


def test_large_mesh_is_linked(run_folder: Path) -> None:
    text = _report(run_folder, config=ReportConfig(max_embedded_mesh_bytes=10))
    assert '<a href="mesh.glb">' in text and "<canvas" not in text


def test_tags_are_balanced(run_folder: Path) -> None:
    class Check(html.parser.HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attributes: object) -> None:
            if tag not in ("meta", "img", "line", "path"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("path", "line"):
                assert self.open.pop() == tag

    check = Check()
    check.feed(_report(run_folder))
    assert check.open == []


def test_charts() -> None:
    assert "(log)" in line_chart("loss", {"a": (range(100), [10.0 ** (-i / 20) for i in range(100)])})
    assert "(log)" not in line_chart("loss", {"a": (range(100), [float(i - 50) for i in range(100)])})
    assert "nan" not in line_chart("flat", {"a": ([3], [0.0])})
    panels = curve_panels({"a/big": ([1, 2], [3e5, 2e5]), "a/small": ([1, 2], [0.0, 0.5]), "a/less": ([1], [0.2])})
    assert panels.count('<div class="chart">') == 2 and panels.index("small") < panels.index("less")
    assert re.findall(r"<h3>(.*?)</h3>", panels) == ["a: big", "a: small, less"]
    assert line_chart("none", {"a": ([], [])}) == ""
    xs, ys = thinned(range(10_000), [2.0] * 10_000)
    assert len(xs) == len(ys) <= 400 and set(ys) == {2.0}
    assert smoothed([3.0] * 50) == pytest.approx([3.0] * 50)


def test_viewer_for_notebooks(run_folder: Path) -> None:
    text = viewer_iframe(run_folder / "mesh.glb", height_px=300)
    assert text.startswith("<iframe srcdoc=") and "allow-scripts" in text and "height: 360px" in text


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_viewer_script_reads_the_glb(run_folder: Path) -> None:
    script = (Path(__file__).parents[2] / "nerf2mesh" / "report" / "viewer.js").read_text()
    probe = """
      globalThis.document = { querySelectorAll: () => [] };
      eval(require("fs").readFileSync(0, "utf8") + ";globalThis.api = { readGlb, readAccessor, nodeMatrices, edges };");
      const glb = api.readGlb(new Uint8Array(require("fs").readFileSync(process.argv[1])));
      const [[mesh]] = api.nodeMatrices(glb.json), primitive = mesh.primitives[0];
      const points = api.readAccessor(glb, primitive.attributes.POSITION).data;
      const faces = api.readAccessor(glb, primitive.indices).data;
      console.log(JSON.stringify({ points: [...points], faces: [...faces], edges: api.edges(faces).length / 2 }));
    """
    done = subprocess.run(
        ["node", "-e", probe, str(run_folder / "mesh.glb")],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen = json.loads(done.stdout)
    expected = trimesh.load(run_folder / "mesh.glb", force="mesh", process=False)
    assert np.allclose(np.reshape(seen["points"], (-1, 3)), expected.vertices, atol=1e-6)
    assert np.array_equal(np.reshape(seen["faces"], (-1, 3)), expected.faces)
    assert seen["edges"] == len(expected.edges_unique)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_report_lives_in_a_browser(run_folder: Path) -> None:
    _report(run_folder)
    flags = [
        "--headless",
        "--no-sandbox",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--virtual-time-budget=3000",
    ]
    picture = run_folder / "shot.png"
    command = [
        BROWSER,
        *flags,
        "--window-size=1200,700",
        f"--screenshot={picture}",
        (run_folder / "report.html").as_uri(),
    ]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    shot = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    red = (shot[..., 0] > 120) & (shot[..., 1] < 90) & (shot[..., 2] < 90)
    assert red[100:600, 80:700].mean() > 0.05  # the sphere's texture, drawn by the viewer


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.parametrize("width", [pytest.param(1200, marks=pytest.mark.slow), 700])
def test_no_card_overflows(run_folder: Path, width: int) -> None:
    """Long facts and metrics wrap: neither the page nor a card is wider than its place."""
    facts = {"mesh": {"vertices": 12345678}, "unwrap_" + "charts_" * 6: [0.123456] * 6, "note": "word" * 40}
    metrics = {"input view PSNR of a very long name": {"value": 1e9, "unit": "dB"}}
    text = _report(run_folder, facts=facts, metrics=metrics)
    script = "document.querySelectorAll('details').forEach(e => e.open = true);"
    script += "const cards = [...document.querySelectorAll('main, section')];"
    script += "const wide = cards.filter(e => e.scrollWidth > e.clientWidth + 1);"
    script += "document.title = 'wide: ' + wide.map(e => e.innerText.slice(0, 20)).join('|') + '.';"
    page = run_folder / "measured.html"
    page.write_text(text.replace("</body>", "") + f"<script>{script}</script>", encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", f"--window-size={width},700", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120, encoding="utf-8")
    assert "<title>wide: .</title>" in done.stdout, re.findall(r"<title>.*?</title>", done.stdout)
