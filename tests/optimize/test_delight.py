"""Light taken out of pictures against closed forms: a ball's normals, and pictures whose albedo is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerf2mesh.optimize.delight import bending, delighted, rest_cost
from nerf2mesh.optimize.inflate import inflated_normals, poisson
from nerf2mesh.optimize.light_fit import pairs_of
from nerf2mesh.render.shading import Light, relit
from nerf2mesh.types import Camera, Observations, View

SIZE = 96


def ball_normals() -> torch.Tensor:
    """World normals [96, 96, 3] of a ball that fills most of the picture, seen along -X; NaN outside."""
    y, x = np.mgrid[1.2 : -1.2 : SIZE * 1j, -1.2 : 1.2 : SIZE * 1j]
    return torch.from_numpy(np.stack([np.sqrt(np.where(x * x + y * y < 1, 1 - x * x - y * y, np.nan)), x, y], axis=-1))


def observed(light: Light, albedo: torch.Tensor, **view: object) -> Observations:
    """The ball with an albedo [96, 96, 3] under a light."""
    normals = ball_normals()
    inside = ~normals[..., 0].isnan()
    colors = relit(albedo.double(), light.irradiance(normals.nan_to_num()))
    image = torch.cat([colors, inside[..., None].double()], dim=-1).float()
    camera = Camera.orbit(0.0, 0.0, width_px=SIZE, orthographic=True)
    return Observations((View(image, camera, **view),))


def evenness(image: torch.Tensor) -> float:
    """Standard deviation of the log of linear luminance well inside the ball."""
    facing = ball_normals()[..., 0].nan_to_num() > 0.4
    colors = image[..., :3][facing].double()
    return float((((colors + 0.055) / 1.055) ** 2.4).mean(-1).log().std())


def test_a_disc_becomes_a_ball() -> None:
    y, x = np.mgrid[-39.5:40, -39.5:40]
    radius = 33.0
    mask = x * x + y * y < radius**2
    height = np.sqrt(np.clip(radius**2 - x * x - y * y, 0.0, None))
    truth = np.stack([x, -y, height], axis=-1) / radius
    middle = x * x + y * y < (0.9 * radius) ** 2
    cosine = (inflated_normals(mask) * truth).sum(-1)[middle]
    assert cosine.min() > 0.99
    assert np.abs(poisson(mask) - height**2)[mask].max() < 0.06 * radius**2


def test_pieces_are_bodies_of_their_own_and_nothing_has_no_normals() -> None:
    mask = np.zeros((20, 50), bool)
    mask[5:15, 5:20] = mask[5:15, 30:45] = True
    normals = inflated_normals(mask)
    assert np.allclose(normals[5:15, 5:20], normals[5:15, 30:45])
    assert not normals[~mask].any() and np.allclose(np.linalg.norm(normals[mask], axis=-1), 1.0)
    assert not inflated_normals(np.zeros((4, 5), bool)).any()


@pytest.mark.parametrize("toward", [(0.5, 1.5, 1.5), (0.5, -1.0, 2.0)])
def test_a_ball_of_one_color_is_even_afterwards(toward: tuple[float, float, float]) -> None:
    given = observed(Light("directional", torch.tensor(toward), 0.5), torch.full((SIZE, SIZE, 3), 0.6))
    seen, light = delighted(given, "directional")
    assert light.kind == "directional"
    assert evenness(seen.views[0].image) < 0.2 * evenness(given.views[0].image)


def test_paint_of_another_hue_stays() -> None:
    """Red and blue patches under a lamp: their ratio is that of the albedo, not of the picture."""
    columns = torch.arange(SIZE)[None, :, None].expand(SIZE, SIZE, 3) // 12 % 2 == 0
    paint = torch.where(columns, torch.tensor([0.7, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.6]))
    light = Light("directional", torch.tensor([0.5, 2.0, 1.0]), 0.5)
    seen = delighted(observed(light, paint), "directional")[0].views[0].image
    facing = (ball_normals()[..., 0].nan_to_num() > 0.5)[..., None]
    for paint_of in (columns, ~columns):
        colors = seen[..., :3][(facing & paint_of).all(-1)]
        wanted = paint[(facing & paint_of).all(-1)][0]
        mean = colors.mean(0)
        assert torch.allclose(mean / mean.norm(), wanted / wanted.norm(), atol=0.05)
        assert float(colors.std(0).norm()) < 0.1


def test_outline_camera_and_drawings_stay_as_they_are() -> None:
    given = observed(Light("directional", torch.tensor([0.5, 2.0, 1.0]), 0.5), torch.full((SIZE, SIZE, 3), 0.5))
    seen, _ = delighted(given, "directional")
    assert torch.equal(seen.views[0].image[..., 3], given.views[0].image[..., 3])
    assert seen.views[0].camera is given.views[0].camera
    drawn = replace(given, views=(replace(given.views[0], domain="lineart"),))
    assert delighted(drawn, "directional")[0] is drawn
    assert delighted(given, "constant")[0] is given


def test_the_thin_plate_has_the_gradient_of_differences() -> None:
    normals = torch.nn.functional.normalize(torch.rand(12, 12, 3, dtype=torch.float64), dim=-1)
    mask = torch.rand(12, 12) > 0.2
    pairs = pairs_of(torch.rand(12, 12, 3), normals, mask)
    left = torch.rand(len(pairs.rows), dtype=torch.float64) - 0.5
    rest = torch.rand(12, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: rest_cost(d, left, pairs, mask), (rest,))


def test_a_plane_does_not_bend_and_a_parabola_bends_by_its_second_derivatives() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    full = torch.ones(9, 9, dtype=torch.bool)
    assert float(bending(2.0 * x - y + 3.0, full)) == 0.0
    assert float(bending(x * x, full)) == pytest.approx(4.0 * 9 * 7 / 81)
    assert float(bending(x * y, full)) == pytest.approx(2.0 * 64 / 81)
