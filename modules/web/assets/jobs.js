"use strict";
// The page's own jobs: a key for every click, progress while one runs, the result when it is done, and all of it again
// after a reload. Jobs live on the server; here is only the list of those that this browser waits for.
(() => {
  const darkroom = window.darkroom;
  const DOUBLE_CLICK_MS = 700;
  const LOST_AFTER_MS = 8000; // a submit that the server still does not know of, and that is not under way any more
  const GIVE_UP_MS = 180000;

  let following = darkroom.store.get("jobs", []); // [{key, id, since}], in the order they were sent
  let last = { form: "", key: "", time: 0 };
  let preview = -1;
  let failures = 0;
  let timer = 0;
  let sending = 0; // submits under way, whose answers are still to come
  let shownInRun = 0; // results shown since the page was last idle
  const wanted = [];
  let fetching = { id: "" };

  // Other tabs write the same list, so it is changed and never replaced.
  const remember = (change) => darkroom.store.set("jobs", change(darkroom.store.get("jobs", [])));
  const follow = (job) => {
    following.push(job);
    remember((jobs) => [...jobs, job]);
  };
  const forget = (key) => {
    following = following.filter((job) => job.key !== key);
    remember((jobs) => jobs.filter((job) => job.key !== key));
  };

  // The key makes a double click, or a request that the network repeats, one job.
  darkroom.beforeSubmit = (ticket, ...values) => {
    const form = JSON.stringify(values);
    const now = Date.now();
    const again = form === last.form && now - last.time < DOUBLE_CLICK_MS;
    last = { form, key: again ? last.key : darkroom.newKey(), time: now };
    sending += 1;
    if (!again) follow({ key: last.key, id: null, since: now });
    wake();
    return [last.key, ...values];
  };

  darkroom.afterSubmit = (ticket) => {
    sending = Math.max(0, sending - 1);
    let answer = {};
    try {
      answer = JSON.parse(ticket);
    } catch { /* the request failed; the poll finds out whether it arrived */ }
    const job = following.find((one) => one.key === answer.key);
    if (answer.fault) {
      forget(answer.key);
      darkroom.byId("txt2img_message")?.scrollIntoView({ block: "nearest" });
    } else if (job && answer.id) {
      job.id = answer.id;
      remember((jobs) => jobs.map((one) => (one.key === job.key ? job : one)));
    }
    wake();
    darkroom.lookAtQueue?.();
    return [];
  };

  // again: shown once more after a reload, so without the words that were said the first time.
  darkroom.wantedResult = () => {
    fetching = wanted.shift() ?? { id: "" };
    return [JSON.stringify(fetching)];
  };

  darkroom.afterResult = () => {
    if (!fetching.again) {
      shownInRun += 1;
      darkroom.hideLive();
    }
    darkroom.galleryChanged();
    return [];
  };

  const show = (id) => {
    darkroom.store.set("shown", id);
    fetchResult({ id });
  };
  const fetchResult = (what) => {
    wanted.push(what);
    darkroom.press("txt2img_fetch");
  };

  // The job that Interrupt and Skip mean: the one this page shows, else whatever runs.
  darkroom.currentJob = () => following[0]?.id ?? following[0]?.key ?? darkroom.runningJob?.() ?? null;
  const act = async (what) => {
    const id = darkroom.currentJob();
    if (!id) return;
    if (what === "cancel") say("Stopping…");
    try {
      await darkroom.ask(`internal/jobs/${encodeURIComponent(id)}/${what}`, {});
    } catch (error) {
      darkroom.tell("That did not arrive", `The server did not take it (${error.message}). Try again.`);
    }
    wake();
  };
  darkroom.interrupt = () => act("cancel");
  darkroom.skip = () => act("skip");
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#txt2img_interrupt")) darkroom.interrupt();
    if (event.target.closest?.("#txt2img_skip")) darkroom.skip();
  });

  const wake = () => {
    clearTimeout(timer);
    timer = setTimeout(turn, 0);
  };

  const turn = async () => {
    clearTimeout(timer);
    const job = following[0];
    if (!job) return idle();
    document.body.dataset.busy = "yes";
    try {
      const body = { id_task: job.id ?? job.key, id_live_preview: preview, live_preview: !document.hidden };
      const state = await darkroom.ask("internal/progress", body);
      failures = 0;
      if (following[0] === job) take(job, state);
    } catch {
      failures += 1;
      if (failures > 2) say("No answer from the server; trying again…");
    }
    const period = darkroom.facts().period_ms ?? 400;
    clearTimeout(timer);
    timer = setTimeout(turn, failures ? Math.min(3000, period * 2 ** Math.min(failures, 4)) : period);
  };

  const take = (job, state) => {
    if (state.completed) {
      forget(job.key);
      preview = -1;
      show(job.id ?? job.key);
    } else if (state.active || state.queued) {
      paint(state);
    } else if (job.id || Date.now() - job.since > (sending ? GIVE_UP_MS : LOST_AFTER_MS)) {
      forget(job.key);
      if (!job.id) darkroom.tell("The request did not arrive", "The connection was lost on the way. Press Generate again.");
    }
  };

  const place = (selector) => darkroom.byId("txt2img_progress")?.querySelector(selector);
  const say = (text) => {
    const line = place(".dr-what");
    if (!line) return;
    darkroom.byId("txt2img_progress").hidden = false;
    if (line.textContent !== text) line.textContent = text;
  };

  const words = (state) => {
    const worker = darkroom.workerState?.() ?? {};
    const more = following.length > 1 ? ` · ${following.length - 1} more waiting` : "";
    if (state.queued) {
      if (darkroom.queuePaused?.()) return "The queue is paused; resume it below to go on";
      if (state.position === 1 && ["starting", "dead"].includes(worker.state)) return worker.message || "Loading the model…";
      return state.position > 1 ? `Waiting: place ${state.position} of ${state.position_of} in the queue` : "Waiting for the worker…";
    }
    if (!state.step) return (state.textinfo || "Loading the model…") + more;
    if (state.step >= state.steps) return `Finishing…${more}`;
    return `Step ${state.step} of ${state.steps}${more}`;
  };

  const paint = (state) => {
    const fraction = state.active && state.step ? Math.min(1, state.progress ?? 0) : null;
    const percent = fraction === null ? null : Math.floor(fraction * 100);
    const left = fraction !== null && state.eta ? `about ${darkroom.seconds(state.eta)} left` : "";
    say(words(state));
    place(".dr-left").textContent = percent === null ? "" : `${percent} %${left ? ` · ${left}` : ""}`;
    const bar = place(".dr-bar");
    bar.classList.toggle("dr-unknown", percent === null);
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = percent === null ? "" : `${percent}%`;
    title(percent === null ? "…" : `${percent} %${state.eta ? ` ${darkroom.seconds(state.eta)}` : ""}`);
    if (state.live_preview && state.id_live_preview !== preview) {
      preview = state.id_live_preview;
      darkroom.showLive(state.live_preview, shownInRun > 0);
    }
  };

  const title = (text) => { document.title = text ? `[${text}] Darkroom` : "Darkroom"; };

  const idle = () => {
    delete document.body.dataset.busy;
    shownInRun = 0;
    const box = darkroom.byId("txt2img_progress");
    if (box) box.hidden = true;
    title(document.hidden && document.title !== "Darkroom" ? "done" : "");
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !following.length) title(""); });

  // After a load: take up the jobs that were under way, and show the latest result again.
  darkroom.startJobs = () => {
    const shown = darkroom.store.get("shown", "");
    if (shown) fetchResult({ id: shown, again: true });
    wake();
  };
})();
