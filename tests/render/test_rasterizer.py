from __future__ import annotations

import numpy as np
import pytest
import torch

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.render import rasterizer
from nerf2mesh.render.rasterizer import rasterize_mesh, rasterize_uv
from nerf2mesh.render.rasterizer_reference import rasterize_arrays_reference
from nerf2mesh.types import Camera


def textured_torus() -> TriangleMesh:
    ring = torus(n_around=24, n_tube=12)
    texture = np.random.default_rng(0).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    return TriangleMesh(ring.vertices, ring.faces, ring.vertex_normals, uv=ring.uv, texture=texture)


def brute_force(mesh: TriangleMesh, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Nearest hit of every pixel's ray with every triangle (Moeller and Trumbore 1997): distance and face."""
    rays = camera.rays()
    origins, directions = (a.reshape(-1, 1, 3).double().numpy() for a in (rays.origins, rays.directions))
    a, b, c = mesh.corners.transpose(1, 0, 2)
    u, v = b - a, c - a
    p = np.cross(directions, v)
    determinant = (p * u).sum(-1)
    s = origins - a
    beta = (s * p).sum(-1) / determinant
    q = np.cross(s, u)
    gamma = (directions * q).sum(-1) / determinant
    t = (v * q).sum(-1) / determinant
    t = np.where((beta >= 0) & (gamma >= 0) & (beta + gamma <= 1) & (t > 0), t, np.inf)
    shape = (camera.height_px, camera.width_px)
    return t.min(1).reshape(shape), t.argmin(1).reshape(shape)


@pytest.mark.parametrize("orthographic", [False, True])
def test_hits_and_distances_match_ray_casting(orthographic):
    mesh = torus(n_around=24, n_tube=12)
    camera = Camera.orbit(33.0, 41.0, width_px=48, height_px=40, orthographic=orthographic)
    distance, face = brute_force(mesh, camera)
    image = rasterize_mesh(mesh, camera)
    hit = np.isfinite(distance)
    assert np.array_equal(hit, image.opacity.numpy() == 1.0)
    assert np.abs(image.depth.numpy() - np.where(hit, distance, 0.0)).max() < 1e-5
    assert (image.extra["face"].numpy() == np.where(hit, face, -1)).mean() > 0.999


def test_barycentrics_are_perspective_correct():
    mesh = icosphere(1, 0.8)
    camera = Camera.orbit(20.0, 15.0, distance=1.3, fov_deg=70.0, width_px=40)
    image, rays = rasterize_mesh(mesh, camera), camera.rays()
    face, weights = image.extra["face"].numpy(), image.extra["barycentric"].double().numpy()
    points = (mesh.corners[face] * weights[..., None]).sum(-2)
    expected = (rays.origins + rays.directions * image.depth[..., None]).numpy()
    assert np.abs(points - expected)[face >= 0].max() < 2e-5
    assert (face >= 0).mean() > 0.5


@pytest.mark.parametrize("orthographic", [False, True])
@pytest.mark.parametrize("shading", ["albedo", "lambert"])
def test_native_equals_the_numpy_twin(orthographic, shading, monkeypatch):
    if rasterizer.native_library() is None:
        pytest.skip("native library not built")
    camera = Camera.orbit(torch.tensor([10.0, 200.0]), 30.0, width_px=40, height_px=28, orthographic=orthographic)
    colored = icosphere(2, 0.7)
    colored = TriangleMesh(colored.vertices, colored.faces, vertex_colors=0.5 + 0.5 * colored.vertices / 0.7)
    for mesh, smooth in ((textured_torus(), True), (colored, False), (box(), False)):
        native = rasterize_mesh(mesh, camera, supersample=2, shading=shading, smooth=smooth)
        with monkeypatch.context() as patch:
            patch.setattr(rasterizer, "native_library", lambda: None)
            twin = rasterize_mesh(mesh, camera, supersample=2, shading=shading, smooth=smooth)
        same = (native.extra["face"] == twin.extra["face"]).float().mean()
        assert same > 0.995
        for name in ("rgb", "opacity", "depth", "normal"):
            difference = (getattr(native, name) - getattr(twin, name)).abs()
            assert difference.mean() < 1e-4, name
            assert (difference > 1e-3).float().mean() < 0.01, name


def test_every_sample_on_shared_edges_belongs_to_exactly_one_triangle():
    """A fan and a grid whose edges run exactly through pixel centers: no hole, no double hit."""
    n = 8
    x, y = np.meshgrid(np.arange(n + 1) - n / 2, np.arange(n + 1) - n / 2, indexing="ij")
    vertices = np.stack([np.zeros_like(x), x, y], -1).reshape(-1, 3)
    i, j = (a.reshape(-1) for a in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    a, b, c, d = (p * (n + 1) + q for p, q in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)))
    mesh = TriangleMesh(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))
    camera = Camera.orbit(0.0, 0.0, width_px=16, orthographic=True)
    camera = Camera(camera.camera_to_world, torch.tensor([2.0, 2.0]), torch.tensor([8.5, 8.5]), 17, 17, True)
    views = rasterizer.ViewArrays(*rasterizer.camera_arrays(camera), orthographic=True)
    arrays = rasterizer.MeshArrays(*rasterizer._geometry(mesh))
    for images in (
        rasterizer.rasterize_arrays(arrays, views, outputs=("layers",)),
        rasterize_arrays_reference(arrays, views, outputs=("layers",)),
    ):
        layers = images["layers"][0]
        assert layers.max() == 1 and layers.sum() == 16 * 16


