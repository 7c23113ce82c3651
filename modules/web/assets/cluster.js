"use strict";
// The Cluster tab, which is there with --cluster only: machines, their workers and those that were lost, from /internal/system/cluster.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const { ask, raw, facts, STATES } = darkroom.system;
  const { bytes } = darkroom.timePlot;
  const LOOK_MS = 3000;
  let timer = 0;

  const root = () => darkroom.byId("dr_cluster");
  const shown = () => darkroom.currentTab() === "cluster" && !document.hidden && Boolean(root());
  const clock = (s) => new Date(1000 * s).toLocaleTimeString();
  const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const free = (memory) => memory && memory.total && `${bytes(memory.free)} free of ${bytes(memory.total)}`;

  const workerOf = (worker, version) => {
    const { doing, files } = worker;
    const now = doing && `${doing.helps ? "Helps with" : "Makes"} ${doing.title || doing.job}, ${Math.round(100 * doing.fraction)} %`;
    const trouble = ["dead", "starting"].includes(worker.state) && worker.message;
    const name = make("h3", worker.device || worker.card || `Worker ${worker.place + 1}`, make("small", STATES[worker.state] ?? worker.state));
    return raw(make("div.dr-sys-device", name, facts([
      ["Now", now || (trouble || worker.state === "idle" ? "" : worker.message)],
      ["Loaded model", worker.model ?? "none"],
      ["Memory of the device", free(worker.memory.cuda?.system)],
      ["Main memory", free(worker.memory.ram)],
      ["Model files sent", files && `${bytes(files.held_bytes)}, at most ${bytes(files.budget_bytes)}; its disk has ${bytes(files.free_bytes)} free`],
      ["Version", files && files.version !== version ? files.version : ""],
    ]), trouble ? make("p.dr-sys-note", trouble) : null));
  };
  const section = (title, about, ...body) => {
    const made = raw(make("section.dr-sys-part", make("h2", make("bdi", title), make("small", ` ${about}`)), ...body));
    made.setAttribute("aria-label", title);
    return made;
  };
  const hostOf = (host, workers, version) => {
    const about = [host.address, host.memory_bytes && bytes(host.memory_bytes), `here since ${clock(host.since_s)}`];
    if (host.losses) about.push(`back again, lost ${host.losses === 1 ? "once" : `${host.losses} times`}`);
    return section(host.name, about.filter(Boolean).join(", "), ...workers.map((worker) => workerOf(worker, version)));
  };
  const paint = (found) => {
    const { hosts, gone, workers, version } = found;
    const busy = workers.filter((worker) => worker.state === "busy").length;
    const words = `Cluster at ${found.address}: ${count(hosts.length, "machine")}, ${count(workers.length, "worker")}, ${busy} at work; ${count(found.waiting, "job")} waiting. Version ${version}. ${found.problem}`;
    const said = root().querySelector("[role=status]");
    if (said.textContent !== words) said.textContent = words; // else it would be read out again
    const own = workers.filter((worker) => !worker.node);
    root().lastElementChild.replaceChildren(
      ...(own.length ? [section("This machine", "", ...own.map((worker) => workerOf(worker, version)))] : []),
      ...hosts.map((host) => hostOf(host, workers.filter((worker) => worker.node === host.node), version)),
      ...(gone.length ? [section("Lost", "", facts(gone.map((host) => [host.name, `${host.address}, since ${clock(host.lost_s)}`])))] : []),
    );
  };
  const look = async () => {
    clearTimeout(timer);
    if (!shown()) return;
    try {
      paint(await ask("/cluster"));
    } catch (error) {
      root().querySelector("[role=status]").textContent = error.message;
    }
    timer = setTimeout(look, LOOK_MS);
  };
  darkroom.onTab((tab) => {
    if (tab === "cluster") darkroom.later(look, "#dr_cluster");
    else clearTimeout(timer);
  });
  document.addEventListener("visibilitychange", () => { if (shown()) look(); });
})();
