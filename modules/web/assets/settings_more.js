"use strict";
// Pages of the Settings tab that are no list of settings: what the forms begin with, older versions, settings as a file.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const { views, raw, say, ask, attempt, load, state } = darkroom.settings_;

  const word = (value) => {
    if (value === true || value === false) return value ? "on" : "off";
    const text = Array.isArray(value) ? value.join(", ") : value && typeof value === "object" ? JSON.stringify(value) : String(value ?? "");
    return text === "" ? "empty" : text.length > 120 ? `${text.slice(0, 120)}…` : text;
  };
  // A table of what is and what would be. rows: [{label, key, now, then}].
  const table = (rows, now = "Now", then = "Then") => {
    const cell = (tag, text, value) => { const box = make(tag, text); return value ? raw(box) : box; };
    const head = make("tr", cell("th", "Setting"), cell("th", now), cell("th", then));
    const body = rows.map((row) => make("tr", make("th", raw(make("span", row.label)), " ", raw(make("code", row.key))), cell("td", word(row.now), true), cell("td", word(row.then), true)));
    return make("div.dr-set-scroll", make("table.dr-set-table", make("thead", head), make("tbody", ...body)));
  };
  const left = (rows) => (rows.length ? [make("details", make("summary", `Left as they are: ${rows.length}`), raw(make("ul", ...rows.map(([name, why]) => make("li", make("code", name), ` ${why}`)))))] : []);
  const section = (name, ...inside) => make("section.dr-set-section", make("h2", name), ...inside);
  darkroom.settings_.pieces = { word, table, left, section };
  // What is fetched may come after another page was opened.
  const fresh = async (name, place, title, path, draw) => {
    const answer = await attempt(title, () => ask(path));
    if (answer && state.where === name && !state.words && !state.changedOnly) draw(place, answer);
  };

  // ---- What the forms begin with -----------------------------------------------------------------------------------------------

  const DEFAULTS = "Defaults of the forms";
  const TEXTS = ["prompt", "negative_prompt", "seed", "styles"]; // chosen only when a person wants them
  let looked = null; // {tab, rows}
  const offered = () => {
    if (!looked) return [];
    if (!looked.rows.length) return [make("p.dr-quiet", "The form is just as it begins.")];
    const rows = looked.rows.map((row) => {
      const box = Object.assign(make("input"), { type: "checkbox", checked: !TEXTS.includes(row.name) });
      box.dataset.begin = row.name;
      return make("li", make("label", box, " ", raw(make("strong", row.label)), raw(make("span", ` ${word(row.now)} → ${word(row.value)}`))));
    });
    return [make("ul.dr-set-plain", ...rows), make("div.dr-set-acts", action("Keep these as defaults", "begin-keep", {}, "dr-button.dr-main"))];
  };
  const drawDefaults = (place, answer) => {
    const buttons = ["txt2img", "img2img"].map((tab) => Object.assign(action(`Take the ${tab} form as it is now`, "begin-look", { tab }), { disabled: !state.found.changes }));
    const own = answer.rows.map((row) => make("li", raw(make("strong", `${row.tab}: ${row.label}`)), raw(make("span", ` ${word(row.value)} `)), ...(state.found.changes ? [action(`Back to ${word(row.own)}`, "begin-back", { key: row.key }, "dr-link")] : [])));
    const kept = own.length ? [make("ul.dr-set-plain", ...own), ...(state.found.changes ? [make("div.dr-set-acts", action("All back to the program's own", "begin-all"))] : [])] : [make("p.dr-quiet", "Every control begins as the program's own do.")];
    place.replaceChildren(section(DEFAULTS, make("p.dr-quiet", "What the controls of the forms begin with, in ui-config.json. The page takes changes up with the next start of the program; a form that somebody has filled keeps its values."), make("div.dr-set-acts", ...buttons), ...offered(), make("h3", "Different from the program's own"), ...kept));
  };
  const showDefaults = (place) => fresh(DEFAULTS, place, "The defaults could not be read", "internal/form-defaults", drawDefaults);
  views.set(DEFAULTS, { draw: (place) => { place.replaceChildren(); looked = null; showDefaults(place); } });
  const page = () => darkroom.settings_.part(".dr-set-page");
  const values = (tab) => darkroom.formOf(tab);
  darkroom.on("begin-look", async (button) => {
    const { tab } = button.dataset;
    const answer = await attempt("The form could not be taken", () => ask("internal/form-defaults/look", { tab, values: values(tab) }));
    if (!answer) return;
    looked = { tab, rows: answer.rows };
    await showDefaults(page());
  });
  const settle = async (title, path, body, words) => {
    if (!(await attempt(title, () => ask(path, body)))) return;
    looked = null;
    await showDefaults(page());
    say(words);
  };
  darkroom.on("begin-keep", () => {
    const names = [...page().querySelectorAll("[data-begin]:checked")].map((box) => box.dataset.begin);
    const chosen = Object.fromEntries(looked.rows.filter((row) => names.includes(row.name)).map((row) => [row.name, row.value]));
    settle("The defaults were not kept", "internal/form-defaults", { tab: looked.tab, values: chosen }, "Kept. The page begins so after the next start of the program.");
  });
  darkroom.on("begin-back", (button) => settle("The default was not changed", "internal/form-defaults/forget", { keys: [button.dataset.key] }, "Back to the program's own."));
  darkroom.on("begin-all", () => settle("The defaults were not changed", "internal/form-defaults/forget", {}, "Back to the program's own."));

  // ---- Older versions ----------------------------------------------------------------------------------------------------------

  const OLDER = "Older versions";
  const drawOlder = (place, answer) => {
    const rows = answer.rows.map((row) => {
      const count = row.changes.length;
      const acts = state.found.changes && count ? [action("Go back to this one", "older-take", { n: row.n, saved: row.saved_s })] : [];
      const fold = make("details", make("summary", raw(make("strong", new Date(row.saved_s * 1000).toLocaleString())), ` ${count ? `${count} other value${count === 1 ? "" : "s"}` : "the same values"}`), ...(count ? [table(row.changes)] : []), make("div.dr-set-acts", ...acts));
      return fold;
    });
    place.replaceChildren(section(OLDER, make("p.dr-quiet", "config.json as it was before the latest changes. Going back makes the present one an older version too, so nothing is lost."), ...(rows.length ? rows : [make("p.dr-quiet", "Nothing was changed yet.")])));
  };
  views.set(OLDER, { draw: (place) => { place.replaceChildren(); fresh(OLDER, place, "The older versions could not be read", "internal/settings/older", drawOlder); } });
  darkroom.on("older-take", async (button) => {
    if (!(await attempt("The older version was not taken", () => ask("internal/settings/restore", { n: Number(button.dataset.n), saved_s: Number(button.dataset.saved) })))) return;
    await load();
    say("The older version is in use.");
    darkroom.settingKept("quicksettings_list");
  });

  // ---- As a file ---------------------------------------------------------------------------------------------------------------

  const FILE = "Export and import";
  let brought = null; // {file, answer}
  const drawFile = (place) => {
    const chooser = Object.assign(make("input"), { type: "file", accept: ".json,application/json", id: "dr_set_file" });
    const label = make("label.dr-set-field", make("span", "A file of settings, or a config.json"), chooser);
    const out = action("Download what differs from the defaults", "file-out");
    for (const one of [out, chooser]) one.disabled = !state.found.changes;
    const told = brought ? [brought.answer.changes.length ? table(brought.answer.changes) : make("p.dr-quiet", "Nothing in it differs from what is set now."), ...left(brought.answer.left), ...(brought.answer.changes.length ? [make("div.dr-set-acts", action("Take these over", "file-in", {}, "dr-button.dr-main"))] : [])] : [];
    place.replaceChildren(section(FILE, make("div.dr-set-acts", out), label, ...told));
  };
  views.set(FILE, { draw: (place) => { brought = null; drawFile(place); } });
  darkroom.on("file-out", async () => {
    const answer = await attempt("The settings could not be exported", () => ask("internal/settings/export"));
    if (!answer) return;
    const file = new Blob([JSON.stringify(answer, null, 4)], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "darkroom-settings.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  document.addEventListener("change", async (event) => {
    if (event.target.id !== "dr_set_file" || !event.target.files.length) return;
    const answer = await attempt("The file cannot be used", async () => {
      const text = await event.target.files[0].text();
      let file;
      try {
        file = JSON.parse(text);
      } catch (error) {
        throw new Error(`It is no JSON: ${error.message}`);
      }
      return { file, answer: await ask("internal/settings/import", { file, dry: true }) };
    });
    brought = answer;
    drawFile(page());
  });
  darkroom.on("file-in", async () => {
    const answer = await attempt("The settings were not taken over", () => ask("internal/settings/import", { file: brought.file }));
    if (!answer) return;
    await load();
    say(`${answer.changes.length} settings were taken over.`);
    darkroom.settingKept("quicksettings_list");
  });
})();
