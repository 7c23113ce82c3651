"use strict";
// The functions that the page of A1111 offers to scripts of extensions, by its names. What the page does by itself does not need them.
(() => {
  const darkroom = window.darkroom;
  const lists = { update: [], after: [], loaded: [], tab: [], options: [], available: [] };
  let observer = null;
  let timer = 0;
  let loaded = false;
  let tab = null;
  let known = false; // the options are here

  const run = (list, ...given) => {
    for (const call of list) {
      try {
        call(...given);
      } catch (error) {
        console.error("A function of an extension failed", error);
      }
    }
  };

  window.gradioApp = () => document;
  window.get_uiCurrentTab = () => document.querySelector("#tabs [role=tab][aria-selected=true]");
  window.get_uiCurrentTabContent = () => document.getElementById(`tab_${darkroom.currentTab?.()}`);
  window.uiCurrentTab = null;
  window.opts ??= {};
  window.titles ??= {}; // hints by the text of a control, which extensions add to

  const look = (changes) => {
    run(lists.update, changes);
    clearTimeout(timer);
    timer = setTimeout(() => run(lists.after), 200);
    if (!loaded && document.querySelector("#txt2img_prompt textarea")) {
      loaded = true;
      run(lists.loaded);
    }
    const now = window.get_uiCurrentTab();
    if (now && now !== tab) {
      tab = window.uiCurrentTab = now;
      run(lists.tab);
    }
  };
  const watch = () => {
    if (observer) return;
    observer = new MutationObserver(look);
    const begin = () => {
      observer.observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
      look([]);
    };
    if (document.body) setTimeout(begin);
    else document.addEventListener("DOMContentLoaded", begin);
  };
  const registering = (list) => (call) => {
    list.push(call);
    watch();
  };
  window.onUiUpdate = registering(lists.update);
  window.onAfterUiUpdate = registering(lists.after);
  window.onUiTabChange = registering(lists.tab);
  window.onUiLoaded = (call) => {
    lists.loaded.push(call);
    watch();
    if (loaded) run([call]);
  };

  // ---- Options -------------------------------------------------------------------------------------------------------

  // The settings, as /sdapi/v1/options tells them. Asked for when an extension wants to know.
  let asking = null;
  const fetchOptions = async () => {
    try {
      const found = await darkroom.ask("sdapi/v1/options");
      const changed = known && JSON.stringify(found) !== JSON.stringify(window.opts);
      Object.assign(window.opts, found);
      if (!known) {
        known = true;
        run(lists.available);
        run(lists.options);
      } else if (changed) run(lists.options);
    } catch (error) {
      console.warn("The options could not be read", error);
    }
  };
  darkroom.optionsChanged = () => { if (asking) fetchOptions(); };
  const needOptions = () => { asking ??= fetchOptions(); };
  window.onOptionsChanged = (call) => {
    lists.options.push(call);
    needOptions();
    if (known) run([call]);
  };
  window.onOptionsAvailable = (call) => {
    lists.available.push(call);
    needOptions();
    if (known) run([call]);
  };

  // ---- Form, gallery, tabs -------------------------------------------------------------------------------------------

  window.updateInput = (target) => target.dispatchEvent(new Event("input", { bubbles: true }));
  const galleries = () => window.get_uiCurrentTabContent()?.querySelectorAll(".thumbnail-item") ?? [];
  window.all_gallery_buttons = () => [...galleries()].filter((button) => button.offsetParent !== null);
  window.selected_gallery_button = () => window.all_gallery_buttons().find((button) => button.classList.contains("selected")) ?? null;
  window.selected_gallery_index = () => window.all_gallery_buttons().findIndex((button) => button.classList.contains("selected"));
  const switching = (name) => (...values) => {
    darkroom.showTab(name);
    return values;
  };
  window.switch_to_txt2img = switching("txt2img");
  for (const name of ["img2img", "sketch", "inpaint", "inpaint_sketch", "img2img_tab"]) window[`switch_to_${name}`] = switching("img2img");
  window.switch_to_extras = switching("extras");
  window.args_to_array = (args) => Array.from(args);
  window.create_submit_args = (args) => Array.from(args);
  window.submit = (...values) => values;
  window.submit_img2img = (...values) => values;
  window.randomId = () => `task(${Math.random().toString(36).slice(2, 7)}${Math.random().toString(36).slice(2, 7)}${Math.random().toString(36).slice(2, 7)})`;
  window.restart_reload = () => location.reload();

  // ---- Storage, requests, popups -------------------------------------------------------------------------------------

  window.localSet = (name, value) => { try { localStorage.setItem(name, value); } catch { /* closed storage */ } };
  window.localGet = (name, fallback) => { try { return localStorage.getItem(name) ?? fallback; } catch { return fallback; } };
  window.localRemove = (name) => { try { localStorage.removeItem(name); } catch { /* closed storage */ } };
  window.requestGet = async (url, data, handler, failed) => {
    try {
      const query = new URLSearchParams(data ?? {}).toString();
      const answer = await fetch(query ? `${url}?${query}` : url);
      if (!answer.ok) throw new Error(`${answer.status}`);
      handler(await answer.json());
    } catch {
      failed?.();
    }
  };
  let shown = null;
  window.closePopup = () => {
    shown?.remove();
    shown = null;
  };
  window.popup = (content) => {
    window.closePopup();
    shown = document.createElement("dialog");
    shown.className = "global-popup";
    const inner = document.createElement("div");
    inner.className = "global-popup-inner";
    inner.append(content);
    shown.append(inner);
    shown.addEventListener("click", (event) => { if (event.target === shown) window.closePopup(); });
    shown.addEventListener("close", window.closePopup);
    document.body.append(shown);
    shown.showModal();
  };

  // ---- Context menus -------------------------------------------------------------------------------------------------

  const menus = []; // {selector, id, label, call}
  let menu = null;
  const closeMenu = () => {
    menu?.remove();
    menu = null;
  };
  document.addEventListener("click", closeMenu);
  document.addEventListener("contextmenu", (event) => {
    closeMenu();
    const rows = menus.filter((row) => event.target.closest?.(row.selector));
    if (!rows.length) return;
    event.preventDefault();
    menu = document.createElement("nav");
    menu.id = "context-menu";
    Object.assign(menu.style, { position: "absolute", left: `${event.pageX}px`, top: `${event.pageY}px`, zIndex: 9999, padding: "4px", background: "var(--background-fill-primary)", border: "1px solid var(--border-color-primary)", borderRadius: "6px", display: "grid" });
    for (const row of rows) {
      const button = menu.appendChild(document.createElement("button"));
      Object.assign(button, { type: "button", className: "dr-button", textContent: row.label });
      button.addEventListener("click", () => row.call());
    }
    document.body.append(menu);
  });
  window.appendContextMenuOption = (selector, label, call) => {
    const id = `${selector}_${menus.length}`;
    menus.push({ selector, id, label, call });
    return id;
  };
  window.removeContextMenuOption = (id) => {
    const place = menus.findIndex((row) => row.id === id);
    if (place >= 0) menus.splice(place, 1);
  };

  // Scripts of extensions read window.opts without a word: where there are any, the options are fetched at once.
  if (darkroom.loadExtensions()) needOptions();
})();
