"""Pictures in memory give the views that the same picture gives as a file; `fit` leaves its caller's settings alone."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nerf2mesh
from nerf2mesh.inputs import InputConfig, load_observations, picture_bytes
from tests.inputs.pictures import disc_rgba

PICTURE = disc_rgba((200, 40, 30), (0, 0, 0))
PIXELS = np.asarray(PICTURE)


def _file() -> bytes:
    stream = io.BytesIO()
    PICTURE.save(stream, "PNG")
    return stream.getvalue()


KINDS = {
    "bytes": lambda: _file(),
    "file object": lambda: io.BytesIO(_file()),
    "Pillow": lambda: PICTURE,
    "array": lambda: PIXELS,
    "array, channels first": lambda: np.moveaxis(PIXELS, -1, 0),
    "floats": lambda: PIXELS / 255.0,
    "16 bits": lambda: PIXELS.astype(np.uint16) * 257,
    "tensor": lambda: torch.from_numpy(PIXELS.copy()),
    "tensor of floats, channels first": lambda: (torch.from_numpy(PIXELS.copy()) / 255).permute(2, 0, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_same_view_as_from_the_file(kind: str, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    config = InputConfig(image=str(tmp_path / "a.png"), size_px=64)
    wanted = load_observations(config).views[0].image
    assert torch.equal(load_observations(config, picture_bytes(KINDS[kind]())).views[0].image, wanted)


def test_grey_without_channels() -> None:
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture_bytes(PIXELS[..., 0])))), PIXELS[..., 0])


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (PIXELS.astype(np.float32), r"floats in \[0, 1\], got 0 to 255"),
        (np.full((32, 32, 3), np.nan), "got nan"),
        (PIXELS.astype(np.int64), "got int64"),
        (np.zeros((2, 32, 32, 3), np.uint8), r"got \[2, 32, 32, 3\]"),
        (np.zeros((32, 32, 2), np.uint8), r"got \[32, 32, 2\]"),
        (io.StringIO("text"), "got StringIO"),
        (7, "got int"),
    ],
)
def test_other_things_are_refused(picture: object, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^image: expected .*{said}"):
        picture_bytes(picture)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_fit_has_its_own_state_and_leaves_the_callers(around: type, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def run_fit(*_: object, **__: object) -> None:
        seen["grad"] = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        seen["dtype"] = torch.get_default_dtype()
        torch.manual_seed(1), np.random.seed(1), random.seed(1)

    monkeypatch.setattr("nerf2mesh.api.run_fit", run_fit)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    torch.set_default_dtype(torch.float64)
    try:
        with around():
            nerf2mesh.fit(PICTURE, overrides=["preset=tiny"])
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert seen == {"grad": True, "dtype": torch.float32}
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]
