"use strict";
// The Settings tab: pages of settings, search, changing them. One request brings all of it; a page is drawn when it is opened.
// What else stands there has scripts of its own: settings_styles.js, settings_more.js, settings_import.js; its pages are `darkroom.settings_.views`.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const TYPING_MS = 150;
  const BAR = "quicksettings_list";

  // found: the server's answer; where: the page that is shown; faults: key -> words of a refused change, with what was typed.
  const state = { found: null, where: darkroom.store.get("settings.where", ""), words: "", changedOnly: false, faults: new Map() };
  const views = new Map(); // name -> {draw(place)}: pages that are no list of settings
  const root = () => darkroom.byId("dr_settings");
  const part = (selector) => root()?.querySelector(selector);
  const raw = (element) => { element.dataset.raw = ""; return element; };
  const say = (text) => { if (root()) part(".dr-set-said").textContent = text; };

  // A request; a refusal is an Error with the server's words. field: the setting it names.
  const ask = async (path, body, timeout_ms = 60000) => {
    const options = { cache: "no-store", signal: AbortSignal.timeout(timeout_ms) };
    if (body !== undefined) Object.assign(options, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const answer = await fetch(path, options);
    if (answer.status === 401) darkroom.signedOut();
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    const words = [said.errors, said.message, said.detail].find((one) => typeof one === "string" && one);
    throw Object.assign(new Error(words ?? `${answer.status} ${answer.statusText}`), { field: said.field, status: answer.status });
  };
  // Do something and tell what went wrong; null then.
  const attempt = async (title, work) => {
    try {
      return (await work()) ?? true;
    } catch (error) {
      darkroom.tell(title, error.name === "TimeoutError" ? "The server did not answer in time; look again in a moment." : error.message);
      return null;
    }
  };

  // ---- Values ------------------------------------------------------------------------------------------------------------------

  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  const rows = () => state.found.pages.flatMap((page) => page.rows.map((row) => ({ ...row, page: page.name })));
  const changed = (row) => row.kind !== "note" && !same(row.value, row.default);
  const shownValue = (row, value) => {
    if (value === true) return "on";
    if (value === false) return "off";
    if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return "empty";
    const name = (one) => row.choices?.find(([key]) => same(key, one))?.[1] ?? String(one);
    return Array.isArray(value) ? value.map(name).join(", ") : name(value);
  };
  darkroom.settingValue = shownValue;

  // ---- Controls ----------------------------------------------------------------------------------------------------------------

  const number = (row) => {
    const box = Object.assign(make("input"), { type: "number", value: row.value ?? "", step: row.step ?? (row.kind === "int" ? 1 : "any") });
    if (row.low !== null) box.min = row.low;
    if (row.high !== null) box.max = row.high;
    return box;
  };
  const menu = (row) => {
    const box = make("select");
    const known = row.choices.some(([key]) => same(key, row.value));
    const gone = known || row.value === "" || row.value === null ? [] : [[row.value, `${row.value} (not here)`]];
    const none = known || gone.length ? [] : [["", "(automatic)"]];
    box.append(...[...none, ...gone, ...row.choices].map(([key, words]) => raw(new Option(words, JSON.stringify(key), false, same(key, row.value ?? "")))));
    return box;
  };
  // Several of a list, in an order of their own: moved, taken out and added by buttons.
  const several = (row) => {
    const box = make("div.dr-set-several");
    const list = make("ol");
    row.value.forEach((value, at) => {
      const words = shownValue(row, [value]);
      const act = (sign, name, what, off) => Object.assign(action(sign, "set-list", { key: row.key, at, what }, "dr-set-mini"), { title: name, ariaLabel: `${name}: ${words}`, disabled: off });
      list.append(make("li", raw(make("span", words)), act("↑", "Earlier", "up", !at), act("↓", "Later", "down", at === row.value.length - 1), act("×", "Take out", "out", false)));
    });
    const add = make("select");
    add.dataset.add = row.key;
    add.setAttribute("aria-label", `Add to ${row.label}`);
    add.append(new Option("Add…", ""), ...row.choices.filter(([key]) => !row.value.some((one) => same(one, key))).map(([key, words]) => raw(new Option(words === key ? words : `${words} (${key})`, JSON.stringify(key)))));
    box.append(list, add);
    return box;
  };
  const lines = (row) => Object.assign(make("textarea"), { value: row.value.map(String).join("\n"), rows: Math.min(8, Math.max(2, row.value.length + 1)), placeholder: "One a line" });
  const text = (row) => Object.assign(make(row.long ? "textarea" : "input"), { value: row.value ?? "", ...(row.long ? { rows: 2 } : { type: "text" }), spellcheck: false });
  const tick = (row) => Object.assign(make("input"), { type: "checkbox", checked: Boolean(row.value) });
  const control = (row) => {
    if (row.kind === "bool") return tick(row);
    if (row.kind === "list") return row.choices ? several(row) : lines(row);
    if (row.choices) return menu(row);
    return row.kind === "int" || row.kind === "float" ? number(row) : text(row);
  };
  const read = (row, box) => {
    if (row.kind === "bool") return box.checked;
    if (row.kind === "list") return box.value.split("\n").map((one) => one.trim()).filter(Boolean);
    if (row.choices) return JSON.parse(box.value);
    if (row.kind === "int" || row.kind === "float") return box.value.trim() === "" ? null : Number(box.value);
    return box.value;
  };
  // A control of a setting for any place: it has the id and is found again by data-set. off: it may not be changed.
  darkroom.settingControl = (row, id, off) => {
    const box = control(row);
    const inner = box.matches("div") ? [...box.querySelectorAll("button, select")] : [box];
    for (const one of inner) one.disabled ||= off;
    (inner.find((one) => one.matches("select, input, textarea")) ?? box).id = id;
    if (!box.matches("div")) box.dataset.set = row.key;
    return box;
  };
  darkroom.settingRead = read;

  // ---- One row -----------------------------------------------------------------------------------------------------------------

  const bounds = (row) => (row.low !== null && row.high !== null && row.kind !== "bool" ? `${row.low} to ${row.high}` : "");
  const inBar = (row) => state.found.bar.includes(row.key);
  const locked = (row) => !state.found.changes || (row.here && Boolean(state.found.here));
  const pin = (row) => {
    const button = raw(action(inBar(row) ? "★" : "☆", "set-pin", { key: row.key }, "dr-set-mini.dr-set-pin"));
    button.setAttribute("aria-pressed", String(inBar(row)));
    button.title = inBar(row) ? "Take out of the bar above the tabs" : "Put into the bar above the tabs";
    button.setAttribute("aria-label", `In the bar above the tabs: ${row.label}`);
    return button;
  };
  const drawRow = (row) => {
    const id = `set_${row.key}`;
    if (row.kind === "note") return make("div.dr-set-row", raw(make("p.dr-quiet", String(row.value ?? ""))));
    const label = make("label", row.label);
    label.htmlFor = id;
    const facts = make("div.dr-set-facts");
    if (row.help) facts.append(make("span", row.help));
    if (bounds(row)) facts.append(raw(make("span", bounds(row))));
    if (row.restart) facts.append(make("span.dr-set-restart", "Takes effect after a restart"));
    if (row.here && state.found.here) facts.append(make("span", "Can be changed only at the machine that the program runs on"));
    const acts = make("div.dr-set-acts");
    if (changed(row)) {
      acts.append(make("span.dr-set-mark", "Changed"));
      if (!locked(row)) acts.append(Object.assign(action("Back to the default", "set-back", { key: row.key }, "dr-link"), { ariaLabel: `Back to the default: ${row.label}` }), raw(make("span.dr-quiet", `(${shownValue(row, row.default)})`)));
    }
    const fault = state.faults.get(row.key);
    const box = darkroom.settingControl(fault ? { ...row, ...fault.typed } : row, id, locked(row));
    const told = raw(make("p.dr-set-fault", fault?.words ?? ""));
    told.id = `${id}_fault`;
    told.hidden = !fault;
    told.setAttribute("role", "alert");
    if (fault) for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", told.id]]) box.setAttribute(name, value);
    const name = make("div", label, ...(state.found.changes && !row.extension && row.key !== BAR ? [" ", pin(row)] : []));
    const line = make("div.dr-set-row", make("div.dr-set-name", name, raw(make("code", row.key)), facts), make("div.dr-set-control", box, told, acts));
    line.dataset.key = row.key;
    line.dataset.changed = String(changed(row));
    return line;
  };

  // ---- Pages -------------------------------------------------------------------------------------------------------------------

  const fits = (row, words) => words.every((word) => `${row.label} ${row.key} ${row.help} ${row.page} ${row.infotext ?? ""}`.toLowerCase().includes(word));
  const section = (name, list) => {
    const box = make("section.dr-set-section", make("h2", name), ...list.map(drawRow));
    box.setAttribute("aria-label", name);
    return box;
  };
  const matching = () => {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    return state.found.pages.map((page) => [page.name, page.rows.map((row) => ({ ...row, page: page.name })).filter((row) => fits(row, words) && (!state.changedOnly || changed(row)))]).filter(([, list]) => list.length);
  };
  const drawPage = () => {
    const place = part(".dr-set-page");
    if (state.words || state.changedOnly) {
      const found = matching();
      const count = found.reduce((sum, [, list]) => sum + list.length, 0);
      say(count ? `${count} setting${count === 1 ? "" : "s"}` : "");
      const nothing = make("p.dr-quiet", state.words ? "No setting has these words in its name, help or key." : "Every setting is as it came.");
      return place.replaceChildren(...(count ? found.map(([name, list]) => section(name, list)) : [nothing]));
    }
    if (views.has(state.where)) return views.get(state.where).draw(place);
    const page = state.found.pages.find((one) => one.name === state.where) ?? state.found.pages[0];
    return place.replaceChildren(section(page.name, page.rows));
  };
  const drawNav = () => {
    const nav = part(".dr-set-pages");
    const names = state.found.pages.map((page) => page.name);
    const open = views.has(state.where) || names.includes(state.where) ? state.where : names[0];
    const entry = (name, count) => {
      const button = action(name, "set-page", { page: name }, "dr-set-entry");
      if (count) button.append(raw(Object.assign(make("b", String(count)), { title: `${count} changed` })));
      if (name === open && !state.words && !state.changedOnly) button.setAttribute("aria-current", "page");
      return button;
    };
    nav.replaceChildren(...state.found.pages.map((page) => entry(page.name, page.rows.filter(changed).length)), make("hr"), ...[...views.keys()].map((name) => entry(name, 0)));
    const where = darkroom.byId("dr_set_where");
    where.replaceChildren(...[...names, ...views.keys()].map((name) => new Option(name, name, false, name === open)));
  };
  const drawWaiting = () => {
    const box = part(".dr-set-waiting");
    const { waiting, restart } = state.found;
    box.hidden = !waiting.length;
    const labels = rows().filter((row) => waiting.includes(row.key)).map((row) => row.label);
    box.replaceChildren(make("strong", "Some changes wait for a restart"), raw(make("p", labels.join(", "))), ...(restart ? [action("Restart now", "set-restart")] : [make("p.dr-quiet", "Start the program again at its machine.")]));
  };
  const paint = () => {
    if (!root() || !state.found) return;
    say(state.found.changes ? "" : "Only administrators change settings.");
    drawNav();
    drawWaiting();
    drawPage();
  };
  const load = async () => {
    try {
      state.found = await ask("internal/settings");
      paint();
    } catch (error) {
      part(".dr-set-page").replaceChildren(raw(make("p.dr-quiet", error.status === 403 ? "Settings are for people with an account of their own." : `The settings could not be read: ${error.message}`)));
    }
  };
  const go = (where) => {
    Object.assign(state, { where, words: "", changedOnly: false });
    darkroom.store.set("settings.where", where);
    darkroom.byId("dr_set_search").value = "";
    darkroom.byId("dr_set_changed").checked = false;
    paint();
  };

  // ---- Changing ----------------------------------------------------------------------------------------------------------------

  const take = (answer) => {
    const fresh = new Map(answer.pages.flatMap((page) => page.rows.map((row) => [row.key, row])));
    const { pages, ...standing } = answer;
    Object.assign(state.found, standing);
    for (const page of state.found.pages) page.rows = page.rows.map((row) => fresh.get(row.key) ?? row);
  };
  // Several changes may be on their way at once; each is one request, and the rows of its answer count.
  const keep = async (key, value, typed) => {
    const row = rows().find((one) => one.key === key);
    try {
      take(await ask("internal/settings", { values: { [key]: value } }));
      state.faults.delete(key);
      state.note = `Kept: ${row.label}`;
    } catch (error) {
      state.faults.set(key, { words: error.message.replace(`${key}: `, ""), typed: typed ?? {} });
      state.note = "";
    }
    const focused = document.activeElement?.id;
    const again = part(`[data-key="${CSS.escape(key)}"].dr-set-row`);
    again?.replaceWith(drawRow(rows().find((one) => one.key === key)));
    if (focused) darkroom.byId(focused)?.focus();
    drawNav();
    drawWaiting();
    say(state.note);
    if (!state.faults.has(key)) darkroom.settingKept(key);
  };
  // Whoever else shows settings: the bar above the tabs, and scripts of extensions.
  darkroom.settingKept = (key) => {
    darkroom.optionsChanged?.();
    darkroom.drawBar?.(key === BAR);
    if (key !== BAR && darkroom.byId(`setting_${key}`)?.matches(".block")) darkroom.press("refresh_sd_model_checkpoint");
  };
  const rowOf = (key) => rows().find((one) => one.key === key);
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.closest?.("#dr_settings")) return;
    if (box.id === "dr_set_where") return void go(box.value);
    if (box.id === "dr_set_changed") {
      state.changedOnly = box.checked;
      return void paint();
    }
    if (box.dataset.add) {
      const row = rowOf(box.dataset.add);
      return void (box.value && keep(row.key, [...row.value, JSON.parse(box.value)]));
    }
    const row = box.dataset.set && rowOf(box.dataset.set);
    if (!row) return;
    const value = read(row, box);
    keep(row.key, value, { value });
  });
  let typing = 0;
  document.addEventListener("input", (event) => {
    if (event.target.id !== "dr_set_search") return;
    clearTimeout(typing);
    typing = setTimeout(() => { state.words = event.target.value.trim(); paint(); }, TYPING_MS);
  });
  darkroom.on("set-page", (button) => go(button.dataset.page));
  darkroom.on("set-back", (button) => { state.faults.delete(button.dataset.key); keep(button.dataset.key, rowOf(button.dataset.key).default); });
  darkroom.on("set-list", (button) => {
    const row = rowOf(button.dataset.key);
    const list = [...row.value];
    const at = Number(button.dataset.at);
    const [one] = list.splice(at, 1);
    if (button.dataset.what !== "out") list.splice(button.dataset.what === "up" ? at - 1 : at + 1, 0, one);
    keep(row.key, list);
  });
  darkroom.on("set-pin", async (button) => {
    const { key } = button.dataset;
    const bar = state.found.bar;
    await keep(BAR, bar.includes(key) ? bar.filter((one) => one !== key) : [...bar, key]);
    part(`[data-key="${CSS.escape(key)}"].dr-set-row`)?.replaceWith(drawRow(rowOf(key)));
  });

  // Until the server answers again; then the page is loaded anew.
  const LOOK_MS = 500;
  darkroom.on("set-restart", async (button) => {
    button.disabled = true;
    if (!(await attempt("The program could not be started again", () => ask("internal/extensions/restart", {})))) return;
    say("Starting again…");
    let gone = false;
    for (let tries = 0; tries < 600; tries += 1) {
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
      try {
        const answer = await fetch("./", { cache: "no-store", signal: AbortSignal.timeout(5000) });
        gone ||= answer.headers.get("X-Darkroom-Page") === "starting";
        if (answer.ok && (gone || tries > 40)) return void location.reload();
      } catch {
        gone = true;
      }
    }
    say("The server did not come back; look at its window.");
  });

  darkroom.settings_ = { state, views, root, part, raw, say, ask, attempt, load, paint, rows, changed };
  darkroom.onTab((now) => { if (now === "settings") darkroom.later(load, "#dr_settings"); });
})();
