"use strict";
// The Caption tab: pictures in, what is asked of them, and the jobs that are followed; the cards with words are in caption_cards.js, folders
// in caption_folder.js. Pictures are sent once; here and in the browser's storage are only their references. Texts are text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const BUSY_MS = 150;
  const TRIES_MS = 1500;
  const KEPT_JOBS = 12;
  const STRIP = 40;
  const BY_WORD = "word by word";
  const NEEDS = { caption: "caption", question: "answer", interrogate: "caption", score: "match" };
  const RUN = { caption: "Caption", question: "Ask", interrogate: "Interrogate", score: "Compare" };
  const WRITING = ["num_beams", "num_return_sequences", "min_length", "max_length", "do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "length_penalty", "early_stopping", "seed", "batch_size"];

  const form = { mode: "caption", source: "pictures", preset: BY_WORD, at_once: true, fit: "model", precision: "auto", backend: "torch", output: ".txt", existing: "skip", models: {}, ...darkroom.store.get("caption.form", {}) };
  let held = darkroom.store.get("caption.pictures", []); // [{reference, name, width, height}]
  let jobs = darkroom.store.get("caption.jobs", []); // [{id, pictures: [{reference, name}], mode, model, asked}], the latest first
  let here = { models: [], names: [], clip: "clip", refused: [] };
  const following = new Map(); // id -> {after, on(answer), done(answer)}
  let reading = Promise.resolve();
  let timer = 0;
  let looks = 0; // of the list of models, and what has changed in it since

  const root = () => darkroom.byId("dr_caption");
  const part = (selector) => root()?.querySelector(selector);
  const parts = (selector) => [...(root()?.querySelectorAll(selector) ?? [])];
  const keep = () => { darkroom.store.set("caption.form", form); darkroom.store.set("caption.pictures", held); darkroom.store.set("caption.jobs", jobs.slice(0, KEPT_JOBS)); };

  // ---- Words to the person and progress ---------------------------------------------------------------------------

  const say = (title, text, kind = "fault") => {
    const place = darkroom.byId("caption_message");
    if (!place) return;
    place.replaceChildren();
    if (!title && !text) return;
    const close = action("", "close-box", {}, "dr-close");
    close.setAttribute("aria-label", "Close this message");
    const box = make(`div.dr-box.dr-${kind}`, make("strong", title), make("p", text), close);
    box.setAttribute("role", kind === "fault" ? "alert" : "status");
    place.append(box);
  };
  const progress = (now) => {
    const box = darkroom.byId("caption_progress");
    if (!box) return;
    box.hidden = !now;
    darkroom.byId("caption_stop").hidden = !now;
    if (!now) return;
    const worker = darkroom.workerState?.() ?? {};
    const waits = now.state === "queued" && (darkroom.queuePaused?.() ? "The queue is paused" : worker.state === "starting" ? worker.message : now.before ? `Waiting, ${now.before} before it` : "Waiting");
    box.querySelector(".dr-what").textContent = waits || now.text || "At work…";
    const known = now.state === "running" && now.fraction > 0;
    box.querySelector(".dr-left").textContent = known ? `${Math.floor(now.fraction * 100)} %${now.eta_s ? ` · about ${darkroom.seconds(now.eta_s)} left` : ""}` : "";
    const bar = box.querySelector(".dr-bar");
    bar.classList.toggle("dr-unknown", !known);
    if (known) bar.setAttribute("aria-valuenow", Math.floor(now.fraction * 100));
    else bar.removeAttribute("aria-valuenow");
    bar.firstElementChild.style.width = known ? `${now.fraction * 100}%` : "";
  };

  // A request of ours; a refusal is an Error with the server's words.
  const ask = async (path, body) => {
    const options = body === undefined ? { cache: "no-store" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(30000) });
    if (answer.status === 401) darkroom.signedOut();
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    const detail = Array.isArray(said.detail) ? said.detail.map((one) => one.msg).join("; ") : said.detail;
    throw Object.assign(new Error(said.errors || detail || `${answer.status} ${answer.statusText}`), { status: answer.status });
  };

  // ---- Jobs ---------------------------------------------------------------------------------------------------------

  // Follow a job: on(answer) for each answer with news, done(answer) at its end. Resolves with the last answer.
  const follow = (id, on) => new Promise((done) => {
    following.set(id, { after: 0, on: on ?? (() => {}), done });
    wake();
  });
  const wake = () => { clearTimeout(timer); timer = setTimeout(turn, 0); };
  const turn = async () => {
    let wait = BUSY_MS;
    for (const [id, one] of [...following]) {
      try {
        const now = await ask(`internal/captions/${encodeURIComponent(id)}/heard?after=${one.after}`);
        one.after = now.last;
        one.on(now);
        progress(now);
        if (!["queued", "running"].includes(now.state) && (now.result !== null || now.fault || !now.events.length)) {
          following.delete(id);
          one.done(now);
        }
      } catch (error) {
        if (error.status === 404) {
          following.delete(id);
          one.done({ state: "gone", fault: { message: error.message }, events: [], result: null });
        } else {
          progress({ state: "running", text: "No answer from the server; trying again…" });
          wait = TRIES_MS;
        }
      }
    }
    clearTimeout(timer);
    if (following.size) timer = setTimeout(turn, wait);
    else progress(null);
  };
  // Queue captions and follow them. body: fields of a caption.
  const submit = async (body, on) => {
    const job = await ask("internal/captions", { key: darkroom.newKey(), ...body });
    darkroom.lookAtQueue?.();
    return { id: job.id, ended: follow(job.id, on) };
  };

  // ---- The form -----------------------------------------------------------------------------------------------------

  const control = (name) => part(`[name=${name}]`);
  const models = () => here.models.filter((row) => row.does.includes(NEEDS[form.mode]));
  const model = () => models().find((row) => row.name === form.models[form.mode]) ?? models().find((row) => row.name === here.usual) ?? models()[0];
  // What the model is told to do, for those that are told; whether it reads words, a region or a beginning beside that.
  const task = () => (form.mode === "caption" ? (model()?.tasks ?? []).find((one) => one.name === form.task) : undefined);
  const reads = (told) => told?.reads || !here.asked || (model()?.does ?? []).includes("prompt");
  // A way of writing belongs to a model; with another one, and until the models are listed, it is word by word.
  const preset = () => (form.preset === BY_WORD || (model()?.presets ?? []).includes(form.preset) ? form.preset : form.preset && BY_WORD);
  // What a request leaves open is left out.
  const writing = () => {
    const found = {};
    for (const name of WRITING) {
      const value = control(name)?.value ?? form[name] ?? "";
      if (value !== "") found[name] = control(name)?.tagName === "SELECT" ? value === "true" : Number(value);
    }
    const chosen = preset();
    if (chosen === BY_WORD) found.num_beams ??= found.num_return_sequences > 1 && !found.do_sample ? found.num_return_sequences : 1;
    else if (chosen) found.preset = chosen;
    return found;
  };
  const tags = () => form.mode !== "interrogate" && (model()?.does ?? []).includes("tags");
  const tagging = () => {
    const fields = tags() ? parts("#caption_tagging [name]").filter((field) => field.value.trim() !== "") : [];
    const valueOf = (field) => (field.type === "number" ? Number(field.value) : field.tagName === "SELECT" && !("words" in field.dataset) ? field.value === "true" : field.value);
    return Object.fromEntries(fields.map((field) => [field.name, valueOf(field)]));
  };
  const writes = () => form.mode !== "score" && !tags(); // else what is said of writing, and of what writes, changes nothing and is not shown
  const request = () => {
    const text = (name) => (control(name)?.value ?? "").trim();
    const base = { model: model()?.name ?? "", fit: form.fit, precision: form.precision, ...(writes() ? { backend: form.backend } : {}), ...writing(), ...tagging() };
    if (form.show_input && form.source === "pictures") base.show_input = true;
    if (form.mode === "interrogate") return { ...base, model: here.clip };
    if (text("adapter") && writes()) base.adapter = text("adapter");
    if (form.mode === "question") return { ...base, question: text("question") };
    if (form.mode === "score") return { ...base, texts: text("texts").split("\n").map((line) => line.trim()).filter(Boolean), ...(text("search") ? { search: text("search") } : {}) };
    const told = task();
    return { ...base, ...(told ? { task: told.name } : {}), ...(text("prompt") && reads(told) ? { prompt: text("prompt") } : {}) };
  };

  const paintForm = () => {
    if (!root()) return;
    root().dataset.source = form.source;
    const folder = form.source === "folder";
    if (folder && form.mode === "score") form.mode = "caption";
    for (const one of parts("[data-do=caption-source]")) one.setAttribute("aria-selected", String(one.dataset.source === form.source));
    for (const one of parts(".dr-cap-pictures")) one.hidden = folder;
    for (const one of parts(".dr-cap-folder")) one.hidden = !folder;
    for (const one of parts("[data-do=caption-mode]")) one.setAttribute("aria-checked", String(one.dataset.mode === form.mode));
    for (const one of parts(".dr-cap-asks")) one.hidden = one.dataset.mode !== form.mode;
    darkroom.byId("caption_run").textContent = folder ? "Caption the folder" : form.mode === "score" && form.search ? "Search" : RUN[form.mode];
    paintModels();
  };
  const paintModels = () => {
    const box = darkroom.byId("caption_model");
    const rows = models();
    const now = model();
    box.replaceChildren(...rows.map((row) => new Option(row.name, row.name, false, row === now)));
    const none = !rows.length;
    darkroom.byId("caption_adapters").replaceChildren(...(here.adapters ?? []).map((name) => new Option(name, name)));
    box.disabled = none || form.mode === "interrogate";
    box.hidden = none;
    const facts = form.mode === "interrogate" ? "A caption with words from lists behind it, ranked by a model that compares; see Settings, Interrogate." : now ? [now.kind, now.licence, now.gigabytes ? `${now.gigabytes} GB` : "", now.starter ? "knows drawn things only" : "", now.heat ? "" : `no heat maps: ${now.blind}`].filter(Boolean).join(" · ") : here.asked ? `No model here can do this. docs/captioning.md names some; put one into models/BLIP.` : "";
    darkroom.byId("caption_model_facts").textContent = facts;
    paintTask(now);
    darkroom.byId("caption_tagging").hidden = !tags();
    root().toggleAttribute("data-mute", !writes());
    darkroom.byId("caption_run").disabled = none && Boolean(here.asked);
    paintWriting(now);
  };
  const paintTask = (row) => {
    const tasks = form.mode === "caption" ? row?.tasks ?? [] : [];
    const told = task();
    darkroom.byId("caption_task").hidden = !tasks.length;
    control("task").replaceChildren(...(tasks.some((one) => one.name === "caption") ? [] : [new Option("write captions", "")]), ...tasks.map((one) => new Option(one.words, one.name, false, one === told)));
    const beside = control("prompt").closest("label");
    beside.hidden = form.mode !== "caption" || !reads(told);
    beside.querySelector("span").textContent = told?.reads === "region" ? "Region: left, top, right, bottom in thousandths" : told?.reads ? "Words to look for" : "Beginning";
    control("prompt").placeholder = told?.reads === "region" ? "such as: 100, 250, 600, 900" : told?.reads ? "such as: a red car" : "such as: a photo of";
  };
  const paintWriting = async (row) => {
    const box = control("preset");
    const presets = row?.presets ?? [];
    const chosen = preset();
    const usual = row?.writing ?? {};
    const own = usual.num_beams ? `The model's own: ${usual.num_beams} beams, ${usual.max_length} tokens` : "The model's own";
    box.replaceChildren(...[[BY_WORD, "Word by word"], ["", own], ...presets.map((name) => [name, name])].map(([value, words]) => new Option(words, value, false, value === chosen)));
    part("[data-do=caption-preset-remove]").disabled = chosen === BY_WORD || chosen === "";
    let values = usual;
    if (row && chosen && chosen !== BY_WORD) {
      const query = new URLSearchParams({ model: row.name, name: chosen });
      values = await ask(`internal/captions/presets?${query}`).catch(() => usual);
      if (row !== model() || chosen !== preset()) return; // another one was chosen meanwhile
    }
    for (const name of WRITING) {
      const field = control(name);
      if (!field) continue;
      const value = chosen === BY_WORD && name === "num_beams" ? 1 : values[name] ?? { num_return_sequences: 1, seed: -1, batch_size: 8 }[name];
      if (field.tagName === "SELECT") field.options[0].textContent = value === undefined ? "as it is" : value ? "as it is: yes" : "as it is: no";
      else field.placeholder = value ?? "";
    }
    const changed = WRITING.filter((name) => (control(name)?.value ?? "") !== "").length;
    const fold = darkroom.byId("caption_writing").querySelector("summary");
    fold.dataset.changed = changed ? `${changed} set` : "";
  };
  const fillForm = () => {
    for (const field of parts("#caption_form [name]")) {
      if (["model", "preset", "preset_name"].includes(field.name)) continue;
      if (field.type === "checkbox") field.checked = Boolean(form[field.name]);
      else if (form[field.name] !== undefined) field.value = form[field.name];
    }
  };
  document.addEventListener("input", (event) => {
    const field = event.target.closest?.("#caption_form [name]");
    if (!field || field.name === "preset_name") return;
    if (field.name === "model") form.models[form.mode] = field.value;
    else form[field.name] = field.type === "checkbox" ? field.checked : field.value;
    keep();
    if (["model", "task"].includes(field.name)) paintModels();
    else if (field.name === "search") paintForm();
    else if (field.name === "preset" || WRITING.includes(field.name)) paintWriting(model());
  });
  document.addEventListener("submit", (event) => { if (event.target.id === "caption_form") { event.preventDefault(); run(); } }, true);
  const onTab = () => darkroom.currentTab() === "caption" && !document.querySelector("dialog[open]");
  darkroom.keys("Caption", (event) => onTab() && !event.repeat, [
    ["Ctrl+Enter", "Write what the pictures show", () => { run(); }],
    ["Enter", "The same, in a line of the form", (_, event) => (event.target.matches("#caption_form input[type=text]:not([name=preset_name])") ? void run() : false)],
    ["Ctrl+v", "Take a picture from the clipboard", () => false], // the event "paste" follows, see below
  ]);
  darkroom.on("caption-source", (button) => { form.source = button.dataset.source; keep(); paintForm(); });
  darkroom.on("caption-mode", (button) => { form.mode = button.dataset.mode; keep(); paintForm(); });

  // ---- Ways of writing that are kept beside the model ---------------------------------------------------------------

  const presets = (answer) => {
    looks += 1; // a list that is on its way is older
    const row = model();
    if (row) row.presets = answer.presets;
  };
  darkroom.on("caption-preset-save", () => {
    part(".dr-cap-naming").hidden = false;
    const box = control("preset_name");
    box.value = preset() === BY_WORD ? "" : preset();
    box.focus();
  });
  darkroom.on("caption-preset-keep", async () => {
    const name = control("preset_name").value.trim();
    try {
      const chosen = preset();
      const base = chosen && chosen !== BY_WORD ? await ask(`internal/captions/presets?${new URLSearchParams({ model: model().name, name: chosen })}`) : {};
      const answer = await ask("internal/captions/presets", { model: model().name, name, ...base, ...writing() });
      presets(answer);
      form.preset = name;
      for (const field of WRITING) if (!["num_return_sequences", "seed", "batch_size"].includes(field)) { control(field).value = ""; form[field] = ""; }
      part(".dr-cap-naming").hidden = true;
      if (!name) await look();
      keep();
      paintModels();
      say("", `Kept as ${answer.file} beside ${model().name}.`, "notice");
    } catch (error) {
      say("This way of writing could not be kept", error.message);
    }
  });
  darkroom.on("caption-preset-remove", async () => {
    try {
      presets(await ask("internal/captions/presets/remove", { model: model().name, name: preset() }));
      form.preset = BY_WORD;
      keep();
      paintModels();
    } catch (error) {
      say("It could not be deleted", error.message);
    }
  });

  darkroom.on("caption-export", async () => {
    try {
      await ask("api/v2/captioners/export", { model: model().name, overwrite: (model().onnx ?? []).length > 0 });
      darkroom.lookAtQueue?.();
      say("", `${model().name} is exported beside the pictures; the Queue tab shows how far it is.`, "notice");
    } catch (error) {
      say("It could not be exported", error.message);
    }
  });

  // ---- Pictures in --------------------------------------------------------------------------------------------------

  const state = (text) => { const place = part("#caption_drop .dr-drop-state"); if (place) place.textContent = text; };
  const address = (reference, side) => `internal/inputs/${reference.replace("input:", "")}?side=${side}`;
  const take = (files) => {
    reading = reading.then(async () => {
      const wrong = [];
      const taken = [];
      for (const file of files) {
        state(files.length > 1 ? `Reading ${taken.length + wrong.length + 1} of ${files.length}…` : "Reading the picture…");
        try {
          taken.push({ ...(await darkroom.inputs.post(file)), name: file.name ?? "" });
        } catch (error) {
          wrong.push(`${file.name || "The picture"}: ${error.message}`);
        }
      }
      state(wrong.join("\n"));
      if (!taken.length) return;
      held = taken;
      form.source = "pictures";
      keep();
      paintForm();
      paintHeld();
      const asks = { question: "question", score: "texts" }[form.mode];
      if (form.at_once && (!asks || control(asks).value.trim())) await run();
    });
    return reading;
  };
  const paintHeld = () => {
    const drop = darkroom.byId("caption_drop");
    if (!drop) return;
    const box = drop.querySelector(".dr-drop-held");
    box.hidden = !held.length;
    drop.querySelector(".dr-drop-empty").hidden = held.length > 0;
    if (!held.length) return;
    const words = held.length === 1 ? [held[0].name, `${held[0].width} × ${held[0].height}`].filter(Boolean).join(", ") : `${held.length} pictures`;
    const tools = make("span", action("Others", "caption-choose", {}, "dr-link"), action("Remove", "caption-clear", {}, "dr-link"));
    const list = make("ul", ...held.slice(0, STRIP).map((one) => {
      const item = make("li", Object.assign(make("img"), { src: address(one.reference, 168), alt: one.name || "Picture", draggable: false }));
      item.title = `${one.name}, ${one.width} × ${one.height}`;
      return item;
    }));
    box.replaceChildren(list, make("div.dr-line", make("span", words), tools));
  };
  darkroom.on("caption-choose", () => part("#caption_drop input[type=file]").click());
  darkroom.on("caption-clear", () => { held = []; keep(); paintHeld(); });
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.("#caption_drop input[type=file]")) return;
    take([...event.target.files]);
    event.target.value = "";
  });
  const inside = (event) => event.target.closest?.("#tab_caption");
  const over = (on) => part("#caption_drop")?.classList.toggle("dr-over", on);
  document.addEventListener("dragover", (event) => { if (inside(event)) { event.preventDefault(); over(true); } }, true);
  document.addEventListener("dragleave", (event) => { if (inside(event)) over(false); }, true);
  document.addEventListener("drop", (event) => {
    if (!inside(event)) return;
    event.preventDefault();
    event.stopPropagation();
    over(false);
    const files = [...event.dataTransfer.files];
    const link = darkroom.dragged ?? event.dataTransfer.getData("text/uri-list").split("\n")[0];
    if (files.length) take(files);
    else if (link) darkroom.inputs.fetchPicture(link).then((blob) => take([new File([blob], "", { type: blob.type })])).catch((error) => state(error.message));
  }, true);
  // Before the page's own answer to Ctrl+V, which takes pictures to other tabs.
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
    if (!files.length || darkroom.currentTab() !== "caption") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    take(files);
  }, true);
  darkroom.pictureTargets ??= {};
  darkroom.pictureTargets.caption = async (url) => {
    const blob = await darkroom.inputs.fetchPicture(url);
    darkroom.showTab("caption");
    await darkroom.present("#dr_caption");
    await opening;
    await take([new File([blob], decodeURIComponent(new URL(url).pathname.split("/").pop()), { type: blob.type })]);
  };

  // ---- A run --------------------------------------------------------------------------------------------------------

  const run = async () => {
    if (form.source === "folder") return darkroom.captionFolder.run(request());
    const asked = request();
    if (!held.length && !asked.search) return say("Give it a picture first", "Drop one anywhere in this tab, or paste it with Ctrl+V.");
    say("", "");
    const shown = asked.search ? [] : held;
    if (form.mode === "question" && !asked.question) return say("Ask something first", "Type a question about the picture.");
    if (form.mode === "score" && !asked.texts.length) return say("Nothing to compare yet", "Type texts, one a line.");
    // One at a time while they are few: then the words can be seen as they come.
    if (shown.length && shown.length <= 4 && asked.num_beams === 1) asked.batch_size ??= 1;
    const beside = { asked: asked.question ?? "", task: asked.task ?? "", words: asked.prompt ?? "", search: asked.search ?? "" };
    const job = { id: "", pictures: shown.map(({ reference, name }) => ({ reference, name })), mode: form.mode, model: asked.model, fit: asked.fit, ...beside };
    try {
      const images = asked.search ? {} : { images: job.pictures.map((one) => one.reference), image_names: job.pictures.map((one) => one.name) };
      const sent = await ask("internal/captions", { key: darkroom.newKey(), ...asked, ...images });
      job.id = sent.id;
      jobs = [job, ...jobs].slice(0, KEPT_JOBS);
      keep();
      darkroom.lookAtQueue?.();
      darkroom.captionCards.begin(job);
      darkroom.captionCards.end(job, await follow(job.id, (now) => darkroom.captionCards.heard(job, now)));
    } catch (error) {
      say("This could not be asked", error.message);
    }
  };
  darkroom.on("caption-run", () => run());
  darkroom.on("caption-stop", () => { for (const id of following.keys()) ask(`internal/jobs/${encodeURIComponent(id)}/cancel`, {}).catch(() => null); });

  // ---- When the tab is opened for the first time --------------------------------------------------------------------

  const look = async () => {
    const mark = (looks += 1);
    try {
      const found = await ask("internal/captions");
      if (mark === looks || !here.asked) here = { ...found, asked: true };
    } catch (error) {
      say("The captioners could not be listed", error.message);
    }
  };
  darkroom.galleryChanged?.(); // it has a button for this tab
  let opened = false;
  let ready = null;
  const opening = new Promise((done) => { ready = done; });
  darkroom.caption = { ask, submit, follow, progress, say, part, parts, form, keep, models: () => here.models, address, run, take };
  darkroom.caption.forget = (id) => { jobs = jobs.filter((job) => job.id !== id); keep(); };
  darkroom.onTab((tab) => {
    if (tab !== "caption") return;
    darkroom.later(async () => {
      if (opened) return look().then(paintForm);
      opened = true;
      fillForm();
      paintForm();
      paintHeld();
      await look();
      paintForm();
      ready();
      for (const job of [...jobs].reverse()) {
        darkroom.captionCards.begin(job);
        follow(job.id, (now) => darkroom.captionCards.heard(job, now)).then((now) => darkroom.captionCards.end(job, now, true));
      }
      darkroom.captionFolder.open();
    }, "#dr_caption");
  });
})();
