"""Settings of the built-in prior's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.procedural.captions import N_WORDS
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Device, FilePath, Length, Rate, Seed, Share, Within


@dataclass(kw_only=True)
class PriorTrainConfig:
    """How the built-in prior is trained."""

    network: DenoiserConfig = field(default_factory=lambda: DenoiserConfig(n_words=N_WORDS))
    views: ViewConfig = field(default_factory=lambda: ViewConfig(size_px=DenoiserConfig().image_size))
    weights: FilePath | None = None
    """Weights to start from (a file of this trainer; one with patch 1 or without words grows to the network's); null:
    random."""
    average: Annotated[tuple[FilePath, ...], Length(0, 100)] = ()
    """Two or more weight files: write their mean and train nothing."""
    output_dir: FilePath = "outputs/prior"
    data_dir: FilePath = "outputs/prior/scenes"
    """Where rendered shards are kept (ignored when streaming)."""
    first_scene: Annotated[int, Within(0, 1 << 40)] = 0
    n_scenes: Annotated[int, Within(1, 1 << 40)] = 24576
    """Seeds first_scene ... first_scene + n_scenes - 1, in multiples of 512."""
    stream: bool = False
    """Render fresh scenes during training: for a GPU."""
    workers: Annotated[int, Within(0, 1024)] = 0
    """Processes that draw meshes ahead of the training; 0: it draws them itself. The scenes are the same."""
    device: Device = "cpu"
    minutes: Annotated[float, Within(0.0, 1e7)] = 60.0
    """Training time of this run; a new run continues where the last one stopped."""
    until: Annotated[float, Within(0.0, 1e11)] = 0.0
    """Unix time by which all files are to be written (`date +%s` plus so many seconds), whatever `minutes` says; 0:
    none. For machines that are lent for a time."""
    total_steps: Annotated[int, Within(0, 1_000_000_000)] = 0
    """Steps at which training is complete and over which the rate falls; 0: whenever the minutes are over."""
    batch_scenes: Annotated[int, Within(1, 65_536)] = 8
    n_frames: Annotated[int, Within(2, 64)] = 6
    learning_rate: Rate = 6e-4
    warmup_steps: Annotated[int, Within(0, 1_000_000_000)] = 200
    cooldown_share: Share = 0.25
    """Share of the run's time (of total_steps) over which the rate falls linearly to a twentieth (0: constant)."""
    ema_decay: Annotated[float, Within(0.0, 1.0, below=True)] = 0.999
    drop_condition: Share = 0.15
    """How often the given pictures are hidden."""
    words_with_picture: Share = 0.5
    """How often the caption is told where the pictures are given (network.n_words > 0)."""
    words_alone: Share = 0.8
    """The same where they are hidden; the network then thinks in the object's own frame."""
    drop_word: Share = 0.15
    """How often each word of a caption that is told is left out, since prompts say less than captions."""
    words_only: bool = False
    """Train only what reads the words; without words the network then answers as before, bit for bit."""
    given_shares: tuple[Share, Share, Share] = (0.8, 0.13, 0.07)
    """How often one, two and three of the frames are given."""
    high_noise_share: Share = 0.7
    """This share of the times is drawn from [0.6, 1], where distillation works, the rest from [0, 1]."""
    snr_limit: Annotated[float, Within(0.0, 1e6)] = 0.0
    """Weighs the noise levels by min-SNR with this limit (`builtin.loss.velocity_loss`); 0: all alike."""
    opacity_weight: Annotated[float, Within(0.0, 1e3)] = 0.0
    """Of the error between the frames' alpha and the volume's own opacity."""
    compiled: bool = False
    cuda_graph: bool = False
    """On a GPU both passes of a step become one launch. Not run on a GPU yet: off until it was measured there."""
    seed: Seed = 0
    data_version: Annotated[int, Within(0, 1_000_000)] = 2
    """Of the scene grammar and its captions; written into the weights' header."""
    checkpoint_s: Annotated[float, Within(0.0, 1e9)] = 180.0
    validate_every: Annotated[int, Within(1, 1_000_000_000)] = 250
    part_files: bool = False
    """Also write the state in half precision, as files of at most 15 MB (folder `parts`) from which a training on
    another machine goes on."""

    def __post_init__(self) -> None:
        check_ranges(self)
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
