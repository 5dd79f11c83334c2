"""Prompts to embeddings: the text encoders of a model are loaded one after the other, used, and let go.

Embeddings are kept on disk as safetensors under a name that is the hash of all that they depend on: the encoder's and
the tokenizer's files, how they are read, and the words. A run whose prompts are there loads no text encoder at all.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerf2mesh.priors.base import TextChange
from nerf2mesh.priors.foundation.components import DTYPES, Components, quiet
from nerf2mesh.utils.atomic_write import atomic_write, atomic_write_text

Embedding = Mapping[str, Tensor]
"""hidden [n, d], and as the family has it pooled [d] and mask [n]; without a batch axis."""


@dataclass(frozen=True)
class Encoder:
    """One text encoder and how it is read.

    hidden: "last" (after the final norm), "penultimate", or "" for none. pooled: "projected" (text_embeds), "pooler",
    or "" for none. max_tokens: 0 takes the tokenizer's own. masked: whether padding is hidden from the encoder.
    lower: whether the words are put in lower case first. instruction: words put before the prompt; the first and the
    last max_tokens - 1 tokens are kept (SANA, Xie et al. 2024, section 3.1).
    """

    name: str = "text_encoder"
    tokenizer: str = "tokenizer"
    hidden: str = "last"
    pooled: str = ""
    max_tokens: int = 0
    masked: bool = False
    lower: bool = False
    instruction: str = ""


def embed(
    components: Components,
    encoder: Encoder,
    prompts: list[str],
    *,
    device: str,
    precision: str,
    cache: Path,
    changes: Sequence[TextChange] = (),
) -> list[Embedding]:
    """One embedding a prompt, from the cache where it is there."""
    digest = "".join(digests(components, (encoder.name, encoder.tokenizer), cache).values())
    digest += "".join(change.digest for change in changes)
    paths = [cache / f"{_key(digest, encoder, precision, prompt)}.safetensors" for prompt in prompts]
    missing = [prompt for prompt, path in zip(prompts, paths) if not path.is_file()]
    if missing:
        made = _run(components, encoder, list(dict.fromkeys(missing)), device, precision, changes)
        for prompt, path in zip(prompts, paths):
            if prompt in made and not path.is_file():
                _save(made[prompt], path)
    return [_load(path, device) for path in paths]


def digests(components: Components, names: Sequence[str], cache: Path) -> dict[str, str]:
    """SHA-256 of each component; files that have not changed since the last time are not read again."""
    memo = _read_memo(cache)
    found = {name: components.digest(name, memo) for name in names}
    _write_memo(cache, memo)
    return found


def cache_folder(configured: str | None) -> Path:
    """Where embeddings are kept."""
    if configured:
        return Path(configured).expanduser() / "text"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nerf2mesh" / "text"


@torch.no_grad()
def _run(
    components: Components,
    encoder: Encoder,
    prompts: list[str],
    device: str,
    precision: str,
    changes: Sequence[TextChange],
) -> dict[str, Embedding]:
    tokenizer = components.tokenizer(encoder.tokenizer)
    model = components.load(encoder.name, DTYPES[precision]).to(device)
    for change in changes:
        change.apply(model)
    made = {prompt: _encode(model, tokenizer, encoder, prompt, device) for prompt in prompts}
    del model
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return made


def _encode(model: Any, tokenizer: Any, encoder: Encoder, prompt: str, device: str) -> Embedding:
    tokenizer.padding_side = "right"
    kept = encoder.max_tokens or tokenizer.model_max_length
    with quiet():
        length = len(tokenizer.encode(encoder.instruction)) + kept - 2 if encoder.instruction else kept
        tokens = tokenizer(
            encoder.instruction + (prompt.lower().strip() if encoder.lower else prompt),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        ).to(device)
    wants_mask = encoder.masked or getattr(model.config, "use_attention_mask", False)
    out = model(
        tokens.input_ids,
        attention_mask=tokens.attention_mask if wants_mask else None,
        output_hidden_states=encoder.hidden == "penultimate",
    )
    found: dict[str, Tensor] = {}
    if encoder.hidden:
        hidden = out.hidden_states[-2] if encoder.hidden == "penultimate" else out.last_hidden_state
        mask = tokens.attention_mask
        if length > kept:
            hidden, mask = (torch.cat([x[:, :1], x[:, 1 - kept :]], dim=1) for x in (hidden, mask))
        found["hidden"] = hidden[0]
        if encoder.masked:
            found["mask"] = mask[0]
    if encoder.pooled:
        found["pooled"] = (out.text_embeds if encoder.pooled == "projected" else out.pooler_output)[0]
    return {key: value.contiguous().cpu() for key, value in found.items()}


def _key(digest: str, encoder: Encoder, precision: str, prompt: str) -> str:
    import transformers

    reading = [
        digest,
        encoder.hidden,
        encoder.pooled,
        encoder.max_tokens,
        encoder.masked,
        encoder.lower,
        encoder.instruction,
    ]
    text = json.dumps([*reading, precision, transformers.__version__, prompt])
    return hashlib.sha256(text.encode()).hexdigest()


def _save(embedding: Embedding, path: Path) -> None:
    from safetensors.torch import save_file

    with atomic_write(path, concurrent=True) as part:
        save_file(dict(embedding), part)


def _load(path: Path, device: str) -> Embedding:
    from safetensors.torch import load_file

    return load_file(path, device=device)


def _read_memo(cache: Path) -> dict[str, str]:
    """Digests of files that did not change since; a damaged list is begun anew."""
    try:
        memo = json.loads((cache / "digests.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return memo if isinstance(memo, dict) else {}


def _write_memo(cache: Path, memo: dict[str, str]) -> None:
    """Where the folder can be written; without the list files are only read again."""
    with suppress(OSError):
        atomic_write_text(cache / "digests.json", json.dumps(memo), concurrent=True)
