import sys

import pytest
import torch

from nerf2mesh.fields import FieldConfig, HashGridField, sdf_config
from tests.fields.make import box_points, rough_field


def test_start_is_the_blob_alone():
    field = HashGridField(FieldConfig(blob="cone", blob_scale=4.0, blob_width=0.5, blob_floor=-1.0))
    points = torch.tensor([[0.0, 0, 0], [0.25, 0, 0], [0, 0.5, 0], [0.9, -0.9, 0.9]])
    torch.testing.assert_close(field.density_logit(points), torch.tensor([4.0, 2.0, 0.0, -4.0]), atol=1e-2, rtol=0)
    output = field(points)
    assert (output.rgb - 0.5).abs().max() < 1e-2


@pytest.mark.parametrize(
    ("blob", "expected"), [("none", 0.0), ("gaussian", 4 * 0.8824969), ("sphere", 0.25), ("cone", 2.0)]
)
def test_blob_forms(blob, expected):
    field = HashGridField(FieldConfig(blob=blob, blob_scale=4.0, blob_width=0.5))
    assert field.blob(torch.tensor([[0.0, 0.25, 0.0]])).item() == pytest.approx(expected)


def test_outputs_agree_with_one_another():
    field, points = rough_field(), box_points(300)
    density, rgb, logit, surface = field(points)
    assert surface is None
    assert density.shape == logit.shape == (300,) and rgb.shape == (300, 3)
    torch.testing.assert_close(field.density_logit(points), logit)
    torch.testing.assert_close(field.density(points), density)
    torch.testing.assert_close(field.inverse_activation(density), logit, atol=1e-3, rtol=1e-3)
    assert rgb.min() >= 0 and rgb.max() <= 1


def test_blocks_without_gradient_give_the_same_values(monkeypatch):
    field, points = rough_field(), box_points(301)
    whole = field.density_logit(points), field.density(points), field.normals(points).detach()
    monkeypatch.setattr("nerf2mesh.fields.hash_grid._NO_GRAD_BLOCK", 64)
    with torch.no_grad():
        blocks = field.density_logit(points), field.density(points), field.normals(points)
    for a, b in zip(whole, blocks, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_native_and_torch_encodings_agree():
    points = box_points(200)
    a, b = rough_field(), rough_field(encoding="torch")
    torch.testing.assert_close(a(points).logit, b(points).logit, atol=1e-5, rtol=1e-5)
    assert a.state_dict().keys() == b.state_dict().keys()


def test_start_depends_on_the_generator_alone():
    first, again, other = (rough_field(seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["network.trunk.0.weight"], other["network.trunk.0.weight"])


def test_active_levels_cut_the_rest_and_travel_with_the_state():
    field, points = rough_field(), box_points(100)
    field.n_active_levels = 2
    coarse = field.density_logit(points)
    with torch.no_grad():
        field.encoding.params[field.layout.offsets[2] * field.layout.n_features :] = 7.0
    torch.testing.assert_close(field.density_logit(points), coarse)
    other = rough_field()
    other.load_state_dict(field.state_dict())
    assert other.n_active_levels == 2
    torch.testing.assert_close(other.density_logit(points), coarse)
    with pytest.raises(ValueError, match="n_active_levels"):
        field.n_active_levels = 5


def test_points_outside_are_read_at_the_face():
    field = rough_field(blob="none")
    inside, outside = torch.tensor([[1.0, 0.3, -1.0]]), torch.tensor([[1.7, 0.3, -40.0]])
    torch.testing.assert_close(field.density_logit(outside), field.density_logit(inside))


def test_param_groups_hold_every_parameter_once():
    field = HashGridField(sdf_config())
    groups = field.param_groups(1e-2, 1e-3)
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in field.parameters())
    assert [group["lr"] for group in groups] == [1e-2, 1e-3]


def test_view_dependence_changes_color_but_not_density():
    field, points = rough_field(view_dependent=True), box_points(50)
    along = torch.tensor([0.0, 0.0, 1.0]).expand(50, 3)
    a, b = field(points, along), field(points, -along)
    torch.testing.assert_close(a.logit, b.logit)
    assert (a.rgb - b.rgb).abs().max() > 1e-3
    with pytest.raises(ValueError, match="directions"):
        field(points)


def test_bfloat16_is_for_training_only():
    field, points = rough_field(precision="bfloat16"), box_points(500)
    exact = rough_field()(points)
    fast = field(points)
    assert fast.logit.dtype == fast.rgb.dtype == torch.float32
    assert 0 < (fast.logit - exact.logit).abs().max() < 0.05
    torch.testing.assert_close(field.density_logit(points), exact.logit)
    torch.testing.assert_close(field.eval()(points).logit, exact.logit)


def test_sdf_starts_as_a_ball_with_a_unit_gradient():
    field = HashGridField(sdf_config(radius=0.6))
    points = box_points(200)
    distance = points.norm(dim=-1) - 0.6
    torch.testing.assert_close(field.density_logit(points), -distance, atol=1e-2, rtol=0)
    assert (field.logit_gradient(points, "finite_difference", 0.05).norm(dim=-1) - 1).abs().median() < 0.05
    # Half of the largest density at the surface: VolSDF's Laplace distribution at 0.
    assert field.activation(torch.tensor(0.0)).item() == pytest.approx(0.5 / 0.1)


def test_every_parameter_gets_a_gradient():
    field = rough_field(view_dependent=True)
    points = box_points(400)
    output = field(points, torch.nn.functional.normalize(points, dim=-1))
    (output.density.sum() + output.rgb.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoding": "magic"},
        {"density_activation": "relu"},
        {"blob": "cube"},
        {"precision": "float8"},
        {"n_levels": 0},
        {"density_scale": -1.0},
        {"interpolation": "cubic"},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HashGridField(FieldConfig(**wrong))


def test_tcnn_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    with pytest.raises(ValueError, match=r"encoding=tcnn.*encoding=native.*pip install"):
        HashGridField(FieldConfig(encoding="tcnn"))
