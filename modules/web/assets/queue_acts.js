"use strict";
// What can be done in the Queue tab: with buttons, the keyboard, and by dragging rows with mouse or finger.
(() => {
  const darkroom = window.darkroom;
  const { make, action, board } = darkroom;
  const EDGE_PX = 60; // so near to the window's edge a dragged row scrolls the page

  // Like darkroom.ask, but with the server's own words when it refuses.
  const post = async (path, body = {}) => {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(`internal/${path}`, { ...options, signal: AbortSignal.timeout(20000) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.errors || (typeof said.detail === "string" && said.detail) || `${answer.status} ${answer.statusText}`);
    return said;
  };
  const attempt = async (work, wrong) => {
    try {
      return (await work()) ?? true;
    } catch (error) {
      darkroom.tell(wrong, error.message);
      return null;
    } finally {
      darkroom.lookAtQueue?.();
      await board.again(); // what is said afterwards is about the list as it is then
    }
  };
  const named = (id) => `job ${board.row(id)?.number ?? ""}`.trim();

  // ---- Single jobs --------------------------------------------------------------------------------------------------
  const WRONG = { cancel: "It was not cancelled", skip: "It was not skipped", hold: "It is not held", release: "It was not released" };
  const SAID = { cancel: "Stopped or cancelled:", skip: "Batch skipped:", hold: "Held:", release: "Released:" };
  const act = async (id, what) => {
    const words = named(id);
    const room = what === "hold" || what === "release" ? "queue" : "jobs";
    if (await attempt(() => post(`${room}/${encodeURIComponent(id)}/${what}`), WRONG[what])) board.tell(`${SAID[what]} ${words}`);
  };
  darkroom.on("board-act", (button) => {
    button.disabled = true;
    act(button.dataset.id, button.dataset.what).finally(() => { button.disabled = false; });
  });
  darkroom.on("board-again", async (button) => {
    button.disabled = true;
    const { id, seed } = button.dataset;
    const made = await attempt(() => post(`queue/${encodeURIComponent(id)}/again`, { seed }), "It could not be queued again");
    button.disabled = false;
    if (made) board.tell(`Queued as job ${made.number}${seed === "new" ? ", with another seed" : ""}.`);
  });
  darkroom.on("board-unfold", (button) => {
    const { id } = button.dataset;
    if (!board.open.delete(id)) board.open.add(id);
    board.paint();
  });
  document.addEventListener("change", async (event) => {
    const box = event.target.closest?.("#dr_board .dr-board-priority select");
    if (box && await attempt(() => post(`queue/${encodeURIComponent(box.dataset.id)}/priority`, { priority: Number(box.value) }), "The priority was not changed")) {
      board.tell(`Priority of ${named(box.dataset.id)}: ${box.selectedOptions[0].textContent}`);
    }
  });

  // The form of its tab as the job asked for it; for img2img its pictures first, as the form's sizes follow them.
  darkroom.on("board-edit", async (button) => {
    const { id } = button.dataset;
    button.disabled = true;
    try {
      const begun = await darkroom.ask(`internal/queue/${encodeURIComponent(id)}/beginning`);
      if (begun.tab === "img2img") await darkroom.beginWith(begun.mode, begun.canvases);
      else darkroom.showTab(begun.tab);
      darkroom.fillForm(begun.tab, "", { job: id });
      scrollTo({ top: 0 });
    } catch (error) {
      darkroom.tell("The form could not be filled", error.message);
    }
    button.disabled = false;
  });

  const addresses = (row) => Array.from({ length: row.pictures }, (_, place) => `internal/pictures/${row.id}/${place}`);
  darkroom.on("board-view", (button) => darkroom.showPictures(addresses(board.row(button.dataset.id)), Number(button.dataset.place)));
  darkroom.on("board-live", (button) => {
    const image = button.querySelector("img");
    if (image) darkroom.showPictures([image.src], 0);
  });

  // ---- The queue as a whole -----------------------------------------------------------------------------------------
  darkroom.on("board-pause", async (button) => {
    button.disabled = true;
    await attempt(() => post(`queue/${board.state.paused ? "resume" : "pause"}`), board.state.paused ? "The queue was not resumed" : "The queue was not paused");
    button.disabled = false;
  });
  const sure = () => board.part(".dr-board-sure");
  darkroom.on("board-clear", () => {
    const opened = !sure();
    board.part("[data-do=board-clear]").setAttribute("aria-expanded", String(opened));
    if (!opened) return sure().remove();
    const count = board.state.counts[""] ?? 0;
    const words = make("span", `Take ${count === 1 ? "the finished job" : `${count.toLocaleString()} finished jobs`} off this list? The pictures stay, also in History.`);
    const box = make("div.dr-board-sure.dr-box.dr-notice", words, action("Clear", "board-clear-now", {}, "dr-button.dr-main"), action("Keep", "board-clear"));
    board.part("[data-part=past] .dr-board-bar").after(box);
    box.querySelector("button").focus();
    return undefined;
  });
  darkroom.on("board-clear-now", async () => {
    sure()?.remove();
    board.part("[data-do=board-clear]").setAttribute("aria-expanded", "false");
    const answer = await attempt(() => post("queue/clear"), "The list was not cleared");
    board.part("[data-do=board-clear]").focus();
    if (answer) board.tell(`${answer.cleared.toLocaleString()} taken off the list.${answer.fresh ? " What ended a moment ago stays a little longer." : ""}`);
  });

  // ---- Order --------------------------------------------------------------------------------------------------------
  const laneOf = (id) => board.state.waiting[board.row(id)?.lane];
  const move = async (id, before) => {
    const number = named(id);
    if (!await attempt(() => post(`queue/${encodeURIComponent(id)}/move`, { before }), "It was not moved")) return;
    const found = laneOf(id);
    const place = found ? found.rows.findIndex((row) => row.id === id) + 1 : 0;
    board.tell(place ? `${number[0].toUpperCase()}${number.slice(1)} is at place ${place} of ${found.count}` : `${number} was moved`);
  };
  // What a job goes before: undefined when it is there already; null is behind all.
  const target = (id, to) => {
    const found = laneOf(id);
    const ids = [...found.rows.map((row) => row.id), ...found.beyond];
    const here = ids.indexOf(id);
    const end = here === found.count - 1;
    if (to === "first" || to === "up") return here > 0 ? ids[to === "first" ? 0 : here - 1] : undefined;
    return end ? undefined : to === "last" ? null : ids[here + 2] ?? null;
  };
  const shift = (id, to) => {
    const before = target(id, to);
    if (before === undefined) return board.tell(`${named(id)} is ${to === "first" || to === "up" ? "the first" : "the last"} already`);
    return move(id, before);
  };
  darkroom.on("board-move", (button) => shift(button.dataset.id, button.dataset.to));

  // ---- Keys ---------------------------------------------------------------------------------------------------------
  const onJob = (event) => {
    const item = event.target.closest?.("#dr_board .dr-job");
    if (!item || darkroom.lightboxOpen() || event.target.matches("select")) return null;
    return { item, row: board.row(item.dataset.id), whole: event.target === item }; // whole: not a button in it
  };
  const waits = ({ row }) => row.state === "queued";
  const step = (place) => ({ item }) => {
    const items = [...board.root().querySelectorAll(".dr-job")];
    const found = items.at(place(items.indexOf(item), items.length));
    if (found) board.goTo(found.dataset.id);
  };
  const moving = (to) => (on) => (waits(on) && board.state.orders ? shift(on.row.id, to) : false);
  darkroom.keys("Queue", onJob, [
    ["ArrowDown", "Next job", step((at, count) => Math.min(count - 1, at + 1))],
    ["ArrowUp", "Job before", step((at) => Math.max(0, at - 1))],
    ["Home", "First job", step(() => 0)],
    ["End", "Last job", step(() => -1)],
    ["Enter", "Unfold it, or show its pictures", (on) => {
      if (on.whole && waits(on)) on.item.querySelector("[data-do=board-unfold]").click();
      else if (on.whole && on.row.pictures && on.row.finished_s) darkroom.showPictures(addresses(on.row), 0);
      else return false;
      return true;
    }],
    ["h", "Hold it, or let it go on", (on) => (on.whole && waits(on) && board.state.changes && on.row.mine ? act(on.row.id, on.row.held ? "release" : "hold") : false)],
    ["Delete", "Cancel it", (on) => (on.whole && ["queued", "running"].includes(on.row.state) ? act(on.row.id, "cancel") : false)],
    ["Alt+ArrowUp", "One place earlier", moving("up")],
    ["Alt+ArrowDown", "One place later", moving("down")],
    ["Alt+Home", "To the front", moving("first")],
    ["Alt+End", "To the end", moving("last")],
  ]);

  // ---- Dragging -----------------------------------------------------------------------------------------------------
  let drag = null; // {item, list, before, pointer, y}
  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest?.("#dr_board .dr-grip");
    if (!grip || event.button > 0 || drag) return;
    const item = grip.closest(".dr-job");
    event.preventDefault();
    drag = { item, list: item.parentElement, next: item.nextElementSibling, pointer: event.pointerId, y: event.clientY };
    board.busy = true;
    item.classList.add("dr-dragged");
    requestAnimationFrame(edge);
  });
  const place = () => { // the row goes where the pointer is; the list is always what would be sent
    const { item, list, y } = drag;
    const others = [...list.children].filter((one) => one !== item);
    const after = others.find((one) => {
      const box = one.getBoundingClientRect();
      return y < box.top + box.height / 2;
    }) ?? null;
    if (item.nextElementSibling !== after) list.insertBefore(item, after);
    board.number();
  };
  const edge = () => {
    if (!drag) return;
    const by = drag.y < EDGE_PX ? drag.y - EDGE_PX : drag.y > innerHeight - EDGE_PX ? drag.y - innerHeight + EDGE_PX : 0;
    if (by) {
      scrollBy(0, by / 4);
      place();
    }
    requestAnimationFrame(edge);
  };
  document.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.pointer) return;
    drag.y = event.clientY;
    place();
  });
  const drop = (taken) => {
    const { item, list, next } = drag;
    drag = null;
    item.classList.remove("dr-dragged");
    board.busy = false;
    const { id } = item.dataset;
    if (!taken || item.nextElementSibling === next) {
      list.insertBefore(item, next);
      board.number();
      return board.look();
    }
    board.state.era += 1; // an answer that is under way knows the old order
    const after = item.nextElementSibling?.dataset.id ?? laneOf(id)?.beyond[0] ?? null;
    return move(id, after);
  };
  document.addEventListener("pointerup", (event) => { if (event.pointerId === drag?.pointer) drop(true); });
  document.addEventListener("pointercancel", (event) => { if (event.pointerId === drag?.pointer) drop(false); });
  darkroom.keys("Queue", () => drag, [["Escape", "While it is dragged: back to its place", () => { drop(false); }]]);
})();
