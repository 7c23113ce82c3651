"use strict";
// A grid while it is made: a table of thumbnails that fills as cells end, with the values beside them, progress of the whole and Cancel.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const BUSY_MS = 800;
  const SLOW_MS = 4000;
  const WORDS = { queued: "waiting", running: "being made", failed: "failed", parked: "given up", canceled: "cancelled", unknown: "forgotten", done: "no picture" };

  const shown = {}; // tab -> {id, cells, timer, failures}
  const place = (tab) => document.querySelector(`#${tab}_xyz .dr-grid-place`);

  darkroom.showGrid = (tab, id) => {
    clearTimeout(shown[tab]?.timer);
    darkroom.store.set(`grid.${tab}`, id);
    shown[tab] = { id, cells: [], looks: [], failures: 0 };
    look(tab);
  };
  const hide = (tab) => {
    clearTimeout(shown[tab]?.timer);
    delete shown[tab];
    darkroom.store.set(`grid.${tab}`, "");
    place(tab)?.replaceChildren();
  };

  const look = async (tab) => {
    const own = shown[tab];
    if (!own) return;
    try {
      const grid = await darkroom.ask(`api/v2/grids/${encodeURIComponent(own.id)}`);
      if (shown[tab] !== own) return;
      own.failures = 0;
      darkroom.later(() => paint(tab, own, grid), `#${tab}_xyz .dr-grid-place`);
      if (["done", "failed", "canceled", "parked"].includes(grid.state)) return darkroom.planGrid?.(tab); // some cells are there now
    } catch (error) {
      if (shown[tab] !== own) return;
      own.failures += 1;
      if (error.message.startsWith("404")) return hide(tab); // of a data folder that is gone, or cleared away
    }
    own.timer = setTimeout(() => look(tab), document.hidden || own.failures ? SLOW_MS : BUSY_MS);
  };

  // ---- Drawing ------------------------------------------------------------------------------------------------------

  const paint = (tab, own, grid) => {
    if (shown[tab] !== own) return;
    if (!own.box?.isConnected) frame(tab, own, grid);
    grid.items.forEach((cell, n) => fill(own, cell, n, grid.live === n));
    const ended = ["done", "failed", "canceled", "parked"].includes(grid.state);
    const percent = Math.floor(100 * grid.fraction);
    const left = !ended && grid.eta_s ? ` · about ${darkroom.seconds(grid.eta_s)} left` : "";
    own.words.textContent = ended ? endWords(grid) : `${grid.ended} of ${grid.cells} cells`;
    own.left.textContent = ended ? "" : `${percent} %${left}`;
    own.bar.hidden = ended;
    own.bar.setAttribute("aria-valuenow", percent);
    own.bar.firstElementChild.style.width = `${percent}%`;
    own.cancel.hidden = ended;
    own.report.hidden = !grid.items.some((cell) => cell.picture);
  };
  const endWords = (grid) => {
    const made = grid.items.filter((cell) => cell.picture).length;
    if (grid.state === "failed") return grid.fault?.message ?? "The grid could not be made.";
    return made === grid.cells ? `All ${grid.cells} cells are made` : `${made} of ${grid.cells} cells are made`;
  };
  const frame = (tab, own, grid) => {
    own.cells = [];
    own.looks = [];
    own.words = make("span.dr-what");
    own.left = make("span.dr-left");
    own.bar = make("div.dr-bar", make("i"));
    for (const [name, value] of Object.entries({ role: "progressbar", "aria-label": "Progress of the grid", "aria-valuemin": 0, "aria-valuemax": 100 })) own.bar.setAttribute(name, value);
    own.cancel = action("Cancel", "grid-cancel", { tab }, "dr-button");
    own.cancel.title = "What is made stays, and the grid is drawn with it";
    own.report = Object.assign(make("a.dr-button", "Report"), { href: grid.report.replace(/^\//, ""), target: "_blank", rel: "noopener" });
    const close = action("", "grid-hide", { tab }, "dr-close");
    close.setAttribute("aria-label", "Put the table away");
    own.box = make("section.dr-grid", make("div.dr-line", own.words, own.left), own.bar, ...tables(tab, own, grid), make("div.dr-grid-bar", own.cancel, own.report), close);
    own.box.setAttribute("aria-label", grid.title);
    place(tab).replaceChildren(own.box);
  };
  const heading = (words, scope) => {
    const cell = make("th", words);
    cell.scope = scope;
    return cell;
  };
  const tables = (tab, own, grid) => {
    const [columns, rows, count] = grid.shape;
    const [across, down, beyond] = grid.axes;
    const found = [];
    for (let z = 0; z < count; z += 1) {
      const table = make("table");
      if (beyond.used) table.append(make("caption", beyond.words[z]));
      if (across.used) table.append(make("thead", make("tr", make("td"), ...across.words.map((words) => heading(words, "col")))));
      const body = make("tbody");
      for (let y = 0; y < rows; y += 1) {
        const line = make("tr", heading(down.used ? down.words[y] : "", "row"));
        for (let x = 0; x < columns; x += 1) {
          const cell = make("td");
          own.cells[(z * rows + y) * columns + x] = cell;
          line.append(cell);
        }
        body.append(line);
      }
      table.append(body);
      found.push(make("div.dr-grid-table", table));
    }
    return found;
  };
  // A cell is drawn anew only when something about it changed.
  const fill = (own, cell, n, live) => {
    const look = `${cell.state} ${cell.picture?.file ?? ""} ${live}`;
    if (own.looks[n] === look) return;
    own.looks[n] = look;
    const box = own.cells[n];
    box.dataset.state = live ? "running" : cell.state;
    if (!cell.picture) {
      box.title = cell.fault;
      box.replaceChildren(make("span.dr-quiet", WORDS[live ? "running" : cell.state] ?? cell.state));
      return;
    }
    const button = action("", "grid-view", { n }, "dr-grid-cell");
    button.setAttribute("aria-label", `Picture ${n + 1}, full view`);
    const image = Object.assign(make("img"), { src: cell.thumbnail.replace(/^\//, ""), alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => box.replaceChildren(make("span.dr-quiet", "gone")));
    button.append(image);
    button.dataset.file = cell.picture.file.replace(/^\//, "");
    box.title = cell.picture.parameters;
    box.replaceChildren(button);
  };

  darkroom.on("grid-view", (button) => {
    const all = [...button.closest(".dr-grid").querySelectorAll("[data-do=grid-view]")];
    darkroom.showPictures(all.map((one) => one.dataset.file), all.indexOf(button));
  });
  darkroom.on("grid-hide", (button) => hide(button.dataset.tab));
  darkroom.on("grid-cancel", async (button) => {
    const own = shown[button.dataset.tab];
    if (!own) return;
    button.disabled = true;
    try {
      await darkroom.ask(`api/v2/grids/${encodeURIComponent(own.id)}/cancel`, {});
    } catch (error) {
      if (!error.message.startsWith("409")) darkroom.tell("That did not arrive", `The server did not take it (${error.message}). Try again.`);
    }
    button.disabled = false;
  });

  // After a reload the latest grid of each tab is shown again, under way or not.
  darkroom.startGrids = () => {
    for (const tab of darkroom.generateTabs) {
      const id = darkroom.store.get(`grid.${tab}`, "");
      if (id) darkroom.showGrid(tab, id);
    }
  };
})();
