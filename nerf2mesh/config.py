"""The configuration of a run: the rooms' dataclasses collected in one, and Hydra's view of them.

Every room keeps its own `*Config` beside the class that it configures. Here they are only put together, stored as the
schema of `configs/config.yaml`, and made from overrides. Library code sees these dataclasses, never a DictConfig.
"""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.fields.config import FieldConfig
from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.lora.config import LoraConfig
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.render.config import RendererConfig
from nerf2mesh.report.config import ReportConfig
from nerf2mesh.rights import USES
from nerf2mesh.utils.composition import merged_once
from nerf2mesh.utils.config_errors import describe
from nerf2mesh.utils.foreign_yaml import foreign_checked
from nerf2mesh.utils.override_text import written_out
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Device, FilePath, OneOf, Seed, Within

Schema = TypeVar("Schema")


@dataclass(kw_only=True)
class SecondConfig:
    """A second prior on the same views, added to the first (Magic123), with a loss of its own.

    Cameras, number of views and the size at which they are rendered are the first's.
    """

    prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)
    distill: DistillConfig = dataclasses.field(default_factory=DistillConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "second.")
        if self.distill.confidence_weight > 0:
            raise ValueError(
                f"second.distill.confidence_weight: expected 0, got {self.distill.confidence_weight:g}; set "
                "distill.confidence_weight, since the spread is the first prior's and weighs its term alone"
            )


