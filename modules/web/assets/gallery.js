"use strict";
// What surrounds the gallery: live preview, the text of the picture that is selected, and the buttons under it.
(() => {
  const darkroom = window.darkroom;
  const gallery = () => darkroom.byId("txt2img_gallery");

  darkroom.thumbnails = () => [...(gallery()?.querySelectorAll(".grid-wrap .thumbnail-item") ?? [])];
  darkroom.galleryFiles = () => {
    return darkroom.thumbnails().map((item) => item.querySelector("img")?.src).filter(Boolean);
  };
  darkroom.selectedIndex = () => Math.max(0, darkroom.thumbnails().findIndex((item) => item.classList.contains("selected")));

  // aside: in the corner, because a result of this run is on show; a click makes it large or small.
  darkroom.showLive = (uri, aside) => {
    const image = darkroom.byId("txt2img_live");
    if (!image || !/^data:image\/(jpeg|png|webp);base64,/.test(uri)) return;
    if (image.hidden) image.classList.toggle("dr-aside", aside);
    image.src = uri;
    image.hidden = false;
    darkroom.byId("txt2img_empty").hidden = true;
  };
  darkroom.hideLive = () => {
    const image = darkroom.byId("txt2img_live");
    if (!image) return;
    image.hidden = true;
    image.removeAttribute("src");
  };

  darkroom.on("live-size", (image) => image.classList.toggle("dr-aside"));

  const follow = () => {
    const files = darkroom.galleryFiles();
    const chosen = darkroom.selectedIndex();
    const bar = darkroom.byId("image_buttons_txt2img");
    const empty = darkroom.byId("txt2img_empty");
    if (empty) empty.hidden = files.length > 0 || !darkroom.byId("txt2img_live").hidden;
    document.querySelectorAll("#html_info_txt2img .dr-card").forEach((card) => { card.hidden = Number(card.dataset.n) !== chosen; });
    if (!bar) return;
    bar.hidden = !files.length;
    for (const link of bar.querySelectorAll("a")) {
      if (files[chosen]) link.href = files[chosen];
      if (link.download !== undefined && link.dataset.do === "download" && files[chosen]) link.download = decodeURIComponent(files[chosen].split("/").pop());
    }
  };
  let due = 0;
  darkroom.galleryChanged = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(follow);
  };
  // Gradio tells nobody when a thumbnail is chosen with the keyboard; the class it sets is what can be seen.
  new MutationObserver((changes) => {
    if (changes.some((change) => change.target.closest?.("#txt2img_gallery, #html_info_txt2img"))) darkroom.galleryChanged();
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "src"] });

  const card = () => document.querySelector("#html_info_txt2img .dr-card:not([hidden])");
  darkroom.shownSeed = (now) => card()?.dataset.seed ?? now;

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
