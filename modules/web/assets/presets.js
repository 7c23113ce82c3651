"use strict";
// Presets: fields of a form under a name, kept on the server for whoever is here; taken over, renamed, replaced, deleted.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const NEVER = ["begin", "style_image"]; // pictures, which are not kept for ever
  const PROMPTS = ["prompt", "negative_prompt"];
  const TITLES = { extras: "Extras" };

  let dialog = null;
  let tab = "txt2img";
  let names = [];
  const part = (selector) => dialog?.querySelector(selector);
  const say = (words, wrong = false) => {
    const line = part(".dr-preset-said");
    line.textContent = words;
    line.classList.toggle("dr-wrong", wrong);
  };
  const take = (mine) => {
    names = mine.presets?.[tab] ?? [];
    paint();
  };
  // A refusal of the server in its own words.
  const send = async (path, body) => {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ tab, ...body }) };
    const answer = await fetch(`internal/form/preset${path}`, options);
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.message ?? told.errors ?? `The server did not take it (${answer.status}).`);
    take(told);
  };
  const tried = async (work, done) => {
    try {
      await work();
      say(done);
    } catch (error) {
      say(error.message, true);
    }
  };

  // ---- The list -----------------------------------------------------------------------------------------------------

  const row = (name) => make(
    "li",
    action(name, "preset-load", { name }, "dr-preset-name"),
    action("Rename", "preset-rename", { name }, "dr-link"),
    action("Delete", "preset-delete", { name }, "dr-link"),
  );
  const paint = () => {
    const list = part(".dr-presets");
    if (!list) return;
    list.replaceChildren(...names.map(row));
    part(".dr-presets-none").hidden = names.length > 0;
  };

  darkroom.on("preset-load", ({ dataset: { name } }) => tried(async () => {
    const { values } = await darkroom.ask(`internal/form/preset?${new URLSearchParams({ tab, name })}`);
    const known = darkroom.placesOf(tab);
    const fields = Object.entries(values).filter(([field]) => field in known);
    darkroom.putForm(tab, Object.fromEntries(fields));
    dialog.close();
    const back = darkroom.generateTabs.includes(tab) ? ` ${darkroom.keysText("The form as it was sent before")} brings yours back.` : "";
    darkroom.say(tab, `${name}: ${fields.length === 1 ? "1 field" : `${fields.length} fields`}.${back}`);
  }, ""));
  darkroom.on("preset-delete", (button) => {
    const { name } = button.dataset;
    const sure = make("span.dr-preset-sure", make("span", `Delete ${name}?`), action("Delete", "preset-deleted", { name }, "dr-button.dr-danger"), action("Keep", "preset-again", {}, "dr-link"));
    button.closest("li").replaceChildren(sure);
    sure.querySelector("button").focus();
  });
  darkroom.on("preset-deleted", ({ dataset: { name } }) => tried(() => send("/delete", { name }), `${name} is deleted.`));
  darkroom.on("preset-again", paint);
  darkroom.on("preset-rename", (button) => {
    const { name } = button.dataset;
    const box = Object.assign(make("input"), { type: "text", value: name, maxLength: 80 });
    box.setAttribute("aria-label", "New name");
    const naming = make("form.dr-preset-naming", box, Object.assign(make("button.dr-button", "Rename"), { type: "submit" }), action("Cancel", "preset-again", {}, "dr-link"));
    naming.addEventListener("submit", (event) => {
      event.preventDefault();
      tried(() => send("/rename", { name, to: box.value }), `It is called ${box.value.trim()} now.`);
    });
    button.closest("li").replaceChildren(naming);
    box.select();
  });

  // ---- A new one ----------------------------------------------------------------------------------------------------

  const shown = (value) => {
    const text = Array.isArray(value) ? value.join(", ") : String(value ?? "");
    return text.length > 40 ? `${text.slice(0, 39)}…` : text;
  };
  // A field that another one switches on is told apart by its group's name being in its label or not: labels come twice in hires parts.
  const fields = () => {
    const form = darkroom.formOf(tab);
    return Object.entries(darkroom.placesOf(tab)).filter(([field]) => field in form && !NEVER.includes(field)).map(([field, { label, built }]) => ({
      field, label: field.startsWith("hr_") && !/hires/i.test(label) ? `Hires: ${label}` : label, value: form[field], changed: !darkroom.same(form[field], built),
    }));
  };
  const choice = ({ field, label, value, changed }) => {
    const box = Object.assign(make("input"), { type: "checkbox", name: field, checked: changed });
    box.dataset.changed = changed ? "yes" : "";
    return make("label", box, make("span", label), make("span.dr-quiet", shown(value)));
  };
  const tick = (wanted) => {
    for (const box of dialog.querySelectorAll(".dr-preset-fields input")) box.checked = wanted(box);
    count();
  };
  const count = () => {
    const chosen = dialog.querySelectorAll(".dr-preset-fields input:checked").length;
    part(".dr-preset-count").textContent = chosen === 1 ? "1 field" : `${chosen} fields`;
  };
  const TICKS = { changed: (box) => box.dataset.changed === "yes", all: () => true, unsaid: (box) => !PROMPTS.includes(box.name), none: () => false };
  darkroom.on("preset-tick", ({ dataset: { which } }) => tick(TICKS[which]));
  const save = (event) => {
    event.preventDefault();
    const name = part("[name=preset]").value.trim();
    const form = darkroom.formOf(tab);
    const chosen = [...dialog.querySelectorAll(".dr-preset-fields input:checked")].map((box) => [box.name, form[box.name]]);
    const replace = names.includes(name);
    tried(() => send("", { name, values: Object.fromEntries(chosen), replace }), `${name} is ${replace ? "replaced" : "kept"}.`);
  };

  darkroom.openPresets = async (of) => {
    tab = of;
    const name = Object.assign(make("input"), { type: "text", name: "preset", maxLength: 80, placeholder: "Name", required: true });
    name.setAttribute("aria-label", "Name of the preset");
    const unsaid = PROMPTS.some((field) => field in darkroom.placesOf(tab)) ? [["unsaid", "All but the prompts"]] : [];
    const ticks = [["changed", "What I changed"], ["all", "All"], ...unsaid, ["none", "None"]];
    const form = make(
      "form.dr-preset-new",
      make("div.dr-line", name, Object.assign(make("button.dr-button.dr-main", "Keep"), { type: "submit" })),
      make("details", make("summary", "Which fields: ", make("span.dr-preset-count")), make("div.dr-chips", ...ticks.map(([which, words]) => action(words, "preset-tick", { which }))), make("div.dr-preset-fields", ...fields().map(choice))),
    );
    form.addEventListener("submit", save);
    form.addEventListener("change", count);
    const said = make("p.dr-preset-said");
    said.setAttribute("role", "status");
    const none = make("p.dr-presets-none.dr-quiet", "None yet. A preset keeps fields of this form under a name, for every device you sign in from.");
    dialog = darkroom.openDialog(`Presets of ${TITLES[tab] ?? tab}`, make("ul.dr-presets"), none, make("h3", "Keep the form as a preset"), form, said);
    none.hidden = true;
    count();
    await tried(async () => take(await darkroom.ask("internal/form")), "");
  };
})();
