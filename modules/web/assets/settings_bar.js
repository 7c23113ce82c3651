"use strict";
// The bar above the tabs follows the setting quicksettings_list without a restart: what was not built with the page is drawn here,
// what is no longer named is hidden, and all of it stands in the order of the list.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const bar = () => darkroom.byId("quicksettings");
  const own = new Map(); // key -> element of ours
  let rows = [];

  const built = () => [...(bar()?.querySelectorAll(".block[id^=setting_]") ?? [])].map((block) => block.id.slice("setting_".length));
  const drawn = (row) => {
    const box = own.get(row.key) ?? make("div.dr-bar-one");
    const id = `bar_${row.key}`;
    const label = make("label", row.label);
    label.htmlFor = id;
    const off = document.documentElement.dataset.role !== undefined && document.documentElement.dataset.role !== "admin";
    const fault = make("span.dr-set-fault");
    fault.setAttribute("role", "alert");
    box.replaceChildren(label, darkroom.settingControl(row, id, off), fault);
    box.id = `setting_${row.key}`;
    box.title = row.help;
    own.set(row.key, box);
    return box;
  };
  const place = () => {
    const wanted = rows.map((row) => row.key);
    for (const [key, box] of own) {
      if (wanted.includes(key)) continue;
      box.remove();
      own.delete(key);
    }
    const made = built();
    for (const key of made) {
      const block = darkroom.byId(`setting_${key}`);
      block.classList.toggle("dr-bar-out", !wanted.includes(key));
      block.style.order = wanted.indexOf(key) + 1;
    }
    darkroom.byId("refresh_sd_model_checkpoint").style.order = wanted.indexOf("sd_model_checkpoint") + 1;
    for (const row of rows.filter((one) => !made.includes(one.key))) {
      const box = drawn(row);
      box.style.order = wanted.indexOf(row.key) + 1;
      if (!box.isConnected) bar().append(box);
    }
    bar().classList.add("dr-bar-live");
  };
  // always: the list itself has changed; else only values of what is drawn here are looked at again.
  darkroom.drawBar = async (always) => {
    if (!bar() || (!always && !own.size)) return;
    try {
      rows = (await darkroom.ask("internal/settings/bar")).rows;
      place();
    } catch { /* guests are not told; the bar stays as it was built */ }
  };
  const keep = async (row, value, box) => {
    const { ask } = darkroom.settings_;
    const fault = own.get(row.key).querySelector(".dr-set-fault");
    fault.textContent = "";
    try {
      await ask("internal/settings", { values: { [row.key]: value } });
      await darkroom.drawBar(false);
      darkroom.optionsChanged?.();
      if (darkroom.currentTab() === "settings") darkroom.settings_.load();
    } catch (error) {
      fault.textContent = error.message;
      box.setAttribute("aria-invalid", "true");
    }
  };
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.closest?.(".dr-bar-one")) return;
    const row = rows.find((one) => one.key === (box.dataset.set ?? box.dataset.add));
    if (!row) return;
    if (box.dataset.add) keep(row, [...row.value, JSON.parse(box.value)], box);
    else keep(row, darkroom.settingRead(row, box), box);
  });

  // The page says which settings its bar should have; it is built with those that were named when the program began.
  const begin = () => {
    const named = darkroom.facts().bar;
    if (named && JSON.stringify(named) !== JSON.stringify(built().filter((key) => darkroom.byId(`setting_${key}`).offsetParent !== null))) darkroom.drawBar(true);
  };
  darkroom.later(begin, "#dr_facts");
})();
