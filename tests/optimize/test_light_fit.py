from __future__ import annotations

import pytest
import torch

from nerf2mesh.optimize.light_fit import cost, fit_light, joined, pairs_of
from nerf2mesh.render.shading import Light, relit

SIZE = 64


def ball() -> tuple[torch.Tensor, torch.Tensor]:
    """Normals [64, 64, 3] of a ball seen from +X by an orthographic camera, and where they are of use."""
    row, column = torch.meshgrid(torch.linspace(1.2, -1.2, SIZE), torch.linspace(-1.2, 1.2, SIZE), indexing="ij")
    radius = column**2 + row**2
    normals = torch.stack([(1 - radius).clamp_min(0).sqrt(), column, row], dim=-1)
    return torch.nn.functional.normalize(normals, dim=-1), radius < 0.95


def patches(normals: torch.Tensor) -> torch.Tensor:
    """Two colors [64, 64, 3] in a checkered pattern."""
    checks = ((normals[..., 1] * 3).floor() + (normals[..., 2] * 3).floor()).remainder(2)[..., None]
    return torch.where(checks > 0, torch.tensor([0.8, 0.3, 0.2]), torch.tensor([0.3, 0.3, 0.5]))


def picture(light: Light) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    normals, known = ball()
    lit = light.irradiance(normals)
    return relit(patches(normals), 0.6 * lit / lit[known].mean()), normals, known


def log_error(found: Light, true: Light) -> float:
    """Standard deviation of the irradiances' log ratio where the ball is seen: a factor is left open."""
    normals, known = ball()
    return float((found.irradiance(normals[known]) / true.irradiance(normals[known])).log().std())


@pytest.mark.parametrize("toward", [(0.5, 1.0, 1.5), (2.0, 0.0, 0.0), (0.0, -2.0, 0.5)])
def test_the_lamp_that_lit_a_painted_ball_is_found(toward: tuple[float, float, float]):
    true = Light("directional", torch.tensor(toward))
    found = fit_light("directional", pairs_of(*picture(true)))
    assert log_error(found, true) < 0.02
    assert log_error(Light(), true) > 0.1


def test_harmonics_are_found_too():
    values = torch.tensor([0.9, 0.6, -0.5, 0.2, 0.0, -0.3, 0.1, 0.2])
    true = Light("harmonics", values)
    found = fit_light("harmonics", pairs_of(*picture(true)))
    assert log_error(found, true) < 0.25 * log_error(Light(), true)


def test_an_even_light_is_found_to_be_even_whatever_is_painted():
    found = fit_light("directional", pairs_of(*picture(Light())))
    assert log_error(found, Light()) < 0.01


def test_the_mean_over_what_is_seen_is_one():
    """The albedo is then as bright as the picture."""
    rgb, normals, known = picture(Light("directional", torch.tensor([0.0, 1.0, 1.0])))
    pairs = pairs_of(rgb, normals, known)
    found = fit_light("directional", pairs)
    assert float(found.irradiance(pairs.normals[pairs.rows.reshape(-1)]).mean()) == pytest.approx(1.0, abs=1e-4)


def test_a_highlight_and_a_cast_shadow_hardly_count():
    true = Light("directional", torch.tensor([0.5, 1.0, 1.5]))
    rgb, normals, known = picture(true)
    rgb = rgb.clone()
    rgb[28:33, 36:41] = 1.0
    rgb[40:46, 20:30] = relit(rgb[40:46, 20:30], torch.tensor(0.4).expand(6, 10))
    found = fit_light("directional", pairs_of(rgb, normals, known))
    assert log_error(found, true) < 0.06


def test_without_pixels_the_light_is_even():
    normals, known = ball()
    nothing = pairs_of(torch.rand(SIZE, SIZE, 3), normals, torch.zeros_like(known))
    assert fit_light("directional", nothing).kind == "constant"


def test_pairs_are_so_far_apart_and_a_small_picture_has_fewer_or_none():
    """Of h x w pixels, (h - s) w pairs are s apart along columns and h (w - s) along rows."""
    cases = ((9, 7, 7 * 7 + 9 * 5 + 5 * 7 + 9 * 3 + 1 * 7), (2, 5, 2 * 3 + 2 * 1), (2, 2, 0), (1, 1, 0))
    for height, width, n in cases:
        one = torch.ones(height, width, dtype=torch.bool)
        rows = pairs_of(torch.full((height, width, 3), 0.5), torch.ones(height, width, 3), one).rows
        apart = [(second // width - first // width, second % width - first % width) for first, second in rows.tolist()]
        assert len(rows) == n and all(min(pair) == 0 and max(pair) in (2, 4, 8) for pair in apart)


def test_pictures_are_joined_pair_by_pair():
    one = pairs_of(*picture(Light("directional", torch.tensor([0.0, 1.0, 1.0]))))
    values = torch.tensor([0.2, 0.7, 0.4], dtype=torch.float64)
    assert float(cost(values, "directional", joined([one, one]))) == pytest.approx(
        float(cost(values, "directional", one)), rel=1e-12
    )


def test_the_cost_has_the_gradient_of_differences():
    pairs = pairs_of(*picture(Light("directional", torch.tensor([0.0, 1.0, 1.0]))))
    pairs = pairs._replace(rows=pairs.rows[::97], weights=pairs.weights[::97])
    values = torch.full((8,), 0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: cost(v, "harmonics", pairs), (values,))
