"""Whole pipelines with random weights, saved as Diffusers saves them: they make pictures, of nothing."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

from tests.oracles.tiny_models import models

PROMPT = {"sd1": {}, "sdxl": {}, "flux": {"max_sequence_length": 8}}


def save_pipeline(architecture: str, folder: Path) -> Path:
    """A pipeline of an architecture, in a new folder."""
    pipeline(architecture).save_pretrained(folder)
    return folder


def pipeline(architecture: str) -> Any:
    """A pipeline in memory, made of copies."""
    parts: dict[str, Any] = {name: copy.deepcopy(m) for name, m in models(architecture).items()}
    parts["vae"] = copy.deepcopy(_vae())
    parts["tokenizer"] = clip_tokenizer()
    if architecture == "flux":
        return FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(), tokenizer_2=t5_tokenizer(), **parts
        )
    parts["scheduler"] = DDIMScheduler(clip_sample=False, steps_offset=1)
    if architecture == "sdxl":
        return StableDiffusionXLPipeline(
            tokenizer_2=clip_tokenizer(), force_zeros_for_empty_prompt=True, **parts
        )
    return StableDiffusionPipeline(
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
    )


def picture(loaded: DiffusionPipeline, architecture: str) -> torch.Tensor:
    """What a pipeline draws: two steps, one seed, as numbers between 0 and 1."""
    loaded.set_progress_bar_config(disable=True)
    drawn = loaded(
        "ab",
        num_inference_steps=2,
        height=32,
        width=32,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
        **PROMPT[architecture],
    )
    return drawn.images[0]


@cache
def _vae() -> AutoencoderKL:
    torch.manual_seed(11)
    return AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        shift_factor=0.1,
        norm_num_groups=8,
        sample_size=32,
    )


def clip_tokenizer() -> CLIPTokenizer:
    """Letters and their ends of words; 50 tokens at most, as the tiny text encoders have."""
    letters = "abcdefghijklmnopqrstuv"
    words = ["<|startoftext|>", *letters, *(f"{letter}</w>" for letter in letters), "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=8)


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """One token a letter."""
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((c, -1.0) for c in "abcdefghij▁")]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(Unigram(pieces, unk_id=2)),
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=8,
    )
