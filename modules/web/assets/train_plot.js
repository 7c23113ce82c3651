"use strict";
// A plot of loss by step, drawn as SVG: every value faint, their moving average strong, validation as points on a line. The pointer or the
// arrow keys read a step. Knows numbers; knows nothing about where they come from. Start reading at `plot`.
(() => {
  const darkroom = window.darkroom;
  const SVG = "http://www.w3.org/2000/svg";
  const PAD = { left: 46, right: 12, top: 10, bottom: 22 };
  const MOST = 1500; // points of one line; more cannot be told apart

  const draw = (tag, values, ...inside) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  // Moving average that forgets: weight 0 gives the values themselves. Source: Adam's correction of the beginning (Kingma & Ba 2015).
  const smoothed = (points, weight) => {
    let sum = 0;
    let share = 1;
    return points.map(({ step, value }) => {
      sum = weight * sum + (1 - weight) * value;
      share *= weight;
      return { step, value: sum / (1 - share) };
    });
  };
  const thinned = (points) => {
    const every = Math.ceil(points.length / MOST);
    return every > 1 ? points.filter((_, n) => n % every === 0 || n === points.length - 1) : points;
  };
  const ticks = (low, high, most) => {
    const raw = (high - low) / most || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const by = [1, 2, 5, 10].find((n) => n * power >= raw) * power;
    const found = [];
    for (let value = Math.ceil(low / by) * by; value <= high + by * 1e-6; value += by) found.push(value);
    return found;
  };
  const short = (value) => (Math.abs(value) >= 1000 ? `${+(value / 1000).toFixed(1)}k` : String(+value.toPrecision(3)));
  // Where most values lie: one spike must not flatten the rest.
  const bounds = (average, raw) => {
    const at = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
    const low = Math.min(at(average, 0.01), at(raw, 0.04));
    const high = Math.max(at(average, 0.98), at(raw, 0.96));
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [Math.max(0, low - room), high + room];
  };

  // place: an element that is filled. data: {train, val: [{step, value}], smoothing, of: steps in all}.
  const plot = (place, { train, val, smoothing, of }) => {
    const width = Math.max(260, place.clientWidth);
    const height = width < 520 ? 190 : 250;
    const average = smoothed(train, smoothing);
    const [low, high] = bounds([...average, ...val].map((one) => one.value), train.map((one) => one.value));
    const [first, last] = [train[0]?.step ?? 0, Math.max(train.at(-1)?.step ?? 1, val.at(-1)?.step ?? 1)];
    const until = Math.max(last, Math.min(of, Math.max(last * 1.05, first + 10)));
    const x = (step) => PAD.left + ((step - first) / (until - first || 1)) * (width - PAD.left - PAD.right);
    const y = (value) => PAD.top + (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low || 1)) * (height - PAD.top - PAD.bottom);
    const line = (points, kind) => draw("polyline", { class: kind, points: thinned(points).map((one) => `${x(one.step).toFixed(1)},${y(one.value).toFixed(1)}`).join(" ") });
    const axes = [
      ...ticks(low, high, 4).flatMap((value) => [draw("line", { class: "dr-plot-grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }), draw("text", { x: PAD.left - 7, y: y(value) + 4, "text-anchor": "end" }, short(value))]),
      ...ticks(first, until, width < 520 ? 4 : 8).filter(Number.isInteger).map((step) => draw("text", { x: x(step), y: height - 6, "text-anchor": "middle" }, short(step))),
    ];
    const cursor = draw("g", { class: "dr-plot-cursor", visibility: "hidden" }, draw("line", { y1: PAD.top, y2: height - PAD.bottom }), draw("circle", { r: 3.5 }));
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
      ...axes, line(train, "dr-plot-raw"), line(average, "dr-plot-line"),
      ...(val.length ? [line(val, "dr-plot-val"), ...thinned(val).map((one) => draw("circle", { class: "dr-plot-point", cx: x(one.step), cy: y(one.value), r: 3 }))] : []), cursor);
    place.replaceChildren(svg);
    place.tabIndex = 0;
    place.setAttribute("role", "img");
    const told = (points) => (points.length ? short(points.at(-1).value) : "none");
    place.setAttribute("aria-label", `Loss by step: from ${average.length ? short(average[0].value) : "none"} at step ${first} to ${told(average)} at step ${last}${val.length ? `; validation ${told(val)}` : ""}. Arrow keys read single steps.`);
    return { average, train, val, x, y, cursor, first, until, left: PAD.left, width: width - PAD.left - PAD.right };
  };
  // What stands at the n-th point, in words; the cursor goes there.
  const readAt = (drawn, n) => {
    const at = Math.max(0, Math.min(drawn.average.length - 1, n));
    const [one, raw] = [drawn.average[at], drawn.train[at]];
    if (!one) return { at: 0, words: "" };
    const near = drawn.val.findLast((point) => point.step <= one.step);
    const [line, dot] = drawn.cursor.children;
    for (const name of ["x1", "x2"]) line.setAttribute(name, drawn.x(one.step));
    dot.setAttribute("cx", drawn.x(one.step));
    dot.setAttribute("cy", drawn.y(one.value));
    drawn.cursor.setAttribute("visibility", "visible");
    return { at, words: [`Step ${one.step.toLocaleString()}`, `loss ${short(one.value)}${raw.value === one.value ? "" : ` (${short(raw.value)})`}`, near ? `validation ${short(near.value)}` : ""].filter(Boolean).join(" · ") };
  };
  const nearest = (drawn, px) => {
    const step = drawn.first + ((px - drawn.left) / drawn.width) * (drawn.until - drawn.first);
    let best = 0;
    drawn.average.forEach((one, n) => { if (Math.abs(one.step - step) < Math.abs(drawn.average[best].step - step)) best = n; });
    return best;
  };
  darkroom.lossPlot = { plot, readAt, nearest, short };
})();
