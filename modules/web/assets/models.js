"use strict";
// The Models tab's list: cards of what is installed, a page at a time, and one model in detail. Names come from files: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const PAGE = 60;
  const UNREAD_MS = 1500;
  const KINDS = {
    checkpoint: "Checkpoint", unet: "Checkpoint, denoiser only", lora: "LoRA", embedding: "Embedding", vae: "VAE", taesd: "Small VAE", controlnet: "ControlNet",
    ip_adapter: "IP-Adapter", text_encoder: "Text encoder", upscaler: "Upscaler", unknown: "Unknown",
  };
  const MARKS = { checkpoint: "SD", unet: "U", lora: "Lo", embedding: "Em", vae: "VAE", taesd: "VAE", controlnet: "CN", ip_adapter: "IP", text_encoder: "Tx", upscaler: "Up" };

  const shown = { kind: darkroom.store.get("models.kind", "checkpoint"), search: "", rows: [], total: 0, asked: 0, busy: false, open: null };
  const root = () => darkroom.byId("dr_models");
  const part = (name) => root()?.querySelector(name);

  // make("p.dr-quiet", "text", child, ...) -> element
  const make = (what, ...inside) => {
    const [tag, ...classes] = what.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    element.append(...inside.filter((one) => one !== null && one !== undefined && one !== ""));
    return element;
  };
  const action = (words, name, data = {}, kind = "dr-button") => {
    const button = make(`button.${kind}`, words);
    button.type = "button";
    Object.assign(button.dataset, { do: name, ...data });
    return button;
  };
  Object.assign(darkroom, { make, action, kindWords: (kind) => KINDS[kind] ?? kind });

  darkroom.size = (bytes) => {
    if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
    return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  };
  darkroom.picture = (row) => {
    const box = make("span.dr-model-picture");
    if (!row.preview) {
      box.append(MARKS[row.kind] ?? "?");
      box.dataset.kind = row.kind;
      return box;
    }
    const image = make("img");
    Object.assign(image, { src: `internal/models/${row.id}/thumbnail?${Math.round(row.changed_s)}`, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => { box.replaceChildren(MARKS[row.kind] ?? "?"); box.dataset.kind = row.kind; });
    box.append(image);
    return box;
  };
  const facts = (row) => [
    shown.kind === "" || row.kind === "unet" ? KINDS[row.kind] ?? row.kind : "", [row.family, row.variant].filter(Boolean).join(" "), row.precision, darkroom.size(row.size_bytes),
  ].filter(Boolean).join(" · ");

  const card = (row) => {
    const body = make("span.dr-model-words", make("strong", row.name), make("span.dr-quiet", row.described ? facts(row) : `${darkroom.size(row.size_bytes)} · not read yet`));
    if (row.refusal) body.append(make("span.dr-model-why", row.refusal));
    else if (row.needs.length) body.append(make("span.dr-model-why", `Needs ${row.needs.join(", ").replaceAll("_", " ")} from other files`));
    else if (row.hint) body.append(make("span.dr-quiet", row.hint));
    body.append(make("code", row.hash));
    const open = action("", "model-open", { id: row.id }, "dr-model");
    open.append(darkroom.picture(row), body);
    open.title = row.title;
    const item = make("li", open);
    item.dataset.id = row.id;
    const use = useButton(row);
    if (use) item.append(use);
    return item;
  };
  const useButton = (row) => {
    if (row.refusal) return null;
    if (row.insert) return action(darkroom.isInPrompt?.(row) ? "Remove" : "Insert", "model-insert", { id: row.id }, "dr-button.dr-model-use");
    if (row.kind === "checkpoint" || row.kind === "unet") return action("Use", "model-use", { id: row.id }, "dr-button.dr-model-use");
    return null;
  };

  const look = async (more = false) => {
    if (!root()) return;
    const asked = (shown.asked += 1);
    shown.busy = true;
    const offset = more ? shown.rows.length : 0;
    const query = new URLSearchParams({ kind: shown.kind, search: shown.search, offset, limit: PAGE });
    try {
      const answer = await darkroom.ask(`internal/models?${query}`);
      if (asked !== shown.asked) return;
      shown.rows = more ? [...shown.rows, ...answer.rows] : answer.rows;
      shown.total = answer.total;
      paint(answer, more);
    } catch (error) {
      if (asked === shown.asked) say(`The list cannot be had now (${error.message}).`);
    } finally {
      if (asked === shown.asked) shown.busy = false;
    }
  };
  darkroom.lookAtModels = look;

  let later = 0;
  const paint = (answer, more) => {
    const list = part(".dr-model-cards");
    const cards = answer.rows.map(card);
    if (more) list.append(...cards);
    else list.replaceChildren(...cards);
    mark();
    for (const chip of root().querySelectorAll("[data-do=models-kind]")) {
      const kind = chip.dataset.kind;
      const count = kind === "" ? Object.entries(answer.counts).reduce((sum, [name, n]) => sum + (name === "refused" ? 0 : n), 0) : answer.counts[kind] ?? 0;
      chip.querySelector("b").textContent = count.toLocaleString();
      chip.setAttribute("aria-pressed", String(kind === shown.kind));
      chip.classList.toggle("dr-empty", count === 0);
    }
    say(answer.unread ? `Reading files: ${answer.unread.toLocaleString()} to go` : shown.search ? `${answer.total.toLocaleString()} found` : "");
    const none = part(".dr-models-none");
    none.hidden = answer.total > 0;
    none.textContent = nothing();
    clearTimeout(later);
    if (answer.unread) later = setTimeout(unread, UNREAD_MS);
  };
  const nothing = () => {
    if (shown.search) return "No model has all these words in its name, folder or family.";
    if (shown.kind === "refused") return "Everything in the model folders can be used.";
    return "Nothing of this kind yet. Put files into models/ and press Refresh, or fetch one on the Download page.";
  };
  const say = (text) => { part(".dr-models-state").textContent = text; };

  // While files are being read the list may grow; it is drawn anew only near its top, so that nothing moves under the pointer.
  const unread = () => {
    if (darkroom.currentTab() !== "models" || document.hidden) {
      clearTimeout(later);
      later = setTimeout(unread, UNREAD_MS);
    } else if (shown.rows.length <= PAGE && !root()?.matches(":focus-within")) {
      look();
    } else {
      darkroom.ask("internal/models?limit=0").then((answer) => {
        say(answer.unread ? `Reading files: ${answer.unread.toLocaleString()} to go` : "");
        if (answer.unread) later = setTimeout(unread, UNREAD_MS);
      }).catch(() => null);
    }
  };

  const mark = () => {
    for (const item of root().querySelectorAll(".dr-model-cards > li")) item.classList.toggle("dr-chosen", item.dataset.id === shown.open);
  };
  darkroom.modelRow = (id) => shown.rows.find((row) => row.id === id);
  darkroom.openedModel = (id) => {
    shown.open = id;
    if (root()) mark();
  };

  // The list is drawn when its tab is first shown (Gradio makes it then) and looked at again whenever somebody comes back.
  let watched = null;
  const ends = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !shown.busy && shown.rows.length && shown.rows.length < shown.total) look(true);
  }, { rootMargin: "600px" });
  new MutationObserver(() => {
    const here = root();
    if (!here || here === watched) return;
    watched = here;
    ends.disconnect();
    ends.observe(part(".dr-models-more"));
    look();
  }).observe(document.documentElement, { subtree: true, childList: true });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#tab_models-button, #tab_models_installed-button") && root() && shown.rows.length && shown.rows.length <= PAGE) look();
  });

  let typing = 0;
  document.addEventListener("input", (event) => {
    if (event.target.id !== "dr_models_search") return;
    clearTimeout(typing);
    typing = setTimeout(() => { shown.search = event.target.value.trim(); look(); }, 120);
  });
  darkroom.on("models-kind", (chip) => {
    shown.kind = chip.dataset.kind;
    darkroom.store.set("models.kind", shown.kind);
    darkroom.closeModel();
    look();
  });
  darkroom.on("models-refresh", async (button) => {
    button.disabled = true;
    say("Looking at the model folders…");
    await darkroom.ask("internal/models/refresh", {}).catch((error) => say(error.message));
    button.disabled = false;
    look();
    darkroom.modelsChanged?.();
  });
})();
