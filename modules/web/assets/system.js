"use strict";
// The System tab: devices, memory, disk and versions, from /internal/system; system_logs.js and system_bench.js draw the rest. Asked for only
// while somebody looks. Names come from files and drivers: text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const API = "internal/system";
  const LOOK_MS = 5000;
  const COUNTING_MS = 800;
  const SHOWN = 8;
  const SPAN_S = { hour: 3600, day: 86400 };
  const SERIES = [["machine", "Whole machine"], ["workers", "Workers"], ["page", "Web process"], ["device", "Device"]];
  const STATES = { starting: "Starting", idle: "Ready", busy: "At work", dead: "Ended", off: "Not running", resting: "Resting" };

  const state = { span: darkroom.store.get("system.span", "hour"), more: false, drawn: null, at: null, disk: null, admin: null };
  let timer = 0;
  let counting = 0;

  const root = () => darkroom.byId("dr_system");
  const part = (name, inside = "") => root()?.querySelector(`[data-part=${name}] ${inside}`.trim());
  const shown = () => darkroom.currentTab() === "system" && !document.hidden && Boolean(root());
  const raw = (element) => { element.dataset.raw = ""; return element; };

  // A request; a refusal is an Error with the server's words.
  const ask = async (path = "", method = "GET") => {
    const answer = await fetch(`${API}${path}`, { method, cache: "no-store", signal: AbortSignal.timeout(20000) });
    if (answer.status === 401) darkroom.signedOut();
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    const words = [said.detail, said.errors].find((one) => typeof one === "string" && one);
    throw Object.assign(new Error(words ?? `${answer.status} ${answer.statusText}`), { status: answer.status });
  };
  const tell = (title, text = "") => {
    const box = darkroom.byId("system_message");
    if (!box) return;
    box.replaceChildren();
    if (!title) return;
    const close = action("", "close-box", {}, "dr-close");
    close.setAttribute("aria-label", "Close this message");
    const told = raw(make("div.dr-box.dr-fault", make("strong", title), text ? make("p", text) : null, close));
    told.setAttribute("role", "alert");
    box.append(told);
  };

  // ---- Devices and versions ------------------------------------------------------------------------------------------

  const facts = (pairs) => raw(make("dl.dr-sys-facts", ...pairs.filter(([, value]) => value).flatMap(([name, value]) => {
    const told = make("dd");
    told.append(value);
    return [make("dt", name), told];
  })));
  const { bytes } = darkroom.timePlot;
  const types = (device) => {
    const list = make("span", (device.dtypes ?? []).join(", "));
    const refused = Object.keys(device.refused ?? {});
    if (refused.length) {
      list.append(`; not ${refused.join(", ")}`);
      list.title = Object.entries(device.refused).map(([name, why]) => `${name}: ${why}`).join("\n");
    }
    return list;
  };
  const deviceOf = (device, card) => {
    const used = device.memory?.cuda?.system?.used ?? card?.used_bytes;
    const total = device.memory_bytes || card?.total_bytes;
    const memory = total ? `${used ? `${bytes(used)} of ` : ""}${bytes(total)}` : "";
    const title = make("h3", device.name || device.message || "No device yet", make("small", STATES[device.state] ?? device.state));
    if (!device.name) return raw(make("div.dr-sys-device", title));
    const notes = (device.notes ?? []).map((note) => make("p.dr-sys-note", note));
    return raw(make("div.dr-sys-device", title, facts([
      ["Kind", [device.kind, device.torch_name !== device.kind && device.torch_name ? `(${device.torch_name})` : ""].filter(Boolean).join(" ")],
      ["Memory", memory],
      ["Numbers that work", device.dtypes?.length ? types(device) : ""],
      ["Computes in", device.vae_dtype && device.vae_dtype !== device.dtype ? `${device.dtype}, VAE in ${device.vae_dtype}` : device.dtype],
      ["Memory policy", device.policy],
      ["Busy", card?.percent === null || card?.percent === undefined ? "" : `${Math.round(card.percent)} %${card.watts ? `, ${Math.round(card.watts)} W` : ""}`],
      ["Loaded model", device.model ?? "none; it is loaded for the next picture"],
    ]), ...notes));
  };
  const warmth = (found) => {
    const cards = found.cards.filter((card) => card.celsius !== null).map((card) => [card.name, card.celsius, null]);
    const parts = [...found.temperatures.map((one) => [one.part, one.celsius, one.limit]), ...cards];
    return parts.map(([name, celsius, limit]) => `${name} ${Math.round(celsius)} °C${limit && celsius > limit - 10 ? ` (too hot at ${Math.round(limit)})` : ""}`).join(", ");
  };
  const age = (s) => (s < 172800 ? darkroom.seconds(s) : `${Math.floor(s / 86400)} days`);
  const paintMachine = (found) => {
    const { machine } = found;
    const models = Object.values(found.models).reduce((sum, n) => sum + n, 0) - (found.models.refused ?? 0);
    part("machine", ".dr-sys-body").replaceChildren(
      ...found.devices.map((device, n) => deviceOf(device, device.kind === "cuda" ? found.cards[n] : null)),
      ...(found.devices.length ? [] : [make("p.dr-quiet", "No worker runs in this process.")]),
      facts([
        ["Processor", `${machine.cores} cores, ${Math.round(machine.percent)} % busy`],
        ["Main memory", `${bytes(machine.used)} of ${bytes(machine.total)}`],
        ["Temperature", warmth(found)],
        ["Models", `${models.toLocaleString()} file${models === 1 ? "" : "s"}${found.models.refused ? `, and ${found.models.refused} that cannot be used` : ""}`],
        ["Data folder", found.folders.data],
        ["Running since", `${age(found.now_s - found.since_s)} ago`],
        ["Flags", found.flags.join(" ")],
      ]),
    );
  };
  const paintVersions = (rows) => {
    const body = make("tbody", ...rows.map((row) => {
      const other = row.tested && row.version.split("+")[0] !== row.tested;
      return make("tr", make("td", row.name), make("td", row.version, other ? make("small.dr-sys-other", ` tested: ${row.tested}`) : null));
    }));
    part("versions", ".dr-sys-body").replaceChildren(raw(make("table.dr-sys-table", make("thead", make("tr", make("th", "What"), make("th", "Version"))), body)));
  };

  // ---- Memory --------------------------------------------------------------------------------------------------------

  const legend = (series, total) => series.map(([name, words]) => {
    const key = make("span.dr-sys-key", words + (name === "machine" ? ` (of ${bytes(total)})` : ""));
    key.classList.add(`dr-series-${name}`);
    return key;
  });
  const paintMemory = ({ samples, total }) => {
    const place = part("memory", ".dr-sys-plot");
    const focused = document.activeElement === place;
    state.drawn = darkroom.timePlot.plot(place, samples, SERIES, SPAN_S[state.span]);
    for (const chip of root().querySelectorAll("[data-do=system-span]")) chip.setAttribute("aria-pressed", String(chip.dataset.span === state.span));
    if (state.at === null || !focused) part("memory", ".dr-sys-read").replaceChildren(...legend(state.drawn.series, total));
  };
  const reading = (n) => {
    const { at, words } = darkroom.timePlot.readAt(state.drawn, n);
    state.at = at;
    part("memory", ".dr-sys-read").textContent = words;
  };
  const lookMemory = async () => paintMemory(await ask(`/memory?span=${state.span}`));
  darkroom.on("system-span", async (chip) => {
    state.span = chip.dataset.span;
    darkroom.store.set("system.span", state.span);
    await lookMemory().catch((error) => tell("Memory cannot be told", error.message));
  });
  document.addEventListener("pointermove", (event) => {
    const place = event.target.closest?.("#dr_system .dr-sys-plot");
    if (place && state.drawn) reading(darkroom.timePlot.nearest(state.drawn, event.clientX - place.getBoundingClientRect().left));
  });
  const further = (by) => () => reading((state.at ?? state.drawn.samples.length - 1) + by);
  darkroom.keys("Curve of memory", (event) => state.drawn && event.target.matches?.("#dr_system .dr-sys-plot"), [
    ["ArrowRight", "Next moment", further(1)],
    ["ArrowLeft", "Moment before", further(-1)],
    ["Home", "First moment", further(-1e9)],
    ["End", "Last moment", further(1e9)],
  ]);

  // ---- Disk ----------------------------------------------------------------------------------------------------------

  const bars = (rows, title, most) => {
    const list = make("ul.dr-sys-bars", ...rows.slice(0, most).map((row) => {
      const bar = make("i");
      bar.style.width = `${Math.max(0.5, (100 * row.bytes) / rows[0].bytes)}%`;
      const more = [row.kind, row.files > 1 ? `${row.files.toLocaleString()} files` : ""].filter(Boolean).join(", ");
      return make("li", make("span", row.name, more ? make("small", ` ${more}`) : null), make("b", bytes(row.bytes)), bar);
    }));
    const left = rows.slice(most);
    const sum = rows.reduce((total, row) => total + row.bytes, 0);
    const button = left.length ? action(`Show ${left.length} more (${bytes(left.reduce((total, row) => total + row.bytes, 0))})`, "system-more", {}, "dr-link") : null;
    return raw(make("div.dr-sys-pile", make("h3", title, make("small", bytes(sum))), rows.length ? list : make("p.dr-quiet", "Nothing yet."), button));
  };
  const paintDisk = () => {
    const { usage, fault, counting: busy } = state.disk;
    const button = part("disk", "[data-do=system-count]");
    button.disabled = busy;
    button.textContent = busy ? "Counting…" : "Count again";
    const body = part("disk", ".dr-sys-body");
    if (fault) return body.replaceChildren(make("p.dr-sys-note", `It could not be counted: ${fault}`));
    if (!usage) return body.replaceChildren(make("p.dr-quiet", "Being counted; this goes on in the background."));
    const used = usage.total_bytes - usage.free_bytes;
    const meter = make("div.dr-sys-meter", make("i"));
    meter.firstElementChild.style.width = `${(100 * used) / (usage.total_bytes || 1)}%`;
    const free = raw(make("p", `${bytes(usage.free_bytes)} free of ${bytes(usage.total_bytes)} on the disk of the data folder`));
    const most = state.more ? Infinity : SHOWN;
    return body.replaceChildren(free, meter, bars(usage.models, "Models", most), bars(usage.outputs, "Pictures", most), bars(usage.others, "Other", most));
  };
  const lookDisk = async (method = "GET") => {
    clearTimeout(counting);
    state.disk = await ask("/disk", method);
    paintDisk();
    if (state.disk.counting && shown()) counting = setTimeout(() => lookDisk().catch(() => null), COUNTING_MS);
  };
  darkroom.on("system-count", () => lookDisk("POST").catch((error) => tell("It cannot be counted", error.message)));
  darkroom.on("system-more", () => { state.more = true; paintDisk(); });

  // ---- Looking -------------------------------------------------------------------------------------------------------

  const opened = (admin) => {
    state.admin = admin;
    root().querySelector(".dr-sys-grid").hidden = !admin;
    root().querySelector(".dr-sys-closed").hidden = admin;
  };
  const look = async () => {
    clearTimeout(timer);
    if (!shown() || state.admin === false) return;
    try {
      const found = await ask();
      if (!root()) return;
      if (!state.admin) {
        opened(true);
        paintVersions(found.versions);
        lookDisk().catch(() => null);
        darkroom.system.began.forEach((begin) => begin());
      }
      paintMachine(found);
      await lookMemory();
    } catch (error) {
      if (error.status === 403) { opened(false); return; }
      if (!state.admin) tell("The server does not answer", error.message);
    }
    timer = setTimeout(look, LOOK_MS);
  };
  darkroom.system = { ask, tell, part, shown, raw, facts, STATES, began: [], look };
  darkroom.onTab((tab) => {
    if (tab === "system") darkroom.later(look, "#dr_system .dr-sys-grid");
    else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => { if (shown()) look(); });
})();
