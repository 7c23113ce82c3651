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
  darkroom.lightbox = { box, image, files: () => files, at: () => at, zoom: () => zoom, painted: () => null }; // for compare.js
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
    darkroom.lightbox.painted();
  };

  const open = (index, list = darkroom.galleryFiles()) => {
    files = list;
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

  darkroom.showPictures = (list, index) => open(index, list);
  darkroom.on("open-lightbox", () => open(darkroom.selectedIndex()));
  darkroom.on("lightbox-close", close);
  darkroom.on("lightbox-prev", () => go(-1));
  darkroom.on("lightbox-next", () => go(1));
  darkroom.on("lightbox-zoom", nextZoom);

  darkroom.keys("Full view", darkroom.lightboxOpen, [
    ["Escape", "Close", close],
    ["ArrowLeft", "Picture on the left", () => go(-darkroom.rightward())],
    ["ArrowRight", "Picture on the right", () => go(darkroom.rightward())],
    ["z +", "Larger, then back to the whole", nextZoom],
    ["0", "The whole picture", () => { zoom = 0; paint(); }],
    ["Tab Shift+Tab", "Next button", (_, event) => keepFocus(event)],
  ]);
  const keepFocus = (event) => {
    const buttons = [...box().querySelectorAll("button:not([hidden])")];
    const from = buttons.indexOf(document.activeElement);
    buttons[(from + (event.shiftKey ? -1 : 1) + buttons.length) % buttons.length].focus();
  };

  // A click on the large picture opens it; Gradio's own answer to that click would be the next picture.
  document.addEventListener("click", (event) => {
    if (darkroom.lightboxOpen()) {
      if (event.target.matches("#lightboxModal, #lightboxModal .dr-stage")) close();
      else if (event.target.matches("#lightboxModal img") && !darkroom.lightbox.dragged?.()) nextZoom();
      return;
    }
    if (!event.target.closest?.("#txt2img_gallery .media-button, #img2img_gallery .media-button")) return;
    event.preventDefault();
    event.stopPropagation();
    open(darkroom.selectedIndex());
  }, true);
})();
