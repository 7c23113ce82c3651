"use strict";
// Keys of the two forms, and what is typed last. Gradio must not see them as well.
(() => {
  const darkroom = window.darkroom;
  const onForm = (event) => darkroom.generateTabs.includes(darkroom.currentTab()) && !event.repeat && !document.querySelector("dialog[open]");
  const generate = () => darkroom.press(`${darkroom.currentTab()}_generate`);
  const PATIENCE_MS = 500;

  // What is still being typed into a box of one line reaches the form when it is left, which may bring it into its range first.
  darkroom.afterTyping = async (act) => {
    const box = document.activeElement;
    if (!box?.matches("input")) return act();
    const tab = darkroom.currentTab();
    const field = darkroom.fieldAt(tab, box);
    box.blur();
    const arrived = (form) => String(form[field] ?? "") === box.value || (box.type === "number" && Number(form[field]) === Number(box.value));
    if (field) await darkroom.formUntil(tab, arrived, PATIENCE_MS);
    box.focus();
    return act();
  };

  darkroom.keys("txt2img and img2img", onForm, [
    ["Ctrl+Enter", "Generate", () => { darkroom.afterTyping(generate); }],
    ["Alt+Enter", "Skip the picture that is being made", () => darkroom.skip()],
    ["Escape", "Interrupt", () => {
      if (darkroom.lightboxOpen() || document.querySelector("ul[role=listbox]") || !document.body.dataset.busy) return false;
      darkroom.interrupt();
      return false; // what else is open closes with the same key
    }],
  ]);
})();
