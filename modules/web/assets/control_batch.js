"use strict";
// Several pictures for one ControlNet unit: a run each, with the rest of the form as it is. They are sent once; the unit holds their
// references and names, and the server makes the runs.
(() => {
  const darkroom = window.darkroom;
  const { make, control, controlPieces } = darkroom;
  const UNSENT = [{ reference: "unsent", name: "" }]; // refused in words, rather than a run without what is still on its way
  const FAULT = "Some pictures of a ControlNet unit could not be taken";

  const rowOf = (panel) => {
    const input = Object.assign(make("input"), { type: "file", multiple: true, accept: "image/*", hidden: true });
    input.setAttribute("aria-label", "Pictures of the unit's batch");
    input.addEventListener("change", () => { send(panel, [...input.files]); input.value = ""; });
    panel.several = make("p.dr-control-note");
    panel.several.id = controlPieces.idOf(panel.tab, panel.n, "batch");
    panel.several.setAttribute("role", "status");
    const words = "Goes through several pictures: a run for each, with the rest of the form as it is. Units with several pictures go through them together";
    panel.buttons.several = controlPieces.button(panel, "Several pictures", "batch_choose", () => input.click(), words);
    panel.buttons.one = controlPieces.button(panel, "Back to one picture", "batch_clear", () => control.set(panel.tab, panel.n, { batch: undefined }), "Removes the several pictures of this unit");
    return make("div.dr-control-acts", panel.buttons.several, panel.buttons.one, input);
  };

  const send = async (panel, files) => {
    if (!files.length) return;
    const { tab, n } = panel;
    const turn = (panel.batchTurn = {});
    control.set(tab, n, { batch: UNSENT, enabled: true });
    const batch = [];
    const lost = [];
    for (const file of files.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) {
      panel.several.hidden = false;
      panel.several.textContent = `${batch.length + lost.length + 1} of ${files.length} is on its way…`;
      try {
        batch.push({ reference: (await darkroom.inputs.post(file)).reference, name: file.name.slice(0, 100) });
      } catch (error) {
        lost.push(`${file.name}: ${error.message}`);
      }
      if (panel.batchTurn !== turn) return;
    }
    panel.batchTurn = null;
    if (lost.length) darkroom.tell(FAULT, lost.slice(0, 3).join("; "));
    control.set(tab, n, { batch: batch.length ? batch : undefined });
  };

  const sync = (panel) => {
    if (panel.batchTurn) return;
    const batch = control.unit(panel.tab, panel.n).batch ?? [];
    panel.several.hidden = !batch.length;
    panel.buttons.one.hidden = !batch.length;
    const names = batch.slice(0, 3).map((one) => one.name).join(", ");
    panel.several.textContent = batch.length ? `${batch.length} ${batch.length === 1 ? "picture" : "pictures"}, a run each: ${names}${batch.length > 3 ? ", …" : ""}` : "";
  };

  darkroom.controlBatch = { rowOf, sync };
})();
