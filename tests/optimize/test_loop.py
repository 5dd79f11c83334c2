import math
from pathlib import Path

import pytest
import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.optimize import LAST, lighting_in, optimize, step
from nerf2mesh.optimize.problem import prepare
from nerf2mesh.render.shading import Light, relit
from nerf2mesh.report import read_metrics
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.utils.checkpoint import read_checkpoint, write_checkpoint
from tests.optimize.scene import RADIUS, BallPrior, ball_views, observations, problem


def test_distillation_finds_the_side_that_no_picture_shows() -> None:
    """From one picture of the red side: the other sides of the ball, blue back included, to 24 dB."""
    state, task = problem(steps=80)
    optimize(state, task)
    cameras = Camera.orbit(torch.tensor([60.0, 180.0, 250.0]), torch.tensor([20.0, 0.0, -10.0]), width_px=48)
    found, truth = task.renderer.render(cameras), ball_views(cameras)
    error = (found.over(1.0) - (truth[..., :3] + 1 - truth[..., 3:])).square().mean()
    assert -10 * math.log10(float(error)) > 24.0
    blank = -10 * math.log10(float((truth[..., 3:] - truth[..., :3]).square().mean()))
    assert blank < 12.0, "the test would be empty if white were nearly as good"
    middle = found.rgb[1, 24, 24]
    assert float(middle[2]) > 2 * float(middle[0]), "the back is blue"


def test_same_seed_same_run_bit_for_bit() -> None:
    runs = []
    for _ in range(2):
        state, task = problem(steps=6)
        optimize(state, task)
        runs.append(state.field.state_dict())
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])


