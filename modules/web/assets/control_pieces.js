"use strict";
// The pieces that a panel of a ControlNet unit is made of: boxes to tick, lists, sliders, buttons, with the ids that the well-known
// extension gives them. A piece puts its inputs into panel.inputs and hands what a person enters to panel.take(field, value).
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const WRITE_PAUSE_MS = 150; // a slider that is being moved
  // field -> the well-known extension's id of its control
  const IDS = {
    enabled: "enable_checkbox", low_vram: "low_vram_checkbox", pixel_perfect: "pixel_perfect_checkbox", type: "type_filter_radio",
    module: "preprocessor_dropdown", model: "model_dropdown", processor_res: "preprocessor_resolution_slider", threshold_a: "threshold_A_slider",
    threshold_b: "threshold_B_slider", weight: "control_weight_slider", guidance_start: "start_control_step_slider", guidance_end: "ending_control_step_slider",
    control_mode: "control_mode_radio", resize_mode: "resize_mode_radio", hr_option: "hr_option_radio", union_control_type: "union_control_type_dropdown",
    masks: "mask_upload_checkbox", inpaint_crop_input_image: "crop_input_image_checkbox", save_detected_map: "save_detected_map_checkbox",
  };

  const idOf = (tab, n, name) => `${tab}_controlnet_ControlNet-${n}_${name}`;
  const field = (panel, name, ...inside) => {
    const box = make("div.dr-field", ...inside);
    box.id = idOf(panel.tab, panel.n, `controlnet_${IDS[name]}`);
    return box;
  };
  const tick = (panel, name, words, help = "") => {
    const input = Object.assign(make("input"), { type: "checkbox" });
    input.addEventListener("change", () => panel.take(name, input.checked));
    const label = make("label.dr-check", input, words);
    label.title = help;
    panel.inputs[name] = input;
    return field(panel, name, label);
  };
  // choices: [value, words, disabled]; filled anew by `fill`.
  const list = (panel, name, words, help) => {
    const select = make("select");
    select.addEventListener("change", () => panel.take(name, select.value));
    const label = make("label", make("span", words), select);
    label.title = help;
    panel.inputs[name] = select;
    return field(panel, name, label);
  };
  const fill = (select, groups, chosen) => {
    const look = JSON.stringify(groups);
    if (select.dataset.look !== look) {
      select.dataset.look = look;
      select.replaceChildren(...groups.flatMap(([title, choices]) => {
        const options = choices.map(([to, words, off]) => Object.assign(make("option", words ?? to), { value: to, disabled: Boolean(off) }));
        if (!title) return options;
        const group = Object.assign(make("optgroup", ...options), { label: title });
        return [group];
      }));
    }
    if (![...select.options].some((option) => option.value === chosen)) {
      select.append(Object.assign(make("option", `${chosen} (not here)`), { value: chosen }));
      delete select.dataset.look;
    }
    select.value = chosen;
  };
  const slider = (panel, name, help = "") => {
    const words = make("span");
    const number = Object.assign(make("input"), { type: "number", inputMode: "decimal" });
    const range = Object.assign(make("input"), { type: "range" });
    let due = 0;
    const take = (text, at_once) => {
      const given = Number(text);
      if (text === "" || !Number.isFinite(given)) return;
      const to = Math.min(Number(number.max), Math.max(Number(number.min), given));
      clearTimeout(due);
      number.value = to;
      if (at_once) panel.take(name, to);
      else due = setTimeout(() => panel.take(name, to), WRITE_PAUSE_MS);
    };
    range.addEventListener("input", () => { fillTrack(range); take(range.value, false); });
    range.addEventListener("change", () => take(range.value, true));
    number.addEventListener("change", () => take(number.value, true));
    const label = make("label", words, number);
    label.title = help;
    const box = field(panel, name, label, range);
    box.classList.add("dr-ranged");
    panel.inputs[name] = { box, words, number, range };
    return box;
  };
  const setSlider = ({ box, words, number, range }, spec, to) => {
    box.hidden = !spec;
    if (!spec) return;
    words.textContent = spec.label;
    for (const input of [number, range]) {
      Object.assign(input, { min: spec.low, max: spec.high, step: spec.step || "any" });
      if (document.activeElement !== input) input.value = to;
    }
    range.setAttribute("aria-label", spec.label);
    fillTrack(range);
  };
  // The part of the track before the thumb, whose middle never comes nearer to an end than half its width.
  const fillTrack = (range) => {
    const share = (range.value - range.min) / (range.max - range.min || 1);
    range.style.setProperty("--at", `calc(8px + (100% - 16px) * ${share})`);
  };
  const button = (panel, words, elem, act, title) => {
    const made = Object.assign(make("button.dr-button", words), { type: "button", id: idOf(panel.tab, panel.n, elem), title });
    made.addEventListener("click", act);
    return made;
  };

  darkroom.controlPieces = { idOf, tick, list, fill, slider, setSlider, button };
})();
