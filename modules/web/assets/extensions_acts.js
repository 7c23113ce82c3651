"use strict";
// What is done on the Extensions tab: switching, options, installing, updates, removing, starting again.
(() => {
  const darkroom = window.darkroom;
  const board = darkroom.extensions;
  const LOOK_MS = 500;

  // A POST whose refusal is told in the server's words. Gives nothing when it was refused.
  const post = async (path, body = {}) => {
    try {
      const answer = await fetch(`internal/extensions/${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: AbortSignal.timeout(60000),
      });
      if (answer.status === 401) darkroom.signedOut();
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.errors || data.detail || answer.statusText);
      return data;
    } catch (error) {
      board.say(error.message);
      return null;
    }
  };

  // What takes long: followed until it has ended, then the list is drawn anew.
  const follow = async () => {
    for (;;) {
      let errand;
      try {
        errand = await darkroom.ask("internal/extensions/errand");
      } catch (error) {
        board.say(error.message);
        return;
      }
      board.paintErrand(errand);
      if (!errand.busy) break;
      await new Promise((go) => { setTimeout(go, LOOK_MS); });
    }
    await board.load();
  };
  const begin = async (path, body) => {
    board.say("");
    if (await post(path, body)) await follow();
  };

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "dr_ext_form") return;
    event.preventDefault();
    begin("install", { source: darkroom.byId("dr_ext_source").value, branch: darkroom.byId("dr_ext_branch").value });
  });
  darkroom.on("ext-check", () => begin("check"));
  darkroom.on("ext-update", (button) => begin("update", { name: button.dataset.name }));

  // Setting up runs a program of the extension: asked first, in the row.
  darkroom.on("ext-setup", (button) => {
    const { name } = button.dataset;
    const row = button.closest(".dr-ext-row");
    row.querySelector(".dr-ext-sure")?.remove();
    const { make, action } = darkroom;
    const wants = board.root() && darkroom.extensionsState.found.extensions.find((one) => one.folder === name).wants;
    const told = [wants.missing.length ? `It wants these packages: ${wants.missing.join(", ")}.` : "", wants.file ? "Its install.py is run first to see what it wants, and again to do its work: it can do whatever you can." : ""].filter(Boolean).join(" ");
    const words = make("p", `${told} Packages that would change what the program works with are refused.`);
    words.dataset.raw = "";
    row.append(make("div.dr-ext-sure.dr-box.dr-warning", words, action("Let it", "ext-setup-yes", { name }), action("Leave it", "ext-setup-no")));
  });
  darkroom.on("ext-setup-no", (button) => button.closest(".dr-ext-sure").remove());
  darkroom.on("ext-setup-yes", (button) => begin("setup", { name: button.dataset.name }));

  const changed = async (path, body, words) => {
    const done = await post(path, body);
    if (done) board.say(words);
    await board.load();
  };
  const LATER = "The next job follows; the page does after “Apply and restart”.";
  darkroom.on("ext-remove", (button) => changed("remove", { name: button.dataset.name }, `${button.dataset.name} lies under Removed. ${LATER}`));
  darkroom.on("ext-restore", (button) => changed("restore", { place: button.dataset.place }, `Put back. ${LATER}`));
  darkroom.on("ext-forgive", (button) => changed("forgive", { guest: button.dataset.guest }, "It is asked again from the next job on."));

  document.addEventListener("change", async (event) => {
    const box = event.target;
    if (!box.closest?.("#dr_ext")) return;
    if (box.matches(".dr-ext-head input[type=checkbox]")) {
      await changed("switch", { name: box.dataset.name, on: box.checked }, `${box.dataset.name} is switched ${box.checked ? "on" : "off"}. ${LATER}`);
    } else if (box.id === "dr_ext_all") {
      await changed("all", { value: box.value }, LATER);
    } else if (box.id === "dr_ext_language") {
      try {
        await darkroom.ask("sdapi/v1/options", { localization: box.value });
        location.reload();
      } catch (error) {
        board.say(error.message);
      }
    } else if (box.dataset.option) {
      const value = { bool: () => box.checked, number: () => Number(box.value), json: () => JSON.parse(box.value), many: () => box.value.split(",").map((one) => one.trim()).filter(Boolean) }[box.dataset.kind] ?? (() => box.value);
      if (await post("options", { key: box.dataset.option, value: value() })) {
        board.say("Kept.");
        darkroom.optionsChanged?.();
      } else await board.load();
    }
  });

  // Until the server answers again; then the page is loaded anew.
  darkroom.on("ext-restart", async (button) => {
    button.disabled = true;
    if (!(await post("restart"))) return board.load();
    board.say("Starting again …");
    let gone = false;
    for (let tries = 0; tries < 600; tries += 1) {
      await new Promise((go) => { setTimeout(go, LOOK_MS); });
      try {
        const answer = await fetch("./", { cache: "no-store", signal: AbortSignal.timeout(5000) });
        gone ||= answer.headers.get("X-Darkroom-Page") === "starting";
        if (answer.ok && (gone || tries > 40)) return location.reload(); // a page that waits until the real one is there
      } catch {
        gone = true;
      }
    }
    return board.say("The server did not come back; look at its window.");
  });
})();
