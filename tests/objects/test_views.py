from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.objects.config import AugmentConfig
from nerf2mesh.objects.cutout import cut_out
from nerf2mesh.objects.mesh import ObjectMesh, connected_parts
from nerf2mesh.objects.patterns import KINDS, Pattern, painted_parts
from nerf2mesh.objects.surface import see
from nerf2mesh.objects.views import PLAIN, draw_turn, draw_views, place
from nerf2mesh.procedural.gbuffer import mesh_gbuffer
from nerf2mesh.procedural.grammar import RADIUS, ViewConfig
from nerf2mesh.render.rasterizer import MeshArrays, rasterize_mesh
from nerf2mesh.types import DEFAULT_DISTANCE, Camera
from tests.objects.files import two_colored_ball

FLAT = replace(PLAIN, flat_light_share=1.0)
VIEWS = ViewConfig(n_views=4, size_px=64, orthographic_share=0.0)


def cube() -> ObjectMesh:
    mesh = box((3**-0.5,) * 3)
    colors = np.full((8, 3), 0.5, np.float32)
    return ObjectMesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), colors=colors)


def ball() -> ObjectMesh:
    mesh = two_colored_ball()
    arrays = (mesh.vertices, mesh.vertex_normals, mesh.vertex_colors)
    vertices, normals, colors = (array.astype(np.float32) for array in arrays)
    return ObjectMesh(vertices, mesh.faces.astype(np.int32), normals, colors)


@pytest.mark.parametrize("orthographic", [False, True])
def test_a_cube_covers_what_its_projection_covers(orthographic: bool) -> None:
    """From the front a square, from elsewhere the convex hull of the projected corners."""
    views = replace(VIEWS, n_views=6, orthographic_share=float(orthographic), input_elevation_deg=(0.0, 0.0))
    drawn = draw_views(cube(), np.random.default_rng(1), views, FLAT)
    half = RADIUS * 3**-0.5
    area = drawn.rgba[..., 3].sum((1, 2)) / 255.0
    front = 2 * half * float(drawn.camera.focal_px[0, 0]) / (1.0 if orthographic else DEFAULT_DISTANCE - half)
    assert np.sqrt(area[0]) == pytest.approx(front, abs=0.5)
    corners, _ = drawn.camera.project(torch.from_numpy(cube().vertices * RADIUS))
    hulls = [ConvexHull(view.numpy()).volume for view in corners[1:]]
    np.testing.assert_allclose(area[1:], hulls, rtol=0.015)


