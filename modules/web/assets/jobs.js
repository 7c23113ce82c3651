"use strict";
// The page's own jobs: a key for every click, progress while one runs, the result when it is done, and all of it again
// after a reload. Jobs live on the server; here is only the list of those that this browser waits for.
(() => {
  const darkroom = window.darkroom;
  const DOUBLE_CLICK_MS = 700;
  const LOST_AFTER_MS = 8000; // a submit that the server still does not know of, and that is not under way any more
  const GIVE_UP_MS = 180000;
  const SAID_AFTER_MS = 1500; // a submit that takes longer is told of

  let following = darkroom.store.get("jobs", []).map((job) => ({ tab: "txt2img", ...job })); // [{key, id, since, tab}], in the order they were sent
  let last = { form: "", key: "", time: 0 };
  let preview = -1;
  let failures = 0;
  let timer = 0;
  let sending = 0; // submits under way, whose answers are still to come
  let shownInRun = 0; // results shown since the page was last idle
  const wanted = { txt2img: [], img2img: [] };
  let fetching = { ids: [] };

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
  // begin: place among the values of what the canvases hold, which only this script knows; -1 for none.
  // style, control: places of what pictures belong to that may still be on their way.
  // names: of the form's fields, the first of the values.
  darkroom.beforeSubmit = async (tab, names, begin, style, control, ticket, ...values) => {
    const form = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    values[style] = await darkroom.stylePicture(tab, values[style]);
    values[control] = await darkroom.controlUnits(tab, values[control]);
    if (begin >= 0) values[begin] = JSON.stringify(await darkroom.beginning());
    return [keyOf(tab, values, form), ...values];
  };
  const keyOf = (tab, values, sent) => {
    const form = JSON.stringify([tab, values]);
    const now = Date.now();
    const pending = following.some((job) => job.key === last.key); // what is done already was quick, and this is a wish of its own
    const again = pending && form === last.form && now - last.time < DOUBLE_CLICK_MS;
    last = { form, key: again ? last.key : darkroom.newKey(), time: now, values };
    sending += 1;
    if (!again) {
      follow({ key: last.key, id: null, since: now, tab });
      darkroom.formSent?.(tab, sent ?? {});
    }
    wake();
    return last.key;
  };
  // Upscale: the picture that is selected, through the hires pass of the form.
  darkroom.beforeUpscale = (ticket, ...values) => {
    const source = darkroom.card("txt2img")?.dataset.source ?? "";
    return [JSON.stringify({ key: keyOf("txt2img", [...values, source]), source }), ...values];
  };
  darkroom.on("upscale", () => darkroom.press("txt2img_upscale_run"));

  darkroom.afterSubmit = (tab, ticket) => {
    sending = Math.max(0, sending - 1);
    let answer = {};
    try {
      answer = JSON.parse(ticket);
    } catch { /* the request failed; the poll finds out whether it arrived */ }
    const sent = following.find((one) => one.key === answer.key);
    if (answer.fault) {
      forget(answer.key);
      darkroom.sendingFailed?.(tab);
      darkroom.byId(`${tab}_message`)?.scrollIntoView({ block: "nearest" });
    } else if (answer.batch) {
      takeBatch(tab, answer);
    } else if (sent && answer.id) {
      sent.id = answer.id;
      if (answer.grid) darkroom.showGrid(tab, answer.id);
      remember((jobs) => jobs.map((one) => (one.key === sent.key ? sent : one)));
    }
    wake();
    darkroom.lookAtQueue?.();
    return [];
  };

  // A batch is as many jobs as it has pictures; the server takes some of them at a time, so that every event stays short.
  const stopped = new Set();
  const takeBatch = (tab, answer) => {
    forget(answer.key);
    const since = Date.now();
    for (const job of answer.jobs) follow({ key: job.key, id: job.id, since, tab, batch: answer.key });
    if (answer.next === undefined || stopped.has(answer.key)) return;
    rest.push({ key: answer.key, from: answer.next, values: batchValues[answer.key] ??= last.values });
    follow({ key: answer.key, id: null, since, tab });
    sending += 1;
    darkroom.press(`${tab}_more`);
  };
  const rest = [];
  const batchValues = {};
  darkroom.moreOfBatch = () => {
    const { key, from, values } = rest.shift();
    const begin = values.findIndex((value) => typeof value === "string" && value.startsWith('{"mode":'));
    const more = [...values];
    more[begin] = JSON.stringify({ ...JSON.parse(values[begin]), from });
    return [key, ...more];
  };

  // again: shown once more after a reload, so without the words that were said the first time.
  darkroom.wantedResult = (tab) => {
    fetching = wanted[tab].shift() ?? { ids: [] };
    return [JSON.stringify(fetching)];
  };

  darkroom.afterResult = (tab) => {
    if (!fetching.again) {
      shownInRun += 1;
      darkroom.hideLive(tab);
    }
    darkroom.galleryChanged();
    return [];
  };

  // The pictures of a batch gather in the gallery; the server shows the first of them when there are many.
  const show = (job) => {
    const id = job.id ?? job.key;
    const before = darkroom.store.get(`shown.${job.tab}`, {});
    const ids = job.batch && before.batch === job.batch ? [...before.ids, id] : [id];
    darkroom.store.set(`shown.${job.tab}`, { ids, batch: job.batch ?? "" });
    fetchResult(job.tab, { ids });
  };
  const fetchResult = (tab, what) => {
    wanted[tab].push(what);
    darkroom.press(`${tab}_fetch`);
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
  // Interrupting a picture of a batch ends the batch: what waits is taken out, and no more is asked for.
  const endBatch = async () => {
    const batch = following[0]?.batch;
    if (!batch) return;
    stopped.add(batch);
    const waiting = following.slice(1).filter((job) => job.batch === batch);
    await Promise.all(waiting.map((job) => darkroom.ask(`internal/jobs/${encodeURIComponent(job.id)}/cancel`, {}).catch(() => null)));
    for (const job of waiting) forget(job.key);
  };
  darkroom.interrupt = () => {
    endBatch();
    return act("cancel");
  };
  darkroom.skip = () => act("skip");
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#txt2img_interrupt, #img2img_interrupt")) darkroom.interrupt();
    if (event.target.closest?.("#txt2img_skip, #img2img_skip")) darkroom.skip();
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
      const accepted = Boolean(job.id); // as it is asked: the answer to the submit may come while this one is on its way
      const body = { id_task: job.id ?? job.key, id_live_preview: preview, live_preview: !document.hidden };
      const state = await darkroom.ask("internal/progress", body);
      failures = 0;
      if (following[0] === job) take(job, state, accepted);
    } catch {
      failures += 1;
      if (failures > 2) say("No answer from the server; trying again…");
    }
    const period = darkroom.facts().period_ms ?? 400;
    clearTimeout(timer);
    timer = setTimeout(turn, failures ? Math.min(3000, period * 2 ** Math.min(failures, 4)) : period);
  };

  const take = (job, state, accepted) => {
    if (state.completed) {
      forget(job.key);
      preview = -1;
      show(job);
      darkroom.jobEnded?.(job, state, following.length);
    } else if (state.active || state.queued) {
      paint(state);
    } else if (state.state !== "unknown") {
      say("Waiting…"); // it went from one state to the next while the server looked
    } else if (accepted || (!job.id && Date.now() - job.since > (sending ? GIVE_UP_MS : LOST_AFTER_MS))) {
      forget(job.key);
      if (!accepted) darkroom.tell("The request did not arrive", "The connection was lost on the way. Press Generate again.");
    } else if (Date.now() - job.since > SAID_AFTER_MS) {
      say("Sending…");
    }
  };

  const box = () => darkroom.byId(`${following[0]?.tab ?? darkroom.tab()}_progress`);
  const place = (selector) => box()?.querySelector(selector);
  const say = (text) => {
    const line = place(".dr-what");
    if (!line) return;
    for (const tab of darkroom.generateTabs) if (darkroom.byId(`${tab}_progress`) !== box()) quiet(tab);
    box().hidden = false;
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
    title(percent === null ? "…" : `${percent} %${state.eta ? ` ${darkroom.seconds(state.eta)}` : ""}`);
    if (!box()) return; // that tab was not opened since the page was loaded
    place(".dr-left").textContent = percent === null ? "" : `${percent} %${left ? ` · ${left}` : ""}`;
    const bar = place(".dr-bar");
    bar.classList.toggle("dr-unknown", percent === null);
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = percent === null ? "" : `${percent}%`;
    if (state.live_preview && state.id_live_preview !== preview) {
      preview = state.id_live_preview;
      darkroom.showLive(following[0].tab, state.live_preview, shownInRun > 0);
    }
  };

  const title = (text) => { document.title = text ? `[${text}] Darkroom` : "Darkroom"; };

  const quiet = (tab) => {
    const bar = darkroom.byId(`${tab}_progress`);
    if (bar) bar.hidden = true;
  };
  const idle = () => {
    delete document.body.dataset.busy;
    shownInRun = 0;
    for (const tab of darkroom.generateTabs) quiet(tab);
    title(document.hidden && document.title !== "Darkroom" ? "done" : "");
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !following.length) title(""); });

  // After a load: take up the jobs that were under way, and show the latest results again.
  darkroom.startJobs = () => {
    for (const tab of darkroom.generateTabs) {
      const shown = darkroom.store.get(`shown.${tab}`, null);
      if (shown?.ids?.length) fetchResult(tab, { ids: shown.ids, again: true });
    }
    wake();
  };
})();
