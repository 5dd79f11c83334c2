"""The rasterizer with coordinates, cameras and arrays of any value: bounded work, sound images, refusals by name."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerf2mesh.kernels import _lib
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.render import rasterizer
from nerf2mesh.render.raster_arrays import CImages, CMesh, CViews, MeshArrays, ViewArrays
from nerf2mesh.render.rasterizer import rasterize_arrays, rasterize_mesh
from nerf2mesh.render.rasterizer_reference import rasterize_arrays_reference
from nerf2mesh.types import Camera

WILD = [0.0, -0.0, 1.0, -3.7, 1e-300, 1e10, -1e10, 1e30, -1e200, 1e308]
NOT_FINITE = [np.inf, -np.inf, np.nan]
OUTPUTS = ("opacity", "depth", "face", "barycentric", "layers")


def front_camera(side: int = 24) -> np.ndarray:
    return rasterizer.camera_arrays(Camera.orbit(0.0, 0.0, width_px=side))[0]


def with_far_faces(places: np.ndarray) -> tuple[MeshArrays, int]:
    """A ball, and behind its faces in the arrays triangles whose corners are `places` [n, 3]."""
    ball = icosphere(2, 0.6)
    vertices = np.concatenate([ball.vertices, places])
    extra = ball.n_vertices + np.arange(len(places) // 3 * 3).reshape(-1, 3)
    faces = np.concatenate([ball.faces, extra]).astype(np.int32)
    return MeshArrays(np.ascontiguousarray(vertices), faces), ball.n_faces


@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("orthographic", [False, True])
def test_faces_with_a_corner_that_is_not_finite_are_left_out(bad, orthographic):
    places = np.tile([[0.9, -0.5, -0.5], [0.9, 0.5, -0.5], [0.9, 0.0, 0.5]], (9, 1))
    for i in range(9):
        places[3 * i + i // 3, i % 3] = bad
    mesh, _ = with_far_faces(places)
    views = ViewArrays(front_camera(), 24, 24, orthographic=orthographic)
    plain = rasterize_arrays(with_far_faces(places[:0])[0], views, outputs=OUTPUTS)
    for draw in (rasterize_arrays, rasterize_arrays_reference):
        images = draw(mesh, views, outputs=OUTPUTS)
        assert np.array_equal(images["face"], plain["face"])
        assert np.array_equal(images["layers"], plain["layers"])


@pytest.mark.parametrize("far", [1e5, 1e10, 1e15])
def test_a_face_that_reaches_very_far_still_covers_what_it_covers(far):
    """A triangle before everything else with corners at `far` that covers exactly the left half of the image."""
    mesh, n_faces = with_far_faces(np.array([[0.9, 0.0, -far], [0.9, 0.0, far], [0.9, -far, 0.0]]))
    for supersample in (1, 3):
        views = ViewArrays(front_camera(), 24, 24, supersample)
        image = rasterize_arrays(mesh, views, outputs=OUTPUTS)
        assert (image["face"][0, :, :12] == n_faces).all() and (image["face"][0, :, 12:] != n_faces).all()
        assert (image["opacity"][0, :, :12] == 1.0).all()


@pytest.mark.parametrize("fov_deg", [1e-9, 1e-3])
def test_a_field_of_view_near_zero(fov_deg):
    """The middle of a box's face fills the image, at the camera's distance less the box's half width."""
    camera = Camera.orbit(0.0, 0.0, distance=3.0, fov_deg=40.0, width_px=16)
    camera = replace(
        camera, focal_px=camera.focal_px.double() * np.tan(np.deg2rad(20)) / np.tan(np.deg2rad(fov_deg / 2))
    )
    image = rasterize_mesh(box((0.5, 0.5, 0.5)), camera)
    assert torch.all(image.opacity == 1.0)
    assert image.depth.numpy() == pytest.approx(np.full((16, 16), 2.5), rel=1e-6)
    aside = rasterize_mesh(TriangleMesh(box().vertices + np.array([0.0, 3.0, 0.0]), box().faces), camera)
    assert not aside.opacity.any()


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.05, 0.3, 1.0]),
    focal=st.sampled_from([12.0, -12.0, 1e-300, 1e12, 1e300]),
    shift=st.sampled_from([0.0, 1e10, -1e300]),
    orthographic=st.booleans(),
    near=st.sampled_from([0.0, 1e-3, 2.0]),
)
def test_any_finite_scene_gives_a_sound_image(seed, share, focal, shift, orthographic, near):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-1.0, 1.0, (30, 3))
    wild = rng.random(vertices.shape) < share
    vertices[wild] = rng.choice([*WILD, *NOT_FINITE], int(wild.sum()))
    camera = front_camera(17)
    camera[0, 16:18], camera[0, 18:] = focal, 8.5 + shift
    camera[0, rng.integers(16)] = rng.choice([camera[0, 0], *WILD])
    mesh = MeshArrays(vertices, rng.integers(0, 30, (40, 3), dtype=np.int32))
    views = ViewArrays(camera, 17, 17, 2, orthographic, near=near)
    image = rasterize_arrays(mesh, views, outputs=OUTPUTS)
    covered = image["opacity"] > 0
    assert (image["opacity"] <= 1.0).all() and np.array_equal(covered, image["face"] >= 0)
    assert image["face"].max() < 40 and (image["layers"] >= covered).all() and image["layers"].max() <= 4 * 40
    assert np.isfinite(image["barycentric"]).all() and (image["barycentric"] >= -1e-5).all()
    assert not image["depth"][~covered].any()


