"""Names that popular extensions take from A1111 1.10, by module: the survey that the views are measured against. Data only."""

from __future__ import annotations


def _names(text: str) -> list[str]:
    return text.split()


MODULES: dict[str, str] = {
    "modules.scripts": """scripts_txt2img scripts_img2img scripts_postproc scripts_current scripts_data postprocessing_scripts_data basedir
        list_scripts list_files_with_name load_scripts reload_scripts AlwaysVisible Script ScriptBuiltinUI ScriptRunner PostprocessImageArgs
        PostprocessBatchListArgs PostSampleArgs MaskBlendArgs PostProcessMaskOverlayArgs OnComponent ScriptFile ScriptClassData
        wrap_call""",
    "modules.script_callbacks": """on_app_started on_before_reload on_model_loaded on_ui_tabs on_ui_train_tabs on_ui_settings
        on_before_image_saved on_image_saved on_extra_noise on_cfg_denoiser on_cfg_denoised on_cfg_after_cfg on_before_component
        on_after_component on_image_grid on_infotext_pasted on_script_unloaded on_before_ui on_list_optimizers on_list_unets
        on_before_token_counter remove_current_script_callbacks remove_callbacks_for_function clear_callbacks ImageSaveParams
        CFGDenoiserParams CFGDenoisedParams AfterCFGCallbackParams ExtraNoiseParams ImageGridLoopParams UiTrainTabParams
        BeforeTokenCounterParams""",
    "modules.processing": """process_images process_images_inner create_infotext fix_seed create_random_tensors apply_overlay
        apply_color_correction setup_color_correction opt_C opt_f decode_latent_batch decode_first_stage program_version get_fixed_seed
        create_binary_mask StableDiffusionProcessing StableDiffusionProcessingTxt2Img StableDiffusionProcessingImg2Img Processed images
        opts state""",
    "modules.shared": """opts cmd_opts state sd_model sd_upscalers prompt_styles interrogator face_restorers hypernetworks
        loaded_hypernetworks device batch_cond_uncond parallel_processing_allowed demo total_tqdm mem_mon clip_model progress_print_out
        restricted_opts options_templates settings_components tab_names OptionInfo OptionHTML OptionDiv options_section
        list_checkpoint_tiles refresh_checkpoints list_samplers reload_hypernetworks html listfiles walk_files natural_sort_key models_path
        script_path data_path extensions_dir latent_upscale_modes latent_upscale_default_mode sd_model_file hide_dirs face_restoration_model
        gradio_theme theme""",
    "modules.shared_items": "sd_vae_items refresh_vae_list",
    "modules.images": """save_image image_grid resize_image get_next_sequence_number FilenameGenerator read_info_from_image
        apply_filename_pattern flatten split_grid combine_grid draw_grid_annotations draw_prompt_matrix GridAnnotation Grid fix_image
        LANCZOS""",
    "modules.infotext_utils": """parse_generation_parameters ParamBinding PasteField register_paste_params_button create_buttons
        bind_buttons""",
    "modules.generation_parameters_copypaste": """parse_generation_parameters ParamBinding
        register_paste_params_button image_from_url_text""",
    "modules.sd_models": """list_models checkpoint_tiles checkpoint_aliases checkpoint_alisases checkpoints_list get_closet_checkpoint_match
        reload_model_weights load_model model_data model_hash select_checkpoint CheckpointInfo""",
    "modules.sd_vae": "vae_dict refresh_vae_list",
    "modules.sd_samplers": "all_samplers samplers samplers_for_img2img samplers_map create_sampler visible_sampler_names sample_to_image",
    "modules.sd_schedulers": "schedulers schedulers_map",
    "modules.devices": """device cpu dtype get_optimal_device get_optimal_device_name get_device_for torch_gc autocast without_autocast
        test_for_nans NansException dtype_vae dtype_unet""",
    "modules.call_queue": "queue_lock wrap_queued_call wrap_gradio_call wrap_gradio_gpu_call",
    "modules.ui": "create_refresh_button plaintext_to_html gr_show switch_values_symbol versions_html",
    "modules.ui_components": """FormComponent ToolButton ResizeHandleRow FormRow FormColumn FormGroup FormHTML FormColorPicker DropdownMulti
        DropdownEditable InputAccordion""",
    "modules.ui_common": "create_output_panel plaintext_to_html ToolButton",
    "modules.extra_networks": "register_extra_network ExtraNetwork ExtraNetworkParams parse_prompt parse_prompts extra_network_registry",
    "modules.ui_extra_networks": "ExtraNetworksPage register_page",
    "modules.hashes": "sha256 addnet_hash_safetensors calculate_sha256 sha256_from_cache cache dump_cache",
    "modules.cache": "cache dump_cache cached_data_for_file",
    "modules.errors": "report print_error print_error_explanation display display_once",
    "modules.timer": "Timer startup_timer",
    "modules.util": "natural_sort_key listfiles html_path html walk_files",
    "modules.paths": "data_path models_path script_path extensions_dir extensions_builtin_dir",
    "modules.paths_internal": "data_path models_path script_path extensions_dir extensions_builtin_dir",
    "modules.localization": "localizations list_localizations localization_js",
    "modules.textual_inversion.textual_inversion": "EmbeddingDatabase Embedding",
    "modules.sd_hijack": "model_hijack",
    "modules.sd_unet": "SdUnetOption SdUnet unet_options",
    "modules.launch_utils": "git_tag commit_hash is_installed run_pip args list_extensions prepare_environment",
    "modules.extensions": "extensions active extensions_dir extensions_builtin_dir",
    "modules.scripts_postprocessing": "ScriptPostprocessing PostprocessedImage",
    "modules.upscaler": "Upscaler UpscalerData UpscalerLanczos UpscalerNone UpscalerNearest",
    "modules.modelloader": "load_models load_file_from_url friendly_name load_upscalers",
    "modules.face_restoration": "FaceRestoration restore_faces",
    "modules.interrogate": "InterrogateModels",
    "modules.deepbooru": "model",
    "modules.masking": "get_crop_region expand_crop_region fill",
    "modules.rng": "ImageRNG randn randn_local randn_like slerp",
    "modules.rng_philox": "Generator",
    "modules.prompt_parser": """parse_prompt_attention get_learned_conditioning_prompt_schedules get_multicond_prompt_list SdConditioning
        ScheduledPromptConditioning ComposableScheduledPromptConditioning MulticondLearnedConditioning get_learned_conditioning
        reconstruct_cond_batch""",
    "modules.safe": "load unsafe_torch_load Extra",
    "modules.progress": "create_task_id add_task_to_queue start_task finish_task",
    "modules.txt2img": "txt2img",
    "modules.img2img": "img2img process_batch",
    "modules.lowvram": "is_enabled send_everything_to_cpu",
    "modules.api.api": "decode_base64_to_image encode_pil_to_base64 Api",
    "modules.api.models": "BaseModel Field",
    "launch": "is_installed run_pip run git_clone args python commit_hash git_tag list_extensions prepare_environment",
}

