"""The data card: what a curated set is, for those who get the adapter.

Its questions are those of Gebru et al. 2021, "Datasheets for Datasets" (arXiv 1803.09010), as far as files answer them;
what only people know is left open and named. Authors are counted, not named, and no path stands in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nerf2mesh.lora.curate.balance import Table
from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.items import HARD, NOTES, SOFT, Item

OPEN = (
    "Why was the set made, by whom, and who paid for it?",
    "Were the people who drew the pictures asked, and do they know what the adapter is for?",
    "Does a picture show a person, a brand, or something else that others have rights in?",
    "Who answers questions about the set, and who takes a picture out on request?",
)


@dataclass(frozen=True)
class CardFacts:
    """What the card tells beside the items."""

    title: str
    tables: Mapping[str, Table]
    captions: int
    """Items on that have one."""
    splits: Mapping[int, str]
    said: Sequence[str] = field(default_factory=tuple)
    """Remarks on the whole set."""
    digest: str = ""


def card(items: Sequence[Item], facts: CardFacts, config: CurateConfig) -> str:
    """The card in Markdown."""
    on = [item for item in items if item.on]
    held_out = sum(split == "heldout" for split in facts.splits.values())
    parts = [
        f"# Data card: {facts.title}\n",
        f"{len(on)} of {len(items)} items are to be learnt from; {held_out} of them are held out. "
        f"{facts.captions} have a caption, {sum(bool(item.says('author')) for item in on)} name an author, "
        f"{sum(bool(item.says('source')) for item in on)} a source. Set: sha256 {facts.digest}.\n",
        "".join(f"- {line}\n" for line in facts.said),
        "## Licences\n\n" + _table("licence", Counter(item.says("licence") or "not stated" for item in on)),
        "## Sources\n\n" + _sources(on),
        "## Balance\n\n" + "\n".join(_table(name, table) for name, table in facts.tables.items()),
        "## What was found\n\n" + _findings(items),
        "## How it was looked for\n\n" + _settings(config),
        "## What files do not answer\n\n" + "".join(f"- {question}\n" for question in OPEN),
    ]
    return "\n".join(part for part in parts if part)


def _sources(on: Sequence[Item], most: int = 20) -> str:
    """The commonest sources; numbers in them are one, so that "seed 1" and "seed 2" are one source."""
    counts = Counter("".join("#" if c.isdigit() else c for c in item.says("source")) or "not stated" for item in on)
    folded: Counter[str] = Counter()
    for text, n in counts.items():
        while "##" in text:
            text = text.replace("##", "#")
        folded[text[:120]] += n
    shown = dict(folded.most_common(most))
    rest = sum(folded.values()) - sum(shown.values())
    return _table("source", shown | ({"others": rest} if rest else {}))


def _findings(items: Sequence[Item]) -> str:
    rows = []
    for kind in (*HARD, *SOFT, *NOTES):
        found = [item for item in items if any(finding.kind == kind for finding in item.findings)]
        if found:
            what = "refused, whatever the ticks say" if kind in HARD else "refused" if kind in SOFT else "noted"
            kept = sum(item.on for item in found)
            rows.append(f"| {kind} | {len(found)} | {what} | {kept} |\n")
    return "| finding | items | | of these on |\n|---|---|---|---|\n" + "".join(rows) if rows else "Nothing.\n"


def _settings(config: CurateConfig) -> str:
    names = (
        "require",
        "use",
        "names",
        "min_side_px",
        "max_blur",
        "near_hash_bits",
        "near_cosine",
        "min_silhouette",
        "min_covered",
    )
    names += ("held_out_share", "seed")
    rows = "".join(f"| {name} | {_plain(getattr(config, name))} |\n" for name in names)
    return "| setting | value |\n|---|---|\n" + rows


def _table(name: str, counts: Mapping[str, int]) -> str:
    rows = "".join(f"| {_plain(row)} | {n} |\n" for row, n in counts.items())
    return f"| {name} | items |\n|---|---|\n{rows}"


def _plain(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
