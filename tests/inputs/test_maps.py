"""Depth and normal maps of a ball, whose surface is known in closed form, and maps that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.maps.files import exr_names
from tests.inputs.maps_of_a_ball import SIZE_PX, VIEW, as_colors, seen_ball, sixteen_bits


@pytest.fixture(scope="module")
def ball():
    return seen_ball()


def observed(tmp_path, ball, **settings):
    """The view and the notes with these settings; the picture's own framing unless they say otherwise."""
    picture = ball.save_picture(tmp_path / "ball.png")
    config = InputConfig(image=picture, size_px=SIZE_PX, **{"recenter": False, **VIEW, **settings})
    observations = load_observations(config)
    return observations.views[0], observations.notes


def written(tmp_path, values, name="map.npy") -> str:
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)
    return str(path)


def test_world_depths_are_kept_to_float32_where_the_ball_is(tmp_path, ball):
    z = torch.where(ball.hit, ball.axis_depth, torch.inf).numpy()
    view, _ = observed(tmp_path, ball, depth=written(tmp_path, z), depth_kind="world")
    assert view.depth is not None
    assert (view.depth.kind, view.depth.along_axis) == ("world", True)
    assert torch.equal(view.depth.known, ball.hit)
    assert float((view.depth.values - ball.axis_depth)[ball.hit].abs().max()) < 1e-6


@pytest.mark.parametrize(("near_is_large", "kind"), [(False, "affine"), (True, "inverse")])
def test_whether_larger_is_farther_is_seen_at_the_rim_and_said(tmp_path, ball, near_is_large, kind):
    z = ball.axis_depth.clamp_min(1e-3)
    stored = sixteen_bits(1.0 / z if near_is_large else z, ball.hit)
    view, notes = observed(tmp_path, ball, depth=written(tmp_path, stored, "z.png"))
    assert view.depth is not None
    assert view.depth.kind == kind
    assert any("input.depth_kind" in text for text in notes["warnings"])
    assert "depth" in notes["maps"]


def test_the_users_word_about_depths_wins(tmp_path, ball):
    stored = sixteen_bits(ball.axis_depth, ball.hit)
    view, notes = observed(tmp_path, ball, depth=written(tmp_path, stored, "z.png"), depth_kind="inverse")
    assert view.depth is not None
    assert view.depth.kind == "inverse"
    assert not any("depth_kind" in text for text in notes["warnings"])


def test_metric_depths_leave_a_factor_open_and_with_recentering_a_shift(tmp_path, ball):
    z = torch.where(ball.hit, 0.2 * ball.axis_depth, torch.inf).numpy()
    own, _ = observed(tmp_path, ball, depth=written(tmp_path, z), depth_kind="metric")
    moved, _ = observed(tmp_path, ball, depth=written(tmp_path, z), depth_kind="metric", recenter=True)
    assert own.depth is not None
    assert moved.depth is not None
    assert (own.depth.kind, moved.depth.kind) == ("scale", "affine")
    ratio = own.depth.values[ball.hit] / ball.axis_depth[ball.hit]
    assert float(ratio.std() / ratio.mean()) < 1e-6


@pytest.mark.parametrize(
    ("frame", "signs"),
    [
        ("camera", (1, 1, 1)),
        ("camera", (1, -1, 1)),
        ("camera", (1, -1, -1)),
        ("camera", (-1, -1, -1)),
        ("world", (1, 1, 1)),
    ],
)
def test_axes_of_normals_are_found_by_the_outline(tmp_path, ball, frame, signs):
    stored = ball.camera_normal if frame == "camera" else ball.normal
    stored = torch.where(ball.hit[..., None], stored, 0.0) * torch.tensor(signs)
    view, notes = observed(tmp_path, ball, normal=written(tmp_path, stored.numpy()))
    assert view.normal is not None
    assert float((view.normal - ball.normal)[ball.hit].norm(dim=-1).max()) < 1e-5
    assert any("input.normal_axes" in text for text in notes["warnings"])


def test_directx_normals_of_eight_bits_are_right_to_their_rounding(tmp_path, ball):
    stored = as_colors(torch.where(ball.hit[..., None], ball.camera_normal, 0.0) * torch.tensor([1, -1, 1]))
    view, notes = observed(tmp_path, ball, normal=written(tmp_path, stored, "n.png"))
    assert view.normal is not None
    error = torch.rad2deg(torch.acos((view.normal * ball.normal).sum(-1)[ball.hit].clamp(-1, 1)))
    assert float(error.max()) < 1.0
    assert notes["maps"]["normals"] == "directx, camera axes"


def test_the_users_word_about_normals_wins(tmp_path, ball):
    stored = torch.where(ball.hit[..., None], ball.camera_normal, 0.0).numpy()
    told = {"normal_axes": "directx", "normal_frame": "camera"}
    view, _ = observed(tmp_path, ball, normal=written(tmp_path, stored), **told)
    assert view.normal is not None
    upside_down = (ball.camera_normal * torch.tensor([1, -1, 1])) @ ball.rotation.T
    assert float((view.normal - upside_down)[ball.hit].norm(dim=-1).max()) < 1e-5


def test_maps_follow_the_pictures_crop(tmp_path, ball):
    """The ball fills 0.7 of the frame after recentering: its nearest point stays in the middle."""
    z = torch.where(ball.hit, ball.axis_depth, torch.inf).numpy()
    view, _ = observed(tmp_path, ball, depth=written(tmp_path, z), depth_kind="world", recenter=True)
    assert view.depth is not None
    values = torch.where(view.depth.known, view.depth.values, torch.inf)
    row, column = divmod(int(values.argmin()), SIZE_PX)
    assert abs(row - SIZE_PX / 2) <= 2
    assert abs(column - SIZE_PX / 2) <= 2
    alpha = view.image[..., 3] > 0.99
    assert float((view.depth.known & ~alpha).float().mean()) == 0.0


