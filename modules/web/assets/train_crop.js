"use strict";
// Which part of a picture is trained: a box over the whole picture, dragged by hand, by its corners, or with the keyboard.
(() => {
  const darkroom = window.darkroom;
  const { make, action, train } = darkroom;
  const { ask, attempt, named, select, field } = train;
  const LEAST = 0.04; // of the picture's side
  const SHAPES = [["", "Free"], ["1", "1 : 1"], ["1.5", "3 : 2"], ["0.6667", "2 : 3"], ["1.3333", "4 : 3"], ["0.75", "3 : 4"], ["1.7778", "16 : 9"], ["0.5625", "9 : 16"]];
  const CORNERS = ["nw", "ne", "sw", "se"];

  let row = null;
  let box = { x: 0, y: 0, width: 1, height: 1 }; // shares of the picture
  let drag = null;

  const dialog = () => darkroom.byId("train_crop");
  const part = (selector) => dialog().querySelector(selector);
  const bounded = (value, low, high) => Math.min(high, Math.max(low, value));
  const pixels = () => {
    const x = Math.round(box.x * row.width);
    const y = Math.round(box.y * row.height);
    return { x, y, width: bounded(Math.round(box.width * row.width), 1, row.width - x), height: bounded(Math.round(box.height * row.height), 1, row.height - y) };
  };
  const whole = () => box.x <= 0.001 && box.y <= 0.001 && box.width >= 0.998 && box.height >= 0.998;
  // The shape in shares: width / height of the box when the picture is 1 x 1.
  const shape = () => Number(part("#train_shape").value) * (row.height / row.width) || 0;

  const paint = () => {
    const mark = part(".dr-train-box");
    Object.assign(mark.style, { left: `${box.x * 100}%`, top: `${box.y * 100}%`, width: `${box.width * 100}%`, height: `${box.height * 100}%` });
    const { width, height } = pixels();
    part(".dr-train-size").textContent = whole() ? `The whole picture, ${width} × ${height}` : `${width} × ${height} of ${row.width} × ${row.height}`;
  };
  const shaped = () => { // the shape that was chosen, about the middle of the box
    const ratio = shape();
    if (!ratio) return;
    const [cx, cy] = [box.x + box.width / 2, box.y + box.height / 2];
    let height = Math.min(box.height, box.width / ratio);
    if (whole()) height = Math.min(1, 1 / ratio);
    const width = height * ratio;
    box = { x: bounded(cx - width / 2, 0, 1 - width), y: bounded(cy - height / 2, 0, 1 - height), width, height };
  };
  // From a corner that stays to a place; the shape is kept.
  const stretch = (fromX, fromY, toX, toY) => {
    let width = Math.max(LEAST, Math.abs(bounded(toX, 0, 1) - fromX));
    let height = Math.max(LEAST, Math.abs(bounded(toY, 0, 1) - fromY));
    const ratio = shape();
    const [roomX, roomY] = [toX < fromX ? fromX : 1 - fromX, toY < fromY ? fromY : 1 - fromY];
    if (ratio) {
      height = Math.min(Math.max(height, width / ratio), roomY, roomX / ratio);
      width = height * ratio;
    }
    [width, height] = [Math.min(width, Math.max(roomX, LEAST)), Math.min(height, Math.max(roomY, LEAST))];
    box = { x: bounded(toX < fromX ? fromX - width : fromX, 0, 1 - width), y: bounded(toY < fromY ? fromY - height : fromY, 0, 1 - height), width, height };
  };

  const at = (event) => {
    const frame = part(".dr-train-stage").getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  };
  document.addEventListener("pointerdown", (event) => {
    const stage = event.target.closest?.("#train_crop .dr-train-stage");
    if (!stage || event.button > 0) return;
    event.preventDefault();
    const [x, y] = at(event);
    const { corner } = event.target.dataset;
    if (corner) drag = { x: corner.includes("w") ? box.x + box.width : box.x, y: corner.includes("n") ? box.y + box.height : box.y, moves: false };
    else if (event.target.closest(".dr-train-box") && !whole()) drag = { x: x - box.x, y: y - box.y, moves: true };
    else drag = { x: bounded(x, 0, 1), y: bounded(y, 0, 1), moves: false };
    stage.setPointerCapture(event.pointerId);
    part(".dr-train-box").focus({ preventScroll: true });
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag || !dialog()?.open) return;
    const [x, y] = at(event);
    if (drag.moves) Object.assign(box, { x: bounded(x - drag.x, 0, 1 - box.width), y: bounded(y - drag.y, 0, 1 - box.height) });
    else if (Math.abs(x - drag.x) + Math.abs(y - drag.y) > 0.01) stretch(drag.x, drag.y, x, y);
    paint();
  });
  for (const kind of ["pointerup", "pointercancel"]) document.addEventListener(kind, () => { drag = null; });
  const nudge = (_, event) => {
    const [across, down] = event.altKey ? [1 / row.width, 1 / row.height] : [0.02, 0.02];
    const [x, y] = { ArrowLeft: [-across, 0], ArrowRight: [across, 0], ArrowUp: [0, -down], ArrowDown: [0, down] }[event.key];
    const ratio = shape(); // a shape that is kept: one side takes the other along
    const width = Math.max(LEAST, box.width + (ratio && y ? y * ratio : x));
    const height = Math.max(LEAST, box.height + (ratio && x ? x / ratio : y));
    if (event.shiftKey) stretch(box.x, box.y, box.x + width, box.y + height);
    else Object.assign(box, { x: bounded(box.x + x, 0, 1 - box.width), y: bounded(box.y + y, 0, 1 - box.height) });
    paint();
  };
  const arrows = (held) => ["Left", "Right", "Up", "Down"].map((way) => `${held}Arrow${way}`).join(" ");
  darkroom.keys("Crop of a training picture", (event) => event.target.closest?.("#train_crop .dr-train-box"), [
    [arrows(""), "Move the frame", nudge],
    [arrows("Shift+"), "Another size: narrower, wider, less tall, taller", nudge],
    [arrows("Alt+"), "Move it by one pixel", nudge],
    [arrows("Alt+Shift+"), "One pixel narrower, wider, less tall, taller", nudge],
  ]);

  const build = () => {
    if (dialog()) return;
    const shapes = Object.assign(select(SHAPES, ""), { id: "train_shape" });
    const corners = CORNERS.map((corner) => { const one = make("i"); one.dataset.corner = corner; return one; });
    const mark = named(make("div.dr-train-box", ...corners), "What is used: arrow keys move it, with Shift they change its size");
    mark.tabIndex = 0;
    mark.setAttribute("role", "group");
    const image = Object.assign(make("img"), { alt: "", draggable: false });
    const size = make("span.dr-train-size");
    size.setAttribute("role", "status");
    const close = named(action("", "train-crop-close", {}, "dr-close"), "Close");
    const element = make("dialog.dr-train-crop",
      make("div.dr-train-crop-head", make("strong"), size, close),
      make("div.dr-train-table", make("div.dr-train-stage", image, mark)),
      make("div.dr-train-crop-foot", field("Shape", shapes), action("To the subject", "train-crop-smart"), action("Whole picture", "train-crop-whole"), make("span.dr-train-gap"), named(action("‹", "train-crop-next", { by: -1 }), "Picture before"), named(action("›", "train-crop-next", { by: 1 }), "Next picture"), action("Save", "train-crop-save", {}, "dr-button.dr-main")));
    element.id = "train_crop";
    train.root().append(element);
    shapes.addEventListener("change", () => { shaped(); paint(); });
  };
  const show = (file) => {
    row = train.pictures.mine.items.find((one) => one.file === file);
    if (!row) return;
    build();
    const crop = row.crop ?? { x: 0, y: 0, width: row.width, height: row.height };
    box = { x: crop.x / row.width, y: crop.y / row.height, width: crop.width / row.width, height: crop.height / row.height };
    part("strong").textContent = row.file;
    dialog().setAttribute("aria-label", `Crop ${row.file}`);
    const stage = part(".dr-train-stage");
    stage.style.aspectRatio = `${row.width} / ${row.height}`;
    stage.style.setProperty("--dr-ratio", row.width / row.height);
    part("img").src = row.url;
    if (!dialog().open) dialog().showModal();
    part(".dr-train-box").focus({ preventScroll: true });
    paint();
  };
  const changed = () => {
    const crop = row.crop;
    if (whole()) return Boolean(crop);
    const now = pixels();
    return !crop || ["x", "y", "width", "height"].some((name) => crop[name] !== now[name]);
  };
  const save = async () => {
    if (!changed()) return true;
    const body = { crop: whole() ? null : pixels() };
    const answer = await attempt("The crop was not saved", () => ask(train.pictures.of(row.file), { method: "PATCH", body }));
    if (answer) train.pictures.cropped(row, answer);
    return Boolean(answer);
  };
  const close = () => { if (dialog()?.open) dialog().close(); };
  train.crop = { close };
  darkroom.on("train-crop", (button) => show(button.dataset.file));
  darkroom.on("train-crop-close", close);
  darkroom.on("train-crop-whole", () => { box = { x: 0, y: 0, width: 1, height: 1 }; paint(); });
  darkroom.on("train-crop-save", async () => {
    if (!(await save())) return;
    close();
    train.pictures.paint();
    train.pictures.examine();
  });
  darkroom.on("train-crop-next", async (button) => {
    const rows = train.pictures.found();
    const next = rows[(rows.indexOf(row) + Number(button.dataset.by) + rows.length) % rows.length];
    if (next && (await save())) {
      train.pictures.paint();
      show(next.file);
    }
  });
  darkroom.on("train-crop-smart", async (button) => {
    button.disabled = true;
    const answer = await attempt("The subject was not found", () => ask(train.pictures.address("/crop"), { body: { files: [row.file], keep: false } }));
    button.disabled = false;
    const found = answer?.changed?.[0];
    if (answer?.refused?.length) train.say("The subject was not found", answer.refused.map((one) => one.why).join("\n"));
    if (!found?.crop) return;
    train.pictures.cropped(row, found);
    show(row.file);
    train.pictures.paint();
  });
})();