ARRAYS = MeshArrays(box().vertices, box().faces.astype(np.int32))


@pytest.mark.parametrize(
    ("mesh", "views", "message"),
    [
        ({"vertices": np.zeros((7, 3))}, {}, "faces: expected indices from 0 to 6, got 0 to 7"),
        ({"faces": np.array([[0, 1, -1]], np.int32)}, {}, "faces: expected indices"),
        ({"faces": np.zeros((4, 3), np.int64)}, {}, "faces: expected contiguous int32"),
        ({"vertices": np.zeros((8, 4))[:, :3]}, {}, r"vertices: .* got float64 \[8, 3\], not contiguous"),
        ({"normals": np.zeros((7, 3), np.float32)}, {}, r"normals: expected contiguous float32 \[8, 3\]"),
        ({"colors": np.zeros((8, 4), np.float32)}, {}, "colors"),
        ({"uv": np.zeros((11, 3, 2), np.float32)}, {}, "uv"),
        ({"texture": np.zeros((4, 4, 2), np.uint8)}, {}, "texture"),
        ({"texture": np.zeros((0, 4, 3), np.uint8)}, {}, "texture: expected at least one texel"),
        ({}, {"cameras": np.full((1, 20), np.nan)}, "cameras: expected finite numbers"),
        ({}, {"cameras": np.zeros((1, 20))}, "cameras: .* focal lengths other than 0"),
        ({}, {"cameras": np.ones((1, 19))}, "cameras: expected contiguous"),
        ({}, {"lights": np.full((1, 3), np.inf, np.float32)}, "lights"),
        ({}, {"lights": np.zeros((2, 3), np.float32)}, "lights"),
        ({}, {"height": 0}, "height: expected 1 to"),
        ({}, {"width": 1 << 20}, "width: expected 1 to"),
        ({}, {"supersample": -1}, "supersample"),
        ({}, {"ambient": np.inf}, "ambient"),
        ({}, {"near": -1e-9}, "near"),
    ],
)
def test_arrays_are_refused_by_name(mesh, views, message):
    wrong_views = ViewArrays(front_camera(8), 8, 8)._replace(**views)
    with pytest.raises(ValueError, match=message):
        rasterize_arrays(ARRAYS._replace(**mesh), wrong_views)


def test_the_library_refuses_on_its_own():
    library = rasterizer.native_library()
    if library is None:
        pytest.skip("calls the native library, which is not there")
    camera, opacity = front_camera(8), np.zeros((1, 8, 8), np.float32)
    address = lambda array: array.ctypes.data
    good = {"cameras": address(camera), "n_cameras": 1, "height": 8, "width": 8, "supersample": 1}

    def call(faces: np.ndarray, **changes: int | None) -> int:
        mesh = CMesh(vertices=address(ARRAYS.vertices), faces=address(faces), n_vertices=8, n_faces=len(faces))
        views = CViews(**{**good, **changes})
        return library.n2m_rasterize(
            ctypes.byref(mesh), ctypes.byref(views), ctypes.byref(CImages(opacity=address(opacity)))
        )

    assert call(ARRAYS.faces) == 0 and opacity.any()
    for status, name, faces, changes in (
        (1, "faces", np.full((1, 3), 8, np.int32), {}),
        (2, "height", ARRAYS.faces, {"height": -1}),
        (2, "supersample", ARRAYS.faces, {"supersample": 2**31 - 1}),
        (4, "cameras", ARRAYS.faces, {"cameras": None}),
    ):
        assert call(faces, **changes) == status
        assert str(_lib.refusal(library, "rasterize")).startswith(f"{name}: expected")


def test_simplify_refuses_vertices_that_are_not_finite():
    if rasterizer.native_library() is None:
        pytest.skip("calls the native library, which is not there")
    ball = icosphere(2, 0.6)
    ball.vertices[5, 1] = np.nan
    with pytest.raises(ValueError, match="vertices: expected finite numbers, got nan at 16"):
        simplify(ball, 100)
