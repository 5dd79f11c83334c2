"""`nerf2mesh-view RUN_FOLDER|MESH.glb`: a finished run, one that is still going on elsewhere, or a mesh."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nerf2mesh.config import Config, to_config
from nerf2mesh.inputs import load_observations
from nerf2mesh.utils.regular_file import read_yaml
from nerf2mesh.view.copies import FieldCopy, kept_states
from nerf2mesh.view.server import Viewer
from nerf2mesh.view.stage import glb_scale


def open_viewer(place: Path, *, host: str = "127.0.0.1", port: int = 8080) -> Viewer:
    """The viewer of a run folder or of a GLB; close it yourself. ValueError where there is nothing to show."""
    if place.is_file():
        return _of_mesh(place, host, port)
    if not (place / "config.yaml").is_file():
        raise ValueError(f"path: expected a run folder or a .glb file, got {place}; name one that exists")
    config = run_config(place)
    states = kept_states(place)
    copy = None
    if states:
        copy = FieldCopy(config)
        copy.read(states[-1])
    elif not (place / "mesh.glb").is_file():
        raise ValueError(f"path: expected a run with a checkpoint or a mesh, got {place}, which has none yet; wait")
    viewer = Viewer(copy, host=host, port=port, folder=place)
    if not viewer.panel.show_result():
        viewer.panel.cutter.ask(None)
    _show_input(viewer, config)
    return viewer


def run_config(folder: Path) -> Config:
    """The configuration of a run folder, which may be a stranger's; ValueError where it is none."""
    values = read_yaml(folder / "config.yaml")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(values or {}))
        assert isinstance(merged, DictConfig)
        return to_config(merged)
    except (OmegaConfBaseException, AssertionError) as error:
        first = str(error).splitlines()[0] if str(error) else "other values"
        raise ValueError(f"path: expected the settings of a run in {folder}, got {first:.120}; name another") from error


def wait_until_closed(viewer: Viewer) -> None:
    """Prints the address and serves until Ctrl-C."""
    print(f"viewer: {viewer.address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    try:
        while True:
            time.sleep(1.0)
    finally:
        viewer.close()


def _of_mesh(path: Path, host: str, port: int) -> Viewer:
    if path.suffix.lower() != ".glb":
        raise ValueError(f"path: expected a run folder or a .glb file, got {path.name}; save the mesh as .glb")
    scale = glb_scale(path)
    viewer = Viewer(None, host=host, port=port)
    viewer.panel.said = path.name
    viewer.stage.show_glb(path, scale)
    return viewer


def _show_input(viewer: Viewer, config: Config) -> None:
    """The given views, where the input is still where it was."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            viewer.stage.show_views(load_observations(config.input))
    except (ValueError, OSError) as error:
        print(f"the given views are not shown: {' '.join(str(error).split())}", file=sys.stderr)
