"use strict";
// The third step of a session: begin, stop, go on; what a running training tells (loss, speed, memory, samples); what it made, and its way
// into a prompt or a grid over the saved steps. Metrics are asked for from where the last answer ended.
(() => {
  const darkroom = window.darkroom;
  const { make, action, train } = darkroom;
  const { ask, say, attempt, named, count, live, state } = train;
  const { plot, readAt, nearest, short } = darkroom.lossPlot;
  const BUSY_MS = 1000;
  const SLOW_MS = 4000;
  const KINDS = { lora: "LoRA", embedding: "Embedding", checkpoint: "Model", captioner_lora: "LoRA for the captioner", file: "File" };
  const WORDS = { running: "Training", queued: "Waiting for its turn", paused: "Paused", stopped: "Stopped; it can go on where it was", done: "Done", failed: "It failed", new: "Not begun" };

  const mine = { of: "", points: [], last: -1, begun: -1, now: null, samples: [], drawn: null, at: null, sure: false, smoothing: darkroom.store.get("train.smoothing", 0.9) };
  let timer = 0;
  let turn = 0; // grows when the step is drawn anew; an older loop ends

  const part = (selector) => train.part(`.dr-train-run ${selector}`);
  const address = (rest = "") => train.place(state.open.name, rest);

  // ---- The top: what it does, and what can be done ------------------------------------------------------------------

  const summary = () => {
    const { config, pictures } = state.open;
    const model = config.captioner && config.method === "captioner_lora" ? config.captioner : config.checkpoint.replace(/ \[[0-9a-f]+\]$/, "") || "the model in use";
    const steps = state.open.of || config.max_train_steps;
    const each = pictures ? (steps * config.train_batch_size * config.gradient_accumulation_steps) / pictures : 0;
    return `${train.METHODS.find(([name]) => name === config.method)?.[1]} of ${model} · ${count(pictures, "picture")} · ${count(steps, "step")}${each >= 1 ? `, each picture about ${Math.round(each).toLocaleString()} times` : ""}`;
  };
  const buttons = () => {
    const row = state.open;
    const bar = part(".dr-train-go");
    const made = [];
    if (mine.sure) {
      bar.replaceChildren(make("span", "Begin again? The state, samples, log and files of the session are removed; what lies in the model folders stays."), action("Begin again", "train-start", { again: "yes" }, "dr-button.dr-danger"), action("Keep", "train-again"));
      return;
    }
    if (live(row)) {
      const stop = action(mine.stopping ? "Stopping…" : row.state === "running" ? "Stop and save" : "Take out of the queue", "train-stop", {}, `dr-button${row.state === "paused" ? "" : ".dr-main"}`);
      stop.disabled = Boolean(mine.stopping);
      if (row.state === "paused") made.push(action("Resume", "train-start", {}, "dr-button.dr-main.dr-train-start"));
      made.push(stop);
      if (row.state === "running") {
        const pause = action("Pause", "train-pause");
        pause.title = "Save the state and free the device; it waits in the queue until you resume it";
        pause.disabled = Boolean(mine.stopping);
        made.push(pause);
      }
    } else {
      const goes = row.step > 0 && row.step < row.of;
      const start = action(row.step && !goes ? "Train on" : goes ? "Resume" : "Start training", "train-start", {}, "dr-button.dr-main.dr-train-start");
      start.disabled = !row.pictures || (row.step > 0 && !goes);
      if (!(row.step > 0 && !goes)) made.push(start);
      if (row.step) made.push(action("Begin again", "train-again"));
    }
    bar.replaceChildren(...made);
    if (!live(row) && row.step && row.step >= row.of) bar.append(make("span.dr-quiet", "For more steps, raise them in Settings; it goes on from here."));
    if (!row.pictures) bar.append(make("span.dr-quiet", "It needs pictures first."));
  };
  const bytes = (value) => (value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${Math.round(value / 1e6)} MB`);
  const paintState = () => {
    if (!part(".dr-train-now")) return;
    const row = state.open;
    const now = mine.now;
    const last = mine.points.at(-1);
    const of = now?.of || row.of;
    const step = now?.step ?? row.step;
    const share = of ? Math.min(1, step / of) : 0;
    const running = row.state === "running";
    part(".dr-what").textContent = [WORDS[row.state] ?? row.state, running && now?.text ? now.text : ""].filter(Boolean).join(": ");
    part(".dr-left").textContent = running && now?.eta_s ? `about ${darkroom.seconds(now.eta_s)} left` : "";
    const bar = part(".dr-train-now .dr-bar");
    bar.hidden = row.state === "new";
    bar.classList.toggle("dr-unknown", running && !step);
    bar.firstElementChild.style.width = running && !step ? "" : `${share * 100}%`;
    bar.setAttribute("aria-valuenow", Math.floor(share * 100));
    const facts = [
      ["Step", of ? `${step.toLocaleString()} / ${of.toLocaleString()}` : ""], ["Epoch", last ? short(last.epoch) : ""], ["Speed", last?.it_s ? (last.it_s >= 1 ? `${short(last.it_s)} it/s` : `${short(1 / last.it_s)} s/it`) : ""],
      ["Time", last?.time_s ? darkroom.seconds(last.time_s) : ""], ["Memory", last?.memory_bytes ? bytes(last.memory_bytes) : ""], ["Learning rate", last?.lr !== null && last?.lr !== undefined ? short(last.lr) : ""],
    ].filter(([, value]) => value);
    part(".dr-train-facts").replaceChildren(...facts.map(([name, value]) => make("div", make("dt", name), make("dd", value))));
    part(".dr-train-facts").hidden = !last;
    const fault = part(".dr-train-fault");
    fault.hidden = !row.fault || live(row);
    if (row.fault) fault.replaceChildren(make("strong", "Why it stopped"), make("p", row.fault.message));
    buttons();
  };

  // ---- The plot -----------------------------------------------------------------------------------------------------

  const series = (name) => mine.points.filter((one) => one[name] !== null && Number.isFinite(one[name])).map((one) => ({ step: one.step, value: one[name] }));
  const paintPlot = () => {
    const box = part(".dr-train-plot");
    if (!box) return;
    const points = series("loss");
    const val = series("val_loss");
    part(".dr-train-figure").hidden = points.length < 2;
    if (points.length < 2) return;
    mine.drawn = plot(box, { train: points, val, smoothing: mine.smoothing, of: mine.now?.of ?? state.open.of });
    part(".dr-train-key-val").hidden = !val.length;
    if (mine.at === null) part(".dr-train-read").textContent = readAt(mine.drawn, points.length - 1).words;
    else part(".dr-train-read").textContent = readAt(mine.drawn, mine.at).words;
    if (mine.at === null) mine.drawn.cursor.setAttribute("visibility", "hidden");
  };
  const readout = (n) => {
    const found = readAt(mine.drawn, n);
    mine.at = found.at;
    part(".dr-train-read").textContent = found.words;
  };
  document.addEventListener("pointermove", (event) => {
    const box = event.target.closest?.(".dr-train-plot");
    if (box && mine.drawn) readout(nearest(mine.drawn, event.clientX - box.getBoundingClientRect().left));
    else if (mine.at !== null && !document.activeElement?.closest?.(".dr-train-plot") && part(".dr-train-plot")) {
      mine.at = null;
      paintPlot();
    }
  });
  const further = (by) => () => readout((mine.at ?? mine.drawn.average.length - 1) + by);
  darkroom.keys("Train, on the curve of the loss", (event) => mine.drawn && event.target.closest?.(".dr-train-plot"), [
    ["ArrowRight", "Next step", further(1)],
    ["ArrowLeft", "Step before", further(-1)],
    ["PageDown", "20 steps further", further(20)],
    ["PageUp", "20 steps back", further(-20)],
    ["Home", "First step", () => readout(0)],
    ["End", "Last step", () => readout(mine.drawn.average.length - 1)],
  ]);
  document.addEventListener("input", (event) => {
    if (event.target.id !== "train_smoothing") return;
    mine.smoothing = Number(event.target.value);
    darkroom.store.set("train.smoothing", mine.smoothing);
    paintPlot();
  });
  window.addEventListener("resize", () => { if (train.shown()) paintPlot(); });

  // ---- Samples ------------------------------------------------------------------------------------------------------

  const paintSamples = () => {
    const box = part(".dr-train-strips");
    if (!box) return;
    const rows = Map.groupBy ? [...Map.groupBy(mine.samples, (one) => one.prompt)] : Object.entries(mine.samples.reduce((all, one) => ({ ...all, [one.prompt]: [...(all[one.prompt] ?? []), one] }), {}));
    const look = JSON.stringify(mine.samples.map((one) => one.file));
    if (box.dataset.look === look) return;
    const ends = [...box.querySelectorAll("ol")].map((one) => one.scrollLeft + one.clientWidth >= one.scrollWidth - 8);
    box.dataset.look = look;
    box.replaceChildren(...rows.map(([n, samples]) => {
      const strip = make("ol.dr-train-strip", ...samples.map((one, at) => {
        const open = named(action("", "train-sample", { prompt: n, at }, "dr-train-sample"), `Sample of step ${one.step}, full view`);
        const image = Object.assign(make("img"), { src: one.thumbnail, alt: "", loading: "lazy", decoding: "async" });
        open.append(image);
        return make("li", open, make("span", one.step ? one.step.toLocaleString() : "before"));
      }));
      const text = make("p", samples[0].text);
      text.dataset.raw = "";
      return make("div", text, named(strip, `Samples of ${samples[0].text}, by step`));
    }));
    [...box.querySelectorAll("ol")].forEach((one, n) => { if (ends[n] ?? true) one.scrollLeft = one.scrollWidth; });
    part(".dr-train-sampled").hidden = !rows.length;
  };
  darkroom.on("train-sample", (button) => {
    const row = mine.samples.filter((one) => String(one.prompt) === button.dataset.prompt);
    darkroom.showPictures(row.map((one) => one.url), Number(button.dataset.at));
  });

  // ---- What was made ------------------------------------------------------------------------------------------------

  const paintFiles = () => {
    const box = part(".dr-train-made");
    if (!box) return;
    const files = state.open.outputs;
    box.hidden = !files.length;
    if (!files.length) return;
    const steps = files.filter((one) => one.step !== null && one.kind !== "file");
    const tries = (one) => ["lora", "embedding", "checkpoint"].includes(one.kind);
    const rows = files.map((one) => {
      const words = [KINDS[one.kind] ?? one.kind, one.step === null ? "" : `step ${one.step.toLocaleString()}`, darkroom.size(one.size_bytes), one.installed ? "among the models" : ""].filter(Boolean).join(" · ");
      const name = make("strong", one.name);
      name.dataset.raw = "";
      const item = make("li", make("div", name, make("span.dr-quiet", words)));
      if (tries(one)) item.append(named(action("Try it", "train-try", one.step === null ? {} : { step: one.step }, `dr-button${one.step === null ? ".dr-main" : ""}`), `Try ${one.name}`, "Put it into the prompt of txt2img"));
      return item;
    });
    const compare = steps.length + (files.some((one) => one.step === null) ? 1 : 0) > 1 && steps.some((one) => one.kind === "lora" || one.kind === "embedding");
    const compares = action("Compare steps", "train-compare");
    compares.title = "An X/Y/Z grid over the saved steps, with the same seed";
    box.replaceChildren(make("div.dr-board-bar", make("h3", "What was made"), ...(compare ? [compares] : [])), make("ul.dr-train-files", ...rows));
  };
  const toPrompt = async (trial) => {
    darkroom.showTab("txt2img");
    darkroom.write("txt2img_prompt", trial.prompt);
    const shown = document.querySelector("#setting_sd_model_checkpoint input")?.value ?? "";
    if (trial.checkpoint && trial.checkpoint !== shown) darkroom.choose("setting_sd_model_checkpoint", trial.checkpoint);
    if (trial.width) darkroom.fillForm("txt2img", "", { width: trial.width, height: trial.height });
    darkroom.modelsChanged?.();
    darkroom.lookAtTiles?.();
    document.querySelector("#txt2img_prompt textarea").focus();
  };
  darkroom.on("train-try", async (button) => {
    button.disabled = true;
    const trial = await attempt("It cannot be tried yet", () => ask(address("/tryit"), { body: button.dataset.step === undefined ? {} : { step: Number(button.dataset.step) } }));
    button.disabled = false;
    if (trial) toPrompt(trial);
  });
  // A dropdown that takes only what is in its list: opened, and its option pressed, as a hand does it.
  const pickScript = (title) => {
    const input = document.querySelector("#txt2img_script_list input");
    if (input.value === title) return;
    input.focus();
    const option = `#txt2img_script_list [role=option][aria-label="${title}"]`;
    darkroom.later(() => {
      document.querySelector(option).dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }));
      input.blur();
    }, option);
  };
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  darkroom.on("train-compare", async (button) => {
    button.disabled = true;
    const trial = await attempt("The steps cannot be compared yet", () => ask(address("/tryit"), { body: { all_steps: true } }));
    button.disabled = false;
    if (!trial) return undefined;
    await toPrompt(trial);
    const axes = [{ type: "Prompt S/R", values: trial.inserts.map(quoted).join(", "), chosen: [] }, { type: "Nothing", values: "", chosen: [] }, { type: "Nothing", values: "", chosen: [] }];
    const text = JSON.stringify({ axes, options: { draw_legend: true, reuse: true, report: true, margin_size: 0 } });
    if (!document.querySelector("#txt2img_script_list input")) return darkroom.tell("There is no X/Y/Z plot here", "Its script is switched off in the Extensions tab.");
    pickScript("X/Y/Z plot");
    darkroom.later(() => {
      const area = document.querySelector("#txt2img_script_container .dr-xyz-value textarea");
      area.value = text;
      area.dispatchEvent(new Event("input", { bubbles: true }));
      area.closest("#txt2img_script_container").scrollIntoView({ block: "center" });
    }, "#txt2img_script_container .dr-xyz-row select");
    return undefined;
  });

  // ---- Following ----------------------------------------------------------------------------------------------------

  const fetchMetrics = async () => {
    const { name } = state.open;
    const answer = await ask(train.place(name, `/metrics?after=${mine.last}`));
    if (state.open?.name !== name) return;
    if (answer.begun !== mine.begun && mine.begun !== -1 && mine.last >= 0) { // earlier points were cut off
      Object.assign(mine, { points: [], last: 0, begun: answer.begun });
      return void await fetchMetrics();
    }
    mine.begun = answer.begun;
    mine.points.push(...answer.points);
    mine.last = answer.last;
    mine.now = answer;
  };
  const fetchSamples = async () => {
    const { name } = state.open;
    const answer = await ask(train.place(name, "/samples"));
    if (state.open?.name === name) mine.samples = answer.items;
  };
  const follow = async (own, beat = 0) => {
    clearTimeout(timer);
    if (own !== turn || !part(".dr-train-now") || !state.open) return;
    let wait = SLOW_MS;
    if (train.shown()) {
      try {
        const before = state.open.state;
        await fetchMetrics();
        if (mine.now.state !== before || beat % 5 === 0) await train.refresh();
        if (beat === 0 || mine.now.state !== before || (live() && beat % 2 === 0)) await fetchSamples();
        if (own !== turn) return;
        if (state.open.state !== "running") mine.stopping = false;
        if (state.open.state !== before) darkroom.lookAtQueue?.();
        paintState();
        paintPlot();
        paintSamples();
        if (beat % 5 === 0 || mine.now.state !== before) paintFiles();
      } catch (error) {
        if (own !== turn) return;
        part(".dr-what").textContent = `No answer from the server; trying again… (${error.message})`;
      }
      wait = live() ? BUSY_MS : SLOW_MS;
    }
    if (own === turn) timer = setTimeout(() => follow(own, beat + 1), wait);
  };
  const begin = () => { turn += 1; follow(turn); };

  darkroom.on("train-start", async (button) => {
    button.disabled = true;
    mine.sure = false;
    await train.pictures.flush();
    const saved = await train.drawers.settings.flush();
    const answer = saved && await attempt("It cannot be trained yet", () => ask(address("/start"), { body: { again: button.dataset.again === "yes" } }));
    if (answer) {
      say("");
      mine.stopping = false;
      darkroom.lookAtQueue?.();
      if (button.dataset.again) Object.assign(mine, { points: [], last: -1, begun: -1, samples: [], now: null });
    }
    await train.refresh().catch(() => null);
    begin();
    paintState();
  });
  darkroom.on("train-again", () => { mine.sure = !mine.sure; buttons(); part(".dr-train-go button")?.focus(); });
  const halt = (act, wrong) => async () => {
    mine.stopping = true;
    buttons();
    if (!(await attempt(wrong, () => ask(address(act), { method: "POST" })))) mine.stopping = false;
    begin();
  };
  darkroom.on("train-stop", halt("/stop", "It was not stopped"));
  darkroom.on("train-pause", halt("/pause", "It was not paused"));

  train.drawers.run = {
    draw(panel) {
      const { name } = state.open;
      if (mine.of !== name) Object.assign(mine, { of: name, points: [], last: -1, begun: -1, now: null, samples: [], drawn: null, at: null, stopping: false });
      mine.sure = false;
      const bar = make("div.dr-bar", make("i"));
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-valuemin", "0");
      bar.setAttribute("aria-valuemax", "100");
      named(bar, "Progress of the training");
      const what = make("span.dr-what");
      what.setAttribute("role", "status");
      const fault = make("div.dr-train-fault.dr-box.dr-fault");
      fault.dataset.raw = "";
      const now = make("section.dr-train-now", make("p.dr-quiet", summary()), make("div.dr-line", what, make("span.dr-left")), bar, make("dl.dr-train-facts"), fault, make("div.dr-train-go"));
      named(now, "Training");
      const smoothing = Object.assign(make("input"), { type: "range", id: "train_smoothing", min: 0, max: 0.99, step: 0.01, value: mine.smoothing });
      const read = make("span.dr-train-read");
      read.setAttribute("aria-live", "polite");
      const figure = make("figure.dr-train-figure", make("figcaption", make("h3", "Loss"), make("span.dr-train-key", "training"), make("span.dr-train-key.dr-train-key-val", "validation"), read, make("label", "Smoothing ", smoothing)), make("div.dr-train-plot"));
      const sampled = make("section.dr-train-sampled", make("h3", "Samples by step"), make("div.dr-train-strips"));
      const files = make("section.dr-train-made");
      for (const one of [figure, sampled, files]) one.hidden = true;
      panel.append(make("div.dr-train-run", now, figure, sampled, files));
      paintState();
      paintPlot();
      paintSamples();
      paintFiles();
      begin();
    },
    leave() { clearTimeout(timer); turn += 1; },
    back: () => begin(),
  };
})();
