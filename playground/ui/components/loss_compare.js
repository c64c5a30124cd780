// One text read by two models. Blue where the second knew better, vermilion where the first did; the deeper, the more. The
// text is anyone's: textContent only.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ a: string, b: string, spans: ([string, number | null, number | null])[], differs: string[], note: string, nonce: number | string }} LossesValue */
/** @typedef {Component<LossesValue>} Given */

import { differences, el, setText } from "../static/dom.js";
import { percent, printable, visible } from "../static/words.js";

const FULL = 3; // nats of difference at which the colour is deepest

const EVEN = 0.005; // nats, below which a difference reads 0.00
const compared = ([, a, b]) => a != null && b != null;
const difference = (item) => (compared(item) ? item[2] - item[1] : 0);

function span(item, index) {
  const d = difference(item);
  const node = el("span", { class: "pg-token pg-loss", tabindex: index === 0 ? 0 : -1, "data-index": index });
  node.style.setProperty("--pg-much", `${Math.round(55 * Math.min(1, Math.abs(d) / FULL))}%`);
  node.dataset.side = d < 0 ? "b" : "a";
  for (const part of item[0].split(/(\n)/)) {
    if (part === "\n") node.append(el("span", { class: "pg-token-mark", text: "⏎" }), "\n");
    else if (part) node.append(part.replace(/[\p{Cc}\p{Cf}]/gu, visible));
  }
  return node;
}

const indexOf = (target) => Number(target.closest?.("[data-index]")?.dataset.index ?? -1);

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-losses");
  const empty = element.querySelector(".pg-losses-empty");
  const title = el("h2", { class: "pg-panel-title" });
  const scale = el("p", { class: "pg-soft pg-small" });
  const flow = el("p", { class: "pg-token-flow pg-losses-flow", role: "group", "aria-label": "The text; arrow keys move between tokens" });
  const panel = el("p", { class: "pg-losses-panel", "aria-live": "polite" });
  const most = el("ol", { class: "pg-losses-most", "aria-label": "Where they differ most" });
  const differs = el("div");
  const filled = el("section", { class: "pg-panel", hidden: true }, differs, title, scale, flow, panel, el("h3", { class: "pg-panel-title" }, el("b", { text: "Where they differ most" })), most);
  root.append(filled);
  let value = null;
  const better = (d) => (d < 0 ? value.b : value.a);

  function words(item) {
    const [text, a, b] = item;
    if (!compared(item)) return `${visible(text)}: not compared, because ${a == null && b == null ? "neither predicts" : `${a == null ? value.a : value.b} does not predict`} the beginning`;
    const d = b - a;
    const verdict = Math.abs(d) < EVEN ? "equal to 0.01 nats" : `${better(d)} better by ${Math.abs(d).toFixed(2)} nats`;
    return `${visible(text)}: ${value.a} ${percent(Math.exp(-a))}, ${value.b} ${percent(Math.exp(-b))}; ${verdict}`;
  }

  function show(index) {
    if (!value?.spans[index]) return;
    setText(panel, words(value.spans[index]));
    flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    flow.children[index].tabIndex = 0;
  }

  function draw() {
    value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    const some = Boolean(value?.spans?.length);
    empty.hidden = some;
    filled.hidden = !some;
    if (!some) return;
    differs.replaceChildren(differences(value.differs));
    const sums = value.spans.filter(compared).reduce(([a, b], item) => [a + item[1], b + item[2]], [0, 0]); // on what both predict
    title.replaceChildren(el("b", { text: "The same text" }), ` ${value.a} ${sums[0].toFixed(1)} nats, ${value.b} ${sums[1].toFixed(1)} nats in total`);
    scale.replaceChildren(el("span", { class: "pg-loss", "data-side": "a", text: `${value.a} better` }), " ", el("span", { class: "pg-loss", "data-side": "b", text: `${value.b} better` }), value.note ? ` ${value.note}` : "");
    for (const node of scale.querySelectorAll(".pg-loss")) node.style.setProperty("--pg-much", "45%");
    flow.replaceChildren(...value.spans.map(span));
    setText(panel, "Point at a token, or reach it with Tab and the arrow keys, to see both probabilities.");
    const ranked = value.spans.map((item, i) => [Math.abs(difference(item)), i]).sort((x, y) => y[0] - x[0]).slice(0, 6).filter(([size]) => size >= EVEN);
    most.replaceChildren(...ranked.map(([, i]) => {
      const before = value.spans.slice(Math.max(0, i - 14), i).map((item) => item[0]).join("");
      flow.children[i].classList.add("pg-loss-most");
      return el("li", {}, el("code", {}, el("span", { class: "pg-soft", text: printable(before.slice(-24)).replaceAll("\n", "⏎") }), el("b", { text: visible(value.spans[i][0]) })), ` ${words(value.spans[i]).split(": ").slice(1).join(": ")}`);
    }));
  }
  flow.addEventListener("pointerover", (event) => show(indexOf(event.target)));
  flow.addEventListener("focusin", (event) => show(indexOf(event.target)));
  flow.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const next = step && flow.children[indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  watch("value", draw);
  draw();
}
