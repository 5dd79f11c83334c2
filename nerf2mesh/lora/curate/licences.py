"""What the pictures' licences say together: of the use, of each other, and of the adapter's own licence.

A share-alike licence wants what is made of the work under itself: two of them, or one beside another licence of the
adapter, cannot both be had. An adapter's licence may not allow what a picture's forbids. Whether an adapter is an
adaptation of its training pictures is disputed; the findings are notes, and only `use` refuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from nerf2mesh.lora.curate.items import Item
from nerf2mesh.rights import USES, License, Use, judged, license_of


def check_licences(items: Sequence[Item], adapter_licence: str, use: Use | None) -> list[str]:
    """Adds findings to the items that state a licence; returns what to say of the whole set."""
    stated = [item for item in items if item.usable and item.says("licence")]
    for item in stated:
        _check_one(item, use)
    said = _share_alike(stated, license_of(adapter_licence) if adapter_licence else None, adapter_licence)
    return said + _wider(stated, adapter_licence)


def _check_one(item: Item, use: Use | None) -> None:
    licence = item.says("licence")
    verdict = judged(licence, use or "research")
    if use and verdict.word == "no":
        item.add("use", f"use={use}: {verdict.title}, {verdict.clause} ({verdict.source})")
    elif license_of(licence) is None and verdict.word == "unknown":
        item.add("unknown licence", f"{licence[:80]}: {verdict.clause}")


def _share_alike(items: Sequence[Item], adapter: License | None, adapter_licence: str) -> list[str]:
    alike: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found = license_of(item.says("licence"))
        if found is not None and found.share_alike:
            alike[found.id].append(item)
    said = []
    if len(alike) > 1:
        named = " and ".join(f"{name} ({len(members)})" for name, members in sorted(alike.items()))
        said.append(f"licences that each ask for what is made to be under themselves: {named}")
        largest = max(alike, key=lambda name: len(alike[name]))
        for name, members in alike.items():
            for item in members if name != largest else ():
                item.add("licence conflict", f"{name} beside {largest}: both are share-alike")
    for name, members in alike.items():
        if adapter_licence and (adapter is None or adapter.id != name):
            said.append(f"licence={adapter_licence}: {len(members)} pictures are under {name}, which is share-alike")
            for item in members:
                item.add("licence conflict", f"{name} is share-alike, the adapter is to be under {adapter_licence}")
    return said


def _wider(items: Sequence[Item], adapter_licence: str) -> list[str]:
    """The adapter's licence allows what a picture's forbids."""
    said = []
    for use in USES if adapter_licence else ():
        if judged(adapter_licence, use).word not in ("yes", "conditions"):
            continue
        barred = [item for item in items if judged(item.says("licence"), use).word == "no"]
        for item in barred:
            item.add("licence conflict", f"{item.says('licence')} forbids {use} use, {adapter_licence} allows it")
        if barred:
            said.append(f"licence={adapter_licence} allows {use} use, which {len(barred)} pictures forbid")
    return said
