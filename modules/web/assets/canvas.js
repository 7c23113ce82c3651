"use strict";
// A canvas to put a picture on and paint over it: brush, eraser, undo, zoom, full screen; with mouse, pen, touch and keys.
// Painting is done on a layer of its own of at most SIDE pixels, also for larger pictures; the server fits it to the picture.
//   new darkroom.Canvas(element, {onPicture(file), onPaint(), colour})
(() => {
  const darkroom = window.darkroom;
  const owners = new WeakMap(); // element -> its Canvas
  const SIDE = 2048;
  const KEEP_STROKES = 200; // older ones are laid down and cannot be undone any more
  const BUTTONS = [
    ["brush", "Brush (B)"], ["erase", "Eraser (E)"], ["undo", "Undo (Ctrl+Z)"], ["redo", "Redo (Ctrl+Y)"], ["clear", "Clear what is painted"],
    ["fit", "Whole picture (R)"], ["full", "Full screen (S)"], ["replace", "Another picture"], ["remove", "Remove the picture"],
  ];
  const PAINTING = ["brush", "erase", "undo", "redo", "clear"];

  const surface = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
  // A mask is striped, so that it can be seen on a picture of any colour.
  const stripes = (pen, side) => {
    const tile = surface(side, side);
    const brush = tile.getContext("2d");
    for (let at = -side; at < 2 * side; at += side) {
      for (const [shift, colour] of [[0, "#ff2d78"], [side / 2, "#ffffff"]]) {
        brush.fillStyle = colour;
        brush.beginPath();
        for (const [x, y] of [[at + shift, 0], [at + shift + side / 2, 0], [at + shift - side / 2, side], [at + shift - side, side]]) brush.lineTo(x, y);
        brush.fill();
      }
    }
    return pen.createPattern(tile, "repeat");
  };
  const limited = (v, low, high) => Math.min(high, Math.max(low, v));

  class Canvas {
    constructor(root, hooks) {
      Object.assign(this, { root, hooks, paints: root.dataset.paints, stage: root.querySelector(".dr-canvas-stage"), view: root.querySelector("canvas") });
      Object.assign(this, { base: null, layer: null, ground: null, strokes: [], undone: [], erasing: false, colour: hooks.colour ?? "#ff4040", size: 48 });
      Object.assign(this, { zoom: 1, x: 0, y: 0, pointers: new Map(), cursor: null, due: 0, moving: false });
      this.buildBar();
      this.listen();
      new ResizeObserver(() => this.resized()).observe(this.stage);
    }

    // ---- What is on it ----------------------------------------------------------------------------------------------

    get painted() { return this.strokes.length > 0 || this.ground !== null; }

    // picture: an ImageBitmap or image; layer: what was painted before, or null.
    put(picture, layer = null) {
      const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
      const [w, h] = [Math.max(1, Math.round(picture.width * scale)), Math.max(1, Math.round(picture.height * scale))];
      this.base = surface(w, h);
      const pen = this.base.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(picture, 0, 0, w, h);
      picture.close?.();
      this.layer = this.paints ? surface(w, h) : null;
      this.shade = null;
      [this.strokes, this.undone, this.ground] = [[], [], null];
      if (layer && this.layer) {
        this.ground = surface(w, h);
        this.ground.getContext("2d").drawImage(layer, 0, 0, w, h);
        layer.close?.();
      }
      this.size = limited(Math.round(Math.max(w, h) / 12), 4, 400);
      this.sizer.value = this.size;
      this.root.classList.add("dr-filled");
      this.root.querySelector(".dr-canvas-empty").hidden = true;
      this.root.querySelector(".dr-canvas-bar").hidden = false;
      this.view.hidden = false;
      this.replay();
      this.resized();
    }

    empty() {
      [this.base, this.layer, this.ground, this.strokes, this.undone] = [null, null, null, [], []];
      if (this.isFull) this.full();
      this.root.classList.remove("dr-filled");
      this.root.querySelector(".dr-canvas-empty").hidden = false;
      this.root.querySelector(".dr-canvas-bar").hidden = true;
      this.view.hidden = true;
    }

    say(text) {
      const line = this.root.querySelector(".dr-canvas-state");
      line.textContent = text;
      line.hidden = !text;
    }

    // The layer as a PNG, or null when nothing is painted.
    async blob() {
      if (!this.layer || !this.painted) return null;
      return new Promise((done) => this.layer.toBlob(done, "image/png"));
    }

    // ---- Painting ---------------------------------------------------------------------------------------------------

    mark(pen, stroke, from = 0) {
      if (stroke.clear) {
        pen.clearRect(0, 0, this.layer.width, this.layer.height);
        return;
      }
      pen.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
      const colour = stroke.colour ?? (this.shade ??= stripes(pen, Math.max(8, 2 * Math.round(Math.max(this.layer.width, this.layer.height) / 100))));
      Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: stroke.size, lineCap: "round", lineJoin: "round" });
      const points = stroke.points;
      pen.beginPath();
      if (points.length === 1) {
        pen.arc(points[0][0], points[0][1], stroke.size / 2, 0, 2 * Math.PI);
        pen.fill();
      } else {
        pen.moveTo(...points[Math.max(0, from - 1)]);
        for (const point of points.slice(Math.max(1, from))) pen.lineTo(...point);
        pen.stroke();
      }
      pen.globalCompositeOperation = "source-over";
    }

    replay() {
      if (this.layer) {
        const pen = this.layer.getContext("2d");
        pen.clearRect(0, 0, this.layer.width, this.layer.height);
        if (this.ground) pen.drawImage(this.ground, 0, 0);
        for (const stroke of this.strokes) this.mark(pen, stroke);
      }
      this.paintBar();
      this.redraw();
    }

    added(stroke) {
      this.strokes.push(stroke);
      this.undone = [];
      if (this.strokes.length > KEEP_STROKES) {
        this.ground ??= surface(this.layer.width, this.layer.height);
        this.mark(this.ground.getContext("2d"), this.strokes.shift());
      }
    }

    undo() {
      if (!this.strokes.length) return;
      this.undone.push(this.strokes.pop());
      this.replay();
      this.hooks.onPaint();
    }

    redo() {
      if (!this.undone.length) return;
      this.strokes.push(this.undone.pop());
      this.replay();
      this.hooks.onPaint();
    }

    clear() {
      if (!this.layer || !this.painted) return;
      this.added({ clear: true });
      this.replay();
      this.hooks.onPaint();
    }

    // ---- Looking ----------------------------------------------------------------------------------------------------

    get ratio() { return Math.min(2, window.devicePixelRatio || 1); }
    get fitted() { return Math.min(this.stage.clientWidth / this.base.width, this.stage.clientHeight / this.base.height); }
    get isFull() { return this.root.classList.contains("dr-full"); }

    resized() {
      if (!this.base || !this.stage.clientWidth) return;
      this.view.width = Math.round(this.stage.clientWidth * this.ratio);
      this.view.height = Math.round(this.stage.clientHeight * this.ratio);
      this.look(1, 0, 0);
    }

    // zoom: 1 shows the whole picture; x, y: how far its middle lies from the stage's, in screen pixels.
    look(zoom, x, y) {
      this.zoom = limited(zoom, 1, 24);
      const reach = (side, stage) => Math.max(0, (side * this.fitted * this.zoom - stage) / 2);
      this.x = limited(x, -reach(this.base.width, this.stage.clientWidth), reach(this.base.width, this.stage.clientWidth));
      this.y = limited(y, -reach(this.base.height, this.stage.clientHeight), reach(this.base.height, this.stage.clientHeight));
      this.redraw();
    }

    zoomAt(factor, px, py) {
      const [cx, cy] = [px - this.stage.clientWidth / 2, py - this.stage.clientHeight / 2];
      const zoom = limited(this.zoom * factor, 1, 24);
      const grown = zoom / this.zoom;
      this.look(zoom, cx - (cx - this.x) * grown, cy - (cy - this.y) * grown);
    }

    redraw() {
      cancelAnimationFrame(this.due);
      this.due = requestAnimationFrame(() => this.draw());
    }

    draw() {
      if (!this.base || !this.view.width) return;
      const pen = this.view.getContext("2d");
      const scale = this.fitted * this.zoom * this.ratio;
      const left = this.view.width / 2 + this.x * this.ratio - (this.base.width * scale) / 2;
      const top = this.view.height / 2 + this.y * this.ratio - (this.base.height * scale) / 2;
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, this.view.width, this.view.height);
      pen.setTransform(scale, 0, 0, scale, left, top);
      pen.imageSmoothingEnabled = scale < 4;
      pen.drawImage(this.base, 0, 0);
      if (this.layer) {
        pen.globalAlpha = this.paints === "mask" ? 0.6 : 1;
        pen.drawImage(this.layer, 0, 0);
        pen.globalAlpha = 1;
        if (this.cursor && !this.moving) this.ring(pen, scale);
      }
    }

    ring(pen, scale) {
      for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
        pen.beginPath();
        pen.arc(this.cursor[0], this.cursor[1], this.size / 2, 0, 2 * Math.PI);
        Object.assign(pen, { strokeStyle: colour, lineWidth: (width * this.ratio) / scale });
        pen.stroke();
      }
    }

    // Where on the picture a pointer is, in pixels of the layer.
    spot(event) {
      const box = this.stage.getBoundingClientRect();
      const scale = this.fitted * this.zoom;
      return [(event.clientX - box.left - box.width / 2 - this.x) / scale + this.base.width / 2, (event.clientY - box.top - box.height / 2 - this.y) / scale + this.base.height / 2];
    }

    // ---- Pointers ---------------------------------------------------------------------------------------------------

    listen() {
      const { view, stage, root } = this;
      view.addEventListener("pointerdown", (event) => this.down(event));
      view.addEventListener("pointermove", (event) => this.move(event));
      for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => this.up(event));
      view.addEventListener("pointerleave", () => { this.cursor = null; this.redraw(); });
      view.addEventListener("contextmenu", (event) => { if (this.layer) event.preventDefault(); });
      view.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      owners.set(root, this);
      root.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "f" || event.key === " ") this.grab(false); });
      for (const name of ["dragenter", "dragover"]) {
        stage.addEventListener(name, (event) => { event.preventDefault(); root.classList.add("dr-over"); });
      }
      stage.addEventListener("dragleave", () => root.classList.remove("dr-over"));
      stage.addEventListener("drop", (event) => {
        event.preventDefault();
        event.stopPropagation();
        root.classList.remove("dr-over");
        const file = event.dataTransfer.files[0];
        const address = darkroom.dragged ?? event.dataTransfer.getData("text/uri-list").split("\n")[0];
        if (file) this.hooks.onPicture(file);
        else if (address) this.hooks.onAddress(address);
      });
      root.querySelector("input[type=file]").addEventListener("change", (event) => {
        if (event.target.files[0]) this.hooks.onPicture(event.target.files[0]);
        event.target.value = "";
      });
      root.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement && this.isFull) this.full(false); });
    }

    grab(on) {
      this.moving = on;
      this.root.classList.toggle("dr-moving", on);
      this.redraw();
    }

    down(event) {
      this.root.focus({ preventScroll: true });
      this.view.setPointerCapture?.(event.pointerId);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (this.pointers.size === 2) { // two fingers look around; what the first one began is taken back
        this.stroke = null;
        this.replay();
        this.pinch = this.spread();
        return;
      }
      const pans = !this.layer || this.moving || event.button === 1;
      if (pans || event.button > 0) {
        this.panning = pans;
        return;
      }
      event.preventDefault();
      this.stroke = { points: [this.spot(event)], size: this.size, erase: this.erasing || (event.pointerType === "pen" && event.buttons === 32), colour: this.paints === "mask" ? null : this.colour };
      this.mark(this.layer.getContext("2d"), this.stroke);
      this.redraw();
    }

    move(event) {
      if (!this.base) return;
      const before = this.pointers.get(event.pointerId);
      if (event.pointerType !== "touch") this.cursor = this.spot(event);
      if (before) this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (this.pinch && this.pointers.size === 2) {
        const now = this.spread();
        const box = this.stage.getBoundingClientRect();
        this.zoomAt(now.gap / this.pinch.gap, now.x - box.left, now.y - box.top);
        this.look(this.zoom, this.x + now.x - this.pinch.x, this.y + now.y - this.pinch.y);
        this.pinch = now;
      } else if (this.panning && before) {
        this.look(this.zoom, this.x + event.clientX - before[0], this.y + event.clientY - before[1]);
      } else if (this.stroke) {
        const from = this.stroke.points.length;
        const all = event.getCoalescedEvents?.() ?? [];
        for (const one of all.length ? all : [event]) this.stroke.points.push(this.spot(one));
        this.mark(this.layer.getContext("2d"), this.stroke, from);
      }
      this.redraw();
    }

    up(event) {
      this.pointers.delete(event.pointerId);
      if (this.pointers.size < 2) this.pinch = null;
      this.panning = false;
      if (!this.stroke) return;
      this.added(this.stroke);
      this.stroke = null;
      this.replay();
      this.hooks.onPaint();
    }

    spread() {
      const [[ax, ay], [bx, by]] = [...this.pointers.values()];
      return { gap: Math.max(1, Math.hypot(ax - bx, ay - by)), x: (ax + bx) / 2, y: (ay + by) / 2 };
    }

    // Plain wheel turns scroll the page until the canvas has been clicked into.
    wheel(event) {
      const inside = this.isFull || this.root.contains(document.activeElement);
      if (!this.base || !(event.altKey || event.ctrlKey || inside)) return;
      event.preventDefault();
      if (event.ctrlKey && this.layer && Math.abs(event.deltaY) >= 20) return this.resize(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      const box = this.stage.getBoundingClientRect();
      this.zoomAt(2 ** (-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }

    // ---- Keys and buttons -------------------------------------------------------------------------------------------

    resize(factor) {
      this.size = limited(Math.round(this.size * factor + Math.sign(factor - 1)), 1, 400);
      this.sizer.value = this.size;
      this.redraw();
    }

    // A1111's: Q and W for the brush, F to move, S full screen, R whole picture, O a larger frame.
    erase(on) {
      this.erasing = on;
      this.paintBar();
    }

    overlap() {
      this.root.classList.toggle("dr-tall");
    }

    async full(native = true) {
      const on = this.root.classList.toggle("dr-full");
      document.body.classList.toggle("dr-has-full", on);
      if (native && on) await this.root.requestFullscreen?.().catch(() => null); // without it the frame fills the window all the same
      else if (!on && document.fullscreenElement) await document.exitFullscreen().catch(() => null);
      this.root.focus({ preventScroll: true });
    }

    buildBar() {
      const bar = this.root.querySelector(".dr-canvas-bar");
      bar.replaceChildren();
      this.sizer = Object.assign(document.createElement("input"), { type: "range", min: 1, max: 400, value: this.size, title: "Size of the brush (Q, W)" });
      this.sizer.setAttribute("aria-label", "Size of the brush");
      this.sizer.addEventListener("input", () => { this.size = Number(this.sizer.value); });
      const colour = Object.assign(document.createElement("input"), { type: "color", value: this.colour, title: "Colour" });
      colour.setAttribute("aria-label", "Colour of the brush");
      colour.addEventListener("input", () => { this.colour = colour.value; this.erase(false); });
      for (const [name, title] of BUTTONS) {
        if (!this.paints && PAINTING.includes(name)) continue;
        const button = Object.assign(document.createElement("button"), { type: "button", title, className: `dr-icon icon-${name}` });
        button.setAttribute("aria-label", title);
        button.dataset.does = name;
        button.addEventListener("click", () => this.press(name));
        bar.append(button);
        if (name === "erase") bar.append(this.sizer, ...(this.paints === "colour" ? [colour] : []));
      }
    }

    press(name) {
      const does = {
        brush: () => this.erase(false), erase: () => this.erase(true), undo: () => this.undo(), redo: () => this.redo(), clear: () => this.clear(),
        fit: () => this.look(1, 0, 0), full: () => this.full(), replace: () => this.choose(), remove: () => this.hooks.onRemove(),
      };
      does[name]();
    }

    choose() { this.root.querySelector("input[type=file]").click(); }

    paintBar() {
      const button = (name) => this.root.querySelector(`[data-does=${name}]`);
      if (!this.paints) return;
      button("brush").setAttribute("aria-pressed", String(!this.erasing));
      button("erase").setAttribute("aria-pressed", String(this.erasing));
      button("undo").disabled = !this.strokes.length;
      button("redo").disabled = !this.undone.length;
      button("clear").disabled = !this.painted;
    }
  }

  darkroom.Canvas = Canvas;

  // ---- Keys ---------------------------------------------------------------------------------------------------------
  const STEP_PX = 40;
  const onCanvas = (event) => {
    const found = owners.get(event.target.closest?.(".dr-canvas"));
    return found?.base && !event.target.matches("input, textarea") ? found : null;
  };
  darkroom.keys("Canvas", onCanvas, [
    ["b", "Brush", (canvas) => canvas.erase(false)],
    ["e", "Eraser, and back", (canvas) => canvas.erase(!canvas.erasing)],
    ["q", "Smaller brush", (canvas) => canvas.resize(1 / 1.2)],
    ["w", "Larger brush", (canvas) => canvas.resize(1.2)],
    ["Ctrl+z", "Take the last stroke back", (canvas) => canvas.undo()],
    ["Ctrl+y Ctrl+Shift+z", "Draw it again", (canvas) => canvas.redo()],
    ["f", "Held: move the picture", (canvas) => canvas.grab(true)],
    ["Space", "Held: move the picture", (canvas, event) => (event.target.matches("button") ? false : canvas.grab(true))],
    ["+", "Closer", (canvas) => canvas.look(canvas.zoom * 1.25, canvas.x, canvas.y)],
    ["-", "Further away", (canvas) => canvas.look(canvas.zoom / 1.25, canvas.x, canvas.y)],
    ["r", "As at first", (canvas) => canvas.look(1, 0, 0)],
    ["ArrowLeft", "Look to the left", (canvas) => canvas.look(canvas.zoom, canvas.x + STEP_PX, canvas.y)],
    ["ArrowRight", "Look to the right", (canvas) => canvas.look(canvas.zoom, canvas.x - STEP_PX, canvas.y)],
    ["ArrowUp", "Look up", (canvas) => canvas.look(canvas.zoom, canvas.x, canvas.y + STEP_PX)],
    ["ArrowDown", "Look down", (canvas) => canvas.look(canvas.zoom, canvas.x, canvas.y - STEP_PX)],
    ["o", "Taller, and back", (canvas) => canvas.overlap()],
    ["s", "Full screen, and back", (canvas) => canvas.full()],
    ["Ctrl+v", "Take a picture from the clipboard", () => false], // the event "paste" follows, which the owner of the canvas hears
    ["Escape", "Leave the full screen", (canvas) => (canvas.isFull ? canvas.full() : false)],
  ]);
})();
