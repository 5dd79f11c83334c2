"""What a camera shows of a surface, and scores of the two parts: closed forms and scikit-image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.color import deltaE_cie76, rgb2lab
from skimage.metrics import structural_similarity

from nerf2mesh.evaluate.metrics.regions import cielab, region_scores, region_shape_scores
from nerf2mesh.evaluate.metrics.visibility import seen_pixels, solidity, unseen_share
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.cases import with_regions
from nerf2mesh.evaluate.protocols.scoring import Settings
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.types import Camera
from tests.evaluate.shapes import cube, painting, sphere


def mesh(*parts) -> TriangleMesh:
    counts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + n for part, n in zip(parts, counts)]
    return TriangleMesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))


def test_a_ball_shows_the_cap_in_front_of_its_tangent_cone() -> None:
    """Of a ball of radius r at distance d the area within cos > r / d is seen: a share of (1 - r / d) / 2."""
    camera = Camera.orbit(0.0, 20.0, width_px=64)
    seen = 0.5 * (1.0 - 0.8 / float(camera.position.norm()))
    assert unseen_share(mesh(sphere(0.8)), [camera]) == pytest.approx(1.0 - seen, abs=0.01)
    both = [camera, camera.turned(180.0)]
    assert unseen_share(mesh(sphere(0.8)), both) < 1.0 - seen - 0.2


def test_a_cube_from_above_shows_two_of_its_six_sides() -> None:
    camera = Camera.orbit(0.0, 20.0, width_px=64)
    assert unseen_share(mesh(cube()), [camera]) == pytest.approx(4 / 6, abs=0.012)
    corner = Camera.orbit(45.0, 20.0, width_px=64)
    assert unseen_share(mesh(cube()), [corner]) == pytest.approx(3 / 6, abs=0.012)


def test_what_stands_before_hides_what_is_behind() -> None:
    """From the front on, the near cube hides the far one whole; the far one's side shows from there."""
    front, side = Camera.orbit(0.0, 0.0, width_px=64), Camera.orbit(90.0, 0.0, width_px=64)
    two = mesh(cube((0.4, 0, 0), 0.5), cube((-0.5, 0, 0), 0.3))
    share = 0.25 / (6 * 0.25 + 6 * 0.09)
    assert unseen_share(two, [front]) == pytest.approx(1.0 - share, abs=0.012)
    seen, unseen = seen_pixels(two, Camera.stack([front, side, front.turned(180.0)]), [front])
    assert not (seen & unseen).any() and not seen[1:].any()
    assert float(seen[0].sum() / (seen[0] | unseen[0]).sum()) == 1.0
    assert (unseen[1:].flatten(1).sum(1) > 0).all()


def test_solidity_is_volume_over_hull() -> None:
    assert solidity(mesh(cube(side=1.0))) == pytest.approx(1.0, abs=0.01)
    assert solidity(mesh(sphere(0.7))) == pytest.approx(1.0, abs=0.01)
    apart = mesh(cube((-0.5, 0, 0), 0.5), cube((0.5, 0, 0), 0.5))
    assert solidity(apart) == pytest.approx(2 * 0.5 / 1.5, abs=0.01)
    flat = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    assert solidity(flat) == 0.0


def test_colors_in_cielab_are_those_of_scikit_image() -> None:
    colors = torch.rand(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert np.allclose(cielab(colors).numpy(), rgb2lab(colors.numpy()), atol=2e-2)
    white, black = cielab(torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(white, torch.tensor([100.0, 0.0, 0.0]).double(), atol=1e-6) and black.abs().max() < 1e-9


def test_scores_of_regions_are_those_of_scikit_image() -> None:
    a, b = painting(1), painting(2)
    mask = torch.rand(a.shape[:3], generator=torch.Generator().manual_seed(3))
    seen, unseen = mask < 0.2, mask > 0.6
    found = region_scores(a, b, seen, unseen, best_psnr=100.0)
    pairs = list(zip(a.numpy(), b.numpy()))
    apart = np.stack([deltaE_cie76(rgb2lab(x), rgb2lab(y)) for x, y in pairs])
    assert found["color_error"] == pytest.approx(apart[(seen | unseen).numpy()].mean(), abs=0.02)
    for name, mask in (("seen", seen), ("unseen", unseen)):
        assert found[f"color_error_{name}"] == pytest.approx(apart[mask.numpy()].mean(), abs=0.02)
    error = ((a - b) ** 2).mean(-1)[unseen].mean()
    assert found["psnr_unseen"] == pytest.approx(-10 * math.log10(error), abs=1e-5)
    how = {"channel_axis": 2, "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "full": True}
    maps = [structural_similarity(x, y, use_sample_covariance=False, **how)[1].mean(-1) for x, y in pairs]
    inner = np.zeros(a.shape[:3], bool)
    inner[:, 5:-5, 5:-5] = True
    assert found["ssim_seen"] == pytest.approx(np.stack(maps)[seen.numpy() & inner].mean(), abs=1e-5)
    same = region_scores(a, a, seen, torch.zeros_like(seen), best_psnr=100.0)
    assert same["psnr_seen"] == 100.0 and same["color_error"] == 0.0 and "psnr_unseen" not in same


def test_shape_errors_of_regions_by_hand() -> None:
    """Normals turned by 30 degrees where seen and by 90 where not, depths 0.1 and 0.4 off; a corner not covered."""
    seen = torch.zeros(1, 4, 4, dtype=torch.bool)
    seen[:, :2] = True
    unseen, both = ~seen, torch.ones_like(seen)
    both[0, 0, 0] = both[0, 3, 3] = False
    normal = torch.tensor([0.0, 0.0, 1.0]).expand(1, 4, 4, 3)
    turned = torch.where(seen[..., None], torch.tensor([0.5, 0.0, 3**0.5 / 2]), torch.tensor([1.0, 0.0, 0.0]))
    depth = torch.full((1, 4, 4), 3.0)
    off = depth + torch.where(seen, 0.1, -0.4)
    off[0, 0, 0] = 99.0
    worst = {"worst_deg": 90.0, "worst_depth": 1.0}
    found = region_shape_scores((off, turned), (depth, normal), both, seen, unseen, **worst)
    assert found["normal_error_deg_seen"] == pytest.approx(30.0, abs=1e-4)
    assert found["normal_error_deg_unseen"] == pytest.approx(90.0, abs=1e-4)
    assert found["depth_error_seen"] == pytest.approx(0.1, abs=1e-6)
    assert found["depth_error_unseen"] == pytest.approx(0.4, abs=1e-6)
    nothing = region_shape_scores((off, turned), (depth, normal), both & seen, seen, unseen, **worst)
    assert nothing["normal_error_deg_unseen"] == 90.0 and nothing["depth_error_unseen"] == 1.0
    empty = torch.zeros_like(seen)
    assert "depth_error_seen" not in region_shape_scores((off, turned), (depth, normal), both, empty, unseen, **worst)


def test_every_protocol_with_a_shape_splits_its_views() -> None:
    """What the given view shows of a ball: pixels that face it, and every covered pixel is in one part."""
    case = make_case("ball", icosphere(3, 0.6), size_px=32, settings=Settings(supersample=1))
    assert case.regions is None
    regions = with_regions(case).regions
    assert regions is not None
    seen, unseen = regions
    assert not (seen & unseen).any() and not ((seen | unseen) & (case.truth.opacity < 0.5)).any()
    share = [float(s.sum() / (s | u).sum()) for s, u in zip(seen, unseen)]
    assert share[0] > 0.8 and share[8] < 0.1, "the views from the front and from the back"
    assert with_regions(replace(case, mesh=None)).regions is None