def test_exr_files_are_read_with_blenders_names(tmp_path, ball):
    OpenEXR = pytest.importorskip("OpenEXR")
    z = torch.where(ball.hit, ball.axis_depth, 1e10).float().numpy()
    n = torch.where(ball.hit[..., None], ball.normal, 0.0).float().numpy()
    channels = {"ViewLayer.Depth.Z": z} | {f"ViewLayer.Normal.{k}": n[..., i].copy() for i, k in enumerate("XYZ")}
    path = str(tmp_path / "passes.exr")
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, channels).write(path)
    view, _ = observed(tmp_path, ball, depth=path, normal=path, depth_kind="world", normal_frame="world")
    assert view.depth is not None
    assert view.normal is not None
    assert float((view.depth.values - ball.axis_depth)[ball.hit].abs().max()) < 1e-6
    assert float((view.normal - ball.normal)[ball.hit].norm(dim=-1).max()) < 1e-5


@pytest.mark.parametrize(
    ("channels", "wanted", "names"),
    [
        (["V"], 1, ["V"]),
        (["ViewLayer.Depth.Z", "ViewLayer.Combined.R", "ViewLayer.Combined.G"], 1, ["ViewLayer.Depth.Z"]),
        (["X", "Y", "Z"], 3, ["X", "Y", "Z"]),
        (["X", "Y", "Z"], 1, []),
        (["R", "G", "B", "A"], 3, ["R", "G", "B"]),
        (["R", "G", "B", "normal.X", "normal.Y", "normal.Z"], 3, ["normal.X", "normal.Y", "normal.Z"]),
        (["a.X", "a.Y", "a.Z", "b.X", "b.Y", "b.Z"], 3, []),
        (["A"], 1, []),
    ],
)
def test_channels_of_an_exr_are_chosen_by_name(channels, wanted, names):
    assert exr_names(channels, wanted) == names


def bad_depths(ball) -> dict[str, tuple[np.ndarray, str, str]]:
    z = torch.where(ball.hit, ball.axis_depth, torch.inf).numpy()
    holes = np.where(ball.hit.numpy() & (np.arange(SIZE_PX) > 40), np.inf, z)
    colors = np.random.default_rng(0).integers(0, 255, (SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    return {
        "size": (z[:-8], "z.npy", f"expected {SIZE_PX} x {SIZE_PX} px"),
        "png size": (sixteen_bits(ball.axis_depth, ball.hit)[:, 8:], "z.png", f"expected {SIZE_PX} x {SIZE_PX} px"),
        "nan": (np.where(z < 2.6, np.nan, z), "z.npy", "got NaN in"),
        "constant": (np.where(np.isfinite(z), 3.0, np.inf), "z.npy", "got 3 everywhere"),
        "holes": (holes, "z.npy", "expected depths over the object"),
        "colors": (colors, "z.png", "expected grey values"),
        "channels": (np.stack([z, 2.0 * z], -1), "z.npy", "got 2 channels"),
        "complex": (z.astype(np.complex64), "z.npy", "expected numbers"),
    }


@pytest.mark.parametrize("case", ["size", "png size", "nan", "constant", "holes", "colors", "channels", "complex"])
def test_bad_depth_maps_are_one_line(tmp_path, ball, case):
    values, name, said = bad_depths(ball)[case]
    with pytest.raises(ValueError, match=r"^input\.depth: expected .*; ") as raised:
        observed(tmp_path, ball, depth=written(tmp_path, values, name))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((SIZE_PX, SIZE_PX, 3), [0.0, 0.0, 1.0]), "expected normals that differ"),
        (np.full((SIZE_PX, SIZE_PX, 3), 0.9), "expected normals of length 1"),
        (np.zeros((SIZE_PX, SIZE_PX, 3)), "expected normals over the object"),
        (np.zeros((SIZE_PX, SIZE_PX)), "expected three channels"),
        (np.full((SIZE_PX, SIZE_PX, 3), np.nan), "got NaN in"),
    ],
)
def test_bad_normal_maps_are_one_line(tmp_path, ball, values, said):
    with pytest.raises(ValueError, match=r"^input\.normal: expected .*; ") as raised:
        observed(tmp_path, ball, normal=written(tmp_path, values))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"P6 binary", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01", b"\x76\x2f\x31\x01junk"])
def test_files_that_are_no_maps_are_one_line(tmp_path, ball, data):
    path = tmp_path / "map.bin"
    path.write_bytes(data)
    for setting in ("depth", "normal"):
        with pytest.raises(ValueError, match=rf"^input\.{setting}: expected .*; ") as raised:
            observed(tmp_path, ball, **{setting: str(path)})
        assert "\n" not in str(raised.value)


def test_a_map_needs_one_picture(tmp_path):
    with pytest.raises(ValueError, match=r"^input\.depth: expected a picture beside it"):
        load_observations(InputConfig(prompt="a duck", depth="z.npy"))
    with pytest.raises(ValueError, match=r"^input\.normal: expected none with input=photos"):
        InputConfig(kind="photos", image="folder", normal="n.png")
    with pytest.raises(ValueError, match=r"^input\.depth: expected a file, got no file"):
        load_observations(InputConfig(image=seen_ball().save_picture(tmp_path / "a.png"), depth="none.npy"))
