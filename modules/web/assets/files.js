"use strict";
// Pictures on their way to PNG Info: from the gallery's button, by dragging, and from the clipboard.
(() => {
  const darkroom = window.darkroom;
  const INPUT = "#pnginfo_image input[type=file]";

  const present = async (selector) => {
    for (let tries = 0; tries < 60; tries += 1) {
      const found = document.querySelector(selector);
      if (found) return found;
      await new Promise((done) => setTimeout(done, 50));
    }
    return null;
  };

  // A picture already there hides the file input; its close button brings the input back.
  const give = async (file) => {
    darkroom.showTab("pnginfo");
    await present("#pnginfo_image");
    if (!document.querySelector(INPUT)) document.querySelector("#pnginfo_image button[aria-label=Clear], #pnginfo_image button[title=Clear]")?.click();
    const input = await present(INPUT);
    if (!input) return;
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // The bytes as they lie on the disk, with the parameters in them. Only from this server.
  const fetchFile = async (address) => {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin) return null;
    const answer = await fetch(url);
    const blob = await answer.blob();
    if (!answer.ok || !blob.type.startsWith("image/")) return null;
    return new File([blob], decodeURIComponent(url.pathname.split("/").pop()) || "picture.png", { type: blob.type });
  };
  const send = async (address) => {
    const file = await fetchFile(address).catch(() => null);
    if (file) await give(file);
    else darkroom.tell("The picture could not be read", "The file may have been moved or deleted since.");
  };

  darkroom.on("send-png-info", () => send(darkroom.galleryFiles()[darkroom.selectedIndex()]));

  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    give(file);
  });

  const isLink = (event) => event.dataTransfer?.types.includes("text/uri-list") && !event.dataTransfer.types.includes("Files");
  const ours = (event) => event.target.closest?.("#pnginfo_image") && (isLink(event) || darkroom.dragged);
  document.addEventListener("dragstart", (event) => {
    const image = event.target.closest?.("#txt2img_gallery img") ?? event.target.querySelector?.(":scope > img");
    darkroom.dragged = image?.closest("#txt2img_gallery") ? image.src : null;
  });
  document.addEventListener("dragend", () => { darkroom.dragged = null; });
  document.addEventListener("dragenter", (event) => event.target.closest?.("#tabs [role=tab]")?.click());
  document.addEventListener("dragover", (event) => { if (ours(event)) event.preventDefault(); }, true);
  document.addEventListener("drop", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    event.stopPropagation();
    send(darkroom.dragged ?? event.dataTransfer.getData("text/uri-list").split("\n")[0]);
    darkroom.dragged = null;
  }, true);
})();
