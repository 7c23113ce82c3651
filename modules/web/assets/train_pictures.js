"use strict";
// The first step of a session: pictures in, a caption under each, words by how often they stand, and what the check says, by name.
// Captions are sent when the hand rests. The crop of one picture is train_crop.js; words and captioners are train_words.js.
(() => {
  const darkroom = window.darkroom;
  const { make, action, train } = darkroom;
  const { ask, say, attempt, place, named, count, state } = train;
  const PAGE = 60;
  const AT_ONCE = 6; // pictures of one request
  const MOST_TOLD = 40;
  const MOST_NAMES = 8;
  const FEW = 3;
  const REST_MS = 700;
  const SHOWS = [["", "All"], ["bare", "Without caption"], ["wrong", "With problems"]];

  const mine = { items: [], report: null, show: "", search: "", tag: "", most: PAGE, sending: "", of: "" };
  const unsent = new Map(); // file -> caption that the server has not
  let timer = 0;
  let work = Promise.resolve(); // files on their way, one request after another

  const panel = () => train.part(".dr-train-pictures");
  const part = (selector) => panel()?.querySelector(selector);
  const address = (rest = "") => place(state.open.name, rest);
  const of = (file, rest = "") => address(`/pictures/${encodeURIComponent(file)}${rest}`);
  const tagsOf = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
  const told = (row) => (mine.report?.problems ?? []).filter((one) => one.name === row.file);
  const wrong = (row) => (told(row).length ? told(row).map((one) => sentence(one.text)) : [row.problem].filter(Boolean).map(sentence));
  // Under its picture stands what is about few; what is about many is told once, beside them.
  const many = (kind) => (mine.report?.problems ?? []).filter((one) => one.kind === kind).length > FEW;
  const own = (row) => (told(row).length ? told(row).filter((one) => one.fatal || !many(one.kind)).map((one) => sentence(one.text)) : wrong(row));
  const bare = (row) => !row.caption.trim();
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

  // ---- Which are shown ----------------------------------------------------------------------------------------------

  const found = () => {
    const words = mine.search.toLowerCase().split(/\s+/).filter(Boolean);
    return mine.items.filter((row) => (mine.show !== "bare" || bare(row)) && (mine.show !== "wrong" || wrong(row).length)
      && (!mine.tag || tagsOf(row.caption).includes(mine.tag)) && words.every((word) => `${row.file} ${row.caption}`.toLowerCase().includes(word)));
  };
  const narrowed = () => Boolean(mine.show || mine.search.trim() || mine.tag);

  // ---- Drawing ------------------------------------------------------------------------------------------------------

  const overlay = (row) => {
    if (!row.crop || !row.width) return null;
    const { x, y, width, height } = row.crop;
    if (width >= row.width && height >= row.height) return null;
    const box = make("i.dr-train-cropped");
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    Object.assign(box.style, { left: percent(x, row.width), top: percent(y, row.height), width: percent(width, row.width), height: percent(height, row.height) });
    return box;
  };
  const drawCard = (row) => {
    const item = make("li.dr-train-card");
    item.dataset.file = row.file;
    const frame = make("span.dr-train-frame");
    if (row.width) frame.style.aspectRatio = `${row.width} / ${row.height}`;
    frame.style[row.width >= row.height ? "width" : "height"] = "100%";
    const image = Object.assign(make("img"), { ...(row.width ? { src: row.thumbnail } : {}), alt: "", loading: "lazy", decoding: "async", draggable: false });
    image.addEventListener("error", () => frame.replaceChildren(make("span.dr-quiet", "cannot be shown")));
    const crop = overlay(row);
    frame.append(...(row.width ? [image] : [make("span.dr-quiet", "cannot be shown")]), ...(crop ? [crop] : []));
    const thumb = action("", "train-crop", { file: row.file }, "dr-train-thumb");
    thumb.append(frame);
    named(thumb, `${row.file}: choose what is used`, "Choose which part is used");
    thumb.disabled = !row.width;
    const text = Object.assign(make("textarea"), { value: unsent.get(row.file) ?? row.caption, rows: 3, spellcheck: true, placeholder: "What is in it?" });
    named(text, `Caption of ${row.file}`);
    const away = named(action("", "train-picture-away", { file: row.file }, "dr-close"), `Remove ${row.file}`, "Remove from this session");
    const name = make("div.dr-train-file", make("span", row.file), row.width ? make("span.dr-quiet", [`${row.width} × ${row.height}`, crop ? (row.crop_by === "smart" && row.crop_reason) || "cropped" : ""].filter(Boolean).join(" · ")) : null);
    name.title = row.file;
    item.append(thumb, away, name, text, ...own(row).map((why) => make("p.dr-train-wrong", why)));
    return item;
  };
  const paintCards = () => {
    if (!panel()) return;
    const rows = found();
    const list = part(".dr-train-cards");
    const focused = document.activeElement?.closest?.(".dr-train-card textarea") ? document.activeElement : null;
    const kept = focused && { file: focused.closest(".dr-train-card").dataset.file, from: focused.selectionStart, to: focused.selectionEnd };
    list.replaceChildren(...rows.slice(0, mine.most).map(drawCard));
    if (kept) {
      const box = [...list.children].find((one) => one.dataset.file === kept.file)?.querySelector("textarea");
      box?.focus({ preventScroll: true });
      box?.setSelectionRange(kept.from, kept.to);
    }
    const none = part(".dr-train-nothing");
    none.hidden = rows.length > 0;
    if (!rows.length) {
      none.replaceChildren(...(mine.items.length ? [make("p", "No picture is like that."), action("Show all", "train-show", { show: "" })]
        : [make("p", "Ten to thirty pictures teach a thing or a person; a style wants more"),
          make("p.dr-quiet", "Drop them anywhere here. Let them differ in background, light and angle, and let the thing be large in each. Text files of the same name become their captions.")]));
    }
    part("[data-do=train-pictures-more]").hidden = rows.length <= mine.most;
    const wrongs = mine.items.filter((row) => wrong(row).length).length;
    const counts = { "": mine.items.length, bare: mine.items.filter(bare).length, wrong: wrongs };
    for (const chip of part(".dr-chips").children) {
      chip.hidden = chip.dataset.show && !counts[chip.dataset.show] && mine.show !== chip.dataset.show;
      chip.querySelector("b").textContent = counts[chip.dataset.show].toLocaleString();
      chip.setAttribute("aria-pressed", String(mine.show === chip.dataset.show && !mine.tag));
    }
    part(".dr-train-filter").hidden = !mine.items.length;
    part(".dr-train-side").classList.toggle("dr-train-fresh", !mine.items.length);
    train.words?.paint();
  };
  const paintSaid = (text) => { if (part(".dr-drop-state")) part(".dr-drop-state").textContent = text; };
  // [name, text, fatal] of each line; the same small thing about many pictures is one line with their names.
  const lines = (problems) => {
    const found = [];
    const told_ = new Set();
    for (const one of problems) {
      if (one.fatal || !one.name || !many(one.kind)) found.push([one.name, one.text, one.fatal]);
      else if (!told_.has(one.kind)) {
        told_.add(one.kind);
        const names = problems.filter((other) => other.kind === one.kind).map((other) => other.name);
        found.push([count(names.length, "picture"), `like ${one.name}, which ${one.text}: ${names.slice(0, MOST_NAMES).join(", ")}${names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : ""}`, false]);
      }
    }
    return found.slice(0, MOST_TOLD);
  };
  const paintReport = () => {
    const box = part(".dr-train-report");
    if (!box) return;
    const { report } = mine;
    box.hidden = !mine.items.length;
    if (!report) return void box.replaceChildren(make("p.dr-quiet", "Looking at every file…"));
    const rows = lines(report.problems).map(([name, text, fatal]) => {
      const item = make("li", name ? make("strong", `${name} `) : null, text);
      item.dataset.level = fatal ? "fatal" : "warning";
      item.dataset.raw = "";
      return item;
    });
    const fatal = report.problems.filter((one) => one.fatal).length;
    const head = fatal ? `${count(fatal, "thing")} to mend before training` : report.problems.length ? "It can be trained; look at this first" : "Every picture can be used";
    const sizes = report.buckets.map((one) => `${one.width} × ${one.height}${report.buckets.length > 1 ? ` (${one.pictures})` : ""}`).join(", ");
    box.dataset.look = fatal ? "fatal" : report.problems.length ? "warning" : "good";
    box.replaceChildren(make("strong", head), ...(rows.length ? [make("ul", ...rows)] : []), ...(sizes ? [make("p.dr-quiet", `Sizes that are trained: ${sizes}`)] : []), ...(report.summary ? [make("p.dr-quiet", report.summary)] : []));
  };

  // ---- From and to the server ---------------------------------------------------------------------------------------

  const all = async (name) => {
    const items = [];
    for (;;) {
      const answer = await ask(place(name, `/pictures?limit=1000&offset=${items.length}`));
      items.push(...answer.items.map((row) => ({ ...row, caption: row.caption ?? "" })));
      if (!answer.items.length || items.length >= answer.total) return items;
    }
  };
  const look = async () => {
    const { name } = state.open;
    const answer = await attempt("The pictures cannot be listed", () => all(name));
    if (!answer || state.open?.name !== name) return;
    if (mine.of !== name) Object.assign(mine, { of: name, report: null, show: "", search: "", tag: "", most: PAGE });
    mine.items = answer;
    for (const row of mine.items) if (unsent.has(row.file)) row.caption = unsent.get(row.file);
    paintCards();
    examine();
  };
  const examine = async () => {
    const { name } = state.open;
    if (!mine.items.length) mine.report = null;
    else {
      const report = await ask(address("/examine"), { body: {} }).catch((error) => ({ buckets: [], problems: [{ name: "", kind: "", text: error.message, fatal: true }] }));
      if (state.open?.name !== name) return;
      const before = JSON.stringify(mine.report?.problems);
      mine.report = report;
      if (JSON.stringify(report.problems) !== before) paintCards();
    }
    paintReport();
  };
  const flush = async () => {
    clearTimeout(timer);
    const { name } = state.open ?? {};
    const waiting = [...unsent];
    unsent.clear();
    for (const [file, caption] of waiting) {
      try {
        await ask(place(name, `/pictures/${encodeURIComponent(file)}`), { method: "PATCH", body: { caption } });
      } catch (error) {
        if (state.open?.name === name) for (const [other, text] of waiting.slice(waiting.findIndex(([one]) => one === file))) if (!unsent.has(other)) unsent.set(other, text);
        say("The caption was not saved", `${file}: ${error.message}. It is still here; type on to try again.`);
        return;
      }
    }
    saved();
  };
  const saved = () => { if (part(".dr-train-saved")) part(".dr-train-saved").textContent = unsent.size ? "Saving…" : "Captions are saved"; };
  document.addEventListener("visibilitychange", () => { if (document.hidden && unsent.size) flush(); });
  document.addEventListener("input", (event) => {
    const box = event.target.closest?.(".dr-train-card textarea");
    if (box) {
      const { file } = box.closest(".dr-train-card").dataset;
      const row = mine.items.find((one) => one.file === file);
      row.caption = box.value.replaceAll("\n", " ");
      unsent.set(file, row.caption);
      saved();
      clearTimeout(timer);
      timer = setTimeout(async () => { await flush(); train.words?.paint(); }, REST_MS);
    } else if (event.target.matches?.("#train_search")) {
      mine.search = event.target.value;
      mine.most = PAGE;
      paintCards();
    }
  });
  // Up and down from caption to caption, as in a list.
  const beside = (step) => (box) => {
    const all = [...panel().querySelectorAll(".dr-train-card textarea")];
    all[all.indexOf(box) + step]?.focus();
  };
  darkroom.keys("Train, in a caption", (event) => event.target.closest?.(".dr-train-card textarea"), [
    ["Ctrl+ArrowDown Alt+ArrowDown", "Caption of the next picture", beside(1)],
    ["Ctrl+ArrowUp Alt+ArrowUp", "Caption of the picture before", beside(-1)],
  ]);

  // ---- Files in -----------------------------------------------------------------------------------------------------

  const isText = (file) => /\.(txt|caption)$/i.test(file.name);
  const stem = (name) => name.replace(/\.[^.]*$/, "");
  const add = (files) => {
    const { name } = state.open;
    work = work.then(async () => {
      const pictures = files.filter((file) => !isText(file));
      const texts = files.filter(isText);
      const refused = [];
      for (let at = 0; at < Math.max(pictures.length, 1); at += AT_ONCE) {
        const some = pictures.slice(at, at + AT_ONCE);
        const own = texts.filter((text) => some.some((file) => stem(file.name) === stem(text.name)));
        if (!at) own.push(...texts.filter((text) => !pictures.some((file) => stem(file.name) === stem(text.name)))); // of pictures that are here already
        if (pictures.length) paintSaid(`Sending ${Math.min(at + AT_ONCE, pictures.length)} of ${pictures.length}…`);
        const form = new FormData();
        for (const file of [...some, ...own]) form.append("files", file, file.name);
        try {
          const answer = await ask(place(name, "/pictures"), { body: form, timeout_ms: 300000 });
          refused.push(...answer.refused.map((one) => `${one.name}: ${one.why}`));
        } catch (error) {
          refused.push(`${[...some, ...own].map((file) => file.name).join(", ")}: ${error.message}`);
        }
      }
      paintSaid("");
      if (refused.length) say("Not everything was taken", refused.join("\n"));
      else say("");
      if (state.open?.name !== name) return;
      await train.refresh();
      if (panel()) await look();
    });
    return work;
  };
  // A dropped folder is opened, and those in it.
  const entries = async (entry) => {
    if (entry.isFile) return [await new Promise((done, fail) => { entry.file(done, fail); })];
    const reader = entry.createReader();
    const all = [];
    for (;;) {
      const some = await new Promise((done, fail) => { reader.readEntries(done, fail); });
      if (!some.length) break;
      all.push(...some);
    }
    return (await Promise.all(all.map(entries))).flat();
  };
  const inside = (event) => state.open && event.target.closest?.("#tab_train");
  const over = (on) => part(".dr-drop")?.classList.toggle("dr-over", on);
  document.addEventListener("dragover", (event) => { if (event.target.closest?.("#tab_train")) { event.preventDefault(); over(true); } }, true);
  document.addEventListener("dragleave", (event) => { if (event.target.closest?.("#tab_train")) over(false); }, true);
  document.addEventListener("drop", async (event) => {
    if (!event.target.closest?.("#tab_train")) return;
    event.preventDefault();
    event.stopPropagation();
    over(false);
    const given = [...event.dataTransfer.items].filter((one) => one.kind === "file").map((one) => { // both must be asked for before anything is waited for
      const entry = one.webkitGetAsEntry?.();
      return entry?.isDirectory ? entry : one.getAsFile();
    }).filter(Boolean);
    const plain = [...event.dataTransfer.files];
    if (!state.open) {
      const zip = plain.find((file) => /\.zip$/i.test(file.name));
      return zip ? train.importZip(zip) : say("Open a session first", "Pictures are dropped into a session; a zip of a session can be dropped here.");
    }
    const files = (await Promise.all(given.map((one) => (one instanceof File ? [one] : entries(one).catch(() => []))))).flat();
    const here = (files.length ? files : plain).filter((file) => isText(file) || file.type.startsWith("image/") || /\.(png|jpe?g|webp|avif|gif|bmp|tiff?|zip)$/i.test(file.name));
    if (!here.length) return say("There was no picture in it", "PNG, JPEG, WebP, AVIF, GIF, BMP and TIFF are taken, and text files with captions.");
    if (state.step !== "pictures") await train.goTo("pictures");
    return add(here);
  }, true);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
    if (!files.length || darkroom.currentTab() !== "train" || !state.open) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    add(files);
  }, true);
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.("#train_files") || !inside(event)) return;
    add([...event.target.files]);
    event.target.value = "";
  });
  darkroom.on("train-choose", () => part("#train_files").click());
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "train_folder") return;
    event.preventDefault();
    const box = event.target.querySelector("input");
    if (!box.value.trim()) return void box.focus();
    paintSaid("Copying the folder…");
    const answer = await attempt("The folder was not added", () => ask(address("/pictures/take"), { body: { folder: box.value.trim() }, timeout_ms: 600000 }));
    paintSaid("");
    if (!answer) return;
    box.value = "";
    say(answer.refused.length ? "Not everything was taken" : "", answer.refused.map((one) => `${one.name}: ${one.why}`).join("\n"));
    await train.refresh();
    look();
  }, true);

  // ---- Acts ---------------------------------------------------------------------------------------------------------

  darkroom.on("train-show", (chip) => {
    Object.assign(mine, { show: chip.dataset.show, tag: "", most: PAGE });
    if (!chip.closest(".dr-chips")) {
      mine.search = "";
      part("#train_search").value = "";
    }
    paintCards();
  });
  darkroom.on("train-pictures-more", () => { mine.most += PAGE; paintCards(); });
  darkroom.on("train-picture-away", async (button) => {
    const { file } = button.dataset;
    if (!button.dataset.sure) { // the second click removes it
      button.dataset.sure = "yes";
      button.textContent = "Remove?";
      setTimeout(() => { if (button.isConnected) { delete button.dataset.sure; button.textContent = ""; } }, 3000);
      return;
    }
    if (!(await attempt("It was not removed", () => ask(of(file), { method: "DELETE" })))) return;
    unsent.delete(file);
    mine.items = mine.items.filter((row) => row.file !== file);
    paintCards();
    examine();
    train.refresh();
  });

  const cropped = (row, told) => Object.assign(row, { crop: told.crop, crop_by: told.crop_by, crop_reason: told.crop_reason });
  train.pictures = { cropped, mine, look, examine, flush, found, narrowed, tagsOf, paint: paintCards, part, of, address };
  train.drawers.pictures = {
    draw(panel_) {
      const files = Object.assign(make("input"), { type: "file", accept: "image/*,.txt,.caption", multiple: true, hidden: true, id: "train_files" });
      const drop = make("div.dr-drop", named(files, "Picture files"), make("div.dr-drop-empty", make("p", "Drop pictures or a folder"), action("Choose files", "train-choose")), make("div.dr-drop-state.dr-quiet"));
      drop.querySelector(".dr-drop-state").setAttribute("role", "status");
      const path = Object.assign(make("input"), { type: "text", autocomplete: "off", spellcheck: false, placeholder: "Folder in the data folder" });
      const folder = make("form.dr-train-naming", named(path, "Folder in the data folder"), Object.assign(make("button.dr-button", "Add"), { type: "submit" }));
      folder.id = "train_folder";
      const search = Object.assign(make("input"), { type: "search", id: "train_search", value: mine.of === state.open.name ? mine.search : "", placeholder: "Search captions and names", autocomplete: "off" });
      const chips = make("div.dr-chips", ...SHOWS.map(([show, words]) => {
        const chip = make("button", make("span", words), " ", make("b"));
        chip.type = "button";
        Object.assign(chip.dataset, { do: "train-show", show });
        return chip;
      }));
      chips.setAttribute("role", "group");
      named(chips, "Which of them");
      const report = make("div.dr-train-report.dr-box");
      report.setAttribute("role", "status");
      const cards = named(make("ul.dr-train-cards"), "Pictures");
      const side = make("div.dr-train-side", drop, folder, report, train.words.draw());
      const list = make("div.dr-train-main", make("div.dr-train-filter", named(search, "Search captions and names"), chips, make("span.dr-train-saved.dr-quiet")), cards, make("div.dr-train-nothing.dr-train-none"), action("Show more", "train-pictures-more"));
      list.querySelector(".dr-train-saved").setAttribute("role", "status");
      panel_.append(make("div.dr-train-pictures", side, list));
      part("[data-do=train-pictures-more]").hidden = true;
      if (mine.of !== state.open.name) mine.items = [];
      paintCards();
      paintReport();
      look();
    },
    leave() { flush(); train.crop?.close(); },
    back: () => look(),
  };
})();
