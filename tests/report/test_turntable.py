"""Turntables are decoded again and compared with what went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.report import turntable, write_turntable


def _frames(count: int = 6, height: int = 65, width: int = 81) -> list[torch.Tensor]:
    frames = []
    for i in range(count):
        frame = torch.ones(height, width, 3)
        frame[20:40, 8 * i : 8 * i + 16] = torch.tensor([0.8, 0.2, 0.1])
        frames.append(frame)
    return frames


def test_mp4_plays_back(tmp_path: Path) -> None:
    import imageio_ffmpeg

    path = write_turntable(tmp_path / "turntable.mp4", _frames(), fps=8)
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    frames = [np.frombuffer(frame, np.uint8).reshape(64, 80, 3) for frame in reader]
    assert meta["size"] == (80, 64) and meta["fps"] == 8 and meta["codec"] == "h264" and "yuv420p" in meta["pix_fmt"]
    assert len(frames) == 6
    for i, frame in enumerate(frames):
        assert np.abs(frame[30, 8 * i + 8].astype(int) - (204, 51, 26)).max() < 25
    assert [file.name for file in tmp_path.iterdir()] == ["turntable.mp4"]


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_animations_loop(suffix: str, tmp_path: Path) -> None:
    path = write_turntable(tmp_path / f"turntable{suffix}", _frames(), fps=10)
    with Image.open(path) as image:
        assert image.n_frames == 6 and image.info["loop"] == 0 and image.info["duration"] == pytest.approx(100)


def test_without_ffmpeg_a_gif_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("no ffmpeg")

    monkeypatch.setattr(turntable, "_write_mp4", missing)
    assert write_turntable(tmp_path / "turntable.mp4", _frames()).name == "turntable.gif"


def test_no_frames_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        write_turntable(tmp_path / "turntable.mp4", [])
    with pytest.raises(ValueError, match=r"ends in \.mp4, \.gif or \.png"):
        write_turntable(tmp_path / "turntable.avi", _frames())
