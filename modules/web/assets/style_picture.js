"use strict";
// The style picture of txt2img and img2img, a small canvas each. Its reference is a value of the form, in a hidden box, so that a reload
// and a pasted text bring it back too; the canvas shows what stands there. Other scripts ask for darkroom.stylePicture(tab, value).
(() => {
  const darkroom = window.darkroom;
  const UNSENT = "unsent"; // not a reference: the server refuses it in words rather than making a picture without the style
  const canvases = {}; // tab -> Canvas, once its part was opened
  const shown = {}; // tab -> the reference that its canvas shows
  const sending = {}; // tab -> promise of the reference, while a picture is on its way
  const watched = new Set();

  const mark = (tab, reference) => darkroom.markFold(`${tab}_style`, reference ? "on" : "");
  const hold = (tab, reference) => {
    darkroom.write(`${tab}_style_image`, reference);
    mark(tab, reference);
  };
  const remove = (tab) => {
    delete sending[tab];
    shown[tab] = "";
    canvases[tab]?.empty();
    canvases[tab]?.say("");
    hold(tab, "");
  };

  // The browser shows the file at once when it can; the reference comes when the server has it. Of two, the later one counts.
  const take = (tab, blob) => {
    const canvas = canvases[tab];
    canvas?.say("Reading the picture…");
    const seen = canvas ? createImageBitmap(blob, { imageOrientation: "from-image" }).then((bitmap) => { canvas.put(bitmap); return true; }).catch(() => false) : false;
    const work = (async () => {
      try {
        const { reference } = await darkroom.inputs.post(blob);
        if (sending[tab] !== work) return sending[tab] ?? "";
        shown[tab] = (await seen) ? reference : null;
        delete sending[tab];
        hold(tab, reference);
        canvas?.say("");
        show(tab, reference);
        return reference;
      } catch (error) {
        if (sending[tab] !== work) return sending[tab] ?? "";
        remove(tab);
        darkroom.tell("The style picture could not be taken", error.message);
        return UNSENT;
      }
    })();
    sending[tab] = work;
    return work;
  };

  const show = async (tab, reference) => {
    const canvas = canvases[tab];
    if (!canvas || sending[tab] || shown[tab] === reference) return;
    shown[tab] = reference;
    if (!reference) return canvas.empty();
    canvas.say("Fetching the picture…");
    try {
      const picture = await darkroom.inputs.load(reference);
      if (shown[tab] !== reference) return;
      canvas.put(picture);
      canvas.say("");
    } catch {
      if (shown[tab] !== reference) return;
      remove(tab);
      canvas.say("The picture is no longer kept on the server; give it once more.");
    }
  };

  // What the form holds now; called whenever it changes.
  darkroom.styleChanged = (tab, reference) => {
    if (sending[tab]) return;
    mark(tab, reference);
    show(tab, reference);
  };
  // The value a run is to have: what the form holds, or what is still on its way.
  darkroom.stylePicture = async (tab, value) => (sending[tab] ? sending[tab] : value);

  (darkroom.pictureTargets ??= {}).style = async (url) => {
    const blob = await darkroom.inputs.fetchPicture(url);
    const tab = darkroom.tab();
    darkroom.showTab(tab);
    const label = document.querySelector(`#${tab}_style > button.label-wrap`);
    if (!label?.classList.contains("open")) label?.click();
    if ((await take(tab, blob)) === UNSENT) throw new Error("The server did not take it");
  };

  // ---- The canvases: made when their part is opened ---------------------------------------------------------------

  const mount = (tab, root) => {
    root.dataset.on = "yes";
    shown[tab] = "";
    canvases[tab] = new darkroom.Canvas(root, {
      onPicture: (file) => take(tab, file),
      onAddress: (address) => darkroom.inputs.fetchPicture(address).then((blob) => take(tab, blob)).catch((error) => darkroom.tell("The picture could not be read", error.message)),
      onPaint: () => {},
      onRemove: () => remove(tab),
    });
    root.querySelector("[data-do=canvas-choose]").addEventListener("click", () => canvases[tab].choose());
    show(tab, document.querySelector(`#${tab}_style_image :is(textarea, input)`)?.value ?? "");
  };
  const mountNew = () => {
    for (const root of document.querySelectorAll(".dr-style .dr-canvas:not([data-on])")) mount(root.dataset.canvas.replace("_style", ""), root);
  };
  darkroom.onTab((tab) => {
    const fold = darkroom.generateTabs.includes(tab) && !watched.has(tab) && darkroom.byId(`${tab}_style`);
    if (!fold) return;
    watched.add(tab);
    new MutationObserver(mountNew).observe(fold, { subtree: true, childList: true });
    mountNew();
  });

  // Ctrl+V goes here while the canvas has the focus, and else where the tab wants it.
  document.addEventListener("paste", (event) => {
    const root = document.activeElement?.closest?.(".dr-style .dr-canvas");
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!root || !file) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    take(root.dataset.canvas.replace("_style", ""), file);
  }, true);
})();
