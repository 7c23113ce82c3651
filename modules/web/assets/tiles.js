"use strict";
// The drawer under the prompts: LoRAs and embeddings as tiles; a click puts one into the prompt or takes it out.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const PAGE = 40;
  const KINDS = ["lora", "embedding"];
  let rows = [];
  let asked = 0;
  let more = false;

  const drawer = () => darkroom.byId("txt2img_extra_tabs");
  darkroom.tileRow = (id) => rows.find((row) => row.id === id);

  const tile = (row) => {
    const button = action("", "model-insert", { id: row.id }, "dr-tile");
    button.append(darkroom.picture(row), make("span", row.name));
    button.title = [row.title, row.family, row.hint].filter(Boolean).join("\n");
    button.setAttribute("aria-pressed", String(darkroom.isInPrompt(row)));
    return make("li", button);
  };
  const look = async (on = false) => {
    if (!drawer()?.open) return;
    const mark = (asked += 1);
    const search = drawer().querySelector("input").value.trim();
    const offset = on ? rows.length : 0;
    try {
      const found = [];
      let total = 0;
      let skip = offset;
      for (const kind of KINDS) {
        const query = new URLSearchParams({ kind, search, offset: skip, limit: Math.max(0, PAGE - found.length) });
        const answer = await darkroom.ask(`internal/models?${query}`);
        found.push(...answer.rows);
        total += answer.total;
        skip = Math.max(0, skip - answer.total);
      }
      if (mark !== asked) return;
      rows = on ? [...rows, ...found] : found;
      more = rows.length < total && found.length > 0;
      paint(found, on, total, search);
    } catch (error) {
      if (mark === asked) say(`Not to be had now (${error.message}).`);
    }
  };
  darkroom.lookAtTiles = look;
  const say = (text) => { drawer().querySelector(".dr-models-state").textContent = text; };
  const paint = (found, on, total, search) => {
    const list = drawer().querySelector(".dr-tiles");
    if (on) list.append(...found.map(tile));
    else list.replaceChildren(...found.map(tile));
    say(total ? total.toLocaleString() : search ? "Nothing has all these words." : "None yet: put LoRAs into models/Lora and embeddings into models/embeddings.");
  };

  document.addEventListener("toggle", (event) => { if (event.target === drawer()) look(); }, true);
  document.addEventListener("scroll", (event) => {
    const list = event.target;
    if (!list.matches?.(".dr-tiles") || !more) return;
    if (list.scrollTop + list.clientHeight > list.scrollHeight - 300) {
      more = false;
      look(true);
    }
  }, true);
  let typing = 0;
  document.addEventListener("input", (event) => {
    if (!drawer()?.contains(event.target)) {
      if (event.target.closest?.("[id$=img_prompt], [id$=img_neg_prompt]")) pressed();
      return;
    }
    clearTimeout(typing);
    typing = setTimeout(look, 120);
  });
  // Tags typed or deleted by hand show on their tiles as well.
  let due = 0;
  const pressed = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => {
      for (const button of drawer()?.querySelectorAll(".dr-tile") ?? []) {
        const row = darkroom.tileRow(button.dataset.id);
        if (row) button.setAttribute("aria-pressed", String(darkroom.isInPrompt(row)));
      }
    });
  };
})();
