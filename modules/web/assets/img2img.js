"use strict";
// The img2img tab: which canvases there are, what they hold, and how it reaches the server. Pictures and masks are sent once, when
// they change; here and in the form are only their references, so that a reload brings everything back.
(() => {
  const darkroom = window.darkroom;
  const PAINT_PAUSE_MS = 700; // a mask is sent when the hand has rested so long, or when it is needed
  const STORE = "canvases";
  const OWN_CANVAS = { inpaint_upload: ["inpaint_upload", "inpaint_mask"] };

  const held = darkroom.store.get(STORE, {}); // name -> {reference, width, height, layer}
  const canvases = {}; // name -> Canvas, once its sub-tab was opened
  const sending = {}; // name -> promise of what is under way
  const unsent = new Set(); // canvases whose layer has changed since it was sent
  const timers = {};
  let files = darkroom.store.get("batch", []); // [{name, reference}]

  const keep = () => darkroom.store.set(STORE, held);
  const mode = () => (document.querySelector("#mode_img2img > div [role=tab][aria-selected=true], #mode_img2img [role=tab][aria-selected=true]")?.dataset.tabId ?? "img2img_img2img").replace("img2img_", "");

  const post = async (blob) => {
    const options = { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: blob };
    const answer = await fetch("internal/inputs", { ...options, signal: AbortSignal.timeout(120000) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.errors || said.detail || `${answer.status} ${answer.statusText}`);
    return said;
  };
  const load = async (reference) => {
    const answer = await fetch(`internal/inputs/${reference.replace("input:", "")}?side=2048`);
    if (!answer.ok) throw new Error(`${answer.status}`);
    return createImageBitmap(await answer.blob());
  };

  // ---- A picture onto a canvas ------------------------------------------------------------------------------------

  // The browser shows the file at once when it can; the reference comes when the server has it.
  const take = (name, blob) => {
    const canvas = canvases[name];
    unsent.delete(name);
    canvas?.say("Reading the picture…");
    const shown = canvas ? createImageBitmap(blob, { imageOrientation: "from-image" }).then((bitmap) => { canvas.put(bitmap); return true; }).catch(() => false) : Promise.resolve(true);
    const work = (async () => {
      try {
        const [seen, answer] = await Promise.all([shown, post(blob)]);
        held[name] = { reference: answer.reference, width: answer.width, height: answer.height, layer: null };
        keep();
        if (!seen) canvas.put(await load(answer.reference));
        canvas?.say("");
        sizes();
        return true;
      } catch (error) {
        delete held[name];
        keep();
        canvas?.empty();
        canvas?.say("");
        darkroom.tell("The picture could not be taken", `${error.message}`);
        return false;
      }
    })();
    sending[name] = work;
    return work;
  };

  const remove = (name) => {
    delete held[name];
    unsent.delete(name);
    keep();
    canvases[name]?.empty();
    sizes();
  };

  // What was painted, to the server; at most one at a time for a canvas.
  const sendLayer = (name) => {
    clearTimeout(timers[name]);
    sending[name] = Promise.resolve(sending[name]).then(async () => {
      if (!unsent.has(name) || !held[name]) return true;
      unsent.delete(name);
      const blob = await canvases[name].blob();
      try {
        held[name].layer = blob ? (await post(blob)).reference : null;
        keep();
        return true;
      } catch (error) {
        unsent.add(name);
        darkroom.tell("What was painted could not be sent", `${error.message}. It is still on the canvas; try again.`);
        return false;
      }
    });
    return sending[name];
  };
  const painted = (name) => {
    unsent.add(name);
    clearTimeout(timers[name]);
    timers[name] = setTimeout(() => sendLayer(name), PAINT_PAUSE_MS);
  };

  const mount = (root) => {
    const name = root.dataset.canvas;
    if (canvases[name]?.root === root) return;
    canvases[name] = new darkroom.Canvas(root, {
      onPicture: (file) => take(name, file),
      onAddress: (address) => fetchPicture(address).then((blob) => take(name, blob)).catch((error) => darkroom.tell("The picture could not be read", error.message)),
      onPaint: () => painted(name),
      onRemove: () => remove(name),
    });
    root.querySelector("[data-do=canvas-choose]").addEventListener("click", () => canvases[name].choose());
    restore(name);
  };
  const restore = async (name) => {
    const has = held[name];
    if (!has) return;
    canvases[name].say("Fetching the picture…");
    try {
      const [picture, layer] = await Promise.all([load(has.reference), has.layer ? load(has.layer) : null]);
      canvases[name].put(picture, layer);
      canvases[name].say("");
    } catch {
      remove(name);
      canvases[name].say("The picture is no longer kept on the server; give it once more.");
    }
  };

  // ---- From elsewhere ---------------------------------------------------------------------------------------------

  const fetchPicture = async (address) => {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin && url.protocol !== "data:") throw new Error("It lies on another site; save it first and drop the file");
    const answer = await fetch(url);
    const blob = await answer.blob();
    if (!answer.ok || !blob.type.startsWith("image/")) throw new Error("The file may have been moved or deleted since");
    return blob;
  };
  darkroom.inputs = { post, load, fetchPicture };

  const showMode = (name) => {
    darkroom.showTab("img2img");
    darkroom.later(() => [...document.querySelectorAll("#mode_img2img [role=tab]")].find((tab) => tab.dataset.tabId === `img2img_${name}`)?.click(), "#mode_img2img [role=tab]");
  };
  // Sides that a slider of the form takes.
  const side = (value) => Math.min(2048, Math.max(64, Math.round(value / 8) * 8));

  const send = (target) => async (url, infotext) => {
    const blob = await fetchPicture(url);
    showMode(target);
    await darkroom.present(`[data-canvas=${target}] .dr-canvas-bar`);
    mountNew();
    if (!(await take(target, blob))) throw new Error("The server did not take it");
    const { width, height } = held[target];
    darkroom.fillForm("img2img", infotext ?? "", { width: side(width), height: side(height) });
  };
  const targets = darkroom.pictureTargets ??= {};
  for (const name of ["img2img", "sketch", "inpaint"]) targets[name] = send(name);

  // Ctrl+V while the tab is shown.
  darkroom.takePicture = (file) => {
    if (darkroom.currentTab() !== "img2img") return false;
    if (mode() === "batch") addFiles([file]);
    else {
      const [first, second] = OWN_CANVAS[mode()] ?? [mode()];
      take(second && held[first] && !held[second] ? second : first, file);
    }
    return true;
  };

  darkroom.on("copy-picture", async (button) => {
    const { from, to } = button.dataset;
    await sendLayer(from);
    const has = held[from];
    if (!has) return darkroom.tell("There is no picture to copy", "Give this canvas a picture first.");
    try {
      const flat = canvases[from]?.paints === "colour" && has.layer ? await darkroom.ask("internal/inputs/painted", { image: has.reference, layer: has.layer }) : has;
      held[to] = { reference: flat.reference, width: flat.width, height: flat.height, layer: null };
      keep();
      showMode(to);
      if (canvases[to]) restore(to);
      sizes();
    } catch (error) {
      darkroom.tell("The picture could not be copied", error.message);
    }
  });

  // The canvases of a sub-tab with what they held once: name -> {reference, width, height, layer}.
  darkroom.beginWith = async (name, canvases_) => {
    Object.assign(held, canvases_);
    for (const one of OWN_CANVAS[name] ?? [name]) {
      if (!canvases_[one]) delete held[one];
      unsent.delete(one);
      delete sending[one];
    }
    keep();
    showMode(name);
    await darkroom.present(`[data-canvas=${name}] .dr-canvas-bar`);
    mountNew();
    for (const one of OWN_CANVAS[name] ?? [name]) {
      if (held[one] && canvases[one]) restore(one);
      else canvases[one]?.empty();
    }
    sizes();
  };

  // ---- Batch ------------------------------------------------------------------------------------------------------

  const uploads = (selector) => document.querySelector(`.dr-uploads ${selector}`);
  const listFiles = (words = "") => {
    if (!uploads("ul")) return;
    uploads("ul").replaceChildren(...files.map((file) => Object.assign(document.createElement("li"), { textContent: file.name })));
    uploads(".dr-uploads-state").textContent = words || (files.length ? `${files.length} ${files.length === 1 ? "picture" : "pictures"}` : "None yet");
  };
  const addFiles = async (chosen) => {
    let done = 0;
    const refused = [];
    for (const file of chosen) { // one after another: a hundred at once would only be in each other's way
      listFiles(`Sending ${done + 1} of ${chosen.length}…`);
      try {
        files.push({ name: file.name, reference: (await post(file)).reference });
        darkroom.store.set("batch", files);
      } catch (error) {
        refused.push(`${file.name}: ${error.message}`);
      }
      done += 1;
    }
    listFiles();
    if (refused.length) darkroom.tell("Some files were left out", refused.join("\n"));
  };
  darkroom.on("batch-choose", () => uploads("input").click());
  darkroom.on("batch-clear", () => { files = []; darkroom.store.set("batch", files); listFiles(); });
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.(".dr-uploads input[type=file]")) return;
    addFiles([...event.target.files]);
    event.target.value = "";
  });
  document.addEventListener("dragover", (event) => { if (event.target.closest?.(".dr-uploads")) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!event.target.closest?.(".dr-uploads")) return;
    event.preventDefault();
    addFiles([...event.dataTransfer.files]);
  });

  // ---- What a run is told -----------------------------------------------------------------------------------------

  const sent = async (name) => (await sending[name]) !== false && (!unsent.has(name) || (await sendLayer(name)));
  darkroom.beginning = async () => {
    const now = mode();
    if (now === "batch") {
      const folder = document.querySelector("#img2img_batch_source [role=tab][aria-selected=true]")?.dataset.tabId === "img2img_batch_from_dir";
      return { mode: now, source: folder ? "folder" : "upload", files, from: 0 };
    }
    const names = OWN_CANVAS[now] ?? [now];
    const arrived = await Promise.all(names.map(sent));
    const [image, mask] = names.map((name) => held[name]);
    const error = arrived.includes(false) && names.some((name) => held[name]) ? "could not be sent; try again" : "";
    return { mode: now, image: image?.reference ?? null, layer: image?.layer ?? null, mask: mask?.reference ?? null, error };
  };

  // ---- Sizes ------------------------------------------------------------------------------------------------------

  let form = {};
  darkroom.sizeChanged = (now) => { form = now; sizes(); };
  const sizes = () => {
    const tab = darkroom.byId("img2img_size");
    if (!tab) return;
    const by = form.size_from === "Resize by";
    tab.dataset.by = by ? "factor" : "sides";
    const has = held[mode()];
    const to = (value) => Math.max(8, Math.floor((value * (form.scale_by ?? 1)) / 8) * 8);
    const words = by ? (has ? `${has.width}×${has.height} → ${to(has.width)}×${to(has.height)}` : "the size follows from the picture") : (has ? `picture: ${has.width}×${has.height}` : "");
    const place = document.querySelector("#img2img_scale_resolution_preview .html-container") ?? darkroom.byId("img2img_scale_resolution_preview");
    if (place && place.textContent !== words) place.textContent = words;
    grown(has);
  };
  // What outpainting makes of the picture, which keeps its own size then.
  const grown = (has) => {
    const [left, right, up, down] = ["left", "right", "up", "down"].map((name) => Number(form[`outpaint_${name}`]) || 0);
    const on = Boolean(form.outpaint_show);
    const some = left + right + up + down > 0;
    const to = has && `${has.width}×${has.height} → ${has.width + left + right}×${has.height + up + down}`;
    const words = !on ? "" : !some ? "no side grows yet" : (to || "the size follows from the picture");
    const place = document.querySelector("#img2img_outpaint_finalres .html-container") ?? darkroom.byId("img2img_outpaint_finalres");
    if (place && place.textContent !== words) place.textContent = words;
    darkroom.byId("img2img_size").toggleAttribute("data-own", on && some);
  };
  darkroom.pictureSize = (width, height) => {
    const has = held[mode()];
    return has ? [side(has.width), side(has.height)] : [width, height];
  };

  // ---- The sub-tabs -----------------------------------------------------------------------------------------------

  const modeChanged = () => {
    document.body.dataset.mode = mode();
    darkroom.store.set("mode", mode());
    requestAnimationFrame(() => { mountNew(); sizes(); });
  };
  let opened = false;
  darkroom.onTab((tab) => {
    if (tab !== "img2img" || opened) return;
    opened = true;
    const modes = darkroom.byId("mode_img2img");
    new MutationObserver(modeChanged).observe(modes, { subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
    new MutationObserver(() => { if (modes.querySelector(".dr-canvas:not([data-on])")) mountNew(); }).observe(modes, { subtree: true, childList: true });
    const last = darkroom.store.get("mode", "img2img");
    if (last !== "img2img") showMode(last);
    mountNew();
    modeChanged();
  });
  const mountNew = () => {
    for (const root of document.querySelectorAll("#mode_img2img .dr-canvas:not([data-on])")) {
      root.dataset.on = "yes";
      mount(root);
    }
    listFiles();
  };
})();
