"""The examples run as a user runs them, at tiny size; what the own loss and the own prior compute is checked apart."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nerf2mesh.types import Camera, Observations, View

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TINY = ("preset=tiny", "report.quiet=true", "report.html=false", "threads=1")
RUNS = {
    "01_picture_to_mesh": (*TINY, "seed=1"),
    "02_own_loss": TINY,
    "03_own_prior": TINY,
    "04_lora_style": (*TINY, "n_pairs=4", "train_steps=2"),
    "05_sweep": TINY,
    "06_evaluate_mesh": TINY,
}
WRITES = {
    "01_picture_to_mesh": ("01/mesh.glb", "01/mesh.ply", "01/turntable.mp4"),
    "02_own_loss": ("02/mesh.glb",),
    "03_own_prior": ("03/mesh.glb",),
    "04_lora_style": ("04/adapter/line.safetensors", "04/mesh.glb"),
    "05_sweep": ("05/weight30-views2/mesh.glb", "05/weight100-views3/mesh.glb"),
    "06_evaluate_mesh": (),
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here() -> None:
    assert sorted(RUNS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_it_runs(name: str, tmp_path: Path) -> None:
    root = str(EXAMPLES.parent)
    paths = {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *RUNS[name]]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | paths, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr[-3000:]
    missing = [file for file in WRITES[name] if not (tmp_path / "outputs/examples" / file).is_file()]
    assert missing == [], done.stdout


@pytest.mark.parametrize("name", ["02_own_loss", "03_own_prior"])
def test_own_code_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 40


def test_the_own_prior_draws_a_ball() -> None:
    """A ball of radius r at distance d covers a disk of angular radius asin(r / d)."""
    prior = load("03_own_prior").BallPrior()
    prior.image_size = 256
    cameras = Camera.orbit(torch.tensor([[0.0, 120.0]]), 15.0, width_px=256)
    given = torch.zeros(8, 8, 4)
    given[2:6, 2:6] = torch.tensor([0.8, 0.2, 0.1, 1.0])
    condition = prior.condition(Observations((View(given, Camera.orbit(0.0, 15.0, width_px=8)),)))
    images = prior.decode(prior.predict(torch.zeros(1, 2, 4, 256, 256), torch.tensor([0.5]), cameras, condition))
    radius_px = float(cameras.focal_px[0, 0, 0]) * math.tan(math.asin(0.6 / 3.2))
    covered = images[..., 3].sum((-1, -2))[0]
    assert torch.allclose(covered, torch.full((2,), math.pi * radius_px**2), rtol=0.01)
    assert torch.allclose(images[0, :, 128, 128], torch.tensor([0.8, 0.2, 0.1, 1.0]), atol=1e-4)
    assert torch.allclose(prior.decode(prior.encode(images)), images, atol=1e-6)


def test_the_own_loss_limits_single_pixels_and_nothing_else() -> None:
    """Against the unclipped gradient written out: equal below the limit, cut to it in length and not in direction."""
    from nerf2mesh.distill import DistillConfig, cosine_level
    from nerf2mesh.optimize import GuidanceInputs

    class Off:
        kind = "epsilon"

        def level(self, t: torch.Tensor) -> object:
            return cosine_level(t.reshape(-1, 1, 1, 1, 1))

        def predict_branches(self, noisy: torch.Tensor, *_: object) -> dict[str, torch.Tensor]:
            return {"conditional": wanted}

        def predict(self, *_: object, branch: str = "conditional") -> torch.Tensor:
            return wanted

    streams = {"noise": torch.Generator().manual_seed(3)}
    noise = torch.randn(1, 2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    wanted = noise + 0.1
    wanted[0, 1, :, 3, 5] += torch.tensor([30.0, -40.0, 0.0, 0.0])
    inputs = GuidanceInputs(
        prior=Off(),
        condition=None,
        config=DistillConfig(weighting="uniform"),
        cameras=Camera.orbit(torch.zeros(1, 2), 0.0, width_px=8),
        progress=0.0,
        time=torch.tensor([0.6]),
        latents=torch.zeros_like(noise),
        images=torch.zeros(1, 2, 8, 8, 4),
        generators=streams,
    )
    gradient = load("02_own_loss").clipped_sds(inputs).latents
    whole = (wanted - noise) / noise.numel()
    length, got = whole.norm(dim=2), gradient.norm(dim=2)
    limit = 2.0 * length.mean()
    assert float(got.max()) == pytest.approx(float(limit), rel=1e-4)
    quiet = length < limit
    assert int((~quiet).sum()) == 1 and torch.allclose(got[quiet], length[quiet], rtol=1e-5)
    cosine = torch.nn.functional.cosine_similarity(gradient, whole, dim=2)
    assert torch.allclose(cosine, torch.ones_like(cosine), atol=1e-5)
