"""Models with adapters as training loops have them: small, seeded, of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DConditionModel
from peft import LoKrConfig, LoraConfig, get_peft_model, inject_adapter_in_model
from torch import nn


class Mlp(nn.Module):
    """The least there is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(8, 16), nn.Linear(16, 8), nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.second(torch.relu(self.first(x))))


class Policy(nn.Module):
    """A diffusion policy's transformer: actions with noise in, noise out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(3, 16), nn.Linear(16, 3)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.embed(x * self.scale)))


class Conv(nn.Module):
    """Convolutions, in a module of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


class Agent(nn.Module):
    """A wrapped model in a larger one."""

    def __init__(self) -> None:
        super().__init__()
        self.net = get_peft_model(
            Mlp(), LoraConfig(r=2, lora_alpha=6, target_modules="first|second")
        )
        self.critic = nn.Linear(8, 1).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.critic(self.net(x))


class Denoiser(UNet2DConditionModel):
    """Diffusers' own class, of which two arguments are always the same."""

    def forward(self, x: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:  # type: ignore[override]
        if rest:
            return super().forward(x, *rest, **more)
        return super().forward(x, 3, torch.ones(len(x), 2, 8), return_dict=False)[0]


def _unet() -> nn.Module:
    unet = Denoiser(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        norm_num_groups=4,
        attention_head_dim=4,
    )
    unet.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_v"]))
    return unet


def _two() -> nn.Module:
    model = get_peft_model(Mlp(), LoraConfig(r=4, target_modules=["first", "second"]))
    model.add_adapter("lora_edit", LoraConfig(r=2, lora_alpha=5, target_modules=["second"]))
    model.base_model.set_adapter(["default", "lora_edit"])
    return model


def _patterns() -> nn.Module:
    config = LoraConfig(
        r=4,
        lora_alpha=3,
        use_rslora=True,
        target_modules=["embed", "linear1", "linear2", "head"],
        rank_pattern={"linear1": 2},
        alpha_pattern={"linear2": 9},
        bias="lora_only",
    )
    return inject_adapter_in_model(config, Policy(), "lora_edit")


class Example(NamedTuple):
    """A model, and what goes into it."""

    make: Callable[[], nn.Module]
    inputs: tuple[int, ...]

    def model(self, seed: int = 0) -> nn.Module:
        """A model of these numbers; adapters are never at their beginning, so that all of them act."""
        torch.manual_seed(seed)
        model = self.make()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) / 10)
        return model

    def train(
        self, model: nn.Module, optimizer: Any, scheduler: Any = None, steps: int = 2
    ) -> None:
        """Some steps on numbers of their own."""
        inputs = torch.Generator().manual_seed(1)
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.randn(self.inputs, generator=inputs)).square().mean().backward()
            optimizer.step()
            if scheduler:
                scheduler.step()


def _dora() -> LoraConfig:
    return LoraConfig(r=2, use_dora=True, target_modules=["first"], modules_to_save=["norm"])


_ATTENTION = ["linear1", "linear2", "head"]
EXAMPLES = {
    "mlp": Example(
        lambda: get_peft_model(
            Mlp(), LoraConfig(r=4, lora_alpha=8, target_modules=["first"]), adapter_name="lora_edit"
        ),
        (4, 8),
    ),
    "policy": Example(
        lambda: inject_adapter_in_model(LoraConfig(r=4, target_modules=_ATTENTION), Policy()),
        (2, 5, 3),
    ),
    "conv": Example(
        lambda: inject_adapter_in_model(LoraConfig(r=2, target_modules=["0", "2"]), Conv()),
        (1, 3, 6, 6),
    ),
    "unet": Example(_unet, (1, 4, 8, 8)),
    "two adapters": Example(_two, (4, 8)),
    "dora": Example(lambda: get_peft_model(Mlp(), _dora()), (4, 8)),
    "lokr": Example(
        lambda: get_peft_model(Mlp(), LoKrConfig(r=4, alpha=8, target_modules=["first", "second"])),
        (4, 8),
    ),
    "patterns, rsLoRA": Example(_patterns, (2, 5, 3)),
    "a part of a model": Example(Agent, (4, 8)),
    "biases": Example(
        lambda: get_peft_model(Mlp(), LoraConfig(r=4, target_modules=["second"], bias="all")),
        (4, 8),
    ),
}
