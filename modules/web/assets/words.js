"use strict";
// The page in another language: texts, placeholders and titles that stand in window.localization are replaced, now and whenever
// content appears. What people wrote (prompts, names, messages) stands in regions that are left alone.
(() => {
  const darkroom = window.darkroom;
  let words = window.localization ?? (window.localization = {});
  const ATTRIBUTES = ["placeholder", "title", "aria-label"];
  const LEFT_ALONE = "script, style, textarea, pre, code, [data-raw], .dr-board-list, .dr-cards, .dr-history, .thumbnail-item, #txt2img_gallery, #img2img_gallery";
  const SPOKEN = ["number input for ", "range slider for "];
  const originals = new Set(); // every text that was met, for the template
  const written = new WeakMap(); // text node -> what was put there, so that it is not translated again

  const telling = (text) => /\p{L}/u.test(text) && text.length < 1000;
  const other = (text) => {
    const plain = text.trim();
    if (!telling(plain)) return null;
    originals.add(plain);
    if (Object.hasOwn(words, plain) && words[plain]) return words[plain];
    const spoken = SPOKEN.find((start) => plain.startsWith(start)); // Gradio's names for the parts of a slider
    return spoken && words[plain.slice(spoken.length)] ? words[plain.slice(spoken.length)] : null;
  };
  const translateText = (node) => {
    if (written.get(node) === node.data || node.parentElement?.closest(LEFT_ALONE)) return;
    const found = other(node.data);
    if (found === null) return;
    const text = node.data.replace(node.data.trim(), () => found);
    written.set(node, text);
    node.data = text;
  };
  const translateAttributes = (element) => {
    if (window.localization_rtl && element.matches("textarea, input[type=text], input[type=search], input:not([type])")) element.dir = "auto";
    for (const name of ATTRIBUTES) {
      const text = element.getAttribute(name);
      const found = text && element.closest("[data-raw]") === null ? other(text) : null;
      if (found !== null && found !== text) element.setAttribute(name, found);
    }
    if (element.tagName === "INPUT" && ["button", "submit"].includes(element.type)) {
      const found = other(element.value);
      if (found !== null) element.value = found;
    }
  };
  const translate = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return translateText(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return undefined;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = root; node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) translateText(node);
      else translateAttributes(node);
    }
    return undefined;
  };

  // A1111's name.
  window.getTranslation = (text) => words[text?.trim?.()] ?? undefined;

  const begin = () => {
    if (window.localization_rtl) document.documentElement.dir = "rtl";
    translate(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) {
        if (change.type === "characterData") translateText(change.target);
        else if (change.type === "attributes") translateAttributes(change.target);
        else change.addedNodes.forEach(translate);
      }
    }).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
  };

  // Scripts and style sheets that are no part of this one, each after the one before it: first the words, then what extensions bring; the other tabs' own come last.
  const { words: address, late = [], scripts = [], styles = [] } = darkroom.settings;
  const load = (source) => {
    const script = Object.assign(document.createElement("script"), { src: source, async: false });
    if (source.split("?")[0].endsWith(".mjs")) script.type = "module";
    document.head.append(script);
    return script;
  };
  if (address) {
    load(address).addEventListener("load", () => {
      words = window.localization;
      if (!Object.keys(words).length) return;
      if (document.body) begin();
      else document.addEventListener("DOMContentLoaded", begin);
    });
  }
  const dress = (source) => document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: source }));
  const isStyle = (source) => source.split("?")[0].endsWith(".css");
  late.filter(isStyle).forEach(dress); // of the tabs that are not shown first
  darkroom.loadRest = () => { // when the first tab can be used
    for (const source of late.filter((one) => !isStyle(one))) load(source).addEventListener("load", () => { document.body.dataset.whole = "yes"; });
  };
  darkroom.loadExtensions = () => {
    styles.forEach(dress);
    scripts.forEach(load);
    return scripts.length;
  };

  // Every text there is: what Gradio was told to show, in tabs that were never opened too, and what stands on the page.
  darkroom.allWords = () => {
    const found = new Set(originals);
    const add = (text) => { if (typeof text === "string" && telling(text.trim()) && !SPOKEN.some((start) => text.startsWith(start))) found.add(text.trim()); };
    for (const { props = {}, type } of window.gradio_config?.components ?? []) {
      for (const name of ["label", "info", "placeholder"]) add(props[name]);
      if (type === "button") add(props.value);
      for (const choice of ["radio", "checkboxgroup"].includes(type) ? props.choices ?? [] : []) add(Array.isArray(choice) ? choice[0] : choice);
      if (type === "html" && typeof props.value === "string") collect(new DOMParser().parseFromString(props.value, "text/html").body, add);
    }
    collect(document.body, add);
    return [...found].sort();
  };
  const collect = (root, add) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = root; node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        if (!node.parentElement?.closest(LEFT_ALONE)) add(node.data);
      } else for (const name of ATTRIBUTES) add(node.getAttribute(name));
    }
  };
  darkroom.localizationTemplate = () => Object.fromEntries(darkroom.allWords().map((text) => [text, words[text] ?? ""]));
  darkroom.on("ext-template", () => {
    const file = new Blob([JSON.stringify(darkroom.localizationTemplate(), null, 4)], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "localization.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
})();
