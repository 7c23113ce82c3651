"use strict";
// The benchmark of the System tab: a button that queues it, and what earlier runs gave, with what they ran on. Start reading at `paint`.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const { ask, tell, part, shown, raw } = darkroom.system;
  const LOOK_MS = 1500;
  const TEACH = "Makes three pictures of 20 steps with the loaded model, after a short warm-up. They are not kept; the figures are, so that you see what a change of settings, driver or version does.";

  const state = { running: null, results: [], said: "" };
  let timer = 0;

  const figure = (value) => (value === null || value === undefined ? "–" : value >= 100 ? Math.round(value).toLocaleString() : String(+value.toPrecision(3)));
  const where = (row) => [row.device, row.dtype, row.policy].filter(Boolean).join(", ");
  const versions = (row) => Object.entries(row.versions ?? {}).filter(([name]) => name !== "System").map(([name, version]) => `${name} ${version}`).join(", ");
  const rowOf = (row) => {
    const forget = action("", "system-forget", { key: row.job }, "dr-close");
    forget.setAttribute("aria-label", "Forget this result");
    return make("tr",
      make("td", make("b", figure(row.it_per_s)), " it/s"),
      make("td", row.pictures_per_s >= 0.1 ? `${figure(row.pictures_per_s)} pictures/s` : `${figure(1 / row.pictures_per_s)} s a picture`),
      make("td", `${row.model}, ${row.size}`, make("small", where(row))),
      make("td", new Date(row.when_s * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }), make("small", versions(row))),
      make("td", forget));
  };
  const paint = () => {
    const { running, results } = state;
    const button = part("benchmark", ".dr-button");
    button.dataset.do = running ? "system-bench-stop" : "system-bench";
    button.textContent = running ? "Stop" : "Run benchmark";
    const said = running ? (running.state === "running" ? `Running: ${Math.round(running.fraction * 100)} %` : "Waits in the queue") : state.said;
    const line = make("p.dr-sys-benchsaid", said);
    line.setAttribute("role", "status");
    const head = make("tr", ...["Steps", "Pictures", "Model", "When"].map((words) => make("th", words)), make("th", ""));
    const table = results.length ? raw(make("table.dr-sys-table.dr-sys-results", make("thead", head), make("tbody", ...results.map(rowOf)))) : null;
    part("benchmark", ".dr-sys-body").replaceChildren(...(results.length ? [] : [make("p.dr-quiet", TEACH)]), ...(said ? [line] : []), ...(table ? [table] : []));
  };
  const look = async () => {
    clearTimeout(timer);
    if (!shown()) return;
    Object.assign(state, await ask("/benchmarks"));
    paint();
    if (state.running) timer = setTimeout(() => look().catch(() => null), LOOK_MS);
  };
  const act = (path, wrong) => async () => {
    try {
      tell("");
      await ask(path, "POST");
      await look();
    } catch (error) {
      tell(wrong, error.message);
    }
  };
  darkroom.on("system-bench", act("/benchmarks", "The benchmark cannot run"));
  darkroom.on("system-bench-stop", act("/benchmarks/stop", "The benchmark cannot be stopped"));
  darkroom.on("system-forget", (button) => act(`/benchmarks/${encodeURIComponent(button.dataset.key)}/forget`, "The result stays")());
  darkroom.system.began.push(() => look().catch(() => null));
  darkroom.onTab((tab) => { if (tab === "system" && state.results) darkroom.later(() => look().catch(() => null), "#dr_system .dr-sys-grid:not([hidden])"); else clearTimeout(timer); });
})();
