"use strict";
// The Train tab: the list of sessions, and one session in three steps (pictures, settings, training), each drawn by a script of its own:
// train_pictures.js, train_settings.js, train_run.js. All of it comes from /api/v2/train. Texts come from people: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const API = "api/v2/train";
  const LOOK_MS = 3000;
  const STEPS = [["pictures", "Pictures"], ["settings", "Settings"], ["run", "Training"]];
  const STATES = { new: "Not begun", queued: "Waiting", running: "Training", paused: "Paused", stopped: "Stopped", done: "Done", failed: "Failed" };
  const METHODS = [
    ["lora", "LoRA", "A small file beside the model, used in a prompt; what most people want."],
    ["dreambooth", "DreamBooth", "The whole model learns; a large file that is a model of its own."],
    ["textual_inversion", "Textual inversion", "A new word and nothing else; tiny, and the model stays as it is."],
    ["captioner_lora", "LoRA for a captioner", "A captioner learns your way of describing, or another language."],
  ];

  // open: the session that is shown, as the server told it; null while the list is. options: what a training can be asked for.
  const state = { options: null, sessions: [], open: null, step: darkroom.store.get("train.step", "pictures"), wanted: darkroom.store.get("train.open", null), more: null, sure: null, making: false };
  const drawers = {}; // step -> {draw(place), leave()}
  let timer = 0;
  let opening = 0; // grows with each session that is asked for; 0: none is on its way

  const root = () => darkroom.byId("dr_train");
  const part = (selector) => root()?.querySelector(selector);
  const shown = () => darkroom.currentTab() === "train" && !document.hidden && Boolean(root());
  const body = () => part(".dr-train-body");
  const place = (name, rest = "") => `${API}/sessions/${encodeURIComponent(name)}${rest}`;

  // ---- Asking -------------------------------------------------------------------------------------------------------

  // A request; a refusal is an Error with the server's words. body: plain data, FormData or a Blob.
  const ask = async (path, { method, body: sent, timeout_ms = 60000 } = {}) => {
    const plain = sent !== undefined && !(sent instanceof FormData) && !(sent instanceof Blob);
    const options = { method: method ?? (sent === undefined ? "GET" : "POST"), cache: "no-store", signal: AbortSignal.timeout(timeout_ms) };
    if (sent !== undefined) options.body = plain ? JSON.stringify(sent) : sent;
    if (plain) options.headers = { "Content-Type": "application/json" };
    const answer = await fetch(path, options);
    if (answer.status === 401) darkroom.signedOut();
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    const detail = Array.isArray(said.detail) ? said.detail.map((one) => one.msg).join("; ") : said.detail;
    throw Object.assign(new Error(detail || (typeof said.errors === "string" ? said.errors : "") || said.title || `${answer.status} ${answer.statusText}`), { status: answer.status });
  };
  const say = (title, text = "", kind = "fault") => {
    const box = darkroom.byId("train_message");
    if (!box) return;
    box.replaceChildren();
    if (!title && !text) return;
    const close = action("", "close-box", {}, "dr-close");
    close.setAttribute("aria-label", "Close this message");
    const told = make(`div.dr-box.dr-${kind}`, title ? make("strong", title) : null, text ? make("p", text) : null, close);
    told.dataset.raw = "";
    told.setAttribute("role", kind === "fault" ? "alert" : "status");
    box.append(told);
    if (kind === "fault") box.scrollIntoView({ block: "nearest" });
  };
  // Do something and tell what went wrong; null then.
  const attempt = async (wrong, work) => {
    try {
      return (await work()) ?? true;
    } catch (error) {
      say(wrong, error.name === "TimeoutError" ? "The server did not answer in time; look again in a moment." : error.message);
      return null;
    }
  };

  // ---- Pieces that the steps share ----------------------------------------------------------------------------------

  const named = (element, name, title = "") => {
    element.setAttribute("aria-label", name);
    if (title) element.title = title;
    return element;
  };
  const field = (words, control, help = "") => {
    const label = make("label.dr-train-field", make("span", words), control);
    if (help) label.title = help;
    return label;
  };
  const select = (options, value, name = "") => {
    const box = make("select");
    box.append(...options.map(([key, words]) => new Option(words, key, false, key === value)));
    if (name) box.name = name;
    return box;
  };
  const when = (time_s) => {
    if (!time_s) return "";
    const then = new Date(time_s * 1000);
    const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    return then.toDateString() === new Date().toDateString() ? `today ${time}` : then.toLocaleDateString();
  };
  const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
  const methodWords = (name) => METHODS.find(([own]) => own === name)?.[1] ?? name;
  const live = (row = state.open) => ["running", "queued", "paused"].includes(row?.state);

  // ---- The list -----------------------------------------------------------------------------------------------------

  const facts = (row) => [
    methodWords(row.method), row.captioner || row.checkpoint.replace(/ \[[0-9a-f]+\]$/, ""), count(row.pictures, "picture"),
    row.step ? `step ${row.step.toLocaleString()} of ${row.of.toLocaleString()}` : row.of ? `${row.of.toLocaleString()} steps` : "",
    row.total_bytes ? darkroom.size(row.total_bytes) : "", when(row.changed_s),
  ].filter(Boolean).map((text) => make("span", text));
  const cover = (row) => {
    const box = make("span.dr-train-cover");
    if (!row.thumbnail) return box;
    const image = Object.assign(make("img"), { src: row.thumbnail, alt: "", loading: "lazy" });
    image.addEventListener("error", () => image.remove());
    box.append(image);
    return box;
  };
  const mark = (row) => {
    const box = make("span.dr-job-state", STATES[row.state] ?? row.state);
    if (row.state === "running" && row.progress) box.append(` ${Math.floor(100 * row.progress.fraction)} %`);
    return box;
  };
  const tools = (row) => {
    if (state.sure === row.name) {
      const what = [row.pictures ? count(row.pictures, "picture") : "", row.step ? "its saved state" : "", "settings and log"].filter(Boolean).join(", ");
      return make("div.dr-train-sure.dr-box.dr-warning", make("span", `Delete ${row.name} with ${what}? What it put into the model folders stays.`),
        action("Delete", "train-delete-now", { name: row.name }, "dr-button.dr-danger"), action("Keep", "train-more", { name: row.name }));
    }
    if (state.more?.name !== row.name) return null;
    const { what } = state.more;
    if (what) {
      const input = Object.assign(make("input"), { type: "text", value: what === "clone" ? `${row.name} 2` : row.name, maxLength: 80, autocomplete: "off", spellcheck: false });
      const form = make("form.dr-train-naming", named(input, what === "clone" ? "Name of the copy" : "New name"), Object.assign(make("button.dr-button.dr-main", what === "clone" ? "Clone" : "Rename"), { type: "submit" }), action("Cancel", "train-more", { name: row.name }));
      Object.assign(form.dataset, { what, name: row.name });
      return form;
    }
    const zip = Object.assign(make("a.dr-button", "Export zip"), { href: place(row.name, "/export"), download: `${row.name}.zip` });
    zip.title = "Pictures, captions, settings, state and what was made, to be imported elsewhere";
    const removal = action("Delete", "train-delete", { name: row.name }, "dr-button.dr-danger");
    removal.disabled = live(row);
    if (live(row)) removal.title = "Stop it first";
    return make("div.dr-train-tools", action("Clone", "train-name", { name: row.name, what: "clone" }), action("Rename", "train-name", { name: row.name, what: "rename" }), zip, removal);
  };
  const rowOf = (row) => {
    const item = make("li.dr-train-row");
    Object.assign(item.dataset, { name: row.name, state: row.state });
    const open = action("", "train-open", { name: row.name }, "dr-train-name");
    open.append(row.name);
    const more = named(action("More", "train-more", { name: row.name }), `More about ${row.name}`);
    more.setAttribute("aria-expanded", String(state.more?.name === row.name));
    const go = named(action(live(row) ? "Watch" : row.step && row.state !== "done" ? "Resume" : "Open", "train-open", { name: row.name }), `Open ${row.name}`);
    item.append(cover(row), make("div.dr-train-words", make("div.dr-job-head", open, mark(row)), make("div.dr-facts", ...facts(row)), row.broken ? make("p.dr-job-fault", row.broken) : null), make("div.dr-job-buttons", go, more));
    const extra = tools(row);
    if (extra) item.append(extra);
    return item;
  };
  const newForm = () => {
    const form = make("form.dr-train-new");
    form.dataset.what = "new";
    const name = Object.assign(make("input"), { type: "text", name: "name", maxLength: 80, required: true, autocomplete: "off", spellcheck: false, placeholder: "such as: my cat" });
    const method = select(METHODS.map(([value, words]) => [value, words]), "lora", "method");
    form.append(field("Name", name), field("What is made", method), make("div.dr-train-tools", Object.assign(make("button.dr-button.dr-main", "Create"), { type: "submit" }), action("Cancel", "train-new")));
    return form;
  };
  const empty = () => make("div.dr-train-none",
    make("p", "Teach a model something it has never seen"),
    make("ol", ...[
      ["Pictures", "Ten to thirty pictures of one thing, a person or a style, with a few words about each."],
      ["Settings", "Choose what is made and how much memory there is; presets fill in the rest."],
      ["Training", "Watch the loss and the samples, stop and go on whenever you like, then use the result in a prompt."],
    ].map(([title, words]) => make("li", make("strong", title), make("span", words)))),
    make("p", action("New session", "train-new", {}, "dr-button.dr-main")),
    make("p.dr-quiet", "A session is a folder in models/train; nothing of it is lost when the machine stops. From the command line: ", make("code", "python launch.py train SESSION")));
  const paintList = () => {
    if (!body() || state.open) return;
    const focus = document.activeElement?.closest?.("#dr_train") ? { name: document.activeElement.dataset?.name, does: document.activeElement.dataset?.do } : null;
    const input = Object.assign(make("input"), { type: "file", accept: ".zip,application/zip", hidden: true, id: "train_zip" });
    const bar = make("div.dr-train-bar", state.sessions.length ? action("New session", "train-new", {}, "dr-button.dr-main") : null, action("Import zip", "train-import"), named(input, "Zip of a session"), make("span.dr-train-said.dr-quiet"));
    bar.querySelector(".dr-train-said").setAttribute("role", "status");
    body().replaceChildren(bar, ...(state.making ? [newForm()] : []),
      ...(state.sessions.length ? [make("ul.dr-train-list", ...state.sessions.map(rowOf))] : state.making ? [] : [empty()]));
    if (focus?.does) [...root().querySelectorAll(`[data-do="${focus.does}"]`)].find((one) => one.dataset.name === focus.name)?.focus({ preventScroll: true });
  };
  const typing = () => Boolean(part(".dr-train-naming, .dr-train-new"));
  const look = async () => {
    clearTimeout(timer);
    if (!shown()) return;
    if (!state.open) {
      const found = await ask(`${API}/sessions`).catch((error) => { if (!state.sessions.length) say("The sessions cannot be listed", error.message); return null; });
      if (found && !state.open) {
        const fresh = JSON.stringify(found.items) !== JSON.stringify(state.sessions);
        state.sessions = found.items;
        if ((fresh && !typing()) || !body().querySelector(".dr-train-bar")) paintList();
      }
      timer = setTimeout(look, LOOK_MS);
    }
  };

  // ---- One session --------------------------------------------------------------------------------------------------

  const paintHead = () => {
    const head = part(".dr-train-head");
    if (!head || !state.open) return;
    const row = state.open;
    const back = action("All sessions", "train-close", {}, "dr-link");
    const tabs = make("div.dr-cap-switch.dr-train-steps", ...STEPS.map(([name, words], n) => {
      const button = action("", "train-step", { step: name }, "dr-train-step");
      button.append(make("b", n + 1), " ", make("span", words));
      button.setAttribute("role", "tab");
      button.setAttribute("aria-selected", String(state.step === name));
      button.setAttribute("aria-controls", "train_step");
      return button;
    }));
    tabs.setAttribute("role", "tablist");
    named(tabs, "Steps of the session");
    const title = make("h2", row.name);
    title.dataset.raw = "";
    head.dataset.state = row.state;
    head.replaceChildren(make("div.dr-train-title", back, title, mark(row)), tabs);
  };
  const paintOpen = () => {
    drawers[state.drawn]?.leave?.();
    state.drawn = state.step;
    const panel = make("div.dr-train-panel");
    panel.id = "train_step";
    panel.setAttribute("role", "tabpanel");
    body().replaceChildren(make("div.dr-train-head"), panel);
    paintHead();
    drawers[state.step].draw(panel);
  };
  const goTo = async (step) => {
    await drawers.settings.flush();
    state.step = step;
    darkroom.store.set("train.step", step);
    if (state.open) paintOpen();
  };
  const ready = async () => {
    state.options ??= await attempt("The tab cannot be drawn", () => ask(`${API}/options`));
    return Boolean(state.options);
  };
  const open = async (name, step = "") => {
    const own = (opening += 1);
    state.wanted = name;
    const found = await ready() && await attempt("The session cannot be opened", () => ask(place(name)));
    if (own !== opening) return undefined; // another one was asked for meanwhile
    opening = 0;
    if (!found) return close();
    drawers[state.drawn]?.leave?.();
    state.drawn = null;
    clearTimeout(timer);
    say("");
    Object.assign(state, { open: found, more: null, sure: null, making: false, wanted: name });
    darkroom.store.set("train.open", name);
    state.step = step || (live(found) || found.step ? "run" : "pictures");
    darkroom.store.set("train.step", state.step);
    paintOpen();
    if (found.broken) say("Its configuration cannot be read", found.broken, "warning");
    return undefined;
  };
  const close = async () => {
    await drawers.settings.flush();
    drawers[state.drawn]?.leave?.();
    Object.assign(state, { open: null, drawn: null, wanted: null });
    darkroom.store.set("train.open", null);
    body()?.replaceChildren();
    paintList();
    return look();
  };
  // The session as it is now; its head follows.
  const refresh = async () => {
    const { name } = state.open ?? {};
    if (!name) return null;
    const found = await ask(place(name));
    if (state.open?.name !== name) return null;
    state.open = found;
    paintHead();
    return found;
  };

  // ---- Acts ---------------------------------------------------------------------------------------------------------

  darkroom.on("train-open", (button) => open(button.dataset.name));
  darkroom.on("train-close", close);
  darkroom.on("train-step", (button) => goTo(button.dataset.step));
  darkroom.on("train-new", () => {
    state.making = !state.making;
    paintList();
    part(".dr-train-new input")?.focus();
  });
  darkroom.on("train-more", (button) => {
    const { name } = button.dataset;
    state.more = state.more?.name === name && !state.more.what && state.sure !== name ? null : { name };
    state.sure = null;
    paintList();
  });
  darkroom.on("train-name", (button) => {
    state.more = { name: button.dataset.name, what: button.dataset.what };
    paintList();
    part(".dr-train-naming input").select();
  });
  darkroom.on("train-delete", (button) => {
    state.sure = button.dataset.name;
    paintList();
    part(".dr-train-sure button").focus();
  });
  darkroom.on("train-delete-now", async (button) => {
    button.disabled = true;
    await attempt("It was not deleted", () => ask(place(button.dataset.name), { method: "DELETE" }));
    Object.assign(state, { sure: null, more: null });
    paintList();
    look();
  });
  const submits = {
    new: async (form) => ask(`${API}/sessions`, { body: { name: form.elements.name.value.trim(), config: { method: form.elements.method.value, ...(await drawers.settings.beginning(form.elements.method.value)) } } }),
    clone: (form) => ask(place(form.dataset.name, "/clone"), { body: { name: form.querySelector("input").value.trim() } }),
    rename: (form) => ask(place(form.dataset.name), { method: "PATCH", body: { name: form.querySelector("input").value.trim() } }),
  };
  const WRONG = { new: "The session was not made", clone: "It was not cloned", rename: "It was not renamed" };
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest?.("#dr_train form[data-what]");
    if (!form) return;
    event.preventDefault();
    const { what } = form.dataset;
    const made = await attempt(WRONG[what], () => submits[what](form));
    if (!made) return;
    Object.assign(state, { more: null, making: false });
    say("");
    if (what === "new") open(made.name, "pictures");
    else {
      paintList();
      look();
    }
  }, true);
  darkroom.on("train-import", () => part("#train_zip").click());
  const importZip = async (file) => {
    part(".dr-train-said").textContent = "Reading the zip…";
    const { items } = await ask(`${API}/sessions`).catch(() => ({ items: [] }));
    const taken = new Set(items.map((row) => row.name.toLowerCase()));
    const stem = file.name.replace(/\.zip$/i, "").replace(/[^\p{L}\p{N}\-_.()+ ]/gu, "_").replace(/^[.\-]+/, "") || "session";
    let name = stem.trim().replace(/\s+/g, "_");
    for (let n = 2; taken.has(name.toLowerCase()); n += 1) name = `${stem}_${n}`;
    const made = await attempt("The zip was not imported", () => ask(place(name, "/import"), { method: "POST", body: file, timeout_ms: 600000 }));
    if (made) open(made.name);
    else if (part(".dr-train-said")) part(".dr-train-said").textContent = "";
  };
  document.addEventListener("change", (event) => {
    if (event.target.id !== "train_zip" || !event.target.files.length) return;
    importZip(event.target.files[0]);
    event.target.value = "";
  });

  darkroom.train = { API, METHODS, state, drawers, root, part, shown, place, ask, say, attempt, named, field, select, count, live, open, goTo, refresh, importZip, when };
  const begin = async () => {
    if (!(await ready()) || opening) return;
    if (state.open) drawers[state.step].back?.();
    else if (state.wanted) open(state.wanted, state.step); // as it was before the page was loaded again
    else look();
  };
  darkroom.onTab((tab) => { if (tab === "train") darkroom.later(begin, "#dr_train"); });
  document.addEventListener("visibilitychange", () => { if (shown()) begin(); });
})();
