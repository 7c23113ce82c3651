"use strict";
// What the other scripts share: storage, requests to our own routes, text boxes, and clicks on [data-do].
(() => {
  const darkroom = window.darkroom;

  // Gradio looks through all events for every control of the page. Objects of a class are read as they are, while plain ones are wrapped,
  // which would make that look a large part of opening the page. The events never change.
  class Fixed {}
  for (const event of window.gradio_config?.dependencies ?? []) Object.setPrototypeOf(event, Fixed.prototype);

  // 1, or -1 on a page that is read from right to left: what the arrow to the right means for things in a row.
  darkroom.rightward = () => (document.documentElement.dir === "rtl" ? -1 : 1);

  darkroom.byId = (id) => document.getElementById(id);

  // Storage may be closed (private windows, full disk): the page then works without memory.
  darkroom.store = {
    get(name, fallback) {
      try {
        return JSON.parse(localStorage.getItem(`darkroom.${name}`)) ?? fallback;
      } catch {
        return fallback;
      }
    },
    set(name, value) {
      try {
        localStorage.setItem(`darkroom.${name}`, JSON.stringify(value));
      } catch { /* see above */ }
    },
  };

  // Relative addresses: the page may be served below a path of a proxy. Rejects when there is no answer or a refusal.
  darkroom.ask = async (path, body) => {
    const options = body === undefined ? { cache: "no-store" } : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(20000) });
    if (answer.status === 401) darkroom.signedOut();
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return answer.json();
  };

  // crypto.randomUUID is missing where the page is served without TLS on another machine.
  darkroom.newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

  darkroom.write = (id, text) => {
    const box = darkroom.byId(id)?.querySelector("textarea, input");
    if (!box) return;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  darkroom.press = (id) => darkroom.byId(id)?.click();

  // The content of a tab is made when it is opened for the first time, which takes seconds on a busy machine.
  const PATIENCE_MS = 60000;
  const LOOK_MS = 50;
  darkroom.present = async (selector) => {
    for (let waited = 0; waited <= PATIENCE_MS; waited += LOOK_MS) {
      const found = document.querySelector(selector);
      if (found) return found;
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
    }
    throw new Error("This part of the page did not open. Reload the page and try again.");
  };
  // At once where it is there already.
  darkroom.later = (action, selector) => {
    if (document.querySelector(selector)) action();
    else darkroom.present(selector).then(action, () => null);
  };

  darkroom.seconds = (s) => {
    const whole = Math.max(1, Math.round(s));
    if (whole < 60) return `${whole} s`;
    return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  };

  const actions = {};
  darkroom.on = (name, action) => { actions[name] = action; };
  document.addEventListener("click", (event) => {
    const found = event.target.closest?.("[data-do]");
    if (found && actions[found.dataset.do]) actions[found.dataset.do](found, event);
  });

  // ---- A press counts although the button moves ---------------------------------------------------------------------
  // Leaving a text box may change what stands above a button, so that it is elsewhere when it is let go; the browser then sends no click.
  const STILL_PX = 4;
  let pressed = null; // {button, x, y}
  const letGo = () => { pressed = null; };
  document.addEventListener("pointerdown", (event) => {
    const button = event.isPrimary && event.button === 0 ? event.target.closest?.("button") : null;
    pressed = button ? { button, x: event.clientX, y: event.clientY } : null;
  }, true);
  document.addEventListener("pointerup", (event) => {
    const { button, x, y } = pressed ?? {};
    letGo();
    if (!button || button.disabled || button.contains(event.target)) return;
    if (button.isConnected && Math.hypot(event.clientX - x, event.clientY - y) <= STILL_PX) button.click();
  }, true);
  document.addEventListener("pointercancel", letGo, true);

  // ---- Keys: one table, from which they act and are listed -----------------------------------------------------------
  // rows: [keys, words, action]; keys: "Ctrl+Enter", several with a blank between. when(event): what must be true; the action gets it,
  // then the event, and answers false when it had nothing to do. Ctrl stands for the Mac's Command as well.
  const keymap = [];
  darkroom.keymap = keymap;
  darkroom.keys = (group, when, rows) => { for (const [keys, words, action] of rows) keymap.push({ group, when, keys: keys.split(" "), words, action }); };
  const pressedKey = (event) => {
    const name = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const shifted = event.shiftKey && (name.length > 1 || name !== event.key || /[a-z]/.test(name)) ? "Shift+" : "";
    return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shifted}${name}`;
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || !event.key) return;
    const pressed = pressedKey(event);
    for (const { when, keys, action } of keymap) {
      const found = keys.includes(pressed) && when(event);
      if (!found || action(found, event) === false) continue;
      event.preventDefault();
      event.stopPropagation();
      return;
    }
  }, true);

  // A message of the script itself, in the same box as those of the server. Text only.
  darkroom.tell = (title, text) => {
    const place = darkroom.byId(`${darkroom.currentTab?.()}_message`) ?? darkroom.byId(`${darkroom.tab?.() ?? "txt2img"}_message`);
    if (!place) return;
    place.querySelector(".dr-own")?.remove();
    const box = document.createElement("div");
    box.className = "dr-box dr-fault dr-own";
    box.setAttribute("role", "alert");
    for (const [tag, words] of [["strong", title], ["p", text]]) box.appendChild(document.createElement(tag)).textContent = words;
    const close = box.appendChild(document.createElement("button"));
    Object.assign(close, { type: "button", className: "dr-close" });
    close.setAttribute("aria-label", "Close this message");
    close.dataset.do = "close-box";
    place.append(box);
  };
  darkroom.on("close-box", (button) => button.closest(".dr-box").remove());

  // Light or dark: the person's choice, else the command line's, else the system's (which Gradio follows).
  const wanted = () => darkroom.store.get("theme", null) ?? darkroom.settings.theme;
  const dress = () => { if (wanted()) document.body.classList.toggle("dark", wanted() === "dark"); };
  darkroom.on("theme", () => {
    darkroom.store.set("theme", document.body.classList.contains("dark") ? "light" : "dark");
    dress();
  });
  dress();
  darkroom.dress = dress;
  window.gradioApp ??= () => document; // what A1111's user scripts expect
})();
