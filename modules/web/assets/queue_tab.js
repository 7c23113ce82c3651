"use strict";
// The Queue tab's list: what runs, waits and has ended. The server is asked for changes only; a row is drawn anew only when its job
// changed, and the progress of a running one is written into the row that is there. Texts come from people: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const BUSY_MS = 1000;
  const IDLE_MS = 3000;
  const PAGE = { waiting: 50, past: 30 };
  const THUMBNAILS = 4;
  const KINDS = { txt2img: "txt2img", img2img: "img2img", inpaint: "Inpaint", extras: "Extras", caption: "Caption", "control-map": "Control map", caption_folder: "Captions for a folder", extract_lora: "Extract LoRA", merge_lora: "Merge LoRA", unpickle: "Rescue" };
  const DOORS = { local: "from the page", api: "over the API", cli: "from the command line", history: "from History" };
  const STATES = { running: "Running", queued: "Waiting", done: "Done", failed: "Failed", parked: "Given up", canceled: "Cancelled" };
  const PRIORITIES = [[10, "High"], [0, "Normal"], [-10, "Low"]];

  const wish = { ...PAGE, show: darkroom.store.get("board.show", "") };
  const state = { mark: "", paused: false, changes: true, orders: true, running: [], waiting: {}, past: [], counts: {}, seen: false, era: 0 };
  const rows = new Map(); // id -> {item, look}
  const open = new Set(); // ids of the rows that are unfolded
  let timer = 0;
  let failures = 0;
  let at = null; // id of the row that the keyboard is on

  const root = () => darkroom.byId("dr_board");
  const part = (name) => root()?.querySelector(name);
  const shown = () => darkroom.currentTab() === "queue" && !document.hidden && Boolean(root());
  const list = (name) => part(`[data-part="${name}"] .dr-board-list`);

  // ---- Words --------------------------------------------------------------------------------------------------------
  const clock = (time_s) => {
    const then = new Date(time_s * 1000);
    const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
  };
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;
  const kindWords = (kind) => KINDS[kind] ?? sentence(kind.replaceAll("_", " "));
  const who = (row) => DOORS[row.owner] ?? `by ${row.owner}`;
  const times = (row) => {
    if (row.state === "running") return row.started_s ? `began ${clock(row.started_s)}` : "";
    if (row.state === "queued") return [`since ${clock(row.created_s)}`, row.deadline_s ? `until ${clock(row.deadline_s)}` : ""].filter(Boolean).join(", ");
    const took = row.started_s && row.finished_s ? `took ${darkroom.seconds(row.finished_s - row.started_s)}` : "";
    return [row.finished_s ? clock(row.finished_s) : "", took].filter(Boolean).join(", ");
  };
  const title = (row) => row.title || (row.form ? "(no prompt)" : kindWords(row.kind));
  const priorityWords = (n) => PRIORITIES.find(([value]) => value === n)?.[1] ?? String(n);

  // ---- One row ------------------------------------------------------------------------------------------------------
  const icon = (name, words, does, row) => {
    const button = action("", does, { id: row.id, to: name }, `dr-button.dr-glyph.dr-glyph-${name}`);
    button.title = words;
    button.setAttribute("aria-label", `${words}: job ${row.number}`);
    return button;
  };
  const named = (button, row, title) => {
    button.setAttribute("aria-label", `${button.textContent}, job ${row.number}`);
    if (title) button.title = title;
    return button;
  };
  const edit = (row) => (row.form ? [named(action("Edit", "board-edit", { id: row.id }), row, `Put its settings${row.form === "img2img" ? " and pictures" : ""} into the ${row.form} form`)] : []);
  const again = (row) => [
    ...(state.changes ? [named(action("Run again", "board-again", { id: row.id, seed: "same" }), row, row.form ? "Make the very same pictures once more" : "Do the same once more")] : []),
    ...(state.changes && row.form ? [named(action("New seed", "board-again", { id: row.id, seed: "new" }), row, "Run it again with another seed")] : []),
    ...edit(row),
  ];
  const priority = (row) => {
    const box = make("select");
    const values = PRIORITIES.some(([value]) => value === row.priority) ? PRIORITIES : [...PRIORITIES, [row.priority, String(row.priority)]];
    box.append(...values.map(([value, words]) => new Option(words, value, false, value === row.priority)));
    box.dataset.id = row.id;
    box.setAttribute("aria-label", `Priority of job ${row.number}`);
    return make("label.dr-board-priority", "Priority ", box);
  };
  // On a phone there is no room for these two beside the others.
  const ends = (row) => make("span.dr-job-ends", named(action("To the front", "board-move", { id: row.id, to: "first" }), row), named(action("To the end", "board-move", { id: row.id, to: "last" }), row));
  const buttons = (row) => {
    const bar = make("div.dr-job-buttons");
    if (row.state === "running") {
      if (row.batches > 1) bar.append(named(action("Skip batch", "board-act", { id: row.id, what: "skip" }), row, "End this batch; the next one goes on"));
      bar.append(named(action("Stop", "board-act", { id: row.id, what: "cancel" }), row, "Stop at the next step; pictures made so far are kept"));
      bar.append(...edit(row));
    } else if (row.state === "queued") {
      if (state.orders) bar.append(make("span.dr-glyphs", icon("first", "To the front", "board-move", row), icon("up", "Up", "board-move", row), icon("down", "Down", "board-move", row), icon("last", "To the end", "board-move", row)));
      if (state.changes && row.mine) bar.append(named(action(row.held ? "Release" : "Hold", "board-act", { id: row.id, what: row.held ? "release" : "hold" }), row, row.held ? "Let it begin when its turn comes" : "Keep it back; others pass it"));
      bar.append(named(action("Cancel", "board-act", { id: row.id, what: "cancel" }), row));
      const more = named(action("More", "board-unfold", { id: row.id }), row, "Priority, running it again, changing it");
      more.setAttribute("aria-expanded", String(open.has(row.id)));
      bar.append(more);
    } else {
      bar.append(...again(row));
    }
    return bar;
  };
  const thumbnails = (row) => {
    const box = make("div.dr-job-pictures");
    for (let place = 0; place < Math.min(row.pictures, THUMBNAILS); place += 1) {
      const button = action("", "board-view", { id: row.id, place }, "dr-job-picture");
      button.setAttribute("aria-label", `Picture ${place + 1} of ${row.pictures} of job ${row.number}, full view`);
      const image = Object.assign(make("img"), { src: `internal/queue/${row.id}/thumbnail/${place}`, alt: "", loading: "lazy", decoding: "async" });
      image.addEventListener("error", () => { button.replaceChildren(make("span.dr-quiet", "gone")); button.title = "The file was moved or deleted"; button.disabled = true; });
      button.append(image);
      if (place === THUMBNAILS - 1 && row.pictures > THUMBNAILS) button.append(make("span.dr-job-further", `+${row.pictures - THUMBNAILS}`));
      box.append(button);
    }
    return box;
  };
  const progress = (row) => {
    const bar = make("div.dr-bar", make("i"));
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", `Progress of job ${row.number}`);
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    return [make("div.dr-line", make("span.dr-what"), make("span.dr-left")), bar];
  };
  const words = (row) => {
    const box = make("div.dr-job-words");
    const mark = make("span.dr-job-state", row.held ? "Held" : STATES[row.state]);
    const facts = make("div.dr-facts", make("span.dr-job-kind", kindWords(row.kind)), ...row.facts.map((fact) => make("span", fact)), make("span", who(row)), make("span", times(row)), make("span", `no. ${row.number}`));
    if (row.state === "queued" && row.priority) facts.append(make("span.dr-job-priority", `priority ${priorityWords(row.priority).toLowerCase()}`));
    if (row.attempts > 1) facts.append(make("span", `attempt ${row.attempts}`));
    const heading = row.finished_s || row.held ? make("div.dr-job-head", mark, make("strong", title(row))) : make("div.dr-job-head", make("strong", title(row)));
    box.append(heading, facts);
    if (row.state === "running") box.append(...progress(row));
    if (row.fault) box.append(make("p.dr-job-fault", row.fault));
    if (row.said) box.append(make("p.dr-quiet", row.said));
    if (row.warnings) box.append(make("p.dr-quiet", row.warnings === 1 ? "1 remark; it stands in the picture's text." : `${row.warnings} remarks; they stand in the pictures' texts.`));
    if (row.state === "queued" && open.has(row.id)) box.append(make("div.dr-job-more", ...(state.orders ? [priority(row), ends(row)] : []), ...again(row)));
    return box;
  };
  const draw = (row) => {
    const item = make("li.dr-job");
    Object.assign(item.dataset, { id: row.id, state: row.state, lane: row.lane });
    item.tabIndex = -1;
    if (row.held) item.dataset.held = "yes";
    if (row.state === "queued" && state.orders) {
      const grip = make("span.dr-grip");
      grip.title = "Drag to another place";
      grip.setAttribute("aria-hidden", "true");
      item.append(grip, make("span.dr-job-place"));
    }
    if (row.state === "running") {
      const live = action("", "board-live", { id: row.id }, "dr-job-live");
      live.setAttribute("aria-label", `Preview of job ${row.number}, full view`);
      live.disabled = true;
      item.append(live);
    }
    item.append(words(row));
    if (row.pictures && row.finished_s) item.append(thumbnails(row));
    item.append(buttons(row));
    return item;
  };

  // ---- All rows -----------------------------------------------------------------------------------------------------
  const rowOf = (row) => {
    const { live, ...fixed } = row;
    const look = JSON.stringify([fixed, open.has(row.id), state.changes, state.orders]);
    const known = rows.get(row.id);
    if (known?.look === look) return Object.assign(known, { row }).item;
    const item = draw(row);
    if (known?.item.contains(document.activeElement)) state.lost = { id: row.id, does: document.activeElement.dataset?.do, to: document.activeElement.dataset?.to };
    known?.item.replaceWith(item);
    rows.set(row.id, { item, look, row });
    return item;
  };
  const arrange = (name, found) => {
    const place = list(name);
    const wanted = found.map(rowOf);
    const keep = new Set(wanted);
    for (const item of [...place.children]) if (!keep.has(item)) item.remove();
    wanted.forEach((item, i) => {
      if (place.children[i] === item) return;
      if (item.contains(document.activeElement)) state.lost = { id: item.dataset.id, does: document.activeElement.dataset?.do, to: document.activeElement.dataset?.to };
      place.insertBefore(item, place.children[i] ?? null);
    });
  };
  const refocus = () => {
    const { lost } = state;
    state.lost = null;
    const item = lost && rows.get(lost.id)?.item;
    if (!item?.isConnected) return;
    const same = lost.does && [...item.querySelectorAll(`[data-do="${lost.does}"]`)].find((one) => one.dataset.to === lost.to);
    (same ?? item).focus({ preventScroll: true });
  };
  const reach = () => { // one row can be reached with Tab; its buttons come after it
    const items = [...root().querySelectorAll(".dr-job")];
    if (!items.some((item) => item.dataset.id === at)) at = items[0]?.dataset.id ?? null;
    for (const item of items) {
      const here = item.dataset.id === at;
      item.tabIndex = here ? 0 : -1;
      for (const one of item.querySelectorAll("button, select")) one.tabIndex = here ? 0 : -1;
    }
  };
  const number = () => {
    for (const place of root().querySelectorAll("ol.dr-board-list")) {
      [...place.children].forEach((item, i) => {
        const row = rows.get(item.dataset.id)?.row;
        const mark = item.querySelector(".dr-job-place");
        if (mark) mark.textContent = i + 1;
        const count = state.waiting[place.dataset.lane]?.count ?? place.children.length;
        if (row) item.setAttribute("aria-label", `Job ${row.number}, ${row.held ? "held" : "waiting"}, place ${i + 1} of ${count}: ${title(row)}`);
        for (const [to, end] of [["first", i === 0], ["up", i === 0], ["down", i + 1 >= count], ["last", i + 1 >= count]]) {
          const button = item.querySelector(`.dr-glyph-${to}`);
          if (button) button.setAttribute("aria-disabled", String(end));
        }
      });
    }
  };

  // What a running job is doing, into the row that is there.
  const showLive = (row) => {
    const item = rows.get(row.id)?.item;
    const bar = item?.querySelector(".dr-bar");
    if (!bar) return;
    const { live } = row;
    const known = live && live.step > 0;
    const percent = known ? Math.floor(Math.min(1, live.fraction) * 100) : null;
    const batch = live && live.batch_count > 1 ? `batch ${live.batch_no + 1} of ${live.batch_count}` : "";
    const step = !known ? live?.text || "Getting ready…" : live.step >= live.steps ? "Finishing…" : [`Step ${live.step} of ${live.steps}`, batch].filter(Boolean).join(", ");
    item.querySelector(".dr-what").textContent = live?.stopping ? "Stopping…" : step;
    item.querySelector(".dr-left").textContent = percent === null ? "" : [`${percent} %`, live.eta_s ? `about ${darkroom.seconds(live.eta_s)} left` : ""].filter(Boolean).join(" · ");
    bar.classList.toggle("dr-unknown", percent === null);
    if (percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", percent);
    bar.firstElementChild.style.width = percent === null ? "" : `${percent}%`;
    item.setAttribute("aria-label", `Job ${row.number}, running: ${title(row)}`);
    preview(item.querySelector(".dr-job-live"), row);
  };
  const preview = (box, row) => {
    const shownNow = row.live?.preview ?? -1;
    if (shownNow < 0 || box.dataset.preview === String(shownNow)) return;
    box.dataset.preview = shownNow;
    const image = Object.assign(make("img"), { src: `internal/queue/${row.id}/preview?${shownNow}`, alt: "" });
    image.addEventListener("load", () => { box.replaceChildren(image); box.disabled = false; }, { once: true }); // the old one stays until then
  };

  const counted = (waiting) => [state.running.length ? `${state.running.length} running` : "", waiting ? `${waiting.toLocaleString()} waiting` : ""].filter(Boolean).join(", ");
  const paint = () => {
    if (!root()) return;
    const lanes = Object.entries(state.waiting);
    const waiting = lanes.reduce((sum, [, found]) => sum + found.count, 0);
    if (!darkroom.board.busy) { // while a row is dragged nothing moves under the hand
      arrange("running", state.running);
      for (const [lane, found] of lanes) arrange(`waiting-${lane}`, found.rows);
      arrange("past", state.past);
      const here = new Set([...state.running, ...state.past, ...lanes.flatMap(([, found]) => found.rows)].map((row) => row.id));
      for (const id of rows.keys()) if (!here.has(id)) { rows.delete(id); open.delete(id); }
      number();
      reach();
      refocus();
    }
    state.running.forEach(showLive);
    part("[data-part=running]").hidden = !state.running.length;
    for (const [lane, found] of lanes) {
      const box = part(`[data-part=waiting-${lane}]`);
      box.hidden = !found.count;
      box.querySelector("h2 b").textContent = found.count.toLocaleString();
      box.querySelector(".dr-board-more").hidden = found.rows.length >= found.count;
    }
    paintPast(state.counts[""] ?? 0);
    part(".dr-board-none").hidden = Boolean(state.running.length || waiting || state.counts[""]);
    part(".dr-board-paused").hidden = !state.paused;
    const pause = part("[data-do=board-pause]");
    pause.textContent = state.paused ? "Resume the queue" : "Pause the queue";
    pause.classList.toggle("dr-main", state.paused);
    pause.hidden = !state.changes;
    const worker = state.worker ?? {};
    const why = waiting && !state.running.length && !state.paused && worker.state !== "idle" ? worker.message : "";
    say([counted(waiting) || (state.counts[""] ? "Nothing runs and nothing waits" : ""), why].filter(Boolean).join(" · "));
  };
  const paintPast = (all) => {
    part("[data-part=past]").hidden = !all;
    part("[data-do=board-clear]").hidden = !state.changes;
    for (const chip of root().querySelectorAll("[data-do=board-show]")) {
      const count = state.counts[chip.dataset.show] ?? 0;
      chip.querySelector("b").textContent = count.toLocaleString();
      chip.setAttribute("aria-pressed", String(chip.dataset.show === wish.show));
      chip.classList.toggle("dr-empty", !count);
    }
    part("[data-part=past] .dr-board-more").hidden = state.past.length >= (state.counts[wish.show] ?? 0);
    const nothing = part(".dr-board-nothing");
    nothing.hidden = state.past.length > 0;
    nothing.textContent = wish.show ? "None of the finished jobs ended like this." : "";
  };
  const say = (text) => {
    const place = part(".dr-board-state");
    if (place.textContent !== text) place.textContent = text;
  };

  // ---- Asking -------------------------------------------------------------------------------------------------------
  const look = async () => {
    clearTimeout(timer);
    if (!shown()) return;
    const era = (state.era += 1);
    try {
      const answer = await darkroom.ask(`internal/queue?${new URLSearchParams({ ...wish, mark: state.mark })}`);
      if (era !== state.era) return;
      failures = 0;
      Object.assign(state, answer, { seen: true });
      paint();
    } catch {
      if (era !== state.era) return;
      failures += 1;
      if (failures > 1 && root()) say("No answer from the server; trying again…");
    }
    clearTimeout(timer);
    const busy = state.running.length || Object.values(state.waiting).some((found) => found.count);
    timer = setTimeout(look, failures ? Math.min(8000, BUSY_MS * 2 ** failures) : busy ? BUSY_MS : IDLE_MS);
  };
  darkroom.board = {
    look, root, part, state, rows, open, list, title,
    busy: false,
    row: (id) => rows.get(id)?.row,
    again: () => { state.mark = ""; return look(); },
    tell: (text) => { part(".dr-board-said").textContent = text; },
    goTo: (id) => { at = id; reach(); rows.get(id)?.item.focus({ preventScroll: true }); rows.get(id)?.item.scrollIntoView({ block: "nearest" }); },
    paint, number,
  };

  darkroom.on("board-show", (chip) => {
    Object.assign(wish, { show: chip.dataset.show, past: PAGE.past });
    darkroom.store.set("board.show", wish.show);
    look();
  });
  darkroom.on("board-more", (button) => {
    wish[button.dataset.part] = Math.min(1000, wish[button.dataset.part] + 2 * PAGE[button.dataset.part]);
    look();
  });
  document.addEventListener("focusin", (event) => {
    const item = event.target.closest?.("#dr_board .dr-job");
    if (!item || item.dataset.id === at) return;
    at = item.dataset.id;
    reach();
  });

  // The frame is made when the tab is first opened; the list is asked for whenever somebody looks at it.
  darkroom.onTab((tab) => {
    if (tab === "queue") darkroom.later(() => { state.mark = ""; look(); }, "#dr_board");
    else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => { if (shown()) look(); });
})();