def test_supersampled_opacity_is_the_covered_area():
    camera = Camera.orbit(0.0, 0.0, width_px=20, orthographic=True)
    camera = Camera(camera.camera_to_world, torch.tensor([10.0, 10.0]), torch.tensor([10.0, 10.0]), 20, 20, True)
    opacity = rasterize_mesh(box((0.4, 0.333, 0.5)), camera, supersample=16).opacity
    assert float(opacity.sum()) / 100.0 == pytest.approx(0.666 * 1.0, rel=0.02)
    image = rasterize_mesh(box(), camera.resized(31, 31), supersample=3)
    assert torch.allclose(image.rgb, 0.8 * image.opacity[..., None].expand_as(image.rgb), atol=1e-6)


def test_normals_and_lambert_shading_of_a_sphere():
    camera = Camera.orbit(70.0, 25.0, width_px=64)
    image, rays = rasterize_mesh(icosphere(4, 0.8), camera, shading="lambert", ambient=0.25), camera.rays()
    hit = image.opacity > 0
    points = rays.origins + rays.directions * image.depth[..., None]
    normals = torch.nn.functional.normalize(points, dim=-1)
    assert (image.normal - normals)[hit].abs().max() < 0.02
    cosine = (normals @ camera.camera_to_world[:3, 2]).clamp_min(0.0)
    assert (image.rgb[..., 0] - 0.8 * (0.25 + 0.75 * cosine))[hit].abs().max() < 0.03


def test_orientation_of_image_and_texture():
    """Front view: +Y is to the right, +Z upward; the texture's first row is its top (v = 1)."""
    vertices = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]], dtype=float)
    uv = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], dtype=float)
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, 4:] = 255
    mesh = TriangleMesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uv=uv, texture=texture)
    rgb = rasterize_mesh(mesh, Camera.orbit(0.0, 0.0, width_px=64)).rgb[..., 0]
    assert rgb[24, 40] == 1.0 and rgb[24, 24] == 0.0 and rgb[40, 40] == 0.0 and rgb[40, 24] == 0.0


def test_triangles_behind_and_through_the_camera_plane():
    camera = Camera.orbit(0.0, 0.0, distance=0.5, fov_deg=90.0, width_px=32)
    inside = rasterize_mesh(box((1.0, 1.0, 1.0)), camera)
    distance, _ = brute_force(box((1.0, 1.0, 1.0)), camera)
    assert torch.all(inside.opacity == 1.0)
    assert np.abs(inside.depth.numpy() - distance).max() < 1e-5
    behind = rasterize_mesh(box((0.1, 0.1, 0.1)), camera.turned(0.0), near=2.0)
    assert float(behind.opacity.sum()) == 0.0


def test_batches_threads_and_empty_meshes_agree():
    mesh = textured_torus()
    camera = Camera.orbit(torch.arange(6).reshape(2, 3) * 60.0, 20.0, width_px=33, height_px=21)
    batch = rasterize_mesh(mesh, camera, supersample=2)
    assert batch.rgb.shape == (2, 3, 21, 33, 3) and batch.extra["face"].shape == (2, 3, 21, 33)
    n_threads = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            single = rasterize_mesh(mesh, camera[1, 2], supersample=2)
            assert torch.equal(single.rgba, batch.rgba[1, 2]) and torch.equal(single.depth, batch.depth[1, 2])
    finally:
        torch.set_num_threads(n_threads)
    empty = rasterize_mesh(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3))), camera)
    assert float(empty.opacity.abs().sum()) == 0.0 and bool((empty.extra["face"] == -1).all())


def test_uv_space_covers_the_square_once():
    ring = torus(n_around=10, n_tube=6)
    images = rasterize_uv(ring.uv, 37, 53)
    assert images["layers"].min() == images["layers"].max() == 1
    weights = images["barycentric"][..., None]
    uv = (ring.uv[images["face"]] * weights).sum(2)
    assert np.abs(uv[..., 0] - (np.arange(53) + 0.5) / 53).max() < 1e-5
    assert np.abs(uv[..., 1] - 1.0 + (np.arange(37)[:, None] + 0.5) / 37).max() < 1e-5


def test_bad_arguments_are_named():
    camera = Camera.orbit(0.0, 0.0, width_px=8)
    with pytest.raises(ValueError, match="shading"):
        rasterize_mesh(box(), camera, shading="phong")
    for name, bad in (("supersample", 0), ("supersample", 65), ("near", float("nan")), ("near", -1.0)):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            rasterize_mesh(box(), camera, **{name: bad})
    with pytest.raises(ValueError, match="finite"):
        rasterize_mesh(TriangleMesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])), camera)
