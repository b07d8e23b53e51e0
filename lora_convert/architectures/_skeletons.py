"""Names of modules, by architecture: numbers as ``#``, words joined by ``_``.

Written by ``python docs/generate.py`` from the architectures' files, which are found by their names.
"""

from __future__ import annotations

SKELETONS = {
    "ace_step": """
        condition_embedder layers_#_cross_attn_k_proj layers_#_cross_attn_o_proj
        layers_#_cross_attn_q_proj layers_#_cross_attn_to_k layers_#_cross_attn_to_out_#
        layers_#_cross_attn_to_q layers_#_cross_attn_to_v layers_#_cross_attn_v_proj
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_to_k
        layers_#_self_attn_to_out_# layers_#_self_attn_to_q layers_#_self_attn_to_v
        layers_#_self_attn_v_proj proj_in_# proj_in_conv proj_out_# proj_out_conv
        time_embed_linear_# time_embed_r_linear_# time_embed_r_time_proj time_embed_time_proj
    """,
    "anima": """
        blocks_#_adaln_modulation_cross_attn_# blocks_#_adaln_modulation_mlp_#
        blocks_#_adaln_modulation_self_attn_# blocks_#_cross_attn_k_proj blocks_#_cross_attn_o_proj
        blocks_#_cross_attn_output_proj blocks_#_cross_attn_q_proj blocks_#_cross_attn_v_proj
        blocks_#_mlp_# blocks_#_mlp_layer# blocks_#_self_attn_k_proj blocks_#_self_attn_o_proj
        blocks_#_self_attn_output_proj blocks_#_self_attn_q_proj blocks_#_self_attn_v_proj
        final_layer_adaln_modulation_# final_layer_linear layers_#_mlp_down_proj
        layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        norm_out_linear_# out_proj patch_embed_proj proj_out t_embedder_#_linear_#
        time_embed_t_embedder_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_linear_# x_embedder_proj_#
    """,
    "anyflow": """
        blocks_#_attn#_to_k blocks_#_attn#_to_out_# blocks_#_attn#_to_q blocks_#_attn#_to_v
        blocks_#_cross_attn_k blocks_#_cross_attn_o blocks_#_cross_attn_q blocks_#_cross_attn_v
        blocks_#_ffn_# blocks_#_ffn_net_# blocks_#_ffn_net_#_proj blocks_#_self_attn_k
        blocks_#_self_attn_o blocks_#_self_attn_q blocks_#_self_attn_v
        condition_embedder_delta_embedder_linear_# condition_embedder_text_embedder_linear_#
        condition_embedder_time_embedder_linear_# condition_embedder_time_proj
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v head_head patch_embedding proj_out text_embedding_#
        time_embedding_# time_projection_#
    """,
    "auraflow": """
        cond_seq_linear context_embedder double_layers_#_attn_w#k double_layers_#_attn_w#o
        double_layers_#_attn_w#q double_layers_#_attn_w#v double_layers_#_mlpC_c_fc#
        double_layers_#_mlpC_c_proj double_layers_#_mlpX_c_fc# double_layers_#_mlpX_c_proj
        double_layers_#_modC_# double_layers_#_modX_# encoder_block_#_layer_#_DenseReluDense_wi
        encoder_block_#_layer_#_DenseReluDense_wi_# encoder_block_#_layer_#_DenseReluDense_wo
        encoder_block_#_layer_#_SelfAttention_k encoder_block_#_layer_#_SelfAttention_o
        encoder_block_#_layer_#_SelfAttention_q encoder_block_#_layer_#_SelfAttention_v final_linear
        init_x_linear joint_transformer_blocks_#_attn_add_k_proj
        joint_transformer_blocks_#_attn_add_q_proj joint_transformer_blocks_#_attn_add_v_proj
        joint_transformer_blocks_#_attn_to_add_out joint_transformer_blocks_#_attn_to_k
        joint_transformer_blocks_#_attn_to_out_# joint_transformer_blocks_#_attn_to_q
        joint_transformer_blocks_#_attn_to_v joint_transformer_blocks_#_ff_context_linear_#
        joint_transformer_blocks_#_ff_context_out_projection joint_transformer_blocks_#_ff_linear_#
        joint_transformer_blocks_#_ff_out_projection joint_transformer_blocks_#_norm#_context_linear
        joint_transformer_blocks_#_norm#_linear modF_# norm_out_linear pos_embed_proj proj_out
        single_layers_#_attn_w#k single_layers_#_attn_w#o single_layers_#_attn_w#q
        single_layers_#_attn_w#v single_layers_#_mlp_c_fc# single_layers_#_mlp_c_proj
        single_layers_#_modCX_# single_transformer_blocks_#_attn_to_k
        single_transformer_blocks_#_attn_to_out_# single_transformer_blocks_#_attn_to_q
        single_transformer_blocks_#_attn_to_v single_transformer_blocks_#_ff_linear_#
        single_transformer_blocks_#_ff_out_projection single_transformer_blocks_#_norm#_linear
        t_embedder_mlp_# time_step_proj_linear_#
    """,
    "bria_fibo": """
        caption_projection_#_linear context_embedder layers_#_mlp_down_proj layers_#_mlp_gate_proj
        layers_#_mlp_up_proj layers_#_self_attn_k_proj layers_#_self_attn_o_proj
        layers_#_self_attn_q_proj layers_#_self_attn_v_proj model_layers_#_mlp_down_proj
        model_layers_#_mlp_gate_proj model_layers_#_mlp_up_proj model_layers_#_self_attn_k_proj
        model_layers_#_self_attn_o_proj model_layers_#_self_attn_q_proj
        model_layers_#_self_attn_v_proj norm_out_linear proj_out
        single_transformer_blocks_#_attn_to_k single_transformer_blocks_#_attn_to_q
        single_transformer_blocks_#_attn_to_v single_transformer_blocks_#_norm_linear
        single_transformer_blocks_#_proj_mlp single_transformer_blocks_#_proj_out
        time_embed_timestep_embedder_linear_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear x_embedder
    """,
    "bria_fibo2": """
        final_layer_adaLN_modulation_# final_layer_linear layers_#_adaLN_modulation_#
        layers_#_attention_to_k layers_#_attention_to_out_# layers_#_attention_to_q
        layers_#_attention_to_v layers_#_cross_attention_to_k layers_#_cross_attention_to_out_#
        layers_#_cross_attention_to_q layers_#_cross_attention_to_v layers_#_feed_forward_w#
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_language_model_layers_#_mlp_down_proj model_language_model_layers_#_mlp_gate_proj
        model_language_model_layers_#_mlp_up_proj model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj noise_refiner_#_adaLN_modulation_#
        noise_refiner_#_attention_to_k noise_refiner_#_attention_to_out_#
        noise_refiner_#_attention_to_q noise_refiner_#_attention_to_v
        noise_refiner_#_feed_forward_w# perceiver_layers_#_cross_attention_to_k
        perceiver_layers_#_cross_attention_to_out_# perceiver_layers_#_cross_attention_to_q
        perceiver_layers_#_cross_attention_to_v perceiver_layers_#_ffn_w#
        perceiver_layers_#_self_attention_to_k perceiver_layers_#_self_attention_to_out_#
        perceiver_layers_#_self_attention_to_q perceiver_layers_#_self_attention_to_v
        t_embedder_mlp_# x_embedder
    """,
    "chroma": """
        context_embedder distilled_guidance_layer_in_proj distilled_guidance_layer_layers_#_in_layer
        distilled_guidance_layer_layers_#_linear_# distilled_guidance_layer_layers_#_out_layer
        distilled_guidance_layer_out_proj double_blocks_#_img_attn_norm_key_norm
        double_blocks_#_img_attn_norm_query_norm double_blocks_#_img_attn_proj
        double_blocks_#_img_attn_qkv double_blocks_#_img_mlp_#
        double_blocks_#_txt_attn_norm_key_norm double_blocks_#_txt_attn_norm_query_norm
        double_blocks_#_txt_attn_proj double_blocks_#_txt_attn_qkv double_blocks_#_txt_mlp_#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_linear img_in proj_out
        single_blocks_#_linear# single_blocks_#_norm_key_norm single_blocks_#_norm_query_norm
        single_transformer_blocks_#_attn_norm_k single_transformer_blocks_#_attn_norm_q
        single_transformer_blocks_#_attn_to_k single_transformer_blocks_#_attn_to_q
        single_transformer_blocks_#_attn_to_v single_transformer_blocks_#_proj_mlp
        single_transformer_blocks_#_proj_out transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_norm_added_k transformer_blocks_#_attn_norm_added_q
        transformer_blocks_#_attn_norm_k transformer_blocks_#_attn_norm_q
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj txt_in x_embedder
    """,
    "cogvideox": """
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v mixins_adaln_layer_adaLN_modulations_#_#
        mixins_final_layer_adaLN_modulation_# mixins_final_layer_linear mixins_patch_embed_proj
        mixins_patch_embed_text_proj norm_out_linear patch_embed_proj patch_embed_text_proj proj_out
        time_embed_# time_embedding_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_linear
        transformer_layers_#_attention_dense transformer_layers_#_attention_query_key_value
        transformer_layers_#_mlp_dense_#h_to_h transformer_layers_#_mlp_dense_h_to_#h
    """,
    "cogview4": """
        layers_#_mlp_down_proj layers_#_mlp_gate_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        norm_out_linear patch_embed_proj patch_embed_text_proj proj_out
        time_condition_embed_condition_embedder_linear_#
        time_condition_embed_timestep_embedder_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_linear
    """,
    "cosmos1": """
        blocks_block#_blocks_#_adaLN_modulation_# blocks_block#_blocks_#_block_attn_to_k_#
        blocks_block#_blocks_#_block_attn_to_out_# blocks_block#_blocks_#_block_attn_to_q_#
        blocks_block#_blocks_#_block_attn_to_v_# blocks_block#_blocks_#_block_layer#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_adaLN_modulation_# final_layer_linear
        norm_out_linear_# patch_embed_proj proj_out t_embedder_#_linear_#
        time_embed_t_embedder_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_linear_# x_embedder_proj_#
    """,
    "cosmos2": """
        blocks_#_adaln_modulation_cross_attn_# blocks_#_adaln_modulation_mlp_#
        blocks_#_adaln_modulation_self_attn_# blocks_#_cross_attn_k_proj
        blocks_#_cross_attn_output_proj blocks_#_cross_attn_q_proj blocks_#_cross_attn_v_proj
        blocks_#_mlp_layer# blocks_#_self_attn_k_proj blocks_#_self_attn_output_proj
        blocks_#_self_attn_q_proj blocks_#_self_attn_v_proj crossattn_proj_#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_adaln_modulation_# final_layer_linear
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_language_model_layers_#_mlp_down_proj model_language_model_layers_#_mlp_gate_proj
        model_language_model_layers_#_mlp_up_proj model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear_# patch_embed_proj proj_out
        t_embedder_#_linear_# time_embed_t_embedder_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_linear_# x_embedder_proj_#
    """,
    "ernie_image": """
        adaLN_modulation_# final_linear final_norm_linear language_model_layers_#_mlp_down_proj
        language_model_layers_#_mlp_gate_proj language_model_layers_#_mlp_up_proj
        language_model_layers_#_self_attn_k_proj language_model_layers_#_self_attn_o_proj
        language_model_layers_#_self_attn_q_proj language_model_layers_#_self_attn_v_proj
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_linear_fc# layers_#_mlp_up_proj
        layers_#_self_attention_to_k layers_#_self_attention_to_out_# layers_#_self_attention_to_q
        layers_#_self_attention_to_v layers_#_self_attn_k_proj layers_#_self_attn_o_proj
        layers_#_self_attn_q_proj layers_#_self_attn_v_proj text_proj time_embedding_linear_#
        x_embedder_proj
    """,
    "flux": """
        context_embedder double_blocks_#_img_attn_norm_key_norm
        double_blocks_#_img_attn_norm_query_norm double_blocks_#_img_attn_proj
        double_blocks_#_img_attn_qkv double_blocks_#_img_mlp_# double_blocks_#_img_mod_lin
        double_blocks_#_txt_attn_norm_key_norm double_blocks_#_txt_attn_norm_query_norm
        double_blocks_#_txt_attn_proj double_blocks_#_txt_attn_qkv double_blocks_#_txt_mlp_#
        double_blocks_#_txt_mod_lin encoder_block_#_layer_#_DenseReluDense_wi
        encoder_block_#_layer_#_DenseReluDense_wi_# encoder_block_#_layer_#_DenseReluDense_wo
        encoder_block_#_layer_#_SelfAttention_k encoder_block_#_layer_#_SelfAttention_o
        encoder_block_#_layer_#_SelfAttention_q encoder_block_#_layer_#_SelfAttention_v
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_adaLN_modulation_# final_layer_linear
        final_layer_norm guidance_in_in_layer guidance_in_out_layer img_in norm_out_linear proj_out
        single_blocks_#_linear# single_blocks_#_modulation_lin single_blocks_#_norm_key_norm
        single_blocks_#_norm_query_norm single_transformer_blocks_#_attn_norm_k
        single_transformer_blocks_#_attn_norm_q single_transformer_blocks_#_attn_to_k
        single_transformer_blocks_#_attn_to_q single_transformer_blocks_#_attn_to_v
        single_transformer_blocks_#_norm_linear single_transformer_blocks_#_proj_mlp
        single_transformer_blocks_#_proj_out text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm time_in_in_layer
        time_in_out_layer time_text_embed_guidance_embedder_linear_#
        time_text_embed_text_embedder_linear_# time_text_embed_timestep_embedder_linear_#
        transformer_blocks_#_attn_add_k_proj transformer_blocks_#_attn_add_q_proj
        transformer_blocks_#_attn_add_v_proj transformer_blocks_#_attn_norm_added_k
        transformer_blocks_#_attn_norm_added_q transformer_blocks_#_attn_norm_k
        transformer_blocks_#_attn_norm_q transformer_blocks_#_attn_to_add_out
        transformer_blocks_#_attn_to_k transformer_blocks_#_attn_to_out_#
        transformer_blocks_#_attn_to_q transformer_blocks_#_attn_to_v
        transformer_blocks_#_ff_context_net_# transformer_blocks_#_ff_context_net_#_proj
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj
        transformer_blocks_#_norm#_context_linear transformer_blocks_#_norm#_linear txt_in
        vector_in_in_layer vector_in_out_layer x_embedder
    """,
    "flux2": """
        context_embedder double_blocks_#_img_attn_norm_key_norm
        double_blocks_#_img_attn_norm_query_norm double_blocks_#_img_attn_proj
        double_blocks_#_img_attn_qkv double_blocks_#_img_mlp_#
        double_blocks_#_txt_attn_norm_key_norm double_blocks_#_txt_attn_norm_query_norm
        double_blocks_#_txt_attn_proj double_blocks_#_txt_attn_qkv double_blocks_#_txt_mlp_#
        double_stream_modulation_img_lin double_stream_modulation_img_linear
        double_stream_modulation_txt_lin double_stream_modulation_txt_linear
        final_layer_adaLN_modulation_# final_layer_linear guidance_in_in_layer guidance_in_out_layer
        img_in layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj
        layers_#_self_attn_k_proj layers_#_self_attn_o_proj layers_#_self_attn_q_proj
        layers_#_self_attn_v_proj model_language_model_layers_#_mlp_down_proj
        model_language_model_layers_#_mlp_gate_proj model_language_model_layers_#_mlp_up_proj
        model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear proj_out
        single_blocks_#_linear# single_blocks_#_norm_key_norm single_blocks_#_norm_query_norm
        single_stream_modulation_lin single_stream_modulation_linear
        single_transformer_blocks_#_attn_norm_k single_transformer_blocks_#_attn_norm_q
        single_transformer_blocks_#_attn_to_out single_transformer_blocks_#_attn_to_qkv_mlp_proj
        time_guidance_embed_guidance_embedder_linear_#
        time_guidance_embed_timestep_embedder_linear_# time_in_in_layer time_in_out_layer
        transformer_blocks_#_attn_add_k_proj transformer_blocks_#_attn_add_q_proj
        transformer_blocks_#_attn_add_v_proj transformer_blocks_#_attn_norm_added_k
        transformer_blocks_#_attn_norm_added_q transformer_blocks_#_attn_norm_k
        transformer_blocks_#_attn_norm_q transformer_blocks_#_attn_to_add_out
        transformer_blocks_#_attn_to_k transformer_blocks_#_attn_to_out_#
        transformer_blocks_#_attn_to_q transformer_blocks_#_attn_to_v
        transformer_blocks_#_ff_context_linear_in transformer_blocks_#_ff_context_linear_out
        transformer_blocks_#_ff_linear_in transformer_blocks_#_ff_linear_out txt_in x_embedder
    """,
    "flux3": """
        content_mode_blocks_image_#_attn_out content_mode_blocks_image_#_k_proj
        content_mode_blocks_image_#_mlp_in content_mode_blocks_image_#_mlp_out
        content_mode_blocks_image_#_q_proj content_mode_blocks_image_#_v_proj
        content_mode_blocks_image_cond_#_attn_out content_mode_blocks_image_cond_#_k_proj
        content_mode_blocks_image_cond_#_mlp_in content_mode_blocks_image_cond_#_mlp_out
        content_mode_blocks_image_cond_#_q_proj content_mode_blocks_image_cond_#_v_proj
        context_embedder early_stream_modulations_image_cond_lin
        early_stream_modulations_image_cond_linear early_stream_modulations_image_lin
        early_stream_modulations_image_linear early_stream_modulations_txt_lin
        early_stream_modulations_txt_linear emb_in_image emb_in_image_cond
        final_layer_image_adaLN_modulation_# final_layer_image_linear layers_#_mlp_down_proj
        layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        mode_blocks_image_#_attn_to_k mode_blocks_image_#_attn_to_out_#
        mode_blocks_image_#_attn_to_q mode_blocks_image_#_attn_to_v mode_blocks_image_#_ff_linear_in
        mode_blocks_image_#_ff_linear_out mode_blocks_image_cond_#_attn_to_k
        mode_blocks_image_cond_#_attn_to_out_# mode_blocks_image_cond_#_attn_to_q
        mode_blocks_image_cond_#_attn_to_v mode_blocks_image_cond_#_ff_linear_in
        mode_blocks_image_cond_#_ff_linear_out model_language_model_layers_#_mlp_down_proj
        model_language_model_layers_#_mlp_gate_proj model_language_model_layers_#_mlp_up_proj
        model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear proj_out
        single_blocks_#_attn_out single_blocks_#_k_proj single_blocks_#_mlp_in
        single_blocks_#_mlp_out single_blocks_#_q_proj single_blocks_#_v_proj
        single_stream_modulations_image_cond_lin single_stream_modulations_image_cond_linear
        single_stream_modulations_image_lin single_stream_modulations_image_linear
        single_stream_modulations_txt_lin single_stream_modulations_txt_linear
        single_transformer_blocks_#_attn_to_k single_transformer_blocks_#_attn_to_out_#
        single_transformer_blocks_#_attn_to_q single_transformer_blocks_#_attn_to_v
        single_transformer_blocks_#_ff_linear_in single_transformer_blocks_#_ff_linear_out
        time_in_in_layer time_in_out_layer timestep_embedder_linear_# txt_in
        txt_mode_blocks_#_attn_out txt_mode_blocks_#_attn_to_k txt_mode_blocks_#_attn_to_out_#
        txt_mode_blocks_#_attn_to_q txt_mode_blocks_#_attn_to_v txt_mode_blocks_#_ff_linear_in
        txt_mode_blocks_#_ff_linear_out txt_mode_blocks_#_k_proj txt_mode_blocks_#_mlp_in
        txt_mode_blocks_#_mlp_out txt_mode_blocks_#_q_proj txt_mode_blocks_#_v_proj
        x_embedders_image x_embedders_image_cond
    """,
    "framepack": """
        clean_x_embedder_proj clean_x_embedder_proj_#x context_embedder_proj_in
        context_embedder_time_text_embed_text_embedder_linear_#
        context_embedder_time_text_embed_timestep_embedder_linear_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_k
        context_embedder_token_refiner_refiner_blocks_#_attn_to_out_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_q
        context_embedder_token_refiner_refiner_blocks_#_attn_to_v
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#_proj
        context_embedder_token_refiner_refiner_blocks_#_norm_out_linear encoder_layers_#_layer_norm#
        encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_norm image_projection_down image_projection_up
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        norm_out_linear proj_out single_transformer_blocks_#_attn_norm_k
        single_transformer_blocks_#_attn_norm_q single_transformer_blocks_#_attn_to_k
        single_transformer_blocks_#_attn_to_q single_transformer_blocks_#_attn_to_v
        single_transformer_blocks_#_norm_linear single_transformer_blocks_#_proj_mlp
        single_transformer_blocks_#_proj_out text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm
        time_text_embed_guidance_embedder_linear_# time_text_embed_text_embedder_linear_#
        time_text_embed_timestep_embedder_linear_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_norm_added_k transformer_blocks_#_attn_norm_added_q
        transformer_blocks_#_attn_norm_k transformer_blocks_#_attn_norm_q
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear x_embedder_proj
    """,
    "helios": """
        blocks_#_attn#_to_k blocks_#_attn#_to_out_# blocks_#_attn#_to_q blocks_#_attn#_to_v
        blocks_#_cross_attn_k blocks_#_cross_attn_o blocks_#_cross_attn_q blocks_#_cross_attn_v
        blocks_#_ffn_# blocks_#_ffn_net_# blocks_#_ffn_net_#_proj blocks_#_self_attn_k
        blocks_#_self_attn_o blocks_#_self_attn_q blocks_#_self_attn_v
        condition_embedder_text_embedder_linear_# condition_embedder_time_embedder_linear_#
        condition_embedder_time_proj encoder_block_#_layer_#_DenseReluDense_wi
        encoder_block_#_layer_#_DenseReluDense_wi_# encoder_block_#_layer_#_DenseReluDense_wo
        encoder_block_#_layer_#_SelfAttention_k encoder_block_#_layer_#_SelfAttention_o
        encoder_block_#_layer_#_SelfAttention_q encoder_block_#_layer_#_SelfAttention_v head_head
        patch_embedding patch_long patch_mid patch_short proj_out text_embedding_# time_embedding_#
        time_projection_#
    """,
    "hidream": """
        caption_projection_#_linear double_stream_blocks_#_block_adaLN_modulation_#
        double_stream_blocks_#_block_attn#_to_k double_stream_blocks_#_block_attn#_to_k_t
        double_stream_blocks_#_block_attn#_to_out double_stream_blocks_#_block_attn#_to_out_t
        double_stream_blocks_#_block_attn#_to_q double_stream_blocks_#_block_attn#_to_q_t
        double_stream_blocks_#_block_attn#_to_v double_stream_blocks_#_block_attn#_to_v_t
        double_stream_blocks_#_block_ff_i_experts_#_w#
        double_stream_blocks_#_block_ff_i_shared_experts_w# double_stream_blocks_#_block_ff_t_w#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_adaLN_modulation_# final_layer_linear
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_layers_#_mlp_down_proj model_layers_#_mlp_gate_proj model_layers_#_mlp_up_proj
        model_layers_#_self_attn_k_proj model_layers_#_self_attn_o_proj
        model_layers_#_self_attn_q_proj model_layers_#_self_attn_v_proj
        p_embedder_pooled_embedder_linear_# single_stream_blocks_#_block_adaLN_modulation_#
        single_stream_blocks_#_block_attn#_to_k single_stream_blocks_#_block_attn#_to_out
        single_stream_blocks_#_block_attn#_to_q single_stream_blocks_#_block_attn#_to_v
        single_stream_blocks_#_block_ff_i_experts_#_w#
        single_stream_blocks_#_block_ff_i_shared_experts_w# t_embedder_timestep_embedder_linear_#
        text_model_encoder_layers_#_layer_norm# text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        text_model_final_layer_norm text_projection x_embedder_proj
    """,
    "hunyuan_dit": """
        blocks_#_attn#_Wqkv blocks_#_attn#_kv_proj blocks_#_attn#_out_proj blocks_#_attn#_q_proj
        blocks_#_attn#_to_k blocks_#_attn#_to_out_# blocks_#_attn#_to_q blocks_#_attn#_to_v
        blocks_#_default_modulation_# blocks_#_ff_net_# blocks_#_ff_net_#_proj blocks_#_mlp_fc#
        blocks_#_norm#_linear blocks_#_skip_linear encoder_block_#_layer_#_DenseReluDense_wi
        encoder_block_#_layer_#_DenseReluDense_wi_# encoder_block_#_layer_#_DenseReluDense_wo
        encoder_block_#_layer_#_SelfAttention_k encoder_block_#_layer_#_SelfAttention_o
        encoder_block_#_layer_#_SelfAttention_q encoder_block_#_layer_#_SelfAttention_v
        encoder_layer_#_attention_output_dense encoder_layer_#_attention_self_key
        encoder_layer_#_attention_self_query encoder_layer_#_attention_self_value
        encoder_layer_#_intermediate_dense encoder_layer_#_output_dense extra_embedder_#
        final_layer_adaLN_modulation_# final_layer_linear mlp_t#_# norm_out_linear pooler_c_proj
        pooler_dense pooler_k_proj pooler_q_proj pooler_v_proj pos_embed_proj proj_out
        t_embedder_mlp_# text_embedder_linear_# time_extra_emb_extra_embedder_linear_#
        time_extra_emb_pooler_c_proj time_extra_emb_pooler_k_proj time_extra_emb_pooler_q_proj
        time_extra_emb_pooler_v_proj time_extra_emb_timestep_embedder_linear_# x_embedder_proj
    """,
    "hunyuan_image": """
        byt#_in_fc# context_embedder_#_linear_# context_embedder_proj_in
        context_embedder_time_text_embed_text_embedder_linear_#
        context_embedder_time_text_embed_timestep_embedder_linear_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_k
        context_embedder_token_refiner_refiner_blocks_#_attn_to_out_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_q
        context_embedder_token_refiner_refiner_blocks_#_attn_to_v
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#_proj
        context_embedder_token_refiner_refiner_blocks_#_norm_out_linear
        double_blocks_#_img_attn_proj double_blocks_#_img_attn_qkv double_blocks_#_img_mlp_#
        double_blocks_#_img_mod_lin double_blocks_#_txt_attn_proj double_blocks_#_txt_attn_qkv
        double_blocks_#_txt_mlp_# double_blocks_#_txt_mod_lin
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_adaLN_modulation_# final_layer_linear
        img_in_proj layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj
        layers_#_self_attn_k_proj layers_#_self_attn_o_proj layers_#_self_attn_q_proj
        layers_#_self_attn_v_proj model_language_model_layers_#_mlp_down_proj
        model_language_model_layers_#_mlp_gate_proj model_language_model_layers_#_mlp_up_proj
        model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear proj_out
        single_blocks_#_linear# single_blocks_#_modulation_lin single_transformer_blocks_#_attn_to_k
        single_transformer_blocks_#_attn_to_q single_transformer_blocks_#_attn_to_v
        single_transformer_blocks_#_norm_linear single_transformer_blocks_#_proj_mlp
        single_transformer_blocks_#_proj_out time_guidance_embed_timestep_embedder_linear_#
        time_in_in_layer time_in_out_layer transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear txt_in_c_embedder_in_layer txt_in_c_embedder_out_layer
        txt_in_individual_token_refiner_blocks_#_adaLN_modulation_#
        txt_in_individual_token_refiner_blocks_#_mlp_#
        txt_in_individual_token_refiner_blocks_#_self_attn_proj
        txt_in_individual_token_refiner_blocks_#_self_attn_qkv txt_in_input_embedder
        txt_in_t_embedder_in_layer txt_in_t_embedder_out_layer x_embedder_proj
    """,
    "hunyuan_video": """
        context_embedder_proj_in context_embedder_time_text_embed_text_embedder_linear_#
        context_embedder_time_text_embed_timestep_embedder_linear_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_k
        context_embedder_token_refiner_refiner_blocks_#_attn_to_out_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_q
        context_embedder_token_refiner_refiner_blocks_#_attn_to_v
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#_proj
        context_embedder_token_refiner_refiner_blocks_#_norm_out_linear
        double_blocks_#_img_attn_k_norm double_blocks_#_img_attn_norm_key_norm
        double_blocks_#_img_attn_norm_query_norm double_blocks_#_img_attn_proj
        double_blocks_#_img_attn_q_norm double_blocks_#_img_attn_qkv double_blocks_#_img_mlp_#
        double_blocks_#_img_mlp_fc# double_blocks_#_img_mod_lin double_blocks_#_img_mod_linear
        double_blocks_#_txt_attn_k_norm double_blocks_#_txt_attn_norm_key_norm
        double_blocks_#_txt_attn_norm_query_norm double_blocks_#_txt_attn_proj
        double_blocks_#_txt_attn_q_norm double_blocks_#_txt_attn_qkv double_blocks_#_txt_mlp_#
        double_blocks_#_txt_mlp_fc# double_blocks_#_txt_mod_lin double_blocks_#_txt_mod_linear
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_adaLN_modulation_# final_layer_linear
        final_layer_norm guidance_in_in_layer guidance_in_mlp_# guidance_in_out_layer img_in_proj
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        norm_out_linear proj_out single_blocks_#_k_norm single_blocks_#_linear#
        single_blocks_#_modulation_lin single_blocks_#_modulation_linear
        single_blocks_#_norm_key_norm single_blocks_#_norm_query_norm single_blocks_#_q_norm
        single_transformer_blocks_#_attn_norm_k single_transformer_blocks_#_attn_norm_q
        single_transformer_blocks_#_attn_to_k single_transformer_blocks_#_attn_to_q
        single_transformer_blocks_#_attn_to_v single_transformer_blocks_#_norm_linear
        single_transformer_blocks_#_proj_mlp single_transformer_blocks_#_proj_out
        text_model_encoder_layers_#_layer_norm# text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        text_model_final_layer_norm time_in_in_layer time_in_mlp_# time_in_out_layer
        time_text_embed_guidance_embedder_linear_# time_text_embed_text_embedder_linear_#
        time_text_embed_timestep_embedder_linear_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_norm_added_k transformer_blocks_#_attn_norm_added_q
        transformer_blocks_#_attn_norm_k transformer_blocks_#_attn_norm_q
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear txt_in_c_embedder_in_layer txt_in_c_embedder_linear_#
        txt_in_c_embedder_out_layer txt_in_individual_token_refiner_blocks_#_adaLN_modulation_#
        txt_in_individual_token_refiner_blocks_#_mlp_#
        txt_in_individual_token_refiner_blocks_#_mlp_fc#
        txt_in_individual_token_refiner_blocks_#_self_attn_proj
        txt_in_individual_token_refiner_blocks_#_self_attn_qkv txt_in_input_embedder
        txt_in_t_embedder_in_layer txt_in_t_embedder_mlp_# txt_in_t_embedder_out_layer
        vector_in_in_layer vector_in_out_layer x_embedder_proj
    """,
    "hunyuan_video15": """
        byt#_in_fc# context_embedder_#_linear_# context_embedder_proj_in
        context_embedder_time_text_embed_text_embedder_linear_#
        context_embedder_time_text_embed_timestep_embedder_linear_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_k
        context_embedder_token_refiner_refiner_blocks_#_attn_to_out_#
        context_embedder_token_refiner_refiner_blocks_#_attn_to_q
        context_embedder_token_refiner_refiner_blocks_#_attn_to_v
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#
        context_embedder_token_refiner_refiner_blocks_#_ff_net_#_proj
        context_embedder_token_refiner_refiner_blocks_#_norm_out_linear double_blocks_#_img_attn_k
        double_blocks_#_img_attn_proj double_blocks_#_img_attn_q double_blocks_#_img_attn_v
        double_blocks_#_img_mlp_fc# double_blocks_#_img_mod_linear double_blocks_#_txt_attn_k
        double_blocks_#_txt_attn_proj double_blocks_#_txt_attn_q double_blocks_#_txt_attn_v
        double_blocks_#_txt_mlp_fc# double_blocks_#_txt_mod_linear
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_adaLN_modulation_# final_layer_linear
        image_embedder_linear_# img_in_proj layers_#_mlp_down_proj layers_#_mlp_gate_proj
        layers_#_mlp_up_proj layers_#_self_attn_k_proj layers_#_self_attn_o_proj
        layers_#_self_attn_q_proj layers_#_self_attn_v_proj norm_out_linear proj_out
        time_embed_timestep_embedder_linear_# time_in_mlp_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_context_net_#
        transformer_blocks_#_ff_context_net_#_proj transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj transformer_blocks_#_norm#_context_linear
        transformer_blocks_#_norm#_linear txt_in_c_embedder_linear_#
        txt_in_individual_token_refiner_blocks_#_adaLN_modulation_#
        txt_in_individual_token_refiner_blocks_#_mlp_fc#
        txt_in_individual_token_refiner_blocks_#_self_attn_proj
        txt_in_individual_token_refiner_blocks_#_self_attn_qkv txt_in_input_embedder
        txt_in_t_embedder_mlp_# vision_in_proj_# x_embedder_proj
    """,
    "ideogram4": """
        adaln_proj final_layer_adaln_modulation final_layer_linear input_proj
        language_model_layers_#_mlp_down_proj language_model_layers_#_mlp_gate_proj
        language_model_layers_#_mlp_up_proj language_model_layers_#_self_attn_k_proj
        language_model_layers_#_self_attn_o_proj language_model_layers_#_self_attn_q_proj
        language_model_layers_#_self_attn_v_proj layers_#_adaln_modulation layers_#_attention_o
        layers_#_attention_qkv layers_#_attention_to_k layers_#_attention_to_out_#
        layers_#_attention_to_q layers_#_attention_to_v layers_#_feed_forward_w#
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj llm_cond_proj
        t_embedding_mlp_in t_embedding_mlp_out
    """,
    "kandinsky5": """
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_norm layers_#_mlp_down_proj
        layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_language_model_layers_#_mlp_down_proj model_language_model_layers_#_mlp_gate_proj
        model_language_model_layers_#_mlp_up_proj model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj out_layer_modulation_out_layer
        out_layer_out_layer pooled_text_embeddings_in_layer text_embeddings_in_layer
        text_model_encoder_layers_#_layer_norm# text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        text_model_final_layer_norm text_transformer_blocks_#_feed_forward_in_layer
        text_transformer_blocks_#_feed_forward_out_layer
        text_transformer_blocks_#_self_attention_out_layer
        text_transformer_blocks_#_self_attention_to_key
        text_transformer_blocks_#_self_attention_to_query
        text_transformer_blocks_#_self_attention_to_value
        text_transformer_blocks_#_text_modulation_out_layer time_embeddings_in_layer
        time_embeddings_out_layer visual_embeddings_in_layer
        visual_transformer_blocks_#_cross_attention_out_layer
        visual_transformer_blocks_#_cross_attention_to_key
        visual_transformer_blocks_#_cross_attention_to_query
        visual_transformer_blocks_#_cross_attention_to_value
        visual_transformer_blocks_#_feed_forward_in_layer
        visual_transformer_blocks_#_feed_forward_out_layer
        visual_transformer_blocks_#_self_attention_out_layer
        visual_transformer_blocks_#_self_attention_to_key
        visual_transformer_blocks_#_self_attention_to_query
        visual_transformer_blocks_#_self_attention_to_value
        visual_transformer_blocks_#_visual_modulation_out_layer
    """,
    "kolors": """
        add_embedding_linear_# conv_in conv_norm_out conv_out down_blocks_#_attentions_#_norm
        down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_attentions_#_transformer_blocks_#_norm# down_blocks_#_downsamplers_#_conv
        down_blocks_#_resnets_#_conv# down_blocks_#_resnets_#_conv_shortcut
        down_blocks_#_resnets_#_norm# down_blocks_#_resnets_#_time_emb_proj encoder_hid_proj
        encoder_layers_#_mlp_dense_#h_to_h encoder_layers_#_mlp_dense_h_to_#h
        encoder_layers_#_self_attention_dense encoder_layers_#_self_attention_query_key_value
        input_blocks_#_# input_blocks_#_#_emb_layers_# input_blocks_#_#_in_layers_#
        input_blocks_#_#_norm input_blocks_#_#_op input_blocks_#_#_out_layers_#
        input_blocks_#_#_proj_in input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        input_blocks_#_#_transformer_blocks_#_norm# label_emb_#_# mid_block_attentions_#_norm
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj
        mid_block_attentions_#_transformer_blocks_#_norm# mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_norm#
        mid_block_resnets_#_time_emb_proj middle_block_#_emb_layers_# middle_block_#_in_layers_#
        middle_block_#_norm middle_block_#_out_layers_# middle_block_#_proj_in
        middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj middle_block_#_transformer_blocks_#_norm#
        out_# output_blocks_#_#_conv output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_#
        output_blocks_#_#_norm output_blocks_#_#_out_layers_# output_blocks_#_#_proj_in
        output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        output_blocks_#_#_transformer_blocks_#_norm# time_embed_# time_embedding_linear_#
        up_blocks_#_attentions_#_norm up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        up_blocks_#_attentions_#_transformer_blocks_#_norm# up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_norm#
        up_blocks_#_resnets_#_time_emb_proj up_blocks_#_upsamplers_#_conv
    """,
    "krea2": """
        blocks_#_attn_gate blocks_#_attn_wk blocks_#_attn_wo blocks_#_attn_wq blocks_#_attn_wv
        blocks_#_mlp_down blocks_#_mlp_gate blocks_#_mlp_up final_layer_linear first img_in
        language_model_layers_#_mlp_down_proj language_model_layers_#_mlp_gate_proj
        language_model_layers_#_mlp_up_proj language_model_layers_#_self_attn_k_proj
        language_model_layers_#_self_attn_o_proj language_model_layers_#_self_attn_q_proj
        language_model_layers_#_self_attn_v_proj last_linear layers_#_mlp_down_proj
        layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        text_fusion_layerwise_blocks_#_attn_to_gate text_fusion_layerwise_blocks_#_attn_to_k
        text_fusion_layerwise_blocks_#_attn_to_out_# text_fusion_layerwise_blocks_#_attn_to_q
        text_fusion_layerwise_blocks_#_attn_to_v text_fusion_layerwise_blocks_#_ff_down
        text_fusion_layerwise_blocks_#_ff_gate text_fusion_layerwise_blocks_#_ff_up
        text_fusion_projector text_fusion_refiner_blocks_#_attn_to_gate
        text_fusion_refiner_blocks_#_attn_to_k text_fusion_refiner_blocks_#_attn_to_out_#
        text_fusion_refiner_blocks_#_attn_to_q text_fusion_refiner_blocks_#_attn_to_v
        text_fusion_refiner_blocks_#_ff_down text_fusion_refiner_blocks_#_ff_gate
        text_fusion_refiner_blocks_#_ff_up time_embed_linear_# time_mod_proj tmlp_# tproj_#
        transformer_blocks_#_attn_to_gate transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_ff_down transformer_blocks_#_ff_gate
        transformer_blocks_#_ff_up txt_in_linear_# txtfusion_layerwise_blocks_#_attn_gate
        txtfusion_layerwise_blocks_#_attn_wk txtfusion_layerwise_blocks_#_attn_wo
        txtfusion_layerwise_blocks_#_attn_wq txtfusion_layerwise_blocks_#_attn_wv
        txtfusion_layerwise_blocks_#_mlp_down txtfusion_layerwise_blocks_#_mlp_gate
        txtfusion_layerwise_blocks_#_mlp_up txtfusion_projector txtfusion_refiner_blocks_#_attn_gate
        txtfusion_refiner_blocks_#_attn_wk txtfusion_refiner_blocks_#_attn_wo
        txtfusion_refiner_blocks_#_attn_wq txtfusion_refiner_blocks_#_attn_wv
        txtfusion_refiner_blocks_#_mlp_down txtfusion_refiner_blocks_#_mlp_gate
        txtfusion_refiner_blocks_#_mlp_up txtmlp_#
    """,
    "ltx2": """
        adaln_single_emb_timestep_embedder_linear_# adaln_single_linear
        audio_adaln_single_emb_timestep_embedder_linear_# audio_adaln_single_linear
        audio_caption_projection_linear_# audio_connector_transformer_blocks_#_attn#_to_gate_logits
        audio_connector_transformer_blocks_#_attn#_to_k
        audio_connector_transformer_blocks_#_attn#_to_out_#
        audio_connector_transformer_blocks_#_attn#_to_q
        audio_connector_transformer_blocks_#_attn#_to_v
        audio_connector_transformer_blocks_#_ff_net_#
        audio_connector_transformer_blocks_#_ff_net_#_proj
        audio_embeddings_connector_transformer_#d_blocks_#_attn#_to_gate_logits
        audio_embeddings_connector_transformer_#d_blocks_#_attn#_to_k
        audio_embeddings_connector_transformer_#d_blocks_#_attn#_to_out_#
        audio_embeddings_connector_transformer_#d_blocks_#_attn#_to_q
        audio_embeddings_connector_transformer_#d_blocks_#_attn#_to_v
        audio_embeddings_connector_transformer_#d_blocks_#_ff_net_#
        audio_embeddings_connector_transformer_#d_blocks_#_ff_net_#_proj audio_patchify_proj
        audio_proj_in audio_proj_out audio_prompt_adaln_emb_timestep_embedder_linear_#
        audio_prompt_adaln_linear audio_prompt_adaln_single_emb_timestep_embedder_linear_#
        audio_prompt_adaln_single_linear audio_text_proj_in
        audio_time_embed_emb_timestep_embedder_linear_# audio_time_embed_linear
        av_ca_a#v_gate_adaln_single_emb_timestep_embedder_linear_#
        av_ca_a#v_gate_adaln_single_linear
        av_ca_audio_scale_shift_adaln_single_emb_timestep_embedder_linear_#
        av_ca_audio_scale_shift_adaln_single_linear
        av_ca_v#a_gate_adaln_single_emb_timestep_embedder_linear_#
        av_ca_v#a_gate_adaln_single_linear
        av_ca_video_scale_shift_adaln_single_emb_timestep_embedder_linear_#
        av_ca_video_scale_shift_adaln_single_linear
        av_cross_attn_audio_scale_shift_emb_timestep_embedder_linear_#
        av_cross_attn_audio_scale_shift_linear
        av_cross_attn_audio_v#a_gate_emb_timestep_embedder_linear_#
        av_cross_attn_audio_v#a_gate_linear
        av_cross_attn_video_a#v_gate_emb_timestep_embedder_linear_#
        av_cross_attn_video_a#v_gate_linear
        av_cross_attn_video_scale_shift_emb_timestep_embedder_linear_#
        av_cross_attn_video_scale_shift_linear caption_projection_linear_# layers_#_mlp_down_proj
        layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_language_model_layers_#_mlp_down_proj model_language_model_layers_#_mlp_gate_proj
        model_language_model_layers_#_mlp_up_proj model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj patchify_proj proj_in proj_out
        prompt_adaln_emb_timestep_embedder_linear_# prompt_adaln_linear
        prompt_adaln_single_emb_timestep_embedder_linear_# prompt_adaln_single_linear
        text_embedding_projection_aggregate_embed text_embedding_projection_audio_aggregate_embed
        text_embedding_projection_video_aggregate_embed text_proj_in
        time_embed_emb_timestep_embedder_linear_# time_embed_linear
        transformer_blocks_#_attn#_to_gate_logits transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_audio_attn#_to_gate_logits
        transformer_blocks_#_audio_attn#_to_k transformer_blocks_#_audio_attn#_to_out_#
        transformer_blocks_#_audio_attn#_to_q transformer_blocks_#_audio_attn#_to_v
        transformer_blocks_#_audio_ff_net_# transformer_blocks_#_audio_ff_net_#_proj
        transformer_blocks_#_audio_to_video_attn_to_gate_logits
        transformer_blocks_#_audio_to_video_attn_to_k
        transformer_blocks_#_audio_to_video_attn_to_out_#
        transformer_blocks_#_audio_to_video_attn_to_q transformer_blocks_#_audio_to_video_attn_to_v
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj
        transformer_blocks_#_video_to_audio_attn_to_gate_logits
        transformer_blocks_#_video_to_audio_attn_to_k
        transformer_blocks_#_video_to_audio_attn_to_out_#
        transformer_blocks_#_video_to_audio_attn_to_q transformer_blocks_#_video_to_audio_attn_to_v
        video_connector_transformer_blocks_#_attn#_to_gate_logits
        video_connector_transformer_blocks_#_attn#_to_k
        video_connector_transformer_blocks_#_attn#_to_out_#
        video_connector_transformer_blocks_#_attn#_to_q
        video_connector_transformer_blocks_#_attn#_to_v
        video_connector_transformer_blocks_#_ff_net_#
        video_connector_transformer_blocks_#_ff_net_#_proj
        video_embeddings_connector_transformer_#d_blocks_#_attn#_to_gate_logits
        video_embeddings_connector_transformer_#d_blocks_#_attn#_to_k
        video_embeddings_connector_transformer_#d_blocks_#_attn#_to_out_#
        video_embeddings_connector_transformer_#d_blocks_#_attn#_to_q
        video_embeddings_connector_transformer_#d_blocks_#_attn#_to_v
        video_embeddings_connector_transformer_#d_blocks_#_ff_net_#
        video_embeddings_connector_transformer_#d_blocks_#_ff_net_#_proj video_text_proj_in
    """,
    "ltx_video": """
        adaln_single_emb_timestep_embedder_linear_# adaln_single_linear caption_projection_linear_#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v patchify_proj proj_in proj_out
        time_embed_emb_timestep_embedder_linear_# time_embed_linear
        transformer_blocks_#_attn#_k_norm transformer_blocks_#_attn#_norm_k
        transformer_blocks_#_attn#_norm_q transformer_blocks_#_attn#_q_norm
        transformer_blocks_#_attn#_to_k transformer_blocks_#_attn#_to_out_#
        transformer_blocks_#_attn#_to_q transformer_blocks_#_attn#_to_v
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj
    """,
    "lumina2": """
        cap_embedder_# context_refiner_#_attention_out context_refiner_#_attention_qkv
        context_refiner_#_attn_to_k context_refiner_#_attn_to_out_# context_refiner_#_attn_to_q
        context_refiner_#_attn_to_v context_refiner_#_feed_forward_linear_#
        context_refiner_#_feed_forward_w# final_layer_adaLN_modulation_# final_layer_linear
        layers_#_adaLN_modulation_# layers_#_attention_out layers_#_attention_qkv layers_#_attn_to_k
        layers_#_attn_to_out_# layers_#_attn_to_q layers_#_attn_to_v layers_#_feed_forward_linear_#
        layers_#_feed_forward_w# layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj
        layers_#_norm#_linear layers_#_self_attn_k_proj layers_#_self_attn_o_proj
        layers_#_self_attn_q_proj layers_#_self_attn_v_proj noise_refiner_#_adaLN_modulation_#
        noise_refiner_#_attention_out noise_refiner_#_attention_qkv noise_refiner_#_attn_to_k
        noise_refiner_#_attn_to_out_# noise_refiner_#_attn_to_q noise_refiner_#_attn_to_v
        noise_refiner_#_feed_forward_linear_# noise_refiner_#_feed_forward_w#
        noise_refiner_#_norm#_linear norm_out_linear_# t_embedder_mlp_#
        time_caption_embed_caption_embedder_# time_caption_embed_timestep_embedder_linear_#
        x_embedder
    """,
    "minimax_h3": """
        audio_patch_proj audio_proj_in audio_proj_out blocks_#_adaln_proj_linear
        blocks_#_attn_out_proj blocks_#_attn_qkv_proj blocks_#_mlp_fc# condition_proj
        context_embedder final_layer_adaln_proj_linear final_layer_audio_out final_layer_video_out
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        model_language_model_layers_#_mlp_down_proj model_language_model_layers_#_mlp_gate_proj
        model_language_model_layers_#_mlp_up_proj model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear proj_in proj_out
        time_embedder_linear_# time_embedder_proj_in time_embedder_proj_out
        token_refiner_blocks_#_attn_out_proj token_refiner_blocks_#_attn_qkv_proj
        token_refiner_blocks_#_mlp_fc# token_refiner_refiner_blocks_#_attn_to_k
        token_refiner_refiner_blocks_#_attn_to_out_# token_refiner_refiner_blocks_#_attn_to_q
        token_refiner_refiner_blocks_#_attn_to_v token_refiner_refiner_blocks_#_ff_net_#
        token_refiner_refiner_blocks_#_ff_net_#_proj transformer_blocks_#_adaln_proj_linear
        transformer_blocks_#_attn_to_k transformer_blocks_#_attn_to_out_#
        transformer_blocks_#_attn_to_q transformer_blocks_#_attn_to_v transformer_blocks_#_ff_net_#
        transformer_blocks_#_ff_net_#_proj video_patch_proj
    """,
    "mochi": """
        blocks_#_attn_proj_x blocks_#_attn_proj_y blocks_#_attn_qkv_x blocks_#_attn_qkv_y
        blocks_#_mlp_x_w# blocks_#_mlp_y_w# blocks_#_mod_x blocks_#_mod_y
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_linear final_layer_mod norm_out_linear
        patch_embed_proj proj_out t#_y_embedder_to_kv t#_y_embedder_to_out t#_y_embedder_to_q
        t#_yproj t_embedder_mlp_# time_embed_caption_proj time_embed_pooler_to_kv
        time_embed_pooler_to_out time_embed_pooler_to_q time_embed_timestep_embedder_linear_#
        transformer_blocks_#_attn#_add_k_proj transformer_blocks_#_attn#_add_q_proj
        transformer_blocks_#_attn#_add_v_proj transformer_blocks_#_attn#_to_add_out
        transformer_blocks_#_attn#_to_k transformer_blocks_#_attn#_to_out_#
        transformer_blocks_#_attn#_to_q transformer_blocks_#_attn#_to_v
        transformer_blocks_#_ff_context_net_# transformer_blocks_#_ff_context_net_#_proj
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj
        transformer_blocks_#_norm#_context_linear transformer_blocks_#_norm#_context_linear_#
        transformer_blocks_#_norm#_linear x_embedder_proj
    """,
    "pixart": """
        adaln_single_emb_aspect_ratio_embedder_linear_#
        adaln_single_emb_resolution_embedder_linear_# adaln_single_emb_timestep_embedder_linear_#
        adaln_single_linear ar_embedder_mlp_# blocks_#_attn_proj blocks_#_attn_qkv
        blocks_#_cross_attn_kv_linear blocks_#_cross_attn_proj blocks_#_cross_attn_q_linear
        blocks_#_mlp_fc# caption_projection_linear_# csize_embedder_mlp_#
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v final_layer_linear pos_embed_proj proj_out t_block_#
        t_embedder_mlp_# transformer_blocks_#_attn#_to_k transformer_blocks_#_attn#_to_out_#
        transformer_blocks_#_attn#_to_q transformer_blocks_#_attn#_to_v
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj x_embedder_proj
        y_embedder_y_proj_fc#
    """,
    "qwen_image": """
        img_in layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj
        layers_#_self_attn_k_proj layers_#_self_attn_o_proj layers_#_self_attn_q_proj
        layers_#_self_attn_v_proj model_language_model_layers_#_mlp_down_proj
        model_language_model_layers_#_mlp_gate_proj model_language_model_layers_#_mlp_up_proj
        model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj norm_out_linear proj_out
        time_text_embed_timestep_embedder_linear_# transformer_blocks_#_attn_add_k_proj
        transformer_blocks_#_attn_add_q_proj transformer_blocks_#_attn_add_v_proj
        transformer_blocks_#_attn_norm_added_k transformer_blocks_#_attn_norm_added_q
        transformer_blocks_#_attn_norm_k transformer_blocks_#_attn_norm_q
        transformer_blocks_#_attn_to_add_out transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_img_mlp_net_#
        transformer_blocks_#_img_mlp_net_#_proj transformer_blocks_#_img_mod_#
        transformer_blocks_#_txt_mlp_net_# transformer_blocks_#_txt_mlp_net_#_proj
        transformer_blocks_#_txt_mod_# txt_in txt_norm
    """,
    "qwen_image21": """
        img_in layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj
        layers_#_self_attn_k_proj layers_#_self_attn_o_proj layers_#_self_attn_q_proj
        layers_#_self_attn_v_proj model_language_model_layers_#_mlp_down_proj
        model_language_model_layers_#_mlp_gate_proj model_language_model_layers_#_mlp_up_proj
        model_language_model_layers_#_self_attn_k_proj
        model_language_model_layers_#_self_attn_o_proj
        model_language_model_layers_#_self_attn_q_proj
        model_language_model_layers_#_self_attn_v_proj modulation_# norm_out_linear proj_out
        time_text_embed_timestep_embedder_linear_# transformer_blocks_#_attn_to_k
        transformer_blocks_#_attn_to_out_# transformer_blocks_#_attn_to_q
        transformer_blocks_#_attn_to_v transformer_blocks_#_img_mlp_gate_layer
        transformer_blocks_#_img_mlp_gate_up transformer_blocks_#_img_mlp_out
        transformer_blocks_#_img_mlp_proj txt_in_in_layer txt_in_out_layer
    """,
    "sana": """
        blocks_#_attn_proj blocks_#_attn_qkv blocks_#_cross_attn_kv_linear blocks_#_cross_attn_proj
        blocks_#_cross_attn_q_linear blocks_#_mlp_depth_conv_conv blocks_#_mlp_inverted_conv_conv
        blocks_#_mlp_point_conv_conv caption_projection_linear_# final_layer_linear
        layers_#_mlp_down_proj layers_#_mlp_gate_proj layers_#_mlp_up_proj layers_#_self_attn_k_proj
        layers_#_self_attn_o_proj layers_#_self_attn_q_proj layers_#_self_attn_v_proj
        patch_embed_proj proj_out t_block_# t_embedder_mlp_#
        time_embed_emb_timestep_embedder_linear_# time_embed_guidance_embedder_linear_#
        time_embed_linear time_embed_timestep_embedder_linear_# transformer_blocks_#_attn#_to_k
        transformer_blocks_#_attn#_to_out_# transformer_blocks_#_attn#_to_q
        transformer_blocks_#_attn#_to_v transformer_blocks_#_ff_conv_depth
        transformer_blocks_#_ff_conv_inverted transformer_blocks_#_ff_conv_point x_embedder_proj
        y_embedder_y_proj_fc#
    """,
    "sd1": """
        # conv_in conv_norm_out conv_out down_blocks_#_attentions_#_norm
        down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_attentions_#_transformer_blocks_#_norm# down_blocks_#_downsamplers_#_conv
        down_blocks_#_resnets_#_conv# down_blocks_#_resnets_#_conv_shortcut
        down_blocks_#_resnets_#_norm# down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_norm input_blocks_#_#
        input_blocks_#_#_emb_layers_# input_blocks_#_#_in_layers_# input_blocks_#_#_norm
        input_blocks_#_#_op input_blocks_#_#_out_layers_# input_blocks_#_#_proj_in
        input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        input_blocks_#_#_transformer_blocks_#_norm# mid_block_attentions_#_norm
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj
        mid_block_attentions_#_transformer_blocks_#_norm# mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_norm#
        mid_block_resnets_#_time_emb_proj middle_block_#_emb_layers_# middle_block_#_in_layers_#
        middle_block_#_norm middle_block_#_out_layers_# middle_block_#_proj_in
        middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj middle_block_#_transformer_blocks_#_norm#
        out_# output_blocks_#_#_conv output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_#
        output_blocks_#_#_norm output_blocks_#_#_out_layers_# output_blocks_#_#_proj_in
        output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        output_blocks_#_#_transformer_blocks_#_norm# text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm time_embed_#
        time_embedding_linear_# up_blocks_#_attentions_#_norm up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        up_blocks_#_attentions_#_transformer_blocks_#_norm# up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_norm#
        up_blocks_#_resnets_#_time_emb_proj up_blocks_#_upsamplers_#_conv
    """,
    "sd2": """
        # conv_in conv_norm_out conv_out down_blocks_#_attentions_#_norm
        down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_attentions_#_transformer_blocks_#_norm# down_blocks_#_downsamplers_#_conv
        down_blocks_#_resnets_#_conv# down_blocks_#_resnets_#_conv_shortcut
        down_blocks_#_resnets_#_norm# down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_norm input_blocks_#_#
        input_blocks_#_#_emb_layers_# input_blocks_#_#_in_layers_# input_blocks_#_#_norm
        input_blocks_#_#_op input_blocks_#_#_out_layers_# input_blocks_#_#_proj_in
        input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        input_blocks_#_#_transformer_blocks_#_norm# mid_block_attentions_#_norm
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj
        mid_block_attentions_#_transformer_blocks_#_norm# mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_norm#
        mid_block_resnets_#_time_emb_proj middle_block_#_emb_layers_# middle_block_#_in_layers_#
        middle_block_#_norm middle_block_#_out_layers_# middle_block_#_proj_in
        middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj middle_block_#_transformer_blocks_#_norm#
        out_# output_blocks_#_#_conv output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_#
        output_blocks_#_#_norm output_blocks_#_#_out_layers_# output_blocks_#_#_proj_in
        output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        output_blocks_#_#_transformer_blocks_#_norm# text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm time_embed_#
        time_embedding_linear_# up_blocks_#_attentions_#_norm up_blocks_#_attentions_#_proj_in
        up_blocks_#_attentions_#_proj_out up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        up_blocks_#_attentions_#_transformer_blocks_#_norm# up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_norm#
        up_blocks_#_resnets_#_time_emb_proj up_blocks_#_upsamplers_#_conv
    """,
    "sd3": """
        context_embedder encoder_block_#_layer_#_DenseReluDense_wi
        encoder_block_#_layer_#_DenseReluDense_wi_# encoder_block_#_layer_#_DenseReluDense_wo
        encoder_block_#_layer_#_SelfAttention_k encoder_block_#_layer_#_SelfAttention_o
        encoder_block_#_layer_#_SelfAttention_q encoder_block_#_layer_#_SelfAttention_v
        final_layer_adaLN_modulation_# final_layer_linear
        joint_blocks_#_context_block_adaLN_modulation_# joint_blocks_#_context_block_attn_proj
        joint_blocks_#_context_block_attn_qkv joint_blocks_#_context_block_mlp_fc#
        joint_blocks_#_x_block_adaLN_modulation_# joint_blocks_#_x_block_attn#_proj
        joint_blocks_#_x_block_attn#_qkv joint_blocks_#_x_block_attn_proj
        joint_blocks_#_x_block_attn_qkv joint_blocks_#_x_block_mlp_fc# norm_out_linear
        pos_embed_proj proj_out t_embedder_mlp_# text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm text_projection
        time_text_embed_text_embedder_linear_# time_text_embed_timestep_embedder_linear_#
        transformer_blocks_#_attn#_to_k transformer_blocks_#_attn#_to_out_#
        transformer_blocks_#_attn#_to_q transformer_blocks_#_attn#_to_v
        transformer_blocks_#_attn_add_k_proj transformer_blocks_#_attn_add_q_proj
        transformer_blocks_#_attn_add_v_proj transformer_blocks_#_attn_to_add_out
        transformer_blocks_#_attn_to_k transformer_blocks_#_attn_to_out_#
        transformer_blocks_#_attn_to_q transformer_blocks_#_attn_to_v
        transformer_blocks_#_ff_context_net_# transformer_blocks_#_ff_context_net_#_proj
        transformer_blocks_#_ff_net_# transformer_blocks_#_ff_net_#_proj
        transformer_blocks_#_norm#_context_linear transformer_blocks_#_norm#_linear x_embedder_proj
        y_embedder_mlp_#
    """,
    "sdxl": """
        add_embedding_linear_# conv_in conv_norm_out conv_out down_blocks_#_attentions_#_norm
        down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_attentions_#_transformer_blocks_#_norm# down_blocks_#_downsamplers_#_conv
        down_blocks_#_resnets_#_conv# down_blocks_#_resnets_#_conv_shortcut
        down_blocks_#_resnets_#_norm# down_blocks_#_resnets_#_time_emb_proj
        encoder_layers_#_layer_norm# encoder_layers_#_mlp_fc# encoder_layers_#_self_attn_k_proj
        encoder_layers_#_self_attn_out_proj encoder_layers_#_self_attn_q_proj
        encoder_layers_#_self_attn_v_proj final_layer_norm input_blocks_#_#
        input_blocks_#_#_emb_layers_# input_blocks_#_#_in_layers_# input_blocks_#_#_norm
        input_blocks_#_#_op input_blocks_#_#_out_layers_# input_blocks_#_#_proj_in
        input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        input_blocks_#_#_transformer_blocks_#_norm# label_emb_#_# mid_block_attentions_#_norm
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj
        mid_block_attentions_#_transformer_blocks_#_norm# mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_norm#
        mid_block_resnets_#_time_emb_proj middle_block_#_emb_layers_# middle_block_#_in_layers_#
        middle_block_#_norm middle_block_#_out_layers_# middle_block_#_proj_in
        middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj middle_block_#_transformer_blocks_#_norm#
        out_# output_blocks_#_#_conv output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_#
        output_blocks_#_#_norm output_blocks_#_#_out_layers_# output_blocks_#_#_proj_in
        output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        output_blocks_#_#_transformer_blocks_#_norm# text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm text_projection
        time_embed_# time_embedding_linear_# up_blocks_#_attentions_#_norm
        up_blocks_#_attentions_#_proj_in up_blocks_#_attentions_#_proj_out
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        up_blocks_#_attentions_#_transformer_blocks_#_norm# up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_norm#
        up_blocks_#_resnets_#_time_emb_proj up_blocks_#_upsamplers_#_conv
    """,
    "sdxl_refiner": """
        add_embedding_linear_# conv_in conv_norm_out conv_out down_blocks_#_attentions_#_norm
        down_blocks_#_attentions_#_proj_in down_blocks_#_attentions_#_proj_out
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        down_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        down_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        down_blocks_#_attentions_#_transformer_blocks_#_norm# down_blocks_#_downsamplers_#_conv
        down_blocks_#_resnets_#_conv# down_blocks_#_resnets_#_conv_shortcut
        down_blocks_#_resnets_#_norm# down_blocks_#_resnets_#_time_emb_proj input_blocks_#_#
        input_blocks_#_#_emb_layers_# input_blocks_#_#_in_layers_# input_blocks_#_#_norm
        input_blocks_#_#_op input_blocks_#_#_out_layers_# input_blocks_#_#_proj_in
        input_blocks_#_#_proj_out input_blocks_#_#_skip_connection
        input_blocks_#_#_transformer_blocks_#_attn#_to_k
        input_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        input_blocks_#_#_transformer_blocks_#_attn#_to_q
        input_blocks_#_#_transformer_blocks_#_attn#_to_v
        input_blocks_#_#_transformer_blocks_#_ff_net_#
        input_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        input_blocks_#_#_transformer_blocks_#_norm# label_emb_#_# mid_block_attentions_#_norm
        mid_block_attentions_#_proj_in mid_block_attentions_#_proj_out
        mid_block_attentions_#_transformer_blocks_#_attn#_to_k
        mid_block_attentions_#_transformer_blocks_#_attn#_to_out_#
        mid_block_attentions_#_transformer_blocks_#_attn#_to_q
        mid_block_attentions_#_transformer_blocks_#_attn#_to_v
        mid_block_attentions_#_transformer_blocks_#_ff_net_#
        mid_block_attentions_#_transformer_blocks_#_ff_net_#_proj
        mid_block_attentions_#_transformer_blocks_#_norm# mid_block_resnets_#_conv#
        mid_block_resnets_#_conv_shortcut mid_block_resnets_#_norm#
        mid_block_resnets_#_time_emb_proj middle_block_#_emb_layers_# middle_block_#_in_layers_#
        middle_block_#_norm middle_block_#_out_layers_# middle_block_#_proj_in
        middle_block_#_proj_out middle_block_#_skip_connection
        middle_block_#_transformer_blocks_#_attn#_to_k
        middle_block_#_transformer_blocks_#_attn#_to_out_#
        middle_block_#_transformer_blocks_#_attn#_to_q
        middle_block_#_transformer_blocks_#_attn#_to_v middle_block_#_transformer_blocks_#_ff_net_#
        middle_block_#_transformer_blocks_#_ff_net_#_proj middle_block_#_transformer_blocks_#_norm#
        out_# output_blocks_#_#_conv output_blocks_#_#_emb_layers_# output_blocks_#_#_in_layers_#
        output_blocks_#_#_norm output_blocks_#_#_out_layers_# output_blocks_#_#_proj_in
        output_blocks_#_#_proj_out output_blocks_#_#_skip_connection
        output_blocks_#_#_transformer_blocks_#_attn#_to_k
        output_blocks_#_#_transformer_blocks_#_attn#_to_out_#
        output_blocks_#_#_transformer_blocks_#_attn#_to_q
        output_blocks_#_#_transformer_blocks_#_attn#_to_v
        output_blocks_#_#_transformer_blocks_#_ff_net_#
        output_blocks_#_#_transformer_blocks_#_ff_net_#_proj
        output_blocks_#_#_transformer_blocks_#_norm# text_model_encoder_layers_#_layer_norm#
        text_model_encoder_layers_#_mlp_fc# text_model_encoder_layers_#_self_attn_k_proj
        text_model_encoder_layers_#_self_attn_out_proj text_model_encoder_layers_#_self_attn_q_proj
        text_model_encoder_layers_#_self_attn_v_proj text_model_final_layer_norm text_projection
        time_embed_# time_embedding_linear_# up_blocks_#_attentions_#_norm
        up_blocks_#_attentions_#_proj_in up_blocks_#_attentions_#_proj_out
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_k
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_out_#
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_q
        up_blocks_#_attentions_#_transformer_blocks_#_attn#_to_v
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#
        up_blocks_#_attentions_#_transformer_blocks_#_ff_net_#_proj
        up_blocks_#_attentions_#_transformer_blocks_#_norm# up_blocks_#_resnets_#_conv#
        up_blocks_#_resnets_#_conv_shortcut up_blocks_#_resnets_#_norm#
        up_blocks_#_resnets_#_time_emb_proj up_blocks_#_upsamplers_#_conv
    """,
    "skyreels_v2": """
        blocks_#_attn#_add_k_proj blocks_#_attn#_add_v_proj blocks_#_attn#_norm_added_k
        blocks_#_attn#_norm_k blocks_#_attn#_norm_q blocks_#_attn#_to_k blocks_#_attn#_to_out_#
        blocks_#_attn#_to_q blocks_#_attn#_to_v blocks_#_cross_attn_k blocks_#_cross_attn_k_img
        blocks_#_cross_attn_norm_k blocks_#_cross_attn_norm_k_img blocks_#_cross_attn_norm_q
        blocks_#_cross_attn_o blocks_#_cross_attn_q blocks_#_cross_attn_v blocks_#_cross_attn_v_img
        blocks_#_ffn_# blocks_#_ffn_net_# blocks_#_ffn_net_#_proj blocks_#_modulation blocks_#_norm#
        blocks_#_scale_shift_table blocks_#_self_attn_k blocks_#_self_attn_norm_k
        blocks_#_self_attn_norm_q blocks_#_self_attn_o blocks_#_self_attn_q blocks_#_self_attn_v
        condition_embedder_image_embedder_ff_net_# condition_embedder_image_embedder_ff_net_#_proj
        condition_embedder_image_embedder_norm# condition_embedder_text_embedder_linear_#
        condition_embedder_time_embedder_linear_# condition_embedder_time_proj
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v fps_projection_# fps_projection_net_#
        fps_projection_net_#_proj head_head head_modulation img_emb_proj_# patch_embedding proj_out
        scale_shift_table text_embedding_# time_embedding_# time_projection_#
    """,
    "stable_cascade": """
        clf_# clip_img_mapper clip_txt_mapper clip_txt_pooled_mapper
        down_blocks_#_#_attention_attn_in_proj down_blocks_#_#_attention_attn_out_proj
        down_blocks_#_#_attention_to_k down_blocks_#_#_attention_to_out_#
        down_blocks_#_#_attention_to_q down_blocks_#_#_attention_to_v down_blocks_#_#_channelwise_#
        down_blocks_#_#_depthwise down_blocks_#_#_kv_mapper_# down_blocks_#_#_mapper
        down_blocks_#_#_mapper_crp down_blocks_#_#_mapper_sca down_downscalers_#_# embedding_#
        text_model_encoder_layers_#_layer_norm# text_model_encoder_layers_#_mlp_fc#
        text_model_encoder_layers_#_self_attn_k_proj text_model_encoder_layers_#_self_attn_out_proj
        text_model_encoder_layers_#_self_attn_q_proj text_model_encoder_layers_#_self_attn_v_proj
        text_model_final_layer_norm text_projection up_blocks_#_#_attention_attn_in_proj
        up_blocks_#_#_attention_attn_out_proj up_blocks_#_#_attention_to_k
        up_blocks_#_#_attention_to_out_# up_blocks_#_#_attention_to_q up_blocks_#_#_attention_to_v
        up_blocks_#_#_channelwise_# up_blocks_#_#_depthwise up_blocks_#_#_kv_mapper_#
        up_blocks_#_#_mapper up_blocks_#_#_mapper_crp up_blocks_#_#_mapper_sca up_upscalers_#_#
    """,
    "wan": """
        blocks_#_attn#_add_k_proj blocks_#_attn#_add_v_proj blocks_#_attn#_norm_added_k
        blocks_#_attn#_norm_k blocks_#_attn#_norm_q blocks_#_attn#_to_k blocks_#_attn#_to_out_#
        blocks_#_attn#_to_q blocks_#_attn#_to_v blocks_#_cross_attn_k blocks_#_cross_attn_k_img
        blocks_#_cross_attn_norm_k blocks_#_cross_attn_norm_k_img blocks_#_cross_attn_norm_q
        blocks_#_cross_attn_o blocks_#_cross_attn_q blocks_#_cross_attn_v blocks_#_cross_attn_v_img
        blocks_#_ffn_# blocks_#_ffn_net_# blocks_#_ffn_net_#_proj blocks_#_modulation blocks_#_norm#
        blocks_#_scale_shift_table blocks_#_self_attn_k blocks_#_self_attn_norm_k
        blocks_#_self_attn_norm_q blocks_#_self_attn_o blocks_#_self_attn_q blocks_#_self_attn_v
        condition_embedder_image_embedder_ff_net_# condition_embedder_image_embedder_ff_net_#_proj
        condition_embedder_image_embedder_norm# condition_embedder_text_embedder_linear_#
        condition_embedder_time_embedder_linear_# condition_embedder_time_proj
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v face_adapter_#_to_k face_adapter_#_to_out
        face_adapter_#_to_q face_adapter_#_to_v face_adapter_fuser_blocks_#_linear#
        face_adapter_fuser_blocks_#_linear#_kv face_adapter_fuser_blocks_#_linear#_q
        face_encoder_conv# face_encoder_conv#_conv face_encoder_conv#_local
        face_encoder_conv#_local_conv face_encoder_out_proj head_head head_modulation img_emb_proj_#
        motion_encoder_conv_in motion_encoder_conv_out motion_encoder_dec_direction
        motion_encoder_enc_fc_# motion_encoder_enc_net_app_convs_#
        motion_encoder_enc_net_app_convs_#_# motion_encoder_enc_net_app_convs_#_conv#_#
        motion_encoder_enc_net_app_convs_#_skip_# motion_encoder_motion_network_#
        motion_encoder_res_blocks_#_conv# motion_encoder_res_blocks_#_conv_skip patch_embedding
        pose_patch_embedding proj_out scale_shift_table text_embedding_# time_embedding_#
        time_projection_# vace_blocks_#_after_proj vace_blocks_#_attn#_norm_k
        vace_blocks_#_attn#_norm_q vace_blocks_#_attn#_to_k vace_blocks_#_attn#_to_out_#
        vace_blocks_#_attn#_to_q vace_blocks_#_attn#_to_v vace_blocks_#_before_proj
        vace_blocks_#_cross_attn_k vace_blocks_#_cross_attn_norm_k vace_blocks_#_cross_attn_norm_q
        vace_blocks_#_cross_attn_o vace_blocks_#_cross_attn_q vace_blocks_#_cross_attn_v
        vace_blocks_#_ffn_# vace_blocks_#_ffn_net_# vace_blocks_#_ffn_net_#_proj
        vace_blocks_#_modulation vace_blocks_#_norm# vace_blocks_#_proj_in vace_blocks_#_proj_out
        vace_blocks_#_scale_shift_table vace_blocks_#_self_attn_k vace_blocks_#_self_attn_norm_k
        vace_blocks_#_self_attn_norm_q vace_blocks_#_self_attn_o vace_blocks_#_self_attn_q
        vace_blocks_#_self_attn_v vace_patch_embedding
    """,
    "wan_animate2": """
        blocks_#_block_cross_attn_k blocks_#_block_cross_attn_k_img blocks_#_block_cross_attn_o
        blocks_#_block_cross_attn_q blocks_#_block_cross_attn_v blocks_#_block_cross_attn_v_img
        blocks_#_block_ffn_# blocks_#_block_self_attn_k blocks_#_block_self_attn_o
        blocks_#_block_self_attn_q blocks_#_block_self_attn_v blocks_#_cross_attn_add_k_proj
        blocks_#_cross_attn_add_v_proj blocks_#_cross_attn_to_k blocks_#_cross_attn_to_out_#
        blocks_#_cross_attn_to_q blocks_#_cross_attn_to_v blocks_#_ffn_# blocks_#_self_attn_to_k
        blocks_#_self_attn_to_out_# blocks_#_self_attn_to_q blocks_#_self_attn_to_v
        encoder_block_#_layer_#_DenseReluDense_wi encoder_block_#_layer_#_DenseReluDense_wi_#
        encoder_block_#_layer_#_DenseReluDense_wo encoder_block_#_layer_#_SelfAttention_k
        encoder_block_#_layer_#_SelfAttention_o encoder_block_#_layer_#_SelfAttention_q
        encoder_block_#_layer_#_SelfAttention_v head_head img_emb_proj_# patch_embedding
        text_embedding_# time_embedding_# time_projection_#
    """,
    "z_image": """
        all_final_layer_#-#_adaLN_modulation_# all_final_layer_#-#_linear all_x_embedder_#-#
        cap_embedder_# context_refiner_#_attention_k_norm context_refiner_#_attention_norm#
        context_refiner_#_attention_norm_k context_refiner_#_attention_norm_q
        context_refiner_#_attention_out context_refiner_#_attention_q_norm
        context_refiner_#_attention_qkv context_refiner_#_attention_to_k
        context_refiner_#_attention_to_out_# context_refiner_#_attention_to_q
        context_refiner_#_attention_to_v context_refiner_#_feed_forward_w#
        context_refiner_#_ffn_norm# final_layer_adaLN_modulation_# final_layer_linear
        layers_#_adaLN_modulation_# layers_#_attention_k_norm layers_#_attention_norm#
        layers_#_attention_norm_k layers_#_attention_norm_q layers_#_attention_out
        layers_#_attention_q_norm layers_#_attention_qkv layers_#_attention_to_k
        layers_#_attention_to_out_# layers_#_attention_to_q layers_#_attention_to_v
        layers_#_feed_forward_w# layers_#_ffn_norm# layers_#_mlp_down_proj layers_#_mlp_gate_proj
        layers_#_mlp_up_proj layers_#_self_attn_k_proj layers_#_self_attn_o_proj
        layers_#_self_attn_q_proj layers_#_self_attn_v_proj noise_refiner_#_adaLN_modulation_#
        noise_refiner_#_attention_k_norm noise_refiner_#_attention_norm#
        noise_refiner_#_attention_norm_k noise_refiner_#_attention_norm_q
        noise_refiner_#_attention_out noise_refiner_#_attention_q_norm noise_refiner_#_attention_qkv
        noise_refiner_#_attention_to_k noise_refiner_#_attention_to_out_#
        noise_refiner_#_attention_to_q noise_refiner_#_attention_to_v
        noise_refiner_#_feed_forward_w# noise_refiner_#_ffn_norm# siglip_embedder_#
        siglip_refiner_#_attention_k_norm siglip_refiner_#_attention_norm#
        siglip_refiner_#_attention_norm_k siglip_refiner_#_attention_norm_q
        siglip_refiner_#_attention_out siglip_refiner_#_attention_q_norm
        siglip_refiner_#_attention_qkv siglip_refiner_#_attention_to_k
        siglip_refiner_#_attention_to_out_# siglip_refiner_#_attention_to_q
        siglip_refiner_#_attention_to_v siglip_refiner_#_feed_forward_w# siglip_refiner_#_ffn_norm#
        t_embedder_mlp_# x_embedder
    """,
}
