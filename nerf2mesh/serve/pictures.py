"""A picture as a stranger sends it: a still PNG, JPEG or WebP of a bearable size, decoded once to be sure."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from nerf2mesh.serve.refused import Refused

KINDS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}


def suffix_of(data: bytes, megapixels: float) -> str:
    """The ending that belongs to the picture's content; its sender's name for it is never used.

    Raises:
        Refused: 413 too many pixels, 415 no picture of a known kind, 422 a moving or a damaged one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=list(KINDS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(megapixels) from error
    except Exception as error:  # Pillow's readers raise anything on damaged files
        raise Refused(415, "picture: expected a PNG, JPEG or WebP file, got something else; convert it") from error
    if image.width * image.height > megapixels * 1e6:
        raise _too_large(megapixels)
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise Refused(422, f"picture: expected a still picture, got {frames} frames; send one of them")
    try:
        image.load()
    except Exception as error:
        raise Refused(422, "picture: expected a whole file, got one that is damaged; send it again") from error
    return KINDS[str(image.format)]


def _too_large(megapixels: float) -> Refused:
    return Refused(413, f"picture: expected at most {megapixels:g} megapixels, got more; scale it down")
