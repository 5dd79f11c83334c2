"""Where a prior's files are: a known name, a hub id, a local folder, or a single file. What is missing is said at once.

Local files come first: the hub is asked only for what the cache lacks, and never with `prior.offline=true` or
HF_HUB_OFFLINE=1. A single file takes its configuration from a local folder, never from the hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nerf2mesh.priors.config import AUTO, PriorConfig
from nerf2mesh.priors.foundation.architecture import (
    check_network,
    check_pipeline,
    check_single_file,
    nearest_family,
    refuse_adapter,
)
from nerf2mesh.priors.foundation.card import card_licence
from nerf2mesh.priors.foundation.components import Components, first_line
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO, PIPELINES, Known

TEXT = ("tokenizer", "text_encoder")
NEEDED: dict[str, tuple[str, ...]] = {
    "sd": ("unet", "vae", "scheduler", *TEXT),
    "sdxl": ("unet", "vae", "scheduler", *TEXT, "tokenizer_2", "text_encoder_2"),
    "sd3": ("transformer", "vae", "scheduler", *TEXT, "tokenizer_2", "text_encoder_2"),
    "flux": ("transformer", "vae", "scheduler", *TEXT, "tokenizer_2", "text_encoder_2"),
    "sana": ("transformer", "vae", "scheduler", *TEXT),
    "if": ("unet", "scheduler", *TEXT),
    "zero123": ("unet", "vae", "scheduler", "image_encoder"),
    "stable-zero123": ("unet", "vae", "scheduler", "image_encoder"),
    "mvdream": ("unet", "vae", "scheduler", *TEXT),
    "imagedream": ("unet", "vae", "scheduler", *TEXT, "image_encoder"),
}
"""Components by family. SD3's third text encoder is optional; the zero123 family's projection has two names."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
OTHER_VARIANTS = ["*.fp16.*", "*.bf16.*", "*.non_ema.*", "*.fp16-*", "*.bf16-*", "*.fp16_ema.*"]


@dataclass(frozen=True)
class Source:
    """A prior's files, found and complete."""

    components: Components
    family: str
    origin: str
    licence: str
    size_px: int | None = None

    def __str__(self) -> str:
        return f"{self.origin} ({self.family})"


def resolve(config: PriorConfig) -> Source:
    """Finds the files of a foundation model.

    Raises:
        ValueError: in one line, what is missing and what to do about it.
    """
    known = MODEL_ZOO.get(config.name)
    components, origin = _locate(config, known)
    family = known.family if known else _family(components, origin)
    check_pipeline(components, family, origin)
    if components.file is not None:
        check_single_file(components.file, family)
    lacking = components.missing(NEEDED[family])
    if lacking:
        raise ValueError(
            f"prior.model: {origin} lacks {', '.join(lacking)} in {components.folder}; {_remedy(origin, config)}"
        )
    check_network(components, family, origin)
    licence = known.licence if known else card_licence(components.folder)
    return Source(components, family, origin, licence, known.size_px if known else None)


def folder_of(place: str, config: PriorConfig, setting: str, patterns: list[str] | None = None) -> Path:
    """A local folder as it is, a hub id from the cache or, where that is allowed, from the hub."""
    path = Path(place).expanduser()
    if path.is_dir():
        return path
    if not HUB_ID.fullmatch(place):
        raise ValueError(f"{setting}: no folder {place} (looked from {Path.cwd()}), and no hub id; check the path")
    return _from_hub(place, config, setting, patterns)


def is_offline(config: PriorConfig) -> bool:
    """Whether the hub must not be asked: `prior.offline`, or HF_HUB_OFFLINE in the environment."""
    from huggingface_hub import constants

    said = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    return config.offline or said or constants.HF_HUB_OFFLINE


def _locate(config: PriorConfig, known: Known | None) -> tuple[Components, str]:
    if config.model is None:
        assert known is not None, config
        return _first_there(config, known)
    path = Path(config.model).expanduser()
    if path.is_file() or path.suffix in (".safetensors", ".ckpt", ".bin", ".pt", ".pth"):
        return _single_file(path, config, known), str(path)
    folder = folder_of(config.model, config, "prior.model")
    refuse_adapter(folder)
    return Components.read(folder, variant=config.variant), config.model


def _first_there(config: PriorConfig, known: Known) -> tuple[Components, str]:
    """The first of the known ids that is in the cache; else the first that the hub gives."""
    for place in known.ids:
        cached = _cached(place, config, known.revision)
        if cached is not None:
            components = Components.read(cached, variant=config.variant)
            if not components.missing(NEEDED[known.family]):
                return components, place
    folder = _from_hub(known.ids[0], config, "prior.name", None, known)
    return Components.read(folder, variant=config.variant), known.ids[0]


