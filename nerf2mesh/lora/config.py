"""Adapters on the prior."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.inputs.config import DOMAINS
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Length, Rate, Share, Weight, Within, Words


@dataclass(kw_only=True)
class LoraConfig:
    """Style adapters from the user, and the subject adapter that is fitted to the input."""

    adapters: Annotated[list[FilePath], Length(0, 64)] = field(default_factory=list)
    """Paths of safetensors adapters to stack on the prior."""
    weights: Annotated[list[Annotated[float, Within(-100.0, 100.0)]], Length(0, 64)] = field(default_factory=list)
    """One for each of `adapters`; empty: all 1."""
    by_domain: Annotated[dict[str, FilePath], Length(0, 16)] = field(default_factory=dict[str, str])
    """An adapter for each kind of picture, such as +lora.by_domain.lineart=FILE: the one for the input's kind
    (input.domain, also where auto found it) is stacked on the others, with weight 1."""
    packaged: bool = True
    """Where no adapter is named: the one that comes with the package for the input's kind, on the packaged built-in
    prior. There is none for photographs."""
    subject: bool = False
    """Fit an adapter to the given views before distillation. Off: with the built-in prior it cost 0.45 dB at unseen
    views (19.04 against 19.49 dB, IoU 0.708 against 0.705, six held-out procedural scenes, one seed)."""
    rank: Annotated[int, Within(1, 1024)] = 4
    """alpha is equal to it, so that every reader agrees on the scale."""
    steps: Annotated[int, Within(0, 1_000_000)] = 40
    learning_rate: Rate = 5e-4
    subject_weight: Annotated[float, Within(-100.0, 100.0)] = 1.0
    class_prompt: Words = ""
    """What kind of thing the subject is, for prior preservation (DreamBooth) on priors that read words: "a cup" where
    input.prompt says "a photo of the blue cup". Empty: without preservation."""
    class_pictures: Annotated[int, Within(1, 10_000)] = 8
    """How many pictures of the class the prior draws for that."""
    preservation_weight: Weight = 1.0
    refresh_at: Share = 0.0
    """Share of the run at which the subject adapter is fitted again, now also on renderings; 0: never."""

    def __post_init__(self) -> None:
        check_ranges(self, "lora.")
        unknown = sorted(set(self.by_domain) - set(DOMAINS[1:]))
        if unknown:
            raise ValueError(
                f"lora.by_domain: expected names among {', '.join(DOMAINS[1:])}, got {unknown[0]!r}; correct it"
            )
        if self.weights and len(self.weights) != len(self.adapters):
            raise ValueError(
                f"lora.weights: expected {len(self.adapters)}, as many as adapters, got {len(self.weights)}; correct it"
            )
