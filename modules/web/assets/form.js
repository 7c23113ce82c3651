"use strict";
// The form in the browser's storage, so that a reload, a crash or a lost connection loses nothing that was typed.
(() => {
  const darkroom = window.darkroom;

  darkroom.saveForm = (names, ...values) => {
    if (window.__booted) darkroom.store.set("form.txt2img", Object.fromEntries(names.map((name, i) => [name, values[i]])));
    return [];
  };

  darkroom.loadForm = (names, ...values) => {
    const kept = darkroom.store.get("form.txt2img", {});
    return names.map((name, i) => (name in kept ? kept[name] : values[i]));
  };

  const nameTools = () => document.querySelectorAll("button.tool:not([title])").forEach((button) => { button.title = button.textContent.trim(); });
  const hintStyles = () => document.querySelector("#txt2img_styles input")?.setAttribute("placeholder", "Styles");

  // Called once the form has been restored and brought up to date.
  darkroom.booted = () => {
    nameTools();
    hintStyles();
    darkroom.dress();
    window.__booted = true;
    darkroom.startJobs();
    darkroom.startQueue();
    return [];
  };

  darkroom.facts = () => {
    try {
      return JSON.parse(darkroom.byId("dr_facts").dataset.facts);
    } catch {
      return {};
    }
  };

  darkroom.on("example", (button) => {
    darkroom.write("txt2img_prompt", button.textContent);
    darkroom.byId("txt2img_prompt").querySelector("textarea").focus();
  });

  darkroom.showTab = (name) => {
    darkroom.byId(`tab_${name}-button`)?.click();
    return [];
  };
  darkroom.currentTab = () => document.querySelector("#tabs [role=tab][aria-selected=true]")?.dataset.tabId;
})();
