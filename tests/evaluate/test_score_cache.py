"""Scores kept by content: made once, and anew when a pixel, a setting or a judge has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.score_cache import case_digest, code_digest, kept_scores
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from tests.evaluate.shapes import animal


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case("animal", animal(), size_px=16, settings=Settings(supersample=1, iou_resolution=16))


def test_a_score_is_made_once_for_equal_content(case: Case, tmp_path: Path) -> None:
    made: list[str] = []

    def score(name: str) -> dict[str, object]:
        made.append(name)
        return {"metrics": {"psnr": len(made)}, "failed": ""}

    def kept(case: Case, result: str, judge: dict[str, str]) -> dict[str, object]:
        return kept_scores(tmp_path, case_digest(case), result, judge, lambda: score(result))

    first = kept(case, "sphere", {})
    assert kept(replace(case, image=case.image.clone()), "sphere", {}) == first and made == ["sphere"]
    dark = replace(case, truth=replace(case.truth, rgb=case.truth.rgb * 0.99))
    others = [(dark, "sphere", {}), (case, "true mesh", {}), (case, "sphere", {"clip": "folder"})]
    others.append((replace(case, settings=replace(case.settings, seed=1)), "sphere", {}))
    assert [kept(*other) == first for other in others] == [False] * 4 and len(made) == 5
    assert kept_scores(None, "content", "sphere", {}, lambda: score("again")) != first, (
        "without a folder nothing is kept"
    )


def test_a_failure_is_not_kept(case: Case, tmp_path: Path) -> None:
    for count in (1, 2):
        found = kept_scores(
            tmp_path, case_digest(case), "sphere", {}, lambda count=count: {"failed": f"attempt {count}"}
        )
        assert found == {"failed": f"attempt {count}"}
    assert not list(tmp_path.iterdir())


def test_what_counts_as_content(case: Case) -> None:
    assert case_digest(case) == case_digest(replace(case, name="another", about={"kind": "animal"}))
    moved = replace(case.known_mesh, vertices=case.known_mesh.vertices + 1e-9)
    assert case_digest(case) != case_digest(replace(case, mesh=moved))
    assert case_digest(case) != case_digest(replace(case, solid=torch.zeros(2, 2, 2, dtype=torch.bool)))
    assert case_digest(case) != case_digest(replace(case, camera=case.camera.turned(1.0)))
    assert len(code_digest()) == 64
