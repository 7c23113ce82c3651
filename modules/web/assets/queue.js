"use strict";
// The list of everything that runs and waits, whoever sent it; looked at only while the page is visible.
(() => {
  const darkroom = window.darkroom;
  const BUSY_MS = 1000;
  const IDLE_MS = 4000;

  let queue = { jobs: [], paused: false, worker: {} };
  let timer = 0;

  const live = () => queue.jobs.filter((job) => job.state === "running" || job.state === "queued");
  darkroom.runningJob = () => queue.jobs.find((job) => job.state === "running")?.id;
  darkroom.workerState = () => queue.worker ?? {};
  darkroom.queuePaused = () => queue.paused;

  // A row stays the same element as long as its job is listed, so that a click never hits one that has just been replaced.
  const rows = new Map();
  const newRow = (job) => {
    const item = document.createElement("li");
    const [what, state, cancel] = ["span", "span", "button"].map((tag) => item.appendChild(document.createElement(tag)));
    what.className = "dr-prompt";
    what.textContent = job.prompt || "(no prompt)"; // text, never markup
    state.className = "dr-quiet";
    Object.assign(cancel, { type: "button", className: "dr-link" });
    Object.assign(cancel.dataset, { do: "queue-cancel", job: job.id });
    return { item, state, cancel };
  };
  const row = (job) => {
    const found = rows.get(job.id) ?? newRow(job);
    rows.set(job.id, found);
    const running = job.state === "running";
    found.item.dataset.state = job.state;
    found.state.textContent = running ? `${Math.round((job.progress ?? 0) * 100)} %` : "waiting";
    found.cancel.textContent = running ? "Stop" : "Cancel";
    found.cancel.setAttribute("aria-label", `${found.cancel.textContent} job ${job.number}`);
    return found.item;
  };
  const arrange = (list, jobs) => {
    const wanted = jobs.map(row);
    if (wanted.length !== list.children.length || wanted.some((item, i) => item !== list.children[i])) list.replaceChildren(...wanted);
    for (const id of rows.keys()) if (!jobs.some((job) => job.id === id)) rows.delete(id);
  };

  // How many wait, beside the name of the Queue tab, whichever tab is open.
  const badge = () => {
    const waiting = queue.waiting ?? live().filter((job) => job.state === "queued").length;
    const tab = darkroom.byId("tab_queue-button");
    if (!tab || tab.dataset.waiting === String(waiting)) return;
    tab.dataset.waiting = waiting;
    if (waiting) tab.setAttribute("aria-label", `Queue, ${waiting} waiting`);
    else tab.removeAttribute("aria-label");
  };

  const paint = () => {
    darkroom.queueSeen?.(queue);
    badge();
    const panel = darkroom.byId("dr_queue");
    if (!panel) return;
    const jobs = live();
    panel.hidden = !jobs.length && !queue.paused;
    const waiting = jobs.filter((job) => job.state === "queued").length;
    const parts = [queue.paused ? "paused" : "", jobs.length > waiting ? `${jobs.length - waiting} running` : "", waiting ? `${waiting} waiting` : ""];
    panel.querySelector(".dr-count").textContent = `Queue: ${parts.filter(Boolean).join(", ") || "empty"}`;
    panel.querySelector("[data-do=queue-pause]").textContent = queue.paused ? "Resume" : "Pause";
    panel.querySelector(".dr-queue-tools .dr-quiet").textContent = queue.paused ? "Nothing new begins until you resume." : "";
    arrange(panel.querySelector("ol"), jobs);
    const worker = queue.worker ?? {};
    const line = document.querySelector("#dr_footer .dr-worker");
    const device = typeof worker.device?.name === "string" ? worker.device.name : "";
    if (line) line.textContent = [device, worker.model, worker.state === "idle" ? "" : worker.message].filter(Boolean).join(" · ");
  };

  const look = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      queue = await darkroom.ask("internal/jobs?limit=50");
      paint();
    } catch { /* the next look tries again */ }
    clearTimeout(timer);
    timer = setTimeout(look, live().length || queue.worker?.state === "starting" ? BUSY_MS : IDLE_MS);
  };
  darkroom.lookAtQueue = look;
  darkroom.startQueue = look;
  document.addEventListener("visibilitychange", look);

  darkroom.on("queue-cancel", async (button) => {
    button.disabled = true;
    await darkroom.ask(`internal/jobs/${encodeURIComponent(button.dataset.job)}/cancel`, {}).catch(() => null);
    look();
  });
  darkroom.on("queue-pause", async () => {
    await darkroom.ask(`internal/queue/${queue.paused ? "resume" : "pause"}`, {}).catch(() => null);
    look();
  });
})();
