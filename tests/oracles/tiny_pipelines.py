"""Whole pipelines with random weights, saved as Diffusers saves them: they make pictures, of nothing."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    FluxPipeline,
    QwenImagePipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    ZImagePipeline,
)
from transformers import CLIPTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

from tests.oracles.tiny_models import QWEN_WORDS, models

PIPELINES = ("sd1", "sd2", "sdxl", "sd3", "flux", "flux2", "qwen_image", "z_image")
"""Architectures that there is one of."""

LONGEST = 8
"""Tokens that the tiny CLIP takes."""

_CHAT = """{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}"""


def save_pipeline(architecture: str, folder: Path) -> Path:
    """A pipeline of an architecture, in a new folder."""
    pipeline(architecture).save_pretrained(folder)
    return folder


def pipeline(architecture: str) -> Any:
    """A pipeline in memory, made of copies."""
    made = models("sd2, whole" if architecture == "sd2" else architecture)
    parts: dict[str, Any] = {name: copy.deepcopy(model) for name, model in made.items()}
    parts["vae"] = copy.deepcopy(_VAES.get(architecture, _vae)())
    if architecture in _CHATTING:
        return _CHATTING[architecture](scheduler=_flow(), tokenizer=qwen_tokenizer(), **parts)
    parts["tokenizer"] = clip_tokenizer()
    if architecture == "flux":
        return FluxPipeline(scheduler=_flow(), tokenizer_2=t5_tokenizer(), **parts)
    if architecture == "sd3":
        return StableDiffusion3Pipeline(
            scheduler=_flow(), tokenizer_2=clip_tokenizer(), tokenizer_3=t5_tokenizer(), **parts
        )
    parts["scheduler"] = DDIMScheduler(clip_sample=False, steps_offset=1)
    if architecture == "sdxl":
        return StableDiffusionXLPipeline(
            tokenizer_2=clip_tokenizer(), force_zeros_for_empty_prompt=True, **parts
        )
    return StableDiffusionPipeline(
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
    )


_CHATTING = {
    "flux2": Flux2KleinPipeline,
    "qwen_image": QwenImagePipeline,
    "z_image": ZImagePipeline,
}
"""Pipelines whose captions a language model reads."""


def picture(loaded: DiffusionPipeline, architecture: str) -> torch.Tensor:
    """What a pipeline draws: two steps, one seed, as numbers between 0 and 1."""
    loaded.set_progress_bar_config(disable=True)
    drawn = loaded(
        prompt="ab",
        num_inference_steps=2,
        height=32,
        width=32,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    )
    return drawn.images[0]


def _flow() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler()


_SMALL = {
    "block_out_channels": (32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "sample_size": 32,
}


@cache
def _vae() -> AutoencoderKL:
    torch.manual_seed(11)
    return AutoencoderKL(**_SMALL, shift_factor=0.1)


@cache
def _flux2_vae() -> AutoencoderKLFlux2:
    torch.manual_seed(11)
    vae = AutoencoderKLFlux2(**_SMALL)
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2)
    return vae


@cache
def _qwen_vae() -> AutoencoderKLQwenImage:
    torch.manual_seed(11)
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[True],
        latents_mean=[0.1, -0.2, 0.3, -0.4],
        latents_std=[1.5, 0.5, 2.0, 0.75],
    )


_VAES = {"flux2": _flux2_vae, "qwen_image": _qwen_vae}


def clip_tokenizer() -> CLIPTokenizer:
    """Letters and their ends of words; 50 tokens at most, as the tiny text encoders have."""
    letters = "abcdefghijklmnopqrstuv"
    words = ["<|startoftext|>", *letters, *(f"{letter}</w>" for letter in letters), "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LONGEST)


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
        model_max_length=512,
    )


def qwen_tokenizer() -> Qwen2Tokenizer:
    """One token a byte, and the marks of a chat."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    words = {**letters, **{mark: len(letters) + number for number, mark in enumerate(marks)}}
    assert len(words) < QWEN_WORDS
    return Qwen2Tokenizer(
        vocab=words,
        merges=[],
        additional_special_tokens=marks[1:],
        chat_template=_CHAT,
        model_max_length=4096,
    )
