"""How stable-diffusion.cpp takes a flattened name apart: at every underscore that is in no word it knows.

leejet/stable-diffusion.cpp, src/name_conversion.cpp at 15f335d (2026), convert_sep_to_dot.
"""

from __future__ import annotations

_KEPT = (
    "add_k_proj",
    "add_out_proj",
    "add_q_proj",
    "add_v_proj",
    "conv_in",
    "conv_norm_out",
    "conv_out",
    "conv_shortcut",
    "cross_attn",
    "double_blocks",
    "down_blocks",
    "emb_layers",
    "ff_context",
    "img_attn",
    "img_mlp",
    "img_mod",
    "in_layers",
    "input_blocks",
    "k_proj",
    "mid_block",
    "middle_block",
    "norm1_context",
    "norm_added_q",
    "norm_added_v",
    "out_layers",
    "out_proj",
    "output_blocks",
    "output_proj",
    "proj_in",
    "proj_mlp",
    "proj_out",
    "q_proj",
    "self_attn",
    "single_blocks",
    "single_transformer_blocks",
    "skip_connection",
    "text_model",
    "time_emb_proj",
    "time_embedding",
    "to_add_out",
    "to_k",
    "to_out",
    "to_q",
    "to_v",
    "token_refiner",
    "transformer_blocks",
    "txt_attn",
    "txt_mlp",
    "txt_mod",
    "up_block",
    "v_proj",
    "wi_0",
    "wi_1",
    "x_embedder",
)
"""Words with underscores that it leaves whole."""


def comes_apart(name: str) -> bool:
    """Whether a module's dotted name is another after it was flattened and taken apart."""
    flat = name.replace(".", "_")
    kept: set[int] = set()
    for word in _KEPT:
        start = flat.find(word)
        while start >= 0:
            kept.update(start + at for at, letter in enumerate(word) if letter == "_")
            start = flat.find(word, start + len(word))
    back = ("." if letter == "_" and at not in kept else letter for at, letter in enumerate(flat))
    return "".join(back) != name
