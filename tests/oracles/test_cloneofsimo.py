"""cloneofsimo's numbered modules are those of its walk over the real classes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

import lora_convert as lc

UNET = ("Attention", "CrossAttention", "GEGLU")
TEXT_ENCODER = ("CLIPAttention",)
WIDTHS = {"sd1": (768, 12), "sd2": (1024, 23)}
"""Of the text encoder, and its layers."""


def unet(architecture: str) -> nn.Module:
    """The real class, its blocks registered as in the Diffusers of that time: ``ff`` before ``attn2``."""
    width, _ = WIDTHS[architecture]
    with torch.device("meta"):
        model = UNet2DConditionModel(cross_attention_dim=width)
    for module in model.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            module._modules["attn2"] = module._modules.pop("attn2")
    return model


def text_encoder(architecture: str) -> nn.Module:
    width, layers = WIDTHS[architecture]
    with torch.device("meta"):
        return CLIPTextModel(
            CLIPTextConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=8)
        )


def walk(model: nn.Module, classes: tuple[str, ...]) -> Iterator[tuple[str, nn.Linear]]:
    """Linear layers below modules of these classes, in the order in which torch lists both."""
    for name, module in model.named_modules():
        if type(module).__name__ in classes:
            for inner, layer in module.named_modules():
                if isinstance(layer, nn.Linear):
                    yield f"{name}.{inner}", layer


def factors(layers: list[tuple[str, nn.Linear]]) -> list[tuple[Tensor, Tensor]]:
    """Up and down of rank 1 for each, with its number in them."""
    return [
        (
            torch.full((layer.out_features, 1), float(number)),
            torch.full((1, layer.in_features), 1.0),
        )
        for number, (_, layer) in enumerate(layers)
    ]


def safeloras(architecture: str, file: Path) -> dict[str, list[str]]:
    """A file of both components, and the names of their modules by number."""
    tensors: dict[str, Tensor] = {"<s1>": torch.zeros(WIDTHS[architecture][0])}
    metadata = {"<s1>": "<embed>"}
    names: dict[str, list[str]] = {}
    for component, model, classes in (
        ("unet", unet(architecture), UNET),
        ("text_encoder", text_encoder(architecture), TEXT_ENCODER),
    ):
        layers = list(walk(model, classes))
        metadata[component] = json.dumps(classes)
        names[component] = [name.removeprefix("text_model.") for name, _ in layers]
        for number, (up, down) in enumerate(factors(layers)):
            tensors[f"{component}:{number}:up"] = up
            tensors[f"{component}:{number}:down"] = down
            metadata[f"{component}:{number}:rank"] = "1"
    save_file(tensors, file, metadata)
    return names


@pytest.mark.parametrize("architecture", WIDTHS)
def test_every_number_is_the_module_of_the_real_walk(architecture: str, tmp_path: Path) -> None:
    source = tmp_path / "lora.safetensors"
    names = safeloras(architecture, source)
    found = lc.inspect(str(source))
    assert (found.format, found.architecture, found.unexplained) == (
        "cloneofsimo",
        architecture,
        (),
    )
    result = lc.convert(str(source), "diffusers", output=str(tmp_path / "out.safetensors"))
    assert result.plan["losses"] == []
    assert any("<s1>" in note for note in result.plan["notes"])
    ups = {
        key.removesuffix(".lora_B.weight"): int(tensor[0, 0])
        for key, tensor in load_file(result.output).items()
        if key.endswith(".lora_B.weight")
    }
    before = {"unet": "unet.", "text_encoder": "text_encoder.text_model."}
    assert ups == {
        f"{before[component]}{name}": number
        for component, listed in names.items()
        for number, name in enumerate(listed)
    }
    with lc.plan_convert(str(source), "kohya") as plan:
        metadata = plan.plan.files[0].metadata
    assert not any(key.startswith(("unet", "text_encoder", "<")) for key in metadata)


@pytest.mark.parametrize(
    ("name", "component"), [("lora.pt", "unet"), ("lora.text_encoder.pt", "text_encoder")]
)
def test_a_list_is_read_in_the_same_order(name: str, component: str, tmp_path: Path) -> None:
    model, classes = (
        (unet("sd1"), UNET) if component == "unet" else (text_encoder("sd1"), TEXT_ENCODER)
    )
    layers = list(walk(model, classes))
    torch.save([tensor.half() for pair in factors(layers) for tensor in pair], tmp_path / name)
    found = lc.read_adapter(str(tmp_path / name))
    assert found.architecture == "sd1"
    numbers = {module.module: int(module.tensors["up"][0, 0]) for module in found.modules}
    assert {module.component for module in found.modules} == {component}
    expected = {n.removeprefix("text_model."): number for number, (n, _) in enumerate(layers)}
    assert {n.removeprefix("text_model."): number for n, number in numbers.items()} == expected


def test_what_is_not_the_whole_walk_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "lora.safetensors"
    safeloras("sd1", source)
    whole = load_file(source)

    def refusal(tensors: dict[str, Tensor]) -> str:
        save_file(tensors, source)
        with pytest.raises(lc.LoraConvertError) as caught:
            lc.convert(str(source), "diffusers", output=str(tmp_path / "out.safetensors"))
        return str(caught.value)

    fewer = {k: t for k, t in whole.items() if not k.startswith("unet:143:")}
    assert "144 of them" in refusal(fewer)
    more = {**whole, "unet:144:up": torch.zeros(4, 1), "unet:144:down": torch.zeros(1, 4)}
    assert "the order is known of 144 of its unet and 48 of its text_encoder" in refusal(more)
    later = dict(whole)  # as newer versions register a block: ff behind attn2
    for side in ("up", "down"):
        for number, other in enumerate((5, 6, 7, 8, 4), start=4):
            later[f"unet:{number}:{side}"] = whole[f"unet:{other}:{side}"]
    assert "number 4 is no down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj" in (
        refusal(later)
    )
