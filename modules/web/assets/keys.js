"use strict";
// Keys: Ctrl+Enter makes the picture, Esc interrupts, Alt+Enter skips. Gradio must not see them as well.
(() => {
  const darkroom = window.darkroom;
  const isForm = () => darkroom.currentTab() === "txt2img";

  document.addEventListener("keydown", (event) => {
    if (!isForm() || event.isComposing || event.repeat) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      // A number that is still being typed reaches the form when its box is left.
      const box = document.activeElement;
      if (box?.matches("input")) {
        box.blur();
        setTimeout(() => { box.focus(); darkroom.press("txt2img_generate"); }, 60);
      } else {
        darkroom.press("txt2img_generate");
      }
    } else if (event.key === "Enter" && event.altKey) {
      event.preventDefault();
      event.stopPropagation();
      darkroom.skip();
    } else if (event.key === "Escape" && !darkroom.lightboxOpen() && !document.querySelector("ul[role=listbox]") && document.body.dataset.busy) {
      darkroom.interrupt();
    }
  }, true);
})();
