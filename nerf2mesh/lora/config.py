"""Adapters on the prior."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class LoraConfig:
    """Style adapters from the user, and the subject adapter that is fitted to the input."""

    adapters: list[str] = field(default_factory=list)
    """Paths of safetensors adapters to stack on the prior."""
    weights: list[float] = field(default_factory=list)
    """One for each of `adapters`; empty: all 1."""
    subject: bool = False
    """Fit an adapter to the given views before distillation. Off: with the built-in prior it cost 0.45 dB at unseen
    views (19.04 against 19.49 dB, IoU 0.708 against 0.705, six held-out procedural scenes, one seed)."""
    rank: int = 4
    """alpha is equal to it, so that every reader agrees on the scale."""
    steps: int = 40
    learning_rate: float = 5e-4
    subject_weight: float = 1.0
    class_prompt: str = ""
    """What kind of thing the subject is, for prior preservation (DreamBooth) on priors that read words: "a cup" where
    input.prompt says "a photo of the blue cup". Empty: without preservation."""
    class_pictures: int = 8
    """How many pictures of the class the prior draws for that."""
    preservation_weight: float = 1.0
    refresh_at: float = 0.0
    """Share of the run at which the subject adapter is fitted again, now also on renderings; 0: never."""

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.adapters):
            raise ValueError(
                f"lora.weights: expected {len(self.adapters)}, as many as adapters, got {len(self.weights)}; correct it"
            )
        if self.class_pictures < 1:
            raise ValueError(f"lora.class_pictures: expected at least 1, got {self.class_pictures}; raise it")
        if self.rank < 1 or self.steps < 0:
            raise ValueError(
                f"lora.rank, steps: expected rank >= 1 and steps >= 0, got {self.rank} and {self.steps}; raise them"
            )
