"""A foundation model as its parts: one folder a component, as `save_pretrained` of diffusers writes them.

Nothing here runs code that came with a model: classes are taken from diffusers, transformers and this package only.
Weights are read from safetensors; a .bin file is read with `weights_only=True`, and anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nerf2mesh.report import sha256_file
from nerf2mesh.utils.names import printable

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
Loaded = tuple[nn.Module, dict[str, Any]]
"""What `from_pretrained(..., output_loading_info=True)` returns, which its annotations leave out."""


@dataclass(frozen=True)
class Components:
    """folder: with model_index.json. file: a single-file checkpoint whose weights are used instead of the folder's."""

    folder: Path
    file: Path | None = None
    variant: str | None = None
    index: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path, file: Path | None = None, variant: str | None = None) -> Components:
        """ValueError where model_index.json is missing or no JSON."""
        path = folder / "model_index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(
                f"prior.model: expected a folder in the diffusers layout, got {folder} without model_index.json; "
                "name the folder that holds unet/ or transformer/"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"prior.model: {path} is not readable JSON ({error}); get it anew") from error
        if not isinstance(index, dict):
            raise ValueError(f"prior.model: expected the parts of a model in {path}, got {index!r:.40}; get it anew")
        return Components(folder, file, variant, index)

    def has(self, name: str) -> bool:
        """Whether the model comes with this component."""
        entry = self.index.get(name)
        return isinstance(entry, list) and bool(entry) and entry[-1] is not None and (self.folder / name).is_dir()

    def class_name(self, name: str) -> str:
        """The class of component `name` in model_index.json; empty where it has none."""
        entry = self.index.get(name)
        return str(entry[-1]) if isinstance(entry, list) and entry else ""

    def config(self, name: str) -> dict[str, Any]:
        """The component's configuration; ValueError where there is none."""
        for file in ("config.json", "scheduler_config.json"):
            path = self.folder / name / file
            if path.is_file():
                return _object(path)
        raise ValueError(f"prior.model: {self.folder} lacks {name}/config.json; get the whole model")

    def weight_files(self, name: str) -> list[Path]:
        """Of one component: safetensors where there are any, else .bin; of the variant where it is given."""
        if self.file is not None:
            return [self.file]
        files = [path for path in sorted((self.folder / name).glob("*")) if path.suffix in (".safetensors", ".bin")]
        marked = f".{self.variant}" if self.variant else ""
        named = [path for path in files if _is_variant(path, marked)]
        return [p for p in named if p.suffix == ".safetensors"] or [p for p in named if p.suffix == ".bin"]

    def missing(self, names: tuple[str, ...]) -> list[str]:
        """The components without folder or weights. A tokenizer needs no weights."""
        lacking = []
        for name in names:
            if not self.has(name):
                lacking.append(name)
            elif not name.startswith(("tokenizer", "scheduler")) and not self.weight_files(name):
                lacking.append(f"{name}/*{'.' + self.variant if self.variant else ''}.safetensors")
        return lacking

    def load(self, name: str, dtype: torch.dtype, build: Callable[[dict[str, Any]], nn.Module] | None = None) -> Any:
        """The component's module, frozen, in eval mode, on the CPU. `build` makes one of this package's own classes."""
        with quiet():
            if build is not None:
                module = self._own(name, build).to(dtype)
            elif self.file is not None:
                module = self._from_single_file(name, dtype)
            else:
                module = self._from_folder(name, dtype)
        return module.requires_grad_(False).eval()

    def tokenizer(self, name: str) -> Any:
        """The tokenizer in the folder's part `name`, read from local files only."""
        import transformers

        kind = getattr(transformers, self.class_name(name), transformers.AutoTokenizer)
        return kind.from_pretrained(str(self.folder / name), local_files_only=True)

    def digest(self, name: str, memo: dict[str, str]) -> str:
        """SHA-256 over the component's files: equal content, equal digest. `memo` spares re-reading."""
        total = hashlib.sha256()
        small = [p for p in sorted((self.folder / name).glob("*")) if p.suffix in (".json", ".txt", ".model")]
        for path in [*small, *self.weight_files(name)]:
            total.update(path.name.encode() + file_digest(path, memo).encode())
        return total.hexdigest()

    def _class(self, name: str) -> Any:
        library, kind = self.index[name]
        import diffusers
        import transformers

        module = {"diffusers": diffusers, "transformers": transformers}.get(library)
        if module is None or not hasattr(module, kind):
            raise ValueError(
                f"prior.model: {self.folder} wants {library}.{kind} for {name}, which is not known here; "
                "take a model whose parts are of diffusers and transformers"
            )
        return getattr(module, kind)

    def _from_folder(self, name: str, dtype: torch.dtype) -> Any:
        settings: dict[str, Any] = {
            "use_safetensors": self.weight_files(name)[0].suffix == ".safetensors",
            "local_files_only": True,
            "output_loading_info": True,
            "variant": self.variant,
        }
        settings["torch_dtype" if self.index[name][0] == "diffusers" else "dtype"] = dtype
        try:
            loaded = self._class(name).from_pretrained(str(self.folder / name), **settings)
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(
                f"prior.model: {self.folder / name} cannot be read ({first_line(error)}); get it anew"
            ) from (error)
        return whole(loaded, f"prior.model: {self.folder / name}")

    def _from_single_file(self, name: str, dtype: torch.dtype) -> Any:
        """Configuration from the folder, weights from the one file; the hub is never asked."""
        from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

        assert self.file is not None
        kind = self._class(name)
        try:
            if self.index[name][0] == "diffusers":
                return kind.from_single_file(
                    str(self.file), config=str(self.folder), subfolder=name, torch_dtype=dtype, local_files_only=True
                )
            weights = read_weights(self.file)
            made = create_diffusers_clip_model_from_ldm(
                kind, weights, subfolder=name, config=str(self.folder), torch_dtype=dtype, local_files_only=True
            )
            return made.to(dtype)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ValueError(
                f"prior.model: {self.file} does not fit the configuration of {name} in {self.folder} "
                f"({first_line(error)}); give the right prior.config_dir"
            ) from error

    def _own(self, name: str, build: Callable[[dict[str, Any]], nn.Module]) -> nn.Module:
        """A module of this package's own with the component's weights, all of them and no others."""
        module, weights = build(self.config(name)), {}
        for path in self.weight_files(name):
            weights |= read_weights(path)
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines()[1:])[:160]
            raise ValueError(
                f"prior.model: the weights in {self.folder / name} do not fit its configuration ({reason}); get it anew"
            ) from error
        return module


