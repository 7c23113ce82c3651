"use strict";
// Full view of the gallery's pictures: arrows, Esc, zoom and pan.
(() => {
  const darkroom = window.darkroom;
  let files = [];
  let at = 0;
  let zoom = 0; // 0: fitted to the window; otherwise screen pixels per picture pixel
  let before = null;

  const box = () => darkroom.byId("lightboxModal");
  const image = () => box().querySelector("img");
  darkroom.lightboxOpen = () => Boolean(box() && !box().hidden);

  const paint = () => {
    const shown = image();
    shown.src = files[at];
    shown.alt = `Picture ${at + 1} of ${files.length}`;
    box().querySelector(".dr-place").textContent = files.length > 1 ? `${at + 1} / ${files.length}` : "";
    box().querySelectorAll(".dr-prev, .dr-next").forEach((button) => { button.hidden = files.length < 2; });
    box().classList.toggle("dr-zoomed", zoom > 0);
    shown.style.width = zoom ? `${shown.naturalWidth * zoom}px` : "";
    shown.style.height = zoom ? `${shown.naturalHeight * zoom}px` : "";
    box().querySelector("[data-do=lightbox-zoom]").textContent = zoom ? `${Math.round(zoom * 100)} %` : "Zoom";
  };

  const open = (index) => {
    files = darkroom.galleryFiles();
    if (!files.length) return;
    at = Math.min(index, files.length - 1);
    zoom = 0;
    before = document.activeElement;
    if (box().parentElement !== document.body) document.body.append(box());
    box().hidden = false;
    box().focus();
    paint();
  };
  const close = () => {
    box().hidden = true;
    image().removeAttribute("src");
    before?.focus?.();
  };
  const go = (by) => {
    at = (at + by + files.length) % files.length;
    zoom = 0;
    paint();
  };
  // Fitted, then ever more whole screen pixels for one of the picture's; back to fitted.
  const ZOOMS = [1, 2, 4, 8, 16];
  const nextZoom = () => {
    const fitted = Math.min(innerWidth / (image().naturalWidth || 1), innerHeight / (image().naturalHeight || 1));
    zoom = ZOOMS.find((step) => step > (zoom || fitted) * 1.01) ?? 0;
    paint();
  };

  darkroom.on("open-lightbox", () => open(darkroom.selectedIndex()));
  darkroom.on("lightbox-close", close);
  darkroom.on("lightbox-prev", () => go(-1));
  darkroom.on("lightbox-next", () => go(1));
  darkroom.on("lightbox-zoom", nextZoom);

  const keys = { Escape: close, ArrowLeft: () => go(-1), ArrowRight: () => go(1), z: nextZoom, "+": nextZoom, 0: () => { zoom = 0; paint(); } };
  document.addEventListener("keydown", (event) => {
    if (!darkroom.lightboxOpen()) return;
    if (event.key === "Tab") return keepFocus(event);
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, true);
  const keepFocus = (event) => {
    const buttons = [...box().querySelectorAll("button:not([hidden])")];
    const from = buttons.indexOf(document.activeElement);
    event.preventDefault();
    buttons[(from + (event.shiftKey ? -1 : 1) + buttons.length) % buttons.length].focus();
  };

  // A click on the large picture opens it; Gradio's own answer to that click would be the next picture.
  document.addEventListener("click", (event) => {
    if (darkroom.lightboxOpen()) {
      if (event.target.matches("#lightboxModal, #lightboxModal .dr-stage")) close();
      else if (event.target.matches("#lightboxModal img")) nextZoom();
      return;
    }
    if (!event.target.closest?.("#txt2img_gallery .media-button")) return;
    event.preventDefault();
    event.stopPropagation();
    open(darkroom.selectedIndex());
  }, true);
})();
