"""Protocol `objects` on a made-up folder of cubes and balls: the draw, the cases, their truth, the tables."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.evaluate.protocols import objects
from nerf2mesh.evaluate.protocols.cases import load_case, object_names
from nerf2mesh.evaluate.protocols.core import core_case, scene
from nerf2mesh.evaluate.protocols.names import groups, split_yaw, with_yaws
from nerf2mesh.evaluate.protocols.objects import draw, drawn_names, object_case
from nerf2mesh.evaluate.protocols.procedural_objects import turned_scene
from nerf2mesh.evaluate.protocols.scoring import Settings, score
from nerf2mesh.evaluate.tables.page import Pictures, write_page
from nerf2mesh.evaluate.tables.pictures import TURN_FRAMES, TURN_PX, write_turntable
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.split_tables import best_baseline, paired_rows, shared_cases, split_report
from nerf2mesh.evaluate.tables.statistics import by_object, compare, estimate
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.objects.folder import ObjectEntry
from nerf2mesh.sweep.commands import COMMANDS
from tests.evaluate.shapes import cube
from tests.objects.files import pack, two_colored_ball, write_manifest

KINDS = ("animal", "animal", "animal", "animal", "food", "food", "vehicle")


def colored_cube() -> TriangleMesh:
    """Gray, its side at +Y red, no vertex shared by two faces; inside the unit ball."""
    box = cube(side=1.1)
    corners = box.vertices[box.faces].reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    plain = TriangleMesh(corners, faces)
    side = np.repeat(plain.face_normals[:, 1] > 0.9, 3)[:, None]
    colors = np.where(side, [[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.5]]).astype(np.float32)
    return TriangleMesh(corners, faces, np.repeat(plain.face_normals, 3, axis=0), colors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Seven objects of each of the three splits: balls, but for one cube in `outside`."""
    root, lines = tmp_path_factory.mktemp("folder"), []
    (root / "models").mkdir()
    for split in ("train", "heldout", "outside"):
        for k, kind in enumerate(KINDS):
            name = f"{split}{k}.npz"
            pack(root / "models" / name, colored_cube() if name == "outside6.npz" else two_colored_ball(3))
            said = {"licence": "CC0-1.0" if k else "CC-BY-4.0", "source": f"maker-{split}", "near_test": k == 1}
            lines.append({"file": name, "split": split, "kind": kind, "uncoloured": k == 2, **said})
    write_manifest(root, lines)
    return str(root)


def test_the_draw_is_balanced_by_kind_and_grows_at_its_end(folder: str) -> None:
    names = drawn_names(folder, "both", 6)
    assert [name[:4] for name in names] == ["held", "outs"] * 6 and len(set(names)) == 12
    assert drawn_names(folder, "both", 3) == names[:6], "a smaller draw is the beginning of a larger one"
    assert drawn_names(folder, "heldout", 6) == names[::2]
    for some in (drawn_names(folder, "outside", 3), drawn_names(folder, "heldout", 5)):
        counts = Counter(KINDS[int(name[-1])] for name in some)
        assert set(counts) == {"animal", "food", "vehicle"} and counts["animal"] <= 2
    drawn = {tuple(drawn_names(folder, "heldout", 3, seed)) for seed in range(8)}
    assert len(drawn) > 1, "the seed matters"
    with pytest.raises(ValueError, match=r"per_split: expected 1 to 7"):
        drawn_names(folder, "outside", 8)


def test_every_object_is_drawn_once() -> None:
    pool = [ObjectEntry(Path(f"{kind}{k}"), "outside", kind) for kind, n in (("a", 5), ("b", 1)) for k in range(n)]
    found = list(draw(pool, 0))
    assert Counter(found) == Counter(pool) and {e.kind for e in found[:2]} == {"a", "b"}


