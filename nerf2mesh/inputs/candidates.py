"""Where the mask is in doubt: the answers as pictures to choose from."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from nerf2mesh.inputs.config import CANDIDATES
from nerf2mesh.utils.atomic_write import atomic_write_bytes

OVERVIEW = "candidates.png"
OVERVIEW_PX = 320


class UncertainMask(ValueError):
    """No answer is sure enough. `masks` [h, w], at most three, best first; `confidence` of the first, 0 to 1."""

    def __init__(
        self,
        rgb: UInt8[np.ndarray, "h w 3"],
        masks: Sequence[Bool[np.ndarray, "h w"]],
        confidence: float,
        path: str,
    ) -> None:
        self.rgb, self.masks, self.confidence, self.path = rgb, list(masks), confidence, path
        super().__init__(self._line("choose one"))

    def written(self, folder: Path) -> ValueError:
        """Writes candidate1.png ... (the object cut out) and an overview into `folder`; the error to end with."""
        for name, mask in zip(CANDIDATES, self.masks, strict=False):
            rgba = np.concatenate([self.rgb, 255 * mask[..., None].astype(np.uint8)], -1)
            _save(rgba, folder / f"{name}.png")
        _save(self.overview(), folder / OVERVIEW)
        return ValueError(self._line(f"look at {folder / OVERVIEW} and choose"))

    def overview(self) -> UInt8[np.ndarray, "s w 3"]:
        """The picture and beside it every candidate, the rest of the picture faded, its edge in red."""
        import cv2

        tiles = [self.rgb] + [shown(self.rgb, mask) for mask in self.masks]
        height, width = self.rgb.shape[:2]
        scale = OVERVIEW_PX / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.concatenate([cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in tiles], axis=1)

    def _line(self, choose: str) -> str:
        names = ", ".join(f"input.foreground={name}" for name in CANDIDATES[: len(self.masks)])
        return (
            f"input.image: expected an object that stands out in {self.path}, got a doubtful mask (confidence "
            f"{self.confidence:.2f}); {choose}: {names}, or say input.box=[x0,y0,x1,y1], "
            f"input.points=[[x,y,1],...], or cut the object out (PNG with transparency)"
        )


@contextmanager
def candidates_in(folder: str | Path | None) -> Iterator[None]:
    """A doubtful mask inside of the block ends with its candidates as pictures in `folder`; None writes nothing."""
    try:
        yield
    except UncertainMask as doubt:
        if folder is None:
            raise
        raise doubt.written(Path(folder)) from None


def _save(pixels: np.ndarray, path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    atomic_write_bytes(path, stream.getvalue())


def shown(rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with all but the mask faded towards white and the mask's edge in red."""
    import cv2

    faded = (0.2 * rgb + 0.8 * 255).astype(np.uint8)
    picture = np.where(mask[..., None], rgb, faded)
    width = 2 * max(1, round(max(rgb.shape[:2]) / OVERVIEW_PX)) + 1
    kernel = np.ones((width, width), np.uint8)
    edge = cv2.dilate(mask.astype(np.uint8), kernel).astype(bool) & ~mask
    picture[edge] = (230, 30, 30)
    return picture
