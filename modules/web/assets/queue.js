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

  const row = (job) => {
    const item = document.createElement("li");
    item.dataset.state = job.state;
    const what = item.appendChild(document.createElement("span"));
    what.className = "dr-prompt";
    what.textContent = job.prompt || "(no prompt)"; // text, never markup
    const state = item.appendChild(document.createElement("span"));
    state.className = "dr-quiet";
    state.textContent = job.state === "running" ? `${Math.round((job.progress ?? 0) * 100)} %` : "waiting";
    const cancel = item.appendChild(document.createElement("button"));
    Object.assign(cancel, { type: "button", className: "dr-link", textContent: job.state === "running" ? "Stop" : "Cancel" });
    cancel.setAttribute("aria-label", `${cancel.textContent} job ${job.number}`);
    Object.assign(cancel.dataset, { do: "queue-cancel", job: job.id });
    return item;
  };

  const paint = () => {
    const panel = darkroom.byId("dr_queue");
    if (!panel) return;
    const jobs = live();
    panel.hidden = !jobs.length && !queue.paused;
    const waiting = jobs.filter((job) => job.state === "queued").length;
    const parts = [queue.paused ? "paused" : "", jobs.length > waiting ? `${jobs.length - waiting} running` : "", waiting ? `${waiting} waiting` : ""];
    panel.querySelector(".dr-count").textContent = `Queue: ${parts.filter(Boolean).join(", ") || "empty"}`;
    panel.querySelector("[data-do=queue-pause]").textContent = queue.paused ? "Resume" : "Pause";
    panel.querySelector(".dr-queue-tools .dr-quiet").textContent = queue.paused ? "Nothing new begins until you resume." : "";
    panel.querySelector("ol").replaceChildren(...jobs.map(row));
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
