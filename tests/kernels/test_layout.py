"""Level geometry against figures known of tiny-cuda-nn."""

from __future__ import annotations

import pytest

from nerf2mesh.kernels import GridLayout


def test_instant_ngp_reference_size() -> None:
    layout = GridLayout(n_levels=16, n_features=2, log2_table_size=19, per_level_scale=1.447269237440378)
    assert layout.offsets[-1] == 6_299_960
    assert layout.n_params == 12_599_920
    assert layout.resolutions[:5] == (16, 24, 34, 49, 71)
    assert layout.hashed == (False,) * 5 + (True,) * 11
    assert layout.n_outputs == 32


def test_doubling_levels() -> None:
    layout = GridLayout(n_levels=16, n_features=2, log2_table_size=19, per_level_scale=2.0)
    assert layout.n_params == 14_229_504
    assert layout.scales[:3] == (15.0, 31.0, 63.0)
    assert sum(layout.hashed) == 13


@pytest.mark.parametrize("n_dims", [2, 3])
def test_levels_are_aligned_and_capped(n_dims: int) -> None:
    layout = GridLayout(n_dims=n_dims, n_levels=12, log2_table_size=12, base_resolution=3, per_level_scale=1.37)
    for size, resolution, hashed in zip(layout.sizes, layout.resolutions, layout.hashed):
        assert size % 8 == 0 and size <= 4096
        assert size == 4096 if hashed else resolution**n_dims <= size < resolution**n_dims + 8
    assert layout.offsets == tuple(sum(layout.sizes[:i]) for i in range(13))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_dims": 4}, "n_dims"),
        ({"n_features": 3}, "n_features"),
        ({"n_levels": 0}, "n_levels"),
        ({"log2_table_size": 40}, "log2_table_size"),
        ({"per_level_scale": 0.5}, "per_level_scale"),
        ({"interpolation": "cubic"}, "interpolation"),
        ({"n_levels": 32, "per_level_scale": 3.0}, "finest level"),
    ],
)
def test_refuses(changes: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        GridLayout(**changes)
