"use strict";
// The forms: each browser tab keeps its own while it lives, the browser and the server keep the newest for a tab that is opened later,
// here or on another device. Also which tab is shown, and the small words beside the controls that follow from their values.
(() => {
  const darkroom = window.darkroom;
  const TABS = ["txt2img", "img2img"];

  // ---- Which tab is shown -----------------------------------------------------------------------------------------

  let tab = "txt2img";
  darkroom.generateTabs = TABS;
  darkroom.tab = () => tab; // the latest of the two that was shown
  darkroom.showTab = (name) => {
    darkroom.byId(`tab_${name}-button`)?.click();
    return [];
  };
  darkroom.currentTab = () => document.querySelector("#tabs [role=tab][aria-selected=true]")?.dataset.tabId;

  // The queue and the drawer of networks are there once, and go along with the tab.
  const settle = () => {
    for (const slot of document.querySelectorAll(`#tab_${tab} .dr-slot`)) {
      const moved = darkroom.byId(slot.dataset.slot);
      if (moved && moved.parentElement !== slot) slot.append(moved);
    }
  };
  const shown = [];
  darkroom.onTab = (action) => {
    shown.push(action);
    if (document.body?.dataset.tab) darkroom.later(() => action(darkroom.currentTab()), "#tabs"); // a script that came late
  };
  const tabChanged = () => {
    const now = darkroom.currentTab();
    if (TABS.includes(now)) tab = now;
    document.body.dataset.tab = now;
    darkroom.later(() => { // the content of a tab is made when it is opened for the first time
      settle();
      nameTools();
      for (const action of shown) action(now);
    }, TABS.includes(now) ? `#${now}_queue .dr-slot` : "#tabs");
  };

  // ---- Values -----------------------------------------------------------------------------------------------------

  // Storage of this browser tab alone; it lives as long as the tab does, over reloads.
  const session = (name, value) => {
    try {
      if (value !== undefined) sessionStorage.setItem(`darkroom.${name}`, JSON.stringify(value));
      return JSON.parse(sessionStorage.getItem(`darkroom.${name}`));
    } catch {
      return null; // closed or full, as in core.js
    }
  };
  darkroom.session = session;
  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  darkroom.same = same;
  const SEND_AFTER_MS = 1500, AGAIN_MS = 10000, KEEPALIVE_CHARS = 60000;
  const own = {}; // name of a tab -> what its form holds in this browser tab
  const due = {}; // name -> when it was changed (ms), of forms that the server has not heard of
  let sending = 0;
  darkroom.formOf = (name) => own[name] ?? session(`form.${name}`) ?? darkroom.store.get(`form.${name}`, {});

  // Once a form is as it should be: what is written into a box reaches it a moment later. Answers false when patience_ms are over.
  const waitingFor = new Set();
  darkroom.formUntil = (name, fits, patienceMs = 0) => new Promise((done) => {
    if (fits(darkroom.formOf(name))) return void done(true);
    const look = (changed) => { if (changed === name && fits(own[name])) end(true); };
    const end = (found) => { waitingFor.delete(look); done(found); };
    waitingFor.add(look);
    if (patienceMs) setTimeout(end, patienceMs, false);
  });
  darkroom.formHas = (name, field, value) => darkroom.formUntil(name, (form) => same(form[field], value));

  // Only a change is kept and sent: a form that was restored and left alone must not go before what another tab changed since.
  darkroom.keepForm = (name, values) => {
    const before = darkroom.formOf(name);
    const changed = Object.keys(values).some((field) => !(field in before) || !same(values[field], before[field]));
    own[name] = values;
    session(`form.${name}`, values);
    for (const look of [...waitingFor]) look(name);
    if (!changed) return;
    darkroom.store.set(`form.${name}`, values);
    darkroom.store.set(`form.${name}.at`, Date.now());
    due[name] = Date.now();
    clearTimeout(sending);
    sending = setTimeout(() => send(), SEND_AFTER_MS);
  };
  // leaving: the page may be gone before the answer, so a short form is sent in the way that outlives it.
  const send = async (leaving = false) => {
    for (const [name, since] of Object.entries(due)) {
      delete due[name];
      const body = JSON.stringify({ tab: name, values: own[name], age_s: Math.max(0, (Date.now() - since) / 1000) });
      try {
        const options = { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: leaving && body.length < KEEPALIVE_CHARS };
        await fetch("internal/form", options); // refused, as it is longer than the server keeps: it stays in this browser
      } catch {
        due[name] ??= since; // no server: it hears of it later
        clearTimeout(sending);
        sending = setTimeout(() => send(), AGAIN_MS);
      }
    }
  };
  const leave = () => { if (Object.keys(due).length) send(true); };
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); });

  // A control has another value. Those that change together, as when a form is filled, are kept together.
  const fresh = {}; // name of a tab -> {field: value} that the form does not hold yet
  let gathering = 0;
  darkroom.saveField = (name, field, value) => {
    if (window.__booted || typed.has(places[name]?.[field]?.id)) (fresh[name] ??= {})[field] = value;
    if (window.__booted) gathering ||= setTimeout(gather);
    return [];
  };
  const gather = () => {
    gathering = 0;
    for (const [name, values] of Object.entries(fresh)) {
      delete fresh[name];
      const form = { ...darkroom.formOf(name), ...values };
      darkroom.keepForm(name, form);
      remark(name, form);
      darkroom.formChanged?.(name, form);
    }
  };

  // What the server has, asked for while the page is still being put together.
  const ANSWER_MS = 4000;
  const late = new Promise((done) => { setTimeout(done, ANSWER_MS, null); });
  darkroom.mine = darkroom.ask("internal/form").catch(() => null);
  // This browser tab's own; for a tab that was just opened the newer of the browser's and the server's, both told by this clock.
  darkroom.startOf = async (name) => {
    const mine = session(`form.${name}`);
    if (mine) return mine;
    const here = darkroom.store.get(`form.${name}`, null);
    const there = (await Promise.race([darkroom.mine, late]))?.forms?.[name];
    if (!there) return here ?? {};
    const changed = darkroom.store.get(`form.${name}.at`, 0);
    return here && changed >= Date.now() - there.age_s * 1000 - SEND_AFTER_MS ? here : there.values;
  };
  // A page is seen before its forms are restored: what is typed meanwhile stays.
  const typed = new Set();
  document.addEventListener("input", (event) => {
    if (window.__booted || !event.isTrusted) return;
    for (let at = event.target; at; at = at.parentElement) if (at.id) typed.add(at.id);
  }, true);

  // Elements by field, from what Gradio was told: the same order as the fields of loadForms. Answers all its outputs.
  let places = {};
  const findPlaces = (fields) => {
    const { components = [], dependencies = [] } = window.gradio_config ?? {};
    const outputs = dependencies.find((one) => String(one.js).includes("darkroom.loadForms("))?.outputs ?? [];
    const props = Object.fromEntries(components.map((one) => [one.id, one.props ?? {}]));
    places = {};
    fields.forEach(([name, field, built], i) => {
      const { elem_id: id = "", label = field } = props[outputs[i]] ?? {};
      (places[name] ??= {})[field] = { id, label, built };
    });
    return outputs;
  };
  // field -> {id, label, built: the value it began with}
  darkroom.placesOf = (name) => places[name] ?? {};
  // The field whose control an element belongs to; undefined for none.
  darkroom.fieldAt = (name, element) => Object.keys(darkroom.placesOf(name)).find((field) => {
    const { id } = places[name][field];
    return id && element?.closest?.(`[id="${id}"]`);
  });

  // A form that is filled later, of a tab that is built when it is opened. rows: [field, label, value it began with, id].
  darkroom.formBegins = (name, rows, values) => {
    places[name] = Object.fromEntries(rows.map(([field, label, built, id]) => [field, { id, label, built }]));
    own[name] = values;
  };

  // What has changed since the page was built, by output: asked for while Gradio still puts the page together, with what the forms will hold.
  const changed = (async () => {
    const { components = [], dependencies = [] } = window.gradio_config ?? {};
    const button = components.find((one) => one.props?.elem_id === "dr_fresh")?.id;
    const { id, inputs, outputs } = dependencies.find((one) => one.targets.some(([target]) => target === button));
    const kept = Object.fromEntries(await Promise.all(TABS.map(async (name) => [name, await darkroom.startOf(name)])));
    const built = Object.fromEntries(components.map((one) => [one.id, one.props?.value]));
    const data = darkroom.settings.asked.map(([name, field], i) => kept[name][field] ?? built[inputs[i]] ?? null);
    const answer = await darkroom.ask("gradio_api/run/predict", { fn_index: id, data, session_hash: "fresh" });
    return Object.fromEntries(outputs.map((output, i) => [output, answer.data[i]]));
  })().catch(() => ({}));

  // fields: [tab, name, value the page was built with], of the first outputs. What is as it was built is left alone: setting it again costs time.
  const SKIP = { __type__: "update" };
  darkroom.loadForms = async (fields) => {
    const outputs = findPlaces(fields);
    const kept = Object.fromEntries(await Promise.all(TABS.map(async (name) => [name, await darkroom.startOf(name)])));
    const news = (await Promise.race([changed, late])) ?? {};
    const updates = outputs.map((id, i) => {
      const given = news[id] ?? SKIP;
      const update = given.__type__ ? { ...given } : { ...SKIP, value: given };
      const [name, field, built] = fields[i] ?? [];
      if (!name) return update;
      if (typed.has(places[name][field].id)) delete update.value;
      else if (!("value" in update) && field in kept[name] && !same(kept[name][field], built)) update.value = kept[name][field];
      return update;
    });
    for (const name of TABS) own[name] = { ...kept[name] };
    fields.forEach(([name, field, built], i) => { own[name][field] = "value" in updates[i] ? updates[i].value : kept[name][field] ?? built; });
    return updates;
  };

  // A form is given values: some fields or all. The button's handler hands them to the controls.
  const given = {};
  darkroom.putForm = (name, values) => {
    darkroom.formLeft?.(name);
    given[name] = { ...given[name], ...values };
    darkroom.press(`${name}_put`);
  };
  darkroom.putting = (name, names) => {
    const values = given[name] ?? {};
    delete given[name];
    const now = darkroom.formOf(name);
    return names.map((field) => (field in values && !(field in now && same(values[field], now[field])) ? values[field] : SKIP));
  };

  const waiting = {};
  darkroom.wantedText = (name) => [JSON.stringify((waiting[name] ?? []).shift() ?? {})];
  // text: a parameters text; size: {width, height} to set in place of the text's.
  darkroom.fillForm = (name, text, size = {}) => {
    darkroom.formLeft?.(name);
    (waiting[name] ??= []).push({ text, ...size });
    darkroom.press(`${name}_fill`);
  };
  darkroom.given = (values) => values;

  // ---- Words beside controls --------------------------------------------------------------------------------------

  const note = (id, text) => {
    const place = document.querySelector(`#${id} .html-container, #${id} .prose`) ?? darkroom.byId(id);
    if (place && place.textContent !== text) place.textContent = text;
  };
  const px = (value) => Math.max(8, Math.floor(value / 8) * 8);
  // Source of the rule: A1111's hires pass; one side of 0 follows from the other.
  const hiresSize = (form) => {
    const [w, h, x, y] = [form.width, form.height, form.hr_resize_x, form.hr_resize_y].map(Number);
    if (!w || !h) return "";
    let to = [w * form.hr_scale, h * form.hr_scale];
    if (x || y) to = [x || (y * w) / h, y || (x * h) / w];
    return `${w}×${h} → ${px(to[0])}×${px(to[1])}`;
  };
  // Words beside the title of a part that folds; "" takes them away.
  darkroom.markFold = (id, words) => {
    const fold = darkroom.byId(id);
    if (!fold) return;
    fold.style.setProperty("--dr-changed", JSON.stringify(words));
    if (words) fold.dataset.changed = words;
    else delete fold.dataset.changed;
  };
  let starts = {}; // what the controls under "Advanced" begin with
  const remark = (name, form) => {
    if (name === "txt2img") note("txt2img_hr_finalres", form.enable_hr ? hiresSize(form) : "");
    if (name === "img2img") darkroom.sizeChanged?.(form);
    darkroom.styleChanged?.(name, form.style_image ?? "");
    darkroom.gridFormChanged?.(name, form);
    darkroom.controlChanged?.(name, form.control_units ?? "", form.sd_model_checkpoint);
    const changed = Object.entries(starts[name] ?? {}).filter(([field, start]) => field in form && String(form[field] ?? "") !== String(start ?? "")).length;
    darkroom.markFold(`${name}_advanced`, changed ? `${changed} changed` : "");
  };

  const remarkAgain = () => remark(tab, darkroom.formOf(tab));

  const nameTools = () => document.querySelectorAll("button.tool:not([title])").forEach((button) => { button.title = button.textContent.trim(); });
  const hintStyles = () => document.querySelectorAll("[id$=_styles] input").forEach((input) => input.setAttribute("placeholder", "Styles"));

  // Called once the forms have been restored and brought up to date.
  darkroom.booted = (built) => {
    starts = built;
    nameTools();
    hintStyles();
    darkroom.dress();
    window.__booted = true;
    gather();
    // Tiles of pictures carry the same attribute, and some tabs within tabs are written anew with what they had.
    new MutationObserver((changes) => {
      if (changes.some(({ target, oldValue }) => target.role === "tab" && oldValue !== target.ariaSelected)) tabChanged();
    }).observe(darkroom.byId("tabs"), { subtree: true, attributes: true, attributeFilter: ["aria-selected"], attributeOldValue: true });
    new MutationObserver(facts).observe(darkroom.byId("dr_notices"), { subtree: true, childList: true });
    darkroom.onTab(() => { hintStyles(); facts(); remarkAgain(); });
    tabChanged();
    darkroom.startJobs();
    darkroom.startQueue();
    darkroom.startGrids();
    (window.requestIdleCallback ?? setTimeout)(() => darkroom.loadRest());
    return [];
  };

  darkroom.facts = () => {
    try {
      return JSON.parse(darkroom.byId("dr_facts").dataset.facts);
    } catch {
      return {};
    }
  };
  // Controls that only some models have use for.
  const facts = () => { document.body.toggleAttribute("data-edits", Boolean(darkroom.facts().edits)); };

  darkroom.on("example", (button) => {
    darkroom.write("txt2img_prompt", button.textContent);
    darkroom.byId("txt2img_prompt").querySelector("textarea").focus();
  });
})();
