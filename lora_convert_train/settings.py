"""Every setting of a training: its name, default and help. Flags and TOML keys are made of these."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from typing import Any, get_type_hints

from lora_convert.errors import OptionError


def _setting(section: str, default: Any, help_: str, *, choices: tuple[str, ...] = ()) -> Any:
    about = {"section": section, "help": help_, "choices": choices}
    if isinstance(default, tuple):
        return dataclasses.field(default_factory=lambda: default, metadata=about)
    return dataclasses.field(default=default, metadata=about)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training is asked to do. All values are plain, so that a run can keep them."""

    pretrained_model_name_or_path: str = _setting(
        "model",
        "runwayml/stable-diffusion-v1-5",
        "Base: a pipeline's folder, or a repository on the Hub.",
    )
    revision: str = _setting("model", "", "Revision of the repository; empty for its main one.")
    variant: str = _setting("model", "", "Variant of the weight files, such as fp16.")
    quantize: str = _setting(
        "model",
        "none",
        "Keep the frozen base in fewer bits. nf4 and int8 need bitsandbytes.",
        choices=("none", "fp8", "int8", "nf4"),
    )
    device: str = _setting(
        "model", "auto", "Where to train.", choices=("auto", "cuda", "mps", "cpu")
    )
    mixed_precision: str = _setting(
        "model",
        "fp16",
        "Precision of the frozen weights and the arithmetic; the LoRA is always fp32.",
        choices=("no", "fp16", "bf16"),
    )
    gradient_checkpointing: bool = _setting(
        "model", False, "Work out activations twice, to keep fewer: less memory, some 40 % slower."
    )

    train_data_dir: str = _setting(
        "data", "", "Folder of images, each with a .txt of its caption, or with a metadata.jsonl."
    )
    instance_prompt: str = _setting("data", "", "One caption for all images, instead of files.")
    missing_captions: str = _setting(
        "data",
        "error",
        "What an image without a caption is: an error, left out, or one with an empty caption.",
        choices=("error", "skip", "empty"),
    )
    trigger_word: str = _setting("data", "", "Put before every caption that does not hold it.")
    resolution: int = _setting("data", 512, "Side of a square image, in pixels.")
    buckets: bool = _setting("data", True, "Keep the images' shapes, at the same area.")
    bucket_step: int = _setting("data", 64, "Sides of buckets are multiples of this, in pixels.")
    random_flip: bool = _setting("data", False, "Show each image mirrored half of the time.")
    caption_dropout: float = _setting("data", 0.0, "Share of steps with an empty caption.")
    num_workers: int = _setting(
        "data", 0, "Accepted for old commands: what is trained on is cached, nothing loads beside."
    )

    lora_rank: int = _setting("lora", 16, "Rank.")
    lora_alpha: float | None = _setting("lora", None, "Alpha; the strength is alpha / rank. [rank]")
    targets: str = _setting(
        "lora",
        "to_q,to_v",
        "Modules: names with commas between, patterns with *, or attn, attn+ff, all-linear.",
    )
    adapter_type: str = _setting(
        "lora", "lora", "Algorithm, as PEFT has it.", choices=("lora", "dora", "lokr")
    )
    use_rslora: bool = _setting("lora", False, "Divide alpha by the root of the rank.")
    lora_dropout: float = _setting("lora", 0.0, "Dropout before the LoRA.")
    train_text_encoder: bool = _setting(
        "lora", False, "Train the text encoders' attention too (SD1, SD2, SDXL)."
    )

    max_train_steps: int = _setting("training", 1500, "Optimizer steps.")
    train_batch_size: int = _setting("training", 1, "Images in a batch, on each device.")
    gradient_accumulation_steps: int = _setting("training", 1, "Batches in a step.")
    seed: int = _setting("training", 0, "Of all that is drawn.")
    max_grad_norm: float = _setting("training", 1.0, "Gradients are clipped to this norm.")

    optimizer: str = _setting(
        "optimizer",
        "adamw",
        "adamw8bit, prodigy and schedulefree need their packages.",
        choices=("adamw", "adamw8bit", "adafactor", "prodigy", "schedulefree"),
    )
    learning_rate: float = _setting(
        "optimizer", 1e-5, "Step size. 1e-4 is usual for a LoRA; 1e-5 is slow."
    )
    lr_scheduler: str = _setting(
        "optimizer",
        "constant",
        "How the learning rate goes on.",
        choices=("constant", "constant_with_warmup", "linear", "cosine"),
    )
    lr_warmup_steps: int = _setting("optimizer", 0, "Steps in which the learning rate grows.")
    weight_decay: float = _setting("optimizer", 1e-2, "Of AdamW.")

    min_snr_gamma: float = _setting(
        "loss", 0.0, "Weigh noise levels by min-SNR, 5 being usual; 0 is off. (SD1, SD2, SDXL)"
    )
    noise_offset: float = _setting(
        "loss", 0.0, "Shift the noise of whole channels. (SD1, SD2, SDXL)"
    )
    noise_levels: str = _setting(
        "loss",
        "auto",
        "How often each noise level is trained, for flow models. [what the model's own script does]",
        choices=("auto", "uniform", "logit_normal", "mode"),
    )
    shift: str = _setting(
        "loss", "auto", "Shift towards noise, for flow models: auto, none, or a number."
    )
    guidance_scale: float = _setting("loss", 1.0, "Guidance that a distilled model is told.")

    sample_prompts: tuple[str, ...] = _setting("sampling", (), "Prompt of a sample; repeatable.")
    sample_every: int = _setting("sampling", 0, "Steps between samples; 0 for none on the way.")
    sample_steps: int = _setting("sampling", 20, "Denoising steps of a sample.")

    output_dir: str = _setting("saving", "./lora_out", "The run's folder.")
    save_steps: int = _setting("saving", 500, "Steps between checkpoints.")
    keep_checkpoints: int = _setting("saving", 0, "Newest checkpoints to keep; 0 for all.")

    @property
    def alpha(self) -> float:
        """Alpha, where it is not set the rank."""
        return float(self.lora_rank) if self.lora_alpha is None else self.lora_alpha

    def check(self) -> None:
        """Raise OptionError for a value that cannot be."""
        for field in FIELDS:
            value = getattr(self, field.name)
            choices = field.metadata["choices"]
            if choices and value not in choices:
                raise OptionError(flag(field.name), value, choices=choices)
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise OptionError(flag(name), getattr(self, name), why=f"at least {least} is meant")
        if self.shift not in ("auto", "none"):
            try:
                float(self.shift)
            except ValueError:
                why = "auto, none or a number is meant"
                raise OptionError(flag("shift"), self.shift, why=why) from None


