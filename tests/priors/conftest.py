"""Tiny foundation models, written once a session; text embeddings are kept in one folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.types import Camera, Observations, View
from tests.priors import tiny

PROMPT, NEGATIVE = "a red cat", "ugly"


class Models:
    """Folders and loaded priors of tiny models, made when first asked for."""

    def __init__(self, root: Path) -> None:
        self.root, self.loaded = root, {}

    def folder(self, kind: str) -> Path:
        path = self.root / kind
        return path if path.exists() else tiny.write(kind, path)

    def config(self, kind: str, **settings: object) -> PriorConfig:
        fixed = {"model": str(self.folder(kind)), "precision": "float32", "cache_dir": str(self.root / "cache")}
        return PriorConfig(**(fixed | settings))

    def prior(self, kind: str, **settings: object):
        """A fresh prior."""
        return load_prior(self.config(kind, **settings))

    def shared(self, kind: str):
        """One for all tests that leave it as it is, with its condition."""
        if kind not in self.loaded:
            prior = self.prior(kind)
            self.loaded[kind] = (prior, prior.condition(observations()))
        return self.loaded[kind]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """For modules elsewhere that import it too: each has priors of its own, from the same files."""
    root = tmp_path_factory.getbasetemp() / "models"
    root.mkdir(exist_ok=True)
    return Models(root)


@pytest.fixture(params=[kind for kind in tiny.KINDS if kind != "sd3-no-t5"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def observations(**changes: object) -> Observations:
    image = torch.rand(24, 24, 4, generator=torch.Generator().manual_seed(5))
    view = View(image, Camera.orbit(20.0, 10.0, width_px=24))
    settings = {"views": (view,), "prompt": PROMPT, "negative_prompt": NEGATIVE}
    return Observations(**(settings | changes))


def four_cameras(n_scenes: int = 1) -> Camera:
    turn = 7.0 * torch.arange(n_scenes)[:, None]
    return Camera.orbit(torch.tensor([[0.0, 90.0, 180.0, 270.0]]) + turn, 15.0, width_px=16)


def noisy_latents(prior, n_scenes: int = 1, seed: int = 0) -> torch.Tensor:
    with torch.no_grad():
        images = torch.zeros(n_scenes, 4, prior.image_size, prior.image_size, 4)
        shape = prior.encode(images).shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
