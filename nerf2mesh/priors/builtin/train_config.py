"""Settings of the built-in prior's training."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.procedural.captions import N_WORDS
from nerf2mesh.procedural.grammar import ViewConfig


@dataclass(kw_only=True)
class PriorTrainConfig:
    """How the built-in prior is trained."""

    network: DenoiserConfig = field(default_factory=lambda: DenoiserConfig(n_words=N_WORDS))
    views: ViewConfig = field(default_factory=lambda: ViewConfig(size_px=DenoiserConfig().image_size))
    weights: str | None = None
    """Weights to start from (a file of this trainer; one with patch 1 or without words grows to the network's); null:
    random."""
    average: tuple[str, ...] = ()
    """Two or more weight files: write their mean and train nothing."""
    output_dir: str = "outputs/prior"
    data_dir: str = "outputs/prior/scenes"
    """Where rendered shards are kept (ignored when streaming)."""
    first_scene: int = 0
    n_scenes: int = 24576
    """Seeds first_scene ... first_scene + n_scenes - 1, in multiples of 512."""
    stream: bool = False
    """Render fresh scenes during training: for a GPU."""
    device: str = "cpu"
    minutes: float = 60.0
    """Training time of this run; a new run continues where the last one stopped."""
    total_steps: int = 0
    """Steps at which training is complete and over which the rate falls; 0: whenever the minutes are over."""
    batch_scenes: int = 8
    n_frames: int = 6
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    cooldown_share: float = 0.25
    """Share of the run's time (of total_steps) over which the rate falls linearly to a twentieth (0: constant)."""
    ema_decay: float = 0.999
    drop_condition: float = 0.15
    """How often the given pictures are hidden."""
    words_with_picture: float = 0.5
    """How often the caption is told where the pictures are given (network.n_words > 0)."""
    words_alone: float = 0.8
    """The same where they are hidden; the network then thinks in the object's own frame."""
    drop_word: float = 0.15
    """How often each word of a caption that is told is left out, since prompts say less than captions."""
    words_only: bool = False
    """Train only what reads the words; without words the network then answers as before, bit for bit."""
    given_shares: tuple[float, float, float] = (0.8, 0.13, 0.07)
    """How often one, two and three of the frames are given."""
    high_noise_share: float = 0.7
    """This share of the times is drawn from [0.6, 1], where distillation works, the rest from [0, 1]."""
    compiled: bool = False
    seed: int = 0
    data_version: int = 2
    """Of the scene grammar and its captions; written into the weights' header."""
    checkpoint_s: float = 180.0
    validate_every: int = 250
    part_files: bool = False
    """Also write averaged and raw weights and the state as files of at most 15 MB (folder `parts`)."""

    def __post_init__(self) -> None:
        if self.views.size_px != self.network.image_size:
            raise ValueError(
                f"views.size_px: expected the network's image_size {self.network.image_size}, "
                f"got {self.views.size_px}; "
                "set both"
            )
        if self.network.n_words not in (0, N_WORDS):
            raise ValueError(
                f"network.n_words: expected {N_WORDS} (the vocabulary) or 0, got {self.network.n_words}; set one"
            )
        if self.words_only and not (self.network.n_words and self.weights):
            raise ValueError(
                "words_only: expected network.n_words above 0 and weights to start from, got less; set both"
            )
        least, most = len(self.given_shares) + 1, self.views.n_views
        if not least <= self.n_frames <= most:
            raise ValueError(f"n_frames: expected {least} to {most} (views.n_views), got {self.n_frames}; set one")
