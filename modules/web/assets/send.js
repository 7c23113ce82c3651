"use strict";
// One door for a picture on its way to a tab: darkroom.sendPicture(address, target, infotext). A tab registers how it takes one:
//   window.darkroom.pictureTargets.NAME = async (url, infotext) => {...}
(() => {
  const darkroom = window.darkroom;
  const targets = darkroom.pictureTargets ??= {};

  const readText = async (url) => {
    const file = await fetch(url);
    if (!file.ok) throw new Error(`${file.status} ${file.statusText}`);
    const options = { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: await file.blob() };
    const answer = await fetch("internal/history/text", { ...options, signal: AbortSignal.timeout(60000) });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return (await answer.json()).infotext;
  };

  // address: of a picture of this server. infotext: its parameters text; left out, it is read from the file. Resolves to whether it arrived.
  darkroom.sendPicture = async (address, target, infotext) => {
    const url = new URL(address, document.baseURI);
    if (url.origin !== location.origin || !targets[target]) return false;
    try {
      await targets[target](url.href, infotext ?? await readText(url.href));
      return true;
    } catch (error) {
      if (darkroom.currentTab() === "history" || !darkroom.byId(`${darkroom.currentTab()}_message`)) darkroom.showTab("txt2img");
      darkroom.tell("The picture could not be sent", `${error.message}. The file may have been moved or deleted since.`);
      return false;
    }
  };

  targets.txt2img = async (_url, infotext) => {
    darkroom.showTab("txt2img");
    if (infotext) darkroom.fillForm("txt2img", infotext);
    else darkroom.tell("Nothing was taken over", "This picture carries no parameters. Some programs and chat services remove them when they save a file again.");
  };
})();
