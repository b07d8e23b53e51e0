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

FOREIGN_SUFFIXES = {
    "hada_w1_a": "loha",
    "hada_w1_b": "loha",
    "hada_w2_a": "loha",
    "hada_w2_b": "loha",
    "hada_t1": "loha",
    "hada_t2": "loha",
    "lokr_w1": "lokr",
    "lokr_w1_a": "lokr",
    "lokr_w1_b": "lokr",
    "lokr_w2": "lokr",
    "lokr_w2_a": "lokr",
    "lokr_w2_b": "lokr",
    "lokr_t2": "lokr",
    "oft_blocks": "oft",
    "oft_diag": "oft",
    "oft_R.weight": "oft",
    "oft_R": "oft",
    "rescale": "oft",
    "boft_R": "boft",
    "boft_s": "boft",
    "ia3_l": "ia3",
    "on_input": "ia3",
    "a1.weight": "glora",
    "a2.weight": "glora",
    "b1.weight": "glora",
    "b2.weight": "glora",
    "bm.weight": "glora",
    "diff": "full",
    "diff_b": "full",
    "set_weight": "full",
    "reshape_weight": "full",
    "w_norm": "norm",
    "b_norm": "norm",
    "q_layer.weight": "tlora",
    "p_layer.weight": "tlora",
    "lambda_layer": "tlora",
    "lora_E": "adalora",
    "lora_E.weight": "adalora",
    "vera_lambda_b": "vera",
    "vera_lambda_d": "vera",
    "lora_embedding_A": "embedding",
    "lora_embedding_B": "embedding",
}
"""Endings of algorithms known by name only."""

FOREIGN = tuple(
    Ending(suffix, f".{suffix}", foreign=algorithm)
    for suffix, algorithm in FOREIGN_SUFFIXES.items()
)
NAMED_FOREIGN = (
    *(
        Ending(e.role, f"{e.text}.{{}}", foreign=e.foreign)
        for e in FOREIGN
        if "weight" not in e.text
    ),
    Ending("oft_R.weight", ".oft_R.{}.weight", foreign="oft"),
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
    *BESIDE,
)
"""kohya's."""
