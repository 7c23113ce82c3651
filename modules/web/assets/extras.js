"use strict";
// The Extras tab: pictures in, a job followed to its end, the result beside the picture as it was. Pictures are sent once; here and
// in the browser's storage are only their references, so that a reload brings everything back.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const DOUBLE_CLICK_MS = 700;
  const LOST_AFTER_MS = 20000;
  const STRIP = 60;
  const DROPS = { extras_image: "single", extras_image_batch: "batch" };
  const TARGETS = [["txt2img", "txt2img"], ["img2img", "img2img"], ["inpaint", "Inpaint"], ["caption", "Caption"], ["pnginfo", "PNG Info"]];

  const held = { single: [], batch: [], ...darkroom.store.get("extras.pictures", {}) }; // mode -> [{reference, name, width, height}]
  let following = darkroom.store.get("extras.jobs", []); // [{key, id, since}], in the order they were sent
  let shown = { id: darkroom.store.get("extras.shown", ""), pictures: [], at: 0 };
  let last = { form: "", key: "", time: 0 };
  let reading = Promise.resolve();
  let timer = 0;
  let ready = false; // the tab's own form has been filled from the browser's storage

  const part = (selector) => darkroom.byId("dr_extras")?.querySelector(selector);
  const mode = () => (document.querySelector("#mode_extras [role=tab][aria-selected=true]")?.dataset.tabId ?? "extras_single").replace("extras_", "");
  const keep = () => { darkroom.store.set("extras.pictures", held); darkroom.store.set("extras.jobs", following); };

  // ---- Pictures in --------------------------------------------------------------------------------------------------

  const post = async (blob) => {
    const options = { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: blob };
    const answer = await fetch("internal/inputs", { ...options, signal: AbortSignal.timeout(120000) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.errors || `${answer.status} ${answer.statusText}`);
    return said;
  };
  const state = (kind, text) => {
    const place = document.querySelector(`#${kind === "batch" ? "extras_image_batch" : "extras_image"} .dr-drop-state`);
    if (place) place.textContent = text;
  };
  const take = (kind, files) => {
    reading = reading.then(async () => {
      const wrong = [];
      let done = 0;
      for (const file of kind === "single" ? files.slice(0, 1) : files) {
        state(kind, files.length > 1 ? `Reading ${done += 1} of ${files.length}…` : "Reading the picture…");
        try {
          const one = { ...(await post(file)), name: file.name ?? "" };
          if (kind === "single") held.single = [one];
          else held.batch.push(one);
        } catch (error) {
          wrong.push(`${file.name || "The picture"}: ${error.message}`);
        }
        paintDrops();
      }
      state(kind, wrong.join("\n"));
      keep();
    });
    return reading;
  };
  const address = (one, side) => `internal/inputs/${one.reference.replace("input:", "")}?side=${side}`;
  const picture = (one, side) => Object.assign(make("img"), { src: address(one, side), alt: one.name || "Picture", draggable: false });

  const paintDrops = () => {
    for (const [id, kind] of Object.entries(DROPS)) {
      const drop = darkroom.byId(id);
      if (!drop) continue;
      const list = held[kind];
      const box = drop.querySelector(".dr-drop-held");
      box.hidden = !list.length;
      drop.querySelector(".dr-drop-empty").hidden = list.length > 0;
      if (!list.length) continue;
      const one = list[0];
      const words = kind === "single" ? `${one.name ? `${one.name}, ` : ""}${one.width} × ${one.height}` : `${list.length} pictures`;
      const tools = [action(kind === "single" ? "Another" : "Add", "extras-choose", {}, "dr-link"), action("Remove", "extras-clear", { kind }, "dr-link")];
      const line = make("div.dr-line", make("span", words), make("span", ...tools));
      if (kind === "single") box.replaceChildren(picture(one, 1024), line);
      else box.replaceChildren(make("ul", ...list.slice(0, STRIP).map(tile)), line);
    }
  };
  const tile = (one, n) => {
    const close = action("", "extras-drop-one", { n }, "dr-close");
    close.setAttribute("aria-label", `Remove ${one.name || `picture ${n + 1}`}`);
    const item = make("li", picture(one, 168), close);
    item.title = `${one.name}, ${one.width} × ${one.height}`;
    return item;
  };
  darkroom.on("extras-choose", (button) => button.closest(".dr-drop").querySelector("input[type=file]").click());
  darkroom.on("extras-clear", (button) => { held[button.dataset.kind] = []; keep(); paintDrops(); state(button.dataset.kind, ""); });
  darkroom.on("extras-drop-one", (button) => { held.batch.splice(Number(button.dataset.n), 1); keep(); paintDrops(); });
  document.addEventListener("change", (event) => {
    const kind = DROPS[event.target.closest?.(".dr-drop")?.id];
    if (!kind || event.target.type !== "file") return;
    take(kind, [...event.target.files]);
    event.target.value = "";
  });

  const kindAt = (event) => DROPS[event.target.closest?.(".dr-drop")?.id];
  const over = (event, on) => event.target.closest?.(".dr-drop")?.classList.toggle("dr-over", on);
  document.addEventListener("dragover", (event) => { if (kindAt(event)) { event.preventDefault(); over(event, true); } }, true);
  document.addEventListener("dragleave", (event) => { if (kindAt(event)) over(event, false); }, true);
  document.addEventListener("drop", (event) => {
    const kind = kindAt(event);
    if (!kind) return;
    event.preventDefault();
    event.stopPropagation();
    over(event, false);
    const files = [...event.dataTransfer.files];
    const link = darkroom.dragged ?? event.dataTransfer.getData("text/uri-list").split("\n")[0];
    if (files.length) take(kind, files);
    else if (link) fetched(link).then((file) => take(kind, [file])).catch(() => state(kind, "Only pictures of this page and files can be dropped here."));
  }, true);
  const here = () => darkroom.currentTab() === "extras" && !document.querySelector("dialog[open]") && !darkroom.lightboxOpen();
  darkroom.keys("Extras", here, [
    ["Ctrl+Enter", "Generate", (_, event) => (event.repeat ? false : darkroom.afterTyping(() => darkroom.press("extras_generate")))],
    ["Escape", "Interrupt", () => (following.length && !document.querySelector("ul[role=listbox]") ? darkroom.press("extras_interrupt") : false)],
    ["Ctrl+v", "Take a picture from the clipboard", () => false], // the event "paste" follows
  ]);
  // Before the page's own answer to Ctrl+V, which takes pictures to other tabs.
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
    if (!files.length || darkroom.currentTab() !== "extras" || mode() === "dir") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    take(mode(), files);
  }, true);

  const fetched = async (link) => {
    const url = new URL(link, document.baseURI);
    if (url.origin !== location.origin) throw new Error("it is not of this server");
    const answer = await fetch(url);
    const blob = await answer.blob();
    if (!answer.ok || !blob.type.startsWith("image/")) throw new Error(`${answer.status} ${answer.statusText}`);
    const name = decodeURIComponent(url.pathname.split("/").pop());
    return new File([blob], name.includes(".") ? name : "", { type: blob.type });
  };
  darkroom.pictureTargets ??= {};
  darkroom.pictureTargets.extras = async (url) => {
    const file = await fetched(url);
    darkroom.showTab("extras");
    await darkroom.present("#extras_single_tab-button, #mode_extras [role=tab]");
    document.querySelector("#mode_extras [role=tab][data-tab-id=extras_single]")?.click();
    await take("single", [file]);
  };

  // ---- The form -----------------------------------------------------------------------------------------------------

  darkroom.saveExtras = (names, ...values) => {
    if (ready) darkroom.keepForm("extras", Object.fromEntries(names.map((name, i) => [name, values[i]])));
    return [];
  };
  // rows: [field, label, value it began with, id]
  darkroom.loadExtras = async (rows, ...values) => {
    const kept = await darkroom.startOf("extras");
    const now = rows.map(([name], i) => (name in kept ? kept[name] : values[i]));
    darkroom.formBegins("extras", rows, Object.fromEntries(rows.map(([name], i) => [name, now[i]])));
    ready = true;
    return now;
  };
  darkroom.on("extras-presets", () => darkroom.openPresets("extras"));

  darkroom.beforeExtras = async (_ticket, _pictures, ...values) => {
    await reading;
    const kind = mode();
    const pictures = JSON.stringify({ mode: kind, pictures: (held[kind] ?? []).map(({ reference, name }) => ({ reference, name })) });
    const form = JSON.stringify([pictures, values]);
    const now = Date.now();
    const pending = following.some((job) => job.key === last.key); // what is done already was quick, and this is a wish of its own
    const again = pending && form === last.form && now - last.time < DOUBLE_CLICK_MS;
    last = { form, key: again ? last.key : darkroom.newKey(), time: now };
    if (!again) {
      following.push({ key: last.key, id: null, since: now });
      keep();
    }
    say([]);
    wake();
    return [last.key, pictures, ...values];
  };
  darkroom.afterExtras = (ticket) => {
    let answer = {};
    try {
      answer = JSON.parse(ticket);
    } catch { /* the request failed; the poll finds out whether it arrived */ }
    const job = following.find((one) => one.key === answer.key);
    if (answer.fault) forget(answer.key);
    else if (job && answer.id) job.id = answer.id;
    keep();
    wake();
    darkroom.lookAtQueue?.();
    return [];
  };

  // ---- The job ------------------------------------------------------------------------------------------------------

  const forget = (key) => { following = following.filter((job) => job.key !== key); keep(); };
  const wake = () => { clearTimeout(timer); timer = setTimeout(turn, 0); };
  const turn = async () => {
    const job = following[0];
    if (!job) return progress(null);
    try {
      const now = await darkroom.ask("internal/progress", { id_task: job.id ?? job.key, live_preview: false });
      if (now.completed) {
        forget(job.key);
        await show(job.id ?? job.key);
      } else if (now.active || now.queued) progress(now);
      else if (now.state === "unknown" && Date.now() - job.since > LOST_AFTER_MS) {
        forget(job.key);
        say([["The request did not arrive", "The connection was lost on the way. Press Generate again."]], "fault");
      }
    } catch {
      progress({ textinfo: "No answer from the server; trying again…" });
    }
    clearTimeout(timer);
    timer = setTimeout(turn, following.length ? darkroom.facts().period_ms ?? 400 : 0);
  };
  const progress = (now) => {
    const box = darkroom.byId("extras_progress");
    if (!box) return;
    box.hidden = !now;
    if (!now) return;
    const fraction = now.active && now.progress ? Math.min(1, now.progress) : null;
    const worker = darkroom.workerState?.() ?? {};
    const words = darkroom.queuePaused?.() && now.queued ? "The queue is paused" : now.queued && worker.state === "starting" ? worker.message : now.textinfo;
    box.querySelector(".dr-what").textContent = words || "At work…";
    box.querySelector(".dr-left").textContent = fraction === null ? "" : `${Math.floor(fraction * 100)} %${now.eta ? ` · about ${darkroom.seconds(now.eta)} left` : ""}`;
    const bar = box.querySelector(".dr-bar");
    bar.classList.toggle("dr-unknown", fraction === null);
    if (fraction === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", Math.floor(fraction * 100));
    bar.firstElementChild.style.width = fraction === null ? "" : `${fraction * 100}%`;
  };
  document.addEventListener("click", async (event) => {
    const job = event.target.closest?.("#extras_interrupt") ? following[0] : null;
    if (!job) return;
    await darkroom.ask(`internal/jobs/${encodeURIComponent(job.id ?? job.key)}/cancel`, {}).catch(() => null);
    wake();
  });

  // ---- The result ---------------------------------------------------------------------------------------------------

  // rows: [title, text]; text only, never markup.
  const say = (rows, kind = "notice") => {
    const place = darkroom.byId("extras_said");
    if (!place) return;
    place.replaceChildren(...rows.map(([title, text]) => {
      const close = action("", "close-box", {}, "dr-close");
      close.setAttribute("aria-label", "Close this message");
      const box = make(`div.dr-box.dr-${kind}`, make("strong", title), make("p", text), close);
      box.setAttribute("role", kind === "fault" ? "alert" : "status");
      return box;
    }));
  };

  const show = async (id, again = false) => {
    let job;
    try {
      job = await darkroom.ask(`internal/jobs/${encodeURIComponent(id)}`);
    } catch { // the browser remembers a job of a data folder that is gone
      return;
    }
    const pictures = (job.result?.pictures ?? []).map((one, place) => ({ ...one, before: `internal/extras/${job.id}/${place}/before` }));
    if (!again) {
      if (job.fault) say([["This could not be done", job.fault.message]], "fault");
      else if (job.state === "canceled") say([["", pictures.length ? "Stopped before the end; these are the pictures so far." : "Stopped before the first picture was done."]]);
      else if (job.result?.warnings?.length) say([["About the pictures", job.result.warnings.join("\n")]], "warning");
    }
    if (!pictures.length) return;
    shown = { id: job.id, pictures, at: 0 };
    darkroom.store.set("extras.shown", job.id);
    paint();
  };

  const compare = (one) => {
    const slider = Object.assign(make("input"), { type: "range", min: 0, max: 100, value: 50 });
    slider.setAttribute("aria-label", "How much of the picture before is shown");
    const image = (src, words, kind) => Object.assign(make(`img${kind}`), { src, alt: words, draggable: false });
    const before = image(one.before, "Before", "");
    before.style.cssText = "width: 100%; height: 100%; object-fit: cover";
    const box = make("div.dr-slide", image(one.url, "After", ".dr-after"), make("div.dr-before", before), make("i"), slider, make("span", "Before"), make("span", "After"));
    box.style.aspectRatio = `${one.width} / ${one.height}`;
    box.style.width = `min(100%, ${Math.max(one.width, 280)}px, calc(64vh * ${one.width / one.height}))`;
    slider.addEventListener("input", () => box.style.setProperty("--at", `${slider.value}%`));
    before.addEventListener("error", () => { box.style.setProperty("--at", "0%"); slider.disabled = true; });
    return box;
  };
  const paint = () => {
    if (!part("#extras_gallery")) return;
    const { pictures, at } = shown;
    const one = pictures[at];
    part(".dr-extras-empty").hidden = Boolean(one);
    for (const selector of ["#extras_gallery", ".dr-extras-buttons", "#html_info_extras"]) part(selector).hidden = !one;
    if (!one) return;
    part("#extras_gallery").replaceChildren(compare(one));
    const name = String(one.path).split(/[\\/]/).pop();
    part("#html_info_extras").textContent = [`${name}, ${one.width} × ${one.height}${one.saved ? "" : ", not saved"}`, one.infotext].filter(Boolean).join("\n");
    const link = (words, extra) => Object.assign(make("a", words), { href: one.url, ...extra });
    const targets = TARGETS.filter(([target]) => darkroom.pictureTargets[target]).map(([target, words]) => action(words, "extras-send", { target }, "dr-to"));
    part(".dr-extras-buttons").replaceChildren(
      action("Full view", "extras-full", {}, "dr-to"), action("Use as input", "extras-send", { target: "extras" }, "dr-to"),
      make("span.dr-send", make("span", "Send to"), ...targets),
      link("Download", { download: name }), link("Open file", { target: "_blank", rel: "noopener" }),
    );
    const strip = part(".dr-extras-strip");
    strip.hidden = pictures.length < 2;
    strip.replaceChildren(...pictures.slice(0, STRIP).map((each, n) => {
      const button = action("", "extras-pick", { n }, "dr-thumb");
      button.setAttribute("aria-label", `Result ${n + 1} of ${pictures.length}`);
      button.setAttribute("aria-pressed", String(n === at));
      button.append(Object.assign(make("img"), { src: each.url, alt: "", loading: "lazy", decoding: "async" }));
      return make("li", button);
    }), ...(pictures.length > STRIP ? [make("li.dr-quiet", `and ${pictures.length - STRIP} more in the folder`)] : []));
  };
  darkroom.on("extras-pick", (button) => { shown.at = Number(button.dataset.n); paint(); part(`[data-n="${shown.at}"]`)?.focus(); });
  darkroom.on("extras-full", () => darkroom.showPictures(shown.pictures.map((one) => new URL(one.url, document.baseURI).href), shown.at));
  darkroom.on("extras-send", (button) => {
    const one = shown.pictures[shown.at];
    darkroom.sendPicture(one.url, button.dataset.target, one.infotext);
  });

  // ---- When the tab is opened for the first time --------------------------------------------------------------------

  let opened = false;
  const open = (name) => {
    if (name !== "extras" || opened) return;
    darkroom.later(() => {
      if (opened) return;
      opened = true;
      paintDrops();
      darkroom.press("extras_fresh");
      if (shown.id) show(shown.id, true);
      wake();
    }, "#dr_extras");
  };
  darkroom.onTab(open);
  new MutationObserver(() => { // the other sub-tabs are drawn when they are opened
    if (Object.keys(DROPS).some((id) => darkroom.byId(id)?.dataset.drawn === undefined && darkroom.byId(id))) {
      for (const id of Object.keys(DROPS)) if (darkroom.byId(id)) darkroom.byId(id).dataset.drawn = "yes";
      paintDrops();
    }
  }).observe(document.documentElement, { subtree: true, childList: true });
})();
