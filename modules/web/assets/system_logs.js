"use strict";
// Logs and the report of the System tab: the last lines narrowed by level and words, followed while somebody looks; the doctor's report with
// a button that copies it. What is shown has been through the server's mask. Text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const { ask, tell, part, shown } = darkroom.system;
  const FOLLOW_MS = 2000;
  const TYPED_MS = 300;

  const wish = { name: "", level: "info", lines: "200", text: "", follow: true };
  let mark = "";
  let timer = 0;
  let era = 0;

  // ---- Logs ----------------------------------------------------------------------------------------------------------

  const box = () => part("logs", ".dr-sys-log");
  const field = (name) => part("logs", `[data-log=${name}]`);
  const paint = (told) => {
    const place = box();
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    place.replaceChildren(...told.lines.map((line) => {
      const row = make("span", line.text || " ");
      row.dataset.level = line.level;
      return row;
    }));
    if (wish.follow && atEnd) place.scrollTop = place.scrollHeight;
    const none = wish.text || wish.level !== "info" ? "No line fits." : "Nothing is written there yet.";
    const more = told.more ? " There is more before these." : "";
    part("logs", ".dr-sys-logsaid").textContent = told.lines.length ? `${told.lines.length.toLocaleString()} lines.${more}` : none;
  };
  const look = async () => {
    clearTimeout(timer);
    if (!shown() || !wish.name) return;
    const mine = (era += 1);
    const query = new URLSearchParams({ lines: wish.lines, level: wish.level, text: wish.text, mark });
    try {
      const told = await ask(`/logs/${encodeURIComponent(wish.name)}?${query}`);
      if (mine !== era) return;
      if (!told.same) paint(told);
      mark = told.mark;
    } catch (error) {
      if (mine === era) part("logs", ".dr-sys-logsaid").textContent = error.message;
    }
    if (wish.follow && mine === era) timer = setTimeout(look, FOLLOW_MS);
  };
  const anew = () => { mark = ""; look(); };
  const begin = async () => {
    const found = await ask("/logs").catch(() => []);
    const options = found.map((log) => Object.assign(make("option", `${log.name}.log`), { value: log.name }));
    field("name").replaceChildren(...options);
    wish.name = found.find((log) => log.name === "worker")?.name ?? found[0]?.name ?? "";
    field("name").value = wish.name;
    if (!wish.name) part("logs", ".dr-sys-logsaid").textContent = "There is no log yet.";
    box().scrollTop = box().scrollHeight;
    anew();
  };
  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.log;
    if (!name || !event.target.closest("#dr_system")) return;
    wish[name] = name === "follow" ? event.target.checked : event.target.value;
    anew();
  });
  let typed = 0;
  document.addEventListener("input", (event) => {
    if (event.target.dataset?.log !== "text") return;
    wish.text = event.target.value;
    clearTimeout(typed);
    typed = setTimeout(anew, TYPED_MS);
  });

  // ---- The report ----------------------------------------------------------------------------------------------------

  const showReport = (told) => {
    const pre = part("report", ".dr-sys-report");
    pre.hidden = !told.text;
    if (pre.textContent !== told.text) pre.textContent = told.text;
    const made = !told.busy && told.problems !== null;
    part("report", "[data-do=system-doctor]").disabled = told.busy;
    part("report", "[data-do=system-copy]").hidden = !made;
    const words = told.busy ? "Being made…" : made ? (told.problems ? `Problems found: ${told.problems}. They stand at the end.` : "No problems found.") : "";
    part("report", ".dr-sys-reportsaid").textContent = words;
  };
  const follow = async (method = "GET") => {
    const told = await ask("/doctor", method);
    showReport(told);
    if (told.busy && shown()) setTimeout(() => follow().catch(() => null), 700);
  };
  darkroom.on("system-doctor", () => follow("POST").catch((error) => tell("The report cannot be made", error.message)));
  // The clipboard is closed to pages without TLS on another machine; a selection to copy by hand is left then.
  darkroom.on("system-copy", async () => {
    const pre = part("report", ".dr-sys-report");
    const said = part("report", ".dr-sys-reportsaid");
    try {
      await navigator.clipboard.writeText(`\`\`\`\n${pre.textContent}\n\`\`\`\n`);
      said.textContent = "Copied. Paste it into the bug report.";
    } catch {
      getSelection().selectAllChildren(pre);
      said.textContent = "The browser does not let this page copy. The report is selected: press Ctrl+C.";
    }
  });

  darkroom.system.began.push(() => { begin(); follow().catch(() => null); });
  darkroom.onTab((tab) => { if (tab === "system" && wish.name) look(); else clearTimeout(timer); });
})();
