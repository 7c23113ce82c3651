"use strict";
// The ControlNet units as they are shown: tabs, one panel a unit, drawn from what /internal/control tells when the part is opened. What
// they hold is control.js's; a panel writes it there and is brought up to date from there. Names come from files: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action, control } = darkroom;
  const { value } = control;
  const { idOf, tick, list, fill, slider, setSlider, button } = darkroom.controlPieces;
  const { canvasOf, put, show, showMasks, flush } = darkroom.controlCanvases;
  const { preview, useMap, sendSize, closeMap, follow, OF_MODULE, AS_THEY_WERE } = darkroom.controlMap;
  const NONE = "None";
  const ALL = "All";
  const TICKS = ["low_vram", "pixel_perfect", "save_detected_map", "inpaint_crop_input_image"]; // beside "enabled", which starts off here
  const views = {}; // tab -> {root, panels: Map(n -> panel), chosen, checkpoint}

  // ---- A panel ----------------------------------------------------------------------------------------------------

  const build = (tab, n) => {
    const known = control.known(tab);
    const panel = { tab, n, template: views[tab].template, inputs: {}, canvases: {}, buttons: {}, map: null };
    panel.take = (name, to) => taken(panel, name, to);
    const words = (name) => known.knobs[name].label;
    const help = (name) => known.knobs[name].help;
    panel.picture = Object.assign(make("img"), { alt: "The control map", id: idOf(tab, n, "generated_image") });
    panel.caption = make("figcaption");
    panel.caption.setAttribute("role", "status");
    const close = Object.assign(make("button.dr-close"), { type: "button", title: "Close the map" });
    close.setAttribute("aria-label", "Close the map");
    close.addEventListener("click", () => closeMap(panel));
    panel.figure = make("figure.dr-map", panel.picture, panel.caption, close);
    panel.figure.hidden = true;
    panel.said = make("p.dr-control-said");
    panel.said.setAttribute("role", "alert");
    panel.said.hidden = true;
    panel.note = make("p.dr-control-note");
    panel.masks = make("div.dr-control-pictures.dr-control-masks");
    panel.buttons = {
      preview: button(panel, "Preview the map", "controlnet_trigger_preprocessor", () => preview(panel), "Run the preprocessor on the picture and show what it makes"),
      use: button(panel, "Use the map as picture", "controlnet_use_preview_as_input", () => useMap(panel), "The map becomes the unit's picture, without a preprocessor"),
      size: button(panel, "Size to Width and Height", "controlnet_send_dimension_button", () => sendSize(panel), "The form takes the size of the unit's picture"),
    };
    const refresh = Object.assign(action("", "control-refresh", { tab }, "dr-icon.icon-refresh"), { title: "Look for new models", id: idOf(tab, n, "controlnet_refresh_models") });
    refresh.setAttribute("aria-label", "Look for new models");
    const root = make("div.dr-unit",
      make("div.dr-checks", tick(panel, "enabled", words("enabled"), help("enabled")), tick(panel, "low_vram", words("low_vram"), help("low_vram")), tick(panel, "pixel_perfect", words("pixel_perfect"), help("pixel_perfect"))),
      make("div.dr-control-pictures", canvasOf(panel, "image"), panel.figure),
      make("div.dr-control-acts", ...Object.values(panel.buttons)), darkroom.controlBatch.rowOf(panel), panel.several, panel.said,
      make("div.dr-control-lists.dr-control-choice",
        list(panel, "type", "Control Type", "Narrows the two lists beside it, and chooses what goes together."),
        list(panel, "module", words("module"), help("module")),
        make("div.dr-control-model", list(panel, "model", words("model"), help("model")), refresh)),
      panel.note,
      make("div.dr-control-sliders", ...OF_MODULE.map((name) => slider(panel, name, help(name)))),
      make("div.dr-control-sliders", ...["weight", "guidance_start", "guidance_end"].map((name) => slider(panel, name, help(name)))),
      make("div.dr-control-lists", ...["control_mode", "resize_mode", ...(tab === "txt2img" ? ["hr_option"] : []), "union_control_type"].map((name) => list(panel, name, words(name), help(name)))),
      make("div.dr-checks", tick(panel, "masks", "Masks", "What of the picture counts, and where in the result the unit counts"), tick(panel, "save_detected_map", words("save_detected_map"), help("save_detected_map")),
        ...(tab === "img2img" ? [tick(panel, "inpaint_crop_input_image", words("inpaint_crop_input_image"), help("inpaint_crop_input_image"))] : [])), panel.masks);
    panel.masks.hidden = true;
    root.id = idOf(tab, n, "panel");
    root.setAttribute("role", "tabpanel");
    root.setAttribute("aria-labelledby", idOf(tab, n, "tab"));
    panel.root = root;
    return panel;
  };

  const fitting = (known, titles) => titles.filter((title) => title === NONE || known.models[title]?.fits !== false);
  const taken = (panel, name, to) => {
    if (name === "masks") return showMasks(panel, to);
    if (name === "type") return chooseType(panel, to);
    if (name === "enabled") return control.set(panel.tab, panel.n, { enabled: to || undefined });
    return control.set(panel.tab, panel.n, { [name]: to === control.known(panel.tab).knobs[name].value ? undefined : to, ...(name === "module" ? AS_THEY_WERE : {}) });
  };
  const chooseType = (panel, name) => {
    const known = control.known(panel.tab);
    const type = known.types.find((one) => one.name === name);
    const titles = fitting(known, type.models);
    const model = known.modules[type.module].free ? NONE : titles.find((title) => title !== NONE) ?? NONE;
    control.set(panel.tab, panel.n, name === ALL ? { type: undefined } : { type: name, module: type.module, model, ...AS_THEY_WERE });
  };
  // The models of a type in two groups: those that go with the checkpoint, and the others, which cannot be chosen.
  const modelGroups = (known, titles) => {
    const there = titles.filter((title) => title !== NONE);
    const fit = there.filter((title) => known.models[title]?.fits !== false);
    const rest = there.filter((title) => !fit.includes(title));
    const others = rest.length ? [["For other models", rest.map((title) => [title, `${title} (${known.models[title].family || "unknown"})`, true])]] : [];
    return [["", [[NONE]]], ...(fit.length ? [[rest.length ? "For the model in use" : "", fit.map((title) => [title])]] : []), ...others];
  };
  const noteOf = (known, module, title) => {
    const parts = [known.modules[module]?.lacking].filter(Boolean);
    if (known.models[title]?.fits === false) parts.push(`${title} was made for ${known.models[title].family || "another family"}, the model in use is ${known.family}.`);
    else if (title === NONE && !known.modules[module]?.free && !known.types[0].models.some((one) => known.models[one]?.fits)) parts.push(`No ControlNet for ${known.family || "the model in use"} is here yet; put its file into ${known.folder}.`);
    return parts.join(" ");
  };

  const sync = (tab, n) => {
    const view = views[tab];
    if (!view) return;
    markTabs(tab);
    const panel = view.panels.get(n);
    const known = control.known(tab);
    if (!panel || !known) return;
    const unit = control.unit(tab, n);
    const { inputs } = panel;
    inputs.enabled.checked = Boolean(unit.enabled);
    for (const name of TICKS) if (inputs[name]) inputs[name].checked = Boolean(value(tab, n, name));
    const type = known.types.find((one) => one.name === unit.type) ?? known.types[0];
    const [module, model] = [value(tab, n, "module"), value(tab, n, "model")];
    fill(inputs.type, [["", known.types.map((one) => [one.name])]], type.name);
    fill(inputs.module, [["", type.modules.map((name) => [name, known.modules[name].shown, known.modules[name].absent])]], module);
    fill(inputs.model, modelGroups(known, type.models), model);
    for (const name of ["control_mode", "resize_mode", "hr_option", "union_control_type"]) if (inputs[name]) fill(inputs[name], [["", known.knobs[name].choices.map((one) => [one])]], value(tab, n, name));
    inputs.union_control_type.closest(".dr-field").hidden = !known.models[model]?.union;
    for (const name of OF_MODULE) {
      const spec = known.modules[module]?.sliders[name];
      const given = value(tab, n, name);
      const held = name === "processor_res" && value(tab, n, "pixel_perfect");
      setSlider(inputs[name], held ? null : spec, spec && given >= spec.low && given <= spec.high ? given : spec?.value);
    }
    for (const name of ["weight", "guidance_start", "guidance_end"]) setSlider(inputs[name], known.knobs[name], value(tab, n, name));
    panel.note.textContent = noteOf(known, module, model);
    panel.note.hidden = !panel.note.textContent;
    if ((unit.mask || unit.effective_region_mask) && panel.masks.hidden) showMasks(panel, true);
    for (const name of Object.keys(panel.canvases)) show(panel, name);
    darkroom.controlBatch.sync(panel);
    follow(panel);
  };

  // ---- The tabs ---------------------------------------------------------------------------------------------------

  const count = (tab) => Math.max(control.known(tab)?.units ?? 1, control.state[tab].units.length);
  const markTabs = (tab) => {
    const view = views[tab];
    if (!view) return;
    for (const one of view.root.querySelectorAll("[role=tab]")) {
      const n = Number(one.dataset.n);
      const on = Boolean(control.unit(tab, n).enabled);
      one.toggleAttribute("data-enabled", on);
      one.setAttribute("aria-label", `Unit ${n}${on ? ", on" : ""}`);
      one.setAttribute("aria-selected", String(n === view.chosen));
      one.tabIndex = n === view.chosen ? 0 : -1;
    }
  };
  const tabsOf = (tab) => {
    const bar = make("div.dr-unit-tabs", ...Array.from({ length: count(tab) }, (_, n) => {
      const one = Object.assign(make("button", `Unit ${n}`), { type: "button", id: idOf(tab, n, "tab") });
      Object.assign(one.dataset, { do: "control-unit", tab, n });
      one.setAttribute("role", "tab");
      one.setAttribute("aria-controls", idOf(tab, n, "panel"));
      return one;
    }));
    bar.id = `${tab}_controlnet_tabs`;
    bar.setAttribute("role", "tablist");
    bar.setAttribute("aria-label", "ControlNet units");
    return bar;
  };
  const beside = (bar, step) => {
    const tab = bar.id.replace("_controlnet_tabs", "");
    choose(tab, (views[tab].chosen + step + count(tab)) % count(tab));
    bar.children[views[tab].chosen].focus();
  };
  darkroom.keys("ControlNet units", (event) => event.target.closest?.(".dr-unit-tabs"), [
    ["ArrowRight", "Unit on the right", (bar) => beside(bar, darkroom.rightward())],
    ["ArrowLeft", "Unit on the left", (bar) => beside(bar, -darkroom.rightward())],
  ]);
  const choose = (tab, n) => {
    const view = views[tab];
    darkroom.store.set(`control.${tab}`, n);
    if (!view) return;
    view.chosen = n;
    if (!control.known(tab)) return;
    if (!view.panels.has(n)) {
      const panel = build(tab, n);
      view.panels.set(n, panel);
      view.root.append(panel.root);
    }
    for (const panel of view.panels.values()) panel.root.hidden = panel.n !== n;
    sync(tab, n);
  };
  darkroom.on("control-unit", (one) => choose(one.dataset.tab, Number(one.dataset.n)));
  darkroom.on("control-refresh", (one) => fetchFacts(one.dataset.tab, true));

  // ---- When it is opened, and when the form or the model changes --------------------------------------------------

  const redraw = (tab) => {
    const view = views[tab];
    const bar = view.root.querySelector(".dr-unit-tabs");
    if (bar?.children.length !== count(tab)) {
      bar?.remove();
      view.root.prepend(tabsOf(tab));
    }
    choose(tab, Math.min(view.chosen, count(tab) - 1));
    for (const n of view.panels.keys()) sync(tab, n);
  };
  const fetchFacts = async (tab, again = false) => {
    const view = views[tab];
    view.checkpoint = control.state[tab].checkpoint;
    const waiting = view.root.querySelector(".dr-control-wait");
    try {
      await control.ask(tab, again);
      waiting.hidden = true;
      redraw(tab);
    } catch (error) {
      view.checkpoint = null;
      waiting.textContent = `The lists could not be fetched (${error.message}). Close this part and open it again.`;
      waiting.hidden = false;
    }
  };
  darkroom.controlPanel = {
    sync, choose,
    flush: (tab) => [...(views[tab]?.panels.values() ?? [])].map(flush).some(Boolean),
    changed: (tab) => { if (views[tab] && control.known(tab)) redraw(tab); },
    follow: (tab) => { if (views[tab] && views[tab].checkpoint !== null && views[tab].checkpoint !== control.state[tab].checkpoint) fetchFacts(tab); },
  };

  const mount = (root) => {
    const { tab } = root.dataset;
    root.dataset.on = "yes";
    views[tab] = { root, template: root.querySelector("template"), panels: new Map(), chosen: darkroom.store.get(`control.${tab}`, 0), checkpoint: null };
    fetchFacts(tab);
  };
  const mountNew = () => { for (const root of document.querySelectorAll(".dr-units:not([data-on])")) mount(root); };
  const watched = new Set();
  darkroom.onTab((tab) => {
    const fold = darkroom.generateTabs.includes(tab) && !watched.has(tab) && darkroom.byId(`${tab}_controlnet`);
    if (!fold) return;
    watched.add(tab);
    new MutationObserver((changes) => {
      mountNew();
      const opened = changes.some((change) => change.target === fold || change.target.matches?.("button.label-wrap"));
      if (opened && views[tab]?.checkpoint === null) fetchFacts(tab);
    }).observe(fold, { subtree: true, childList: true });
    mountNew();
  });

  // Ctrl+V goes to the canvas that has the focus, or to the picture of the unit whose controls have it.
  document.addEventListener("paste", (event) => {
    const at = document.activeElement;
    const root = at?.closest?.(".dr-unit");
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!root || !file) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const tab = root.closest(".dr-units").dataset.tab;
    put(views[tab].panels.get(views[tab].chosen), at.closest(".dr-canvas")?.dataset.field ?? "image", file);
  }, true);
})();
