"""The report: complete, self-contained, safe against odd names, and alive in a browser where one is installed."""

from __future__ import annotations

import base64
import gzip
import html
import html.parser
import io
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
    viewer,
    viewer_iframe,
    viewer_page,
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
GRAPHICS = ("--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


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
        r"https?://|//[a-z]+\.", re.sub(r'"data:[^"]*"|<script type="text/plain"[^>]*>.*?</script>', "", text)
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


def test_a_page_without_a_mesh_carries_no_script(tmp_path: Path) -> None:
    assert "<script" not in write_report(tmp_path, title="nothing yet").read_text()


def test_three_js_is_whole_with_its_licence(run_folder: Path) -> None:
    here = Path(viewer.__file__).parent / "three"
    text = viewer_page(run_folder / "mesh.glb")
    (packed,) = re.findall(r'<script type="text/plain" id="three">([^<]*)</script>', text)
    assert gzip.decompress(base64.b64decode(packed)) == (here / "three.min.js").read_bytes()
    assert len(packed) < 300_000
    assert "Three.js Authors" in (here / "three.min.js").read_text(encoding="utf-8")
    assert "MIT License" in (here / "LICENSE.txt").read_text(encoding="utf-8")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_page_reads_the_glb_as_trimesh_does(run_folder: Path) -> None:
    """Vertices, triangles, edges and the texture's color, and every button's picture is another."""
    script = """<script>
      const figure = document.querySelector(".viewer");
      figure.ready.then((viewer) => {
        const geometry = viewer.meshes[0].geometry, shots = {};
        for (const button of figure.querySelectorAll("button[data-mode]")) {
          button.click();
          shots[button.dataset.mode] = viewer.canvas.toDataURL();
        }
        document.body.dataset.seen = JSON.stringify({
          points: [...geometry.attributes.position.array], faces: [...geometry.index.array],
          edges: viewer.meshes[0].edges.geometry.attributes.position.count / 2, shots,
        });
      });
    </script></body>"""
    page = run_folder / "page.html"
    page.write_text(viewer_page(run_folder / "mesh.glb").replace("</body>", script), encoding="utf-8")
    flags = [*GRAPHICS, "--virtual-time-budget=4000", "--window-size=600,520"]
    done = subprocess.run([BROWSER, *flags, "--dump-dom", page.as_uri()], capture_output=True, check=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', done.stdout.decode())
    assert found is not None
    seen = json.loads(html.unescape(found[1]))
    expected = trimesh.load(run_folder / "mesh.glb", force="mesh", process=False)
    assert np.allclose(np.reshape(seen["points"], (-1, 3)), expected.vertices, atol=1e-6)
    assert np.array_equal(np.reshape(seen["faces"], (-1, 3)), expected.faces)
    assert seen["edges"] == len(expected.edges_unique)
    assert len(set(seen["shots"].values())) == 4
    albedo = np.asarray(Image.open(io.BytesIO(base64.b64decode(seen["shots"]["albedo"].partition(",")[2]))))
    middle = albedo[albedo.shape[0] // 2, albedo.shape[1] // 2]
    factor = np.asarray(expected.visual.material.baseColorFactor[:3]) / 255.0  # multiplies linear values (glTF 2.0)
    assert middle[:3] == pytest.approx(_srgb(factor * _linear(np.array([220, 40, 30]))), abs=2) and middle[3] == 255


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.slow  # three prefiltered surroundings, drawn by the processor
def test_the_light_button_turns_through_three_surroundings_and_back(run_folder: Path) -> None:
    """In the evening the lamp stands at world -Y, which is glTF's -X: seen from the front, the left is brighter."""
    script = """<script>
      const figure = document.querySelector(".viewer");
      figure.ready.then((viewer) => {
        viewer.spinning = false;
        viewer.camera.position.set(0, 0, viewer.radius * 3).add(viewer.center);
        viewer.controls.update();
        const button = [...figure.querySelectorAll("button")].find((b) => b.textContent.startsWith("Light")), seen = [];
        viewer.draw();
        for (let k = 0; k < 5; k++) { seen.push([button.textContent, viewer.canvas.toDataURL()]); button.click(); }
        document.body.dataset.seen = JSON.stringify(seen);
      });
    </script></body>"""
    page = run_folder / "light.html"
    page.write_text(viewer_page(run_folder / "mesh.glb").replace("</body>", script), encoding="utf-8")
    flags = [*GRAPHICS, "--virtual-time-budget=4000", "--window-size=360,400"]
    done = subprocess.run([BROWSER, *flags, "--dump-dom", page.as_uri()], capture_output=True, check=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', done.stdout.decode())
    assert found is not None
    names, shots = zip(*json.loads(html.unescape(found[1])), strict=True)
    assert names == ("Light", "Light: studio", "Light: sky", "Light: evening", "Light")
    assert len(set(shots)) == 4 and shots[0] == shots[4]
    evening = np.asarray(Image.open(io.BytesIO(base64.b64decode(shots[3].partition(",")[2])))).astype(float)
    half = evening.shape[1] // 2
    left, right = (part[..., 0][part[..., 3] > 250].mean() for part in (evening[:, :half], evening[:, half:]))
    assert left > 1.3 * right


def _linear(srgb: np.ndarray) -> np.ndarray:
    c = srgb / 255.0
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _srgb(linear: np.ndarray) -> np.ndarray:
    return 255.0 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_report_lives_in_a_browser(run_folder: Path) -> None:
    _report(run_folder)
    flags = [*GRAPHICS, "--virtual-time-budget=4000"]
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
