"""Options of A1111 that scripts read and that this program does not have, with A1111's defaults. Data only."""

from __future__ import annotations

from typing import Any

_OFF = (
    "grid_extended_filename", "grid_prevent_empty_spots", "samples_log_stdout", "do_not_show_images", "upcast_attn", "save_init_img",
    "dont_fix_second_order_samplers_schedule", "no_dpmpp_sde_batch_determinism", "always_discard_next_to_last_sigma",
    "interrogate_return_ranks", "use_old_emphasis_implementation", "save_images_before_face_restoration", "clean_temp_dir_at_start",
    "save_images_before_highres_fix", "save_images_before_color_correction", "save_incomplete_images",
    "set_scale_by_when_changing_upscaler",
    "face_restoration_unload", "show_warnings", "disable_mmap_load_safetensors", "dump_stacks_on_signal",
    "enable_quantization", "sdxl_clip_l_skip", "sd3_enable_t5", "img2img_fix_steps", "img2img_autosize", "s_min_uncond_all",
    "pad_cond_uncond", "pad_cond_uncond_v0", "cache_fp16_weight", "use_old_karras_scheduler_sigmas", "use_old_hires_fix_width_height",
    "hires_fix_use_firstpass_conds", "use_old_scheduling", "use_downcasted_alpha_bar", "refiner_switch_by_sample_steps",
    "interrogate_keep_models_in_memory", "extra_networks_tree_view_default_enabled", "lora_show_all", "lora_functional",
    "js_modal_lightbox_initially_zoomed", "hires_button_gallery_insert", "disable_token_counters", "compact_prompt_box",
    "sd_checkpoint_dropdown_use_short", "hires_fix_show_sampler", "hires_fix_show_prompts", "add_user_name_to_info", "sgm_noise_multiplier",
    "use_save_to_dirs_for_ui", "use_upscaler_name_as_suffix", "img2img_batch_use_original_name", "return_mask", "return_mask_composite",
)  # fmt: skip
_ON = (
    "save", "use_original_name_batch", "batch_cond_uncond", "multiple_tqdm", "enable_batch_seeds", "export_for_4chan", "save_selected_only",
    "save_write_log_csv", "notification_audio", "show_gradio_deprecation_warnings", "enable_upscale_progressbar", "list_hidden_files",
    "hide_ldm_prints", "api_enable_requests", "sd_checkpoints_keep_in_cpu", "sd_vae_overrides_per_model_preferences", "auto_vae_precision",
    "overlay_inpaint", "persistent_cond_cache", "auto_backcompat", "deepbooru_sort_alpha", "deepbooru_use_spaces", "deepbooru_escape",
    "extra_networks_show_hidden_directories", "extra_networks_card_show_desc", "lora_add_hashes_to_infotext", "lora_bundled_ti_to_infotext",
    "show_progress_in_title", "send_seed", "send_size", "return_grid", "js_modal_lightbox", "keyedit_move", "samplers_in_dropdown",
    "include_styles_into_token_counters", "dimensions_and_batch_together", "interrupt_after_current", "enable_pnginfo", "grid_save_to_dirs",
    "disable_weights_auto_swap", "show_progressbar", "show_progress_grid", "uni_pc_lower_order_final", "add_vae_name_to_info",
)  # fmt: skip
KNOWN: dict[str, Any] = {
    **dict.fromkeys(_OFF, False), **dict.fromkeys(_ON, True),
    "outdir_samples": "", "outdir_grids": "", "outdir_save": "log/images", "outdir_init_images": "outputs/init-images", "temp_dir": "",
    "grid_text_active_color": "#000000", "grid_text_inactive_color": "#999999", "grid_background_color": "#ffffff", "font": "",
    "grid_zip_filename_pattern": "", "img_max_size_mp": 200, "img_downscale_threshold": 4.0, "target_side_length": 4000, "data": {},
    "notification_volume": 100, "ESRGAN_tile": 192, "ESRGAN_tile_overlap": 8, "DAT_tile": 192, "DAT_tile_overlap": 8,
    "realesrgan_enabled_models": ["R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B"], "dat_enabled_models": [], "upscaler_for_img2img": None,
    "auto_launch_browser": "Local", "memmon_poll_rate": 8, "api_useragent": "", "api_forbid_local_requests": True,
    "sd_checkpoints_limit": 1, "sd_checkpoint_cache": 0, "sd_unet": "Automatic", "emphasis": "Original", "comma_padding_backtrack": 20,
    "hires_fix_refiner_pass": "second pass", "sdxl_crop_top": 0, "sdxl_crop_left": 0, "sdxl_refiner_low_aesthetic_score": 2.5,
    "sdxl_refiner_high_aesthetic_score": 6.0, "sd_vae_checkpoint_cache": 0, "sd_vae_encode_method": "Full", "sd_vae_decode_method": "Full",
    "inpainting_mask_weight": 1.0, "img2img_extra_noise": 0.0, "img2img_background_color": "#ffffff", "img2img_editor_height": 720,
    "img2img_inpaint_mask_brush_color": "#ffffff", "img2img_inpaint_sketch_default_brush_color": "#ffffff",
    "img2img_sketch_default_brush_color": "#ffffff", "img2img_batch_show_results_limit": 32, "s_min_uncond": 0.0,
    "cross_attention_optimization": "Automatic", "fp8_storage": "Disable", "interrogate_clip_num_beams": 1,
    "interrogate_clip_min_length": 24,
    "interrogate_clip_max_length": 48, "interrogate_clip_dict_limit": 1500, "interrogate_clip_skip_categories": [],
    "interrogate_deepbooru_score_threshold": 0.5, "deepbooru_filter_tags": "", "extra_networks_hidden_models": "When searched",
    "extra_networks_default_multiplier": 1.0, "extra_networks_card_width": 0, "extra_networks_card_height": 0,
    "extra_networks_card_text_scale": 1.0, "extra_networks_card_order_field": "Path", "extra_networks_card_order": "Ascending",
    "extra_networks_add_text_separator": " ", "ui_extra_networks_tab_reorder": "", "sd_lora": "None", "sd_hypernetwork": "None",
    "lora_preferred_name": "Alias from file", "lora_hide_unknown_for_versions": [], "lora_in_memory_limit": 0, "localization": "None",
    "ui_tab_order": [], "hidden_tabs": [], "ui_reorder_list": [], "gradio_theme": "Default", "gallery_height": "",
    "open_dir_button_choice": "Subdirectory", "keyedit_precision_attention": 0.1, "keyedit_precision_extra": 0.05,
    "keyedit_delimiters": r".,\/!?%^*;:{}=`~() ", "infotext_skip_pasting": [], "infotext_styles": "Apply if any",
    "live_previews_image_format": "png", "live_preview_content": "Prompt", "hide_samplers": [], "ddim_discretize": "uniform",
    "eta_noise_seed_delta": 0, "uni_pc_variant": "bh1", "uni_pc_skip_type": "time_uniform", "uni_pc_order": 3,
    "sd_noise_schedule": "Default", "skip_early_cond": 0.0, "beta_dist_alpha": 0.6, "beta_dist_beta": 0.6, "sigma_min": 0.0,
    "sigma_max": 0.0, "rho": 0.0, "postprocessing_enable_in_main_ui": [], "postprocessing_disable_in_extras": [],
    "postprocessing_operation_order": [], "upscaling_max_images_in_cache": 5, "postprocessing_existing_caption_action": "Ignore",
    "restore_config_state_file": "", "sd_checkpoint_hash": "", "n_rows": -1, "control_net_unit_count": 3, "control_net_max_models_num": 3,
}  # fmt: skip
