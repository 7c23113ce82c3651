"use strict";
// The Caption tab's folders: a job followed to its end, its captions a page at a time, mended where they stand, counted, undone.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const LOOK_MS = 500;
  const PAGE = 60;
  const TAGS_SHOWN = 120;
  const SHOWN = [["all", "All"], ["captioned", "New"], ["skipped", "There already"], ["faults", "Faults"], ["edited", "Edited"]];

  let job = darkroom.store.get("caption.folder", ""); // id of the job that is shown
  let now = null; // what the server says of it
  let rows = { total: 0, shown: 0 };
  const wish = { show: "all", search: "" };
  let timer = 0;
  let typing = 0;

  const part = (selector) => darkroom.caption.part(selector);
  const path = (rest = "") => `internal/caption-folders/${encodeURIComponent(job)}${rest}`;
  const runs = () => now && ["queued", "running"].includes(now.state);
  const plural = (n, words) => `${n.toLocaleString()} ${words}${n === 1 ? "" : "s"}`;

  const run = async (asked, more = {}) => {
    const { form, ask, say } = darkroom.caption;
    say("", "");
    const own = Object.fromEntries(["folder", "output", "existing", "prefix", "suffix", "blacklist"].map((name) => [name, form[name] ?? ""]));
    try {
      const body = { ...asked, ...own, recursive: Boolean(form.recursive), replace: String(form.replace ?? "").split("\n").filter((line) => line.trim()), ...more };
      const sent = await ask("internal/caption-folders", { key: darkroom.newKey(), ...body });
      job = sent.id;
      now = null;
      rows = { total: 0, shown: 0 };
      darkroom.store.set("caption.folder", job);
      darkroom.lookAtQueue?.();
      look();
    } catch (error) {
      say("This folder could not be captioned", error.message);
    }
  };

  // ---- How far it is ------------------------------------------------------------------------------------------------

  const look = async () => {
    clearTimeout(timer);
    if (!job) return;
    const before = now;
    try {
      now = await darkroom.caption.ask(path());
    } catch (error) {
      if (error.status === 404) { job = ""; darkroom.store.set("caption.folder", ""); now = null; }
      else timer = setTimeout(look, LOOK_MS * 4);
      if (!now) return;
    }
    if (runs()) timer = setTimeout(look, LOOK_MS);
    darkroom.caption.progress(runs() ? now : null);
    paint();
    const done = now.captioned + now.skipped + now.failed;
    if (!before || !runs() || done > rows.total) list(rows.shown <= PAGE);
    if (!runs() && (!before || before.state !== now.state)) tags();
  };
  const paint = () => {
    part(".dr-cap-none[data-folder]").hidden = Boolean(now);
    darkroom.byId("caption_folder").hidden = !now;
    if (!now) return;
    const words = [plural(now.captioned, "caption"), now.skipped ? `${now.skipped.toLocaleString()} there already` : "", now.failed ? plural(now.failed, "fault") : "", `of ${plural(now.pictures, "picture")}`, now.per_second ? `${now.per_second} a second` : ""];
    const tools = [];
    if (now.undone) words.push("undone");
    else if (!runs()) {
      if (["canceled", "failed", "parked"].includes(now.state)) tools.push(action("Go on", "caption-folder-on", {}, "dr-button.dr-main"));
      if (now.captioned) tools.push(action("Undo this run", "caption-undo"));
    }
    part(".dr-cap-sum").replaceChildren(make("h2", now.folder), make("p.dr-facts", ...words.filter(Boolean).map((text) => make("span", text))), ...(now.fault ? [make("p.dr-cap-fault", now.fault.message)] : []), make("div.dr-cap-tools", ...tools));
    const faults = part(".dr-cap-faults");
    faults.replaceChildren();
    if (now.faults.length) {
      const list = make("details.dr-cap-fold", make("summary", `${plural(now.failed, "picture")} could not be used`), make("ul", ...now.faults.map((one) => make("li", make("strong", one.name), ` ${one.why}`))));
      faults.append(list);
    }
    part(".dr-cap-bar .dr-chips").replaceChildren(...SHOWN.map(([value, text]) => {
      const chip = action(text, "caption-rows-show", { show: value }, "dr-chip");
      chip.setAttribute("aria-pressed", String(value === wish.show));
      return chip;
    }));
  };

  // ---- The captions -------------------------------------------------------------------------------------------------

  const list = async (anew) => {
    const offset = anew ? 0 : rows.shown;
    try {
      const answer = await darkroom.caption.ask(path(`/rows?${new URLSearchParams({ offset, limit: PAGE, ...wish })}`));
      const box = part(".dr-cap-rows");
      if (anew && box.contains(document.activeElement)) return; // somebody writes
      rows = { total: answer.total, shown: offset + answer.rows.length };
      const made = answer.rows.map(row);
      if (anew) box.replaceChildren(...made);
      else box.append(...made);
      part("[data-do=caption-rows-more]").hidden = rows.shown >= rows.total;
    } catch { /* the list is not begun yet */ }
  };
  const row = (one) => {
    const gone = () => make("span.dr-cap-gone.dr-quiet", "no picture");
    const image = one.fault ? gone() : Object.assign(make("img"), { src: path(`/thumbnail?${new URLSearchParams({ name: one.name })}`), alt: one.name, loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(gone()));
    const box = Object.assign(make("textarea"), { value: one.text, rows: 2 });
    box.dataset.name = one.name;
    box.setAttribute("aria-label", `Caption of ${one.name}`);
    const mark = make("span.dr-cap-mark.dr-quiet", one.edited ? "edited" : one.skipped ? "there already" : "");
    const words = one.fault ? make("p.dr-cap-fault", one.fault) : box;
    return make("li", image, make("div", make("div.dr-cap-name", make("span", one.name), mark), words));
  };
  document.addEventListener("change", async (event) => {
    const box = event.target.closest?.(".dr-cap-rows textarea");
    if (!box) return;
    const mark = box.closest("li").querySelector(".dr-cap-mark");
    mark.textContent = "writing…";
    try {
      await darkroom.caption.ask(path("/rows"), { name: box.dataset.name, text: box.value });
      mark.textContent = "edited";
      tags();
    } catch (error) {
      mark.textContent = "not written";
      darkroom.caption.say(`${box.dataset.name} could not be changed`, error.message);
    }
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(".dr-cap-bar input")) return;
    wish.search = event.target.value.trim();
    clearTimeout(typing);
    typing = setTimeout(() => list(true), 200);
  });
  darkroom.on("caption-rows-more", () => list(false));
  darkroom.on("caption-rows-show", (button) => { wish.show = button.dataset.show; paint(); list(true); });
  darkroom.on("caption-tag", (button) => {
    part(".dr-cap-bar input").value = wish.search = button.dataset.tag;
    list(true);
  });

  // Between commas where captions are tags, else word by word.
  const tags = async () => {
    try {
      let found = await darkroom.caption.ask(path("/tags"));
      if (!found.some((one) => one.count > 1)) found = await darkroom.caption.ask(path("/tags?by=words"));
      const box = part(".dr-cap-tags > div");
      part(".dr-cap-tags > summary").textContent = `How often which words stand (${found.length.toLocaleString()})`;
      box.replaceChildren(...found.slice(0, TAGS_SHOWN).map((one) => action("", "caption-tag", { tag: one.tag }, "dr-cap-tag")));
      [...box.children].forEach((chip, n) => chip.append(make("span", found[n].tag), make("b", String(found[n].count))));
    } catch { /* no list yet */ }
  };

  darkroom.on("caption-undo", async () => {
    try {
      const answer = await darkroom.caption.ask(path("/undo"), {});
      const left = answer.changed.length ? ` ${plural(answer.changed.length, "caption")} changed since then ${answer.changed.length === 1 ? "stays" : "stay"}: ${answer.changed.slice(0, 5).join(", ")}.` : "";
      darkroom.caption.say("", `${plural(answer.undone, "caption")} taken back.${left}`, "notice");
      look();
    } catch (error) {
      darkroom.caption.say("It could not be undone", error.message);
    }
  });
  // The same wish as then, without what is done.
  darkroom.on("caption-folder-on", async () => {
    try {
      const whole = await darkroom.caption.ask(`internal/jobs/${encodeURIComponent(job)}`);
      run(whole.request, { ...whole.request, resume: job });
    } catch (error) {
      darkroom.caption.say("It could not go on", error.message);
    }
  });

  darkroom.captionFolder = { run, open: () => { if (job) look(); } };
})();