_LEAST = {
    "resolution": 8,
    "bucket_step": 1,
    "lora_rank": 1,
    "max_train_steps": 1,
    "train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "save_steps": 1,
    "seed": 0,
    "learning_rate": 0,
    "lr_warmup_steps": 0,
    "keep_checkpoints": 0,
    "sample_every": 0,
    "sample_steps": 1,
}

FIELDS = dataclasses.fields(Settings)
TYPES: dict[str, Any] = get_type_hints(Settings)
NAMES = frozenset(field.name for field in FIELDS)


def flag(name: str) -> str:
    """How a setting is spelled on the command line, without its dashes."""
    return name.replace("_", "-")


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings that a TOML file has; a key may stand under its section or above all sections.

    Raises OptionError for what is no TOML, for an unknown key, and for a value of another type.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError("config", os.fspath(path), why=str(error)) from error
    found: dict[str, Any] = {}
    for key, value in document.items():
        found.update(value if isinstance(value, dict) else {key: value})
    return {name: _typed(name, value, path) for name, value in found.items()}


def _typed(name: str, value: Any, path: str | os.PathLike[str]) -> Any:
    known = name.replace("-", "_")
    if known not in NAMES:
        near = difflib.get_close_matches(known, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else "lora-convert-train train --help lists them"
        raise OptionError("config", name, why=f"{os.fspath(path)}: no such setting", hint=hint)
    wanted = TYPES[known]
    if wanted == tuple[str, ...] and isinstance(value, (str, list)):
        return (value,) if isinstance(value, str) else tuple(map(str, value))
    if wanted in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        kind = getattr(wanted, "__name__", str(wanted))
        raise OptionError(flag(known), value, why=f"{os.fspath(path)}: {kind} is meant")
    return value


def as_toml(settings: Settings) -> str:
    """All settings as a TOML file that `read_settings` reads; those that are None are left out."""
    sections: dict[str, list[str]] = {}
    for field in FIELDS:
        value = getattr(settings, field.name)
        if value is not None:
            lines = sections.setdefault(field.metadata["section"], [])
            lines.append(f"{field.name} = {_as_toml(value)}")
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def _as_toml(value: Any) -> str:
    import json

    if isinstance(value, tuple):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
