"""Findings about pairs of items: duplicates, near duplicates, leaks; and the split where no line has one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.duplicates import Groups, Looks, near_pairs, same_shapes
from nerf2mesh.lora.curate.items import Item
from nerf2mesh.lora.curate.pictures import PictureFacts
from nerf2mesh.priors.builtin.network import MultiViewDenoiser
from nerf2mesh.report import sha256_file

Facts = Mapping[int, PictureFacts]
"""By line."""


def find_duplicates(items: Sequence[Item], facts: Facts, network: MultiViewDenoiser, config: CurateConfig) -> None:
    """Marks all but the best of each group of (near) duplicates; over the border of the split they are leaks."""
    items = [item for item in items if item.line in facts]
    if not items:
        return
    exact = Groups(len(items))
    for key in (lambda item: item.sha256, lambda item: facts[item.line].pixels_sha256):
        first: dict[str, int] = {}
        for i, item in enumerate(items):
            exact.join(first.setdefault(key(item), i), i)
    looks = Looks.of([facts[item.line] for item in items], network)
    near = Groups(len(items))
    why: dict[tuple[int, int], str] = {}
    for found in near_pairs(looks, looks, config.near_hash_bits, config.near_cosine):
        if found.i < found.j:
            near.join(found.i, found.j)
            why[found.i, found.j] = f"{found.bits} of 256 bits of the hash, cosine {found.cosine:.3f}"
    for i in range(len(items)):
        near.join(i, exact.root(i))
    for group in near.members():
        if len(group) > 1:
            _mark([items[i] for i in group], group, exact, why, facts)


def _mark(group: list[Item], numbers: list[int], exact: Groups, why: dict[tuple[int, int], str], facts: Facts) -> None:
    """One stays of each side of the split: what is usable, then the largest, then the first."""
    place = dict(zip((item.line for item in group), numbers, strict=True))
    for side in (False, True):
        members = [item for item in group if item.held_out == side]
        if not members:
            continue
        best = min(members, key=lambda item: (item.refused, -_pixels(facts[item.line]), item.line))
        for item in members:
            if item is not best:
                a, b = sorted((place[item.line], place[best.line]))
                same = exact.root(a) == exact.root(b)
                said = why.get((a, b), "the same pixels" if same else "through others of its group")
                item.add("duplicate" if same else "near duplicate", f"of line {best.line}: {said}", best.line)
    _conflicts(group)
    held_out = [item for item in group if item.held_out]
    for item in group:
        if held_out and not item.held_out:
            item.add("leak", f"the picture of line {held_out[0].line}, which is held out", held_out[0].line)


def _conflicts(group: Sequence[Item]) -> None:
    """The same picture under two licences, or by two authors: one of the lines is wrong."""
    for key in ("licence", "author"):
        said = {item.says(key) for item in group if item.says(key)}
        if len(said) > 1:
            words = " and ".join(sorted(said))
            for item in group:
                item.add("licence conflict", f"one picture, two statements of its {key}: {words}"[:300])


def find_leaks(items: Sequence[Item], shapes: Mapping[int, Tensor]) -> Groups:
    """Marks items whose model is a held-out one's, by file or by shape. Returns groups of items that share a model."""
    groups = Groups(len(items))
    by_file: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        if item.usable and item.has_model:
            for path in item.pair().targets:
                by_file[sha256_file(path)].append(i)
    said: dict[int, tuple[int, str]] = {}
    for members in by_file.values():
        for i in members[1:]:
            groups.join(members[0], i)
        _across(items, members, said, "by file")
    seen = [i for i, item in enumerate(items) if item.line in shapes]
    masks = torch.stack([shapes[items[i].line] for i in seen]) if seen else torch.zeros(0, 1, 1, 1)
    for a, b, found in same_shapes(masks, masks):
        if a < b:
            groups.join(seen[a], seen[b])
            _across(items, [seen[a], seen[b]], said, f"by its silhouettes, IoU {found:.3f}")
    for i, (line, how) in sorted(said.items()):
        if not any(finding.kind == "leak" for finding in items[i].findings):
            items[i].add("leak", f"the model of line {line}, which is held out ({how})", line)
    return groups


def _across(items: Sequence[Item], members: Sequence[int], said: dict[int, tuple[int, str]], how: str) -> None:
    held_out = [items[i].line for i in members if items[i].held_out]
    for i in members:
        if held_out and not items[i].held_out:
            said.setdefault(i, (held_out[0], how))


def find_in_held_out(
    items: Sequence[Item],
    facts: Facts,
    others: Mapping[Path, PictureFacts],
    network: MultiViewDenoiser,
    config: CurateConfig,
) -> None:
    """Marks items whose picture is in the folder `held_out`, as it is or nearly."""
    items = [item for item in items if item.line in facts]
    if not items or not others:
        return
    mine, theirs = (Looks.of([*values], network) for values in ([facts[item.line] for item in items], others.values()))
    names = [*others]
    for found in near_pairs(mine, theirs, config.near_hash_bits, config.near_cosine):
        item = items[found.i]
        if not item.held_out and not any(finding.kind == "leak" for finding in item.findings):
            item.add("leak", f"{names[found.j].name} of the held-out folder: {found.bits} of 256 bits of the hash")


def split_groups(items: Sequence[Item], groups: Groups, share: float) -> dict[int, str]:
    """Line -> "train" or "heldout" for the items that are on: whole groups, in an order by the pictures' hashes.

    Lines that say their split keep it. Nothing is held out of fewer than four pairs, as in training.
    """
    on = [i for i, item in enumerate(items) if item.on]
    if any("split" in items[i].entry for i in on):
        return {items[i].line: "heldout" if items[i].held_out else "train" for i in on}
    together: dict[int, list[int]] = defaultdict(list)
    for i in on:
        together[groups.root(i)].append(i)
    order = sorted(together.values(), key=lambda members: hashlib.sha256(items[members[0]].sha256.encode()).digest())
    wanted = max(1, round(share * len(on))) if len(on) >= 4 and share > 0 else 0
    held_out: set[int] = set()
    for members in order:
        if len(held_out) + len(members) <= wanted:
            held_out |= set(members)
    return {items[i].line: "heldout" if i in held_out else "train" for i in on}


def _pixels(fact: PictureFacts) -> int:
    return fact.size_px[0] * fact.size_px[1]