def _single_file(path: Path, config: PriorConfig, known: Known | None) -> Components:
    if path.suffix != ".safetensors":
        raise ValueError(
            f"prior.model: expected a .safetensors file, got {path.name}, which may be a pickle and is not opened; "
            "convert it"
        )
    if not path.is_file():
        raise ValueError(f"prior.model: no file {path} (looked from {Path.cwd()}); check the path")
    check_single_file(path)
    if config.config_dir:
        return Components.read(Path(config.config_dir).expanduser(), path)
    ids, revision = (known.ids, known.revision) if known else ((), None)
    for place in ids:
        cached = _cached(place, config, revision)
        if cached is not None and (cached / "model_index.json").is_file():
            return Components.read(cached, path)
    raise ValueError(
        f"prior.model: {path.name} holds weights only; add prior.config_dir=FOLDER with the configurations and "
        "tokenizers of its family (hf download ID --include '*.json' '*.txt' --local-dir FOLDER)"
    )


def _cached(place: str, config: PriorConfig, revision: str | None) -> Path | None:
    """The snapshot in the hub's cache, complete or not; never the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(place, revision=config.revision or revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError, OSError):
        return None
    return folder if (folder / "model_index.json").is_file() else None


def _from_hub(
    place: str, config: PriorConfig, setting: str, patterns: list[str] | None, known: Known | None = None
) -> Path:
    from huggingface_hub import snapshot_download

    wanted = {"revision": config.revision or (known.revision if known else None), "allow_patterns": patterns}
    try:
        folder = Path(snapshot_download(place, local_files_only=True, **wanted))
        if is_offline(config) or not _torn(folder, config):
            return folder
    except OSError as error:
        if is_offline(config):
            raise ValueError(
                f"{setting}: {place} is not in the local cache, and offline; {_remedy(place, config)}"
            ) from (error)
    try:
        return _download(place, wanted["revision"], patterns, config.variant)
    except Exception as error:
        gated = " (it is gated: accept its terms and log in with hf auth login)" if known and known.gated else ""
        raise ValueError(
            f"{setting}: {place} could not be had from the hub{gated}: {first_line(error)}; {_remedy(place, config)}"
        ) from error


def _download(place: str, revision: str | None, patterns: list[str] | None, variant: str | None) -> Path:
    """Configurations, tokenizers, and weights of one variant; .bin where there is nothing else."""
    from huggingface_hub import snapshot_download

    weights = f"*.{variant}*" if variant else "*"
    small = ["*.json", "*.txt", "*.model"]
    allowed = patterns or [*small, f"*/{weights}.safetensors", f"{weights}.safetensors"]
    ignored = [*([] if variant else OTHER_VARIANTS), "safety_checker/*"]
    folder = Path(snapshot_download(place, revision=revision, allow_patterns=["model_index.json"]))
    if patterns is None and (folder / "model_index.json").is_file():
        parts = [name for name, entry in _index(folder).items() if isinstance(entry, list) and entry[-1]]
        allowed = [f"{part}/{end}" for part in parts for end in (*small, f"{weights}.safetensors")]
    folder = Path(snapshot_download(place, revision=revision, allow_patterns=allowed, ignore_patterns=ignored))
    if not any(folder.rglob("*.safetensors")):
        allowed = [pattern.replace(".safetensors", ".bin") for pattern in allowed]
        snapshot_download(place, revision=revision, allow_patterns=allowed, ignore_patterns=ignored)
    return folder


def _index(folder: Path) -> Mapping[str, object]:
    return Components.read(folder).index


def _torn(folder: Path, config: PriorConfig) -> bool:
    """Whether a cached snapshot lacks parts of its model; other folders (a ControlNet's) need any safetensors."""
    if not (folder / "model_index.json").is_file():
        return not any(folder.rglob("*.safetensors"))
    components = Components.read(folder, variant=config.variant)
    return bool(components.missing(NEEDED.get(PIPELINES.get(str(components.index.get("_class_name")), ""), ())))


def _family(components: Components, origin: str) -> str:
    """From model_index.json, and for the zero123 family from the name."""
    pipeline = str(components.index.get("_class_name", ""))
    family = PIPELINES.get(pipeline)
    if family is None:
        nearest = nearest_family(components)
        raise ValueError(
            f"prior.model: expected one of {', '.join(PIPELINES)}, "
            f"got {pipeline or 'a folder without a pipeline name'} in {origin}; "
            + (f"set prior.name to a known name of family {nearest} to force it" if nearest else "take another model")
        )
    if family == "mvdream" and components.has("image_encoder"):
        return "imagedream"
    if family == "zero123" and "stable" in origin.lower():
        return "stable-zero123"
    return family


def _remedy(origin: str, config: PriorConfig) -> str:
    if HUB_ID.fullmatch(origin) and not Path(origin).exists():
        return f"where there is a network run: hf download {origin}; or set prior.model=FOLDER"
    assert config.name == AUTO or config.model, config
    return "get the whole model, or set prior.variant to the one that is there"
