"use strict";
// Editing prompts with keys: Ctrl+Up and Ctrl+Down change how much the selection or the word counts, also in <lora:name:1>;
// Alt+Left and Alt+Right move a part between commas. Works in every box whose id ends in "prompt".
(() => {
  const STEP = 0.1, TAG_STEP = 0.05, MOST = 100;
  const WORD_ENDS = /[\s.,\\/!?%^*;:{}=`~()[\]<>|]/;
  const TAG = /^(<\w+:[^<>:]+)(?::([-+]?[\d.]+))?((?::[^<>]*)?>)$/;

  const number = (value) => String(Math.round(Math.max(-MOST, Math.min(MOST, value)) * 100) / 100);

  // Where a bracket around a place begins and ends (behind its closing one); null outside of any.
  const around = (text, at, open, close) => {
    let start = at - 1, depth = 0;
    for (; start >= 0; start -= 1) {
      if (text[start - 1] === "\\") continue;
      if (text[start] === close) depth += 1;
      else if (text[start] === open && depth-- === 0) break;
    }
    if (start < 0) return null;
    depth = 0;
    for (let end = start; end < text.length; end += 1) {
      if (text[end - 1] === "\\") continue;
      if (text[end] === open) depth += 1;
      else if (text[end] === close && --depth === 0) return [start, end + 1];
    }
    return null;
  };

  const word = (text, at) => {
    let [start, end] = [at, at];
    while (start > 0 && !WORD_ENDS.test(text[start - 1])) start -= 1;
    while (end < text.length && !WORD_ENDS.test(text[end])) end += 1;
    return start < end ? [start, end] : null;
  };

  // [start, end, text that takes its place, where the selection in that begins and ends]; null when there is nothing to change.
  const emphasised = (text, from, to, up) => {
    const tag = around(text, from, "<", ">");
    const inTag = tag && to <= tag[1] && TAG.exec(text.slice(...tag));
    if (inTag) {
      const changed = inTag[1] + ":" + number(Number(inTag[2] ?? 1) + (up ? TAG_STEP : -TAG_STEP)) + inTag[3];
      return [...tag, changed, Math.min(from - tag[0], changed.length), Math.min(to - tag[0], changed.length)];
    }
    let range = [from, to];
    if (from === to) {
      const round = around(text, from, "(", ")");
      range = round && /:\s*[-+]?[\d.]+\s*\)$/.test(text.slice(...round)) ? round : word(text, from);
      if (!range) return null;
    } else {
      while (range[1] > range[0] && /\s/.test(text[range[1] - 1])) range[1] -= 1;
      const outer = /^:\s*[-+]?[\d.]+\s*\)/.exec(text.slice(range[1]));
      if (text[range[0] - 1] === "(" && outer) range = [range[0] - 1, range[1] + outer[0].length];
      if (range[0] === range[1]) return null;
    }
    const chosen = text.slice(...range);
    const known = /^\(([\s\S]*):\s*([-+]?[\d.]+)\s*\)$/.exec(chosen);
    const body = known ? known[1] : chosen;
    const weight = number((known ? Number(known[2]) : 1) + (up ? STEP : -STEP));
    const changed = weight === "1" ? body : `(${body}:${weight})`;
    const at = weight === "1" ? 0 : 1;
    return [...range, changed, at, at + body.length];
  };

  // The part between commas in which the cursor stands changes places with its neighbour; white space stays where it is.
  const moved = (text, from, right) => {
    const parts = text.split(",");
    let n = 0, start = 0;
    while (n < parts.length - 1 && from > start + parts[n].length) start += parts[n++].length + 1;
    const other = right ? n + 1 : n - 1;
    if (other < 0 || other >= parts.length) return null;
    const [ours, theirs] = [parts[n].trim(), parts[other].trim()];
    if (!ours) return null;
    const swapped = (part, core, put) => (core ? part.replace(core, () => put) : part + put);
    [parts[n], parts[other]] = [swapped(parts[n], ours, theirs), swapped(parts[other], theirs, ours)];
    const begin = parts.slice(0, other).reduce((sum, part) => sum + part.length + 1, 0) + parts[other].indexOf(ours);
    return [0, text.length, parts.join(","), begin, begin + ours.length];
  };

  // Through the browser's own editing, so that Ctrl+Z takes it back and the page hears of it.
  const put = (box, [start, end, text, from, to]) => {
    box.setSelectionRange(start, end);
    if (!document.execCommand("insertText", false, text)) {
      box.setRangeText(text, start, end);
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
    box.setSelectionRange(start + from, start + to);
  };

  const inPrompt = (event) => event.target.matches?.("[id$=prompt] textarea") && event.target;
  const edit = (how) => (box) => {
    const change = how(box.value, box.selectionStart, box.selectionEnd);
    if (change) put(box, change);
  };
  window.darkroom.keys("Prompt boxes", inPrompt, [
    ["Ctrl+ArrowUp", "The selection or the word counts more", edit((text, from, to) => emphasised(text, from, to, true))],
    ["Ctrl+ArrowDown", "It counts less", edit((text, from, to) => emphasised(text, from, to, false))],
    ["Alt+ArrowLeft", "Move the part between commas to the left", edit((text, from) => moved(text, from, false))],
    ["Alt+ArrowRight", "Move it to the right", edit((text, from) => moved(text, from, true))],
  ]);
  window.darkroom.editText = put; // [start, end, text, where the selection in that begins and ends]
})();
