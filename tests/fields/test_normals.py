"""Normals and their gradients to the parameters, against double backward through the torch twin in float64."""

import pytest
import torch

from nerf2mesh.fields import FieldConfig, HashGridField
from tests.fields.make import box_points, rough_field


def parameter_gradients(field, loss):
    parameters = [field.encoding.params, *field.network.trunk.parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros_like(p).view(-1) if g is None else g.view(-1) for p, g in zip(parameters, gradients)])


@pytest.mark.parametrize("mode", ["analytic", "finite_difference"])
def test_normals_of_the_first_ball_point_outward(mode):
    field = HashGridField(FieldConfig(blob_floor=-10.0))
    points = box_points(200)
    normals = field.normals(points, mode, 0.02 if mode == "finite_difference" else None)
    radial = torch.nn.functional.normalize(points, dim=-1)
    far = points.norm(dim=-1) > 0.2
    assert ((normals * radial).sum(-1)[far] > 0.98).all()
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(200))


def test_analytic_gradient_is_the_twins():
    points = box_points(300)
    for interpolation in ("linear", "smoothstep"):
        native = rough_field(interpolation=interpolation)
        twin = rough_field(interpolation=interpolation, encoding="torch").double()
        torch.testing.assert_close(
            native.logit_gradient(points), twin.logit_gradient(points.double()).float(), atol=2e-3, rtol=1e-3
        )


def test_finite_differences_converge_to_the_analytic_gradient():
    field = rough_field(interpolation="smoothstep", encoding="torch").double()
    points = box_points(200).double()
    exact = field.logit_gradient(points).detach()
    errors = [
        (field.logit_gradient(points, "finite_difference", e).detach() - exact).norm(dim=-1).median()
        for e in (1e-2, 1e-3, 1e-4)
    ]
    assert errors[2] < 1e-3 * exact.norm(dim=-1).median()
    assert errors[1] < 0.2 * errors[0] and errors[2] < 0.2 * errors[1]


@pytest.mark.parametrize("mode", ["analytic", "finite_difference"])
def test_gradients_of_normals_match_the_twins(mode):
    # Not one mode against the other: with ReLU the differences see the kinks that double backward leaves out.
    points, target = box_points(64), torch.tensor([0.3, -0.5, 0.8])
    twin = rough_field(interpolation="smoothstep", encoding="torch").double()
    normals = twin.normals(points.double(), mode, 2e-2)
    expected = parameter_gradients(twin, (normals @ target.double()).square().mean())
    assert expected.norm() > 0.01
    native = rough_field(interpolation="smoothstep")
    actual = parameter_gradients(native, (native.normals(points, mode, 2e-2) @ target).square().mean())
    assert (actual - expected.float()).norm() < 2e-3 * expected.norm()


def test_no_gradient_means_no_graph():
    field = rough_field()
    with torch.no_grad():
        assert not field.normals(box_points(10)).requires_grad
    assert field.normals(box_points(10)).requires_grad


def test_flat_field_gives_zero_normals():
    field = HashGridField(FieldConfig(blob="none"))
    with torch.no_grad():
        field.encoding.params.zero_()
    assert field.normals(box_points(5)).abs().max() == 0


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode"):
        rough_field().normals(box_points(3), "guess")
