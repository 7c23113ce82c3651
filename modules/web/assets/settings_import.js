"use strict";
// Taking over the folder of A1111, Forge or SD.Next: first what would happen, then doing it, then what was done and the way back.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const { views, raw, say, ask, attempt, load, state, pieces } = darkroom.settings_;
  const NAME = "Import from A1111";
  const LOOK_MS = 700;
  const MODELS = [["reference", "Use them where they lie"], ["link", "Hard links in this program's folder (no room taken)"], ["leave", "Leave them out"]];
  const PARTS = [["settings", "Settings"], ["defaults", "Defaults of the forms"], ["styles", "Styles"], ["pictures", "Pictures: found in the History where they lie"]];
  let folder = darkroom.store.get("import.folder", "");
  let found = null; // what the look at the folder told
  let rows = [];
  let timer = 0;

  const page = () => darkroom.settings_.part(".dr-set-page");
  const open = () => state.where === NAME && !state.words && !state.changedOnly && darkroom.currentTab() === "settings";
  const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;

  const files = (list, words) => list.map((row) => raw(make("li", make("strong", row.kind === "pictures" ? "" : row.kind), ` ${count(row.files, "file")}, ${darkroom.size(row.size_bytes)}${row.old ? `, ${row.old} of them pickles, to be converted on the Models tab` : ""}${words && !row.linkable ? " (on another disk: used where they lie)" : ""} `, make("code", row.folder))));
  const report = () => {
    const { settings, defaults, styles } = found;
    const taken = [...settings.taken, ...settings.later.map((row) => ({ ...row, label: `${row.label} (once its file is here)` }))];
    const choice = make("select");
    choice.id = "dr_import_models";
    choice.append(...MODELS.map(([value, words]) => new Option(words, value)));
    const ticks = PARTS.map(([name, words]) => {
      const box = Object.assign(make("input"), { type: "checkbox", checked: true });
      box.dataset.import = name;
      return make("label.dr-set-tick", box, " ", words);
    });
    return [
      make("h3", "What would be taken over"), raw(make("p", make("strong", found.program), ` ${found.folder}`)),
      ...(found.sure ? [] : [make("p.dr-quiet", "There is more: the counting was ended early.")]),
      make("h4", `Settings: ${taken.length}`), ...(taken.length ? [pieces.table(taken)] : []), make("p.dr-quiet", `${count(settings.same, "setting")} so already.`), ...pieces.left(settings.left),
      ...(settings.unknown.length ? [make("details", make("summary", `Unknown here, kept for extensions: ${settings.unknown.length}`), raw(make("p", settings.unknown.join(", "))))] : []),
      make("h4", `Defaults of the forms: ${defaults.taken.length}`), ...(defaults.taken.length ? [raw(make("ul.dr-set-plain", ...defaults.taken.map((row) => make("li", make("code", row.key), ` ${pieces.word(row.then)}`))))] : []), ...pieces.left(defaults.left),
      make("h4", `Styles: ${styles.count}`), raw(make("p", styles.new.join(", "))),
      make("h4", "Models"), make("ul.dr-set-plain", ...files(found.models, true)),
      make("h4", "Pictures"), make("ul.dr-set-plain", ...files(found.pictures, false)),
      ...(found.problems.length ? [make("details", make("summary", `Could not be used: ${found.problems.length}`), raw(make("ul", ...found.problems.map((line) => make("li", line)))))] : []),
      make("div.dr-set-choices", make("label.dr-set-field", make("span", "Models"), choice), ...ticks),
      make("div.dr-set-acts", action("Take this over", "import-do", {}, "dr-button.dr-main"), make("span.dr-quiet", "Nothing in that folder is moved or changed.")),
    ];
  };
  const done = (row) => {
    const { counts, job } = row;
    const words = [[counts.settings + counts.later, "setting"], [counts.defaults, "default"], [counts.styles, "style"], [counts.models, "folder of models", "folders of models"], [counts.pictures, "folder of pictures", "folders of pictures"]].filter(([n]) => n).map(([n, one, many]) => count(n, one, many));
    if (job?.notes.linked !== undefined) words.push(count(job.notes.linked, "linked file"));
    if (job?.notes.pictures !== undefined) words.push(`${count(job.notes.pictures, "picture")} read`);
    const busy = job && ["queued", "running"].includes(job.state);
    const bar = busy ? [Object.assign(make("progress"), { max: 1, value: job.fraction }), make("span.dr-quiet", job.text || "waiting"), action("Cancel", "import-stop", { job: job.id })] : [];
    const fate = job && !busy && job.state !== "done" ? [raw(make("p.dr-set-fault", `The rest was not done (${job.state}). ${job.fault}`))] : [];
    const acts = row.undone ? [make("span.dr-quiet", "undone")] : busy ? [] : [action("Undo", "import-undo", { id: row.id })];
    return make("li.dr-set-import", make("div", raw(make("strong", row.folder)), " ", raw(make("span.dr-quiet", new Date(row.made_s * 1000).toLocaleString()))), raw(make("div", words.join(", "))), ...fate, ...(job?.warnings.length ? [raw(make("ul", ...job.warnings.map((line) => make("li", line))))] : []), make("div.dr-set-acts", ...bar, ...acts));
  };
  const draw = () => {
    const place = page();
    if (!place || !open()) return;
    if (state.found.here) return void place.replaceChildren(pieces.section(NAME, raw(make("p.dr-box.dr-warning", `This cannot be done from here: ${state.found.here}.`)), raw(make("p.dr-quiet", "python launch.py import FOLDER"))));
    const box = Object.assign(make("input"), { type: "text", value: folder, id: "dr_import_folder", placeholder: "/path/to/stable-diffusion-webui", spellcheck: false, autocomplete: "off" });
    const form = make("form.dr-set-look", make("label.dr-set-field", make("span", "Folder of A1111, Forge or SD.Next"), box), Object.assign(action("Look what is there", "import-look"), { type: "submit" }));
    form.querySelector("button").removeAttribute("data-do");
    const past = rows.length ? [make("h3", "Imports so far"), make("ul.dr-set-plain", ...rows.map(done))] : [];
    place.replaceChildren(pieces.section(NAME, make("p.dr-quiet", "Settings, styles, models and pictures of another program, used from here. First you see what would happen; nothing in that folder is moved or changed, and each import can be undone."), form, ...(found ? report() : []), ...past));
  };
  const look = async () => {
    clearTimeout(timer);
    if (!open() || state.found.here) return;
    const answer = await attempt("The imports could not be read", () => ask("internal/imports"));
    if (!answer) return;
    const before = JSON.stringify(rows);
    rows = answer.rows;
    if (before !== JSON.stringify(rows)) draw();
    if (rows.some((row) => row.job && ["queued", "running"].includes(row.job.state))) timer = setTimeout(look, LOOK_MS);
  };
  views.set(NAME, { draw: () => { draw(); look(); } });

  document.addEventListener("submit", async (event) => {
    if (!event.target.matches?.(".dr-set-look")) return;
    event.preventDefault();
    folder = darkroom.byId("dr_import_folder").value.trim();
    darkroom.store.set("import.folder", folder);
    found = await attempt("The folder cannot be used", () => ask("internal/imports/look", { folder }));
    draw();
  });
  darkroom.on("import-do", async (button) => {
    button.disabled = true;
    const chosen = Object.fromEntries([...page().querySelectorAll("[data-import]")].map((box) => [box.dataset.import, box.checked]));
    const answer = await attempt("Nothing was taken over", () => ask("internal/imports", { folder, models: darkroom.byId("dr_import_models").value, ...chosen }));
    button.disabled = false;
    if (!answer) return;
    found = null;
    await load();
    say("Taken over. Models that are used where they lie are there after a restart.");
    darkroom.settingKept("quicksettings_list");
  });
  darkroom.on("import-undo", async (button) => {
    const answer = await attempt("The import was not undone", () => ask("internal/imports/undo", { id: button.dataset.id }));
    if (!answer) return;
    await load();
    say("Undone.");
    if (answer.left.length) darkroom.tell("Some things were changed since and stay", answer.left.join("\n"));
    darkroom.settingKept("quicksettings_list");
  });
  darkroom.on("import-stop", async (button) => {
    await attempt("It could not be cancelled", () => ask(`internal/jobs/${encodeURIComponent(button.dataset.job)}/cancel`, {}));
    look();
  });
})();
