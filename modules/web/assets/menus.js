"use strict";
// Small menus and dialogs that open over the page, and what uses them without belonging to a tab: the list of keys, high contrast.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;

  // ---- Menus --------------------------------------------------------------------------------------------------------

  let open = null; // {menu, back: the element that had the focus}
  darkroom.closeMenu = () => {
    if (!open) return;
    open.menu.remove();
    const { back } = open;
    open = null;
    back?.focus?.({ preventScroll: true });
  };
  // at: an element, or {x, y}. rows: {words, act, keys, checked (true or false: it can be ticked), off}; null draws a line.
  darkroom.openMenu = (at, name, rows) => {
    darkroom.closeMenu();
    const menu = make("div.dr-menu");
    menu.setAttribute("role", "menu");
    menu.setAttribute("aria-label", name);
    for (const row of rows) menu.append(row ? item(row) : Object.assign(make("hr"), { role: "separator" }));
    document.body.append(menu);
    const box = at.getBoundingClientRect?.();
    const begins = box && (darkroom.rightward() > 0 ? box.left : box.right - menu.offsetWidth);
    const [x, y] = box ? [begins, box.bottom + 4] : [at.x, at.y];
    menu.style.left = `${Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${Math.max(4, y + menu.offsetHeight > innerHeight - 4 ? Math.min(box ? box.top - 4 : y, innerHeight - 4) - menu.offsetHeight : y)}px`;
    open = { menu, back: document.activeElement };
    menu.querySelector("button:not(:disabled)")?.focus();
  };
  const item = ({ words, act, keys = "", checked, off = false }) => {
    const button = make("button", make("span", words), keys ? make("kbd", keys) : "");
    Object.assign(button, { type: "button", disabled: off });
    button.setAttribute("role", checked === undefined ? "menuitem" : "menuitemcheckbox");
    if (checked !== undefined) button.setAttribute("aria-checked", String(checked));
    button.addEventListener("click", () => { darkroom.closeMenu(); act(); });
    return button;
  };
  const step = (by) => () => {
    const items = [...open.menu.querySelectorAll("button:not(:disabled)")];
    items.at((items.indexOf(document.activeElement) + by + items.length) % items.length).focus();
  };
  darkroom.keymap.unshift(...["Escape", "Tab"].map((key) => ({ group: "Menus", keys: [key], words: key === "Tab" ? "" : "Close", when: () => open, action: darkroom.closeMenu })));
  darkroom.keys("Menus", () => open, [["ArrowDown", "Next line", step(1)], ["ArrowUp", "Line before", step(-1)]]);
  document.addEventListener("pointerdown", (event) => { if (open && !open.menu.contains(event.target)) darkroom.closeMenu(); }, true);
  addEventListener("resize", darkroom.closeMenu);

  // ---- Dialogs ------------------------------------------------------------------------------------------------------

  darkroom.openDialog = (title, ...parts) => {
    const close = make("button.dr-close");
    Object.assign(close, { type: "button" });
    close.setAttribute("aria-label", "Close");
    const dialog = make("dialog.dr-dialog", make("div.dr-line", make("h2", title), close), ...parts);
    dialog.setAttribute("aria-label", title);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    // Inside Gradio's own element, as the names of its colours stand there.
    (document.querySelector(".gradio-container") ?? document.body).append(dialog);
    dialog.showModal();
    return dialog;
  };

  // ---- The list of keys ---------------------------------------------------------------------------------------------

  // Groups: those of the tab that is shown, then these, then the others.
  const FIRST = ["Everywhere", "txt2img and img2img", "Prompt boxes", "Full view"];
  const ofTab = (group) => group.toLowerCase().startsWith(darkroom.currentTab());
  const SIGNS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", Delete: "Del", PageUp: "Page ↑", PageDown: "Page ↓" };
  const sign = (key) => {
    const parts = key === "+" ? ["+"] : key.split("+").map((part) => part || "+");
    return parts.map((part) => make("kbd", SIGNS[part] ?? (part.length === 1 ? part.toUpperCase() : part)));
  };
  darkroom.keysText = (words) => darkroom.keymap.find((row) => row.words === words)?.keys[0] ?? "";
  darkroom.on("keys-help", () => {
    const here = new Set(darkroom.keymap.map((row) => row.group).filter(ofTab));
    const groups = new Map([...here, ...FIRST].map((group) => [group, []]));
    for (const row of darkroom.keymap) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
    const parts = [...groups].map(([group, rows]) => {
      const list = make("dl.dr-keys");
      for (const { keys, words } of rows.filter((row) => row.words)) {
        const shown = keys.flatMap((key, n) => [n ? " or " : "", ...sign(key)]);
        list.append(make("dt", ...shown), make("dd", words));
      }
      return make("section", make("h3", group), list);
    });
    darkroom.openDialog("Keys", make("p.dr-quiet", "On a Mac, Cmd does what Ctrl does."), make("div.dr-keys-all", ...parts));
  });
  const typing = (event) => event.target.closest?.("input, textarea, select, [contenteditable=true]");
  darkroom.keys("Everywhere", (event) => !typing(event) && !document.querySelector("dialog[open]"), [["?", "This list of keys", () => darkroom.press("dr_keys_help")]]);

  // ---- High contrast: the person's choice, else the system's ---------------------------------------------------------

  const system = matchMedia("(prefers-contrast: more)");
  const wanted = () => darkroom.store.get("contrast", null) ?? (system.matches ? "more" : "usual");
  const dress = () => {
    document.documentElement.dataset.contrast = wanted();
    document.querySelector("[data-do=contrast]")?.setAttribute("aria-pressed", String(wanted() === "more"));
  };
  darkroom.on("contrast", () => {
    darkroom.store.set("contrast", wanted() === "more" ? "usual" : "more");
    dress();
  });
  system.addEventListener("change", dress);
  darkroom.onTab(dress);
  dress();

  // ---- Names for screen readers: of Gradio's own places for files, what they say on the screen -----------------------

  const nameUploads = () => {
    for (const place of document.querySelectorAll("button.upload-container[aria-label]")) {
      const said = place.innerText.trim().replace(/\s+/g, " ");
      if (said && place.getAttribute("aria-label") !== said) place.setAttribute("aria-label", said);
    }
  };
  // They come with a tab, and again when a picture is taken away.
  new MutationObserver((changes) => {
    if (changes.some((change) => [...change.addedNodes].some((node) => node.querySelector?.(".upload-container") || node.matches?.(".upload-container")))) nameUploads();
  }).observe(document.body, { subtree: true, childList: true });
  darkroom.onTab(nameUploads);
})();
