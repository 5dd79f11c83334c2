"""The deformation of space against closed forms, and its gradients against finite differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from nerf2mesh.fields import FieldOutput
from nerf2mesh.motion.bent_field import BentField
from nerf2mesh.motion.deformation import Deformation


def made(size: int = 6, knots: int = 5, amount: float = 0.15) -> Deformation:
    noise = torch.randn(knots, size, size, size, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Deformation(amount * noise, 0.0, 2.0)


POINTS = torch.rand(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.6 - 0.8


@pytest.mark.parametrize("time", [0.0, 0.37, 1.1, 2.0])
def test_the_inverse_undoes_the_deformation(time: float) -> None:
    bent = made()
    assert float((bent.forward(POINTS, time) - POINTS).norm(dim=1).mean()) > 0.05
    back = bent.inverse(bent.forward(POINTS, time), time)
    assert float((bent.forward(back, time) - bent.forward(POINTS, time)).abs().max()) < 1e-5
    assert float((back - POINTS).abs().max()) < 1e-5


def test_equal_control_points_shift_and_linear_ones_scale() -> None:
    """B-splines sum to one and reproduce linear functions: control points at 0.1 of their places scale by 1.1."""
    shift = Deformation(torch.full((4, 6, 6, 6, 3), 0.3, dtype=torch.float64), 0.0, 1.0)
    torch.testing.assert_close(shift.forward(POINTS, 0.4), POINTS + 0.3)
    step = 2.0 * shift.half / 3.0
    axis = (torch.arange(6, dtype=torch.float64) - 1.0) * step - shift.half
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    scale = Deformation((0.1 * places).expand(4, -1, -1, -1, -1).clone(), 0.0, 1.0)
    torch.testing.assert_close(scale.forward(POINTS, 0.7), 1.1 * POINTS)
    assert float(scale.elastic()) < 1e-20 and float(scale.momentum()) < 1e-20


def test_gradients_of_both_maps_and_the_energies() -> None:
    control = made(4, 4).control.requires_grad_()
    points = POINTS[:5].clone().requires_grad_()

    def through(inverse: bool):
        def run(control: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
            bent = Deformation(control, 0.0, 2.0)
            return (bent.inverse if inverse else bent.forward)(points, 0.9)

        return run

    assert gradcheck(through(False), (control, points), fast_mode=True)
    assert gradcheck(through(True), (control, points), atol=1e-4, fast_mode=True)
    assert gradcheck(
        lambda c: Deformation(c, 0.0, 2.0).elastic() + Deformation(c, 0.0, 2.0).momentum(), (control,), fast_mode=True
    )


def test_the_jacobian_is_autograds() -> None:
    bent, points = made(), POINTS[:6]
    whole = torch.autograd.functional.jacobian(lambda x: bent.forward(x, 0.8).sum(0), points).permute(1, 0, 2)
    torch.testing.assert_close(bent.jacobian(points, 0.8), whole)


def test_tracks_of_a_smooth_motion_are_fitted() -> None:
    """A bend that grows in time, known at 400 points and 12 frames, is met to a hundredth of its size, between too."""
    rest = POINTS.numpy()
    times = tuple(np.linspace(0.0, 1.0, 12).tolist())

    def moved(at: np.ndarray, t: float) -> np.ndarray:
        return at + np.stack([0 * at[:, 0], 0 * at[:, 0], 0.4 * t * t * at[:, 1] ** 2], axis=1)

    bent = Deformation.fitted(
        rest, np.stack([moved(rest, t) for t in times]), times, size=8, elastic=1e-7, momentum=1e-6
    )
    for t in (0.0, 0.31, 1.0):
        error = np.abs(bent.forward(POINTS, t).numpy() - moved(rest, t)).max()
        assert error < 0.01


class _Ball:
    """Density 1 within half a unit of the origin; a normal that points outward."""

    training = False
    view_dependent = False
    bytes_per_sample = 8

    def __call__(self, points: torch.Tensor, directions: torch.Tensor | None = None) -> FieldOutput:
        density = self.density(points)
        return FieldOutput(density, points.abs(), density)

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return (points.norm(dim=1) < 0.5).to(points.dtype)

    def normals(self, points: torch.Tensor, mode: str = "analytic") -> torch.Tensor:
        return torch.nn.functional.normalize(points, dim=-1)

    def train(self, mode: bool = True) -> _Ball:
        return self


def test_a_field_that_is_shifted_is_seen_where_it_went() -> None:
    """And one that is stretched along z has the ellipsoid's normals."""
    control = torch.zeros(4, 5, 5, 5, 3, dtype=torch.float64)
    control[..., 0] = 0.4
    shifted = BentField(_Ball(), Deformation(control, 0.0, 1.0), 0.5)
    points = torch.tensor([[0.85, 0.0, 0.0], [-0.15, 0.0, 0.0], [0.4, 0.45, 0.0]])
    assert shifted.density(points).tolist() == [1.0, 0.0, 1.0]
    step = 2.4 / 2.0
    axis = (torch.arange(5, dtype=torch.float64) - 1.0) * step - 1.2
    stretch = torch.zeros(4, 5, 5, 5, 3, dtype=torch.float64)
    stretch[..., 2] = 0.5 * axis
    field = BentField(_Ball(), Deformation(stretch, 0.0, 1.0), 0.5)
    at = torch.tensor([[0.3, 0.0, 0.6]])
    wanted = torch.nn.functional.normalize(torch.tensor([[0.3, 0.0, 0.6 / 1.5**2]]), dim=-1)
    torch.testing.assert_close(field.normals(at), wanted, atol=1e-5, rtol=0)