P = _names("""
    all_prompts all_negative_prompts all_seeds all_subseeds prompts negative_prompts seeds subseeds main_prompt main_negative_prompt
    iteration batch_index n_iter batch_size steps width height cfg_scale sampler_name scheduler prompt_for_display styles
    extra_generation_params override_settings override_settings_restore_afterwards outpath_samples outpath_grids do_not_save_samples
    do_not_save_grid scripts script_args script_args_value sd_model sampler rng sampler_noise_scheduler_override c uc cached_c
    cached_uc hr_c hr_uc hr_prompts hr_negative_prompts all_hr_prompts hr_upscale_to_x hr_upscale_to_y hr_resize_x hr_resize_y
    truncate_x truncate_y latent_scale_mode is_hr_pass hr_extra_network_data image_conditioning is_using_inpainting_conditioning
    init_latent image_mask latent_mask nmask mask_for_overlay overlay_images masks paste_to mask_blur mask_blur_x mask_blur_y
    inpaint_full_res inpaint_full_res_padding inpainting_fill inpainting_mask_invert initial_noise_multiplier color_corrections
    extra_network_data disable_extra_networks restore_faces tiling eta s_min_uncond s_churn s_tmin s_tmax s_noise user is_api
    comments comment step_multiplier firstpass_steps txt2img_upscale token_merging_ratio token_merging_ratio_hr
    get_token_merging_ratio lora_hashes sd_model_name sd_model_hash sd_vae_name sd_vae_hash clip_skip init sample setup_prompts
    parse_extra_network_prompts setup_conds get_conds calculate_target_resolution txt2img_image_conditioning
    img2img_image_conditioning save_samples close clear_prompt_cache get_conds_with_caching depth2img_image_conditioning
""")

PROCESSED = _names("""
    images prompt negative_prompt seed subseed info infotexts width height sampler_name cfg_scale steps all_prompts
    all_negative_prompts all_seeds all_subseeds index_of_first_image extra_generation_params comments js infotext
""")

RUNNER = _names("""
    scripts selectable_scripts alwayson_scripts titles title_map inputs infotext_fields paste_field_names callback_map script run
    setup_scrips set_named_arg reload_sources before_process process before_process_batch after_extra_networks_activate
    process_batch process_before_every_sampling before_hr post_sample postprocess_batch postprocess_batch_list postprocess_image
    postprocess_maskoverlay postprocess_image_after_composite postprocess on_mask_blend
""")

STATE = _names("""
    job job_no job_count processing_has_refined_job_count job_timestamp sampling_step sampling_steps current_latent current_image
    current_image_sampling_step id_live_preview textinfo skipped interrupted stopping_generation time_start server_start
    need_restart oom begin end nextjob skip interrupt stop_generating assign_current_image set_current_image do_set_current_image
    dict request_restart server_command
""")

MODEL = _names("""
    sd_checkpoint_info sd_model_hash sd_model_checkpoint is_sd1 is_sd2 is_sdxl is_ssd is_sd3 is_sdxl_inpaint parameterization
    alphas_cumprod cond_stage_model first_stage_model cond_stage_key device dtype lowvram decode_first_stage encode_first_stage
    get_first_stage_encoding latent_channels
""")

CHECKPOINT = _names("""
    name title filename model_name name_for_extra shorthash sha256 hash short_title metadata ids
""")

GRADIO = _names("""
    Blocks Row Column Group Box Accordion Tab TabItem Tabs Textbox Number Slider Checkbox CheckboxGroup Radio Dropdown Button Image
    Gallery File Files HTML Markdown State Variable ColorPicker Dataset JSON Label Video Audio Dataframe UploadButton update skip
    Progress Error Warning Info Request SelectData EventData
""")
