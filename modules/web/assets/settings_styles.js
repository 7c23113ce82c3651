"use strict";
// Styles on the Settings tab: listed, added, changed, deleted, each step with a way back. The file is A1111's styles.csv.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const { views, raw, say, ask, attempt, root } = darkroom.settings_;
  const NEW = "";
  const state = { rows: [], damage: "", open: null, words: "", undo: null };

  const found = () => state.rows.find((row) => row.name === state.open);
  const field = (words, name, value, long) => {
    const box = Object.assign(make(long ? "textarea" : "input"), { value, spellcheck: false, ...(long ? { rows: 4 } : { type: "text", maxLength: 200 }) });
    box.name = name;
    return make("label.dr-set-field", make("span", words), box);
  };
  const entries = () => {
    const words = state.words.toLowerCase();
    const rows = state.rows.filter((row) => `${row.name} ${row.prompt} ${row.negative_prompt}`.toLowerCase().includes(words));
    return rows.map((row) => {
      const button = raw(action(row.name, "style-open", { name: row.name }, "dr-set-entry"));
      if (row.name === state.open) button.setAttribute("aria-current", "true");
      return make("li", button);
    });
  };
  const form = () => {
    if (state.open === null) return make("p.dr-quiet", state.rows.length ? "Choose a style, or add one." : "There are no styles yet. A style is a piece of prompt with a name, chosen beside the prompt.");
    const row = found() ?? { name: "", prompt: "", negative_prompt: "" };
    const off = !darkroom.settings_.state.found.changes;
    const box = make("form.dr-set-style", field("Name", "name", row.name, false), field("Prompt", "prompt", row.prompt, true), field("Negative prompt", "negative_prompt", row.negative_prompt, true), make("p.dr-quiet", "{prompt} stands for the prompt that the style is added to; without it the style goes behind a comma."));
    const keep = action(state.open === NEW ? "Add the style" : "Keep the changes", "style-keep", {}, "dr-button.dr-main");
    const acts = make("div.dr-set-acts", keep, ...(state.open === NEW ? [] : [action("Delete", "style-delete", {}, "dr-button.dr-danger")]));
    for (const one of [...acts.children, ...box.querySelectorAll("input, textarea")]) one.disabled = off;
    box.append(acts);
    return box;
  };
  const undoLine = () => (state.undo ? [make("p.dr-set-undo", raw(make("span", `${state.undo.words} `)), action("Undo", "style-undo", {}, "dr-link"))] : []);
  const draw = () => {
    const place = root()?.querySelector(".dr-set-page");
    if (!place) return;
    const search = Object.assign(make("input"), { type: "search", value: state.words, placeholder: "Search styles", ariaLabel: "Search styles" });
    search.dataset.styles = "";
    const add = action("Add a style", "style-new");
    add.disabled = !darkroom.settings_.state.found.changes;
    const damage = state.damage ? [raw(make("p.dr-box.dr-warning", `styles.csv cannot be changed: ${state.damage}`))] : [];
    const list = make("div.dr-set-list", make("div.dr-set-acts", search, add), make("ul", ...entries()));
    place.replaceChildren(make("section.dr-set-section", make("h2", "Styles"), ...damage, ...undoLine(), make("div.dr-set-two", list, form())));
  };
  const load = async () => {
    const answer = await attempt("The styles could not be read", () => ask("internal/styles"));
    if (!answer) return;
    Object.assign(state, answer);
    draw();
  };
  views.set("Styles", { draw: (place) => { place.replaceChildren(); state.undo = null; load(); } });

  // words: what was done; back: requests that undo it, one after another.
  const change = async (title, path, body, words, back, open) => {
    const done = await attempt(title, () => ask(path, body));
    if (!done) return false;
    Object.assign(state, { open, undo: back ? { words, back } : null });
    say(words);
    darkroom.press("refresh_sd_model_checkpoint"); // the menus of styles beside the prompts
    await load();
    return true;
  };
  const typed = () => Object.fromEntries([...root().querySelectorAll(".dr-set-style [name]")].map((box) => [box.name, box.value]));
  const save = () => {
    const values = { ...typed() };
    values.name = values.name.trim();
    if (state.open === NEW) {
      return change("The style was not added", "internal/styles", values, `“${values.name}” was added.`, [["internal/styles/delete", { name: values.name }]], values.name);
    }
    const before = found();
    return change("The style was not changed", "internal/styles", { ...values, was: state.open }, `“${values.name}” was changed.`, [["internal/styles", { ...before, was: values.name }]], values.name);
  };
  darkroom.on("style-open", (button) => { state.open = button.dataset.name; draw(); });
  darkroom.on("style-new", () => { state.open = NEW; draw(); root().querySelector(".dr-set-style [name=name]").focus(); });
  darkroom.on("style-keep", save);
  darkroom.on("style-delete", () => {
    const row = found();
    change("The style was not deleted", "internal/styles/delete", { name: row.name }, `“${row.name}” was deleted.`, [["internal/styles", { ...row, place: state.rows.indexOf(row) }]], null);
  });
  darkroom.on("style-undo", async () => {
    const { back } = state.undo;
    for (const [path, body] of back) if (!(await change("This could not be undone", path, body, "Undone.", null, body.was ? body.name : null))) return;
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches?.(".dr-set-style")) return;
    event.preventDefault();
    save();
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset?.styles === undefined) return;
    state.words = event.target.value;
    root().querySelector(".dr-set-list ul").replaceChildren(...entries());
  });
})();
