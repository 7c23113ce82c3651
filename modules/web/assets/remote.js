"use strict";
// "Connected", a part of the System tab: the ways here from elsewhere with their QR codes, the tunnel and its buttons, who is signed in.
// Drawn from /internal/remote every few seconds while it is looked at; rows stay the same elements, so that the keyboard keeps its place.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const AGAIN_MS = 3000;
  const SOON_MS = 300;
  const STATES = { off: "Off", starting: "Starting", open: "Open", waiting: "Starting again", failed: "Failed", expired: "Its time is over" };
  const MINUTES = [[0, "until I close it"], [60, "for an hour"], [240, "for four hours"], [720, "for twelve hours"], [1440, "for a day"]];
  const state = { found: null, timer: 0, ended: new Set() };

  const root = () => darkroom.byId("dr_remote");
  const part = (name) => root().querySelector(`[data-part=${name}]`);
  const clock = (seconds) => {
    const when = new Date(seconds * 1000);
    const today = when.toDateString() === new Date().toDateString();
    return today ? when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  };
  const ago = (seconds) => {
    const passed = Date.now() / 1000 - seconds;
    return passed < 10 ? "now" : `${darkroom.seconds(passed)} ago`;
  };
  const raw = (element) => { element.dataset.raw = ""; return element; };
  const send = async (path, body) => {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (answer.status === 401) darkroom.signedOut();
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(told.errors || (typeof told.detail === "string" && told.detail) || `${answer.status} ${answer.statusText}`);
    return told;
  };
  const say = (text) => { part("said").textContent = text; };

  // ---- The frame -----------------------------------------------------------------------------------------------------
  const choice = (name, label) => {
    const box = make("select");
    box.dataset.choice = name;
    box.setAttribute("aria-label", label);
    return box;
  };
  const titled = (words, name, tag) => {
    const list = make(tag);
    list.dataset.part = name;
    return make("div.dr-remote-block", make("h3", words), list);
  };
  const frame = () => {
    if (root().childElementCount) return;
    const line = make("div.dr-remote-tunnel");
    line.dataset.part = "tunnel";
    const message = make("div.dr-box.dr-warning", make("strong"), make("p"), make("pre"));
    Object.assign(message, { hidden: true }).dataset.part = "message";
    const said = make("p.dr-remote-said");
    said.dataset.part = "said";
    said.setAttribute("role", "status");
    const hint = make("p.dr-quiet");
    hint.dataset.part = "hint";
    const minutes = choice("minutes", "How long the tunnel stays open");
    minutes.append(...MINUTES.map(([value, words]) => new Option(words, value)));
    const bar = make("div.dr-remote-bar", choice("kind", "Which tunnel"), minutes, action("Open a tunnel", "remote-open", {}, "dr-button.dr-main"), action("Close the tunnel", "remote-close"));
    root().classList.add("dr-remote", "dr-sys-part", "dr-sys-wide");
    root().setAttribute("aria-labelledby", "dr_remote_title");
    root().append(Object.assign(make("h2", "Connected"), { id: "dr_remote_title" }), titled("From elsewhere", "ways", "ul"), titled("Tunnel", "bars", "div"), titled("Signed in", "sessions", "ul"), titled("Programs", "programs", "ul"));
    part("bars").append(line, message, bar, hint, said);
  };

  // ---- Rows ----------------------------------------------------------------------------------------------------------
  // Makes, updates, orders and removes the rows of a list. key: of a row; build: its element; renew: what changes in it.
  const rows = (list, items, key, build, renew, nothing) => {
    const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
    const wanted = items.map((item) => {
      const element = known.get(key(item)) ?? build(item);
      element.dataset.key = key(item);
      renew(element, item);
      known.delete(key(item));
      return element;
    });
    for (const gone of known.values()) gone.remove();
    wanted.forEach((element, place) => { if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null); });
    if (!wanted.length) list.append(Object.assign(make("li.dr-quiet.dr-remote-none", nothing)));
  };
  const way = (address) => {
    const link = Object.assign(make("a", address), { href: address, target: "_blank", rel: "noopener" });
    const image = Object.assign(make("img"), { src: `internal/remote/qr?address=${encodeURIComponent(address)}`, alt: `QR code of ${address}`, loading: "lazy", width: 148, height: 148 });
    return make("li.dr-remote-way", image, make("div", raw(link), make("p.dr-quiet"), action("Copy", "remote-copy", { address })));
  };
  const person = (one) => {
    const words = make("div.dr-remote-words", raw(make("strong", one.name)), make("div.dr-facts", make("span", one.role), ...(one.token ? [raw(make("span", `token ${one.token}`))] : []), raw(make("span.dr-remote-from", one.address)), make("span", `since ${clock(one.since_s)}`), make("span.dr-remote-seen")));
    const item = make("li.dr-remote-person", words);
    if (one.mine) words.firstElementChild.after(make("span.dr-remote-mine", "this browser"));
    else if (one.id) {
      const out = action("Sign out", "remote-sign-out", { id: one.id });
      out.setAttribute("aria-label", `Sign out ${one.name}, ${one.address}`);
      item.append(out);
    }
    return item;
  };
  const renewed = (item, one) => {
    item.querySelector(".dr-remote-from").textContent = one.address;
    item.querySelector(".dr-remote-seen").textContent = `${one.requests ? `${one.requests} requests, ` : ""}last seen ${ago(one.seen_s)}`;
  };

  // ---- Painting ------------------------------------------------------------------------------------------------------
  const paintTunnel = ({ tunnel, kinds, asks, minutes: usual }) => {
    const named = kinds.find((kind) => kind.name === tunnel.name);
    const facts = [named ? named.words : "", tunnel.since_s && tunnel.on ? `since ${clock(tunnel.since_s)}` : "", tunnel.restarts ? `started again ${tunnel.restarts} time${tunnel.restarts === 1 ? "" : "s"}` : "", tunnel.expires_s && tunnel.on ? `closes at ${clock(tunnel.expires_s)}` : ""].filter(Boolean);
    const mark = make("span.dr-remote-state", STATES[tunnel.state]);
    mark.dataset.state = tunnel.state;
    part("tunnel").replaceChildren(mark, make("div.dr-facts", ...facts.map((fact) => make("span", fact))));
    const box = part("message");
    box.hidden = !tunnel.message;
    box.querySelector("strong").textContent = tunnel.on ? "The tunnel has ended" : "There is no tunnel";
    box.querySelector("p").textContent = tunnel.message;
    box.querySelector("pre").textContent = tunnel.lines.slice(-4).join("\n");
    box.querySelector("pre").hidden = !tunnel.lines.length;
    const kind = root().querySelector("[data-choice=kind]");
    if (!kind.options.length) {
      kind.append(...kinds.map((one) => new Option(one.words, one.name)));
      const minutes = root().querySelector("[data-choice=minutes]");
      if (usual && !MINUTES.some(([value]) => value === usual)) minutes.append(new Option(`for ${usual} minutes`, usual));
      minutes.value = String(usual);
      kind.value = (kinds.find((one) => one.wished) ?? kinds.find((one) => one.there && one.public) ?? kinds[0]).name;
    }
    const chosen = kinds.find((one) => one.name === kind.value);
    const [open, close] = [root().querySelector("[data-do=remote-open]"), root().querySelector("[data-do=remote-close]")];
    for (const box_ of [kind, root().querySelector("[data-choice=minutes]"), open]) box_.hidden = tunnel.on;
    close.hidden = !tunnel.on;
    open.disabled = !asks || !chosen.there;
    const why = asks ? "" : "Nobody is asked for a name here, so no tunnel is opened. Add a user, which counts at once: python launch.py users add NAME";
    part("hint").textContent = tunnel.on ? "" : why || (chosen.there ? "" : `Its program is not on this machine. ${chosen.install}`);
  };
  const paint = (found) => {
    frame();
    const lines = (address) => (address === found.tunnel.address ? "the tunnel" : "in your network, for a phone or another computer");
    rows(part("ways"), found.addresses, (one) => one, way, (item, one) => { item.querySelector("p").textContent = lines(one); }, "Only this machine reaches the server. Start it with --listen for your network, or open a tunnel.");
    paintTunnel(found);
    rows(part("sessions"), found.sessions.filter((one) => !state.ended.has(one.id)), (one) => one.id, person, renewed, found.asks ? "Nobody is signed in in a browser." : "Nobody is asked for a name: whoever reaches this server is an administrator.");
    rows(part("programs"), found.programs, (one) => `${one.name}/${one.token}@${one.address}`, person, renewed, "No program has come with a token or a password since the start.");
  };

  const looked = () => Boolean(root()) && darkroom.currentTab() === "system" && !document.hidden;
  const look = async () => {
    clearTimeout(state.timer);
    if (!looked()) return;
    if (!root().parentElement.checkVisibility()) { // the tab shows its parts when it knows who asks
      state.timer = setTimeout(look, SOON_MS);
      return;
    }
    try {
      state.found = await darkroom.ask("internal/remote");
      paint(state.found);
    } catch (error) {
      if (root().childElementCount) say(`This could not be read: ${error.message}`);
    }
    state.timer = setTimeout(look, AGAIN_MS);
  };
  const act = async (path, body, words) => {
    try {
      const told = await send(path, body);
      say(words);
      return told;
    } catch (error) {
      say(error.message);
      return null;
    } finally {
      await look();
    }
  };

  darkroom.on("remote-open", () => {
    const [name, minutes] = ["kind", "minutes"].map((what) => root().querySelector(`[data-choice=${what}]`).value);
    act("internal/remote/tunnel", { on: true, name, minutes: Number(minutes) }, "");
  });
  darkroom.on("remote-close", () => act("internal/remote/tunnel", { on: false }, "The tunnel is closed."));
  darkroom.on("remote-sign-out", async (button) => {
    if (await act(`internal/remote/sessions/${button.dataset.id}/end`, {}, "Signed out; the next request from there asks for the password.")) state.ended.add(button.dataset.id);
  });
  darkroom.on("remote-copy", async (button) => {
    await navigator.clipboard?.writeText(button.dataset.address).then(() => say("The address is copied."), () => say("The browser did not allow copying; mark the address by hand."));
  });
  document.addEventListener("change", (event) => { if (event.target.matches?.("#dr_remote [data-choice=kind]") && state.found) paintTunnel(state.found); });
  darkroom.onTab((tab) => {
    if (tab === "system") darkroom.later(look, "#dr_remote");
    else clearTimeout(state.timer);
  });
  document.addEventListener("visibilitychange", look);
  darkroom.remote = { look };
})();
