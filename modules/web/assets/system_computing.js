"use strict";
// What can compute on this machine, on the System tab: backends and attention with why one cannot be used, quantisers with what each costs.
// From /api/v2/computing, asked for once when the tab is opened. Start reading at `paint`.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const { part, raw } = darkroom.system;
  const NAMES = { sd1: "SD 1", sd2: "SD 2", sdxl: "SDXL", sd3: "SD 3", flux: "Flux" };

  const named = (row) => make("td", make("b", row.name), make("small", row.title === row.name ? "" : row.title));
  const state = (row) => {
    const cell = make("td", row.why ? "Not here" : "Ready");
    cell.className = row.why ? "dr-sys-off" : "dr-sys-on";
    if (row.why) cell.append(make("small", row.why));
    return cell;
  };
  const fold = (open, element) => { element.open = open; return element; };
  const table = (title, heads, rows, open = true) => raw(fold(open, make("details.dr-sys-ways", make("summary", title),
    make("table.dr-sys-table", make("thead", make("tr", ...heads.map((words) => make("th", words)))), make("tbody", ...rows)))));
  const ways = (title, rows, open) => table(title, ["Name", "Here", "What it is"], rows.map((row) => make("tr", named(row), state(row), make("td", row.help))), open);
  const number = (words, unit) => { const cell = make("td.dr-sys-number", words); cell.dataset.unit = words === "–" ? "" : unit; return cell; };
  const share = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
  const kept = (row) => make("tr", named(row), state(row),
    number(row.psnr_db === null ? "not measured" : `${row.psnr_db} dB`, ""), number(share(row.memory_share), " of the memory"),
    number(row.time_ratio === null ? "–" : `${row.time_ratio} times`, " the time"), make("td", row.help));

  const paint = (found) => {
    const caches = found.caches.map((row) => make("tr", named(row), make("td", row.families.map((name) => NAMES[name] ?? name).join(", ")), make("td", row.help)));
    const told = make("p.dr-quiet", "Likeness is the PSNR of the starter model's pictures against full precision: above 30 dB it takes a second look to see a difference. "
      + `Memory and time against full precision. Measured on ${found.measured_on}: `, make("code", found.command));
    part("computing", ".dr-sys-body").replaceChildren(
      ways("Backends", found.backends), ways("Attention", found.attentions, false),
      table("Quantised weights", ["Name", "Here", "Likeness", "Memory", "Time", "Good to know"], found.quantisers.map(kept)), told,
      table("Step caches", ["Name", "For", "Source"], caches, false));
  };
  darkroom.system.began.push(async () => {
    const answer = await fetch("api/v2/computing", { cache: "no-store" }).catch(() => null);
    const place = part("computing", ".dr-sys-body");
    if (answer?.ok) paint(await answer.json());
    else place.replaceChildren(make("p.dr-quiet", "It could not be asked for. Open the page again."));
  });
})();