def test_stopped_and_resumed_is_bit_equal(tmp_path: Path) -> None:
    whole, task = problem(steps=8)
    optimize(whole, task, folder=tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(state) -> None:
        if state.step == 5:
            raise Stop

    first, task = problem(steps=8)
    with pytest.raises(Stop):
        optimize(first, task, folder=tmp_path / "parts", on_step=stop)
    second, task = problem(steps=8)
    second.load(tmp_path / "parts" / LAST)
    assert second.step == 4
    optimize(second, task, folder=tmp_path / "parts")
    a = read_checkpoint(tmp_path / "whole" / LAST)
    b = read_checkpoint(tmp_path / "parts" / LAST)
    assert_equal(a, b)
    rows = [
        [(r["step"], r["loss/color"]) for r in read_metrics(tmp_path / n / "metrics.jsonl")] for n in ("whole", "parts")
    ]
    assert rows[0] == rows[1]


def assert_equal(a: object, b: object, path: str = "") -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_equal(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b, path


def test_a_bad_checkpoint_is_named(tmp_path: Path) -> None:
    state, _ = problem(steps=4)
    path = tmp_path / "last.pt"
    state.save(path)
    for content in (path.read_bytes()[:200], b"", b"not a checkpoint at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="checkpoint: expected one of this run"):
            state.load(path)


def test_checkpoint_of_another_field_is_refused(tmp_path: Path) -> None:
    state, _ = problem(steps=4)
    values = state.values()
    values["field"] = {k: v[..., :1].clone() if v.ndim else v for k, v in values["field"].items()}
    write_checkpoint(tmp_path / "x", values)
    with pytest.raises(ValueError, match=r"checkpoint: expected one of this run, got .*a field of other shapes"):
        state.load(tmp_path / "x")


def test_levels_and_rates_follow_the_schedule() -> None:
    state, task = problem(steps=100)
    seen = []
    for at in (0, 25, 50, 99):
        state.step = at
        step(state, task)
        seen.append((state.field.n_active_levels, state.optimizer.param_groups[0]["lr"]))
    assert [levels for levels, _ in seen] == [4, 5, 6, 6]
    rates = [rate for _, rate in seen]
    assert rates[0] == pytest.approx(task.config.lr_encoding)
    assert rates[2] == pytest.approx(task.config.lr_encoding * 0.1**0.5)


def test_the_paper_of_a_drawing_is_not_the_objects_color() -> None:
    def fitted(domain: str) -> tuple[float, float]:
        """Color and mask error at a given view that has another color than the prior knows."""
        given = observations()
        image = torch.cat([torch.ones_like(given.views[0].image[..., :3]), given.views[0].image[..., 3:]], dim=-1)
        paper = Observations((View(image, given.views[0].camera, domain=domain),))
        state, run = problem(30, views=paper, distill=DistillConfig(supersample=1, weight=3.0))
        optimize(state, run)
        seen = run.renderer.render(paper.views[0].camera).rgba
        inside = image[..., 3] > 0.99
        return float((seen[..., :3] - 1.0).square()[inside].mean()), float(
            (seen[..., 3] - image[..., 3]).square().mean()
        )

    photo, drawing = fitted("photo"), fitted("sketch")
    assert photo[0] < 0.05 < 0.1 < drawing[0], f"{photo}, {drawing}: a photo's white is matched, paper is not"
    assert drawing[1] < 0.03, f"{drawing}: the outline of a drawing is matched all the same"


def test_no_distillation_weight_is_plain_reconstruction() -> None:
    class Silent(BallPrior):
        def predict(self, *_, **__):
            raise AssertionError("the prior was asked")

    state, task = problem(steps=3, prior=Silent())
    task.distill.weight = 0.0
    optimize(state, task)
    assert state.step == 3


def lit_observations(light: Light) -> Observations:
    """The ball's picture as `light` shows it."""
    (view,) = observations().views
    rays = view.camera.rays()
    along = -(rays.origins * rays.directions).sum(-1)
    nearest = (rays.origins + along[..., None] * rays.directions).square().sum(-1)
    points = rays.origins + (along - (RADIUS**2 - nearest).clamp_min(0).sqrt())[..., None] * rays.directions
    lit = light.irradiance(torch.nn.functional.normalize(points, dim=-1))
    shown = relit(view.image[..., :3], lit).clamp(0, 1)
    return Observations((View(torch.cat([shown, view.image[..., 3:]], dim=-1), view.camera),))


def test_lambert_finds_the_lamp_and_leaves_the_albedo() -> None:
    """A ball of one color before a side lamp: the light takes the shading, and the colors that are left are even."""
    views = lit_observations(Light("directional", torch.tensor([0.0, 2.0, 0.3]), 0.6))
    blind = DistillConfig(weight=0.0, n_views=1, render_px=8)
    state, task = problem(steps=80, views=views, distill=blind, material="lambert", light_from=0.2)
    optimize(state, task)
    shown = task.renderer.render(views.views[0].camera)
    inside = (shown.opacity > 0.99) & (views.views[0].image[..., 3] > 0.99)
    red = (shown.rgb / shown.opacity[..., None].clamp_min(1e-6))[inside][:, 0]
    lit = views.views[0].image[inside][:, 0]
    found = torch.nn.functional.normalize(lighting_in(state).light.values, dim=0)
    assert float(found @ torch.nn.functional.normalize(torch.tensor([0.0, 2.0, 0.3]), dim=0)) > 0.95
    assert float(red.log().std()) < 0.5 * float(lit.log().std())


def test_the_light_is_resumed_with_the_run(tmp_path: Path) -> None:
    lamp = Light("directional", torch.tensor([0.0, 2.0, 0.3]), 0.6)
    setting = {"steps": 8, "material": "lambert", "light_from": 0.3, "light_every": 3, "views": lit_observations(lamp)}
    whole, task = problem(**setting)
    optimize(whole, task, folder=tmp_path / "whole")
    first, task = problem(**setting)
    optimize(first, task, folder=tmp_path / "parts", on_step=lambda state: state.step == 4)
    second, task = problem(**setting)
    second.load(tmp_path / "parts" / LAST)
    optimize(second, task, folder=tmp_path / "parts")
    assert_equal(read_checkpoint(tmp_path / "whole" / LAST), read_checkpoint(tmp_path / "parts" / LAST))


def test_lambert_without_a_picture_is_refused_in_one_line() -> None:
    state, task = problem(steps=2, views=Observations(()), material="lambert")
    with pytest.raises(
        ValueError, match=r"^field.material=lambert: expected a picture .*; use field.material=emissive$"
    ):
        optimize(state, task)


def test_the_prior_sees_the_field_as_the_light_shows_it_or_its_albedo() -> None:
    """Under a quarter of the light the views are darker; with lit=False they are those of the albedo."""

    class Watching(BallPrior):
        seen: torch.Tensor | None = None

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            self.seen = images.detach() if self.seen is None else self.seen  # its own prediction comes after
            return super().encode(images)

    bright = {}
    for lit in (True, False):
        prior = Watching()
        state, task = problem(
            steps=2, prior=prior, distill=DistillConfig(supersample=1, lit=lit), material="lambert", light_from=1.0
        )
        prepare(state, task)
        lighting_in(state).light = Light("directional", torch.zeros(3), 0.25)
        step(state, task)
        assert float(prior.seen[..., 3].max()) > 0.05
        bright[lit] = prior.seen[..., :3].sum()
    assert float(bright[True] / bright[False]) == pytest.approx(0.53, abs=0.05)  # a quarter in linear light, in sRGB
