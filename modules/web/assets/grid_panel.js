"use strict";
// The panel of X/Y/Z plot: three axes with their values, options, and a line that says what the grid will take. What it holds goes along
// with the form as one JSON text, so that it is kept, sent and filled like any other control.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const TITLE = "X/Y/Z plot";
  const NAMES = ["X", "Y", "Z"];
  const WAIT_MS = 450;
  const OPTIONS = [
    ["draw_legend", "Draw legend", "Write the values beside rows and columns"],
    ["include_sub_grids", "Include sub grids", "A grid of its own for each Z value, too"],
    ["include_lone_images", "Include lone pictures", "Show the single pictures after the grid"],
    ["no_fixed_seeds", "Keep -1 for seeds", "Every cell draws a random seed of its own"],
    ["vary_seeds_x", "Vary seeds for X", "Another seed for each column"],
    ["vary_seeds_y", "Vary seeds for Y", "Another seed for each row"],
    ["vary_seeds_z", "Vary seeds for Z", "Another seed for each Z value"],
    ["csv_mode", "Type values of lists", "Text in place of lists to choose from"],
    ["reuse", "Take pictures that are there", "A cell that was made with the very same values is kept"],
    ["report", "Write a report", "A table and a page beside the saved grid"],
  ];
  const SYNTAX = "1-5 · 1-10 (+3) · 0-1 [5] · red, blue · \"a, b\"";
  const fresh = () => ({
    axes: [{ type: "Seed", values: "", chosen: [] }, { type: "Nothing", values: "", chosen: [] }, { type: "Nothing", values: "", chosen: [] }],
    options: { draw_legend: true, reuse: true, report: true, margin_size: 0 },
  });

  const held = { txt2img: fresh(), img2img: fresh() };
  const lists = {}; // tab -> promise of its axes
  const timers = {};
  const asking = {};
  const root = (tab) => document.querySelector(`#${tab}_script_container .dr-xyz`);
  const box = (tab) => document.querySelector(`#${tab}_script_container .dr-xyz-value textarea`);
  const isOn = (form) => form.script_list === TITLE;
  const textOf = (tab) => JSON.stringify(held[tab]);

  const axesOf = (tab) => (lists[tab] ??= darkroom.ask(`api/v2/grids/axes?kind=${tab}`).then((answer) => answer.items, (error) => {
    delete lists[tab];
    throw error;
  }));
  const find = (axes, type) => axes.find((one) => [one.label, one.name].some((name) => name.toLowerCase() === String(type).toLowerCase()));
  // A comma list as the server reads it: quotes around what holds a comma or a quote.
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const joined = (values) => values.map(quoted).join(", ");
  const entries = (text) => [...text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,\n]*))(?:,|\n|$)/g)].map((m) => (m[1] !== undefined ? m[1].replaceAll('""', '"') : m[2].trim())).filter(Boolean);

  // ---- Drawing ------------------------------------------------------------------------------------------------------

  const field = (label, control) => make("label.dr-xyz-field", make("span", label), control);
  const typeList = (tab, n, axes) => {
    const list = make("select");
    list.dataset.xyz = "type";
    const groups = [["A1111's", axes.filter((one) => !one.own && one.index <= lastOfA1111(axes))], ["Of scripts", axes.filter((one) => one.own)], ["All others", axes.filter((one) => !one.own && one.index > lastOfA1111(axes))]];
    for (const [words, rows] of groups.filter(([, rows]) => rows.length)) {
      const group = make("optgroup");
      group.label = words;
      group.append(...rows.map((one) => new Option(one.label, one.label)));
      list.append(group);
    }
    const known = find(axes, held[tab].axes[n].type);
    if (!known) list.append(new Option(held[tab].axes[n].type, held[tab].axes[n].type));
    list.value = known?.label ?? held[tab].axes[n].type;
    return list;
  };
  const lastOfA1111 = (axes) => axes.findIndex((one) => one.label === "Size");
  const choices = (tab, n, axis) => {
    const list = make("div.dr-xyz-list");
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", `Values of ${NAMES[n]}`);
    const chosen = new Set(held[tab].axes[n].chosen);
    for (const one of new Set([...axis.choices, ...chosen])) { // what was typed or pasted may be a name of another form
      const tick = make("input");
      Object.assign(tick, { type: "checkbox", checked: chosen.has(one), value: one });
      tick.dataset.xyz = "choice";
      list.append(make("label", tick, make("span", one)));
    }
    return list;
  };
  const row = (tab, n, axes) => {
    const axis = find(axes, held[tab].axes[n].type);
    const own = held[tab].axes[n];
    if (axis?.choices && !held[tab].options.csv_mode && own.values) Object.assign(own, { values: "", chosen: own.chosen.length ? own.chosen : entries(own.values) });
    const item = make("div.dr-xyz-row");
    item.dataset.n = n;
    item.append(field(`${NAMES[n]} type`, typeList(tab, n, axes)));
    if (axis?.kind === "none") return item;
    const listed = axis?.choices && !held[tab].options.csv_mode;
    const text = make("input");
    Object.assign(text, { type: "text", value: held[tab].axes[n].values, placeholder: axis?.choices ? "names, with commas" : SYNTAX, autocomplete: "off", spellcheck: false });
    text.dataset.xyz = "values";
    text.setAttribute("aria-label", `${NAMES[n]} values`);
    const value = make("div.dr-xyz-values", listed ? choices(tab, n, axis) : text);
    if (axis?.choices) {
      const all = action("Fill", "xyz-fill", { tab, n }, "dr-button");
      all.title = "Take all values of this list; once more takes them away";
      value.append(all);
    }
    item.append(value);
    return item;
  };
  const option = (tab, [name, words, title]) => {
    const tick = make("input");
    Object.assign(tick, { type: "checkbox", checked: Boolean(held[tab].options[name]) });
    tick.dataset.xyz = name;
    const label = make("label", tick, make("span", words));
    label.title = title;
    return label;
  };
  const draw = async (tab) => {
    const place = root(tab);
    if (!place) return;
    let axes;
    try {
      axes = await axesOf(tab);
    } catch (error) {
      place.replaceChildren(make("p.dr-quiet", `The axes cannot be read (${error.message}).`), action("Try again", "xyz-again", { tab }, "dr-button"));
      return;
    }
    const margin = make("input");
    Object.assign(margin, { type: "number", min: 0, max: 500, step: 2, value: held[tab].options.margin_size ?? 0 });
    margin.dataset.xyz = "margin_size";
    const swaps = [["X", "Y", 0, 1], ["Y", "Z", 1, 2], ["X", "Z", 0, 2]].map(([a, b, from, to]) => action(`Swap ${a} and ${b}`, "xyz-swap", { tab, from, to }, "dr-button"));
    const line = make("p.dr-xyz-line");
    line.setAttribute("role", "status");
    place.replaceChildren(...NAMES.map((_, n) => row(tab, n, axes)), make("div.dr-xyz-bar", ...swaps), make("div.dr-xyz-options", ...OPTIONS.map((one) => option(tab, one)), field("Margins, pixels", margin)), line);
    place.dataset.drawn = textOf(tab);
    plan(tab);
  };

  // ---- Changing -----------------------------------------------------------------------------------------------------

  const tell = (tab) => {
    const place = root(tab);
    if (place) place.dataset.drawn = textOf(tab);
    const area = box(tab);
    if (!area || area.value === textOf(tab)) return;
    area.value = textOf(tab);
    area.dispatchEvent(new Event("input", { bubbles: true }));
    plan(tab);
  };
  const change = (event) => {
    const place = event.target.closest?.(".dr-xyz");
    const what = event.target.dataset?.xyz;
    if (!place || !what) return;
    const tab = place.dataset.tab;
    const { axes, options } = held[tab];
    const one = axes[Number(event.target.closest(".dr-xyz-row")?.dataset.n)];
    if (what === "type") {
      if (event.type !== "change") return;
      Object.assign(one, { type: event.target.value, values: "", chosen: [] });
      draw(tab);
    } else if (what === "values") one.values = event.target.value;
    else if (what === "choice") {
      if (event.type !== "change") return;
      const { value, checked } = event.target; // in the order in which they were ticked
      one.chosen = [...one.chosen.filter((other) => other !== value), ...(checked ? [value] : [])];
    } else if (what === "margin_size") options.margin_size = Math.max(0, Math.min(500, Number(event.target.value) || 0));
    else options[what] = event.target.checked;
    if (what === "csv_mode" && event.type === "change") {
      for (const axis of axes) {
        if (options.csv_mode && axis.chosen.length) Object.assign(axis, { values: joined(axis.chosen), chosen: [] });
        else if (!options.csv_mode && axis.values) axis.chosen = entries(axis.values);
      }
      draw(tab);
    }
    tell(tab);
  };
  document.addEventListener("input", change);
  document.addEventListener("change", change);
  darkroom.on("xyz-fill", async (button) => {
    const { tab } = button.dataset;
    const one = held[tab].axes[Number(button.dataset.n)];
    const all = find(await axesOf(tab), one.type)?.choices ?? [];
    if (held[tab].options.csv_mode) one.values = one.values === joined(all) ? "" : joined(all);
    else one.chosen = one.chosen.length === all.length ? [] : [...all];
    await draw(tab);
    tell(tab);
  });
  darkroom.on("xyz-swap", async (button) => {
    const { tab, from, to } = button.dataset;
    const { axes } = held[tab];
    [axes[from], axes[to]] = [axes[to], axes[from]];
    await draw(tab);
    tell(tab);
  });
  darkroom.on("xyz-again", (button) => draw(button.dataset.tab));

  // ---- With the form ------------------------------------------------------------------------------------------------

  // What the form holds now: after a change of any control, a paste, or a reload.
  darkroom.gridFormChanged = (tab, form) => {
    if (!isOn(form)) return;
    const key = Object.keys(form).find((name) => name.startsWith("x/y/z plot/"));
    const given = key ? form[key] : "";
    darkroom.later(async () => {
      if (given && given !== textOf(tab)) {
        try {
          const asked = JSON.parse(given);
          held[tab] = { axes: fresh().axes.map((one, n) => ({ type: "Nothing", values: "", chosen: [], ...asked.axes?.[n] })), options: { ...fresh().options, ...asked.options } };
        } catch { /* what is no grid leaves the panel as it is */ }
      }
      const place = root(tab);
      if (place && place.dataset.drawn !== textOf(tab)) await draw(tab);
      if (!given) tell(tab);
      plan(tab);
    }, `#${tab}_script_container .dr-xyz`);
  };

  // ---- What it will take --------------------------------------------------------------------------------------------

  const plan = (tab) => {
    clearTimeout(timers[tab]);
    timers[tab] = setTimeout(() => {
      if (!root(tab)?.offsetParent || document.hidden) return;
      if (asking[tab]) { // one at a time; the latest counts
        asking[tab] = "again";
        return;
      }
      asking[tab] = "yes";
      darkroom.press(`${tab}_xyz_plan`);
    }, WAIT_MS);
  };
  darkroom.planGrid = plan;
  // As before a run: pictures that are still on their way arrive first.
  darkroom.beforePlan = async (tab, begin, style, control, ...values) => {
    values[style] = await darkroom.stylePicture(tab, values[style]);
    values[control] = await darkroom.controlUnits(tab, values[control]);
    if (begin >= 0) values[begin] = JSON.stringify(await darkroom.beginning());
    return values;
  };
  darkroom.afterPlan = (tab, told) => {
    const again = asking[tab] === "again";
    asking[tab] = "";
    if (again) plan(tab);
    let answer = {};
    try {
      answer = JSON.parse(told);
    } catch { /* no answer: the line stays as it is */ }
    const line = root(tab)?.querySelector(".dr-xyz-line");
    if (line && (answer.words || answer.fault)) {
      line.textContent = answer.words ?? answer.fault;
      line.classList.toggle("dr-xyz-fault", Boolean(answer.fault));
    }
    for (const item of root(tab)?.querySelectorAll(".dr-xyz-row") ?? []) item.classList.toggle("dr-xyz-wrong", "xyz"[Number(item.dataset.n)] === answer.axis);
    return [];
  };
})();
