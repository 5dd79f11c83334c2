"""The measures of `benchmarks materials` against closed forms, and the files of figures that benchmarks go on with."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks.kept import keep_rows, kept_rows
from benchmarks.lit_objects import Truth, light_errors, psnr, scaled
from benchmarks.materials import summary
from nerf2mesh.render.shading import Light, relit, to_linear
from nerf2mesh.types import Camera


def test_the_open_factor_is_taken_out_in_linear_light() -> None:
    wanted = 0.1 + 0.8 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    darker = relit(wanted, torch.full((200,), 0.4, dtype=torch.float64))
    assert torch.allclose(scaled(darker, wanted), wanted, atol=1e-6)
    assert psnr(darker, wanted) == pytest.approx(100.0)


def test_the_factor_is_that_of_least_squares() -> None:
    colors, wanted = torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.5
    a, b = to_linear(colors).flatten(), to_linear(wanted).flatten()
    factor = torch.linalg.lstsq(a[:, None], b[:, None]).solution.item()
    assert torch.allclose(to_linear(scaled(colors, wanted)).flatten(), a * factor, atol=1e-6)


def test_errors_of_a_light_leave_a_factor_open() -> None:
    """Half of the normals see the lamp at irradiance 2, half do not: log 2 apart, a deviation of log 2 / 2."""
    normal = torch.tensor([[[[0.0, 0.0, 1.0]], [[0.0, 0.0, -1.0]]]]).expand(1, 2, 500, 3)
    seen = Truth(Camera.orbit(0.0, 0.0)[None], normal, normal, torch.ones(1, 2, 500, dtype=torch.bool))
    lamp = Light("directional", torch.tensor([0.0, 0.0, 1.0]))
    even = light_errors(Light(), lamp.irradiance, seen)
    assert even["light_error"] == pytest.approx(math.log(2.0) / 2.0, rel=1e-3)
    assert even["light_error"] == pytest.approx(even["even_light_error"], rel=1e-9)
    dimmer = light_errors(Light("directional", lamp.values, 0.3), lamp.irradiance, seen)
    assert dimmer["light_error"] == pytest.approx(0.0, abs=1e-6)


def test_intervals_are_over_objects_not_over_their_pictures() -> None:
    """Three pictures of each object gain alike: three times as many rows say nothing more."""

    def rows(lights: int) -> list[dict[str, object]]:
        every = [(f"object {k}", f"light {j}", m) for k in range(8) for j in range(lights) for m in (0, 1)]
        return [
            {
                "about": {"object": name, "light": light, "material": ("picture", "unlit")[m]},
                "given_albedo": 20.0 + m * float(name[-1]),
            }
            for name, light, m in every
        ]

    one, three = summary(rows(1)), summary(rows(3))
    assert one[0] == "picture and unlit: 8 objects, 8 pictures" and three[0].endswith("8 objects, 24 pictures")
    assert one[1] == three[1] and "20.000  23.500  +3.500 (" in one[1]


def test_a_file_of_figures_is_gone_on_with_under_the_same_settings_only(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert kept_rows(None, {}) == [] == kept_rows(path, {"overrides": []})
    keep_rows(path, {"overrides": ["seed=1"]}, [{"object": "a", "psnr": 20.5}])
    assert kept_rows(path, {"overrides": ["seed=1"]}) == [{"object": "a", "psnr": 20.5}]
    with pytest.raises(
        ValueError, match=r"^--out: expected figures of {'overrides': \[\]}, got .*; name another file$"
    ):
        kept_rows(path, {"overrides": []})
