"""LTX-2 and LTX-2.3: video with sound, and the connectors between text encoder and transformer.

Native names are the authors'. Diffusers reads those of the transformer (0.42.1,
loaders/lora_conversion_utils.py), and of the connectors the projection alone; the others are in
scripts/convert_ltx2_to_diffusers.py.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import GEMMA3
from lora_convert.architectures._vocabulary import Architecture, Component, alike, nested, same

_TIME = alike("emb.timestep_embedder.linear_<1,2>", "linear")

_CONNECTOR = alike("attn1.<to_q,to_k,to_v,to_out.0,to_gate_logits>", "ff.net.<0.proj,2>")

LTX2 = Architecture(
    name="ltx2",
    title="LTX-2, LTX-2.3",
    components=(
        Component("transformer", (
            #       diffusers                                  native
            same(   "proj_in",                                 "patchify_proj"),
            same(   "audio_proj_in",                           "audio_patchify_proj"),
            *nested("time_embed",                              "adaln_single", _TIME),
            *nested("audio_time_embed",                        "audio_adaln_single", _TIME),
            *nested("av_cross_attn_<video,audio>_scale_shift",
                    "av_ca_<video,audio>_scale_shift_adaln_single", _TIME),
            *nested("av_cross_attn_video_a2v_gate",            "av_ca_a2v_gate_adaln_single", _TIME),
            *nested("av_cross_attn_audio_v2a_gate",            "av_ca_v2a_gate_adaln_single", _TIME),
            *nested("prompt_adaln",                            "prompt_adaln_single", _TIME),
            *nested("audio_prompt_adaln",                      "audio_prompt_adaln_single", _TIME),
            *alike(
                "<caption,audio_caption>_projection.linear_<1,2>",
                *(
                    f"transformer_blocks.{{}}.{attention}.<to_q,to_k,to_v,to_out.0,to_gate_logits>"
                    for attention in ("attn<1,2>", "audio_attn<1,2>", "<audio_to_video,video_to_audio>_attn")
                ),
                "transformer_blocks.{}.<ff,audio_ff>.net.<0.proj,2>",
                "<proj_out,audio_proj_out>",
            ),
        )),
        Component("connectors", (
            same(   "text_proj_in",                            "text_embedding_projection.aggregate_embed"),
            same(   "<video,audio>_text_proj_in",
                    "text_embedding_projection.<video,audio>_aggregate_embed"),
            *nested("<video,audio>_connector.transformer_blocks.{}",
                    "<video,audio>_embeddings_connector.transformer_1d_blocks.{}", _CONNECTOR),
        )),
        GEMMA3,
    ),
    own=(
        "transformer_blocks.{}.audio_",
        "transformer_blocks.{}.video_to_audio_attn.",
        "audio_",
        "av_c",
        "prompt_adaln",
        "text_embedding_projection.",
        "video_connector.",
        "video_text_proj_in",
        "video_embeddings_connector.",
    ),
)
