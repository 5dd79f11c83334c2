"""What a request asks for, checked before it becomes a job."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerf2mesh.config import load_config
from nerf2mesh.serve.allowed import PRESETS, described, overrides_of
from nerf2mesh.serve.pictures import suffix_of
from nerf2mesh.serve.refused import Refused
from nerf2mesh.sweep.queue import Payload

MAX_SETTINGS_BYTES = 1 << 15


@dataclass(frozen=True)
class Asker:
    """The owner's side of a request: what is offered, and what every run gets."""

    megapixels: float
    presets: tuple[str, ...] = PRESETS
    adapters: Path | None = None
    always: tuple[str, ...] = ()
    """Overrides of the server's owner for every job, such as device=cuda."""
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def asked(self, picture: bytes, settings: str) -> tuple[str, Payload]:
        """The picture's ending, and the parts of the job's payload. Refused: 413, 415 or 422, in one line."""
        suffix = suffix_of(picture, self.megapixels)
        try:
            wanted = _parsed(settings)
            overrides = [*self.always, *overrides_of(wanted, self.presets, self.adapters)]
            with self._lock:  # Hydra composes one configuration at a time
                steps = load_config(overrides).optimize.steps
        except ValueError as error:
            raise Refused(422, " ".join(str(error).split())[:500]) from error
        return suffix, {"settings": wanted, "overrides": overrides, "steps": steps}

    def described(self) -> dict[str, str]:
        """Name of a setting -> its values in words."""
        return described(self.presets, self.adapters)


def _parsed(settings: str) -> dict[str, Any]:
    """The JSON object of a request's settings; ValueError where it is none."""
    if len(settings) > MAX_SETTINGS_BYTES:
        raise ValueError(f"settings: expected at most {MAX_SETTINGS_BYTES} characters, got more; send less")
    try:
        found = json.loads(settings)
    except (ValueError, RecursionError) as error:
        raise ValueError("settings: expected a JSON object such as {}, got other text; correct it") from error
    if not isinstance(found, dict):
        raise ValueError(f"settings: expected a JSON object such as {{}}, got {type(found).__name__}; correct it")
    return found
