"use strict";
// What the Caption tab says of each picture: words as they are written, candidates, how well texts fit, where the model looked for a word,
// and where the text can go. A card stays the same element; only what changed is drawn. Texts are text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const SIDE = 640;
  const MEAN = -1;
  const SHOWN = 12;
  const SEARCH_SHOWN = 24;
  const cards = new Map(); // "job/index" -> card
  let latest = ""; // id of the job that was begun last; an older one's ranking makes way for it
  const part = (selector) => darkroom.caption.part(selector);

  const begin = (job) => {
    part(".dr-cap-cards").parentElement.querySelector(".dr-cap-none").hidden = true;
    part(".dr-cap-ranking").hidden = true;
    latest = job.id;
    const made = job.pictures.map((picture, index) => {
      const card = { job, index, picture, words: "", said: null, heat: null, word: [], layer: MEAN, head: MEAN, opacity: 0.6, item: make("article.dr-cap-card") };
      card.item.dataset.key = `${job.id}/${index}`;
      cards.set(card.item.dataset.key, card);
      draw(card);
      return card.item;
    });
    part(".dr-cap-cards").prepend(...made);
  };
  const heard = (job, now) => {
    for (const event of now.events) {
      const card = cards.get(`${job.id}/${event.data.index}`);
      if (event.type === "words" && card && !card.said) {
        card.words += event.data.text;
        card.item.querySelector(".dr-cap-text").textContent = card.words;
      } else if (event.type === "caption" && card) {
        card.said = event.data;
        draw(card);
      }
    }
  };
  const end = (job, now, again = false) => {
    heard(job, now);
    for (const entry of now.result?.captions ?? []) {
      const card = cards.get(`${job.id}/${entry.index}`);
      if (card && !card.said) { card.said = entry; draw(card); }
    }
    for (let index = 0; index < job.pictures.length; index += 1) {
      const card = cards.get(`${job.id}/${index}`);
      if (!card || card.said) continue;
      if (now.state === "gone") { card.item.remove(); cards.delete(card.item.dataset.key); continue; }
      card.said = { caption: "", fault: { message: now.fault?.message ?? "Stopped before it was done." } };
      draw(card);
    }
    if (now.result?.ranking && job.id === latest && (job.search || job.pictures.length > 1)) ranking(job, now.result.ranking);
    if (job.search && now.fault && !again) darkroom.caption.say("The folder could not be searched", now.fault.message);
    const warnings = (now.result?.warnings ?? []).join("\n");
    if (!again && warnings) darkroom.caption.say("About the captions", warnings, "warning");
  };

  // Pictures by how well each text fits them, best first.
  const ranking = (job, rows) => {
    const box = part(".dr-cap-ranking");
    box.hidden = false;
    const where = (one) => (job.search ? `internal/captions/${encodeURIComponent(job.id)}/${one.index}/thumbnail` : darkroom.caption.address(job.pictures[one.index].reference, 168));
    const head = job.search ? `Pictures in ${job.search} for each text, best first` : "Pictures for each text, best first";
    box.replaceChildren(make("h2", head), ...rows.map((row) => make("div.dr-cap-ranked", make("p", row.text), make("ol", ...row.pictures.slice(0, job.search ? SEARCH_SHOWN : SHOWN).map((one) => {
      const image = Object.assign(make("img"), { src: where(one), alt: one.name || `Picture ${one.index + 1}`, loading: "lazy" });
      const item = make("li", image, make("span", (one.chance ?? one.cosine).toFixed(2)));
      item.title = `${one.name}\ncosine ${one.cosine.toFixed(3)}${one.chance === null ? "" : `, chance ${(one.chance * 100).toFixed(1)} %`}`;
      return item;
    })))));
  };

  // ---- One card -----------------------------------------------------------------------------------------------------

  const followed = (card) => { // the text whose words can be followed over the picture, and by which model
    const row = darkroom.caption.models().find((one) => one.name === card.job.model) ?? darkroom.caption.models().find((one) => one.heat && one.does.includes("caption"));
    if (!row?.heat || card.said.places || card.said.tags) return null;
    if (row.follows === "read") return { model: row.name, text: card.job.asked || card.said.caption, question: Boolean(card.job.asked) };
    return { model: row.name, text: card.said.candidates?.[0]?.text ?? card.said.caption };
  };
  const wordButtons = (card, words) => words.flatMap((word, n) => {
    const button = action(word, "caption-word", { n }, "dr-cap-word");
    button.setAttribute("aria-pressed", String(card.word.includes(n)));
    button.title = "Where the model looked";
    return [button, " "];
  });
  const draw = (card) => {
    const { said, picture } = card;
    const image = Object.assign(make("img.dr-cap-picture"), { src: darkroom.caption.address(picture.reference, SIDE), alt: picture.name || "Picture", draggable: false });
    const frame = make("figure", image, ...(said?.places?.length ? [darkroom.captionPlaces.over(said)] : []));
    const body = make("div.dr-cap-body");
    const open = card.item.querySelector(".dr-cap-dataset"); // what is being filled in there stays
    card.item.replaceChildren(frame, body);
    card.item.dataset.state = said ? (said.fault ? "fault" : "done") : "at-work";
    if (picture.name) body.append(make("div.dr-cap-name.dr-quiet", picture.name));
    if (card.job.asked || card.job.words) body.append(make("p.dr-cap-asked", card.job.asked || card.job.words));
    if (!said) return void body.append(make("p.dr-cap-text", card.words || "…"));
    if (said.fault) return void body.append(make("p.dr-cap-fault", said.fault.message), tools(card, true));
    const heat = followed(card);
    const words = card.heat?.words ?? (said.fits ? [] : heat ? heat.text.split(/\s+/).filter(Boolean) : []);
    const text = make("p.dr-cap-text");
    if (said.fits) body.append(fits(card, said.fits));
    else if (heat && heat.text === (said.candidates?.[0]?.text ?? said.caption)) {
      text.append(...wordButtons(card, words));
      if (said.caption.length > heat.text.length) text.append(make("span.dr-quiet", said.caption.slice(heat.text.length)));
    } else text.textContent = said.caption;
    if (!said.fits) body.append(text);
    if (said.places) {
      if (!said.caption) text.textContent = "Nothing was found";
      body.append(darkroom.captionPlaces.list(said, frame));
    }
    if (heat && card.job.asked && heat.question) body.append(make("p.dr-cap-text.dr-cap-of-question", make("span.dr-quiet", "Words of the question: "), ...wordButtons(card, words)));
    if (said.candidates?.length > 1) body.append(make("ol.dr-cap-others", ...said.candidates.slice(1).map((one) => make("li", one.text, " ", make("span.dr-quiet", `${one.score.toFixed(2)}`)))));
    if (card.fit) body.append(make("p.dr-cap-fit", card.fit));
    body.append(tools(card), ...(open ? [open] : []), heatBar(card));
    if (said.seen) body.append(seen(said.seen));
    if (card.heat && card.shaded) shade(card);
  };
  const fits = (card, rows) => make("table.dr-cap-fits", make("tbody", ...rows.map((row) => {
    const share = Math.max(0, Math.min(1, row.chance ?? row.cosine));
    const bar = make("td.dr-cap-share", make("i"));
    bar.firstElementChild.style.width = `${share * 100}%`;
    return make("tr", make("td", row.text), bar, make("td.dr-cap-number", row.chance === null ? row.cosine.toFixed(3) : `${(row.chance * 100).toFixed(1)} %`));
  })));
  const seen = (said) => {
    const image = Object.assign(make("img"), { src: darkroom.caption.address(said.picture, 512), alt: "The picture as the model sees it" });
    const numbers = (list) => list.map((value) => +value.toFixed(4)).join(", ");
    const facts = [`${said.width} × ${said.height}`, said.resampling, said.mean ? `mean ${numbers(said.mean)}` : "", said.deviation ? `deviation ${numbers(said.deviation)}` : ""].filter(Boolean);
    return make("figure.dr-cap-seen", image, make("figcaption.dr-quiet", `What the model sees: ${facts.join(" · ")}`));
  };
  const tools = (card, fault = false) => {
    const bar = make("div.dr-cap-tools");
    const button = (words, name, title) => { const made = action(words, name); if (title) made.title = title; return made; };
    if (!fault) {
      bar.append(
        button("Send to prompt", "caption-send", "Put this text into the prompt of txt2img"), button("To img2img", "caption-send-img2img", "This picture and this text"),
        button("Make it again", "caption-again", "A new picture from this text"), button("Score against my prompt", "caption-score", "How well the prompt of txt2img fits this picture"),
        button("Add to dataset", "caption-dataset", "A copy of this picture with this text, into a training session"), button("Copy", "caption-copy"),
      );
    }
    bar.append(button("Remove", "caption-drop"));
    return bar;
  };
  const heatBar = (card) => {
    const bar = make("div.dr-cap-heat");
    if (!card.heat) {
      bar.hidden = !card.note;
      if (card.note) bar.append(make("span.dr-quiet", card.note));
      return bar;
    }
    const pick = (name, count, words) => {
      const box = make("select");
      box.append(new Option(`Mean of ${count} ${words.toLowerCase()}s`, MEAN, false, card[name] === MEAN), ...Array.from({ length: count }, (_, n) => new Option(`${words} ${n + 1}`, n, false, card[name] === n)));
      box.dataset.heat = name;
      box.setAttribute("aria-label", words);
      return box;
    };
    const slider = Object.assign(make("input"), { type: "range", min: 0.1, max: 1, step: 0.05, value: card.opacity });
    slider.dataset.heat = "opacity";
    slider.setAttribute("aria-label", "How strong the heat map is");
    const all = action("All words", "caption-all-words");
    const off = action("Picture alone", "caption-no-heat");
    const save = Object.assign(make("a.dr-button", "Save PNG"), { href: address(card, { side: 2048 }), download: `heat ${card.word.map((n) => card.heat.words[n]).join(" ") || "all"}.png` });
    bar.append(pick("layer", card.heat.layers, "Layer"), pick("head", card.heat.heads, "Head"), slider, all, off, save);
    return bar;
  };

  // ---- Where the model looked ---------------------------------------------------------------------------------------

  const address = (card, more = {}) => {
    const query = new URLSearchParams({ layer: card.layer, head: card.head, opacity: card.opacity, side: SIDE, ...more });
    for (const n of card.word) query.append("word", n);
    return `internal/captions/${encodeURIComponent(card.heat.job)}/0/heat.png?${query}`;
  };
  const shade = (card) => {
    const image = card.item.querySelector(".dr-cap-picture");
    image.src = card.heat && card.shaded ? address(card) : darkroom.caption.address(card.picture.reference, SIDE);
    image.toggleAttribute("data-heat", Boolean(card.heat && card.shaded));
    for (const button of card.item.querySelectorAll(".dr-cap-word")) button.setAttribute("aria-pressed", String(card.shaded && card.word.includes(Number(button.dataset.n))));
    card.item.querySelector(".dr-cap-heat").replaceWith(heatBar(card));
  };
  // A second pass, in which the words are given: asked for when the first word is clicked, kept with the card.
  const fetchHeat = async (card) => {
    const about = followed(card);
    card.note = "Looking where the model looked…";
    const told = darkroom.caption.models().find((row) => row.name === about.model)?.tasks?.find((one) => one.name === card.job.task);
    const asked = about.question || about.model !== card.job.model ? {} : { ...(card.job.asked ? { question: card.job.asked } : {}), ...(told ? { task: told.name, ...(told.reads ? { prompt: card.job.words } : {}) } : {}) };
    card.item.querySelector(".dr-cap-heat").replaceWith(heatBar(card));
    const { id, ended } = await darkroom.caption.submit({ images: [card.picture.reference], image_names: [card.picture.name], model: about.model, caption: about.text, ...asked, fit: card.job.fit ?? "model" });
    const now = await ended;
    const found = now.result?.captions?.[0]?.attention;
    card.note = "";
    if (!found || found.fault) throw new Error(found?.fault ?? now.fault?.message ?? "The job was stopped.");
    card.heat = { ...found, job: id };
  };
  const cardOf = (button) => cards.get(button.closest(".dr-cap-card")?.dataset.key);
  const look = async (card, words) => {
    const before = card.heat ? null : words.map((n) => card.item.querySelectorAll(".dr-cap-word")[n]?.textContent ?? "");
    try {
      if (!card.heat) await fetchHeat(card);
      // The model's own cut into words may differ from the spaces; take the one that begins alike.
      if (before) words = before.map((text, i) => (card.heat.words[words[i]] === text ? words[i] : Math.max(0, card.heat.words.findIndex((one) => one && text.startsWith(one)))));
      Object.assign(card, { word: words, shaded: true });
      if (before) draw(card);
      shade(card);
    } catch (error) {
      card.note = "";
      darkroom.caption.say("There is no heat map", error.message);
      draw(card);
    }
  };
  darkroom.on("caption-word", (button) => {
    const card = cardOf(button);
    const n = Number(button.dataset.n);
    if (card.shaded && card.word.length === 1 && card.word[0] === n) { card.shaded = false; return shade(card); }
    look(card, [n]);
  });
  darkroom.on("caption-all-words", (button) => look(cardOf(button), []));
  darkroom.on("caption-no-heat", (button) => { const card = cardOf(button); card.shaded = false; shade(card); });
  document.addEventListener("change", (event) => {
    const field = event.target.closest?.("[data-heat]:is(select, input)");
    const card = field && cardOf(field);
    if (!card) return;
    card[field.dataset.heat] = Number(field.value);
    card.shaded = true;
    shade(card);
  });

  // ---- Where the text goes ------------------------------------------------------------------------------------------

  const textOf = (card) => card.said.caption;
  const toTxt2img = (text) => {
    darkroom.showTab("txt2img");
    darkroom.write("txt2img_prompt", text);
    darkroom.byId("txt2img_prompt").querySelector("textarea").focus();
  };
  darkroom.on("caption-send", (button) => toTxt2img(textOf(cardOf(button))));
  darkroom.on("caption-send-img2img", async (button) => {
    const card = cardOf(button);
    await darkroom.pictureTargets.img2img(new URL(darkroom.caption.address(card.picture.reference, 2048), document.baseURI).href, "").catch((error) => darkroom.caption.say("The picture could not be sent", error.message));
    darkroom.later(() => darkroom.write("img2img_prompt", textOf(card)), "#img2img_prompt textarea");
  });
  darkroom.on("caption-again", async (button) => {
    const text = textOf(cardOf(button));
    toTxt2img(text);
    await darkroom.formHas("txt2img", "prompt", text);
    darkroom.press("txt2img_generate");
  });
  darkroom.on("caption-copy", async (button) => {
    try {
      await navigator.clipboard.writeText(textOf(cardOf(button)));
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      darkroom.caption.say("The clipboard is closed to this page", "Mark the text and copy it by hand.");
    }
  });
  darkroom.on("caption-drop", (button) => {
    const card = cardOf(button);
    card.item.remove();
    cards.delete(card.item.dataset.key);
    if (![...cards.values()].some((one) => one.job === card.job)) darkroom.caption.forget(card.job.id);
    if (!cards.size) part(".dr-cap-pictures .dr-cap-none").hidden = false;
  });
  darkroom.on("caption-score", async (button) => {
    const card = cardOf(button);
    const prompt = document.querySelector("#txt2img_prompt textarea")?.value.trim();
    if (!prompt) return darkroom.caption.say("There is no prompt to compare", "Type one in txt2img first.");
    const able = darkroom.caption.models().find((row) => row.does.includes("match"));
    if (!able) return darkroom.caption.say("No model here can compare", "docs/captioning.md names some; put one into models/BLIP or models/CLIP.");
    card.fit = "Comparing…";
    draw(card);
    try {
      const { ended } = await darkroom.caption.submit({ images: [card.picture.reference], model: able.name, texts: [...new Set([prompt, textOf(card)])], fit: card.job.fit ?? "model" });
      const now = await ended;
      const rows = now.result?.captions?.[0]?.fits;
      if (!rows) throw new Error(now.fault?.message ?? "It was stopped.");
      const told = (text) => { const row = rows.find((one) => one.text === text); return row.chance === null ? row.cosine.toFixed(3) : `${(row.chance * 100).toFixed(1)} %`; };
      card.fit = `Your prompt fits by ${told(prompt)}, this text by ${told(textOf(card))} (${rows[0].chance === null ? "cosine" : "chance"}, ${able.name}).`;
    } catch (error) {
      card.fit = "";
      darkroom.caption.say("They could not be compared", error.message);
    }
    draw(card);
  });

  darkroom.captionCards = { begin, heard, end, cardOf, cards, textOf };

  // ---- Interrogate in img2img: the words go into its prompt ----------------------------------------------------------

  const interrogate = async (button, model) => {
    if (button.dataset.busy) return;
    const begun = await darkroom.beginning();
    const image = begun.image ?? begun.files?.[0]?.reference;
    if (!image) return darkroom.tell("There is no picture to interrogate", "Give img2img a picture first.");
    button.dataset.busy = "yes";
    button.setAttribute("aria-busy", "true");
    try {
      const { ended } = await darkroom.caption.submit({ images: [image], model });
      const now = await ended;
      const said = now.result?.captions?.[0];
      if (said?.caption) darkroom.write("img2img_prompt", said.caption);
      else darkroom.tell("The picture could not be interrogated", said?.fault?.message ?? now.fault?.message ?? "The job was stopped.");
    } catch (error) {
      darkroom.tell("The picture could not be interrogated", error.message);
    } finally {
      delete button.dataset.busy;
      button.removeAttribute("aria-busy");
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#interrogate, #deepbooru");
    if (button) interrogate(button, button.id === "interrogate" ? "clip" : "deepdanbooru");
  });
})();
