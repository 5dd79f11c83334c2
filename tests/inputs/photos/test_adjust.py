"""The last adjustment finds the lens of pycolmap's synthetic scenes; a walk around an object meets its beginning."""

from __future__ import annotations

import numpy as np
import pytest

from nerf2mesh.inputs.photos.adjust import adjusted
from nerf2mesh.inputs.photos.motion import EXHAUSTIVE_UP_TO, KEY_FRAMES, OVERLAP, pairs

FOCAL_PX = 700.0


def _scene(pycolmap, distortion: float):
    """Twelve cameras on a sphere around 300 points, image points off by 0.3 px and every hundredth by 40 px."""
    pycolmap.set_random_seed(3)
    options = pycolmap.SyntheticDatasetOptions(
        num_rigs=1, num_frames_per_rig=12, num_points3D=300, camera_width=640, camera_height=480
    )
    options.camera_params = [FOCAL_PX, 320.0, 240.0, distortion]
    model = pycolmap.synthesize_dataset(options)
    rng = np.random.default_rng(0)
    for image in model.images.values():
        for k, point in enumerate(image.points2D):
            point.xy = point.xy + rng.normal(0.0, 40.0 if k % 100 == 50 else 0.3, 2)
    return model


@pytest.mark.parametrize("distortion", [0.0, 0.08])
def test_the_true_lens_is_found(distortion: float) -> None:
    """From a focal length 3 % off and a distortion that trades against it."""
    pycolmap = pytest.importorskip("pycolmap")
    model = _scene(pycolmap, distortion)
    for camera in model.cameras.values():
        camera.params = np.array([1.03 * FOCAL_PX, 320.0, 240.0, 0.03])
    (camera,) = adjusted(pycolmap, model).cameras.values()
    assert camera.params[0] == pytest.approx(FOCAL_PX, rel=0.005)
    assert camera.params[3] == pytest.approx(distortion, abs=0.012 if distortion else 0.0)


def test_a_long_walk_is_closed() -> None:
    """Neighbors are matched, key frames all with each other (the last with the first), and far fewer than all pairs."""
    n = 3 * EXHAUSTIVE_UP_TO
    found = set(pairs(n, sequential=True))
    assert all((i, i + k) in found for i in range(n - OVERLAP) for k in range(1, OVERLAP + 1))
    assert (0, n - 1) in found
    assert all(0 <= i < j < n for i, j in found)
    assert len(found) <= n * OVERLAP + KEY_FRAMES * (KEY_FRAMES - 1) // 2
    linked = {i for pair in found if pair[1] - pair[0] > OVERLAP for i in pair}
    assert max(np.diff(sorted(linked))) <= n / KEY_FRAMES + 1


def test_few_pictures_are_all_matched_once() -> None:
    assert pairs(4, sequential=False) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert pairs(4, sequential=True) == pairs(4, sequential=False)
