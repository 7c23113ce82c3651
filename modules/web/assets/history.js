"use strict";
// The History tab's list: twenty thousand pictures, of which only the tiles in view exist. Texts come from files: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const PAGE = 100;
  const LOOK_MS = 4000;
  const BUSY_MS = 1000; // while files are being read
  const GAP = 8;
  const EMPTY = { search: "", kind: "", model: "", sampler: "", size: "", since: "", until: "", sort: "newest", favourites: false };
  const wish = { ...EMPTY, sort: darkroom.store.get("history.sort", "newest") };
  const state = { rows: [], total: 0, unread: 0, era: 0, asked: new Set(), at: 0, chosen: new Map(), open: null, counts: [] };
  const tiles = new Map(); // place in the list -> its element

  const root = () => darkroom.byId("dr_history");
  const part = (name) => root()?.querySelector(name);
  const list = () => part(".dr-history-list");
  const shown = () => darkroom.currentTab() === "history" && !document.hidden && root()?.dataset.view === "list";
  const say = (text) => { part(".dr-models-state").textContent = text; };

  // ---- asking -------------------------------------------------------------------------------------------------------
  const day = (text, days) => (text ? new Date(`${text}T00:00`).setDate(new Date(`${text}T00:00`).getDate() + days) / 1000 : null);
  const query = (offset, limit) => {
    const [least, most] = wish.size.split("-");
    const asked = {
      search: wish.search, kind: wish.kind, model: wish.model, sampler: wish.sampler, sort: wish.sort, least_px: least, most_px: most,
      favourites: wish.favourites || "", since_s: day(wish.since, 0), until_s: day(wish.until, 1), offset, limit,
    };
    return new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== "" && value !== null && value !== undefined && !Number.isNaN(value)));
  };
  const fetchPage = (page) => darkroom.ask(`internal/history?${query(page * PAGE, PAGE)}`);
  const keep = (page, rows) => rows.forEach((row, i) => { state.rows[page * PAGE + i] = row; });

  // Asks for what is in view; the old tiles stay until the answer is there.
  const look = async ({ top = false } = {}) => {
    if (!list()) return;
    const era = (state.era += 1);
    const page = top ? 0 : Math.floor(range()[0] / PAGE);
    try {
      let answer = await fetchPage(page);
      let from = page;
      if (!answer.rows.length && page && answer.total) [answer, from] = [await fetchPage(0), 0];
      if (era !== state.era) return;
      Object.assign(state, { rows: [], total: answer.total, unread: answer.unread, looking: answer.looking, asked: new Set([from]) });
      keep(from, answer.rows);
      state.at = Math.min(state.at, Math.max(0, state.total - 1));
      paint();
      told();
    } catch (error) {
      if (era === state.era) say(`The list cannot be had now (${error.message}).`);
    }
  };
  const more = async (page) => {
    const era = state.era;
    state.asked.add(page);
    try {
      const answer = await fetchPage(page);
      if (era !== state.era) return;
      keep(page, answer.rows);
      paint();
    } catch {
      state.asked.delete(page);
    }
  };
  const choices = async () => {
    const found = await darkroom.ask("internal/history/choices").catch(() => null);
    if (!found || !root()) return;
    state.counts = found.kinds;
    const fill = (name, values, first) => {
      const box = part(`select[name=${name}]`);
      box.replaceChildren(...first, ...values.map(([value, words]) => new Option(words, value)));
      box.value = wish[name];
    };
    fill("model", found.models.map((name) => [name, name]), [new Option("Any model", "")]);
    fill("sampler", found.samplers.map((name) => [name, name]), [new Option("Any sampler", "")]);
    fill("sort", found.sorts.map((row) => [row.sort, row.title]), []);
    chips();
  };

  // ---- drawing ------------------------------------------------------------------------------------------------------
  const metrics = () => {
    const width = list().clientWidth;
    const least = innerWidth <= 860 ? 104 : 164;
    const columns = Math.max(2, Math.floor((width + GAP) / (least + GAP)));
    const side = (width - GAP * (columns - 1)) / columns;
    return { columns, side, pitch: side + GAP };
  };
  // First and last place in view, with a row to spare on either side.
  const range = () => {
    const { columns, pitch } = metrics();
    const top = -list().getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / pitch) - 1) * columns;
    return [Math.min(first, Math.max(0, state.total - 1)), Math.min(state.total, (Math.ceil((top + innerHeight) / pitch) + 1) * columns)];
  };
  const paint = () => {
    if (!list() || !list().clientWidth) return;
    const { columns, side, pitch } = metrics();
    list().style.height = `${Math.max(0, Math.ceil(state.total / columns) * pitch - GAP)}px`;
    const [first, last] = range();
    for (const [place, tile] of tiles) {
      if ((place < first || place >= last) && tile !== document.activeElement) {
        tile.remove();
        tiles.delete(place);
      }
    }
    for (let place = first; place < last; place += 1) {
      const row = state.rows[place];
      if (!row && !state.asked.has(Math.floor(place / PAGE))) more(Math.floor(place / PAGE));
      let tile = tiles.get(place);
      if (!tile || tile.dataset.look !== looks(row)) { // the same picture keeps its tile, so that a click or the focus is not lost
        const made = drawn(row, place);
        const focused = tile && tile === document.activeElement;
        if (tile) tile.replaceWith(made);
        else list().append(made);
        tiles.set(place, (tile = made));
        if (focused) setTimeout(() => made.focus({ preventScroll: true }));
      }
      Object.assign(tile.style, { width: `${side}px`, height: `${side}px`, transform: `translate(${darkroom.rightward() * (place % columns) * pitch}px, ${Math.floor(place / columns) * pitch}px)` });
    }
    mark();
  };
  const looks = (row) => (row ? [row.thumbnail, row.kind, row.favourite, row.hint].join(" ") : "");
  const drawn = (row, place) => {
    const tile = make("div.dr-picture");
    Object.assign(tile.dataset, { place, id: row?.id ?? "", look: looks(row) });
    tile.setAttribute("role", "option");
    tile.setAttribute("aria-posinset", place + 1);
    if (!row) return tile;
    tile.setAttribute("aria-label", [row.name, row.hint].filter(Boolean).join(": "));
    tile.title = [row.hint, row.model].filter(Boolean).join("\n") || row.name;
    const image = make("img");
    Object.assign(image, { src: row.thumbnail, alt: "", decoding: "async", draggable: false });
    image.addEventListener("error", () => image.replaceWith(make("span.dr-picture-none", row.name)));
    const tick = make("span.dr-tick"); // for pointers; with keys it is Space on the picture itself
    Object.assign(tick.dataset, { do: "history-tick", place });
    tick.title = "Choose for comparing, marking or deleting";
    tick.setAttribute("aria-hidden", "true");
    tile.append(image, tick);
    if (row.favourite) tile.append(make("span.dr-star", "★"));
    if (row.kind === "grid" || row.kind === "extras") tile.append(make("span.dr-picture-kind", row.kind));
    return tile;
  };
  const mark = () => {
    for (const [place, tile] of tiles) {
      tile.tabIndex = place === state.at ? 0 : -1;
      tile.setAttribute("aria-setsize", state.total);
      tile.setAttribute("aria-selected", String(state.chosen.has(tile.dataset.id)));
      tile.classList.toggle("dr-open", Boolean(tile.dataset.id) && tile.dataset.id === state.open);
    }
    const bar = part(".dr-history-chosen");
    const count = state.chosen.size;
    if (Number(bar.dataset.count ?? 0) !== count) {
      const two = action("Compare", "history-compare", {}, "dr-button.dr-main");
      two.disabled = count !== 2;
      two.title = count === 2 ? "" : "Choose exactly two pictures";
      bar.replaceChildren(make("span", `${count} chosen`), two, action("★ Mark", "history-mark-chosen"), action("Delete", "history-delete-chosen"), action("Choose none", "history-none"));
    }
    bar.dataset.count = count;
    bar.hidden = !count;
  };
  const chips = () => {
    const all = state.counts.reduce((sum, row) => sum + row.count, 0);
    const kinds = [{ kind: "", title: "All", count: all }, ...state.counts.filter((row) => row.count || row.kind === wish.kind)];
    const made = kinds.map((row) => {
      const chip = make("button", make("span", row.title), " ", make("b", row.count.toLocaleString()));
      Object.assign(chip, { type: "button" });
      Object.assign(chip.dataset, { do: "history-kind", kind: row.kind });
      chip.setAttribute("aria-pressed", String(!wish.favourites && row.kind === wish.kind));
      return chip;
    });
    const stars = make("button", make("span", "★ Marked"));
    stars.type = "button";
    stars.dataset.do = "history-favourites";
    stars.setAttribute("aria-pressed", String(wish.favourites));
    part(".dr-chips").replaceChildren(...made, stars);
  };
  const narrowed = () => Object.keys(EMPTY).some((name) => name !== "sort" && wish[name] !== EMPTY[name]);
  const told = () => {
    const words = [];
    if (state.looking) words.push("Looking through the folders…");
    else if (state.unread) words.push(`Reading files: ${state.unread.toLocaleString()} to go`);
    if (narrowed()) words.push(`${state.total.toLocaleString()} found`);
    say(words.join(" · "));
    const none = part(".dr-history-none");
    none.hidden = state.total > 0 || state.looking;
    if (!state.total) none.replaceChildren(...nothing());
    const filters = ["model", "sampler", "size", "since", "until"].filter((name) => wish[name]).length;
    part("[data-do=history-filters]").textContent = filters ? `Filters (${filters})` : "Filters";
  };
  const nothing = () => {
    if (wish.favourites && !wish.search) return [make("p", "No picture is marked yet."), make("p.dr-quiet", "Open a picture and press Mark, or press F on it here, and it can be found again under this heading.")];
    if (narrowed()) {
      return [make("p", "No picture has all of this."), make("p.dr-quiet", "Words may be cut short (app finds apple). \"red apple\" finds just that phrase, -frame leaves pictures out, negative:blurry looks into the negative prompts, seed:123 finds a seed."),
        action("Show all pictures", "history-clear")];
    }
    return [make("p", "No pictures yet."), make("p.dr-quiet", "Every picture you make appears here by itself, and so do pictures of A1111 and its relatives that you copy into the outputs folder."),
      action("Make the first one", "go-txt2img", {}, "dr-button.dr-main")];
  };

  // ---- what others may ask and do -----------------------------------------------------------------------------------
  darkroom.history = {
    look, root, part, state,
    row: (place = state.at) => state.rows[place],
    chosen: () => [...state.chosen.values()],
    files: () => { // the loaded neighbours of the picture that is at hand, without a gap
      let first = state.at;
      let last = state.at;
      while (state.rows[first - 1]) first -= 1;
      while (state.rows[last + 1]) last += 1;
      return [state.rows.slice(first, last + 1).map((row) => row.file), state.at - first];
    },
    forget: () => { state.chosen.clear(); if (root()) mark(); },
    opened: (id) => { state.open = id; if (root()) mark(); },
    changed: () => look().then(choices),
    view: (name) => {
      root().dataset.view = name;
      part(".dr-history-other").hidden = name === "list";
      if (name === "list") { part(".dr-history-other").replaceChildren(); look(); }
    },
    say,
  };

  const go = (place) => {
    state.at = Math.max(0, Math.min(state.total - 1, place));
    const { columns, pitch } = metrics();
    const top = Math.floor(state.at / columns) * pitch + list().getBoundingClientRect().top;
    if (top < 60) scrollBy(0, top - 60);
    else if (top + pitch > innerHeight - 10) scrollBy(0, top + pitch - innerHeight + 10);
    paint();
    tiles.get(state.at)?.focus({ preventScroll: true });
    if (state.open && state.rows[state.at]) darkroom.openPicture(state.rows[state.at].id, { quiet: true });
  };
  const tick = (place, on) => {
    const row = state.rows[place];
    if (!row) return;
    if (on ?? !state.chosen.has(row.id)) state.chosen.set(row.id, row);
    else state.chosen.delete(row.id);
    mark();
  };
  const narrow = (change) => {
    Object.assign(wish, change);
    state.chosen.clear();
    look({ top: true });
    chips();
  };

  document.addEventListener("click", (event) => {
    const tile = event.target.closest?.(".dr-picture");
    if (!tile || event.target.closest("[data-do]")) return;
    const place = Number(tile.dataset.place);
    const from = state.at;
    state.at = place;
    if (event.shiftKey) for (let i = Math.min(from, place); i <= Math.max(from, place); i += 1) tick(i, true);
    else if (event.ctrlKey || event.metaKey) tick(place);
    else if (state.rows[place]) darkroom.openPicture(state.rows[place].id);
    mark();
  });
  const onTile = (event) => event.target.closest?.(".dr-picture") && !darkroom.lightboxOpen();
  const page = () => Math.max(1, Math.floor(innerHeight / metrics().pitch) - 1) * metrics().columns;
  darkroom.keys("History", onTile, [
    ["ArrowRight", "Picture on the right", () => go(state.at + darkroom.rightward())],
    ["ArrowLeft", "Picture on the left", () => go(state.at - darkroom.rightward())],
    ["ArrowDown", "Picture below", () => go(state.at + metrics().columns)],
    ["ArrowUp", "Picture above", () => go(state.at - metrics().columns)],
    ["PageDown", "A screen further", () => go(state.at + page())],
    ["PageUp", "A screen back", () => go(state.at - page())],
    ["Home", "First picture", () => go(0)],
    ["End", "Last picture", () => go(state.total - 1)],
    ["Enter", "Full view", () => darkroom.showPictures(...darkroom.history.files())],
    ["Space", "Choose it, or not", () => tick(state.at)],
    ["f", "Mark as a favourite, or not", () => darkroom.markPictures([darkroom.history.row()])],
    ["Delete", "Into the bin", () => darkroom.removePictures(state.chosen.size ? darkroom.history.chosen() : [darkroom.history.row()])],
  ]);
  darkroom.on("history-tick", (button) => tick(Number(button.dataset.place)));
  darkroom.on("history-none", darkroom.history.forget);
  darkroom.on("history-kind", (chip) => narrow({ kind: chip.dataset.kind, favourites: false }));
  darkroom.on("history-favourites", () => narrow({ favourites: !wish.favourites, kind: "" }));
  darkroom.on("history-filters", (button) => {
    const box = part("#dr_history_filters");
    box.hidden = !box.hidden;
    button.setAttribute("aria-expanded", String(!box.hidden));
  });
  darkroom.on("history-clear", () => {
    part("#dr_history_search").value = "";
    for (const box of part("#dr_history_filters").querySelectorAll("select, input")) if (box.name !== "sort") box.value = "";
    narrow({ ...EMPTY, sort: wish.sort });
  });
  const again = (path, words) => async (button) => {
    button.disabled = true;
    say(words);
    await darkroom.ask(path, {}).then(() => darkroom.history.changed(), (error) => say(error.message));
    button.disabled = false;
  };
  darkroom.on("history-refresh", again("internal/history/refresh", "Looking at the folders…"));
  darkroom.on("history-rebuild", again("internal/history/rebuild", "Reading every file again…"));

  let typing = 0;
  document.addEventListener("input", (event) => {
    if (event.target.id !== "dr_history_search") return;
    clearTimeout(typing);
    typing = setTimeout(() => narrow({ search: event.target.value.trim() }), 120);
  });
  document.addEventListener("change", (event) => {
    if (!event.target.closest?.("#dr_history_filters")) return;
    if (event.target.name === "sort") darkroom.store.set("history.sort", event.target.value);
    narrow({ [event.target.name]: event.target.value });
  });

  // The list is drawn when its tab is first shown (Gradio makes it then), and again whenever its room changes.
  let watched = null;
  let due = 0;
  const soon = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => { if (shown()) paint(); });
  };
  const sizes = new ResizeObserver(soon);
  new MutationObserver(() => {
    const here = root();
    if (!here || here === watched) return;
    watched = here;
    tiles.clear();
    sizes.disconnect();
    sizes.observe(list());
    look({ top: true }).then(choices);
  }).observe(document.documentElement, { subtree: true, childList: true });
  document.addEventListener("scroll", soon, { passive: true, capture: true });
  addEventListener("resize", soon, { passive: true });
  darkroom.onTab((tab) => { if (tab === "history" && root()) darkroom.history.changed(); });
  let calm = 0;
  // New pictures come in at the top; somebody who has scrolled down is told and not moved.
  setInterval(async () => {
    if (!shown() || !state.era || (Date.now() < calm && !state.looking && !state.unread)) return;
    calm = Date.now() + LOOK_MS;
    const answer = await darkroom.ask(`internal/history?${query(0, 1)}`).catch(() => null);
    if (!answer || !shown()) return;
    const grown = answer.total !== state.total || (state.rows[0] && answer.rows[0]?.id !== state.rows[0].id);
    if (!grown && answer.unread === state.unread && answer.looking === state.looking) return;
    if (list().getBoundingClientRect().top > -100) darkroom.history.changed();
    else if (answer.total > state.total) say(`${(answer.total - state.total).toLocaleString()} new; scroll up to see them`);
  }, BUSY_MS);
})();
