"use strict";
// Before a run: about how long it will take, from how long earlier ones took. After it: how long it took; a notification, a sound.
(() => {
  const darkroom = window.darkroom;
  const WAIT_MS = 900, WORDS_MS = 6000;

  // ---- The line under Generate --------------------------------------------------------------------------------------

  const line = (tab) => darkroom.byId(`${tab}_estimate`)?.querySelector(".dr-estimate");
  const timers = {};
  const told = {}; // tab -> the estimate on show
  const asked = {}; // tab -> text of the form it was made of
  const put = (tab, words) => {
    const place = line(tab);
    if (place && place.textContent !== words) place.textContent = words;
  };
  const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`);
  const words = ({ pictures, seconds, sure, loads, memory_bytes: memory, peak_bytes: peak, policy, forecast_bytes: forecast, main_bytes: main }) => [
    pictures === 1 ? "1 picture" : `${pictures} pictures`,
    seconds === null ? "time not known yet" : `about ${darkroom.seconds(seconds)}${sure ? "" : ", roughly"}`,
    loads ? "the model is loaded first" : "",
    peak ? `${size(peak)} of memory, as before` : forecast ? `about ${size(forecast)} of memory` : memory ? `weights ${size(memory)}` : "",
    main ? `${size(main)} of main memory for what works on the CPU` : "",
    policy && policy !== "resident" ? `memory policy ${policy}` : "",
  ].filter(Boolean).join(" · ");
  // Something to know about the form, for a moment; then the estimate again.
  darkroom.say = (tab, text) => {
    put(tab, text);
    clearTimeout(timers.words);
    timers.words = setTimeout(() => put(tab, told[tab] ?? ""), WORDS_MS);
  };

  const ask = (tab) => {
    if (document.hidden || document.body.dataset.busy || darkroom.currentTab() !== tab) return;
    const form = JSON.stringify(darkroom.formOf(tab));
    if (asked[tab] === form) return;
    asked[tab] = form;
    darkroom.press(`${tab}_forecast`);
  };
  const later = (tab) => {
    clearTimeout(timers[tab]);
    timers[tab] = setTimeout(ask, WAIT_MS, tab);
  };
  darkroom.formChanged = (tab) => later(tab);
  document.addEventListener("pointerover", (event) => {
    const column = event.target.closest?.("[id$=_actions_column]");
    if (column) later(column.id.replace("_actions_column", ""));
  });
  darkroom.afterForecast = (tab, text) => {
    let answer = {};
    try {
      answer = JSON.parse(text);
    } catch { /* no answer: the line stays as it is */ }
    if (answer.pictures === undefined) { // what is wrong is told when it is sent
      told[tab] = "";
      if (!document.body.dataset.busy) put(tab, "");
      return [];
    }
    told[tab] = words(answer);
    expected[tab] = answer.seconds;
    if (!document.body.dataset.busy) put(tab, told[tab]);
    return [];
  };

  // ---- After it -----------------------------------------------------------------------------------------------------

  const expected = {};
  let made = 0;
  darkroom.jobEnded = async (job, state, waiting) => {
    if (state.state === "failed" || state.state === "parked") darkroom.runFailed();
    if (state.state === "done") made += 1;
    if (!waiting) ring(state.state);
    const whole = await darkroom.ask(`internal/jobs/${encodeURIComponent(job.id ?? job.key)}`).catch(() => null);
    const total = whole?.result?.seconds?.total;
    if (state.state !== "done" || !total) return;
    const about = expected[job.tab];
    const peak = whole.result.peak_bytes;
    const took = `Took ${darkroom.seconds(total)}${about && !job.batch ? ` (${darkroom.seconds(about)} expected)` : ""}`;
    told[job.tab] = `${took}${peak ? ` · ${size(peak)} of memory at most` : ""}`;
    asked[job.tab] = ""; // the next look knows more
    put(job.tab, told[job.tab]);
  };

  const wants = (name) => darkroom.store.get(name, false) === true;
  const ring = (state) => {
    const count = made;
    made = 0;
    if (darkroom.endless?.() && state === "done") return; // it goes on
    if (wants("sound")) sound();
    if (!wants("notify") || !document.hidden || globalThis.Notification?.permission !== "granted") return;
    const text = state === "done" ? (count > 1 ? `${count} jobs are done` : "Your picture is ready") : "A picture could not be made";
    const notice = new Notification("Darkroom", { body: text, tag: "darkroom-ended" });
    notice.onclick = () => { focus(); notice.close(); };
  };
  // Two soft tones; made here, so no file has to be fetched.
  let audio = null;
  const sound = () => {
    audio ??= new AudioContext();
    for (const [n, pitch] of [660, 880].entries()) {
      const [tone, loud] = [audio.createOscillator(), audio.createGain()];
      const from = audio.currentTime + n * 0.16;
      tone.frequency.value = pitch;
      loud.gain.setValueAtTime(0.0001, from);
      loud.gain.exponentialRampToValueAtTime(0.18, from + 0.02);
      loud.gain.exponentialRampToValueAtTime(0.0001, from + 0.35);
      tone.connect(loud).connect(audio.destination);
      tone.start(from);
      tone.stop(from + 0.4);
    }
  };
  const turnNotify = async (tab) => {
    if (wants("notify")) return darkroom.store.set("notify", false);
    if (!globalThis.Notification) return darkroom.say(tab, "This browser gives notifications only to pages over https or from this machine; the sound works.");
    if (await Notification.requestPermission() !== "granted") return darkroom.say(tab, "The browser does not allow notifications here; its settings for this page can.");
    darkroom.store.set("notify", true);
    return darkroom.say(tab, "You are told when pictures are ready and this page is not in sight.");
  };
  darkroom.endingRows = (tab) => [
    { words: "Notify me at the end", checked: wants("notify"), act: () => turnNotify(tab) },
    { words: "Sound at the end", checked: wants("sound"), act: () => { darkroom.store.set("sound", !wants("sound")); if (wants("sound")) sound(); } },
  ];
})();
