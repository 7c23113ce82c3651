"use strict";
// The prompt boxes: colours behind weights and tags, and suggestions for what is being typed. The text itself stays the browser's own,
// so typing, input methods and Ctrl+Z are as in any box.
(() => {
  const darkroom = window.darkroom;
  const { make } = darkroom;
  const BOXES = "[id$=img_prompt] textarea, [id$=img_neg_prompt] textarea";
  const LONGEST = 20000; // characters; longer ones stay plain

  // ---- Colours ------------------------------------------------------------------------------------------------------

  const ROUND = 1.1, SQUARE = 1 / 1.1;
  // [{from, to, kind}] of a prompt; kind: more, most, less, net, word, part, wrong.
  const marksOf = (text) => {
    const weight = new Float32Array(text.length).fill(1);
    const kinds = new Array(text.length).fill("");
    const open = [];
    for (let at = 0; at < text.length; at += 1) {
      const sign = text[at];
      if (sign === "\\") at += 1;
      else if (sign === "(" || sign === "[") open.push({ sign, at });
      else if (sign === ")" || sign === "]") {
        const begin = open.pop();
        if (!begin || (begin.sign === "(") !== (sign === ")")) {
          kinds[at] = "wrong";
          continue;
        }
        const inside = text.slice(begin.at + 1, at);
        const said = /:\s*([-+]?[\d.]+)\s*$/.exec(inside);
        const turns = sign === "]" && (said || inside.includes("|") || inside.includes(":")); // [a:b:0.5], [a|b]
        const times = sign === ")" ? (said ? Number(said[1]) : ROUND) : turns ? 1 : SQUARE;
        for (let n = begin.at; n <= at; n += 1) {
          weight[n] *= times;
          if (turns && !kinds[n]) kinds[n] = "part";
        }
      }
    }
    for (const { at } of open) kinds[at] = "wrong";
    for (const found of text.matchAll(/<\w+:[^<>]*>/g)) kinds.fill("net", found.index, found.index + found[0].length);
    for (const found of text.matchAll(/\b(?:BREAK|AND)\b/g)) kinds.fill("word", found.index, found.index + found[0].length);
    const marks = [];
    for (let at = 0; at < text.length; at += 1) {
      const kind = kinds[at] || (weight[at] > 1.35 ? "most" : weight[at] > 1.001 ? "more" : weight[at] < 0.999 ? "less" : "");
      const last = marks.at(-1);
      if (last?.kind === kind) last.to = at + 1;
      else marks.push({ from: at, to: at + 1, kind });
    }
    return marks;
  };
  darkroom.promptMarks = marksOf;

  const TAKEN = ["fontFamily", "fontSize", "fontWeight", "letterSpacing", "lineHeight", "padding", "textAlign", "textIndent", "tabSize", "direction", "unicodeBidi", "borderWidth"];
  const layers = new WeakMap(); // textarea -> {layer, text}
  const layerOf = (box) => {
    const known = layers.get(box);
    if (known?.layer.isConnected) return known;
    const layer = make("div.dr-colours");
    box.dir = "auto"; // a prompt goes the way of its language, whatever the page's is
    layer.setAttribute("aria-hidden", "true");
    box.before(layer);
    box.classList.add("dr-coloured");
    const made = { layer, text: null };
    layers.set(box, made);
    new ResizeObserver(() => fit(box)).observe(box);
    fit(box);
    return made;
  };
  const fit = (box) => {
    const { layer } = layers.get(box);
    const style = getComputedStyle(box);
    for (const name of TAKEN) layer.style[name] = style[name];
    Object.assign(layer.style, { left: `${box.offsetLeft}px`, top: `${box.offsetTop}px`, width: `${box.clientWidth + box.clientLeft * 2}px`, height: `${box.offsetHeight}px` });
    layer.scrollTop = box.scrollTop;
  };
  const paint = (box) => {
    const held = layerOf(box);
    if (held.text === box.value) return;
    held.text = box.value;
    held.layer.style.direction = getComputedStyle(box).direction;
    const marks = box.value.length > LONGEST ? [] : marksOf(box.value);
    const parts = marks.some(({ kind }) => kind) ? marks.map(({ from, to, kind }) => (kind ? make(`span.dr-mark-${kind}`, box.value.slice(from, to)) : box.value.slice(from, to))) : [];
    held.layer.replaceChildren(...parts, parts.length ? "\n" : ""); // the last line break takes no room otherwise
    held.layer.scrollTop = box.scrollTop;
  };
  const paintAll = () => document.querySelectorAll(BOXES).forEach((box) => { if (box.offsetParent) paint(box); });
  document.addEventListener("input", (event) => { if (event.target.matches?.(BOXES)) requestAnimationFrame(() => paint(event.target)); });
  document.addEventListener("scroll", (event) => { if (event.target.matches?.(BOXES) && layers.has(event.target)) layers.get(event.target).layer.scrollTop = event.target.scrollTop; }, true);
  setInterval(() => { if (!document.hidden && darkroom.generateTabs.includes(darkroom.currentTab())) paintAll(); }, 700); // texts that the server fills in
  darkroom.onTab(paintAll);

  // ---- Suggestions --------------------------------------------------------------------------------------------------

  const WAIT_MS = 180, MOST = 10;
  let open = null; // {box, list, rows, at: the one that is chosen, from, to}
  let timer = 0;
  let asked = 0;

  // What is being typed at the cursor: {from, word, net: it is a tag in <>}; null where nothing is to be suggested.
  const typed = (box) => {
    if (box.selectionStart !== box.selectionEnd) return null;
    const before = box.value.slice(0, box.selectionStart);
    const net = /<(?:lora:)?([^<>:,\n]*)$/i.exec(before);
    if (net) return { from: net.index, word: net[1].trim(), net: true };
    const word = /(?:^|[,\n(|[\]{}>])\s*([^,\n(|[\]{}<>:]{2,60})$/.exec(before)?.[1];
    return word?.trim().length > 1 ? { from: before.length - word.length, word: word.trimEnd(), net: false } : null;
  };
  const close = () => {
    open?.list.remove();
    open?.box.removeAttribute("aria-activedescendant");
    open = null;
  };
  const models = async (kind, search) => (await darkroom.ask(`internal/models?${new URLSearchParams({ kind, search, offset: 0, limit: 6 })}`)).rows
    .filter((row) => row.insert).map((row) => ({ words: row.name, kind: kind === "lora" ? "LoRA" : "embedding", insert: row.insert + (kind === "lora" && row.activation ? ` ${row.activation}` : "") }));
  const tags = async (word) => (document.documentElement.dataset.role === "guest" ? [] : (await darkroom.ask(`internal/prompt-words?${new URLSearchParams({ begin: word })}`)).words
    .map(({ text, count }) => ({ words: text, kind: count === 1 ? "1 picture" : `${count} pictures`, insert: text.replace(/[()[\]]/g, "\\$&") })));
  const look = async (box) => {
    const now = typed(box);
    if (!now || !darkroom.store.get("suggest", true) || document.activeElement !== box) return close();
    const mark = (asked += 1);
    const none = () => [];
    const found = await Promise.all(now.net ? [models("lora", now.word).catch(none)] : [models("embedding", now.word).catch(none), tags(now.word).catch(none)]);
    if (mark !== asked || document.activeElement !== box || typed(box)?.word !== now.word) return null;
    const rows = found.flat().slice(0, MOST);
    return rows.length ? show(box, now, rows) : close();
  };
  const show = (box, { from }, rows) => {
    close();
    const list = make("div.dr-suggest");
    list.id = "dr_suggest";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Suggestions");
    rows.forEach((row, n) => {
      const line = make("div", make("span", row.words), make("span.dr-quiet", row.kind));
      line.id = `dr_suggest_${n}`;
      line.setAttribute("role", "option");
      line.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(n); take(); });
      list.append(line);
    });
    document.querySelector(".gradio-container").append(list);
    open = { box, list, rows, at: -1, from, to: box.selectionStart };
    const place = box.getBoundingClientRect();
    const caret = caretOf(box, from);
    list.style.left = `${Math.max(4, Math.min(place.left + caret.x, innerWidth - list.offsetWidth - 4))}px`;
    const below = place.top + caret.y + caret.line;
    list.style.top = `${below + list.offsetHeight > innerHeight - 4 ? place.top + caret.y - list.offsetHeight : below}px`;
  };
  // Where a character stands in its box, in pixels from the box's corner: measured in the layer behind it.
  const caretOf = (box, at) => {
    const { layer } = layerOf(box);
    const line = Number.parseFloat(getComputedStyle(box).lineHeight) || 20;
    const probe = make("span", "​");
    const before = [...layer.childNodes];
    layer.replaceChildren(box.value.slice(0, at), probe);
    const found = { x: probe.offsetLeft, y: probe.offsetTop - box.scrollTop, line };
    layer.replaceChildren(...before);
    return found;
  };
  const choose = (n) => {
    open.at = (n + open.rows.length) % open.rows.length;
    [...open.list.children].forEach((line, i) => line.setAttribute("aria-selected", String(i === open.at)));
    open.box.setAttribute("aria-activedescendant", `dr_suggest_${open.at}`);
  };
  const take = () => {
    const { box, rows, at, from } = open;
    const { insert } = rows[Math.max(0, at)];
    const end = box.value.slice(box.selectionStart).startsWith(">") && insert.endsWith(">") ? box.selectionStart + 1 : box.selectionStart;
    close();
    darkroom.editText(box, [from, end, insert, insert.length, insert.length]);
    asked += 1; // what was just put in suggests nothing
  };
  const suggesting = (event) => open && event.target === open.box;
  const before = darkroom.keymap.length;
  darkroom.keys("Suggestions while typing", suggesting, [
    ["ArrowDown", "Next one", () => choose(open.at + 1)],
    ["ArrowUp", "One before", () => choose(open.at < 0 ? -1 : open.at - 1)],
    ["Tab", "Take it", take],
    ["Enter", "Take the one that was chosen with arrows", () => (open.at < 0 ? (close(), false) : take())],
    ["Escape", "None of them", close],
  ]);
  darkroom.keymap.unshift(...darkroom.keymap.splice(before)); // before what the same keys do elsewhere
  document.addEventListener("input", (event) => {
    const box = event.target;
    if (!box.matches?.(BOXES) || !event.isTrusted || event.isComposing) return;
    clearTimeout(timer);
    timer = setTimeout(look, WAIT_MS, box);
  });
  document.addEventListener("focusout", (event) => { if (open?.box === event.target) close(); });
  document.addEventListener("pointerdown", (event) => { if (open && !open.list.contains(event.target)) close(); });
  addEventListener("scroll", (event) => { if (open && !open.list.contains(event.target)) close(); }, true);
  darkroom.promptRows = () => [{ words: "Suggestions while typing", checked: darkroom.store.get("suggest", true), act: () => darkroom.store.set("suggest", !darkroom.store.get("suggest", true)) }];
})();