def test_both_sides_of_a_ball_have_their_colors() -> None:
    drawn = draw_views(ball(), np.random.default_rng(0), replace(VIEWS, n_views=8), FLAT)
    facing = drawn.camera.position[:, 0] / DEFAULT_DISTANCE
    middle = drawn.rgba[:, 31:33, 31:33].reshape(8, 4, 4).mean(1) / 255.0
    clear = facing.abs().numpy() > 0.1
    assert clear.sum() > 4 and (facing > 0.1).any() and (facing < -0.1).any()
    expected = np.where(facing[:, None].numpy() > 0, [[1, 0, 0, 1]], [[0, 0, 1, 1]])
    np.testing.assert_allclose(middle[clear], expected[clear], atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orthographic", [False, True])
def test_a_pattern_stays_on_the_surface_from_view_to_view(kind: str, orthographic: bool) -> None:
    """Points seen in one view, projected into another, have there the color that they had."""
    mesh = place(ball(), np.random.default_rng(0), FLAT)
    camera = Camera.orbit(
        torch.tensor([0.0, 25.0]), torch.tensor([10.0, 30.0]), width_px=128, orthographic=orthographic
    )
    pattern = replace(Pattern.draw(np.random.default_rng(4)), kind=kind, frequency=3.0, strength=1.0)
    seen = [see(mesh, camera[k : k + 1]) for k in range(2)]
    np.testing.assert_allclose(np.linalg.norm(seen[0].point, axis=1), RADIUS, atol=2e-3)
    share = [pattern.share(surface.point) for surface in seen]
    side = 256
    image = np.full(side * side, np.nan)
    image[seen[1].at] = share[1]
    pixels, _ = camera[1].resized(side, side).project(torch.from_numpy(seen[0].point))
    column, row = pixels.floor().long().clamp(0, side - 1).unbind(-1)
    there = image[(row * side + column).numpy()]
    outward = (seen[0].point * (camera.position[1].numpy() - seen[0].point)).sum(-1)
    shown = (outward > 0.4) & np.isfinite(there)
    assert shown.sum() > 5000 and 0.05 < share[0].mean() < 0.95
    assert (np.abs(there - share[0])[shown] < 0.05).mean() > 0.95


def test_drawings_are_made_from_what_the_renderer_shows() -> None:
    """The G-buffer of the samples against `mesh_gbuffer` of the public renderer."""
    from nerf2mesh.mesh import TriangleMesh

    arrays = place(ball(), np.random.default_rng(0), FLAT)
    camera = Camera.orbit(torch.tensor([20.0, 200.0]), torch.tensor([15.0, -10.0]), width_px=48)
    mesh = TriangleMesh(arrays.vertices, arrays.faces, arrays.normals, arrays.colors)
    expected = mesh_gbuffer(rasterize_mesh(mesh, camera, supersample=2), camera)
    surface = see(arrays, camera)
    found = surface.gbuffer(surface.albedo, surface.albedo)
    inside = expected["alpha"] == 1.0
    assert set(found) == set(expected)
    torch.testing.assert_close(found["alpha"], expected["alpha"])
    for key in ("rgb", "depth", "normal"):
        torch.testing.assert_close(found[key], expected[key], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found["facing"][inside], expected["facing"][inside], atol=0.02, rtol=0.0)


def test_light_falls_on_the_side_that_faces_it() -> None:
    """Of a grey ball the brightest pixel is where the normal points along the light, the same point in all views."""
    grey = replace(ball(), colors=np.full((len(ball().vertices), 3), 0.5, np.float32))
    drawn = draw_views(grey, np.random.default_rng(7), replace(VIEWS, n_views=6), replace(FLAT, flat_light_share=0.0))
    values = drawn.rgba[..., 0] * (drawn.rgba[..., 3] == 255)
    assert values.max() <= 128 and values[values > 0].min() < 0.97 * values.max()
    rays = drawn.camera.rays()
    middle = -(rays.origins * rays.directions).sum(-1, keepdim=True)
    closest = rays.origins + middle * rays.directions
    inside = (RADIUS**2 - closest.square().sum(-1, keepdim=True)).clamp_min(0.0).sqrt()
    normal = ((closest - inside * rays.directions) / RADIUS).numpy()
    bright, dark = values >= 0.99 * values.max(), (values > 0) & (values <= 1.01 * values[values > 0].min())
    towards = normal[bright].mean(0) / np.linalg.norm(normal[bright].mean(0))
    assert towards[2] > 0.0, "lights come from above"
    assert (normal[bright] @ towards).min() > (normal[dark] @ towards).max()


def test_turns_favor_the_front_and_are_rotations() -> None:
    rng, augment = np.random.default_rng(0), AugmentConfig(tumble_share=0.2)
    turns = np.stack([draw_turn(rng, augment) for _ in range(800)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (800, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-5)
    upright = turns[:, 2, 2] > 0.9999
    assert 0.15 < 1 - upright.mean() < 0.25
    frontal = turns[upright, 0, 0] > np.cos(np.radians(30))
    assert 0.45 < frontal.mean() < 0.6


def test_equal_parts_are_painted_alike() -> None:
    wheel, body = box((0.1, 0.1, 0.1)), icosphere(1, 0.3)
    pieces = [(wheel, 0.6), (wheel, -0.6), (body, 0.0)]
    offsets = np.cumsum([0] + [p.n_vertices for p, _ in pieces[:-1]])
    vertices = np.concatenate([p.vertices + np.array([x, 0, 0]) for p, x in pieces])
    faces = np.concatenate([p.faces + k for (p, _), k in zip(pieces, offsets, strict=True)])
    parts = connected_parts(vertices, faces)
    differs = 0
    for seed in range(20):
        colors = painted_parts(parts, np.random.default_rng(seed))
        assert len(np.unique(colors[:16], axis=0)) == 1 and len(np.unique(colors[16:], axis=0)) == 1
        differs += int(not np.allclose(colors[0], colors[-1]))
    assert 5 < differs < 20


def test_cut_out_edges_change_and_the_inside_does_not() -> None:
    disc = np.zeros((1, 32, 32, 4), np.float32)
    y, x = np.mgrid[:32, :32] - 15.5
    disc[0, ..., 3] = np.clip(10.3 - np.hypot(x, y), 0, 1)
    disc[0, ..., 1] = 0.6 * disc[0, ..., 3]
    areas, hard = [], 0
    for seed in range(40):
        cut = cut_out(disc, np.random.default_rng(seed))
        assert cut.min() >= 0.0 and (cut[..., :3] <= cut[..., 3:] + 1e-6).all()
        np.testing.assert_allclose(cut[0, 12:20, 12:20], disc[0, 12:20, 12:20], atol=1e-6)
        assert cut[0, 0].max() == 0.0
        areas.append(float(cut[..., 3].sum() / disc[..., 3].sum()))
        hard += int(np.isin(cut[..., 3], [0.0, 1.0]).all())
    assert min(areas) < 0.95 and max(areas) > 1.05 and 3 < hard < 25


def test_the_given_picture_may_be_drawn_while_the_target_stays_plain() -> None:
    rng = np.random.default_rng
    plain = draw_views(ball(), rng(3), VIEWS, FLAT)
    drawn = draw_views(ball(), rng(3), VIEWS, replace(FLAT, look_share=1.0, looks=("line",)))
    np.testing.assert_array_equal(plain.rgba, plain.given)
    np.testing.assert_array_equal(plain.rgba, drawn.rgba)
    np.testing.assert_array_equal(drawn.given[..., 3], drawn.rgba[..., 3])
    inside = drawn.given[..., 3] == 255
    spread = drawn.given[inside][:, :3].astype(int)
    assert (spread.max(1) == spread.min(1)).all(), "ink and paper are grey"
    assert np.median(spread) > 200


def test_meshes_without_normals_are_drawn() -> None:
    mesh = MeshArrays(cube().vertices.astype(np.float64), cube().faces)
    surface = see(mesh, Camera.orbit(torch.tensor([30.0]), 20.0, width_px=32))
    assert (np.einsum("nk,nk->n", surface.normal, surface.ray) <= 1e-6).all()
    np.testing.assert_allclose(np.abs(surface.normal).max(1), 1.0, atol=1e-5)
