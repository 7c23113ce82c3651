"use strict";
// The Extensions tab's lists: drawn anew from /internal/extensions when the tab is opened and after everything that is done there.
// Texts come from extensions: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const GRADES = { A: "works as written", B: "works with limits", C: "is refused" };
  const state = { found: null };
  darkroom.extensionsState = state;
  darkroom.extensionsWords = { fault: (error) => error.message };

  const root = () => darkroom.byId("dr_ext");
  const part = (name) => root()?.querySelector(`.dr-ext-list[data-part=${name}]`);
  const date = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleDateString() : "");
  const raw = (element) => { element.dataset.raw = ""; return element; };
  const span = (text) => raw(make("span", text));

  // ---- One row -------------------------------------------------------------------------------------------------------

  const origin = (row) => {
    if (row.builtin) return [make("span", "comes with the program")];
    if (!row.origin) return [make("span", "a folder")];
    const { remote, branch, commit, date_s: when } = row.origin;
    return [span(remote || "git"), span(branch), span(commit.slice(0, 8)), span(date(when))];
  };
  const facts = (row) => {
    const told = [];
    if (row.jobs) told.push(make("span", `${row.seconds < 0.01 ? "<0.01" : row.seconds.toFixed(2)} s a job (latest ${row.jobs})`));
    if (row.hooks.length) told.push(span(`uses ${row.hooks.join(", ")}`));
    if (row.changed.length) told.push(span(`changed ${row.changed.join(", ")}`));
    if (row.page?.length) told.push(span(`adds ${row.page.join(", ")}`));
    if (row.update?.said) told.push(span(row.update.said));
    return told;
  };
  const grade = (row) => {
    if (!row.grade) return [];
    const mark = make("span.dr-ext-grade", row.grade);
    mark.dataset.grade = row.grade;
    mark.title = `${row.grade}: ${GRADES[row.grade]}`;
    return [mark];
  };
  const toggle = (row) => {
    const box = make("input");
    Object.assign(box, { type: "checkbox", checked: row.enabled || row.off.startsWith("it needs"), disabled: !state.found.changes });
    box.dataset.name = row.folder;
    box.setAttribute("aria-label", `Use ${row.name}`);
    return box;
  };
  const buttons = (row) => {
    const bar = make("div.dr-ext-acts");
    if (!state.found.changes || row.folder === undefined) return bar;
    const installs = !state.found.installs;
    if (installs && (row.wants.file || row.wants.missing.length)) bar.append(action("Set up", "ext-setup", { name: row.folder }));
    if (installs && row.origin && !row.builtin) bar.append(action("Update", "ext-update", { name: row.folder }));
    if (!row.builtin) bar.append(action("Remove", "ext-remove", { name: row.folder }));
    return bar;
  };
  const list = (lines) => (lines.length ? [raw(make("ul", ...lines.map((line) => make("li", line))))] : []);
  const faults = (row) => row.faults.map((guest) => {
    const line = raw(make("p", `${guest.name}: ${guest.off ? "switched off after" : ""} ${guest.faults} fault${guest.faults === 1 ? "" : "s"} in a row, at last in ${guest.hook}: ${guest.text} `));
    if (state.found.changes) line.append(action("Try again", "ext-forgive", { guest: guest.name }));
    return line;
  });

  // ---- Options -------------------------------------------------------------------------------------------------------

  const control = (option) => {
    const id = `setting_${option.key}`;
    if (option.kind === "note") return raw(make("p.dr-quiet", String(option.value ?? "")));
    let box;
    if (option.kind === "choice" && option.choices.length) {
      box = make("select");
      box.append(...option.choices.map((choice) => new Option(String(choice), JSON.stringify(choice), false, JSON.stringify(choice) === JSON.stringify(option.value))));
    } else {
      box = make("input");
      box.type = { bool: "checkbox", number: "number" }[option.kind] ?? "text";
      if (option.kind === "bool") box.checked = Boolean(option.value);
      else box.value = option.kind === "many" ? (option.value ?? []).join(", ") : option.value ?? "";
      for (const [name, value] of [["min", option.minimum], ["max", option.maximum], ["step", option.step ?? (option.kind === "number" ? "any" : null)]]) {
        if (value !== null && value !== undefined) box.setAttribute(name, value);
      }
    }
    box.id = id;
    box.dataset.option = option.key;
    box.dataset.kind = option.choices.length && option.kind === "choice" ? "json" : option.kind;
    box.disabled = !state.found.changes;
    const label = raw(make("label", option.label));
    label.htmlFor = id;
    return make("div.dr-ext-option", label, box, ...(option.note ? [raw(make("small", option.note))] : []));
  };
  const options = (row, open) => {
    if (!row.options.length) return [];
    const fold = make("details", make("summary", "Options"), ...row.options.map(control));
    fold.open = open.has(row.folder ?? row.name);
    fold.dataset.of = row.folder ?? row.name;
    return [fold];
  };

  const drawn = (row, open) => {
    const title = raw(make("strong", row.folder ?? row.name));
    const head = make("div.dr-ext-head", ...(row.folder === undefined ? [] : [toggle(row)]), title, ...grade(row), buttons(row));
    const facts_ = make("div.dr-facts", ...(row.folder === undefined ? [] : origin(row)), ...facts(row));
    const off = row.enabled === false ? [raw(make("p", `Off: ${row.off}.`))] : [];
    const missing = row.wants?.missing.length ? [raw(make("p", `Not installed: ${row.wants.missing.join(", ")}`))] : [];
    const box = make("li.dr-ext-row", head, facts_, ...off, ...missing, ...list([...(row.problem ? [row.problem] : []), ...row.reasons]), ...faults(row), ...options(row, open));
    box.dataset.name = row.folder ?? row.name;
    box.dataset.on = String(row.enabled ?? true);
    return box;
  };

  // ---- The whole -----------------------------------------------------------------------------------------------------

  const paint = () => {
    const { found } = state;
    if (!root() || !found) return;
    const open = new Set([...root().querySelectorAll("details[open]")].map((fold) => fold.dataset.of));
    part("extensions").replaceChildren(...found.extensions.map((row) => drawn(row, open)));
    part("scripts").replaceChildren(...found.scripts.map((row) => drawn(row, open)));
    part("bin").replaceChildren(...found.bin.map((row) => make("li.dr-ext-row", make("div.dr-ext-head", raw(make("strong", row.name)), span(row.time), make("div.dr-ext-acts", ...(found.changes ? [action("Put back", "ext-restore", { place: row.place })] : []))))));
    root().querySelector(".dr-ext-bin").hidden = !found.bin.length;
    root().querySelector(".dr-ext-none").hidden = found.extensions.length > 0;
    const why = root().querySelector(".dr-ext-why");
    why.hidden = !found.installs;
    why.textContent = found.installs ? `Nothing can be installed from here: ${found.installs}.` : "";
    for (const box of root().querySelectorAll("#dr_ext_form input, #dr_ext_form button")) box.disabled = Boolean(found.installs);
    root().querySelector("[data-do=ext-check]").disabled = Boolean(found.installs);
    const restart = darkroom.byId("dr_ext_restart");
    restart.disabled = !found.restart;
    restart.title = found.restart ? "The server starts again and the page with it; waiting jobs stay" : "Start the program again by hand";
    const all = darkroom.byId("dr_ext_all");
    all.value = found.all;
    all.disabled = !found.changes;
    const language = darkroom.byId("dr_ext_language");
    language.replaceChildren(...found.languages.map((name) => new Option(name, name, false, name === found.language)));
    language.disabled = !found.changes;
    paintErrand(found.errand);
  };
  const paintErrand = (errand) => {
    const box = root().querySelector(".dr-ext-errand");
    box.hidden = !errand.number;
    box.classList.toggle("dr-fault", Boolean(errand.fault));
    box.querySelector("strong").textContent = errand.busy ? `${errand.title} …` : errand.title;
    box.querySelector("pre").textContent = [...errand.lines, ...errand.notes, ...(errand.fault ? [errand.fault] : [])].join("\n");
    box.querySelector("pre").dataset.state = errand.busy ? "busy" : errand.fault ? "failed" : "done";
  };
  const load = async () => {
    try {
      state.found = await darkroom.ask("internal/extensions");
      paint();
      return true;
    } catch (error) {
      say(`The list could not be read: ${error.message}`);
      return false;
    }
  };
  const say = (text) => { if (root()) root().querySelector(".dr-ext-said").textContent = text; };
  darkroom.extensions = { load, paint, paintErrand, say, root };
  darkroom.onTab((now) => { if (now === "extensions") darkroom.later(load, "#dr_ext"); });
})();
