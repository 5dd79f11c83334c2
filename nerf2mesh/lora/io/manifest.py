"""Where an adapter comes from: what it was trained on, under which licences, on which base, with which settings.

The same manifest stands in the safetensors header (key `nerf2mesh`) and beside the file. It holds no time and no name
of a machine, so that the same training gives the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True)
class Source:
    """One thing that was learnt from."""

    source: str
    """Where it is from, in the giver's words."""
    licence: str
    sha256: str
    """Of the picture."""
    views_sha256: list[str] = field(default_factory=list)
    """Of the model, or of its views."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """See the module's text."""

    title: str
    base: str
    """Name of the prior."""
    base_sha256: str = ""
    licence: str = ""
    """Of the adapter; "" where nobody has said."""
    settings: dict[str, object] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)

    def to_json(self, indent: int | None = None) -> str:
        """The manifest as JSON with sorted keys, on one line unless `indent` is given."""
        return json.dumps(asdict(self), indent=indent, sort_keys=True)

    def common_header(self) -> dict[str, str]:
        """The header keys that other tools show (Stability's model specification)."""
        known = {"modelspec.title": self.title, "modelspec.license": self.licence}
        return {"modelspec.sai_model_spec": "1.0.0"} | {key: value for key, value in known.items() if value}

    def licences(self) -> dict[str, int]:
        """How many sources stand under which licence."""
        return dict(Counter(source.licence for source in self.sources))
