"""Roughness and metallic from highlights, against balls of known finish under a known lamp."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from benchmarks import finishes
from benchmarks.finishes import BLUE, GOLD, LAMP, RED, STEEL, lamp_error_deg
from nerf2mesh.optimize import taken_apart
from nerf2mesh.optimize.finish import Finish, Finishes, paint_weight
from nerf2mesh.optimize.finish_fit import METALLIC, ROUGHNESS, cost, seen_pixels
from nerf2mesh.types import Observations

SIZE = 96
TOLERANCE = 0.08


def ball(roughness: float, metallic: float, color: tuple[float, float, float]) -> tuple[Observations, torch.Tensor]:
    """`finishes.ball` of SIZE pixels."""
    return finishes.ball(roughness, metallic, color, SIZE)


@pytest.mark.parametrize(
    ("roughness", "metallic", "color"),
    [
        (0.35, 0.0, RED),
        pytest.param(0.2, 0.0, RED, marks=pytest.mark.slow),
        pytest.param(0.5, 0.0, BLUE, marks=pytest.mark.slow),
        (0.3, 1.0, GOLD),
        pytest.param(0.6, 1.0, GOLD, marks=pytest.mark.slow),
        pytest.param(0.35, 1.0, STEEL, marks=pytest.mark.slow),
    ],
)
def test_the_finish_of_a_ball_is_found(roughness: float, metallic: float, color: tuple[float, float, float]) -> None:
    """Plastic and metal are told apart, and the albedo is evener than with the highlight in it."""
    given, normals = ball(roughness, metallic, color)
    plain = taken_apart(given, "directional", glossy=False).observations.views[0].image
    found = taken_apart(given, "directional", glossy=True)
    image = found.observations.views[0].image
    middle = found.finishes.at(image[SIZE // 2, SIZE // 2, :3])
    assert float(middle[0]) == pytest.approx(roughness, abs=TOLERANCE)
    assert float(middle[1]) == pytest.approx(metallic, abs=0.25)
    assert lamp_error_deg(found.light.values) < 25.0 and 0.3 < float(found.light.values.norm() / LAMP.norm()) < 2.0
    inside = (normals * -given.views[0].camera.rays().directions).sum(-1) > 0.3
    assert float(image[..., :3][inside].std(0).norm()) < 0.8 * float(plain[..., :3][inside].std(0).norm())


def test_a_matte_ball_stays_matte_and_its_albedo_the_same() -> None:
    given, _ = ball(1.0, 0.0, RED)
    found = taken_apart(given, "directional", glossy=True)
    finish = found.finishes.at(found.observations.views[0].image[SIZE // 2, SIZE // 2, :3])
    assert float(finish[0]) > ROUGHNESS - 0.05 and float(finish[1]) == METALLIC


def test_the_cost_is_least_near_the_truth_and_has_the_gradient_of_differences() -> None:
    given, normals = ball(0.35, 0.0, BLUE)
    view, to_eye = given.views[0], -given.views[0].camera.rays().directions.double()
    known = (normals * to_eye).sum(-1) > 0.3
    seen = seen_pixels(view.image[..., :3], normals, to_eye, known)
    lamp = LAMP.double()
    half = F.normalize(to_eye + F.normalize(lamp, dim=0), dim=-1)
    middle = normals.reshape(-1, 3)[(normals * half).sum(-1).argmax()]
    costs = [float(cost(seen, "plastic", lamp, middle, lamp.new_tensor(r))) for r in (0.12, 0.3, 0.7)]
    assert costs[1] < 0.85 * min(costs[0], costs[2])
    few = seen._replace(pairs=seen.pairs[::97])
    inputs = [value.clone().requires_grad_() for value in (lamp, middle, lamp.new_tensor(0.4))]
    for kind in ("matte", "metal"):
        assert torch.autograd.gradcheck(lambda *v, kind=kind: cost(few, kind, *v), inputs, atol=1e-6)


def test_paints_that_no_highlight_speaks_for_have_the_default() -> None:
    paint = torch.tensor([50.0, 40.0, 20.0], dtype=torch.float64)
    law = Finishes((Finish(paint, 0.2, 1.0, 1.0), replace(Finish(paint, 0.4, 0.0, 0.5), paint=-paint)))
    assert float(paint_weight(paint[None], paint)) == 1.0
    grey = law.at(torch.full((2, 3), 0.9))
    assert torch.allclose(grey, torch.tensor([ROUGHNESS, METALLIC]).expand(2, 2), atol=0.05)
    assert torch.equal(Finishes().at(torch.rand(4, 5, 3))[..., 0], torch.full((4, 5), ROUGHNESS))
