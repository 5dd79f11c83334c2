"""Videos through OpenCV, without FFmpeg's own lines: what is wrong with a file is said once, by us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

QUIET = "-8"
"""FFmpeg's AV_LOG_QUIET."""


def opened_video(path: Path, setting: str) -> Any:
    """OpenCV's VideoCapture of a file; `setting` is what named it.

    Raises:
        ValueError: OpenCV cannot read it.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", QUIET)
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ValueError(f"{setting}: expected a video that OpenCV reads, got {path}; save it as MP4 (H.264)")
    return video
