// Texts side by side, each token coloured by how much it surprised its model. Their words come from models and users:
// textContent only.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ name: string, role: string, tokens: [string, number][], note: string }} Continuation */
/** @typedef {{ prompt: string, items: Continuation[], differs: string[], nonce: number | string }} SideBySideValue */
/** @typedef {Component<SideBySideValue>} Given */

import { differences, el } from "../static/dom.js";
import { surpriseClass } from "../static/view.js";
import { percent, visible } from "../static/words.js";

/** A written token; its probability under the model, before any filter, under the pointer and for screen readers' title. */
const span = ([text, p]) => el("span", { class: `pg-token ${surpriseClass(p)}`, title: `${visible(text)} ${percent(p)}`, text });

function card(item, prompt) {
  const text = el("p", { class: "pg-outputs-text" }, el("span", { class: "pg-outputs-prompt", text: prompt }));
  if (item.tokens) text.append(...item.tokens.map(span));
  else text.append(item.text ?? "");
  const box = el("section", { class: "pg-outputs-card pg-panel", "data-role": item.role }, el("h4", { text: item.name }), text);
  const note = ["waiting", "generating"].includes(item.note) ? `${item.note} …` : item.note;
  if (item.tokens?.length && !note) {
    const mean = item.tokens.reduce((sum, [, p]) => sum - Math.log(Math.max(p, 1e-12)), 0) / item.tokens.length;
    box.append(el("p", { class: "pg-outputs-note", text: `Mean surprise ${mean.toFixed(2)} nats per token under the model itself. Point at a token to see its probability.` }));
  }
  if (Array.isArray(item.tokens) && !item.tokens.length && !note) box.append(el("p", { class: "pg-outputs-note", text: "The model ended the text at once." }));
  if (note) box.append(el("p", { class: "pg-outputs-note", text: note }));
  return box;
}

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-outputs");
  const invitation = root.firstElementChild;
  const apart = el("div", { class: "pg-apart" });
  root.before(apart);

  function draw() {
    const value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    const items = Array.isArray(value?.items) ? value.items : [];
    apart.replaceChildren(...(items.length > 1 ? [differences(value.differs)] : []));
    root.replaceChildren(...(items.length ? items.map((item) => card(item, value.prompt || "")) : [invitation]));
  }

  watch("value", draw);
  draw();
}
