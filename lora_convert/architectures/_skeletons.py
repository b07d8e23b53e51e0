"""Names of modules, by architecture: numbers as ``#``, words joined by ``_``.

Written by ``python docs/generate.py`` from the architectures' files, which are found by their names.
"""

from __future__ import annotations

SKELETONS = {
    "flux": """
        context_embedder double_blocks_#_img_attn_proj double_blocks_#_img_attn_qkv
        double_blocks_#_img_mlp_# double_blocks_#_img_mod_lin double_blocks_#_txt_attn_proj
        double_blocks_#_txt_attn_qkv double_blocks_#_txt_mlp_# double_blocks_#_txt_mod_lin
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v encoder_layers_#_mlp_fc#
        encoder_layers_#_self_attn_k_proj encoder_layers_#_self_attn_out_proj
        encoder_layers_#_self_attn_q_proj encoder_layers_#_self_attn_v_proj
        final_layer_adaLN_modulation_# final_layer_linear guidance_in_in_layer guidance_in_out_layer
        img_in norm_out_linear proj_out single_blocks_#_linear# single_blocks_#_modulation_lin
        single_transformer_blocks_#_attn_to_k single_transformer_blocks_#_attn_to_q
        single_transformer_blocks_#_attn_to_v single_transformer_blocks_#_norm_linear
        single_transformer_blocks_#_proj_mlp single_transformer_blocks_#_proj_out
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj time_in_in_layer time_in_out_layer
        time_text_embed_guidance_embedder_linear_# time_text_embed_text_embedder_linear_#
        time_text_embed_timestep_embedder_linear_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear txt_in vector_in_in_layer vector_in_out_layer x_embedder
    """,
    "sd1": """
        conv_in conv_out down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_downsamplers_#_conv down_blocks_#_resnets_#_conv#
        down_blocks_#_resnets_#_conv_shortcut down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj input_blocks_#_# input_blocks_#_#_emb_layers_#
        input_blocks_#_#_in_layers_# input_blocks_#_#_op input_blocks_#_#_out_layers_#
        input_blocks_#_#_proj_in input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj mid_block_attentions_#_proj_in
        mid_block_attentions_#_proj_out mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_time_emb_proj
        middle_block_#_emb_layers_# middle_block_#_in_layers_# middle_block_#_out_layers_#
        middle_block_#_proj_in middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj out_# output_blocks_#_#_conv
        output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_# output_blocks_#_#_out_layers_#
        output_blocks_#_#_proj_in output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        time_embed_# time_embedding_linear_# up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_time_emb_proj
        up_blocks_#_upsamplers_#_conv
    """,
    "sd2": """
        conv_in conv_out down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_downsamplers_#_conv down_blocks_#_resnets_#_conv#
        down_blocks_#_resnets_#_conv_shortcut down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj input_blocks_#_# input_blocks_#_#_emb_layers_#
        input_blocks_#_#_in_layers_# input_blocks_#_#_op input_blocks_#_#_out_layers_#
        input_blocks_#_#_proj_in input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj mid_block_attentions_#_proj_in
        mid_block_attentions_#_proj_out mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_time_emb_proj
        middle_block_#_emb_layers_# middle_block_#_in_layers_# middle_block_#_out_layers_#
        middle_block_#_proj_in middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj out_# output_blocks_#_#_conv
        output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_# output_blocks_#_#_out_layers_#
        output_blocks_#_#_proj_in output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        time_embed_# time_embedding_linear_# up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_time_emb_proj
        up_blocks_#_upsamplers_#_conv
    """,
    "sdxl": """
        add_embedding_linear_# conv_in conv_out down_blocks_#_attentions_#_proj_in
        down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_downsamplers_#_conv down_blocks_#_resnets_#_conv#
        down_blocks_#_resnets_#_conv_shortcut down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj input_blocks_#_# input_blocks_#_#_emb_layers_#
        input_blocks_#_#_in_layers_# input_blocks_#_#_op input_blocks_#_#_out_layers_#
        input_blocks_#_#_proj_in input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj label_emb_#_#
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_time_emb_proj
        middle_block_#_emb_layers_# middle_block_#_in_layers_# middle_block_#_out_layers_#
        middle_block_#_proj_in middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj out_# output_blocks_#_#_conv
        output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_# output_blocks_#_#_out_layers_#
        output_blocks_#_#_proj_in output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        text_projection time_embed_# time_embedding_linear_# up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_time_emb_proj
        up_blocks_#_upsamplers_#_conv
    """,
}
