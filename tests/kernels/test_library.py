"""Loading: from any folder, without the library (twins serve, one warning), with a library from other sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nerf2mesh.kernels import available

CODE = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    from nerf2mesh import kernels
    assert not [w for w in caught if "nerf2mesh" in str(w.message)], "importing must not load or warn"
    layout = kernels.GridLayout(n_levels=2)
    x, p = torch.rand(9, 3, requires_grad=True), torch.rand(layout.n_params, requires_grad=True)
    kernels.hash_grid_encode(x, p, layout).sum().backward()
    kernels.hash_grid_encode(x, p, layout).sum().backward()
    out = kernels.hash_grid_jvp(x, p, x, layout)[1].sum().backward()
    ray, bits = torch.tensor([[2.0, 0, 0]]), torch.full((64,), 255, dtype=torch.uint8)
    s = kernels.march_rays(ray, -0.5 * ray, bits, 8, step_size=0.1)
    kernels.composite(s.t.clone().requires_grad_(), s.t[:, None], s.t, s.dt, s.packed_info).opacity.sum().backward()
    kernels.FusedAdam([p, x]).step()
    ours = [w for w in caught if "nerf2mesh" in str(w.message)]
print(kernels.available()["cpu"], len(ours), float(p.grad.sum()), s.n_samples)
"""


def run(folder: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_any_working_directory_and_no_library(tmp_path: Path) -> None:
    here = run(tmp_path)
    assert here[0] == str(available()["cpu"]) and here[1] == ("0" if available()["cpu"] else "1")
    missing = run(tmp_path, N2M_LIBRARY_DIR=str(tmp_path))
    assert missing[:2] == ["None", "1"]
    off = run(tmp_path, N2M_NATIVE="0")
    assert off[:2] == ["None", "0"]
    assert float(missing[2]) == pytest.approx(float(here[2]), rel=1e-4) and missing[3] == here[3]
