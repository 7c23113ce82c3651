"use strict";
// Beside the pictures of a session: a captioner over all of them, the words of all captions by how often they stand, tools that change
// many captions at once, and the crop of all. Tools work on the pictures that are shown.
(() => {
  const darkroom = window.darkroom;
  const { make, action, train } = darkroom;
  const { ask, say, attempt, named, field, select, count, state } = train;
  const LOOK_MS = 700;
  const TAGS = 80;
  const TOOLS = [["add_front", "Put in front"], ["add_back", "Put at the end"], ["replace", "Replace"], ["remove", "Take away"], ["dedupe", "Once each"], ["sort", "Sort by name"], ["lower", "Small letters"], ["sort_by_count", "Sort by how frequent"], ["underscores", "Underscores to spaces"], ["undo", "Take the last change back"]];
  const ADDS = ["add_front", "add_back"];
  const ALONE = ["dedupe", "sort", "lower", "sort_by_count", "underscores", "undo"];
  const EXISTING = [["skip", "Leave captions that are there"], ["overwrite", "Write over them"], ["append", "Put it behind them"], ["prepend", "Put it before them"]];

  const mine = { captioners: null, job: null, of: "", all: false };
  const part = (selector) => train.pictures.part(selector);

  // ---- Captions by a captioner --------------------------------------------------------------------------------------

  const fillCaptioners = async () => {
    if (!mine.captioners) {
      const answer = await ask("internal/captions").catch((error) => { say("The captioners cannot be listed", error.message); return null; });
      if (!answer) return;
      mine.captioners = { rows: answer.models.filter((row) => row.does.includes("caption")), usual: answer.usual };
    }
    const box = part("#train_captioner");
    if (!box) return;
    const { rows, usual } = mine.captioners;
    box.replaceChildren(...rows.map((row) => new Option(row.name, row.name, false, row.name === usual)));
    box.disabled = !rows.length;
    part("[data-do=train-caption-all]").disabled = !rows.length || Boolean(mine.job);
    if (!rows.length) box.replaceChildren(new Option("No captioner is installed", ""));
  };
  const follow = async (name, job) => {
    Object.assign(mine, { job, of: name });
    for (;;) {
      const box = state.open?.name === name ? part(".dr-train-captioning") : null;
      const now = await ask("internal/progress", { body: { id_task: job, live_preview: false } }).catch(() => null);
      if (box && now) {
        const percent = Math.floor(100 * (now.progress ?? 0));
        box.querySelector(".dr-what").textContent = now.queued ? "Waiting for its turn" : now.textinfo || `Captioning, ${percent} %`;
        box.querySelector(".dr-bar i").style.width = `${percent}%`;
        box.querySelector(".dr-bar").setAttribute("aria-valuenow", percent);
        box.hidden = false;
      }
      if (now && (now.completed || now.state === "unknown")) break;
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
    }
    mine.job = null;
    const ended = await ask(`internal/jobs/${encodeURIComponent(job)}`).catch(() => null);
    if (part(".dr-train-captioning")) part(".dr-train-captioning").hidden = true;
    if (part("[data-do=train-caption-all]")) part("[data-do=train-caption-all]").disabled = false;
    if (ended?.fault) say("The captions were not written", ended.fault.message);
    if (state.open?.name === name && part(".dr-train-cards")) train.pictures.look();
  };
  darkroom.on("train-caption-all", async (button) => {
    const { name } = state.open;
    button.disabled = true;
    await train.pictures.flush();
    const body = { request: { model: part("#train_captioner").value, existing: part("#train_existing").value, prefix: part("#train_prefix").value } };
    const answer = await attempt("The pictures were not captioned", () => ask(train.pictures.address("/captions"), { body }));
    if (!answer?.job) {
      button.disabled = false;
      return;
    }
    darkroom.lookAtQueue?.();
    follow(name, answer.job.id);
  });
  darkroom.on("train-caption-stop", () => { if (mine.job) ask(`internal/jobs/${encodeURIComponent(mine.job)}/cancel`, { body: {} }).catch(() => null); });

  // ---- Words and tools ----------------------------------------------------------------------------------------------

  const counted = () => {
    const found = new Map();
    for (const row of train.pictures.mine.items) for (const tag of new Set(train.pictures.tagsOf(row.caption))) found.set(tag, (found.get(tag) ?? 0) + 1);
    return [...found].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  };
  const paint = () => {
    const box = part(".dr-train-tags");
    if (!box) return;
    const all = counted();
    const own = train.pictures.mine;
    box.replaceChildren(...all.slice(0, mine.all ? all.length : TAGS).map(([tag, n]) => {
      const chip = action("", "train-tag", { tag }, "dr-cap-tag");
      chip.append(make("span", tag), make("b", n));
      chip.setAttribute("aria-pressed", String(own.tag === tag));
      return chip;
    }), ...(all.length > TAGS && !mine.all ? [action(`${all.length - TAGS} more`, "train-tags-all", {}, "dr-link")] : []));
    const fold = part(".dr-train-tagging");
    fold.hidden = !own.items.length;
    for (const one of train.root().querySelectorAll(".dr-train-when-there")) one.hidden = !own.items.length;
    const rows = train.pictures.found();
    part(".dr-train-reach").textContent = train.pictures.narrowed() ? `For the ${count(rows.length, "picture")} shown` : `For all ${count(rows.length, "picture")}`;
    part(".dr-train-no-tags").hidden = all.length > 0;
  };
  darkroom.on("train-tag", (chip) => {
    const own = train.pictures.mine;
    own.tag = own.tag === chip.dataset.tag ? "" : chip.dataset.tag;
    part("#train_tag").value = own.tag;
    const tool = part("#train_tool");
    if (own.tag && !["replace", "remove"].includes(tool.value)) tool.value = "replace";
    showWith();
    train.pictures.paint();
    [...train.root().querySelectorAll("[data-do=train-tag]")].find((one) => one.dataset.tag === chip.dataset.tag)?.focus({ preventScroll: true });
  });
  darkroom.on("train-tags-all", () => { mine.all = true; paint(); });
  const showWith = () => {
    const tool = part("#train_tool").value;
    part("#train_with").closest("label").hidden = tool !== "replace";
    part("#train_tag").closest("label").hidden = ALONE.includes(tool);
  };
  document.addEventListener("change", (event) => { if (event.target.id === "train_tool") showWith(); });
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "train_tagging") return;
    event.preventDefault();
    const tool = part("#train_tool").value;
    const tag = part("#train_tag").value.trim();
    if (!tag && !ALONE.includes(tool)) return void part("#train_tag").focus();
    await train.pictures.flush();
    const body = { tool, files: train.pictures.found().map((row) => row.file) };
    if (ADDS.includes(tool)) body.put = tag;
    else if (!ALONE.includes(tool)) body.find = tag;
    if (tool === "replace") body.put = part("#train_with").value.trim();
    const answer = await attempt("The captions were not changed", () => ask(train.pictures.address("/captions"), { body }));
    if (!answer) return;
    train.pictures.mine.tag = "";
    part(".dr-train-changed").textContent = `${count(answer.changed, "caption")} changed`;
    train.pictures.look();
  }, true);

  // ---- Crops --------------------------------------------------------------------------------------------------------

  darkroom.on("train-crop-all", async (button) => {
    button.disabled = true;
    part(".dr-train-cropping").textContent = "Looking for what the pictures are of…";
    const answer = await attempt("The pictures were not cropped", () => ask(train.pictures.address("/crop"), { body: {}, timeout_ms: 600000 }));
    button.disabled = false;
    part(".dr-train-cropping").textContent = answer ? `${count(answer.changed.length, "picture")} cropped` : "";
    if (answer?.refused.length) say("Not every picture was cropped", answer.refused.map((one) => `${one.name}: ${one.why}`).join("\n"));
    if (answer) train.pictures.look();
  });
  darkroom.on("train-crop-none", async (button) => {
    button.disabled = true;
    await attempt("Not every crop was taken away", async () => {
      for (const row of train.pictures.mine.items.filter((one) => one.crop)) await ask(train.pictures.of(row.file), { method: "PATCH", body: { crop: null } });
    });
    button.disabled = false;
    part(".dr-train-cropping").textContent = "Whole pictures are used";
    train.pictures.look();
  });

  const fold = (title, ...inside) => {
    const box = make("details.dr-cap-fold", make("summary", title), make("div", ...inside));
    box.open = innerWidth > 860;
    return box;
  };
  train.words = {
    paint,
    draw() {
      const captioner = Object.assign(make("select"), { id: "train_captioner" });
      const existing = Object.assign(select(EXISTING, "skip"), { id: "train_existing" });
      const prefix = Object.assign(make("input"), { type: "text", id: "train_prefix", autocomplete: "off", placeholder: "such as the trigger word, and a comma" });
      const bar = make("div.dr-bar", make("i"));
      bar.setAttribute("role", "progressbar");
      named(bar, "Captions");
      const progress = make("div.dr-train-captioning", make("div.dr-line", make("span.dr-what"), action("Stop", "train-caption-stop", {}, "dr-link")), bar);
      progress.hidden = true;
      const captions = fold("Captions by a model", field("Captioner", captioner), field("Where there is one", existing), field("In front of each", prefix), action("Caption all", "train-caption-all", {}, "dr-button.dr-main"), progress);
      const tool = Object.assign(select(TOOLS, "add_front"), { id: "train_tool" });
      const text = (id, placeholder) => Object.assign(make("input"), { type: "text", id, placeholder, autocomplete: "off" });
      const apply = Object.assign(make("button.dr-button", "Apply"), { type: "submit" });
      const form = make("form", make("div.dr-cap-pair", field("What", tool), field("Words", text("train_tag", "a tag, between commas"))), field("By", text("train_with", "nothing: take it away")), make("div.dr-train-tools", apply, make("span.dr-train-reach.dr-quiet"), make("span.dr-train-changed.dr-quiet")));
      form.id = "train_tagging";
      form.querySelector(".dr-train-changed").setAttribute("role", "status");
      const tags = named(make("div.dr-train-tags"), "Tags of all captions, the most frequent first");
      tags.setAttribute("role", "group");
      const words = fold("Tags", make("p.dr-train-no-tags.dr-quiet", "What stands between commas in captions is counted here."), tags, form);
      words.classList.add("dr-train-tagging");
      const cropping = make("span.dr-train-cropping.dr-quiet");
      cropping.setAttribute("role", "status");
      const crop = fold("Crop", make("p.dr-quiet", "Click a picture to choose the part that is used. Or let the program find faces and what stands out."), make("div.dr-train-tools", action("Crop all to the subject", "train-crop-all"), action("Use whole pictures", "train-crop-none")), cropping);
      for (const one of [captions, crop]) one.classList.add("dr-train-when-there");
      setTimeout(() => {
        fillCaptioners();
        if (part("#train_with")) showWith();
        if (mine.job && mine.of === state.open?.name && part(".dr-train-captioning")) part(".dr-train-captioning").hidden = false;
      });
      return make("div.dr-train-wording", captions, words, crop);
    },
  };
})();
