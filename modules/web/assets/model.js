"use strict";
// One model in detail: its facts, the person's notes, taking it away and putting it back; and what a card does to the prompt.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const NOTES = [
    ["description", "Description", 3], ["activation text", "Activation text", 2], ["negative text", "Text for the negative prompt", 1], ["notes", "Notes", 3],
  ];
  const panel = () => document.querySelector("#dr_models .dr-model-panel");
  let open = null;

  darkroom.tellModels = (title, text, ...more) => {
    const place = darkroom.byId("models_message");
    if (!place) return;
    place.querySelector(".dr-own")?.remove();
    const box = make("div.dr-box.dr-notice.dr-own", make("strong", title), make("p", text, ...more));
    box.setAttribute("role", "status");
    const close = action("", "close-box", {}, "dr-close");
    close.setAttribute("aria-label", "Close this message");
    box.append(close);
    place.append(box);
    box.scrollIntoView({ block: "nearest" });
  };

  const line = (name, value) => (value ? [make("dt", name), make("dd", value)] : []);
  const hashLine = (row) => {
    if (row.hash) return line("Hash", make("code", row.hash));
    return row.format === "pickle" ? [] : [make("dt", "Hash"), make("dd", action("Compute", "model-hash", { id: row.id }, "dr-link"))];
  };
  const number = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(2)} billion` : n >= 1e6 ? `${(n / 1e6).toFixed(1)} million` : n.toLocaleString());

  const draw = (row) => {
    const place = panel();
    if (!place) return;
    const close = action("", "model-close", {}, "dr-close");
    close.setAttribute("aria-label", "Close");
    const list = make("dl.dr-items",
      ...line("Kind", darkroom.kindWords(row.kind)), ...line("Family", [row.family, row.variant].filter(Boolean).join(", ")),
      ...line("Predicts", (row.prediction ?? "").replaceAll("_", " ")), ...line("Precision", row.precision),
      ...line("Numbers", row.parameters ? number(row.parameters) : ""), ...line("Size", darkroom.size(row.size_bytes)), ...hashLine(row),
      ...line("Vectors", row.extra.vectors ? `${row.extra.vectors} of width ${row.extra.width}` : ""), ...line("Alias", row.alias),
      ...line("Holds", (row.extra.parts ?? []).join(", ").replaceAll("_", " ")), ...line("Needs", row.needs.join(", ").replaceAll("_", " ")),
      ...line("Changed", new Date(row.changed_s * 1000).toLocaleString()), ...line("File", make("span.dr-path", row.path)));
    place.replaceChildren(close, make("h2", row.name), ...(row.preview ? [darkroom.picture(row)] : []), ...refusal(row), buttons(row), list, notes(row), ...metadata(row));
    place.hidden = false;
    place.scrollTop = 0;
  };
  const refusal = (row) => {
    if (!row.refusal) return [];
    const reasons = Object.entries(row.extra.reasons ?? {}).map(([family, why]) => make("li", make("b", family), `: ${why}`));
    const box = make("div.dr-box.dr-warning", make("strong", "Why it is not listed"), make("p", reasons.length ? row.refusal.replace(/ \(.*\)\.$/s, ".") : row.refusal));
    if (reasons.length) box.append(make("ul", ...reasons));
    return [box];
  };
  const buttons = (row) => {
    const bar = make("div.dr-model-buttons");
    const kind = row.kind === "checkpoint" || row.kind === "unet";
    if (row.insert) bar.append(action("Insert into the prompt", "model-insert", { id: row.id }, "dr-button.dr-main"));
    if (kind && !row.refusal) bar.append(action("Use this model", "model-use", { id: row.id }, "dr-button.dr-main"));
    if (row.format === "pickle") bar.append(action("Convert safely…", "model-unpickle", { id: row.id }, "dr-button.dr-main"));
    if (kind && !row.refusal) bar.append(action("Convert…", "model-convert", { id: row.id }));
    bar.append(action("Delete…", "model-remove", { id: row.id }));
    return bar;
  };
  const notes = (row) => {
    const form = make("form.dr-model-notes");
    form.dataset.id = row.id;
    for (const [key, label, rows] of NOTES) {
      const box = make("textarea");
      Object.assign(box, { name: key, rows, value: row.notes[key] ?? "" });
      form.append(make("label", label, box));
    }
    if (row.kind === "lora") {
      const weight = make("input");
      Object.assign(weight, { type: "number", name: "preferred weight", min: -10, max: 10, step: 0.05, value: row.notes["preferred weight"] || "" , placeholder: "1" });
      form.append(make("label.dr-short", "Preferred weight", weight));
    }
    const save = make("button.dr-button", "Save notes");
    save.type = "submit";
    form.append(make("div.dr-model-buttons", save, make("span.dr-quiet")));
    return make("details", make("summary", "Notes"), form);
  };
  const metadata = (row) => {
    const entries = Object.entries(row.metadata);
    if (!entries.length) return [];
    return [make("details", make("summary", `What its maker wrote (${entries.length})`), make("dl.dr-items", ...entries.flatMap(([key, value]) => line(key, value))))];
  };

  const show = async (id) => {
    darkroom.openedModel(id);
    try {
      const row = await darkroom.ask(`internal/models/${encodeURIComponent(id)}`);
      open = row;
      draw(row);
    } catch (error) {
      darkroom.tellModels("The model cannot be shown", `${error.message}. Press Refresh.`);
    }
  };
  darkroom.closeModel = () => {
    open = null;
    darkroom.openedModel(null);
    if (panel()) panel().hidden = true;
  };
  const known = (id) => (open?.id === id ? open : darkroom.modelRow(id) ?? darkroom.tileRow?.(id));

  darkroom.on("model-open", (button) => {
    if (open?.id === button.dataset.id) darkroom.closeModel();
    else show(button.dataset.id).then(() => { if (innerWidth < 860) panel()?.focus(); });
  });
  darkroom.on("model-close", darkroom.closeModel);
  darkroom.keys("Models", () => open && darkroom.currentTab() === "models" && !document.querySelector("dialog[open]"), [
    ["Escape", "Close what is told about a model", () => { darkroom.closeModel(); }],
  ]);
  darkroom.on("model-hash", async (button) => {
    button.textContent = "Computing…";
    try {
      await ask(`internal/models/${button.dataset.id}/hash`, {}, 600000);
      show(button.dataset.id);
      darkroom.lookAtModels();
    } catch (error) {
      button.textContent = `Failed (${error.message})`;
    }
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest?.(".dr-model-notes");
    if (!form) return;
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    if ("preferred weight" in values) values["preferred weight"] = Number(values["preferred weight"]) || 0;
    const said = form.querySelector(".dr-model-buttons span");
    try {
      await ask(`internal/models/${form.dataset.id}/notes`, values);
      said.textContent = "Saved";
      darkroom.lookAtModels();
    } catch (error) {
      said.textContent = error.message;
    }
  });

  // Like darkroom.ask, but with the server's own words when it refuses.
  const ask = async (path, body, timeout_ms = 20000) => {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(timeout_ms) };
    const answer = await fetch(path, options);
    if (answer.ok) return answer.json();
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.errors || `${answer.status} ${answer.statusText}`);
  };

  // Two steps to take a model away, and a way back.
  darkroom.on("model-remove", (button) => {
    const sure = action("Move to the bin", "model-remove-sure", { id: button.dataset.id }, "dr-button.dr-danger");
    const keep = action("Keep it", "model-keep");
    button.replaceWith(make("span.dr-sure", make("span", "Delete this model?"), sure, keep));
    keep.focus();
  });
  darkroom.on("model-keep", () => { if (open) draw(open); });
  darkroom.on("model-remove-sure", async (button) => {
    const row = known(button.dataset.id);
    button.disabled = true;
    try {
      const answer = await ask(`internal/models/${row.id}/remove`, { title: row.title });
      darkroom.closeModel();
      darkroom.tellModels(`${row.name} is in the bin`, `It lies in ${answer.place} until you empty that folder. `, action("Put it back", "model-restore", { place: answer.place }, "dr-link"));
      changed();
    } catch (error) {
      darkroom.tellModels(`${row.name} was not deleted`, error.message);
      if (open) draw(open);
    }
  });
  darkroom.on("model-restore", async (button) => {
    try {
      await ask("internal/models/restore", { place: button.dataset.place });
      button.closest(".dr-box").remove();
      changed();
    } catch (error) {
      darkroom.tellModels("It could not be put back", error.message);
    }
  });
  const changed = () => {
    darkroom.lookAtModels();
    darkroom.modelsChanged();
  };

  darkroom.on("model-use", (button) => {
    const row = known(button.dataset.id);
    if (!row) return;
    picked = row.title;
    darkroom.press("models_pick");
    darkroom.showTab("txt2img");
  });
  let picked = "";
  darkroom.pickedModel = (_, ...values) => [picked, ...values];
  darkroom.on("model-convert", (button) => fill("convert", "models_convert_source", known(button.dataset.id)));
  darkroom.on("model-unpickle", (button) => fill("convert", "models_unpickle_source", known(button.dataset.id)));
  const fill = (tab, box, row) => {
    darkroom.byId(`tab_models_${tab}-button`)?.click();
    darkroom.later(() => darkroom.choose(box, row.title), `#${box} input`);
  };

  // The prompt: a card puts its words in, and takes them out when they are there already. The negative one when it was typed in last.
  const prompts = () => [`${darkroom.tab()}_prompt`, `${darkroom.tab()}_neg_prompt`];
  let negativeLast = false;
  document.addEventListener("focusin", (event) => {
    const box = event.target.closest?.("[id$=img_prompt], [id$=img_neg_prompt]");
    if (box) negativeLast = box.id.endsWith("_neg_prompt");
  });
  const box = (id) => darkroom.byId(id)?.querySelector("textarea");
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Any weight counts as the same LoRA; an embedding is a word of its own.
  const pattern = (row) => {
    const name = row.insert.match(/^<lora:(.*):[^:]*>$/)?.[1];
    return name ? new RegExp(`[ ,]*<lora:${escaped(name)}(:[^>]*)?>`) : new RegExp(`(^|[ ,]+)${escaped(row.insert)}(?![\\w-])`);
  };
  darkroom.isInPrompt = (row) => Boolean(row.insert) && prompts().some((id) => pattern(row).test(box(id)?.value ?? ""));
  const insert = (row) => {
    for (const id of prompts()) {
      const text = box(id)?.value ?? "";
      if (!pattern(row).test(text)) continue;
      const without = text.replace(pattern(row), "");
      darkroom.write(id, (row.activation ? without.replace(new RegExp(`,?\\s*${escaped(row.activation)}`), "") : without).replace(/^[ ,]+/, ""));
      return false;
    }
    const id = prompts()[row.kind === "lora" || !negativeLast ? 0 : 1];
    const more = row.activation && row.kind === "lora" ? `, ${row.activation}` : "";
    const text = (box(id)?.value ?? "").replace(/[\s,]+$/, "");
    darkroom.write(id, `${text}${text ? (row.kind === "lora" ? " " : ", ") : ""}${row.insert}${more}`);
    if (row.negative) {
      const negative = box(prompts()[1]).value;
      if (!negative.includes(row.negative)) darkroom.write(prompts()[1], negative ? `${negative}, ${row.negative}` : row.negative);
    }
    return true;
  };
  darkroom.on("model-insert", (button) => {
    const row = known(button.dataset.id);
    if (!row) return;
    const there = insert(row);
    for (const one of document.querySelectorAll(`[data-do=model-insert][data-id="${row.id}"]`)) {
      if (one.classList.contains("dr-tile")) one.setAttribute("aria-pressed", String(there));
      else if (one.closest("li")) one.textContent = there ? "Remove" : "Insert";
    }
    if (button.closest("#dr_models")) darkroom.tellModels(there ? "In the prompt" : "Out of the prompt", `${row.insert}${there && row.activation ? `, ${row.activation}` : ""} `, action("Go to txt2img", "go-txt2img", {}, "dr-link"));
  });
  darkroom.on("go-txt2img", () => darkroom.showTab("txt2img"));
})();