@dataclass(kw_only=True)
class Config:
    """All of a run. `load_config` makes one; the defaults are the `standard` preset on a CPU."""

    input: InputConfig = dataclasses.field(default_factory=InputConfig)
    prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)
    lora: LoraConfig = dataclasses.field(default_factory=LoraConfig)
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    renderer: RendererConfig = dataclasses.field(default_factory=RendererConfig)
    distill: DistillConfig = dataclasses.field(default_factory=DistillConfig)
    second: SecondConfig | None = None
    """Another prior and its loss beside the first; null: none. See configs/experiment/magic123.yaml."""
    optimize: OptimizeConfig = dataclasses.field(default_factory=OptimizeConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    motion: MotionConfig = dataclasses.field(default_factory=MotionConfig)
    report: ReportConfig = dataclasses.field(default_factory=ReportConfig)
    start_from: FilePath | None = None
    """A run folder or a mesh file to begin with: the field is fitted to it before the first step (docs/refine.md)."""
    refine: RefineConfig = dataclasses.field(default_factory=RefineConfig)
    use: Annotated[str, OneOf(*USES)] | None = None
    """What the mesh is for: commercial, research or personal. A prior, an adapter or an input whose licence forbids
    that ends the run before its first step. null: what would be forbidden is only named. See docs/provenance.md."""
    seed: Seed = 0
    device: Device = "auto"
    """cpu, cuda, cuda:N, or auto: a GPU where there is one."""
    threads: Annotated[int, Within(0, 1024)] = 0
    """Threads of the CPU; 0 leaves torch's own choice."""
    output_dir: FilePath | None = None
    """The run folder. On the command line by default outputs/PICTURE-PRESET, so that the same command resumes."""
    overwrite: bool = False
    """Where output_dir holds a run of other settings or inputs, remove what that run wrote and start anew. The same run
    goes on as ever."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.start_from is None and (asked := self.refine.asked):
            raise ValueError(
                f"refine.{asked[0]}: expected a run folder or a mesh to start from beside it, got none; "
                "add start_from=FOLDER or start_from=MESH.glb"
            )
        if self.field.material == "pbr":
            plain = MeshConfig()
            for name in ("roughness", "metallic"):
                if (value := getattr(self.mesh, name)) != getattr(plain, name):
                    raise ValueError(
                        f"mesh.{name}: expected nothing said beside field.material=pbr, which finds it by paint, got "
                        f"{value:g}; leave it out, or use field.material=lambert"
                    )
        if self.output_dir is not None:
            self.output_dir = os.path.expanduser(self.output_dir)


def load_config(overrides: Sequence[str] = (), *, name: str = "config") -> Config:
    """Compose a configuration as the command line does; works in notebooks, any number of times.

    Args:
        overrides: Hydra's, such as ["preset=preview", "input.image=cup.png", "optimize.steps=500"].
        name: of the primary config.

    Raises:
        ValueError: in one line, an unknown override, group or option, a value out of bounds, or a YAML file outside
            the package that holds more than settings (see `utils.foreign_yaml`).
    """
    return to_config(compose_config(overrides, name=name))


def compose_config(overrides: Sequence[str] = (), *, name: str = "config") -> DictConfig:
    """The composed DictConfig, for those who want Hydra's own view; errors as in `load_config`."""
    from hydra import compose

    try:
        with merged_once(config_path()), _hydra(), searchpath_checked():
            written = [written_out(override) for override in overrides]
            composed = compose(config_name=name, overrides=written, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(describe(error, Config if name == "config" else None)) from error
    reject_added(composed.hydra, "hydra.")
    with open_dict(composed):
        del composed["hydra"]
    return composed


@contextmanager
def searchpath_checked() -> Iterator[None]:
    """Inside, YAML from other places than the package is checked (`utils.foreign_yaml`), and a folder of
    hydra.searchpath that is not there, about which Hydra only warns, is a ValueError."""
    with warnings.catch_warnings(), foreign_checked(config_path()):
        warnings.filterwarnings("error", message=r"provider=.* is not available", category=UserWarning)
        try:
            yield
        except UserWarning as missing:
            place = re.sub(r".*path=(.*) is not available.*", r"\1", str(missing), flags=re.S)
            raise ValueError(
                f"hydra.searchpath: expected folders that are there, got {place}; "
                "write hydra.searchpath=[file:///FOLDER] with the absolute path"
            ) from missing


def to_config(composed: DictConfig) -> Config:
    """The dataclass behind a composed DictConfig."""
    return to_dataclass(composed, Config)


def to_dataclass(composed: DictConfig, kind: type[Schema]) -> Schema:
    """An instance of the schema that `composed` was made from; ValueError as in `load_config`."""
    try:
        reject_added(composed)
        config = _made(composed)
    except OmegaConfBaseException as error:
        raise ValueError(describe(error, kind)) from error
    if not isinstance(config, kind):
        raise ValueError(
            f"config: expected one with the schema {kind.__name__}, got {type(config).__name__}; compose it anew"
        )
    return config


def _made(node: DictConfig, path: str = "") -> Any:
    """The dataclass of a node. Inner groups are tried first, so that errors of `second.distill` say the whole path."""
    for name in node:
        inner = node._get_node(name)
        if isinstance(inner, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(inner)):
            _made(inner, f"{path}{name}.")
    try:
        return OmegaConf.to_object(node)
    except ValueError as error:
        outer, last = path[: path[:-1].rfind(".") + 1], path[path[:-1].rfind(".") + 1 :]
        if outer and str(error).startswith(last):
            raise ValueError(f"{outer}{error}") from error
        raise


def to_yaml(config: Config) -> str:
    """For config.yaml: every value, readable by `OmegaConf.load` and by eye."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def to_values(config: Config) -> dict[str, Any]:
    """Every value as plain dicts, lists, numbers and texts: what `to_yaml` writes, without writing it."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def config_path() -> str:
    """Where Hydra finds the configs: beside the package in a source checkout, else in the installed package."""
    root = Path(__file__).resolve().parents[1]
    if (root / "setup.py").is_file() and (root / "configs" / "config.yaml").is_file():
        return str(root / "configs")
    return "pkg://nerf2mesh.configs"


def register() -> None:
    """Put the schema into Hydra's ConfigStore (done on import; doing it again is harmless)."""
    ConfigStore.instance().store(name="schema", node=Config)


def is_sweep() -> bool:
    """Whether Hydra, in whose job this is, runs several configurations (--multirun)."""
    from hydra.core.hydra_config import HydraConfig

    mode = HydraConfig.get().mode
    return mode is not None and mode.name == "MULTIRUN"


def reject_added(composed: DictConfig, prefix: str = "") -> None:
    """ValueError for what Hydra's +key=value added to a node with a schema; nothing would ever read it."""
    kind = OmegaConf.get_type(composed)
    known = {item.name for item in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else None
    for name in composed:
        if (
            known is not None and name not in known and prefix + str(name) != "hydra.env"
        ):  # Hydra's own, not in its schema
            raise ValueError(f"{prefix}{name}: no such setting; see nerf2mesh --cfg job for all keys")
        node = composed._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            reject_added(node, f"{prefix}{name}.")


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra initialized for the duration, whatever was initialized before is put back."""
    from hydra import initialize_config_dir, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    outer, path = GlobalHydra.instance().hydra, config_path()
    GlobalHydra.instance().clear()
    try:
        if path.startswith("pkg://"):
            with initialize_config_module(path.removeprefix("pkg://"), version_base="1.3"):
                yield
        else:
            with initialize_config_dir(path, version_base="1.3"):
                yield
    finally:
        GlobalHydra.instance().hydra = outer


register()
