"use strict";
// What can be done with a whole form or one of its controls: back to how it was sent, one control as it began, pictures without end.
(() => {
  const darkroom = window.darkroom;
  const MOST = 20, LONGEST = 100000;
  const PICTURES = ["style_image", "control_units"];
  const ALONE = ["begin"]; // of the canvases, which keep it themselves

  // ---- Back to what was sent ----------------------------------------------------------------------------------------

  // Of each tab: forms in the order in which they were sent or left behind, and the place of the one on show. In this browser tab alone.
  const past = {};
  const held = (tab) => (past[tab] ??= darkroom.session(`past.${tab}`) ?? { forms: [], at: -1 });
  const plain = (form) => Object.fromEntries(Object.entries(form).filter(([name]) => !ALONE.includes(name)));
  const note = (tab, form = darkroom.formOf(tab)) => {
    const now = plain(form);
    const list = held(tab);
    if (darkroom.same(list.forms[list.at], now) || JSON.stringify(now).length > LONGEST) return;
    list.forms = [...list.forms.slice(0, list.at + 1), now].slice(-MOST);
    list.at = list.forms.length - 1;
    darkroom.session(`past.${tab}`, list);
  };
  let moving = false;
  let pressed = 0; // when Generate was pressed by this script and the form not sent yet
  // values: as they are sent; the form that is kept hears of the last keys a moment later. Pictures are as they are kept.
  darkroom.formSent = (tab, values) => {
    pressed = 0;
    const kept = darkroom.formOf(tab);
    const own = Object.entries(values).filter(([field]) => field in kept && !PICTURES.includes(field));
    note(tab, { ...kept, ...Object.fromEntries(own) });
  };
  darkroom.formLeft = (tab) => { if (!moving) note(tab); };

  // What was edited since is kept first, so that one can come back to it.
  const move = (tab, by) => {
    note(tab);
    const list = held(tab);
    const target = list.forms[list.at + by];
    if (!target) return darkroom.say(tab, by < 0 ? "There is no earlier form." : "There is no later form.");
    list.at += by;
    darkroom.session(`past.${tab}`, list);
    moving = true;
    darkroom.putForm(tab, target);
    moving = false;
    return darkroom.say(tab, `Form ${list.at + 1} of ${list.forms.length}, as it was sent or left.`);
  };
  const onForm = () => darkroom.generateTabs.includes(darkroom.currentTab()) && !document.querySelector("dialog[open]");
  const UNDO = "The form as it was sent before", REDO = "The form that came after it";

  // ---- One control as it began --------------------------------------------------------------------------------------

  const at = (element) => {
    const tab = darkroom.currentTab();
    if (!darkroom.generateTabs.includes(tab) || !element?.closest) return null;
    const field = darkroom.fieldAt(tab, element);
    return field && { tab, field, ...darkroom.placesOf(tab)[field] };
  };
  const shown = (value) => {
    const text = Array.isArray(value) ? value.join(", ") : String(value ?? "");
    return text === "" ? "nothing" : text.length > 30 ? `${text.slice(0, 29)}…` : text;
  };
  const reset = ({ tab, field, label, built }) => {
    darkroom.putForm(tab, { [field]: built ?? "" });
    darkroom.say(tab, `${label}: ${shown(built)}, as at first.`);
  };
  const resetAll = (tab) => {
    const values = Object.entries(darkroom.placesOf(tab)).filter(([field]) => !ALONE.includes(field) && field !== "sd_model_checkpoint");
    darkroom.putForm(tab, Object.fromEntries(values.map(([field, place]) => [field, place.built ?? ""])));
    darkroom.say(tab, `The form is as at first; ${darkroom.keysText(UNDO)} brings yours back.`);
  };
  // A right click on a control, but not where text is edited: there the browser's own menu is wanted.
  document.addEventListener("contextmenu", (event) => {
    if (event.target.closest?.("[id$=_generate]") && onForm()) {
      event.preventDefault();
      menu({ x: event.clientX, y: event.clientY }, event.target.closest("[id$=_generate]").id.replace("_generate", ""));
      return;
    }
    if (event.target.closest?.("textarea, input[type=text], input:not([type])")) return;
    const place = at(event.target);
    if (!place) return;
    event.preventDefault();
    darkroom.openMenu({ x: event.clientX, y: event.clientY }, place.label, [
      { words: `${place.label}: back to ${shown(place.built)}`, act: () => reset(place), keys: "Alt+0" },
      { words: "The whole form as at first", act: () => resetAll(place.tab) },
    ]);
  });

  darkroom.keys("txt2img and img2img", onForm, [
    ["Ctrl+Alt+z", UNDO, () => move(darkroom.currentTab(), -1)],
    ["Ctrl+Alt+y Ctrl+Alt+Shift+z", REDO, () => move(darkroom.currentTab(), 1)],
    ["Alt+0", "The control in focus as it began", () => { const place = at(document.activeElement); return place ? reset(place) : false; }],
  ]);

  // ---- Without end --------------------------------------------------------------------------------------------------

  const LOOK_MS = 400, SENDING_MS = 5000;
  let endless = ""; // the tab that goes on for ever
  let timer = 0;
  const mark = () => {
    for (const tab of darkroom.generateTabs) darkroom.byId(`${tab}_generate`)?.toggleAttribute("data-endless", endless === tab);
  };
  const stop = (words = "") => {
    if (!endless) return;
    const tab = endless;
    endless = "";
    clearInterval(timer);
    mark();
    darkroom.say(tab, words || "No more pictures are asked for.");
  };
  const begin = (tab) => {
    stop();
    endless = tab;
    mark();
    const turn = () => {
      if (document.body.dataset.busy || Date.now() - pressed < SENDING_MS) return;
      pressed = Date.now();
      darkroom.press(`${tab}_generate`);
    };
    timer = setInterval(turn, LOOK_MS);
    turn();
    darkroom.say(tab, "Pictures are made until you stop: in this menu, or with Interrupt.");
  };
  darkroom.endless = () => endless;
  darkroom.sendingFailed = () => stop("It stopped, as the form could not be sent.");
  darkroom.runFailed = () => stop("It stopped, as a picture could not be made.");
  const interrupt = darkroom.interrupt;
  darkroom.interrupt = () => {
    stop();
    return interrupt();
  };

  // ---- The menu beside Generate -------------------------------------------------------------------------------------

  const menu = (place, tab) => darkroom.openMenu(place, "More about this form", [
    endless ? { words: "Stop generating forever", act: () => stop() } : { words: "Generate forever", act: () => begin(tab) },
    null,
    { words: "Presets…", act: () => darkroom.openPresets(tab) },
    { words: UNDO, act: () => move(tab, -1), keys: "Ctrl+Alt+Z" },
    { words: REDO, act: () => move(tab, 1), keys: "Ctrl+Alt+Y" },
    { words: "The whole form as at first", act: () => resetAll(tab) },
    null,
    ...darkroom.endingRows(tab),
    ...darkroom.promptRows(),
    null,
    { words: "Keys…", act: () => darkroom.press("dr_keys_help"), keys: "?" },
    { words: "Tour…", act: () => darkroom.startTour() },
  ]);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#txt2img_menu, #img2img_menu");
    if (button) menu(button, button.id.replace("_menu", ""));
  });
  darkroom.onTab(mark);
})();
