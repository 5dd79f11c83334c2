"""Moving pictures of the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nerf2mesh.utils.atomic_write import atomic_write

GIF_MAX_FRAMES = 60


def write_turntable(path: str | Path, frames: Iterable[object], *, fps: int = 16) -> Path:
    """Write frames as a looping turntable.

    Args:
        path: the suffix chooses: .mp4 (H.264 that browsers play), .gif or .png (animated PNG). Where no ffmpeg can be
            had, an .mp4 becomes a .gif beside it.
        frames: images [h, w, 3] of one size, uint8, or float in [0, 1] (numpy or torch).

    Returns:
        The path that was written.
    """
    path = Path(path)
    images = [to_uint8(frame) for frame in frames]
    if not images:
        raise ValueError("frames: expected at least one picture, got none; render some first")
    if path.suffix == ".mp4":
        try:
            return _write_mp4(path, images, fps)
        except (ImportError, RuntimeError, OSError):
            path = path.with_suffix(".gif")
    return _write_animation(path, images, fps)


def to_uint8(frame: Any) -> UInt8[np.ndarray, "h w c"]:
    """A picture as uint8; floats are taken as [0, 1] and rounded."""
    if hasattr(frame, "detach"):
        frame = frame.detach().cpu().numpy()
    array = np.asarray(frame)
    if array.dtype == np.uint8:
        return array
    return np.round(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)


def _write_mp4(path: Path, images: Sequence[np.ndarray], fps: int) -> Path:
    import imageio_ffmpeg

    # yuv420p, which every browser plays, needs even sides.
    height, width = (side - side % 2 for side in images[0].shape[:2])
    quality = ["-crf", "20", "-preset", "medium", "-movflags", "+faststart", "-threads", "1", "-f", "mp4"]
    with atomic_write(path) as part:
        writer = imageio_ffmpeg.write_frames(
            str(part),
            (width, height),
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=1,
            ffmpeg_log_level="error",
            output_params=quality,
        )
        try:
            writer.send(None)
            for image in images:
                writer.send(np.ascontiguousarray(image[:height, :width, :3]))
        finally:
            writer.close()
        if not part.exists() or part.stat().st_size == 0:
            raise RuntimeError(f"ffmpeg wrote nothing to {part}")
    return path


def _write_animation(path: Path, images: Sequence[np.ndarray], fps: int) -> Path:
    step = -(-len(images) // GIF_MAX_FRAMES) if path.suffix == ".gif" else 1
    pictures = [Image.fromarray(image) for image in images[::step]]
    if path.suffix not in (".gif", ".png"):
        raise ValueError(f"path: expected a name that ends in .mp4, .gif or .png, got {path.name}; rename it")
    duration_ms, kind = round(1000 * step / fps), path.suffix[1:]
    with atomic_write(path) as part:
        pictures[0].save(part, kind, save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0)
    return path
