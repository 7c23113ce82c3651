"use strict";
// The tour: five steps from an empty page to a picture and what can be done with it. Offered once, to be had again below the page.
(() => {
  const darkroom = window.darkroom;
  const { make, action } = darkroom;
  const PROMPT = "a red apple, 3d";
  // place: what is shown; words: what it is for; before: run when the step begins.
  const STEPS = [
    { place: "#txt2img_prompt", title: "Say what you want to see", words: "A few words are enough. The lower box is for what should not be in the picture.", before: () => {
      const box = document.querySelector("#txt2img_prompt textarea");
      if (box && !box.value.trim()) darkroom.write("txt2img_prompt", PROMPT);
    } },
    { place: "#txt2img_generate", title: "Make the picture", words: "Press Generate, or Ctrl+Enter in the prompt. The small model that came with the program needs a few seconds; the time is told below the button." },
    { place: "#txt2img_gallery_container", title: "Here it appears", words: "While it is made you see a preview. Then you can look at it large, send it on to be changed, described or enlarged, or keep it." },
    { place: "#txt2img_settings", title: "Try other settings", words: "Point at a control and it says what it does. A right click puts one back to how it began; the same seed makes the same picture again." },
    { place: "#tabs > .tab-wrapper", title: "There is more", words: "img2img changes a picture, Extras enlarges it, History finds everything again, and Models takes other models in. Press ? for the keys." },
  ];

  let at = -1;
  let before = null;
  const card = () => darkroom.byId("dr_tour");
  const clear = () => document.querySelectorAll(".dr-tour-place").forEach((one) => one.classList.remove("dr-tour-place"));
  const seen = () => {
    darkroom.store.set("tour", true);
    document.querySelectorAll(".dr-first").forEach((one) => { one.hidden = true; });
    darkroom.ask("internal/form/mark", { name: "tour", value: true }).catch(() => null); // this browser remembers it anyway
  };
  const end = () => {
    clear();
    card()?.remove();
    at = -1;
    before?.focus?.({ preventScroll: true });
  };

  const show = (step) => {
    at = step;
    const { place, title, words, before: prepare } = STEPS[at];
    prepare?.();
    clear();
    const shown = document.querySelector(place);
    shown?.classList.add("dr-tour-place");
    shown?.scrollIntoView({ block: "center", behavior: "instant" });
    const last = at === STEPS.length - 1;
    const box = card() ?? document.querySelector(".gradio-container").appendChild(Object.assign(make("div"), { id: "dr_tour", tabIndex: -1 }));
    box.setAttribute("role", "dialog");
    box.setAttribute("aria-label", `Tour, step ${at + 1} of ${STEPS.length}: ${title}`);
    box.replaceChildren(
      make("p.dr-quiet", `${at + 1} of ${STEPS.length}`), make("h2", title), make("p", words),
      make("div.dr-line", last ? make("span") : action("Skip the tour", "tour-end", {}, "dr-link"), make("span", at ? action("Back", "tour-back") : "", " ", action(last ? "Done" : "Next", last ? "tour-end" : "tour-next", {}, "dr-button.dr-main"))),
    );
    stand(box, shown);
    box.querySelector(".dr-main").focus({ preventScroll: true });
  };
  // Beside what it is about, where there is room: below, above, or else over its lower edge.
  const stand = (box, shown) => {
    const room = 10;
    const place = shown?.getBoundingClientRect() ?? new DOMRect(room, room, 0, 0);
    const high = box.offsetHeight, wide = box.offsetWidth;
    const below = place.bottom + room + high < innerHeight;
    const above = place.top - room - high > 0;
    const top = below ? place.bottom + room : above ? place.top - room - high : innerHeight - high - room;
    box.style.top = `${Math.max(room, top)}px`;
    box.style.left = `${Math.max(room, Math.min(place.left, innerWidth - wide - room))}px`;
  };

  darkroom.startTour = () => {
    seen();
    before = document.activeElement;
    darkroom.showTab("txt2img");
    darkroom.later(() => show(0), "#txt2img_prompt textarea");
  };
  darkroom.on("tour", darkroom.startTour);
  darkroom.on("tour-never", seen);
  darkroom.on("tour-next", () => show(at + 1));
  darkroom.on("tour-back", () => show(at - 1));
  darkroom.on("tour-end", end);
  const going = (event) => at >= 0 && event.target.closest?.("#dr_tour");
  const turn = (by) => { if (STEPS[at + by]) show(at + by); };
  darkroom.keys("Tour", going, [
    ["ArrowRight", "Next step", () => turn(1)],
    ["ArrowLeft", "Step before", () => turn(-1)],
    ["Escape", "End the tour", end],
  ]);
  addEventListener("resize", () => { if (at >= 0) stand(card(), document.querySelector(STEPS[at].place)); });

  // Offered where the first picture will be, to whom it was not offered before.
  const offer = async () => {
    if (darkroom.store.get("tour", false)) return;
    const mine = await darkroom.mine;
    if (!mine || mine.marks?.tour) return;
    document.querySelectorAll(".dr-first").forEach((one) => { one.hidden = false; });
  };
  darkroom.later(offer, ".dr-first");
})();