def test_names_are_those_not_trained_on(folder: str) -> None:
    names = object_names("objects", data_dir=folder)
    assert len(names) == 14 and not any(name.startswith("train") for name in names)
    with pytest.raises(ValueError, match="expected names out of"):
        object_names("objects", ["train0"], data_dir=folder)
    with pytest.raises(ValueError, match="data_dir: expected the folder"):
        object_names("objects")
    with pytest.raises(ValueError, match="data_dir: expected a folder of meshes"):
        object_names("objects", data_dir=folder + "/none")


def test_a_ball_is_measured_by_closed_forms(folder: str, tmp_path: Path) -> None:
    case = object_case("heldout0", folder, cache=tmp_path)
    about = case.about
    assert about["split"] == "heldout" and about["kind"] == "animal" and about["licence"] == "CC-BY-4.0"
    assert about["closed"] and not about["near_test"] and about["yaw_deg"] == 0
    assert about["unseen"] == pytest.approx(1 - (1 - 0.9 / 3.2) / 2, abs=0.015)
    assert about["solidity"] == pytest.approx(1.0, abs=0.02)
    assert float(case.solid.float().mean()) == pytest.approx(np.pi / 6 * 0.9**3, rel=0.01)
    half = TriangleMesh(case.mesh.vertices * 0.5, case.mesh.faces, vertex_colors=case.mesh.vertex_colors)
    scores = score(case, half)
    assert scores["volume_iou"] == pytest.approx(0.125, abs=0.005)
    assert scores["chamfer"] == pytest.approx(0.45, abs=0.005)
    perfect = score(case, case.mesh)
    assert perfect["volume_iou"] == 1.0 and perfect["psnr_unseen"] > 45 and perfect["color_error"] < 0.5
    seen, unseen = case.regions
    assert float(seen[0].sum()) > 0.6 * float((seen | unseen)[0].sum()), "20 degrees below the given view"
    assert not seen[4].any() or float(seen[4].sum()) < 0.1 * float(unseen[4].sum()), "from behind"


def test_colors_carry_the_sky_and_turning_shows_another_side(folder: str) -> None:
    """A side's brightness is 0.6 + 0.4 / 2, whatever way it looks; its red side comes to the front at 90 degrees."""
    front, turned = object_case("outside6", folder), object_case("outside6@090", folder)
    middle = front.image[140, 128], turned.image[140, 128]
    assert torch.allclose(middle[0], torch.tensor([0.4, 0.4, 0.4, 1.0]), atol=0.01)
    assert torch.allclose(middle[1], torch.tensor([0.8, 0.0, 0.0, 1.0]), atol=0.01)
    assert turned.name == "outside6@090" and turned.about["yaw_deg"] == 90
    assert float((front.solid == turned.solid).float().mean()) > 0.999
    assert front.about["unseen"] == pytest.approx(4 / 6, abs=0.015)
    uncolored, again = object_case("heldout2", folder), object_case("heldout2", folder)
    assert uncolored.about["uncolored"] and torch.equal(uncolored.image, again.image)


def test_more_given_views_show_more(folder: str) -> None:
    one = object_case("heldout0", folder)
    four = load_case("objects", "views4", "heldout0", data_dir=folder)
    azimuths = [
        [
            round(float(view.camera.azimuth_deg)) % 360
            for view in load_case("objects", k, "heldout0", data_dir=folder).views
        ]
        for k in ("views2", "views3")
    ]
    assert azimuths == [[0, 180], [0, 120, 240]]
    assert len(four.views) == 4 and torch.equal(four.image, one.image)
    assert float(four.regions[1].float().mean()) < 0.3 * float(one.regions[1].float().mean())
    drawn = load_case("objects", "sketch", "heldout0", data_dir=folder, look="line")
    assert not torch.equal(drawn.image, one.image) and torch.equal(drawn.truth.rgb, one.truth.rgb)


