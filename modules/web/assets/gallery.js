"use strict";
// What surrounds the gallery: live preview, the text of the picture that is selected, and the buttons under it.
(() => {
  const darkroom = window.darkroom;
  const TABS = ["txt2img", "img2img"];
  const here = (tab) => tab ?? darkroom.tab();
  const gallery = (tab) => darkroom.byId(`${here(tab)}_gallery`);

  darkroom.thumbnails = (tab) => [...(gallery(tab)?.querySelectorAll(".grid-wrap .thumbnail-item") ?? [])];
  darkroom.galleryFiles = (tab) => {
    return darkroom.thumbnails(tab).map((item) => item.querySelector("img")?.src).filter(Boolean);
  };
  darkroom.selectedIndex = (tab) => Math.max(0, darkroom.thumbnails(tab).findIndex((item) => item.classList.contains("selected")));

  // aside: in the corner, because a result of this run is on show; a click makes it large or small.
  darkroom.showLive = (tab, uri, aside) => {
    const image = darkroom.byId(`${tab}_live`);
    if (!image || !/^data:image\/(jpeg|png|webp);base64,/.test(uri)) return;
    if (image.hidden) image.classList.toggle("dr-aside", aside);
    image.src = uri;
    image.hidden = false;
    darkroom.byId(`${tab}_empty`).hidden = true;
  };
  darkroom.hideLive = (tab) => {
    const image = darkroom.byId(`${tab}_live`);
    if (!image) return;
    image.hidden = true;
    image.removeAttribute("src");
  };

  darkroom.on("live-size", (image) => image.classList.toggle("dr-aside"));

  const cards = (tab) => [...document.querySelectorAll(`#html_info_${tab} .dr-card`)];
  const zipAddress = (tab) => {
    const sources = cards(tab).map((card) => card.dataset.source).filter(Boolean);
    return `internal/zip?${new URLSearchParams(sources.map((source) => ["pictures", source]))}`;
  };
  const follow = (tab) => {
    const files = darkroom.galleryFiles(tab);
    const chosen = darkroom.selectedIndex(tab);
    const bar = darkroom.byId(`image_buttons_${tab}`);
    const empty = darkroom.byId(`${tab}_empty`);
    if (empty) empty.hidden = files.length > 0 || !darkroom.byId(`${tab}_live`).hidden;
    for (const card of cards(tab)) card.hidden = Number(card.dataset.n) !== chosen;
    if (!bar) return;
    bar.hidden = !files.length;
    if (!files[chosen]) return;
    const map = cards(tab).some((card) => !card.hidden && card.dataset.kind === "control"); // what a ControlNet unit saw, not a picture that was made
    for (const button of bar.querySelectorAll("[data-do=send-picture]")) {
      button.hidden = !darkroom.pictureTargets?.[button.dataset.target] || (map && button.dataset.target !== "controlnet");
    }
    for (const button of bar.querySelectorAll("[data-do=upscale], [data-do=send-png-info]")) button.hidden = map;
    for (const link of bar.querySelectorAll("a")) {
      link.href = link.dataset.do === "zip" ? zipAddress(tab) : files[chosen];
      if (link.dataset.do === "download") link.download = decodeURIComponent(files[chosen].split("/").pop());
    }
  };
  let due = 0;
  darkroom.galleryChanged = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => TABS.forEach(follow));
  };
  // Gradio tells nobody when a thumbnail is chosen with the keyboard; the class it sets is what can be seen.
  new MutationObserver((changes) => {
    if (changes.some((change) => change.target.closest?.("#txt2img_gallery, #html_info_txt2img, #img2img_gallery, #html_info_img2img"))) darkroom.galleryChanged();
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "src"] });

  darkroom.card = (tab) => document.querySelector(`#html_info_${here(tab)} .dr-card:not([hidden])`);
  darkroom.shownSeed = (tab, name, now) => darkroom.card(tab)?.dataset[name] ?? now;

  darkroom.on("send-picture", (button) => {
    const text = darkroom.card()?.querySelector(".dr-infotext")?.textContent ?? "";
    return darkroom.sendPicture(darkroom.galleryFiles()[darkroom.selectedIndex()], button.dataset.target, text);
  });
  darkroom.on("keep", async (button) => {
    const source = darkroom.card()?.dataset.source;
    if (!source) return;
    try {
      const { files } = await darkroom.ask("internal/keep", { pictures: [source] });
      button.title = `Kept as ${files[0]}`;
      button.textContent = "Kept";
    } catch (error) {
      darkroom.tell("The picture could not be kept", `${error.message}. The log has the details.`);
    }
    setTimeout(() => { button.textContent = "Keep"; }, 1500);
  });

  darkroom.on("copy-infotext", async (button) => {
    const text = button.closest(".dr-card").querySelector(".dr-infotext").textContent;
    button.textContent = (await copy(text)) ? "Copied" : "Select and press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text); // refused on plain http from another machine
      return true;
    } catch {
      return false;
    }
  };
})();
