"""`nerf2mesh-curate FOLDER`: looks through a set of pairs and writes what to learn from, a sheet, and a data card.

It writes FOLDER/curated.jsonl (the lines to learn from, each with its split and its picture's hash) and
FOLDER/curation/: sheet.html, card.md, curation.json (every finding), ticks.json, and copies of pictures where
`names=remove` asks for them. Nothing else in the folder is touched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from nerf2mesh.lora.curate import balance, checks, ticks
from nerf2mesh.lora.curate.card import CardFacts, card
from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.items import OUTPUT, Item, pictures_below, read_items
from nerf2mesh.lora.curate.licences import check_licences
from nerf2mesh.lora.curate.likeness import find_duplicates, find_in_held_out, find_leaks, split_groups
from nerf2mesh.lora.curate.metadata import names_in, opened, write_without
from nerf2mesh.lora.curate.pictures import PictureFacts, look_at
from nerf2mesh.lora.curate.sheet import sheet
from nerf2mesh.lora.curate.silhouettes import Overlap
from nerf2mesh.lora.train.curated import CURATED, RECORD
from nerf2mesh.lora.train.pairs import ITEMS
from nerf2mesh.priors import BuiltinPrior, load_prior
from nerf2mesh.report import Progress, sha256_file
from nerf2mesh.rights import Use
from nerf2mesh.utils.atomic_write import atomic_write_text

TICKS = "ticks.json"


@dataclass(frozen=True)
class Curation:
    """What came of it: the items with their findings, remarks on the whole set, and the files that were written."""

    items: list[Item]
    said: list[str]
    files: dict[str, Path]

    @property
    def kept(self) -> list[Item]:
        """The items that are to be learnt from or held out."""
        return [item for item in self.items if item.on]

    def counts(self) -> dict[str, int]:
        """Kind of finding -> how many items have it."""
        return dict(Counter(kind for item in self.items for kind in {finding.kind for finding in item.findings}))


def curate(config: CurateConfig) -> Curation:
    """Looks through the folder and writes the files; see the module.

    Raises:
        ValueError: in one line, what is wrong with a setting or with the folder as a whole.
    """
    if not config.data:
        raise ValueError("data: expected a folder, got none; give nerf2mesh-curate FOLDER")
    folder = Path(config.data)
    items = read_items(folder)
    _check_places(folder)
    prior = load_prior(config.prior, config.device)
    if not isinstance(prior, BuiltinPrior):
        raise ValueError(f"prior.name: expected builtin, got {config.prior.name!r}; leave prior as it is")
    facts = _look(items, prior, config)
    captions = checks.check_captions(items)
    overlaps = _compare(items, config)
    find_duplicates(items, facts, prior.network, config)
    groups = find_leaks(items, {line: found.shape for line, found in overlaps.items()})
    find_in_held_out(items, facts, _held_out(config, prior), prior.network, config)
    number = {item.line: i for i, item in enumerate(items)}
    for i, item in enumerate(items):
        for finding in item.findings:
            if finding.other is not None:
                groups.join(i, number[finding.other])
    place = folder / OUTPUT
    said = check_licences(items, config.licence, cast("Use | None", config.use))
    said += ticks.apply_ticks(items, Path(config.ticks).expanduser() if config.ticks else None, place / TICKS)
    splits = split_groups(items, groups, config.held_out_share)
    tables = balance.tables(items, facts)
    said += balance.lopsided(tables)
    if "licence" in config.require and not (folder / ITEMS).exists():
        said.append(f"pictures alone state no licence: write {ITEMS} (docs/curation.md), or set require=[]")
    digest = ticks.set_digest(items)
    title = folder.resolve().name
    on = {item.line for item in items if item.on}
    about = CardFacts(title, tables, len(on & set(captions)), splits, said, digest)
    files = {
        "sheet": atomic_write_text(_made(place) / "sheet.html", sheet(title, items, facts, overlaps, digest)),
        "card": atomic_write_text(place / "card.md", card(items, about, config)),
    }
    files |= _write_manifest(folder, items, facts, splits, config)
    files |= _remember(place, items, digest, config)
    return Curation(items, said, files)


def _look(items: Sequence[Item], prior: BuiltinPrior, config: CurateConfig) -> dict[int, PictureFacts]:
    facts = {}
    with Progress(len(items), "pictures", quiet=config.quiet, unit="picture") as bar:
        for item in items:
            checks.check_statements(item, config) if item.usable else None
            try:
                if item.usable:
                    facts[item.line] = look_at(item.folder / item.entry["picture"], prior.image_size)
                    checks.check_picture(item, facts[item.line], config)
            except (ValueError, OSError) as error:
                item.add("unreadable", " ".join(str(error).split()).removeprefix("input.image: ")[:300])
            bar.update()
    return facts


def _compare(items: Sequence[Item], config: CurateConfig) -> dict[int, Overlap]:
    found = {}
    tested = [item for item in items if item.usable and item.has_model]
    with Progress(len(tested), "models", quiet=config.quiet or not tested, unit="model") as bar:
        for item in tested:
            overlap = checks.check_model(item, config)
            if overlap is not None:
                found[item.line] = overlap
            bar.update()
    return found


def _held_out(config: CurateConfig, prior: BuiltinPrior) -> dict[Path, PictureFacts]:
    """The pictures of the folder `held_out` that can be read."""
    if not config.held_out:
        return {}
    folder = Path(config.held_out).expanduser()
    if not folder.is_dir():
        raise ValueError(f"held_out: expected a folder of pictures, got {config.held_out}; name one")
    found = {}
    for name in sorted(pictures_below(folder)):
        try:
            found[folder / name] = look_at(folder / name, prior.image_size)
        except (ValueError, OSError):
            continue
    if not found:
        raise ValueError(f"held_out: expected pictures, got none that can be read in {folder}; name another folder")
    return found


def _write_manifest(
    folder: Path,
    items: Sequence[Item],
    facts: Mapping[int, PictureFacts],
    splits: Mapping[int, str],
    config: CurateConfig,
) -> dict[str, Path]:
    lines = []
    for item in items:
        if item.on:
            entry = item.entry | {"split": splits[item.line], "sha256": item.sha256}
            lines.append(_without_names(folder, item, entry, facts[item.line]) if config.names == "remove" else entry)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return {"manifest": atomic_write_text(folder / CURATED, text)}


def _without_names(folder: Path, item: Item, entry: dict, facts: PictureFacts) -> dict:
    """The line with copies without metadata in the place of files that name people or places."""
    if facts.names or facts.has_place:
        name = f"{OUTPUT}/pictures/{item.line:05d}.png"
        write_without(folder / entry["picture"], folder / name)
        entry = entry | {"picture": name, "sha256": sha256_file(folder / name)}
    views = list(entry.get("views", []))
    for k, view in enumerate(views):
        if names_in(opened((folder / view).read_bytes())):
            views[k] = f"{OUTPUT}/pictures/{item.line:05d}-{k}.png"
            write_without(folder / view, folder / views[k])
    return entry | ({"views": views} if views else {})


def _remember(place: Path, items: Sequence[Item], digest: str, config: CurateConfig) -> dict[str, Path]:
    """curation.json, and the ticks where any differ from what was found."""
    kept = {item.sha256 for item in items if item.on}
    refused = {item.sha256: _reasons(item) for item in items if not item.on and item.sha256 not in kept | {""}}
    described = [
        {"line": item.line, "picture": item.name, "on": item.on, "findings": [asdict(f) for f in item.findings]}
        for item in items
    ]
    source = place.parent / ITEMS
    record = {
        "items_sha256": sha256_file(source) if source.is_file() else "",
        "set": digest,
        "kept": sum(item.on for item in items),
        "of": len(items),
        "refused": refused,
        "items": described,
    }
    files = {
        "record": atomic_write_text(place.parent / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    }
    ticked = {str(item.line): item.on for item in items if item.on == item.refused}
    if ticked:
        text = json.dumps({"kind": ticks.KIND, "set": digest, "on": ticked}, indent=1) + "\n"
        files["ticks"] = atomic_write_text(place / TICKS, text)
    elif config.ticks == "none":
        (place / TICKS).unlink(missing_ok=True)
    return files


def _reasons(item: Item) -> str:
    found = [f"{finding.kind} ({finding.why})" for finding in item.findings if finding.refuses]
    return "; ".join(found) or "ticked off by hand"


def _check_places(folder: Path) -> None:
    """A folder can come from anybody: what is written stays in it."""
    for path in (folder / OUTPUT, folder / OUTPUT / "pictures", folder / CURATED):
        if path.is_symlink():
            raise ValueError(f"data: expected {path} to be made here, got a link; remove it")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def summary(curation: Curation) -> list[str]:
    """What the command prints: how many are kept, what was found, and the files."""
    lines = [f"{len(curation.kept)} of {len(curation.items)} items kept"]
    lines += [f"  {kind}: {n}" for kind, n in sorted(curation.counts().items(), key=lambda entry: -entry[1])]
    lines += curation.said
    return [*lines, "done", *(f"  {path}" for path in curation.files.values())]
