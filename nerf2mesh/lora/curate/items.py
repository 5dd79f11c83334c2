"""The lines of a folder, good and bad: one bad line is a finding here, where training would stop at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nerf2mesh.lora.train.pair_line import LineError, checked_entry
from nerf2mesh.lora.train.pairs import ITEMS, Pair, read_lines
from nerf2mesh.report import sha256_file
from nerf2mesh.utils.names import inside, printable
from nerf2mesh.utils.without_paths import without_paths

OUTPUT = "curation"
"""The folder for what a curation writes, beside the items; its pictures are no items."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif")
HARD = ("broken line", "unreadable", "no licence", "no author", "no source", "use")
"""No tick takes these on: the line cannot be trained on, or may not."""
SOFT = ("duplicate", "near duplicate", "leak", "wrong model", "small", "blurred")
"""Refused, until somebody has looked and ticks it on."""
NOTES = ("licence conflict", "unknown licence", "names", "place", "no caption", "other side")
"""Said, and not refused."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with an item: a kind of HARD, SOFT or NOTES, why, and the other item's line, if there is one."""

    kind: str
    why: str
    other: int | None = None

    @property
    def refuses(self) -> bool:
        """Whether it takes the item out."""
        return self.kind not in NOTES


@dataclass
class Item:
    """One line, or one picture of a folder without items.jsonl; `line` counts from 1."""

    line: int
    entry: dict
    folder: Path
    sha256: str = ""
    findings: list[Finding] = field(default_factory=list)
    on: bool = True

    @property
    def name(self) -> str:
        """The picture's name in the folder, safe to print."""
        return printable(str(self.entry.get("picture", f"line {self.line}")))[:200]

    @property
    def usable(self) -> bool:
        """Whether its files are there and can be read."""
        return not any(finding.kind in ("broken line", "unreadable") for finding in self.findings)

    @property
    def held_out(self) -> bool:
        """Whether the line says so."""
        return self.entry.get("split") == "heldout"

    @property
    def refused(self) -> bool:
        """Before anybody has ticked anything."""
        return any(finding.refuses for finding in self.findings)

    @property
    def locked(self) -> bool:
        """Whether no tick takes it on."""
        return any(finding.kind in HARD for finding in self.findings)

    @property
    def has_model(self) -> bool:
        """False for pictures alone."""
        return "model" in self.entry or "views" in self.entry

    def says(self, key: str) -> str:
        """The text under a key of the line; "" where there is none."""
        value = self.entry.get(key)
        return " ".join(value.split()) if isinstance(value, str) else ""

    def add(self, kind: str, why: str, other: int | None = None) -> None:
        """Notes a finding."""
        assert kind in HARD + SOFT + NOTES, kind
        self.findings.append(Finding(kind, printable(without_paths(why)), other))

    def pair(self) -> Pair:
        """As training reads it."""
        return Pair(self.entry, self.folder, self.line, self.sha256)


def read_items(folder: Path) -> list[Item]:
    """The items of a folder. ValueError where there are none at all, or items.jsonl is no text."""
    if not folder.is_dir():
        raise ValueError(f"data: expected a folder, got {folder}; give one with {ITEMS} or with pictures")
    if (folder / ITEMS).exists():
        lines = enumerate(read_lines(folder / ITEMS), 1)
        items = [_of_line(folder, number, text) for number, text in lines if text.strip()]
    else:
        items = [_of_picture(folder, i, name) for i, name in enumerate(sorted(pictures_below(folder)), 1)]
    if not items:
        raise ValueError(
            f"data: expected {ITEMS} or pictures, got none in {folder}; docs/curation.md says what to give"
        )
    return items


def _of_line(folder: Path, number: int, text: str) -> Item:
    try:
        entry = checked_entry(folder, text)
    except LineError as error:
        item = Item(number, {}, folder)
        item.add("broken line", str(error))
        return item
    return _hashed(Item(number, entry, folder))


def _of_picture(folder: Path, number: int, name: str) -> Item:
    item = Item(number, {"picture": name}, folder)
    try:
        inside(folder, name, "picture")
    except ValueError as error:
        item.add("broken line", str(error))
        return item
    return _hashed(item)


def _hashed(item: Item) -> Item:
    try:
        item.sha256 = sha256_file(item.folder / item.entry["picture"])
    except (OSError, ValueError) as error:
        item.add("unreadable", getattr(error, "strerror", None) or str(error))
    return item


def pictures_below(folder: Path) -> Iterator[str]:
    """Names of the pictures below a folder; links to folders are not followed, hidden ones and OUTPUT not entered."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != OUTPUT)
        for name in files:
            path = Path(place) / name
            if path.suffix.lower() in SUFFIXES and not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix()
