"use strict";
// A plot of several figures over time, drawn as SVG from zero up. The pointer or the arrow keys read a moment. Knows samples
// {time_s, NAME: bytes or null}; knows nothing about where they come from. Start reading at `plot`.
(() => {
  const darkroom = window.darkroom;
  const SVG = "http://www.w3.org/2000/svg";
  const PAD = { left: 52, right: 12, top: 8, bottom: 22 };
  const MOST = 720;
  const UNITS = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];

  const draw = (tag, values, ...inside) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const bytes = (value) => {
    const [by, unit] = UNITS.find(([size]) => value >= size) ?? [1, "B"];
    return `${+(value / by).toPrecision(3)} ${unit}`;
  };
  const clock = (time_s) => new Date(time_s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  // 1, 2 or 5 times a power of two's unit, so that the axis has whole GiB or MiB.
  const rise = (high) => {
    const [unit] = UNITS.find(([size]) => high >= size) ?? [1];
    const raw = high / unit / 4;
    const power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].find((n) => n * power >= raw) * power * unit;
  };
  const thinned = (samples) => {
    const every = Math.ceil(samples.length / MOST);
    return every > 1 ? samples.filter((_, n) => n % every === 0 || n === samples.length - 1) : samples;
  };
  // A figure that was not known for a while leaves a gap.
  const pieces = (samples, name) => {
    const found = [[]];
    for (const one of samples) {
      if (one[name] === null || one[name] === undefined) found.push([]);
      else found.at(-1).push(one);
    }
    return found.filter((piece) => piece.length);
  };

  // place: an element that is filled; series: [[name, words]]; top: bytes that the axis reaches at most.
  const plot = (place, all, series, span_s) => {
    const samples = thinned(all);
    const width = Math.max(250, place.clientWidth);
    const height = width < 520 ? 170 : 210;
    const shown = series.filter(([name]) => samples.some((one) => one[name] !== null && one[name] !== undefined));
    const highest = Math.max(1, ...samples.flatMap((one) => shown.map(([name]) => one[name] ?? 0))) * 1.06;
    const by = rise(highest);
    const last = samples.at(-1)?.time_s ?? 0;
    const first = Math.max(last - span_s, Math.min(samples[0]?.time_s ?? 0, last - 120));
    const x = (time_s) => PAD.left + ((time_s - first) / (last - first || 1)) * (width - PAD.left - PAD.right);
    const y = (value) => PAD.top + (1 - value / highest) * (height - PAD.top - PAD.bottom);
    const axes = [];
    for (let value = 0; value <= highest; value += by) {
      axes.push(draw("line", { class: "dr-plot-grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }),
        draw("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, value ? bytes(value) : "0"));
    }
    const labels = width < 520 ? 3 : 5;
    let before = "";
    for (let n = 0; n < labels; n += 1) {
      const time_s = first + ((last - first) * n) / (labels - 1);
      if (clock(time_s) === before) continue;
      before = clock(time_s);
      axes.push(draw("text", { x: x(time_s), y: height - 5, "text-anchor": n === 0 ? "start" : n === labels - 1 ? "end" : "middle" }, before));
    }
    const lines = shown.flatMap(([name]) => pieces(samples.filter((one) => one.time_s >= first), name).map((piece) => (piece.length > 1
      ? draw("polyline", { class: `dr-sys-line dr-series-${name}`, points: piece.map((one) => `${x(one.time_s).toFixed(1)},${y(one[name]).toFixed(1)}`).join(" ") })
      : draw("circle", { class: `dr-sys-dot dr-series-${name}`, cx: x(piece[0].time_s), cy: y(piece[0][name]), r: 2.5 }))));
    const cursor = draw("g", { class: "dr-plot-cursor", visibility: "hidden" }, draw("line", { y1: PAD.top, y2: height - PAD.bottom }));
    place.replaceChildren(draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, ...axes, ...lines, cursor));
    place.tabIndex = 0;
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `Memory over time. ${read(samples.at(-1), shown)}. Arrow keys read single moments.`);
    return { samples, series: shown, x, cursor };
  };
  const read = (one, series) => (one ? [clock(one.time_s), ...series.filter(([name]) => one[name] !== null).map(([name, words]) => `${words} ${bytes(one[name])}`)].join(" · ") : "");
  // The words of the n-th sample; the cursor goes there.
  const readAt = (drawn, n) => {
    const at = Math.max(0, Math.min(drawn.samples.length - 1, n));
    const one = drawn.samples[at];
    if (!one) return { at: 0, words: "" };
    for (const name of ["x1", "x2"]) drawn.cursor.firstElementChild.setAttribute(name, drawn.x(one.time_s));
    drawn.cursor.setAttribute("visibility", "visible");
    return { at, words: read(one, drawn.series) };
  };
  const nearest = (drawn, px) => {
    let best = 0;
    drawn.samples.forEach((one, n) => { if (Math.abs(drawn.x(one.time_s) - px) < Math.abs(drawn.x(drawn.samples[best].time_s) - px)) best = n; });
    return best;
  };
  darkroom.timePlot = { plot, readAt, nearest, bytes };
})();
