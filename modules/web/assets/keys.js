"use strict";
// Keys of the two forms. Gradio must not see them as well.
(() => {
  const darkroom = window.darkroom;
  const onForm = (event) => darkroom.generateTabs.includes(darkroom.currentTab()) && !event.repeat && !document.querySelector("dialog[open]");
  const generate = () => darkroom.press(`${darkroom.currentTab()}_generate`);

  darkroom.keys("txt2img and img2img", onForm, [
    ["Ctrl+Enter", "Generate", () => {
      // A number that is still being typed reaches the form when its box is left.
      const box = document.activeElement;
      if (box?.matches("input")) {
        box.blur();
        setTimeout(() => { box.focus(); generate(); }, 60);
      } else generate();
    }],
    ["Alt+Enter", "Skip the picture that is being made", () => darkroom.skip()],
    ["Escape", "Interrupt", () => {
      if (darkroom.lightboxOpen() || document.querySelector("ul[role=listbox]") || !document.body.dataset.busy) return false;
      darkroom.interrupt();
      return false; // what else is open closes with the same key
    }],
  ]);
})();
