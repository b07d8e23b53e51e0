"""kohya: flattened names with an alpha beside each module, as sd-scripts writes and A1111 reads.

sd-scripts trains SD1 and SD2 in Diffusers' names and everything else in the authors'
(networks/lora.py, lora_flux.py); musubi-tuner trains Z-Image in the authors', which Diffusers took over.
sd-scripts calls FLUX's T5 ``te3``, OneTrainer calls it ``te2``; a single encoder is ``te`` in one
(lora_lumina.py, lora_anima.py) and ``te1`` in the other. Anima's adapter of the text encoder is
``llm_adapter``, a part of its model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from lora_convert.formats._declaration import Format, MetadataOf, Variation
from lora_convert.formats._endings import DOWN_UP, IA3

_BASE_VERSIONS = {
    "sd1": {"ss_base_model_version": "sd_v1"},
    "sd2": {"ss_base_model_version": "sd_v2", "ss_v2": "True"},
    "sdxl": {"ss_base_model_version": "sdxl_base_v1-0"},
    "flux": {"ss_base_model_version": "flux1"},
    "chroma": {"ss_base_model_version": "chroma"},
    "lumina2": {"ss_base_model_version": "lumina2"},
    "hunyuan_image": {"ss_base_model_version": "hunyuan-image-2.1"},
    "krea2": {"ss_base_model_version": "krea2"},
}
"""A1111 lists an adapter under SDXL where ``ss_base_model_version`` begins with ``sdxl_``, under SD2
where ``ss_v2`` is ``True``, and under SD1 where there is any other metadata
(extensions-builtin/Lora/network.py)."""

_NETWORK_MODULES = {
    "flux": "networks.lora_flux",
    "chroma": "networks.lora_flux",
    "sd3": "networks.lora_sd3",
    "lumina2": "networks.lora_lumina",
    "anima": "networks.lora_anima",
    "hunyuan_image": "networks.lora_hunyuan_image",
}


_OF_SD_SCRIPTS = frozenset({"lora", "dora"})
"""Algorithms that its own network modules have names for; the others are LyCORIS's."""


def _architecture_of(metadata: Mapping[str, str]) -> str:
    said = metadata.get("ss_base_model_version", "")
    versions = ((name, usual["ss_base_model_version"]) for name, usual in _BASE_VERSIONS.items())
    # a trainer may be more precise: sd_v2_768_v, sdxl_base_v0-9
    return next(
        (name for name, known in versions if said.startswith(known.partition("base")[0])), ""
    )


def _metadata(of: MetadataOf) -> Mapping[str, str]:
    if not of.architecture:
        return {}
    usual = _BASE_VERSIONS.get(of.architecture, {})
    own = all(delta.algorithm in _OF_SD_SCRIPTS for delta in of.deltas)
    module = _NETWORK_MODULES.get(of.architecture, "networks.lora") if own else "lycoris.kohya"
    usual_values = {"ss_network_dim": of.ranks, "ss_network_alpha": of.alphas}
    supposed = {
        "ss_network_module": module,
        **{
            name: f"{Counter(values).most_common(1)[0][0]:g}"
            for name, values in usual_values.items()
            if values
        },
        **usual,
    }
    # what the trainer itself said is more precise, of its base too
    said = {key: of.carried.get(key, value) for key, value in supposed.items()}
    trained_so = own or not said["ss_network_module"].startswith("networks.")
    return said if trained_so else {**said, "ss_network_module": module}


KOHYA = Format(
    name="kohya",
    title="kohya (sd-scripts; A1111, Forge, ComfyUI)",
    separator="_",
    namespace="native",
    prefixes={
        # its own OFT writes oft_unet_ (networks/oft.py); LyCORIS, A1111 and ComfyUI know the other alone
        "unet": ("lora_unet_", "oft_unet_"),
        "transformer": ("lora_unet_", "oft_unet_"),
        "transformer_2": ("lora_unet_",),
        "transformer_ref": ("lora_unet_",),
        "connectors": ("lora_unet_",),
        "text_encoder": ("lora_te1_",),
        "text_encoder_2": ("lora_te2_",),
        "text_encoder_3": ("lora_te3_",),
        "text_encoder_4": ("lora_te4_",),
    },
    variations=(
        Variation(("sd1", "sd2"), {"text_encoder": ("lora_te_",)}, namespace="diffusers"),
        Variation(
            ("lumina2", "anima", "sana", "z_image"), {"text_encoder": ("lora_te_", "lora_te1_")}
        ),
        Variation(("flux",), {"text_encoder_2": ("lora_te3_", "lora_te2_")}),
        Variation(("anima",), {"text_conditioner": ("lora_unet_llm_adapter_",)}),
        Variation(("z_image",), {}, namespace="diffusers"),
        Variation(
            ("stable_cascade",),
            {"prior": ("lora_prior_unet_",), "text_encoder": ("lora_prior_te_",)},
        ),
    ),
    endings=(*DOWN_UP, *IA3),
    scale_in="tensor",
    file_name=lambda stem: f"{stem}_kohya.safetensors",
    magnitude="column",
    metadata=_metadata,
    architecture_of=_architecture_of,
)
