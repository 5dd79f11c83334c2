"""The run folder: what was asked, what came of it, and all that is needed to go on after a stop.

config.yaml overrides.yaml inputs.json changes.json versions.json provenance.json timings.json cost.json
metrics.json metrics.jsonl warnings.json mesh.json previews/ checkpoints/ adapters/ mesh.glb ATTRIBUTION.md
turntable.mp4 confidence.png report.html; of a plan also rooms.json, and open_walls.png where it could not be read

inputs.json holds the digests of what the run is made from (see `identity`), changes.json the settings that changed when
a run went on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from nerf2mesh.config import Config
from nerf2mesh.optimize import EARLIER, LAST
from nerf2mesh.report import versions, write_json
from nerf2mesh.run.files import check_folders, remove_leftovers, remove_run
from nerf2mesh.run.identity import MODEL, PICTURE, VIEWS, content, model_digest, model_setting, named_file
from nerf2mesh.run.settings import Changes, changes, shareable_yaml
from nerf2mesh.types import Observations
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.checkpoint import before
from nerf2mesh.utils.denied import DENIED, why_denied
from nerf2mesh.utils.names import printable
from nerf2mesh.utils.regular_file import read_json
from nerf2mesh.utils.without_paths import without_paths

REMEDY = "choose another output_dir=, or set overwrite=true to start anew"


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to one run: its settings and the content of its inputs."""

    path: Path
    changed: Changes
    """Settings that differ from those with which the run was last started: name -> (before, now)."""

    @staticmethod
    def open(
        config: Config, overrides: Sequence[str], observations: Observations, own: Mapping[str, str] | None = None
    ) -> RunFolder | None:
        """Makes or re-enters `config.output_dir`; None where the run is to leave nothing on disk.

        own: the caller's own code by what it stands for ("prior", "loss"), said at the head of config.yaml.

        Raises:
            ValueError: the folder holds a run of other settings or of other content (both are named), or it cannot be
                written.
        """
        if config.output_dir is None:
            return None
        folder = Path(config.output_dir)
        try:
            changed = _enter(folder, config, content(config, observations))
            remove_leftovers(folder)
            if changed:
                record = {
                    "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                    "settings": without_paths(changed),
                }
                write_json(folder / "changes.json", [*read_json(folder / "changes.json", []), record])
            brought = (own or {}).items()
            said = [f"# The caller's own {what}, {name}, instead of the one below.\n" for what, name in brought]
            atomic_write_text(folder / "config.yaml", "".join(said) + shareable_yaml(config))
            atomic_write_text(folder / "overrides.yaml", "".join(f"- {without_paths(line)}\n" for line in overrides))
            write_json(folder / "versions.json", versions())
            made = RunFolder(folder, changed)
            made._make_folders()
        except OSError as error:
            denied = error.errno in DENIED and error.filename
            why = why_denied(error) if denied else f"got {folder} ({error.strerror}); free some space"
            raise ValueError(
                f"output_dir: expected a folder that can be written, {why}, or choose another output_dir"
            ) from error
        return made

    def settle(self, config: Config, abouts: Mapping[str, Mapping[str, object]]) -> None:
        """Notes what the loaded priors are made of, by their names in provenance.json.

        Raises:
            ValueError: the run was made with other weights.
        """
        path = self / "inputs.json"
        found, recorded = {MODEL + name: model_digest(about) for name, about in abouts.items()}, read_json(path, {})
        others = [name for name in found if name in recorded and recorded[name] != found[name]]
        if others and is_started(self.path):
            if not config.overwrite:
                raise ValueError(
                    f"{model_setting(config, others[0].removeprefix(MODEL))}: expected the weights with which the run "
                    f"in {self.path} was made, got others; {REMEDY}"
                )
            remove_run(self.path)
            self._make_folders()
        write_json(path, {**recorded, **found})

    def _make_folders(self) -> None:
        for name in ("previews", "checkpoints"):
            (self / name).mkdir(parents=True, exist_ok=True)

    def history(self) -> list[object]:
        """The records of changes.json, oldest first."""
        return read_json(self / "changes.json", [])

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def is_started(folder: Path) -> bool:
    """Whether the folder holds what a run has made. One that ended before its first checkpoint binds nobody."""
    return any(os.path.lexists(folder / name) for name in (LAST, before(Path(LAST)), EARLIER, "mesh.glb"))


def _enter(folder: Path, config: Config, found: Mapping[str, str]) -> Changes:
    """Checks that the folder is this run's, or empties it, and notes the digests; returns what may and did change."""
    folder.mkdir(parents=True, exist_ok=True)
    check_folders(folder, overwrite=config.overwrite)
    recorded: dict[str, str] = {}
    changed: Changes = {}
    if is_started(folder):
        try:
            recorded = read_json(folder / "inputs.json", recorded)
            changed = changes(folder / "config.yaml", config, REMEDY)
            _check_content(folder, config, recorded, found)
        except ValueError:
            if not config.overwrite:
                raise
            remove_run(folder)
            recorded, changed = {}, {}
    models = {name: digest for name, digest in recorded.items() if name.startswith(MODEL)}
    write_json(folder / "inputs.json", {**found, **models})
    return changed


def _check_content(folder: Path, config: Config, recorded: Mapping[str, str], found: Mapping[str, str]) -> None:
    """ValueError that names the first input of another content. A picture that gives the same views is the same."""
    names = {name for name in {*recorded, *found} if not name.startswith(MODEL)} if recorded else set()
    differing = sorted(name for name in names if recorded.get(name) != found.get(name))
    if VIEWS not in differing:
        differing = [name for name in differing if name != PICTURE]
    if not differing:
        return
    name = next((name for name in differing if name != VIEWS), PICTURE if PICTURE in found else VIEWS)
    if name == VIEWS:
        got = "others (picture, camera or prompt differ)"
        raise ValueError(f"observations: expected those of the run in {folder}, got {got}; {REMEDY}")
    got = f"{named_file(config, name)} with other content" if name in found else "none"
    raise ValueError(f"{printable(name)}: expected what the run in {folder} was made from, got {got}; {REMEDY}")
