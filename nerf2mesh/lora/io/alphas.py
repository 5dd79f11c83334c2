"""The numerator of a layer's scale where the file has no tensor for it: from peft's configuration, wherever that is.

peft matches the keys of `alpha_pattern` as regular expressions, `(.*\\.)?(KEY)$`. A regular expression of a stranger
can run for ever, so only what such keys are made of in practice is understood, and matched in linear time: names,
alternatives of names, `.*`, `.+`, `\\d+` and `[0-9]+`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerf2mesh.lora.io.keys import DENOISER
from nerf2mesh.lora.lowrank import LowRank

PEFT_NAME = "adapter_model.safetensors"
CONFIG_NAME = "adapter_config.json"
METADATA_KEY = "lora_adapter_metadata"
MAX_CONFIG_BYTES = 4_000_000
MAX_WILDCARDS, MAX_PATTERN = 8, 128
"""Alternatives with wildcards in one configuration, and characters of one."""
_TOKEN = re.compile(r"\\d\+|\[0-9\]\+|\.\*|\.\+|\\[._-]|[\w./-]")
_DIGITS = ("\\d+", "[0-9]+")


@dataclass(frozen=True)
class Alphas:
    """configs: by the part's prefix in diffusers' files ("unet", "transformer", ...); "" for all."""

    place: Path
    configs: dict[str, dict[str, Any]]
    patterns: dict[str, Patterns] = field(default_factory=dict)

    @staticmethod
    def of(path: Path, header: dict[str, str], from_peft: bool) -> Alphas:
        """From the header, or from the configuration beside the file. ValueError where it is damaged."""
        beside = _beside(path) if from_peft or path.name == PEFT_NAME else None
        if METADATA_KEY in header:
            entries = _object(path, f"its header's {METADATA_KEY}", header[METADATA_KEY])
        elif beside is not None:
            if beside.stat().st_size > MAX_CONFIG_BYTES:
                raise ValueError(
                    f"lora.adapters: expected at most {MAX_CONFIG_BYTES} bytes in {beside}, got "
                    f"{beside.stat().st_size}; get the file again"
                )
            entries = _object(path, str(beside), beside.read_text(encoding="utf-8", errors="replace"))
        else:
            entries = {"lora_alpha": header["lora_alpha"]} if "lora_alpha" in header else {}
        configs: dict[str, dict[str, Any]] = {}
        for key, value in entries.items():
            prefix, _, name = key.rpartition(".")
            configs.setdefault(prefix, {})[name] = value
        patterns = {
            prefix: Patterns.of(path, config["alpha_pattern"])
            for prefix, config in configs.items()
            if config.get("alpha_pattern")
        }
        return Alphas(path, configs, patterns)

    def __call__(self, part: str, module: str, layer: LowRank) -> float:
        """Of one layer. ValueError where the configuration has no number there."""
        prefixes = ("unet", "transformer", "") if part == DENOISER else (part, "")
        prefix = next((prefix for prefix in prefixes if prefix in self.configs), "")
        config = self.configs.get(prefix, {})
        value = config.get("lora_alpha", layer.rank)
        if prefix in self.patterns:
            value = self.patterns[prefix].value(module, value)
        return _number(self.place, value) * (math.sqrt(layer.rank) if config.get("use_rslora") else 1.0)


@dataclass(frozen=True)
class Patterns:
    """alpha_pattern: the first entry that matches counts. names and wildcards have their entry's place in the order."""

    names: dict[str, tuple[int, Any]]
    wildcards: list[tuple[int, bool, list[str], Any]]

    @staticmethod
    def of(path: Path, entries: object) -> Patterns:
        """Reads the `alpha_pattern` of the configuration at `path`, which is named in errors.

        Raises ValueError where `entries` is no table, or a pattern is not understood, too long, or one of too many.
        """
        if not isinstance(entries, dict):
            raise ValueError(f"lora.adapters: expected a table of alpha_pattern for {path}; get the file again")
        names: dict[str, tuple[int, Any]] = {}
        wildcards = []
        for order, (pattern, value) in enumerate(entries.items()):
            for anchored, tokens in _alternatives(path, str(pattern)):
                if any(token.endswith(("*", "+")) for token in tokens):
                    wildcards.append((order, anchored, tokens, value))
                else:
                    name = "".join(token[-1] for token in tokens)
                    names.setdefault("^" + name if anchored else name, (order, value))
        if len(wildcards) > MAX_WILDCARDS or any(len(tokens) > MAX_PATTERN for _, _, tokens, _ in wildcards):
            raise ValueError(
                f"lora.adapters: expected at most {MAX_WILDCARDS} short wildcards in alpha_pattern of {path}, got "
                f"{len(wildcards)}; write the layers' names out"
            )
        return Patterns(names, wildcards)

    def value(self, module: str, usual: object) -> object:
        """What the first matching entry says; `usual` where none matches."""
        parts = module.split(".")
        ends = ["^" + module, *(".".join(parts[i:]) for i in range(len(parts)))]
        found = [self.names[end] for end in ends if end in self.names]
        found += [
            (order, value) for order, anchored, tokens, value in self.wildcards if _fits(tokens, module, anchored)
        ]
        return min(found, key=lambda entry: entry[0])[1] if found else usual


def _alternatives(path: Path, pattern: str) -> list[tuple[bool, list[str]]]:
    """Whether each is bound to the name's start, and its tokens."""
    anchored = pattern.startswith("^")
    body = pattern.removeprefix("^").removesuffix("$")
    body = body[1:-1] if body.startswith("(") and body.endswith(")") else body
    found = []
    for text in body.split("|"):
        tokens = _TOKEN.findall(text)
        if not text or "".join(tokens) != text:
            raise ValueError(
                f"lora.adapters: expected names of layers (or .*, \\d+) in alpha_pattern of {path}, got "
                f"{pattern[:80]!r}; write the names out"
            )
        found.append((anchored, tokens))
    return found


def _fits(tokens: list[str], name: str, anchored: bool) -> bool:
    """Whether the tokens match a whole name or its end after a dot; all places are followed at once."""
    at = {0} if anchored else {0, *(i + 1 for i, char in enumerate(name) if char == ".")}
    for token in tokens:
        if token in (".*", ".+"):
            at = set(range(min(at) + (token == ".+"), len(name) + 1))
        elif token in _DIGITS:
            at = {stop for start in at for stop in _after_digits(name, start)}
        else:
            at = {i + 1 for i in at if name[i : i + 1] == token[-1]}
        if not at:
            return False
    return len(name) in at


def _after_digits(name: str, start: int) -> range:
    stop = start
    while name[stop : stop + 1].isdecimal():
        stop += 1
    return range(start + 1, stop + 1)


def _beside(path: Path) -> Path | None:
    """peft's configuration of a file: under its own name, or NAME.json where the file was renamed."""
    candidates = [path.with_suffix(".json"), path.with_name(f"{path.stem}_config.json")]
    if path.name == PEFT_NAME or not (path.parent / PEFT_NAME).is_file():
        candidates.insert(0, path.parent / CONFIG_NAME)
    return next((file for file in candidates if file.is_file()), None)


def _object(path: Path, place: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        first = str(error).splitlines()[0][:120]
        raise ValueError(f"lora.adapters: expected JSON in {place} of {path} ({first}); get the file again") from error
    if not isinstance(found, dict):
        raise ValueError(f"lora.adapters: expected a JSON object in {place} of {path}; get the file again")
    return found


def _number(path: Path, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"lora.adapters: expected a number as alpha for {path}, got {value!r:.40}; correct it")
    return number
