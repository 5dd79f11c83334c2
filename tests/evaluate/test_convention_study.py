"""The same meshes by several conventions: what each forgives, and that alignment never makes the table lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.evaluate.protocols import convention_study
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.convention_study import ALIGNED, GIVEN_VIEW, OWN, given_view_psnr, in_words, study
from nerf2mesh.evaluate.protocols.conventions import convention, measure
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.evaluate.tables import convention_table
from nerf2mesh.evaluate.tables.convention_table import convention_report, records_of
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import icosphere
from tests.evaluate.shapes import animal, cube

KINDS = ("syncdreamer-gso", "one-2-3-45", "triposr", "zeroshape")
FEW = [replace(convention(name), samples=400, alignment="none", iou_resolution=None) for name in KINDS]


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(
        "animal", animal(), size_px=32, settings=Settings(supersample=1, iou_resolution=16, surface_samples=500)
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rotation search, which `test_conventions` looks at."""
    for module in (convention_study, convention_table):
        monkeypatch.setattr(module, "CONVENTIONS", FEW)
    monkeypatch.setattr(convention_study, "GIVEN_VIEW_PX", 64)
    plain = [replace(FEW[0], name=f"{ALIGNED}none", thresholds=(0.1,))]
    monkeypatch.setattr(convention_study, "alignment_rows", lambda: plain)


def moved(mesh: TriangleMesh, scale: float, shift: tuple[float, float, float]) -> TriangleMesh:
    return replace(mesh, vertices=mesh.vertices * scale + np.array(shift))


def test_own_boxes_forgive_size_and_place_and_the_truths_box_does_not() -> None:
    truth, kind = cube(side=1.0), replace(convention("one-2-3-45"), samples=3_000)
    wrong = cube(center=(0.3, -0.2, 0.1), side=0.6)
    forgiving, strict = measure(kind, wrong, truth), measure(replace(kind, frame="box"), wrong, truth)
    assert forgiving["chamfer"] == pytest.approx(forgiving["chamfer_floor"], rel=0.1)
    assert strict["chamfer"] > 5 * forgiving["chamfer"]
    assert forgiving["f_score_0.05"] > 0.9 > 0.5 > strict["f_score_0.05"]
    # A cube of side 0.8 has area 6 x 0.64: n points of it lie half a mean spacing apart.
    assert forgiving["chamfer_floor"] == pytest.approx(0.5 * (6 * 0.64 / 3_000) ** 0.5, rel=0.1)


def test_every_row_is_measured_and_said_in_words(case: Case, few: None) -> None:
    found = study(case, moved(animal(), 0.8, (0.1, 0.0, 0.0)))
    assert set(found) == {OWN, *(kind.name for kind in FEW), f"{ALIGNED}none", GIVEN_VIEW}
    truth = study(case, animal())
    assert truth[OWN]["chamfer"] == pytest.approx(0.0, abs=1e-6)
    assert all(len(in_words(name)) == 4 and all(in_words(name)) for name in found)
    forgiven = {kind.name for kind in FEW if kind.frame in ("own boxes", "mean")}
    worse = {name for name in found.keys() - {GIVEN_VIEW} if found[name]["chamfer"] > 1.2 * truth[name]["chamfer"]}
    assert worse == found.keys() - forgiven - {GIVEN_VIEW}, "size and place are forgiven where each mesh is normalized"
    assert all(found[name]["chamfer"] == pytest.approx(truth[name]["chamfer"], rel=1e-5) for name in forgiven)


def test_an_empty_mesh_has_the_worst_of_our_own_alone(case: Case, few: None) -> None:
    found = study(case, TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))
    assert list(found) == [OWN] and found[OWN]["volume_iou"] == 0.0


def test_the_given_view_favors_what_was_given(case: Case, few: None) -> None:
    right = given_view_psnr(case, animal())
    assert right > given_view_psnr(case, moved(animal(), 0.7, (0.0, 0.0, 0.0))) + 3
    assert right > given_view_psnr(case, icosphere(2, 0.5)) + 3


def test_the_table_has_ratios_over_the_sphere_and_what_is_unstated(case: Case, few: None) -> None:
    ball = icosphere(2, 0.5)
    records = [*records_of("mine", "a", 0, study(case, animal())), *records_of("sphere", "a", 0, study(case, ball))]
    text = convention_report(records, ["mine", "sphere"], "sphere")
    lines = [line for line in text.splitlines() if line.startswith("| syncdreamer-gso")]
    assert len(lines) == 2 and "| 1.00" in lines[1] and "the truth's box, longest side 1" in lines[0]
    assert "each its own box, longest side 0.8" in text and "F-score threshold: 0.05 taken" in text
    assert "single_render_eval.py" in text and "1 objects" in text


def test_the_command_keeps_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: None) -> None:
    from nerf2mesh.sweep import conventions
    from nerf2mesh.sweep.queue import Queue

    payload = {"protocol": "core", "track": "image", "object": "proc-02", "kind": "fit", "method": "m", "seed": 0}
    queue = Queue.create(tmp_path, {"job": payload})
    claim = queue.claim("worker")
    assert claim is not None
    assert queue.finish(claim, "worker", {"records": []})
    run = tmp_path / "runs" / "job" / "run"
    run.mkdir(parents=True)
    save_mesh(animal(), run / "mesh.glb")
    loaded = []
    small = make_case(
        "proc-02", animal(), size_px=32, settings=Settings(supersample=1, iou_resolution=16, surface_samples=500)
    )
    monkeypatch.setattr(conventions, "case_of", lambda *_: loaded.append(1) or small)
    first = conventions.convention_tables(tmp_path)
    assert loaded == [1, 1] and "| m " in first and (tmp_path / "conventions.md").read_text() == first
    assert conventions.convention_tables(tmp_path) == first and loaded == [1, 1], "nothing measured again"
    with pytest.raises(ValueError, match="conventions: expected a sweep"):
        conventions.convention_tables(tmp_path, method="other")
