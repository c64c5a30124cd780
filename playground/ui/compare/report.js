// A saved race: the app's own module for it, given the data that this page carries instead of a server.

import { mount } from "playground/components/race_view.js";

if (matchMedia("(prefers-color-scheme: dark)").matches) document.body.classList.add("dark");
const data = JSON.parse(document.getElementById("data").textContent);
const server = /** @type {any} */ ({ race: async () => data }); // without `file`: there is nothing to export here
mount({ element: document.getElementById("race"), props: { value: { visitor: "", race: data.id, nonce: 0 } }, server, watch() {}, trigger() {} });
