"use strict";
// The second step of a session: what is made, from which model, with which values. The fields come from the server, which declared each
// once; here stands only what belongs together and which of them a method has use for. Changes are sent when the hand rests.
(() => {
  const darkroom = window.darkroom;
  const { make, action, train } = darkroom;
  const { ask, say, attempt, named, field, select, count, state } = train;
  const REST_MS = 500;
  const FIRST = {
    lora: ["trigger_word", "max_train_steps", "resolution", "learning_rate", "network_dim", "network_alpha", "train_batch_size", "save_every"],
    dreambooth: ["trigger_word", "max_train_steps", "resolution", "learning_rate", "text_encoder_steps", "text_encoder_lr", "text_encoder_resolution", "prior_preservation", "class_prompt", "num_class_images", "train_batch_size", "save_every"],
    textual_inversion: ["embedding_name", "initializer_text", "num_vectors", "max_train_steps", "resolution", "learning_rate", "train_batch_size", "save_every"],
    captioner_lora: ["max_train_steps", "learning_rate", "network_dim", "network_alpha", "train_batch_size", "save_every"],
  };
  const SAMPLES = ["sample_prompts", "sample_every", "validation_split"];
  const ELSEWHERE = ["session", "method", "checkpoint", "captioner"];
  const NETWORK = ["network_algo", "network_dim", "network_alpha", "network_dropout", "conv_dim", "conv_alpha", "target_blocks", "scale_weight_norms"];
  const STAGES = ["text_encoder_steps", "text_encoder_resolution"];
  const WORD = ["embedding_name", "initializer_text", "num_vectors"];
  const PRIOR = ["prior_preservation", "prior_loss_weight", "class_prompt", "num_class_images"];
  const NOISE = ["min_snr_gamma", "debiased_estimation_loss", "noise_offset", "multires_noise_iterations", "multires_noise_discount", "ip_noise_gamma", "timestep_sampling", "logit_mean", "logit_std", "mode_scale", "discrete_flow_shift", "min_timestep", "max_timestep", "weighting_scheme", "loss_type", "huber_c", "guidance_scale"];
  const DRAWN = ["sample_prompts", "sample_every", "sample_at_first", "sample_seed", "sample_steps", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale", "smart_crop", "resolution", "any_resolution", "cache_latents", "cache_text", "trigger_word", "text_encoder_lr", "save_format"];
  // What a method has no use for.
  const WITHOUT = {
    lora: new Set([...WORD, ...STAGES]),
    dreambooth: new Set([...WORD, ...NETWORK]),
    textual_inversion: new Set([...NETWORK, ...PRIOR, "trigger_word", ...STAGES, "text_encoder_lr", "cache_text"]),
    captioner_lora: new Set([...WORD, ...PRIOR, ...NOISE, ...DRAWN, ...STAGES]),
  };
  // A field that counts only while another has one of these values.
  const WHEN = {
    lr_steps: ["lr_scheduler", "piecewise_constant"], lr_scheduler_num_cycles: ["lr_scheduler", "cosine_with_restarts"], lr_scheduler_power: ["lr_scheduler", "polynomial"],
    logit_mean: ["timestep_sampling", "logit_normal"], logit_std: ["timestep_sampling", "logit_normal"], mode_scale: ["timestep_sampling", "mode"], huber_c: ["loss_type", "huber", "smooth_l1"],
    prior_loss_weight: ["prior_preservation", true], class_prompt: ["prior_preservation", true], num_class_images: ["prior_preservation", true],
    min_bucket_reso: ["enable_bucket", true], max_bucket_reso: ["enable_bucket", true], bucket_reso_steps: ["enable_bucket", true], bucket_no_upscale: ["enable_bucket", true],
  };

  const GROUPS = { subject: "What is made", network: "Network", learning: "Learning", loss: "Noise and loss", pictures: "Sizes and crops", captions: "Captions", prior: "Pictures of the class", watching: "Validation, samples, saving" };

  const unsent = {}; // field -> value that the server has not
  let timer = 0;
  let checkpoints = null; // [{title, family}]

  const part = (selector) => train.part(`.dr-train-settings ${selector}`);
  const config = () => ({ ...state.open.config, ...unsent });
  const option = (name) => state.options.fields.find((one) => one.name === name);
  const uses = (name, now = config()) => {
    if (WITHOUT[now.method]?.has(name)) return false;
    if (name === "num_processes") return state.options.devices > 1 || now.num_processes > 1 || now.on_cluster;
    if (name === "on_cluster") return state.options.cluster || now.on_cluster;
    const [other, ...values] = WHEN[name] ?? [];
    return !other || values.includes(now[other]);
  };

  // ---- One field ----------------------------------------------------------------------------------------------------

  const control = (one, value) => {
    if (one.kind === "bool") return Object.assign(make("input"), { type: "checkbox", checked: Boolean(value), name: one.name });
    if (one.choices) return select(one.choices.map((choice) => [choice, choice]), value, one.name);
    if (one.kind === "list") return Object.assign(make("textarea"), { name: one.name, rows: 3, value: (value ?? []).join("\n"), spellcheck: false, placeholder: "one a line" });
    if (one.kind === "str") return Object.assign(make("input"), { type: "text", name: one.name, value: value ?? "", autocomplete: "off" });
    const number = Object.assign(make("input"), { type: "number", name: one.name, value: OWN[one.name] && !value ? "" : String(value), inputMode: "decimal", step: one.kind === "int" ? "1" : "any" });
    if (one.low !== null) number.min = one.low;
    if (one.high !== null) number.max = one.high;
    return number;
  };
  const drawField = (name) => {
    const one = option(name);
    if (!one) return null;
    const box = control(one, config()[name]);
    const label = one.kind === "bool" ? make("label.dr-cap-check", box, make("span", one.label, one.help ? make("small.dr-quiet", one.help) : null)) : field(one.label, box);
    label.title = one.help;
    label.dataset.field = name;
    if (one.help && one.kind !== "bool") {
      const help = make("small.dr-quiet", one.help);
      help.id = `train_help_${name}`;
      box.setAttribute("aria-describedby", help.id);
      label.append(help);
    }
    label.hidden = !uses(name);
    return label;
  };
  // What a size of 0 comes to: [what the model gives, in words]. Shown where nothing is typed.
  const OWN = {
    resolution: (px) => [px, "the model's own"], min_bucket_reso: (px) => [px && Math.floor(px / 2), "half the resolution"],
    max_bucket_reso: (px) => [px && px * 2, "twice the resolution"], bucket_reso_steps: (px) => [px && Math.min(64, Math.max(16, Math.floor(px / 128) * 16)), "follows the resolution"],
  };
  const paintOwn = () => {
    const px = config().resolution || checkpoints?.find((row) => row.title === (config().checkpoint || modelInUse()))?.native_px || 0;
    for (const [name, of] of Object.entries(OWN)) {
      const [value, words] = of(name === "resolution" ? (config().resolution ? 0 : px) : px);
      if (part(`[name=${name}]`)) part(`[name=${name}]`).placeholder = value ? `${value}, ${words}` : words;
    }
  };
  const read = (box) => {
    const one = option(box.name);
    if (one.kind === "bool") return box.checked;
    if (one.kind === "list") return box.value.split("\n").map((line) => line.trim()).filter(Boolean);
    if (one.kind === "str") return box.value;
    if (box.value === "" && OWN[box.name]) return 0;
    return box.value === "" || !Number.isFinite(Number(box.value)) ? null : Number(box.value);
  };

  const amiss = (one, value) => {
    if (value === null) return "A number is needed";
    if (typeof value !== "number" || ((one.low === null || value >= one.low) && (one.high === null || value <= one.high))) return "";
    return one.high === null ? `It must be at least ${one.low}` : `It must lie between ${one.low} and ${one.high}`;
  };

  // ---- Sending ------------------------------------------------------------------------------------------------------

  const told = (text) => { if (part(".dr-train-saved")) part(".dr-train-saved").textContent = text; };
  const wrong = (name, why) => {
    for (const old of train.root().querySelectorAll(".dr-train-settings .dr-train-wrong")) old.remove();
    const label = name && part(`[data-field="${name}"]`);
    if (!label) return false;
    const fold = label.closest("details");
    if (fold) fold.open = true;
    const words = make("span.dr-train-wrong", why);
    words.setAttribute("role", "alert");
    label.append(words);
    return true;
  };
  const send = async (body) => {
    const { name } = state.open;
    const answer = await ask(train.place(name), { method: "PATCH", body });
    if (state.open?.name === name) state.open = { ...state.open, ...answer };
    return answer;
  };
  const flush = async () => {
    clearTimeout(timer);
    const names = Object.keys(unsent);
    if (!names.length || !state.open) return true;
    const values = Object.fromEntries(names.map((name) => [name, unsent[name]]));
    told("Saving…");
    try {
      await send({ config: values });
      for (const name of names) if (unsent[name] === values[name]) delete unsent[name];
      wrong("");
      told("Settings are saved");
      paintMarks();
      return true;
    } catch (error) {
      const [, name, why] = error.message.match(/^(?:config\.)?([a-z_]+): (.*)$/s) ?? [];
      if (!wrong(names.includes(name) ? name : names.length === 1 ? names[0] : name, why ?? error.message)) say("The settings were not saved", error.message);
      told("Not saved yet");
      return false;
    }
  };
  const change = (name, value, rest = REST_MS) => {
    unsent[name] = value;
    told("Saving…");
    clearTimeout(timer);
    timer = setTimeout(flush, rest);
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) flush(); });
  document.addEventListener("input", (event) => {
    const box = event.target.closest?.(".dr-train-settings [name]");
    if (!box || !state.open || !option(box.name)) return;
    const value = read(box);
    const why = amiss(option(box.name), value);
    if (why) return wrong(box.name, why);
    change(box.name, value);
    if (box.name === "method") return paint();
    if (box.name === "checkpoint") return void flush().then(paint);
    for (const label of train.root().querySelectorAll(".dr-train-settings [data-field]")) label.hidden = !uses(label.dataset.field);
    paintOwn();
    return undefined;
  });

  // ---- Presets and models -------------------------------------------------------------------------------------------

  const family = () => {
    const title = config().checkpoint;
    return checkpoints?.find((row) => row.title === title)?.family ?? checkpoints?.[0]?.family ?? "";
  };
  const paintPresets = () => {
    const box = part("#train_preset");
    if (!box) return;
    const own = state.options.presets.filter((one) => one.method === config().method);
    const fitting = own.filter((one) => !one.families.length || !family() || one.families.includes(family()));
    const group = (words, rows) => {
      const found = make("optgroup", ...rows.map((one) => Object.assign(new Option(one.title, one.name), { title: one.note })));
      found.label = words;
      return found;
    };
    const others = own.filter((one) => !fitting.includes(one));
    box.replaceChildren(new Option("Choose to fill in values…", ""), ...(fitting.length ? [group("For this model", fitting)] : []), ...(others.length ? [group("For other models", others)] : []));
    box.disabled = !own.length;
  };
  const allModels = async () => {
    const rows = [];
    let next = "";
    do {
      const answer = await ask(`api/v2/models?${new URLSearchParams({ kind: "checkpoint", limit: 200, ...(next ? { cursor: next } : {}) })}`);
      rows.push(...answer.items);
      next = answer.next;
    } while (next);
    return rows;
  };
  const models = async () => {
    if (checkpoints?.length) return;
    checkpoints = await Promise.all([ask("api/v2/choices/checkpoints"), allModels()]).then(([titles, rows]) => titles.items.map(({ value }) => {
      const row = rows.find((one) => value === one.title || value.startsWith(`${one.title} [`) || value.startsWith(`${one.name} [`));
      return { title: value, family: row?.family ?? "", native_px: row?.native_px ?? 0 };
    }), () => []);
  };
  const fillModels = async () => {
    await models();
    const box = part("[name=checkpoint]");
    if (!box) return;
    const value = config().checkpoint;
    const titles = checkpoints.map((row) => row.title);
    box.replaceChildren(new Option("The model in use", ""), ...(value && !titles.includes(value) ? [new Option(value, value)] : []), ...titles.map((title) => new Option(title, title)));
    box.value = value;
    paintPresets();
    paintOwn();
  };
  const modelInUse = () => document.querySelector("#setting_sd_model_checkpoint input")?.value ?? "";
  // What a new session starts with: the model that is in use now, by its name, so that another choice later does not change it.
  const beginning = async (method) => {
    if (method === "captioner_lora") return { captioner: state.options.captioners[0] ?? "" };
    await models();
    const shown = modelInUse();
    return checkpoints.some((row) => row.title === shown) ? { checkpoint: shown } : {};
  };
  document.addEventListener("change", async (event) => {
    if (event.target.id !== "train_preset" || !event.target.value) return;
    const preset = state.options.presets.find((one) => one.name === event.target.value);
    if (!(await flush())) return;
    if (!(await attempt("The preset was not taken", () => send({ preset: preset.name })))) return;
    paint();
    told(`${preset.title}: ${count(Object.keys(preset.values).length, "value")} filled in`);
  });

  // ---- All of it ----------------------------------------------------------------------------------------------------

  const isChanged = (name) => JSON.stringify(config()[name]) !== JSON.stringify(option(name)?.default);
  const paintMarks = () => {
    for (const fold of train.root().querySelectorAll(".dr-train-settings details")) {
      const changed = [...fold.querySelectorAll("[data-field]")].filter((label) => !label.hidden && isChanged(label.dataset.field)).length;
      fold.querySelector("summary").dataset.changed = changed ? `${changed} changed` : "";
    }
  };
  const methods = () => {
    const cards = make("div.dr-train-methods", ...train.METHODS.map(([value, title, words]) => {
      const radio = Object.assign(make("input"), { type: "radio", name: "method", value, checked: config().method === value });
      return make("label", radio, make("strong", title), make("span.dr-quiet", words));
    }));
    cards.setAttribute("role", "radiogroup");
    return named(cards, "What is made");
  };
  const grid = (names) => make("div.dr-cap-grid", ...names.map(drawField).filter(Boolean));
  const draw = () => {
    const now = config();
    const first = FIRST[now.method] ?? FIRST.lora;
    const captions = now.method === "captioner_lora";
    const model = captions ? select([["", "Choose one"], ...state.options.captioners.map((name) => [name, name])], now.captioner, "captioner") : select([["", "The model in use"]], "", "checkpoint");
    const preset = Object.assign(make("select"), { id: "train_preset" });
    const place = { ...Object.fromEntries([...first, ...SAMPLES, ...ELSEWHERE].map((name) => [name, true])) };
    const groups = new Map();
    for (const one of state.options.fields) {
      if (place[one.name] || WITHOUT[now.method]?.has(one.name)) continue;
      groups.set(one.group, [...(groups.get(one.group) ?? []), one.name]);
    }
    const folds = [...groups].map(([group, names]) => make("details.dr-cap-fold", make("summary", GROUPS[group] ?? group), make("div", grid(names))));
    const samples = SAMPLES.filter((name) => !WITHOUT[now.method]?.has(name));
    const model_ = field(captions ? "Captioner" : "Model to start from", model);
    model_.dataset.field = captions ? "captioner" : "checkpoint";
    const saved = make("span.dr-train-saved.dr-quiet");
    saved.setAttribute("role", "status");
    return [
      make("div.dr-train-first", methods(), make("div.dr-cap-pair", model_, field("Preset", preset)), grid(first), make("h3", captions ? "On the way" : "Samples on the way"), make("div.dr-train-samples", ...samples.map(drawField)),
        make("div.dr-train-tools", action("Go to training", "train-step", { step: "run" }, "dr-button.dr-main"), saved)),
      make("div.dr-train-advanced", make("h3", "Advanced"), ...folds),
    ];
  };
  const paint = () => {
    const box = train.part(".dr-train-settings");
    if (!box) return;
    const open = new Set([...box.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
    const focused = document.activeElement?.closest?.(".dr-train-settings [name]");
    box.replaceChildren(...draw());
    for (const fold of box.querySelectorAll("details")) fold.open = open.has(fold.querySelector("summary").textContent);
    if (focused) box.querySelector(`[name="${focused.name}"]${focused.type === "radio" ? ":checked" : ""}`)?.focus({ preventScroll: true });
    paintMarks();
    if (part("[name=checkpoint]")) fillModels();
    else paintPresets();
  };
  train.drawers.settings = {
    flush,
    beginning,
    draw(panel) {
      panel.append(make("div.dr-train-settings"));
      paint();
    },
    leave() { flush(); },
  };
})();