def _object(path: Path) -> dict[str, Any]:
    """A JSON object. ValueError in one line for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"prior.model: expected a JSON object in {path}, got something else; get it anew")
    return found


def whole(loaded: Loaded, place: str) -> nn.Module:
    """The module of `from_pretrained(..., output_loading_info=True)`, if its weights were all there.

    Diffusers and transformers would leave the others at random, with a warning at most.
    """
    module, found = loaded
    lacking = sorted(found["missing_keys"])
    if lacking:
        raise ValueError(f"{place} lacks {len(lacking)} of its tensors, such as {lacking[0]}; get it anew")
    return module


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a .bin that holds nothing but tensors."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"prior.model: {path} is damaged, or a pickle with more than tensors in it, and is not opened "
            f"({first_line(error)}); convert it to safetensors"
        ) from error


def file_digest(path: Path, memo: dict[str, str]) -> str:
    """SHA-256 of a file; in the hub's cache the blob's name is already that."""
    real = path.resolve()
    if len(real.name) == 64 and real.parent.name == "blobs":
        return real.name
    state = real.stat()
    key = f"{real}|{state.st_size}|{state.st_mtime_ns}"
    if key not in memo:
        memo[key] = sha256_file(real)
    return memo[key]


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank, or the error's class; at most 160 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable((lines[0] if lines else type(error).__name__)[:160])


class quiet:
    """No progress bars and no chatter of the libraries while parts are loaded; what the user had set is put back."""

    def __enter__(self) -> None:
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        self.libraries = (of_diffusers, of_transformers)
        self.levels = [library.get_verbosity() for library in self.libraries]
        self.bars = [library.is_progress_bar_enabled() for library in self.libraries]
        for library in self.libraries:
            library.set_verbosity_error()
            library.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        for library, level, bar in zip(self.libraries, self.levels, self.bars):
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()


def _is_variant(path: Path, marked: str) -> bool:
    """diffusion_pytorch_model[.fp16][-00001-of-00002].safetensors; without a variant, only unmarked files."""
    stem = path.name.removesuffix(path.suffix)
    head, _, tail = stem.partition("-0")
    middle = head.partition(".")[2]
    return (f".{middle}" if middle else "") == marked and not tail.count(".")
