"use strict";
// The canvases of a ControlNet unit: its picture, the mask, which is painted over the picture or dropped, and the region of the result.
// What they hold is control.js's, by references; a canvas shows it and hands over what a person drops or paints.
(() => {
  const darkroom = window.darkroom;
  const { control, controlPieces, controlMap } = darkroom;
  const PAINT_PAUSE_MS = 700; // a mask is sent when the hand has rested so long, or when it is needed
  const MASKS = ["mask", "effective_region_mask"];
  // field -> the well-known extension's id, what is painted, words in the empty frame (the page's own for the picture)
  const CANVASES = {
    image: ["input_image", "", ""], mask: ["mask_upload", "mask", "Mask: what of the picture counts, in white"],
    effective_region_mask: ["effective_region", "", "Region: where in the result the unit counts, in white"],
  };

  const canvasOf = (panel, name) => {
    const root = panel.template.content.firstElementChild.cloneNode(true);
    const [elem, paints, words] = CANVASES[name];
    root.id = controlPieces.idOf(panel.tab, panel.n, elem);
    Object.assign(root.dataset, { canvas: root.id, field: name, paints });
    if (words) {
      root.setAttribute("aria-label", words);
      root.querySelector(".dr-canvas-empty p").textContent = words;
    }
    const canvas = new darkroom.Canvas(root, {
      onPicture: (file) => put(panel, name, file),
      onAddress: (address) => darkroom.inputs.fetchPicture(address).then((blob) => put(panel, name, blob)).catch((error) => darkroom.tell("The picture could not be read", error.message)),
      onPaint: () => painted(panel),
      onRemove: () => remove(panel, name),
    });
    root.querySelector("[data-do=canvas-choose]").addEventListener("click", () => canvas.choose());
    panel.canvases[name] = { canvas, shown: "", timer: 0, turn: null };
    return root;
  };

  // ---- Dropped ----------------------------------------------------------------------------------------------------

  // What a canvas is to show: its own picture, and for a mask the unit's picture below it.
  const lookOf = (panel, name) => {
    const unit = control.unit(panel.tab, panel.n);
    return name === "mask" ? [unit.image ?? "", unit.mask ?? ""] : [unit[name] ?? "", ""];
  };
  // The browser shows the file at once when it can; the reference comes when the server has it.
  const put = async (panel, name, blob) => {
    const mine = panel.canvases[name];
    const turn = (mine.turn = {});
    clearTimeout(mine.timer);
    mine.timer = 0;
    mine.canvas.say("Reading the picture…");
    const bitmap = name === "mask" ? Promise.reject(new Error("it goes over the picture")) : createImageBitmap(blob, { imageOrientation: "from-image" });
    const seen = bitmap.then((picture) => { if (mine.turn === turn) mine.canvas.put(picture); return true; }).catch(() => false);
    const [drawn, there] = await Promise.all([seen, control.take(panel.tab, panel.n, name, blob)]);
    if (mine.turn !== turn) return;
    mine.turn = null;
    mine.canvas.say("");
    mine.shown = drawn && there ? lookOf(panel, name).join() : null;
    show(panel, name);
    controlMap.follow(panel);
  };
  const remove = (panel, name) => {
    const mine = panel.canvases[name];
    clearTimeout(mine.timer);
    [mine.timer, mine.turn, mine.shown] = [0, null, null];
    control.remove(panel.tab, panel.n, name);
  };
  const show = async (panel, name) => {
    const mine = panel.canvases[name];
    const [below, above] = lookOf(panel, name);
    const look = `${below},${above}`;
    if (mine.turn || mine.timer || control.sending(panel.tab, panel.n, name) || mine.shown === look) return;
    mine.shown = look;
    if (!below && !above) return mine.canvas.empty();
    mine.canvas.say("Fetching the picture…");
    try {
      const [picture, mask] = await Promise.all([below || above, below ? above : ""].map((one) => (one ? darkroom.inputs.load(one) : null)));
      if (mine.shown !== look) return;
      mine.canvas.put(picture, mask && layerOf(mask));
      mine.canvas.say("");
      controlMap.follow(panel);
    } catch (error) {
      if (mine.shown !== look) return;
      mine.shown = null;
      if (!/^4\d\d/.test(error.message)) return mine.canvas.say("The picture could not be fetched; the server does not answer.");
      if (name !== "mask" || above) control.remove(panel.tab, panel.n, name);
      mine.canvas.say("The picture is no longer kept on the server; give it once more.");
    }
  };

  // ---- Painted ----------------------------------------------------------------------------------------------------

  const surface = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
  // A mask as paint: what is white in it is opaque, in stripes, so that it can be seen on a picture of any colour.
  const layerOf = (mask) => {
    const layer = surface(mask.width, mask.height);
    const pen = layer.getContext("2d");
    pen.drawImage(mask, 0, 0);
    const pixels = pen.getImageData(0, 0, layer.width, layer.height);
    const { data, width } = pixels;
    const side = Math.max(4, Math.round(Math.max(width, pixels.height) / 100));
    for (let at = 0; at < data.length; at += 4) {
      const [x, y] = [(at / 4) % width, Math.floor(at / 4 / width)];
      data[at + 3] = (data[at] * data[at + 3]) / 255;
      [data[at], data[at + 1], data[at + 2]] = (x + y) % (2 * side) < side ? [255, 45, 120] : [255, 255, 255];
    }
    pen.putImageData(pixels, 0, 0);
    return layer;
  };
  // Paint as a mask, white on black, in the size of the unit's picture.
  const maskOf = (canvas, [width, height]) => {
    const mask = surface(width, height);
    const pen = mask.getContext("2d");
    pen.drawImage(canvas.layer, 0, 0, width, height);
    for (const [how, colour] of [["source-in", "#fff"], ["destination-over", "#000"]]) {
      Object.assign(pen, { globalCompositeOperation: how, fillStyle: colour });
      pen.fillRect(0, 0, width, height);
    }
    return new Promise((done) => mask.toBlob(done, "image/png"));
  };
  const painted = (panel) => {
    const mine = panel.canvases.mask;
    clearTimeout(mine.timer);
    mine.timer = setTimeout(() => send(panel), PAINT_PAUSE_MS);
  };
  const send = async (panel) => {
    const mine = panel.canvases.mask;
    const { canvas } = mine;
    const turn = (mine.turn = {});
    clearTimeout(mine.timer);
    mine.timer = 0;
    if (canvas.painted) {
      const size = control.unit(panel.tab, panel.n).size ?? [canvas.base.width, canvas.base.height];
      await control.take(panel.tab, panel.n, "mask", maskOf(canvas, size));
    } else {
      control.remove(panel.tab, panel.n, "mask");
    }
    if (mine.turn !== turn) return;
    mine.turn = null;
    mine.shown = lookOf(panel, "mask").join();
    controlMap.follow(panel);
  };
  // Sends what was painted a moment ago; whether there was such.
  const flush = (panel) => {
    const due = Boolean(panel.canvases.mask?.timer);
    if (due) send(panel);
    return due;
  };

  const showMasks = (panel, on) => {
    panel.masks.hidden = !on;
    panel.inputs.masks.checked = on;
    if (on && !panel.canvases.mask) panel.masks.append(...MASKS.map((name) => canvasOf(panel, name)));
    for (const name of MASKS) {
      if (on) show(panel, name);
      else if (control.unit(panel.tab, panel.n)[name]) remove(panel, name);
    }
  };

  darkroom.controlCanvases = { canvasOf, put, show, showMasks, flush };
})();
