"use strict";
// One picture of the History tab in detail, two side by side, and the bin.
(() => {
  const darkroom = window.darkroom;
  const { make, action, history } = darkroom;
  const TARGETS = [["txt2img", "txt2img"], ["img2img", "img2img"], ["inpaint", "Inpaint"], ["style", "Style"], ["extras", "Extras"], ["caption", "Caption"], ["pnginfo", "PNG Info"]];
  const panel = () => history.part(".dr-history-panel");
  let open = null;
  let asked = 0;

  // Like darkroom.ask, but with the server's own words when it refuses.
  const send = async (path, body, timeout_ms = 60000) => {
    const options = body === undefined ? { cache: "no-store" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(`internal/history/${path}`, { ...options, signal: AbortSignal.timeout(timeout_ms) });
    if (answer.ok) return answer.json();
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.errors || `${answer.status} ${answer.statusText}`);
  };
  const tell = (title, text, ...more) => {
    const box = make("div.dr-box.dr-notice", make("strong", title), make("p", text, ...more));
    const close = action("", "close-box", {}, "dr-close");
    close.setAttribute("aria-label", "Close this message");
    box.append(close);
    history.part(".dr-history-message").replaceChildren(box);
  };
  const line = (name, value) => (value === "" || value === null || value === undefined ? [] : [make("dt", name), make("dd", String(value))]);

  // ---- one picture --------------------------------------------------------------------------------------------------
  const draw = (row) => {
    const close = action("", "history-close", {}, "dr-close");
    close.setAttribute("aria-label", "Close");
    const image = make("img");
    Object.assign(image, { src: row.file, alt: row.hint || row.name });
    const view = action("", "history-view", {}, "dr-history-image");
    view.title = "Full view";
    view.append(image);
    const problem = row.problem ? [make("div.dr-box.dr-warning", make("p", row.problem))] : [];
    const text = row.infotext ? [
      ...(row.prompt ? [make("h3", "Prompt"), make("p.dr-history-prompt", row.prompt)] : []),
      ...(row.negative ? [make("h3", "Negative prompt"), make("p.dr-history-prompt", row.negative)] : []),
      make("h3", "Settings"), make("dl.dr-items", ...row.items.flatMap(([key, value]) => line(key, value))),
      make("details", make("summary", "The text as it stands in the file"), make("pre.dr-infotext", row.infotext), action("Copy", "history-copy", {}, "dr-link")),
    ] : [make("p.dr-hint", "This picture carries no parameters. Some programs and chat services remove them when they save a file again.")];
    const about = make("dl.dr-items", ...line("Size", `${row.width} × ${row.height}, ${darkroom.size(row.size_bytes)}`), ...line("Made", new Date(row.created_s * 1000).toLocaleString()), ...line("File", row.path));
    panel().replaceChildren(close, make("h2", row.name), view, buttons(row), ...problem, make("div.dr-history-again"), ...text, make("h3", "File"), about);
    panel().hidden = false;
  };
  const buttons = (row) => {
    const bar = make("div.dr-model-buttons");
    const places = TARGETS.filter(([name]) => darkroom.pictureTargets[name]);
    bar.append(make("span.dr-quiet", "Send to"), ...places.map(([name, words]) => action(words, "history-send", { target: name })));
    const second = make("div.dr-model-buttons");
    const mark = action(row.favourite ? "★ Marked" : "☆ Mark", "history-mark");
    mark.setAttribute("aria-pressed", String(row.favourite));
    const load = make("a.dr-button", "Download");
    Object.assign(load, { href: row.file, download: row.name });
    second.append(mark, load, action("Delete", "history-delete"));
    if (row.items.length) second.append(action("Make again and compare", "history-again"));
    return make("div", bar, second);
  };
  // quiet: the picture changed under the keyboard; the focus stays in the list.
  darkroom.openPicture = async (id, { quiet = false } = {}) => {
    const mark = (asked += 1);
    history.opened(id);
    try {
      const row = await darkroom.ask(`internal/history/${encodeURIComponent(id)}`);
      if (mark !== asked) return;
      open = row;
      draw(row);
      if (!quiet) panel().scrollTop = 0;
      if (!quiet && innerWidth < 860) panel().focus();
    } catch {
      if (mark !== asked) return;
      closePanel();
      tell("The picture is not there any more", "It was moved or deleted outside of this page.");
      history.changed();
    }
  };
  const closePanel = () => {
    asked += 1;
    open = null;
    history.opened(null);
    if (panel()) panel().hidden = true;
  };
  darkroom.on("history-close", closePanel);
  darkroom.keys("History", () => darkroom.currentTab() === "history" && !darkroom.lightboxOpen() && !document.querySelector("dialog[open]"), [
    ["Escape", "One step back: the list, the panel, what is chosen", () => {
      if (history.root().dataset.view !== "list") history.view("list");
      else if (open) closePanel();
      else history.forget();
    }],
  ]);
  darkroom.on("history-view", () => {
    const [files, at] = history.files();
    if (files[at] === open.file) darkroom.showPictures(files, at);
    else darkroom.showPictures([open.file], 0);
  });
  darkroom.on("history-send", (button) => darkroom.sendPicture(open.file, button.dataset.target, open.infotext));
  darkroom.on("history-copy", async (button) => {
    const done = await navigator.clipboard.writeText(open.infotext).then(() => true, () => false); // refused on plain http
    button.textContent = done ? "Copied" : "Select and press Ctrl+C";
  });

  // ---- marks, the bin -----------------------------------------------------------------------------------------------
  darkroom.markPictures = async (rows) => {
    const here = rows.filter(Boolean);
    if (!here.length) return;
    const on = !here.every((row) => row.favourite);
    try {
      await send("favourite", { ids: here.map((row) => row.id), on });
      if (open && here.some((row) => row.id === open.id)) darkroom.openPicture(open.id, { quiet: true });
      history.changed();
    } catch (error) {
      tell("Not marked", error.message);
    }
  };
  darkroom.removePictures = async (rows) => {
    const here = rows.filter(Boolean);
    if (!here.length) return;
    const words = here.length === 1 ? here[0].name : `${here.length} pictures`;
    try {
      const answer = await send("remove", { ids: here.map((row) => row.id) });
      if (open && here.some((row) => row.id === open.id)) closePanel();
      history.forget();
      const undo = action("Undo", "history-restore", { places: JSON.stringify(answer.places) }, "dr-link");
      tell(`${words} ${here.length === 1 ? "is" : "are"} in the bin`, "Nothing is deleted until you empty that folder yourself. ", undo);
    } catch (error) {
      tell(`${words} could not be deleted`, error.message);
    }
    history.changed();
  };
  darkroom.on("history-mark", () => darkroom.markPictures([open]));
  darkroom.on("history-mark-chosen", () => darkroom.markPictures(history.chosen()));
  darkroom.on("history-delete", () => darkroom.removePictures([open]));
  darkroom.on("history-delete-chosen", () => darkroom.removePictures(history.chosen()));
  darkroom.on("history-restore", async (button) => {
    button.disabled = true;
    try {
      const places = JSON.parse(button.dataset.places);
      await send("restore", { places });
      tell(places.length === 1 ? "The picture is back where it was" : `${places.length} pictures are back where they were`, "");
      if (history.root().dataset.view === "bin") showBin();
    } catch (error) {
      tell("It could not be put back", error.message);
    }
    history.changed();
  });
  const showBin = async () => {
    history.view("bin");
    const place = history.part(".dr-history-other");
    try {
      const found = await darkroom.ask("internal/history/bin");
      const rows = found.rows.map((row) => {
        const image = make("img");
        Object.assign(image, { src: `internal/history/bin/${encodeURIComponent(row.place)}/thumbnail`, alt: "", loading: "lazy" });
        const words = make("span.dr-model-words", make("strong", row.name), make("span.dr-quiet", `deleted ${new Date(row.removed_s * 1000).toLocaleString()}`), make("span.dr-quiet", row.path));
        return make("li", make("span.dr-model-picture", image), words, action("Put back", "history-restore", { places: JSON.stringify([row.place]) }));
      });
      const empty = make("p.dr-hint", "The bin is empty. Delete moves pictures here, and Put back brings them to where they were.");
      const hint = make("p.dr-hint", "These files lie in ", make("code", found.folder), " until you delete them there.");
      place.replaceChildren(head("Bin"), ...(rows.length ? [hint, make("ul.dr-bin", ...rows)] : [empty]));
    } catch (error) {
      place.replaceChildren(head("Bin"), make("p.dr-hint", `The bin cannot be shown now (${error.message}).`));
    }
  };
  const head = (title, ...more) => make("div.dr-history-head", action("← Back", "history-list"), make("h2", title), ...more);
  darkroom.on("history-bin", showBin);
  darkroom.on("history-list", () => history.view("list"));

  // ---- two side by side ---------------------------------------------------------------------------------------------
  const pieces = (found, side) => {
    const text = make("p.dr-history-prompt");
    for (const [where, words] of found) {
      if (where === "both") text.append(words);
      else if (where === side) text.append(make(where === "first" ? "del" : "ins", words));
    }
    return text;
  };
  const figure = (row, side, found) => {
    const image = make("img");
    Object.assign(image, { src: row.file, alt: row.hint || row.name });
    const view = action("", "compare-view", { at: side === "first" ? 0 : 1 }, "dr-history-image");
    view.title = "Full view; the arrow keys change between the two";
    view.append(image);
    const box = make("section", make("h3", row.name), view);
    for (const [title, list] of [["Prompt", found.prompt], ["Negative prompt", found.negative]]) {
      if (list.some(([where]) => where !== "both")) box.append(make("h3", title), pieces(list, side));
    }
    return box;
  };
  let compared = [];
  const compare = async (first, second) => {
    const found = await darkroom.ask(`internal/history/compare?${new URLSearchParams({ first, second })}`);
    compared = found.pictures;
    const table = make("table.dr-differences", make("thead", make("tr", make("th", "Setting"), make("th", compared[0].name), make("th", compared[1].name))));
    const body = make("tbody");
    for (const row of found.settings) body.append(make("tr", make("th", row.key), make("td", row.first ?? "—"), make("td", row.second ?? "—")));
    table.append(body);
    const same = [found.prompt, found.negative].every((list) => list.every(([where]) => where === "both"));
    const words = found.settings.length || !same ? [] : [make("p.dr-hint", "Their parameters are the same. What differs came from somewhere else: the device, its number format, or another version of a library.")];
    const why = make("div.dr-history-why", make("h3", "Why they differ"), ...words, ...(found.settings.length ? [table] : []), ...(same && found.settings.length ? [make("p.dr-quiet", "The prompts are the same.")] : []));
    history.view("compare");
    history.part(".dr-history-other").replaceChildren(head("Side by side", action("Swap", "compare-swap")), make("div.dr-compare", figure(compared[0], "first", found), figure(compared[1], "second", found)), why);
    scrollTo({ top: 0 });
  };
  const tryCompare = (first, second) => compare(first, second).catch((error) => tell("They cannot be compared now", error.message));
  darkroom.on("history-compare", () => tryCompare(...history.chosen().map((row) => row.id)));
  darkroom.on("compare-swap", () => tryCompare(compared[1].id, compared[0].id));
  darkroom.on("compare-view", (button) => darkroom.showPictures(compared.map((row) => row.file), Number(button.dataset.at)));

  // ---- made again ---------------------------------------------------------------------------------------------------
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const again = async (row) => {
    const said = (title, ...lines) => { // while this very picture is still open
      const place = open?.id === row.id ? history.part(".dr-history-again") : null;
      place?.replaceChildren(make("div.dr-box.dr-notice", make("strong", title), ...lines));
    };
    said("Making it again…", make("p", "The picture and its parameters stay as they are; this one goes into the cache."));
    let asked = await send(`${row.id}/again`, {});
    for (;;) {
      await wait(700);
      const now = await send(`${row.id}/again/${asked.job}?way=${asked.way}`);
      if (now.next) asked = now.next;
      else if (now.verdict) return said(now.verdict.line, ...verdictLines(row, now));
      else said(now.state === "queued" ? "Waiting in the queue…" : `Making it again… ${Math.round(now.progress * 100)} %`);
    }
  };
  const verdictLines = (row, now) => {
    const lines = [now.verdict.compared ? `${now.verdict.compared[0].toUpperCase()}${now.verdict.compared.slice(1)}.` : "", ...now.verdict.changes].filter(Boolean);
    const view = action("Look at both", "again-view", { first: row.file, second: now.url }, "dr-link");
    return [...lines.map((words) => make("p", words)), ...(now.verdict.largest ? [make("p", view)] : [])];
  };
  darkroom.on("history-again", async (button) => {
    const row = open;
    button.disabled = true;
    try {
      await again(row);
    } catch (error) {
      if (open?.id === row.id) history.part(".dr-history-again").replaceChildren(make("div.dr-box.dr-warning", make("strong", "It cannot be made again"), make("p", error.message)));
    }
    button.disabled = false;
  });
  darkroom.on("again-view", (button) => darkroom.showPictures([button.dataset.first, button.dataset.second], 0));
})();
