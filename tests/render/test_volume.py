"""The volume renderer against closed forms, and against itself in blocks."""

import math

import pytest
import torch

from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.render import regularizers
from nerf2mesh.types import Camera, Rays
from tests.fields.make import rough_field
from tests.render.solids import Solid, ball_chord, mean_depth, random_rays, renderer_of


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_ball_has_the_opacity_and_depth_of_its_chords(backend):
    renderer = renderer_of(Solid("ball", 0.6, 3.0), samples_per_ray=2048, backend=backend)
    rays = random_rays(300)
    rendering = renderer.render_rays(rays)
    enter, length = ball_chord(rays, 0.6)
    step = renderer.config.step_size
    torch.testing.assert_close(rendering.opacity, 1 - torch.exp(-3.0 * length), atol=3.1 * step, rtol=0)
    hit = length > 0.05
    assert 100 < hit.sum() < 300
    torch.testing.assert_close(rendering.depth[hit], mean_depth(enter, length, 3.0)[hit], atol=1.1 * step, rtol=0)
    assert (rendering.depth[length == 0] == 0).all() and (rendering.rgb[length == 0] == 0).all()


def test_box_seen_by_an_orthographic_camera_is_exact():
    field = Solid("box", 0.5, 2.0)
    renderer = renderer_of(field, samples_per_ray=1000)
    camera = Camera.orbit(0.0, 0.0, width_px=32, orthographic=True)
    rendering = renderer.render(camera)
    step = renderer.config.step_size
    xy = ((camera.pixel_centers() - camera.principal_px) / camera.focal_px).abs()
    face = xy.amax(-1) < 0.5
    expected = (1 - math.exp(-2.0)) * face
    torch.testing.assert_close(rendering.opacity, expected, atol=2.1 * step, rtol=0)
    assert rendering.depth[face].std() < 1e-5
    # The front face is at x = 0.5, seen from x = 3.2.
    depth = mean_depth(torch.tensor(2.7), torch.tensor(1.0), 2.0)
    assert rendering.depth[face].mean().item() == pytest.approx(depth.item(), abs=step)


