"""Parts of tiny foundation models: tokenizers, encoders, networks and schedulers with random weights, offline.

Images are 16 x 16, latents 8 x 8 (the VAEs shrink by 2); CLIP text is at most 32 characters.
"""

from __future__ import annotations

import string

IMAGE_SIZE, LATENT_SIZE, WIDTH, TOKENS = 16, 8, 16, 32
CHARACTERS = [c for c in string.printable if c.strip()]
SCALED_LINEAR = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def clip_tokenizer():
    from transformers import CLIPTokenizer

    tokens = ["<|startoftext|>", "<|endoftext|>", *CHARACTERS, *(c + "</w>" for c in CHARACTERS)]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=TOKENS)


def t5_tokenizer():
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *((c, -3.0) for c in CHARACTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=TOKENS)


def gemma_tokenizer():
    from transformers import GemmaTokenizer

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *CHARACTERS]
    return GemmaTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=TOKENS)


def clip_text(projected: bool = False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=2 + 2 * len(CHARACTERS),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=TOKENS,
        projection_dim=WIDTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5_text(width: int = WIDTH):
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=4 + len(CHARACTERS), d_model=width, d_ff=WIDTH, d_kv=4, num_heads=2, num_layers=1,
        feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip
    return T5EncoderModel(config).eval()


def gemma_text():
    from transformers import Gemma2Config, Gemma2Model

    config = Gemma2Config(
        vocab_size=6 + len(CHARACTERS), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip
    return Gemma2Model(config).eval()


def image_encoder(projected: bool = True):
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=8,
        projection_dim=WIDTH,
    )
    return (CLIPVisionModelWithProjection if projected else CLIPVisionModel)(config).eval()


def vae(latent_channels: int = 4, **scales: float):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        norm_num_groups=2,
        sample_size=IMAGE_SIZE,
        **scales,
    ).eval()


def unet(**changes: object):
    from diffusers import UNet2DConditionModel

    settings = {
        "sample_size": LATENT_SIZE,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**(settings | changes)).eval()


def pndm(**changes: object):
    from diffusers import PNDMScheduler

    return PNDMScheduler(**(SCALED_LINEAR | {"skip_prk_steps": True, "steps_offset": 1} | changes))
