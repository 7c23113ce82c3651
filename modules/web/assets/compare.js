"use strict";
// Two pictures over each other in the full view, with an edge between them that follows the pointer; and a large picture that is dragged.
(() => {
  const darkroom = window.darkroom;
  const { lightbox, make } = darkroom;
  let other = null; // the picture below the one on show
  let button = null;

  const stage = () => lightbox.box().querySelector(".dr-stage");
  const split = (share) => stage().style.setProperty("--dr-split", `${Math.round(Math.max(0, Math.min(1, share)) * 1000) / 10}%`);
  const end = () => {
    other?.remove();
    other = null;
    stage().classList.remove("dr-comparing");
    button?.setAttribute("aria-pressed", "false");
  };
  const neighbour = () => {
    const files = lightbox.files();
    return files[(lightbox.at() - 1 + files.length) % files.length];
  };
  const toggle = () => {
    if (lightbox.files().length < 2) return false;
    if (other) return end();
    other = Object.assign(make("img.dr-other"), { src: neighbour(), alt: "The picture before, for comparison" });
    stage().prepend(other);
    stage().classList.add("dr-comparing");
    split(0.5);
    button?.setAttribute("aria-pressed", "true");
    return lightbox.painted();
  };
  lightbox.painted = () => {
    if (!button) {
      button = Object.assign(make("button", "Compare"), { type: "button", title: "With the picture before (C)" });
      button.dataset.do = "lightbox-compare";
      lightbox.box().querySelector(".dr-lightbox-bar [data-do]").before(button);
    }
    button.hidden = lightbox.files().length < 2;
    if (!other) return;
    other.src = neighbour();
    const shown = lightbox.image();
    Object.assign(other.style, { width: shown.style.width, height: shown.style.height });
  };
  darkroom.on("lightbox-compare", toggle);
  darkroom.keys("Full view", darkroom.lightboxOpen, [["c", "Compare with the picture before", toggle]]);

  let from = null; // where a drag began: {x, y, left, top}
  let moved = false;
  lightbox.dragged = () => moved;
  document.addEventListener("pointerdown", (event) => {
    moved = false;
    from = null;
    if (!darkroom.lightboxOpen() || !lightbox.zoom() || event.pointerType === "touch" || !event.target.closest?.("#lightboxModal img")) return;
    from = { x: event.clientX, y: event.clientY, left: stage().scrollLeft, top: stage().scrollTop };
    event.preventDefault(); // or the picture itself would be dragged away
  }, true);
  document.addEventListener("pointermove", (event) => {
    if (other && darkroom.lightboxOpen()) {
      const box = lightbox.image().getBoundingClientRect();
      split((event.clientX - box.left) / (box.width || 1));
    }
    if (!from) return;
    moved ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > 4;
    stage().scrollTo(from.left - event.clientX + from.x, from.top - event.clientY + from.y);
  });
  document.addEventListener("pointerup", () => { from = null; });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.("#lightboxModal")) event.preventDefault(); });
  const closing = new MutationObserver(() => { if (!darkroom.lightboxOpen() && other) end(); });
  darkroom.later(() => closing.observe(lightbox.box(), { attributes: true, attributeFilter: ["hidden"] }), "#lightboxModal");
})();