def test_opaque_ball_shows_its_skin():
    renderer = renderer_of(Solid("ball", 0.6, 5000.0, (0.4, 0.8, 0.8)), samples_per_ray=2048)
    rays = random_rays(200)
    enter, length = ball_chord(rays, 0.6)
    rendering = renderer.render_rays(rays, normals="analytic")
    hit = length > 0.05
    skin = rays.origins + enter[:, None] * rays.directions
    color = torch.tensor([0.4, 0.8, 0.8]) * (0.75 + 0.25 * skin)
    torch.testing.assert_close(rendering.rgb[hit], color[hit], atol=2e-3, rtol=0)
    torch.testing.assert_close(rendering.depth[hit], enter[hit], atol=3e-3, rtol=0)
    torch.testing.assert_close(rendering.normal[hit], skin[hit] / 0.6, atol=5e-3, rtol=0)
    # Color is premultiplied: over white, a missed ray is white.
    assert (rendering.over(1.0)[length == 0] == 1).all()
    over = rendering.over(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(over[length == 0][0], torch.tensor([0.1, 0.2, 0.3]))


def test_gradient_of_opacity_is_the_chord_times_what_passes():
    field = Solid("ball", 0.6, 1.5)
    renderer = renderer_of(field, samples_per_ray=2048)
    rays = random_rays(100)
    _, length = ball_chord(rays, 0.6)
    renderer.render_rays(rays).opacity.sum().backward()
    expected = (length * torch.exp(-1.5 * length)).sum()
    assert field.density_inside.grad.item() == pytest.approx(expected.item(), rel=1e-2)


def test_a_far_camera_with_a_narrow_view_is_nearly_orthographic():
    renderer = renderer_of(Solid("ball", 0.6, 4.0), samples_per_ray=256)
    far = {"distance": 40.0, "fov_deg": 3.2, "width_px": 32}
    perspective = renderer.render(Camera.orbit(30.0, 20.0, **far))
    orthographic = renderer.render(Camera.orbit(30.0, 20.0, orthographic=True, **far))
    assert (perspective.opacity - orthographic.opacity).abs().mean() < 5e-3
    assert (perspective.rgb - orthographic.rgb).abs().mean() < 5e-3
    both = (perspective.opacity > 0.5) & (orthographic.opacity > 0.5)
    assert (perspective.depth - orthographic.depth)[both].abs().mean() < 2e-2


def test_batches_of_cameras_are_the_single_cameras():
    renderer = renderer_of(Solid("box", 0.4, 6.0), samples_per_ray=128)
    cameras = Camera.orbit(torch.tensor([0.0, 50.0, 200.0]), 15.0, width_px=20, height_px=12)
    batch = renderer.render(cameras, normals="analytic")
    assert batch.rgb.shape == (3, 12, 20, 3) and batch.normal.shape == (3, 12, 20, 3)
    assert batch.extra["distortion"].shape == (3, 12, 20)
    for i in range(3):
        torch.testing.assert_close(batch.rgba[i], renderer.render(cameras[i]).rgba, atol=1e-6, rtol=0)


def test_render_in_blocks_changes_nothing():
    field = rough_field(start_levels=3)
    camera = Camera.orbit(20.0, 30.0, width_px=24)
    whole = renderer_of(field, samples_per_ray=128).render(camera, normals="finite_difference")
    renderer = renderer_of(field, samples_per_ray=128, memory_budget_bytes=1 << 20)
    assert int(whole.extra["n_samples"].sum()) > 4 * renderer.chunk_samples
    blocks = renderer.render(camera, normals="finite_difference")
    torch.testing.assert_close(blocks.rgba, whole.rgba, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(blocks.normal, whole.normal, atol=1e-3, rtol=1e-3)
    assert field.training and not whole.rgb.requires_grad


def objective(rendering):
    """Uses every output, so that every gradient is put in."""
    color = (rendering.over(0.3) - 0.5).square().mean()
    return color + 0.1 * rendering.depth.mean() + 0.2 * regularizers.distortion(rendering.extra["distortion"])


def sample_objective(rendering):
    """A mean over rays of something that each sample has."""
    n_rays = rendering.opacity.shape[0]
    return 0.01 * (rendering.extra["logit"].square() * rendering.extra["weights"]).sum() / n_rays


def chunked_gradients(field, rays, jitter, budget_bytes):
    renderer = renderer_of(field, samples_per_ray=128, memory_budget_bytes=budget_bytes)
    field.zero_grad()
    rendering, value = renderer.backward_in_chunks(rays, objective, jitter=jitter, sample_objective=sample_objective)
    return rendering, value, [p.grad.clone() for p in field.parameters()]


def test_backward_in_chunks_is_backward():
    field, rays = rough_field(), random_rays(400)
    jitter = torch.rand(400, generator=torch.Generator().manual_seed(5))
    renderer = renderer_of(field, samples_per_ray=128)
    plain = renderer.render_rays(rays, jitter=jitter, extras=True)
    loss = objective(plain) + sample_objective(plain)
    loss.backward()
    expected = [p.grad.clone() for p in field.parameters()]
    for budget in (1 << 32, 8 << 20, 1 << 20):
        rendering, value, gradients = chunked_gradients(field, rays, jitter, budget)
        torch.testing.assert_close(rendering.rgba, plain.rgba, atol=1e-6, rtol=1e-5)
        assert not rendering.rgb.requires_grad
        assert value.item() == pytest.approx(loss.item(), rel=1e-5)
        for a, b in zip(gradients, expected, strict=True):
            torch.testing.assert_close(a, b, atol=2e-5 * float(b.abs().max()), rtol=1e-4)


def test_objective_with_parameters_of_its_own_learns_too():
    field, rays = rough_field(), random_rays(100)
    coefficients = torch.zeros(16, 3, requires_grad=True)
    grads = []

    def over_learned_background(rendering):
        background = torch.sigmoid(spherical_harmonics(rays.directions, 3) @ coefficients)
        return rendering.over(background).square().mean()

    for budget in (1 << 32, 1 << 20):
        coefficients.grad = None
        renderer = renderer_of(field, samples_per_ray=256, memory_budget_bytes=budget)
        renderer.backward_in_chunks(rays, over_learned_background)
        grads.append(coefficients.grad.clone())
    assert grads[0].abs().max() > 0
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-4)


def test_rays_without_samples_are_empty_and_harmless():
    field = rough_field()
    renderer = renderer_of(field)
    away = Rays(torch.tensor([[5.0, 0, 0], [0, 5.0, 0]]), torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
    rendering = renderer.render_rays(away, extras=True, normals="finite_difference")
    assert rendering.rgba.abs().max() == 0 and rendering.depth.abs().max() == 0
    assert rendering.extra["points"].shape == (0, 3)
    rendering.over(1.0).sum().backward()
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in field.parameters())
    none = Rays(torch.zeros(0, 3), torch.zeros(0, 3))
    assert renderer.render_rays(none).rgb.shape == (0, 3)


def test_pruning_drops_only_what_no_light_reaches():
    field, rays = Solid("ball", 0.6, 80.0), random_rays(200)
    all_of_it = renderer_of(field, prune_transmittance=0.0).render_rays(rays)
    pruned = renderer_of(field, prune_transmittance=1e-3).render_rays(rays)
    assert pruned.extra["n_samples"].sum() < 0.7 * all_of_it.extra["n_samples"].sum()
    assert (pruned.rgba - all_of_it.rgba).abs().max() < 1e-3
    tight = renderer_of(field, prune_transmittance=1e-12).render_rays(rays)
    torch.testing.assert_close(tight.rgba, all_of_it.rgba, atol=1e-6, rtol=0)


def test_jitter_moves_samples_and_equal_jitter_gives_equal_bits():
    renderer, rays = renderer_of(rough_field(), samples_per_ray=64), random_rays(100)
    jitter = torch.rand(100, generator=torch.Generator().manual_seed(1))
    first, again = (renderer.render_rays(rays, jitter=jitter).rgba for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, renderer.render_rays(rays, jitter=1 - jitter).rgba)


def test_view_dependent_fields_see_the_ray_directions():
    field = rough_field(view_dependent=True)
    rendering = renderer_of(field, samples_per_ray=64).render_rays(random_rays(50))
    rendering.rgb.sum().backward()
    assert field.network.head[0].weight.grad[:, -16:].abs().max() > 0


@pytest.mark.parametrize(("backend", "says"), [("nerfacc", "CUDA"), ("opengl", "renderer.backend")])
def test_backends_that_cannot_serve_say_so(backend, says):
    with pytest.raises(ValueError, match=says):
        renderer_of(Solid("ball", 0.5, 1.0), backend=backend)


@pytest.mark.parametrize(
    "wrong",
    [{"samples_per_ray": 0}, {"occupancy_threshold": 1.0}, {"prune_transmittance": -1.0}, {"memory_budget_bytes": 3}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        renderer_of(Solid("ball", 0.5, 1.0), **wrong)
