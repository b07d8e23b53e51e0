"""ComfyUI: the model's own names after ``diffusion_model.``, as its loader maps every model's.

Text encoders stand under the name ComfyUI gives each (comfy/lora.py, model_lora_keys_clip;
comfy/text_encoders); language models have a ``model.`` before their layers there. ai-toolkit,
diffusion-pipe, musubi-tuner (``convert_lora.py --target other``), SimpleTuner and OneTrainer write these
names too, ai-toolkit and SimpleTuner with Diffusers' modules for some models. Every spelling of factors is
read, ``alpha`` with each of them (comfy/weight_adapter/lora.py); a trained bias only as ``diff_b``.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format, Variation
from lora_convert.formats._endings import DOWN_UP

_CLIP_L = "text_encoders.clip_l.transformer."
_CLIP_G = "text_encoders.clip_g.transformer."
_T5 = "text_encoders.t5xxl.transformer."
_BYT5 = "text_encoders.byt5_small.transformer."


def _language(name: str) -> str:
    return f"text_encoders.{name}.transformer.model."


_TEXT_ENCODERS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("sd1",): (_CLIP_L,),
    ("sd2",): ("text_encoders.clip_h.transformer.",),
    ("sdxl",): (_CLIP_L, _CLIP_G),
    ("sdxl_refiner",): ("", _CLIP_G),
    ("sd3",): (_CLIP_L, _CLIP_G, _T5),
    ("flux",): (_CLIP_L, _T5),
    ("hidream",): (_CLIP_L, _CLIP_G, _T5, _language("llama")),
    ("chroma", "pixart", "mochi", "ltx_video", "cosmos1", "cogvideox"): (_T5,),
    ("auraflow",): ("text_encoders.pile_t5xl.transformer.",),
    ("stable_cascade",): (_CLIP_G,),
    ("hunyuan_dit",): ("text_encoders.hydit_clip.transformer.bert.",),
    ("hunyuan_video",): (_language("llama"), _CLIP_L),
    ("lumina2",): (_language("gemma2_2b"),),
    ("anima",): (_language("qwen3_06b"),),
    ("z_image",): (_language("qwen3_4b"),),
    ("qwen_image",): (_language("qwen25_7b"),),
    ("hunyuan_image", "hunyuan_video15"): (_language("qwen25_7b"), _BYT5),
    ("kandinsky5",): (_language("qwen25_7b"), _CLIP_L),
    ("ltx2",): (_language("gemma3_12b"),),
    ("ernie_image",): (_language("ministral3_3b"),),
    ("wan",): ("text_encoders.umt5xxl.transformer.",),
}
"""By architecture: the first, second, … text encoder of a pipeline. What is not here has no known name."""

_PLACES = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")

COMFYUI = Format(
    name="comfyui",
    title="ComfyUI (diffusion_model.; ai-toolkit, diffusion-pipe, musubi, SimpleTuner)",
    separator=".",
    namespace="native",
    prefixes=dict.fromkeys(
        ("transformer", "transformer_2", "transformer_ref", "connectors", "unet", "prior"),
        ("diffusion_model.", "model.diffusion_model."),
    ),
    variations=(
        *(
            Variation(
                names,
                {place: (name,) for place, name in zip(_PLACES, encoders, strict=False) if name},
            )
            for names, encoders in _TEXT_ENCODERS.items()
        ),
        Variation(("anima",), {"text_conditioner": ("diffusion_model.llm_adapter.",)}),
    ),
    endings=(
        *DOWN_UP,
        Ending(
            "diff", ".diff_m", tail=".modulation"
        ),  # of who distilled Wan: ComfyUI has no such ending
        Ending("set_weight", ".scale.set_weight"),  # before its models' norms had a weight
        Ending("down", ".lora_A.weight"),
        Ending("up", ".lora_B.weight"),
        Ending("down", ".lora_A.default.weight"),
        Ending("up", ".lora_B.default.weight"),
        Ending("down", ".lora_A"),
        Ending("up", ".lora_B"),
        Ending("down", ".lora.down.weight"),
        Ending("up", ".lora.up.weight"),
        Ending("down", ".lora_linear_layer.down.weight"),
        Ending("up", ".lora_linear_layer.up.weight"),
        # of trainers; ComfyUI passes these over
        Ending("bias", ".lora_B.bias", written=False),
        Ending("magnitude", ".lora_magnitude_vector.weight", written=False),
        Ending("magnitude", ".lora_magnitude_vector", written=False),
        Ending("magnitude", ".magnitude", written=False),
    ),
    scale_in="tensor",
    file_name=lambda stem: f"{stem}_comfyui.safetensors",
    magnitude="column",
)
