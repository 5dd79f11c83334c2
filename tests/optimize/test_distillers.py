"""Distillers inside the loop: determinism, resuming with their state, text alone, editing, protection."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.distill import LOSSES, DistillConfig, settings_read
from nerf2mesh.optimize import LAST, optimize, step
from nerf2mesh.optimize.loop import preview_cameras
from nerf2mesh.optimize.problem import prepare
from nerf2mesh.optimize.terms import gathered
from nerf2mesh.optimize.views import distillation_cameras
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.checkpoint import read_checkpoint
from tests.optimize.known import KnownPrior
from tests.optimize.scene import observations, problem
from tests.optimize.test_loop import assert_equal

QUICK = {
    "n_views": 2, "guidance_scale": 1.5, "t_start": 0.9, "t_end": 0.5, "render_px": 0,
    "inversion_stride": 0.3, "teacher_every": 2, "teacher_pool": 2, "phi_learning_rate": 1e-2,
}  # fmt: skip
NOTHING = Observations()


def run_of(loss: str, steps: int, *, views: Observations = NOTHING, **settings):
    prior = KnownPrior(8, spread={"conditional": 0.3})
    read = {name: value for name, value in QUICK.items() if name in settings_read(loss, "linear")}
    return problem(steps, prior=prior, views=views, distill=DistillConfig(loss=loss, **read | settings))


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "dds"])
def test_every_loss_moves_the_field_the_same_way_twice(loss: str) -> None:
    """Without any picture; two steps, bit for bit."""
    runs = []
    for _ in range(2):
        state, task = run_of(loss, 2)
        before = {k: v.clone() for k, v in state.field.state_dict().items()}
        optimize(state, task)
        runs.append(state.field.state_dict())
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(before[k], runs[0][k]) for k in before)


@pytest.mark.parametrize("loss", ["vsd", "bsd", "sdi"])
def test_stopped_and_resumed_is_bit_equal(loss: str, tmp_path: Path) -> None:
    """Stopped after step 5, with the checkpoint of step 4: field, phi, its optimizer, the pool, generators."""
    whole, task = run_of(loss, 6, views=observations(24))
    optimize(whole, task, folder=tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(state) -> None:
        if state.step == 5:
            raise Stop

    first, task = run_of(loss, 6, views=observations(24))
    with pytest.raises(Stop):
        optimize(first, task, folder=tmp_path / "parts", on_step=stop)
    second, task = run_of(loss, 6, views=observations(24))
    second.load(tmp_path / "parts" / LAST)
    assert second.step == 4
    optimize(second, task, folder=tmp_path / "parts")
    saved = [read_checkpoint(tmp_path / name / LAST) for name in ("whole", "parts")]
    assert_equal(*saved)
    if loss != "sdi":
        assert saved[0]["parts"]["distiller"]["phi"]["optimizer"]["state"][0]["step"] == 6


def test_the_state_waits_for_a_part_that_comes_later(tmp_path: Path) -> None:
    """Loaded and saved again before the distiller is there, nothing is lost."""
    state, task = run_of("vsd", 2)
    optimize(state, task)
    state.save(tmp_path / "a.pt")
    other, _ = run_of("vsd", 2)
    other.load(tmp_path / "a.pt")
    other.save(tmp_path / "b.pt")
    assert_equal(*[read_checkpoint(tmp_path / name) for name in ("a.pt", "b.pt")])


def test_text_alone_has_the_default_camera_and_no_photometric_terms() -> None:
    state, task = run_of("sds", 2)
    numbers = step(state, task)
    assert "loss/color" not in numbers and numbers["distill/gradient"] > 0
    assert float(task.reference.azimuth_deg) == 0.0
    assert float(task.reference.elevation_deg) == pytest.approx(10.0, abs=1e-4)
    assert preview_cameras(task, 8).batch_shape == (4,)
    state, task = run_of("sds", 2, views=observations(24))
    assert "loss/color" in step(state, task)


def test_views_for_a_joint_prior_are_a_quarter_apart_at_one_elevation() -> None:
    """As MVDream's and ImageDream's own distillation draws them."""
    config = DistillConfig(n_views=4, elevation_deg=(0.0, 30.0))
    g = torch.Generator().manual_seed(0)
    drawn = [distillation_cameras(config, Camera.orbit(0.0, 10.0), 8, g, ring=4) for _ in range(3)]
    for cameras in drawn:
        steps = torch.remainder(cameras.azimuth_deg[0].roll(-1) - cameras.azimuth_deg[0], 360.0)
        torch.testing.assert_close(steps, torch.full((4,), 90.0), atol=1e-3, rtol=0)
        torch.testing.assert_close(cameras.elevation_deg[0], cameras.elevation_deg[0, :1].expand(4), atol=1e-3, rtol=0)
    assert len({round(float(cameras.elevation_deg[0, 0]), 2) for cameras in drawn}) == 3


def test_the_loop_looks_from_a_ring_where_the_prior_wants_one() -> None:
    state, task = problem(2)
    asked, predict = [], type(task.prior).predict

    def seen(prior, noisy, t, cameras, condition, **more):
        asked.append(cameras.elevation_deg)
        return predict(prior, noisy, t, cameras, condition, **more)

    task.prior.predict = lambda *arguments, **more: seen(task.prior, *arguments, **more)
    optimize(state, task)
    assert asked and all(float(e.max() - e.min()) > 1.0 for e in asked)
    state, task = problem(2)
    task.prior.predict = lambda *arguments, **more: seen(task.prior, *arguments, **more)
    task.prior.n_views, asked[:] = 4, []
    optimize(state, task)
    assert asked and all(float(e.max() - e.min()) < 1e-3 for e in asked)


def test_antithetic_views_come_in_opposite_pairs() -> None:
    config = DistillConfig(antithetic=True, n_views=4)
    cameras = distillation_cameras(config, Camera.orbit(0.0, 10.0), 8, torch.Generator().manual_seed(0))
    assert cameras.batch_shape == (1, 4)
    turn = torch.remainder(cameras.azimuth_deg[0, 2:] - cameras.azimuth_deg[0, :2], 360.0)
    torch.testing.assert_close(turn, torch.full((2,), 180.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(cameras.elevation_deg[0, 2:], cameras.elevation_deg[0, :2], atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="even"):
        DistillConfig(antithetic=True, n_views=3)


def test_dds_starts_from_its_source_and_leaves_it_where_the_prompts_agree(tmp_path: Path) -> None:
    """With one known object for both prompts the gradient is zero: wanted and present are the same picture."""
    source, task = run_of("sds", 2)
    optimize(source, task, folder=tmp_path)
    state, task = run_of("dds", 2, source=str(tmp_path / LAST), weight=100.0)
    task.prior.spread["negative"] = task.prior.spread["conditional"]
    prepare(state, task)
    assert all(torch.equal(a, b) for a, b in zip(state.field.parameters(), source.field.parameters(), strict=True))
    state.occupancy.load_state_dict(task.source.occupancy.state_dict())
    task.renderer.update_occupancy = lambda *_: False  # so that both leave the same empty cells out
    assert step(state, task)["distill/gradient"] < 1e-6
    state, task = run_of("dds", 2, source=str(tmp_path / LAST))
    prepare(state, task)
    task.prior.spread["negative"] = task.prior.spread["conditional"]
    task.prior.radius = {"negative": 0.5}
    assert step(state, task)["distill/gradient"] > 0.0


def test_dds_says_what_it_wants(tmp_path: Path) -> None:
    state, task = run_of("dds", 2)
    with pytest.raises(ValueError, match=r"distill\.source: expected the checkpoint"):
        optimize(state, task)
    state, task = run_of("dds", 2, source=str(tmp_path / "none.pt"))
    with pytest.raises(ValueError, match=r"distill\.source: .* got no file"):
        optimize(state, task)


def test_protection_is_where_the_given_view_sees_the_surface() -> None:
    """From the given side the middle of the ball keeps nothing of the gradient, from behind all of it."""
    from nerf2mesh.optimize.masked_sds import unprotected

    state, task = problem(40, prior=KnownPrior(12), views=observations(24), distill=DistillConfig(n_views=2))
    optimize(state, task)
    given = task.pixels.views[0].camera
    size = 12
    cameras = Camera.stack([given.turned(angle).resized(size, size) for angle in (0.0, 180.0)])
    rays = cameras.rays().flatten()
    with torch.no_grad():
        rendering = task.renderer.render_rays(rays)
    config = DistillConfig(protect=1.0, n_views=2)
    kept = unprotected(config, task.renderer, [given], rays, rendering, size)
    assert kept.shape == (2, size, size)
    middle = slice(size // 2 - 1, size // 2 + 1)
    assert float(kept[0, middle, middle].max()) < 0.2
    assert float(kept[1, middle, middle].min()) > 0.95
    assert float(kept[0, 0, 0]) > 0.95, "the empty corner is not surface"
    half = unprotected(DistillConfig(protect=0.5), task.renderer, [given], rays, rendering, size)
    torch.testing.assert_close(1.0 - half, 0.5 * (1.0 - kept))


def test_numbers_come_over_in_one_transfer() -> None:
    found = gathered({"a": torch.tensor(1.5), "b": 2.0, "c": torch.tensor(7), "d": torch.tensor([0.25])})
    assert found == {"a": 1.5, "b": 2.0, "c": 7.0, "d": 0.25}
    assert gathered({"a": 1.0}) == {"a": 1.0}
