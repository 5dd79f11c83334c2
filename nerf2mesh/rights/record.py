"""The record of what a file was made of: plain values that become JSON in ASCII, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nerf2mesh.rights.containers import RECORD_KEY, SEAL_KEY
from nerf2mesh.rights.gate import Material, duties
from nerf2mesh.rights.licenses import License
from nerf2mesh.rights.reading import terms_of
from nerf2mesh.rights.seal import BLANK, Signer

FORMAT = "nerf2mesh provenance 1"
_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES = {
    "words": _IPTC + "trainedAlgorithmicMedia",
    "picture and model": _IPTC + "compositeWithTrainedAlgorithmicMedia",
    "photographs alone": _IPTC + "computationalCapture",
    "drawing alone": _IPTC + "algorithmicMedia",
}
"""IPTC's digital source type by what took part."""
CONTEXT = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "n2m": "urn:nerf2mesh:provenance:1",
}
MOST_MATERIALS = 100
"""Rows of materials in a record; more are counted."""
MOST_LETTERS = 500
"""Of a name, an author or a licence in a record."""


@dataclass(frozen=True)
class Record:
    """content: plain values. signer: of the files that carry it; None leaves them unsigned."""

    content: Mapping[str, Any]
    signer: Signer | None = field(default=None, repr=False)

    def text(self) -> str:
        """As it stands in files and is signed."""
        signed = {"signed_by": self.signer.name} if self.signer else {}
        return json.dumps({**self.content, **signed}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def plus(self, **more: object) -> Record:
        """The record with further entries."""
        return replace(self, content={**self.content, **more})

    def xmp_packet(self) -> dict[str, object]:
        """The packet of KHR_xmp_json_ld, unsealed."""
        materials = self.content.get("materials", [])
        inputs = [row for row in materials if row.get("what") == "input"]
        own = [row["credit"] for row in inputs if row.get("credit") and row.get("license") == "LicenseRef-Own-Work"]
        others = [row["credit"] for row in inputs if row.get("credit") and row["credit"] not in own]
        packet: dict[str, object] = {"@context": CONTEXT, "dc:format": "model/gltf-binary"}
        packet |= {"dc:creator": {"@list": own}} if own else {}
        packet |= {"dc:contributor": {"@set": others}} if others else {}
        packet |= {"dc:title": _alternative(self.content["title"])} if self.content.get("title") else {}
        packet["dc:rights"] = packet["xmpRights:UsageTerms"] = _alternative(rights_line(materials))
        digests = [f"sha256:{row['sha256']}" for row in inputs if row.get("sha256")]
        packet |= {"dc:source": ", ".join(digests)} if digests else {}
        software = self.content.get("software", {})
        packet["xmp:CreatorTool"] = f"{software.get('name', '')} {software.get('version', '')}".strip()
        packet["Iptc4xmpExt:DigitalSourceType"] = self.content.get("digital_source_type", "")
        return packet | {RECORD_KEY: self.text(), SEAL_KEY: BLANK}


def material_rows(materials: Sequence[Material]) -> list[dict[str, object]]:
    """The materials for a record: what is known, with the licence by its name in the table."""
    rows: list[dict[str, object]] = []
    for material in materials[:MOST_MATERIALS]:
        shown = "" if material.what == "input" else material.name  # a file's name is its maker's affair
        row = {"what": material.what, "name": shown[:MOST_LETTERS], "credit": material.credit[:MOST_LETTERS]}
        row |= {"license": license_names(material.licence)[:MOST_LETTERS], "sha256": material.sha256}
        rows.append({key: value for key, value in row.items() if value})
    if len(materials) > MOST_MATERIALS:
        rows.append({"what": "further materials", "count": len(materials) - MOST_MATERIALS})
    return rows


def license_names(licence: str) -> str:
    """The expression with each licence by its name in the table; unknown ones as they were stated."""
    parts = [" OR ".join(e.id if isinstance(e, License) else e for e in part) for part in terms_of(licence)]
    return " AND ".join(parts)


def rights_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """Materials by licence on one line, for readers of XMP."""
    shown = [f"{row['what']}: {row.get('license', 'no licence stated')}" for row in rows if "count" not in row]
    return "; ".join(dict.fromkeys(shown)) or "no licence stated"


def attribution_page(materials: Sequence[Material], use: str | None) -> str:
    """ATTRIBUTION.md: whose work is in the mesh, and what that asks of whoever passes it on."""
    lines = ["# Whose work is in this mesh", "", f"Stated use: {use or 'none; no licence was asked'}.", ""]
    lines += ["| what | name | author or source | licence as stated |", "|---|---|---|---|"]
    lines += [
        f"| {m.what} | {_cell(m.name)} | {_cell(m.credit)} | {_cell(license_names(m.licence)) or 'not stated'} |"
        for m in materials
    ]
    asked: dict[str, list[str]] = {}
    for material, entry in duties(materials):
        wanted = "; ".join(duty for duty in (entry.attribution, entry.share_alike) if duty)
        asked.setdefault(f"**{entry.title}** ({entry.source}): {wanted}.", []).append(material.what)
    lines += ["", "## Duties", ""]
    lines += [f"- {duty} Asked by: {', '.join(dict.fromkeys(who))}." for duty, who in asked.items()] or ["None known."]
    lines += [
        "",
        "Whether training data bind what a model makes differs from country to country; they are listed so that you",
        "can name them. Licences are as their givers state them. This is no legal advice.",
        "",
    ]
    return "\n".join(lines)


def _alternative(text: str) -> dict[str, object]:
    """An XMP language alternative in one language."""
    return {"@type": "rdf:Alt", "rdf:_1": {"@language": "en", "@value": text}}


def _cell(text: str) -> str:
    """A stranger's text inside a table of Markdown: one line, nothing that becomes markup."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_LETTERS]
    return plain.translate({ord(c): f"\\{c}" for c in "\\`*_[]<>|#!"})
