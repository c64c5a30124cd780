// A saved race: the app's own script for it, given the data that this page carries instead of a server.

(() => {
  "use strict";
  if (matchMedia("(prefers-color-scheme: dark)").matches) document.body.classList.add("dark");
  const data = JSON.parse(document.getElementById("data").textContent);
  const show = (element, props, server, watch, trigger) => {
    /* race_view.js */
  };
  show(document.getElementById("race"), { value: { race: data.id } }, { race: async () => data }, () => {}, () => {});
})();
