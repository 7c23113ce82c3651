"use strict";
// Work on model files: what this browser started and what else runs, with progress; the lists of the forms are renewed when it ends.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const PICTURES = new Set(["txt2img", "img2img", "extras"]);
  const LOOK_MS = 700;

  let mine = darkroom.store.get("works", []); // ids of jobs whose end this browser has not put away
  let seen = new Map(); // id -> row of internal/jobs, or the whole job once it has ended
  let last = { form: "", key: "", time: 0 };
  let timer = 0;

  const keep = () => darkroom.store.set("works", mine.slice(-20));
  darkroom.beforeWork = (ticket, ...values) => {
    const form = JSON.stringify(values);
    const now = Date.now();
    last = form === last.form && now - last.time < 700 ? { ...last, time: now } : { form, key: darkroom.newKey(), time: now };
    return [last.key, ...values];
  };
  darkroom.afterWork = (ticket) => {
    let answer = {};
    try {
      answer = JSON.parse(ticket);
    } catch { /* the request failed; Gradio says so */ }
    if (answer.id && !mine.includes(answer.id)) {
      mine.push(answer.id);
      keep();
    }
    if (answer.fault) darkroom.byId("models_message")?.scrollIntoView({ block: "nearest" });
    look();
    darkroom.lookAtQueue?.();
    return [];
  };

  const look = async () => {
    clearTimeout(timer);
    if (!darkroom.byId("dr_works")) return;
    try {
      const { jobs } = await darkroom.ask("internal/jobs?limit=50");
      const works = jobs.filter((job) => !PICTURES.has(job.kind));
      const live = works.filter((job) => job.state === "running" || job.state === "queued");
      for (const job of live) seen.set(job.id, job);
      for (const job of live) if (!mine.includes(job.id)) mine.push(job.id);
      await Promise.all(mine.filter((id) => !live.some((job) => job.id === id)).map(finish));
      await Promise.all(live.filter((job) => job.state === "running").map(detail));
      keep();
      paint();
      if (live.length) timer = setTimeout(look, LOOK_MS);
    } catch {
      timer = setTimeout(look, LOOK_MS * 4);
    }
  };
  darkroom.lookAtWorks = look;
  darkroom.queueSeen = (queue) => {
    if (queue.jobs.some((job) => !PICTURES.has(job.kind) && (job.state === "running" || job.state === "queued"))) look();
  };

  const finish = async (id) => {
    if (seen.get(id)?.ended) return;
    try {
      const whole = await darkroom.ask(`internal/jobs/${encodeURIComponent(id)}`);
      const fresh = seen.has(id);
      seen.set(id, { ...whole, prompt: whole.resolved?.title ?? whole.kind, ended: true });
      if (fresh && whole.state === "done") refresh();
    } catch (error) {
      if (String(error.message).startsWith("404")) mine = mine.filter((one) => one !== id);
    }
  };
  const detail = async (job) => {
    const state = await darkroom.ask("internal/progress", { id_task: job.id, live_preview: false }).catch(() => ({}));
    Object.assign(job, { progress: state.progress ?? job.progress, words: state.textinfo ?? "", eta: state.eta });
  };
  const refresh = async () => {
    await darkroom.ask("internal/models/refresh", {}).catch(() => null);
    darkroom.lookAtModels?.();
    darkroom.modelsChanged();
  };

  const paint = () => {
    const list = darkroom.byId("dr_works");
    const rows = mine.map((id) => seen.get(id)).filter(Boolean).reverse();
    list.hidden = !rows.length;
    list.replaceChildren(...rows.map(row));
  };
  const row = (job) => {
    const running = job.state === "running";
    const head = make("div.dr-line", make("strong", job.prompt || job.kind), running || job.state === "queued" ? action("Cancel", "work-cancel", { id: job.id }, "dr-link") : action("Put away", "work-away", { id: job.id }, "dr-link"));
    const item = make("li", head);
    item.dataset.state = job.state;
    if (running) {
      const bar = make("div.dr-bar", make("i"));
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-valuenow", String(Math.round((job.progress ?? 0) * 100)));
      bar.firstChild.style.width = `${Math.round((job.progress ?? 0) * 100)}%`;
      const left = job.eta ? ` · about ${darkroom.seconds(job.eta)} left` : "";
      item.append(make("div.dr-line", make("span.dr-quiet", job.words || "At work…"), make("span.dr-quiet", `${Math.round((job.progress ?? 0) * 100)} %${left}`)), bar);
    } else if (job.state === "queued") {
      item.append(make("span.dr-quiet", "Waiting for its turn"));
    } else {
      item.append(...outcome(job));
    }
    return item;
  };
  const outcome = (job) => {
    if (job.state === "done") {
      const files = (job.result?.files ?? []).map((path) => String(path).split(/[\\/]/).pop());
      const said = Object.entries(job.result?.notes ?? {}).map(([name, value]) => `${name.replaceAll("_", " ")}: ${[value].flat().join(", ").replaceAll("_", " ")}`);
      const warnings = (job.result?.warnings ?? []).map((text) => make("span.dr-model-why", text));
      return [make("span", files.length ? `Made ${files.join(", ")}` : "Done"), make("span.dr-quiet", said.join(" · ")), ...warnings];
    }
    if (job.state === "canceled") return [make("span.dr-quiet", "Cancelled")];
    return [make("span.dr-model-why", job.fault?.message ?? "It failed; the log has the details.")];
  };

  darkroom.on("work-cancel", async (button) => {
    button.disabled = true;
    await darkroom.ask(`internal/jobs/${encodeURIComponent(button.dataset.id)}/cancel`, {}).catch(() => null);
    look();
  });
  darkroom.on("work-away", (button) => {
    mine = mine.filter((id) => id !== button.dataset.id);
    keep();
    paint();
  });

  // Forms: lists as they are now, and a value chosen by the script.
  darkroom.modelsChanged = () => {
    darkroom.press("models_fresh");
    darkroom.lookAtTiles?.();
  };
  // A dropdown of Gradio's lists what fits the words that are typed into it; the line is pressed when it is there.
  darkroom.choose = async (id, text) => {
    const input = document.querySelector(`#${id} input`);
    input.focus();
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const line = await darkroom.present(`#${id} [role=option][aria-label=${CSS.escape(text)}]`).catch(() => null);
    line?.dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }));
    input.blur();
  };
  darkroom.on("known-model", (button) => {
    darkroom.write("models_download_source", button.dataset.source);
    darkroom.byId("models_download")?.scrollIntoView({ block: "center", behavior: "smooth" });
    darkroom.byId("models_download_start")?.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#tab_models-button")) darkroom.later(() => { look(); darkroom.press("models_fresh"); }, "#dr_works");
  });
})();
