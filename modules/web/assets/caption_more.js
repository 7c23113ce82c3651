"use strict";
// What stands beside a caption: places that a model found, drawn over the picture; and the way of picture and words into a training session.
// Texts are text, never markup.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const NEW = "";
  const SESSIONS = "api/v2/train/sessions";
  const HUE_STEP = 67;

  // ---- Places -------------------------------------------------------------------------------------------------------

  const drawn = (name, given) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
    return element;
  };
  const corners = (points) => (points.length === 2 ? [points[0], [points[1][0], points[0][1]], points[1], [points[0][0], points[1][1]]] : points);
  // said: {places: [{label, points}], size}; the drawing fills the same box as the picture below it and keeps its shape.
  const over = (said) => {
    const [width, height] = said.size;
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "dr-cap-over", "aria-hidden": "true" });
    said.places.forEach((place, n) => {
      const group = drawn("g", { "data-n": n, style: `--hue: ${(n * HUE_STEP) % 360}` });
      group.append(drawn("polygon", { points: corners(place.points).map((point) => point.join(",")).join(" "), "vector-effect": "non-scaling-stroke" }));
      svg.append(group);
    });
    return svg;
  };
  const list = (said, frame) => {
    const rows = said.places.map((place, n) => {
      const xs = place.points.map((point) => point[0]);
      const ys = place.points.map((point) => point[1]);
      const numbers = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)].map((value) => Math.round(value)).join(", ");
      const button = make("button.dr-cap-place", make("i"), place.label || `Region ${n + 1}`, make("span.dr-quiet", numbers));
      button.type = "button";
      button.style.setProperty("--hue", (n * HUE_STEP) % 360);
      button.setAttribute("aria-pressed", "false");
      button.title = "Left, top, right and bottom in pixels; show this one alone";
      button.addEventListener("click", () => {
        const alone = button.getAttribute("aria-pressed") !== "true";
        for (const other of button.closest("ol").querySelectorAll("button")) other.setAttribute("aria-pressed", String(alone && other === button));
        for (const group of frame.querySelectorAll("g")) group.style.display = alone && Number(group.dataset.n) !== n ? "none" : "";
      });
      return make("li", button);
    });
    return make("ol.dr-cap-places", ...rows);
  };
  darkroom.captionPlaces = { over, list };

  // ---- Into a training session --------------------------------------------------------------------------------------

  const cardOf = (element) => darkroom.captionCards.cardOf(element);
  const ask = (path, body) => darkroom.caption.ask(path, body);
  const place = (name, rest = "") => `${SESSIONS}/${encodeURIComponent(name)}${rest}`;
  darkroom.on("caption-dataset", async (button) => {
    const card = cardOf(button);
    const open = card.item.querySelector(".dr-cap-dataset");
    if (open) return void open.remove();
    const row = make("form.dr-cap-dataset", make("span.dr-quiet", "Looking for training sessions…"));
    card.item.querySelector(".dr-cap-tools").after(row);
    try {
      const { items } = await ask(SESSIONS);
      draw(row, card, items.map((one) => one.name));
    } catch (error) {
      row.remove();
      darkroom.caption.say("The training sessions could not be listed", error.message);
    }
  });
  const draw = (row, card, names) => {
    const last = darkroom.store.get("caption.dataset", "");
    const choice = make("select");
    choice.setAttribute("aria-label", "Training session");
    choice.append(...names.map((name) => new Option(name, name, false, name === last)), new Option("A new session…", NEW, false, !names.includes(last) && !names.length));
    const name = Object.assign(make("input"), { type: "text", maxLength: 80, placeholder: "Name of the new session", autocomplete: "off" });
    name.setAttribute("aria-label", "Name of the new session");
    name.hidden = choice.value !== NEW;
    choice.addEventListener("change", () => { name.hidden = choice.value !== NEW; if (!name.hidden) name.focus(); });
    const add = Object.assign(make("button.dr-button.dr-main", "Add"), { type: "submit" });
    const others = [...darkroom.captionCards.cards.values()].filter((one) => one.job === card.job && one.said && !one.said.fault);
    const all = Object.assign(make("input"), { type: "checkbox" });
    const more = others.length > 1 ? [make("label.dr-cap-check", all, `All ${others.length} of this run`)] : [];
    row.replaceChildren(choice, name, ...more, add);
    row.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      take(row, choice.value || name.value.trim(), choice.value === NEW, all.checked ? others : [card]);
    });
  };
  const take = async (row, wanted, fresh, cards) => {
    if (!wanted) return darkroom.caption.say("The session needs a name", "Type one, or choose a session that is there.");
    row.querySelector("[type=submit]").disabled = true;
    try {
      const { name } = fresh ? await ask(SESSIONS, { name: wanted }) : { name: wanted }; // a name is made fit for a folder
      const body = { inputs: cards.map((one) => one.picture.reference), texts: cards.map((one) => darkroom.captionCards.textOf(one)) };
      const taken = await ask(place(name, "/pictures/take"), body);
      darkroom.store.set("caption.dataset", name);
      const words = taken.pictures.length === 1 ? `Added to ${name} as ${taken.pictures[0]}.` : `${taken.pictures.length} pictures added to ${name}.`;
      const why = taken.refused.map((one) => `${one.name}: ${one.why}`).join("\n");
      row.replaceChildren(make("span", taken.pictures.length ? words : `Nothing was added to ${name}.`, why ? ` ${why}` : ""), action("Open it", "caption-dataset-open", { name }));
      row.setAttribute("role", "status");
    } catch (error) {
      row.querySelector("[type=submit]").disabled = false;
      darkroom.caption.say("It could not be added", error.message);
    }
  };
  darkroom.on("caption-dataset-open", (button) => {
    darkroom.showTab("train");
    darkroom.later(() => darkroom.train?.open(button.dataset.name, "pictures"), "#dr_train");
  });
})();
