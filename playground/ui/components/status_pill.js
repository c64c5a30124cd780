// The header's pill: what is training, on every tab. Asks every two seconds while it is visible.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ visitor: string }} LiveValue */
/** @typedef {{ state: string, text: string }} LiveAnswer */
/** @typedef {Component<LiveValue, { live: Endpoint<LiveValue, LiveAnswer> }>} Given */

import { askServer, el, every, setText } from "../static/dom.js";
import { stateWords } from "../static/words.js";

/** @param {Given} given */
export function mount({ element, props, server }) {
  const pill = element.querySelector(".pg-pill");
  const text = el("span", { class: "pg-pill-text", text: "Nothing is training" });
  const news = el("span", { class: "pg-unseen", role: "status" }); // read out when the state changes, not every second
  pill.append(el("i", { class: "pg-dot", "aria-hidden": "true" }), text, news);

  let state = null;

  every(element, 2000, async () => {
    const reply = await askServer(server.live, { visitor: props.value?.visitor ?? "" });
    if (!reply) return;
    setText(text, reply.text || stateWords(reply.state));
    if (state !== null && state !== reply.state) setText(news, `${stateWords(reply.state)}. ${reply.text ?? ""}`);
    state = reply.state;
    pill.dataset.state = reply.state;
  });
}
