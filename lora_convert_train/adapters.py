"""The LoRA that is trained: which modules get one, and with what."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lora_convert.errors import OptionError

if TYPE_CHECKING:
    import torch

    from lora_convert_train.recipes import Presets
    from lora_convert_train.settings import Settings

PRESETS = ("attn", "attn+ff", "all-linear")
_TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")


def targeted(model: torch.nn.Module, targets: str, presets: Presets) -> list[str]:
    """Full names of the modules that `targets` mean; OptionError where one means none.

    A name means all modules that end with it, a pattern with ``*`` all whose full name it fits.
    """
    from torch import nn

    linear = [
        name for name, one in model.named_modules() if isinstance(one, (nn.Linear, nn.Conv2d))
    ]
    if targets == "all-linear":
        return [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    words = {
        "attn": presets.attention,
        "attn+ff": (*presets.attention, *presets.feed_forward),
    }.get(targets) or [word.strip() for word in targets.split(",") if word.strip()]
    found: dict[str, None] = {}
    for word in words:
        fits = [name for name in linear if _fits(name, word)]
        if not fits and targets not in PRESETS:
            hint = f"for example --targets {','.join(presets.attention)}, or {', '.join(PRESETS)}"
            raise OptionError("targets", word, why="no module has that name", hint=hint)
        found.update(dict.fromkeys(fits))
    if not found:
        raise OptionError("targets", targets, why="no module has such a name", choices=PRESETS)
    return list(found)


def _fits(name: str, word: str) -> bool:
    if re.search(r"[*?\[]", word):
        return fnmatchcase(name, word)
    return name == word or name.endswith(f".{word}")


def add_adapter(model: Any, settings: Settings, names: list[str]) -> list[torch.nn.Parameter]:
    """Put an adapter on modules; its weights, which are float32 whatever the model's are.

    Drawn from the seed, on the CPU: the same for every device.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model.add_adapter(_config(settings, names))
    trained = [one for one in model.parameters() if one.requires_grad]
    for one in trained:
        one.data = one.data.float()
    return trained


def _config(settings: Settings, names: list[str]) -> Any:
    import peft

    if settings.adapter_type == "lokr":
        return peft.LoKrConfig(
            r=settings.lora_rank,
            alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT divides whatever number it is
            target_modules=names,
            module_dropout=settings.lora_dropout,
        )
    whole = settings.alpha == int(settings.alpha)
    return peft.LoraConfig(
        r=settings.lora_rank,
        lora_alpha=int(settings.alpha) if whole else settings.alpha,  # type: ignore[arg-type]
        target_modules=names,
        init_lora_weights="gaussian",
        lora_dropout=settings.lora_dropout,
        use_dora=settings.adapter_type == "dora",
        use_rslora=settings.use_rslora,
    )


def text_targets(model: torch.nn.Module) -> list[str]:
    """Attention of a CLIP text encoder."""
    return [name for name, _ in model.named_modules() if name.endswith(_TEXT_TARGETS)]
