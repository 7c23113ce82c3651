"use strict";
// The map of a ControlNet unit's picture: made by the server when a person asks for it, shown beside the picture with the time it took,
// and taken as the picture itself if wished; also the picture's size for the form. A panel is control_panel.js's.
(() => {
  const darkroom = window.darkroom;
  const { control } = darkroom;
  const { value } = control;
  const PLAIN = "none"; // the preprocessor that takes the picture as it is
  const OWN_SIZE = [64, 2048]; // sides that the form's sliders take
  const OF_MODULE = ["processor_res", "threshold_a", "threshold_b"];
  const AS_THEY_WERE = Object.fromEntries(OF_MODULE.map((name) => [name, undefined])); // the preprocessor's own values
  const LONGEST_MS = 600000; // a preprocessor may have to load its weights, behind a picture that is being made

  const say = (panel, text) => {
    panel.said.textContent = text;
    panel.said.hidden = !text;
    panel.note.hidden = !panel.note.textContent || panel.note.textContent === text;
  };
  const sides = (tab) => ["width", "height"].map((side) => Number(document.querySelector(`#${tab}_${side} input[type=number]`)?.value) || null);
  const preview = async (panel) => {
    const { tab, n } = panel;
    say(panel, "");
    panel.figure.hidden = false;
    panel.figure.dataset.state = "busy";
    panel.caption.textContent = document.body.dataset.busy ? "The map comes when the picture at work is done…" : "Making the map…";
    try {
      await control.settled(tab);
      const unit = control.unit(tab, n);
      const image = unit.image ?? (tab === "img2img" ? (await darkroom.beginning()).image : null);
      if (!image) throw new Error("Give the unit a picture first.");
      const [width, height] = sides(tab);
      const asked = { ...Object.fromEntries(["module", "resize_mode", "pixel_perfect", ...OF_MODULE, "mask"].map((name) => [name, value(tab, n, name)])), image, width, height };
      const map = await post("internal/control/preview", asked);
      panel.map = { ...map, of: lookOf(panel) };
      panel.picture.src = `internal/inputs/${map.reference.replace("input:", "")}?side=1024`;
      panel.figure.dataset.state = "done";
      captionOf(panel);
    } catch (error) {
      closeMap(panel);
      say(panel, error.message);
    }
    actionsOf(panel);
  };
  const post = async (path, body) => {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(LONGEST_MS) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.errors || said.message || (typeof said.detail === "string" ? said.detail : "") || `${answer.status} ${answer.statusText}`);
    return said;
  };
  const lookOf = (panel) => JSON.stringify(["image", "mask", "module", "resize_mode", "pixel_perfect", ...OF_MODULE].map((name) => value(panel.tab, panel.n, name)));
  const captionOf = (panel) => {
    const map = panel.map;
    if (!map) return;
    const stale = map.of !== lookOf(panel);
    panel.figure.toggleAttribute("data-stale", stale);
    panel.caption.textContent = `${map.module}, ${map.width}×${map.height}, ${map.seconds.toFixed(2)} s${stale ? " · before the last change" : ""}`;
  };
  const closeMap = (panel) => {
    panel.map = null;
    panel.figure.hidden = true;
    actionsOf(panel);
  };
  const useMap = (panel) => {
    const { map } = panel;
    closeMap(panel);
    control.set(panel.tab, panel.n, { image: map.reference, size: [map.width, map.height], module: PLAIN, enabled: true, ...AS_THEY_WERE });
  };
  // As it was sent, else as the canvas has it, which is exact up to 2048 pixels.
  const sizeOf = (panel) => {
    const { base } = panel.canvases.image.canvas;
    return control.unit(panel.tab, panel.n).size ?? (base ? [base.width, base.height] : []);
  };
  const sendSize = (panel) => {
    const [width, height] = sizeOf(panel).map((side) => Math.min(OWN_SIZE[1], Math.max(OWN_SIZE[0], Math.round(side / 8) * 8)));
    if (width) darkroom.fillForm(panel.tab, "", { width, height });
  };
  const actionsOf = (panel) => {
    panel.buttons.use.disabled = !panel.map;
    panel.buttons.size.disabled = !sizeOf(panel).length;
  };
  // After a change of the unit.
  const follow = (panel) => {
    say(panel, "");
    captionOf(panel);
    actionsOf(panel);
  };

  darkroom.controlMap = { preview, useMap, sendSize, closeMap, follow, OF_MODULE, AS_THEY_WERE };
})();
