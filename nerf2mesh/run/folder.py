"""The run folder: what was asked, what came of it, and all that is needed to go on after a stop.

config.yaml overrides.yaml versions.json provenance.json timings.json metrics.json metrics.jsonl warnings.json
previews/ checkpoints/ adapters/ mesh.glb turntable.mp4 report.html
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerf2mesh.config import Config, to_yaml
from nerf2mesh.report import versions, write_json
from nerf2mesh.types import Observations
from nerf2mesh.utils.atomic_write import atomic_write_text

FREE = ("output_dir", "threads", "report", "mesh")
"""What may differ between a run and its continuation: it does not change the optimization."""


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to one configuration."""

    path: Path

    @staticmethod
    def open(config: Config, overrides: Sequence[str], observations: Observations) -> RunFolder | None:
        """Makes or re-enters `config.output_dir`; None where the run is to leave nothing on disk.

        Raises:
            ValueError: the folder holds a run of another configuration (the difference is shown) or of other
                observations (their pictures, cameras or prompts differ), or it cannot be written.
        """
        if config.output_dir is None:
            return None
        folder = Path(config.output_dir)
        try:
            for name in ("previews", "checkpoints"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            _check_same(folder / "config.yaml", config)
            _check_views(folder / "observations.sha256", observations)
            atomic_write_text(folder / "config.yaml", to_yaml(config))
            atomic_write_text(folder / "overrides.yaml", "".join(f"- {line}\n" for line in overrides))
            write_json(folder / "versions.json", versions())
        except OSError as error:
            raise ValueError(
                f"output_dir: expected a folder that can be written, got {folder} ({error.strerror}); "
                "free some space, change its rights, or choose another output_dir"
            ) from error
        return RunFolder(folder)

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def _check_same(path: Path, config: Config) -> None:
    if not path.exists():
        return
    before, now = _comparable(path.read_text(encoding="utf-8")), _comparable(to_yaml(config))
    if before != now:
        changes = [line for line in difflib.unified_diff(before, now, lineterm="", n=0) if line[0] in "+-"]
        shown = ", ".join(line.replace("  ", "") for line in changes if not line.startswith(("+++", "---")))
        raise ValueError(
            f"output_dir: expected a run with these settings, got {path.parent} with others ({shown}); "
            "choose another output_dir, or delete it to start anew"
        )


def _check_views(path: Path, observations: Observations) -> None:
    found = _digest(observations)
    if path.exists() and path.read_text(encoding="utf-8").strip() != found:
        raise ValueError(
            f"observations: expected those of the run in {path.parent}, got others (picture, camera or prompt differ); "
            "choose another output_dir, or delete it to start anew"
        )
    atomic_write_text(path, found + "\n")


def _digest(observations: Observations) -> str:
    """SHA-256 of everything in the observations that the run depends on (the notes are for the report)."""
    digest = hashlib.sha256(repr((observations.prompt, observations.negative_prompt)).encode())
    for view in observations.views:
        camera = view.camera
        about = (view.weight, view.domain, camera.width_px, camera.height_px, camera.orthographic)
        digest.update(repr((tuple(view.image.shape), *about)).encode())
        for part in (view.image, camera.camera_to_world, camera.focal_px, camera.principal_px):
            digest.update(part.cpu().numpy().tobytes())
    return digest.hexdigest()


def _comparable(text: str) -> list[str]:
    """The settings that matter, one `group.key: value` a line, sorted by group."""
    lines, group = [], ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "-")):
            group = line.split(":")[0]
        if group not in FREE and line.strip():
            lines.append(line if not line.startswith(" ") else f"{group}.{line.strip()}")
    return lines
