"use strict";
// Who one is here: the name and the way out in the footer, and what a role leaves of the page (access.css hides by it).
// The server decides who may do what; this only keeps away what it would refuse.
(() => {
  const darkroom = window.darkroom;

  // A session has ended: the page the server gives now is the one to sign in at. The forms and running jobs are found again.
  let leaving = false;
  darkroom.signedOut = () => {
    if (leaving) return;
    leaving = true;
    location.reload();
  };

  const show = (me) => {
    const line = document.querySelector("#dr_footer .dr-me");
    if (!line) return setTimeout(show, 300, me);
    line.hidden = !me.name;
    line.querySelector("span").textContent = me.role === "admin" ? me.name ?? "" : `${me.name} (${me.role})`;
    line.querySelector("button").hidden = !me.session;
  };

  const look = async () => {
    const me = await darkroom.ask("internal/me").catch(() => null);
    if (!me) return;
    document.documentElement.dataset.role = me.role;
    show(me);
  };

  darkroom.on("sign-out", async () => {
    await fetch("sign-out", { method: "POST", redirect: "manual" }).catch(() => null);
    darkroom.signedOut();
  });
  look();
})();
