"use strict";
// Pictures on their way to PNG Info: from the gallery's button, by dragging, and from the clipboard.
(() => {
  const darkroom = window.darkroom;
  const INPUT = "#pnginfo_image input[type=file]";

  // A picture already there hides the file input; its close button brings the input back.
  const give = async (file) => {
    darkroom.showTab("pnginfo");
    await darkroom.present("#pnginfo_image");
    if (!document.querySelector(INPUT)) document.querySelector("#pnginfo_image button[aria-label=Clear], #pnginfo_image button[title=Clear]")?.click();
    const input = await darkroom.present(INPUT);
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  const hand = (file) => give(file).catch((error) => darkroom.tell("The picture could not be shown here", error.message));

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
    if (file) await hand(file);
    else darkroom.tell("The picture could not be read", "The file may have been moved or deleted since.");
  };

  darkroom.pictureTargets.pnginfo = send;
  darkroom.on("send-png-info", () => send(darkroom.galleryFiles()[darkroom.selectedIndex()]));

  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    if (!darkroom.takePicture?.(file)) hand(file);
  });

  const isLink = (event) => event.dataTransfer?.types.includes("text/uri-list") && !event.dataTransfer.types.includes("Files");
  const ours = (event) => event.target.closest?.("#pnginfo_image") && (isLink(event) || darkroom.dragged);
  document.addEventListener("dragstart", (event) => {
    const image = event.target.closest?.("#txt2img_gallery img, #img2img_gallery img") ?? event.target.querySelector?.(":scope > img");
    darkroom.dragged = image?.closest("#txt2img_gallery, #img2img_gallery") ? image.src : null;
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
