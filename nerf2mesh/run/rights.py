"""What a run is made of, and the gate before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from nerf2mesh.config import Config
from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.lora import packaged_materials
from nerf2mesh.lora.io.materials import adapter_materials
from nerf2mesh.priors.materials import prior_materials
from nerf2mesh.refine.source import source_file
from nerf2mesh.rights import Material, Signer, Use, check, read_key
from nerf2mesh.rights.inspect_file import read_record


@dataclass(frozen=True)
class Rights:
    """What a run is made of, and what the gate had to say of it, one line each."""

    materials: list[Material]
    notices: list[str]
    signer: Signer | None = None


def run_materials(config: Config, own_prior: str | None = None, *, exact: bool = False) -> list[Material]:
    """Input, priors and adapters with their licences, as far as they are stated.

    own_prior: the class that the caller brought instead of `config.prior`. exact: the geometry is read from a sheet, so
    that no prior takes part.

    Raises:
        ValueError: an adapter or the weights of the built-in prior cannot be read.
    """
    found = input_materials(config.input) if config.start_from is None else source_materials(config)
    if exact:
        return found
    found += [Material("prior", own_prior, "", "prior")] if own_prior else prior_materials(config.prior)
    if config.second is not None:
        found += prior_materials(config.second.prior, "second.prior")
    for i, path in enumerate(config.lora.adapters):
        found += adapter_materials(path, f"lora.adapters[{i}]")
    for kind, path in config.lora.by_domain.items():
        found += adapter_materials(path, f"lora.by_domain.{kind}")
    return found


def input_materials(config: InputConfig) -> list[Material]:
    """The picture, photographs or sheet; none for words alone without an author or a licence."""
    pictures: Sequence[str] = [config.image] if config.image else config.images
    if not (pictures or config.author or config.licence):
        return []
    name = Path(pictures[0]).name if pictures else ""
    shown = name if len(pictures) < 2 else f"{name} and {len(pictures) - 1} more"
    return [Material("input", shown, config.licence, "input.licence", config.author)]


def source_materials(config: Config) -> list[Material]:
    """What the mesh of `start_from` was made of, as far as it carries a record, and the input; without a record the
    mesh itself, under the licence that is stated for the input where there is no other."""
    assert config.start_from is not None
    try:
        record = read_record(source_file(config.start_from))[3]
    except ValueError:
        record = {}
    rows = record.get("materials")
    known = [row for row in rows if isinstance(row, dict) and "what" in row] if isinstance(rows, list) else []
    own = input_materials(config.input)
    if known:
        return [*own, *map(_earlier, known)]
    if config.input.image or config.input.images:
        return [*own, Material("mesh to start from", "", "", "start_from")]
    return [Material("mesh to start from", "", config.input.licence, "start_from", config.input.author)]


def _earlier(row: dict[str, object]) -> Material:
    """A row of an earlier record as a material of this run."""
    what, name, licence, credit, digest = (str(row.get(k, "")) for k in ("what", "name", "license", "credit", "sha256"))
    return Material(f"earlier {what.removeprefix('earlier ')}", name, licence, "start_from", credit, digest)


def pass_gate(config: Config, own_prior: str | None = None, *, exact: bool = False) -> Rights:
    """The gate before the first step; arguments as for `run_materials`.

    Raises:
        ValueError: in one line, which licence forbids `config.use`, in which clause, or that the
            key in `report.sign_key` cannot be read; errors of `run_materials`.
    """
    materials = run_materials(config, own_prior, exact=exact)
    notices = check(materials, cast("Use | None", config.use))
    signer = read_key(config.report.sign_key) if config.report.sign_key else None
    return Rights(materials, notices, signer)


def with_packaged(rights: Rights, asked: Config, chosen: Config) -> Rights:
    """The rights of a run that took an adapter which `asked` did not name: one of `lora.by_domain`, which the gate has
    seen, or the package's own, which is free for every use."""
    taken = [
        path for path in chosen.lora.adapters if path not in (*asked.lora.adapters, *asked.lora.by_domain.values())
    ]
    return replace(rights, materials=[*rights.materials, *(row for path in taken for row in packaged_materials(path))])
