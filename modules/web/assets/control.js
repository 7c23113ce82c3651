"use strict";
// What the ControlNet units of txt2img and img2img hold. It is one value of each form, JSON in a hidden box, so that a reload, a pasted
// text and a job's "Edit" bring it back; control_panel.js shows it. Pictures are sent once; here are only their references.
(() => {
  const darkroom = window.darkroom;
  const PICTURES = ["image", "mask", "effective_region_mask"];
  const UNSENT = "unsent"; // not a reference: the server refuses it in words rather than making a picture without the unit
  const ECHO_MS = 1500; // what was written comes back from the form within this time
  const state = Object.fromEntries(["txt2img", "img2img"].map((tab) => [tab, { units: [], text: "", written: new Map(), checkpoint: "" }]));
  const sending = {}; // "tab.n.field" -> promise of whether the picture arrived
  const fallen = new Set(); // pictures that did not
  const facts = {}; // tab -> what the server told last; of the model before while another one is asked about

  // ---- The units --------------------------------------------------------------------------------------------------

  const unit = (tab, n) => state[tab].units[n] ?? {};
  const textOf = (tab) => {
    const units = [...state[tab].units];
    while (units.length && !Object.keys(units.at(-1) ?? {}).length) units.pop();
    return units.length ? JSON.stringify(units.map((one) => one ?? {})) : "";
  };
  const mark = (tab) => {
    const on = state[tab].units.filter((one) => one?.enabled).length;
    darkroom.markFold(`${tab}_controlnet`, on ? `${on} ${on === 1 ? "unit" : "units"} on` : "");
  };
  const write = (tab) => {
    const mine = state[tab];
    mine.written.set(mine.text, Date.now()); // the form may still tell of the one before
    mine.text = textOf(tab);
    mine.written.set(mine.text, Date.now());
    darkroom.write(`${tab}_control_units`, mine.text);
    mark(tab);
  };
  // changes: field -> value; undefined puts a field back to where it starts.
  const set = (tab, n, changes) => {
    const mine = state[tab];
    while (mine.units.length <= n) mine.units.push({});
    const next = { ...mine.units[n], ...changes };
    for (const name of Object.keys(next)) if (next[name] === undefined) delete next[name];
    mine.units[n] = next;
    write(tab);
    darkroom.controlPanel?.sync(tab, n);
  };

  const parsed = (text) => {
    try {
      return JSON.parse(text) ?? [];
    } catch {
      return [];
    }
  };
  // A pasted text says everything about its units, and pictures where the server has them; others stay. Units that it lacks were off.
  const merged = (before, pasted) => {
    const count = Math.max(before.length, pasted.length);
    return Array.from({ length: count }, (_, n) => {
      const old = before[n] ?? {};
      if (!pasted[n] || pasted[n].enabled === false) return Object.fromEntries(Object.entries(old).filter(([name]) => name !== "enabled"));
      const kept = Object.fromEntries(PICTURES.filter((name) => name in old && !pasted[n][name]).map((name) => [name, old[name]]));
      return { ...pasted[n], ...kept, ...(kept.image && old.size ? { size: old.size } : {}), enabled: true };
    });
  };
  // What the form holds now; called whenever it changes, also with what was written here a moment ago.
  darkroom.controlChanged = (tab, text, checkpoint) => {
    const mine = state[tab];
    mine.checkpoint = checkpoint ?? "";
    const now = Date.now();
    for (const [old, time] of mine.written) if (now - time > ECHO_MS) mine.written.delete(old);
    if (text !== mine.text && !mine.written.has(text)) {
      const found = parsed(text);
      mine.units = Array.isArray(found) ? found : merged(mine.units, found.pasted ?? []);
      mine.text = text;
      if (!Array.isArray(found)) write(tab);
      darkroom.controlPanel?.changed(tab);
    }
    mark(tab);
    darkroom.controlPanel?.follow(tab);
  };

  // The value a run is to have: what the form holds, once the pictures that are on their way have arrived.
  const settled = async (tab) => {
    darkroom.controlPanel?.flush(tab);
    const mine = Object.keys(sending).filter((key) => key.startsWith(`${tab}.`));
    await Promise.all(mine.map((key) => sending[key]));
    return mine.length > 0;
  };
  darkroom.controlUnits = async (tab, value) => {
    const waited = await settled(tab);
    if (!waited && ![...fallen].some((key) => key.startsWith(`${tab}.`))) return value;
    const units = structuredClone(state[tab].units);
    for (const key of fallen) {
      const [where, n, field] = key.split(".");
      if (where !== tab) continue;
      units[n] = { ...units[n], enabled: true, [field]: UNSENT };
      fallen.delete(key); // said once; the next run is without it
    }
    return JSON.stringify(units);
  };

  // ---- Pictures ---------------------------------------------------------------------------------------------------

  // blob: the file, or a promise of it. Of two that are put on the same place, the later one counts. Resolves to whether it arrived.
  const take = (tab, n, field, blob) => {
    const key = `${tab}.${n}.${field}`;
    fallen.delete(key);
    const work = (async () => {
      try {
        const { reference, width, height } = await darkroom.inputs.post(await blob);
        if (sending[key] !== work) return sending[key] ?? true;
        delete sending[key];
        set(tab, n, { [field]: reference, ...(field === "image" ? { enabled: true, size: [width, height] } : {}) });
        return true;
      } catch (error) {
        if (sending[key] !== work) return sending[key] ?? true;
        delete sending[key];
        fallen.add(key);
        darkroom.tell("The picture of a ControlNet unit could not be taken", error.message);
        set(tab, n, { [field]: undefined, ...(field === "image" ? { size: undefined } : {}) });
        return false;
      }
    })();
    sending[key] = work;
    return work;
  };
  const remove = (tab, n, field) => {
    delete sending[`${tab}.${n}.${field}`];
    fallen.delete(`${tab}.${n}.${field}`);
    set(tab, n, { [field]: undefined, ...(field === "image" ? { size: undefined } : {}) });
  };

  // From the gallery: into the unit that is open, or the first without a picture.
  (darkroom.pictureTargets ??= {}).controlnet = async (url) => {
    const blob = await darkroom.inputs.fetchPicture(url);
    const tab = darkroom.tab();
    darkroom.showTab(tab);
    const label = document.querySelector(`#${tab}_controlnet > button.label-wrap`);
    if (!label?.classList.contains("open")) label?.click();
    const free = Array.from({ length: state[tab].units.length + 1 }, (_, n) => n).find((n) => !unit(tab, n).image) ?? 0;
    const n = Math.min(free, (facts[tab]?.units ?? 3) - 1);
    darkroom.controlPanel.choose(tab, n);
    if (!(await take(tab, n, "image", blob))) throw new Error("The server did not take it");
    darkroom.byId(`${tab}_controlnet`)?.scrollIntoView({ block: "nearest" });
  };

  // ---- What there is ----------------------------------------------------------------------------------------------

  // Lists and words for the model that is chosen above. again: look for new files first.
  const ask = async (tab, again = false) => {
    const { checkpoint } = state[tab];
    const found = await darkroom.ask(`internal/control?${new URLSearchParams({ checkpoint, again })}`);
    if (checkpoint === state[tab].checkpoint || !facts[tab]) facts[tab] = found;
  };

  // ---- What a panel shows of a unit -----------------------------------------------------------------------------------

  const stem = (title) => title.replace(/ \[[0-9a-f]*\]$/, "").replace(/\.(safetensors|ckpt|pt|pth|bin)$/, "");
  // A pasted text may call a preprocessor by another of its names, and a model by a hash that is not known here yet.
  const own = (known, field, name) => {
    if (field === "module") return known.aliases[name] ?? name;
    return known.models[name] || name === "None" ? name : Object.keys(known.models).find((title) => stem(title) === stem(name)) ?? name;
  };
  const value = (tab, n, field) => {
    const known = facts[tab];
    const held = unit(tab, n)[field] ?? known.knobs[field]?.value;
    return field === "module" || field === "model" ? own(known, field, held) : held;
  };

  darkroom.control = { state, value, settled, unit, set, take, remove, ask, sending: (tab, n, field) => Boolean(sending[`${tab}.${n}.${field}`]), known: (tab) => facts[tab] };
})();
