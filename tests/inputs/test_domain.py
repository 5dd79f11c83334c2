"""What kind of picture it is: features of known pictures, verdicts on drawings, and the user's word."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.config import Config
from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.domain import classify
from nerf2mesh.inputs.domain.features import NAMES, features
from nerf2mesh.lora import LoraConfig, packaged_adapter
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.procedural.drawing import draw
from nerf2mesh.procedural.gbuffer import mesh_gbuffer
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.run.guidance import with_adapter_of_kind
from nerf2mesh.types import Camera, Observations, View


def named(rgba: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, features(rgba.astype(np.float32)), strict=True))


def opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], -1).astype(np.float32)


def test_features_of_a_flat_picture_are_known():
    found = named(opaque(np.full((64, 64, 3), 1.0)))
    assert found["bright"] == 1.0
    assert found["dark"] == 0.0
    assert found["top_tone"] == 1.0
    assert found["flat"] == 1.0
    assert found["equal_neighbors"] == 1.0
    assert abs(found["chroma"]) < 1e-3
    assert found["dark_lines"] == found["light_lines"] == 0.0


def test_blocks_are_seen_at_whatever_size_and_place():
    rng = np.random.default_rng(0)
    small = rng.uniform(size=(24, 24, 3))
    smooth = rng.uniform(size=(96, 96, 3))
    for block in (4, 5, 7):
        enlarged = np.kron(small, np.ones((block, block, 1)))[2:, 3:]
        assert named(opaque(enlarged))["block_gain"] > 0.5
    assert named(opaque(smooth))["block_gain"] < 0.2


def test_thin_lines_are_dark_on_paper_and_light_on_a_blueprint():
    lines = np.full((128, 128, 3), 0.9)
    lines[8::20, :, :] = 0.1
    found, turned = named(opaque(lines)), named(opaque(1.0 - lines))
    assert found["dark_lines"] > 5.0 * found["light_lines"]
    assert turned["light_lines"] > 5.0 * turned["dark_lines"]
    assert found["lightness"] > 0.8
    assert turned["lightness"] < 0.2


def test_what_is_transparent_does_not_count():
    rgb = np.full((64, 64, 3), 0.8)
    mask = np.zeros((64, 64, 1))
    mask[16:48, 16:48] = 1.0
    noisy = np.where(mask > 0, rgb, np.random.default_rng(1).uniform(size=rgb.shape))
    one, other = (features(np.concatenate([x, mask], -1).astype(np.float32)) for x in (rgb, noisy))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_probabilities_are_torchs_softmax_of_the_packaged_weights():
    stored = json.loads(classify.PACKAGED.read_text())
    found = np.random.default_rng(0).normal(size=(5, len(NAMES))) * stored["std"] + stored["mean"]
    values = [np.array(stored[name]) for name in ("mean", "std", "weight", "bias")]
    scores = torch.from_numpy((found - values[0]) / values[1]) @ torch.from_numpy(values[2]).T
    wanted = (scores + torch.from_numpy(values[3])).softmax(-1).numpy()
    np.testing.assert_allclose(classify.probabilities(found, *values), wanted, atol=1e-9)
    assert classify.PACKAGED.stat().st_size < 200_000


def two_balls() -> TriangleMesh:
    """One ball before another, in two colors."""
    ball = icosphere(4)
    parts = [(0.55, (0.0, -0.15, 0.1), (0.8, 0.4, 0.3)), (0.35, (0.3, 0.4, -0.3), (0.3, 0.5, 0.7))]
    vertices = np.concatenate([radius * ball.vertices + np.array(place) for radius, place, _ in parts])
    colors = np.concatenate([np.tile(np.array(color, np.float32), (len(ball.vertices), 1)) for *_, color in parts])
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)])
    normals = np.concatenate([ball.vertices, ball.vertices])
    return TriangleMesh(vertices, faces, normals, colors)


def three_boxes() -> TriangleMesh:
    """Boxes of three colors on each other, with edges to draw."""
    parts = [((0.5, 0.4, 0.3), -0.3, (0.8, 0.4, 0.3)), ((0.3, 0.25, 0.2), 0.2, (0.3, 0.5, 0.7))]
    parts += [((0.12, 0.12, 0.3), 0.55, (0.8, 0.8, 0.3))]
    boxes = [box(half) for half, *_ in parts]
    corners = [one.corners.reshape(-1, 3) + np.array([0.0, 0.0, z]) for one, (_, z, _) in zip(boxes, parts)]
    normals = [one.face_normals.repeat(3, axis=0) for one in boxes]
    colors = [np.tile(np.array(color, np.float32), (len(c), 1)) for c, (*_, color) in zip(corners, parts)]
    vertices = np.concatenate(corners)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    return TriangleMesh(vertices, faces, np.concatenate(normals), np.concatenate(colors))


@pytest.mark.parametrize(("look", "kind"), [("line", "lineart"), ("pencil", "pencil"), ("blueprint", "blueprint")])
def test_drawings_are_acted_on(look, kind):
    camera = Camera.orbit(20.0, 15.0, width_px=256)
    rendering = rasterize_mesh(three_boxes(), camera, supersample=2)
    buffer = {name: values[None] for name, values in mesh_gbuffer(rendering, camera).items()}
    verdict = classify.classified(draw(buffer, look)[0].numpy())
    assert verdict.acted == verdict.likely == kind


def test_renderings_and_plain_colors_are_photographs():
    camera = Camera.orbit(20.0, 15.0, width_px=256)
    shown = rasterize_mesh(two_balls(), camera, supersample=2, shading="lambert")
    straight = shown.rgb / shown.opacity.clamp_min(1e-6)[..., None]
    assert classify.classified(torch.cat([straight, shown.opacity[..., None]], -1).numpy()).acted == "photo"
    for color in ((0.1, 0.2, 0.6), (0.95, 0.95, 0.95), (0.8, 0.1, 0.1), (0.05, 0.05, 0.05)):
        domain = classify.classified(opaque(np.full((90, 90, 3), color))).acted
        assert domain in ("photo", "cel", "pixelart")


def test_opaque_line_art_keeps_the_paper_that_its_strokes_enclose():
    camera = Camera.orbit(20.0, 15.0, width_px=256)
    rendering = rasterize_mesh(three_boxes(), camera, supersample=2)
    buffer = {name: values[None] for name, values in mesh_gbuffer(rendering, camera).items()}
    drawn = draw(buffer, "line")[0]
    page = drawn[..., :3] * drawn[..., 3:] + 1.0 - drawn[..., 3:]
    data = io.BytesIO()
    Image.fromarray((page * 255).round().byte().numpy()).save(data, "PNG")
    observations = load_observations(InputConfig(size_px=256, domain="auto", recenter=False), data.getvalue())
    view = observations.views[0]
    assert view.domain == "lineart"
    both = ((view.image[..., 3] > 0.5) & (drawn[..., 3] > 0.5)).sum()
    either = ((view.image[..., 3] > 0.5) | (drawn[..., 3] > 0.5)).sum()
    assert float(both / either) > 0.95


@pytest.fixture
def picture(tmp_path):
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[12:52, 12:52] = (200, 60, 50, 255)
    path = tmp_path / "square.png"
    Image.fromarray(rgba).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("chances", "domain", "said"),
    [
        ([0.03, 0.95, 0.02, 0, 0, 0], "lineart", "was taken for lineart (0.95)"),
        ([0.2, 0.75, 0.05, 0, 0, 0], "photo", "looks like lineart (0.75), not sure"),
        ([0.5, 0.3, 0.2, 0, 0, 0], "photo", ""),
    ],
)
def test_auto_acts_when_it_is_sure_and_says_so(picture, monkeypatch, chances, domain, said):
    monkeypatch.setattr(classify, "kind_probabilities", lambda _: np.array(chances))
    observations = load_observations(InputConfig(image=picture, size_px=32, domain="auto"))
    assert observations.views[0].domain == domain
    told = " ".join(observations.notes["warnings"])
    assert said in told
    assert ("input.domain" in told) == bool(said)
    assert observations.notes["kind"]


def test_the_users_word_wins(picture, monkeypatch):
    monkeypatch.setattr(classify, "kind_probabilities", lambda _: pytest.fail("nobody asked"))
    observations = load_observations(InputConfig(image=picture, size_px=32, domain="pencil"))
    assert observations.views[0].domain == "pencil"
    assert "kind" not in observations.notes


def test_the_kind_chooses_the_adapter():
    view = View(torch.ones(8, 8, 4), Camera.orbit(0.0, 0.0, width_px=8), domain="lineart")
    config = replace(Config(), lora=LoraConfig(adapters=["a"], weights=[0.5], by_domain={"lineart": "b", "cel": "c"}))
    chosen = with_adapter_of_kind(config, Observations((view,)))
    assert (chosen.lora.adapters, chosen.lora.weights) == (["a", "b"], [0.5, 1.0])
    assert with_adapter_of_kind(chosen, Observations((view,))) == chosen
    assert with_adapter_of_kind(config, Observations((replace(view, domain="photo"),))) == config
    nothing_named = replace(Config(), lora=LoraConfig())
    for kind in ("lineart", "pencil", "cel", "blueprint", "photo"):
        seen = Observations((replace(view, domain=kind),))
        expected = packaged_adapter(kind)
        assert with_adapter_of_kind(nothing_named, seen).lora.adapters == ([expected] if expected else [])
        assert with_adapter_of_kind(nothing_named, seen, own_prior=True) == nothing_named
        off = replace(nothing_named, lora=LoraConfig(packaged=False))
        assert with_adapter_of_kind(off, seen) == off
        other = replace(nothing_named, prior=replace(nothing_named.prior, weights="other.safetensors"))
        assert with_adapter_of_kind(other, seen) == other
    with pytest.raises(ValueError, match=r"lora\.by_domain: expected names among photo"):
        LoraConfig(by_domain={"auto": "x"})