def test_the_truth_is_made_once(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = object_case("heldout1", folder, cache=tmp_path)
    monkeypatch.setattr(objects, "_truth", lambda *_: pytest.fail("rendered again"))
    again = object_case("heldout1", folder, cache=tmp_path)
    assert torch.equal(again.truth.rgb, case.truth.rgb) and torch.equal(again.solid, case.solid)
    assert again.about == case.about and torch.equal(again.regions[1], case.regions[1])


def test_sides_of_core_are_turns(tmp_path: Path) -> None:
    """The avocado here is a ball, red where x > 0: seen from +Y the red half is to the left."""
    (tmp_path / "avocado").mkdir()
    save_mesh(two_colored_ball(3), tmp_path / "avocado" / "Avocado.glb")
    small, found = Settings(supersample=1, iou_resolution=16, surface_samples=200), {}
    for name in with_yaws(["avocado"], 4):
        case = core_case(name, data_dir=tmp_path, settings=small)
        assert case.name == name
        left, right = case.image[128, 90, :3], case.image[128, 166, :3]
        found[name] = "".join("r" if color[0] > color[2] else "b" for color in (left, right))
    assert found == {"avocado": "rr", "avocado@090": "rb", "avocado@180": "bb", "avocado@270": "br"}


def test_names_of_sides() -> None:
    assert with_yaws(["a", "b"], 4) == ["a", "b", "a@090", "b@090", "a@180", "b@180", "a@270", "b@270"]
    assert split_yaw("a@090") == ("a", 90) and split_yaw("a@b") == ("a@b", 0) and with_yaws(["a"], 1) == ["a"]


def test_sides_of_one_object_are_one_piece_of_evidence() -> None:
    records = [Record("m", f"o{k}{side}", 0, {"psnr": k + shift}) for k in range(6) for side, shift in TURNS]
    assert {name: float(values[0]) for name, values in by_object(records, "m", "psnr").items()} == {
        f"o{k}": k + 1.0 for k in range(6)
    }
    assert estimate(records, "m", "psnr").n_objects == 6
    others = [Record("n", f"o{k}", 0, {"psnr": k - 1.0}) for k in range(6)]
    found = compare([*records, *others], "m", "n", "psnr")
    assert found.margin == pytest.approx(1.0) and found.n_objects == 6, "the front alone, which both have"


TURNS = (("", 0.0), ("@180", 2.0))


def results(n: int = 8) -> Results:
    """Two settings and two baselines on objects of two splits; the last object lacks the second setting."""
    records, about = [], {}
    for k in range(n):
        about[f"o{k}"] = {
            "split": "outside" if k % 2 else "heldout",
            "kind": "food" if k < 3 else "animal",
            "source": "maker",
            "licence": "CC0-1.0",
            "near_test": k == 0,
            "closed": k < 5,
            "uncolored": False,
            "unseen": 0.5 + 0.05 * k,
            "solidity": 0.2 + 0.1 * k,
        }
        values = {"sphere": 0.3, "copied input": 0.1, "A": 0.4 + 0.01 * k, "B": 0.5 + 0.02 * k}
        for method, iou in values.items() if k < n - 1 else list(values.items())[:3]:
            records.append(Record(method, f"o{k}", 0, {"volume_iou": iou, "psnr": 10 * iou, "psnr_unseen": iou}))
    return Results("objects", tuple(records), about=about)


def test_tables_compare_the_same_cases() -> None:
    found = results()
    shared = shared_cases(found.records, ["A", "B"], ["sphere", "copied input"])
    assert {r.object for r in shared} == {f"o{k}" for k in range(7)}
    late = (*found.records, Record("A", "o0", 1, {"volume_iou": 0.9}))
    assert all(r.seed == 0 for r in shared_cases(late, ["A", "B"], ["sphere"]))
    assert best_baseline(shared, ["sphere", "copied input"], "volume_iou") == "sphere"
    assert best_baseline(shared, ["sphere", "copied input"], "chamfer") is None
    heading, rows = paired_rows(shared, "A", "B")
    row = dict(zip(heading, next(row for row in rows if row[0].startswith("volume IoU"))))
    assert row["first"] == "0.4300" and row["other"] == "0.5600" and row["won"] == "7 of 7"
    assert row["difference"].startswith("+0.1300 (") and row["p"] == f"{2 / 2**7:.3g}"


def test_the_report_says_what_and_how_many() -> None:
    text = split_report(results(), ["A", "B"], ["sphere", "copied input"], n_wanted=10)
    assert "7 of 10 cases are done by every method" in text
    assert "Held out, of the sources trained on: 4 objects" in text and "Outside, of other sources: 3 objects" in text
    assert "near_test): 1 (o0)" in text and "Closed meshes: 5 of 7" in text and "CC0-1.0" in text
    for title in ("B against A:", "A against the best baseline:", "## By kind", "PSNR, unseen"):
        assert title in text
    judged = replace(results(), records=tuple(replace(r, metrics={"lpips_vgg": 0.5}) for r in results().records))
    text = split_report(judged, ["A", "B"], ["sphere"], n_wanted=8, notes=["Weights: lpips_vgg by heads.pth."])
    assert "LPIPS (VGG) [-]" in text and "by heads.pth" in text
    nothing = split_report(Results("objects", ()), ["A"], [], n_wanted=4)
    assert "0 of 4 cases are done" in nothing and "No table yet" in nothing


def test_splits_and_kinds_are_groups() -> None:
    found = results()
    names = list(found.about)
    assert groups("objects", names, found.about)["split outside"] == ["o1", "o3", "o5", "o7"]
    assert set(groups("objects-views4", names, found.about)) == {
        *("split heldout", "split outside", "kind food", "kind animal")
    }
    assert groups("core", ["spot@090", "proc-00"])["real"] == ["spot@090"]


def test_what_is_known_survives_the_file(tmp_path: Path) -> None:
    found = results()
    found.save(tmp_path / "results.json")
    read = Results.load(tmp_path / "results.json")
    assert read.about == found.about and read.merged(results(9)).about["o8"]["split"] == "heldout"


def test_a_page_of_many_objects_shows_the_worst_and_the_best(tmp_path: Path) -> None:
    records = [Record("m", f"o{k:02d}", 0, {"volume_iou": 0.01 * k, "normal_consistency": 1.0}) for k in range(40)]
    write_page(tmp_path / "page.html", Results("objects", tuple(records)), Pictures(), method="m")
    page = (tmp_path / "page.html").read_text()
    shown = re.findall(r"<h[23]>(o\d\d|The \w+ 10)</h", page)
    assert shown == [
        "The worst 10",
        *(f"o{k:02d}" for k in range(10)),
        "The best 10",
        *(f"o{k}" for k in range(39, 29, -1)),
    ]
    assert re.findall(r"<td>(o\d\d)</td><td>-</td><td>m</td>", page) == [f"o{k:02d}" for k in range(40)]


def test_a_turntable_turns_the_side_at_y_to_the_viewer_after_a_quarter(tmp_path: Path) -> None:
    write_turntable(tmp_path / "cube.jpg", colored_cube(), Settings())
    strip = np.asarray(Image.open(tmp_path / "cube.jpg"), dtype=float)
    assert strip.shape == (TURN_PX, TURN_FRAMES * TURN_PX, 3)
    middles = strip.reshape(TURN_PX, TURN_FRAMES, TURN_PX, 3)[TURN_PX // 2, :: TURN_FRAMES // 4, TURN_PX // 2]
    redness = middles[:, 0] - middles[:, 1]
    assert redness[1] > 60 and np.abs(redness[[0, 2, 3]]).max() < 20
    assert strip[:4].min() > 245


def test_a_committed_file_gets_the_table_of_splits(tmp_path: Path) -> None:
    results().save(tmp_path / "results.json")
    COMMANDS["merge"]([str(tmp_path / "results.json"), str(tmp_path / "committed.json")])
    assert "Outside, of other sources: 3 objects" in (tmp_path / "committed.md").read_text()


def test_a_turned_scene_has_its_distances_turned() -> None:
    scenes = scene("proc-02")
    points = torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x, y, z = points.unbind(-1)
    quarter = torch.stack([y, -x, z], dim=-1)
    assert torch.allclose(turned_scene(scenes, 90.0).distance(quarter), scenes.distance(points), atol=1e-5)
    assert turned_scene(scenes, 0.0) is scenes
