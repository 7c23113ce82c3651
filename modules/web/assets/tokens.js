"use strict";
// The token counters in the corners of the prompt boxes. Counted by the server a moment after the last key, for the boxes in sight.
(() => {
  const darkroom = window.darkroom;
  const WAIT_MS = 350, LOOK_MS = 1000, LONGEST = 200000;
  const NAMES = { prompt: "token_counter", neg_prompt: "negative_token_counter" };
  const counted = {}; // id of a box -> what its counter was asked for
  let timer = 0;

  const counter = (tab, name) => {
    const id = `${tab}_${NAMES[name]}`;
    let found = darkroom.byId(id);
    if (!found) {
      const box = darkroom.byId(`${tab}_${name}`);
      if (!box) return null;
      found = Object.assign(document.createElement("span"), { id, className: "dr-tokens" });
      found.title = "Tokens used, and room for them: 75 at a time";
      box.append(found);
    }
    return found;
  };

  const wanted = (tab, name) => {
    const text = darkroom.byId(`${tab}_${name}`)?.querySelector("textarea")?.value;
    if (text === undefined) return null;
    const form = darkroom.formOf(tab);
    const model = darkroom.byId("setting_sd_model_checkpoint")?.querySelector("input")?.value ?? "";
    const asked = { text, steps: Math.round(Number(form.steps)) || 20, styles: form.styles ?? [], negative: name === "neg_prompt" };
    return { asked, key: JSON.stringify([asked, model]) };
  };

  const look = async () => {
    const tab = darkroom.currentTab();
    if (document.hidden || !darkroom.generateTabs.includes(tab)) return;
    for (const name of Object.keys(NAMES)) {
      const now = wanted(tab, name);
      if (!now || counted[`${tab}_${name}`] === now.key || now.asked.text.length > LONGEST) continue;
      counted[`${tab}_${name}`] = now.key;
      try {
        const found = await darkroom.ask("internal/token-count", now.asked);
        const place = counter(tab, name);
        if (!place || counted[`${tab}_${name}`] !== now.key) continue;
        place.textContent = found.limit ? `${found.used}/${found.limit}` : "";
        place.classList.toggle("dr-over", found.used > found.limit);
      } catch { /* no server, or a text it does not take: the next change asks again */ }
    }
  };

  document.addEventListener("input", (event) => {
    if (!event.target.closest?.("[id$=img_prompt], [id$=img_neg_prompt]")) return;
    clearTimeout(timer);
    timer = setTimeout(look, WAIT_MS);
  });
  // Boxes are filled by the server too (parameters, styles, another model), which tells no one.
  setInterval(() => {
    const typed = document.activeElement?.closest?.("[id$=img_prompt], [id$=img_neg_prompt]");
    if (!typed) look();
  }, LOOK_MS);
})();
