"""Endings that several formats share."""

from __future__ import annotations

from lora_convert.formats._declaration import Ending

FACTORS = (
    Ending("down", ".lora_A.weight"),
    Ending("up", ".lora_B.weight"),
    Ending("bias", ".lora_B.bias"),
    Ending("magnitude", ".lora_magnitude_vector.weight"),
    Ending("magnitude", ".lora_magnitude_vector"),
)
"""PEFT's, without an adapter's name."""

NAMED_FACTORS = (
    Ending("down", ".lora_A.{}.weight"),
    Ending("up", ".lora_B.{}.weight"),
    Ending("bias", ".lora_B.{}.bias"),
    Ending("magnitude", ".lora_magnitude_vector.{}.weight"),
    Ending("magnitude", ".lora_magnitude_vector.{}"),
)
"""PEFT's, as they are in a live model: with an adapter's name."""

_ALGORITHMS = {
    **dict.fromkeys(("oft_blocks", "oft_diag", "rescale", "oft_R"), "oft"),
    **dict.fromkeys(("boft_R", "boft_s"), "boft"),
    **dict.fromkeys(("ia3_l", "on_input"), "ia3"),
    **dict.fromkeys(("a1", "a2", "b1", "b2", "bm"), "glora"),
    **dict.fromkeys(("diff", "diff_b"), "full"),
    **dict.fromkeys(("w_norm", "b_norm"), "norm"),
    **dict.fromkeys(("set_weight", "reshape"), "weight"),
}
"""By role, of those that tell."""

_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
_OF_PEFT = (*_LOHA, *_LOKR, "boft_R", "boft_s", "ia3_l")

_ALGORITHMS |= {**dict.fromkeys(_LOHA, "loha"), **dict.fromkeys(_LOKR, "lokr")}

PRODUCTS = (*(Ending(role, f".{role}") for role in _OF_PEFT), Ending("oft_R", ".oft_R.weight"))
"""Of PEFT's other algorithms (peft 0.21, tuners)."""

NAMED_PRODUCTS = (
    *(Ending(role, f".{role}.{{}}") for role in _OF_PEFT),
    Ending("oft_R", ".oft_R.{}.weight"),
)
"""The same in a live model, with an adapter's name."""

LYCORIS = (
    *(Ending(role, f".{role}") for role in (*_LOHA, *_LOKR)),
    Ending("oft_blocks", ".oft_blocks"),
    Ending("oft_diag", ".oft_diag"),
    Ending("rescale", ".rescale"),
    Ending("a1", ".a1.weight"),
    Ending("a2", ".a2.weight"),
    Ending("b1", ".b1.weight"),
    Ending("b2", ".b2.weight"),
    Ending("bm", ".bm.weight"),
    Ending("diff", ".diff"),
    Ending("diff_b", ".diff_b"),
    Ending("w_norm", ".w_norm"),
    Ending("b_norm", ".b_norm"),
    Ending("set_weight", ".set_weight"),
    Ending("reshape", ".reshape_weight"),
)
"""LyCORIS's algorithms (lycoris/modules), and ComfyUI's own two (comfy/weight_adapter, comfy/lora.py)."""


NATIVE_NORMS = tuple(
    Ending("set_weight", f".{norm}.scale", tail=f".{norm}") for norm in ("query_norm", "key_norm")
)
"""Whole weights of FLUX's normalisations as its authors name them (flux, modules/layers.py)."""


IA3 = (Ending("ia3_weight", ".weight"), Ending("on_input", ".on_input"))
"""LyCORIS's IA3: where names have dots, these would be those of any model's weights."""


def _foreign(suffixes: dict[str, str]) -> tuple[Ending, ...]:
    return tuple(
        Ending(suffix, f".{suffix}", foreign=algorithm) for suffix, algorithm in suffixes.items()
    )


FOREIGN = _foreign(
    {
        "q_layer.weight": "tlora",
        "p_layer.weight": "tlora",
        "lambda_layer": "tlora",
        "lora_E": "adalora",
        "lora_E.weight": "adalora",
        "vera_lambda_b": "vera",
        "vera_lambda_d": "vera",
        "lora_embedding_A": "embedding",
        "lora_embedding_B": "embedding",
        "oft_R": "older_oft",
        "oft_r": "older_oft",
    }
)
"""Endings of algorithms known by name only."""

NAMED_FOREIGN = (
    *(
        Ending(e.role, f"{e.text}.{{}}", foreign=e.foreign)
        for e in FOREIGN
        if "weight" not in e.text
    ),
    Ending("modules_to_save", ".modules_to_save.{}.weight", foreign="modules_to_save"),
    Ending("modules_to_save_bias", ".modules_to_save.{}.bias", foreign="modules_to_save"),
)

BESIDE = (
    Ending("alpha", ".alpha"),
    Ending("scale", ".scale"),
    Ending("magnitude", ".dora_scale"),
    *FOREIGN,
)
"""What kohya, and all who followed, put beside a module's factors."""

DOWN_UP = (
    Ending("down", ".lora_down.weight"),
    Ending("up", ".lora_up.weight"),
    Ending("mid", ".lora_mid.weight"),
    *LYCORIS,
    *BESIDE,
)
"""kohya's, and LyCORIS's beside them."""

FOREIGN_PRODUCTS = tuple(
    Ending(ending.role, ending.text, foreign=algorithm)
    for ending in (*LYCORIS, *IA3, *PRODUCTS)
    if (algorithm := _ALGORITHMS.get(ending.role))
)
"""Endings of algorithms that a format does not hold, though others do."""
