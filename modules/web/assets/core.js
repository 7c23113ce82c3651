"use strict";
// What the other scripts share: storage, requests to our own routes, text boxes, and clicks on [data-do].
(() => {
  const darkroom = window.darkroom;

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

  // A message of the script itself, in the same box as those of the server. Text only.
  darkroom.tell = (title, text) => {
    const place = darkroom.byId("txt2img_message");
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
