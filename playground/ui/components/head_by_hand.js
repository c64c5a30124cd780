// One head for one token, step by step: the numbers come from the server, which works them out in float64.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { TextValue } from "../static/types.js" */
/** @typedef {{ visitor: string, run: string, step: number | null, text: string, special?: boolean, layer: number | null, head: number | null, position: number | null, key: number | null }} HandQuestion */
/** @typedef {{ tokens: string[], n_layer: number, n_head: number, size: number, layer: number, head: number, position: number, key: number, query: (number | null)[], key_vector: (number | null)[], rows: ([number | null, number | null, boolean, number | null, number | null])[], sink: number | null, top: ([number, number | null, (number | null)[]])[], output: (number | null)[], difference: number, source: string, note: string }} HandAnswer */
/** @typedef {Component<TextValue, { head_by_hand: Endpoint<HandQuestion, HandAnswer> }>} Given */

import { colours, faint, onTheme } from "../static/colours.js";
import { el, setText } from "../static/dom.js";
import { countUp, createView, panel, sayNote, scroller, shareBar, smallText } from "../static/view.js";
import { counted, visible } from "../static/words.js";

const numbers = (label) => {
  const table = el("table", { class: "pg-hand-numbers" });
  return [table, scroller(label, table)];
};

/** A bound with one digit, rounded up so that it stays one: 4e-8 for 3.2e-8. */
function atMost(x) {
  if (!(x > 0)) return "0";
  const power = 10 ** Math.floor(Math.log10(x));
  return (Math.ceil(x / power - 1e-9) * power).toExponential(0);
}

const short = (x) => (x == null ? "–" : (Math.abs(x) >= 100 ? x.toFixed(0) : x.toFixed(2)).replace(/^-(?=0\.00$)/, ""));

function tint(td, x, most) {
  const colour = colours();
  td.style.background = faint(x < 0 ? colour.vermilion : colour.blue, Math.min(0.55, (0.55 * Math.abs(x)) / most));
}

/** A row of D numbers behind a label, shaded by size. */
function row(label, list, most, className = "") {
  return el("tr", { class: className }, el("th", { scope: "row", text: label }), ...list.map((x) => {
    const td = el("td", { text: short(x) });
    tint(td, x, most);
    return td;
  }));
}

const largest = (...lists) => Math.max(1e-9, ...lists.flat().map(Math.abs));

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  const layer = el("select", { "aria-label": "Layer" });
  const head = el("select", { "aria-label": "Head" });
  const tokens = el("div", { class: "pg-hand-tokens", role: "group", "aria-label": "Query token" });
  const note = smallText();
  const [product, productScroll] = numbers("Query times key");
  const productSum = el("p", { class: "pg-hand-sum", "aria-live": "polite" });
  const [keys, keysScroll] = numbers("Scores and weights of all keys");
  keysScroll.classList.add("pg-hand-keys");
  const keysSum = el("p", { class: "pg-hand-sum" });
  const [values, valuesScroll] = numbers("Weighted values");
  const valuesSum = el("p", { class: "pg-hand-sum" });
  const code = el("pre", { tabindex: 0 });
  const filled = el("div", { class: "pg-stack" },
    panel("Query", "choose a head and a query token",
      el("div", { class: "pg-hand-choice" }, el("label", {}, "Layer ", layer), el("label", {}, "Head ", head)), tokens, note),
    panel("1 · Query · key", "element by element, then summed", productScroll, productSum),
    panel("2 · Scale, mask, softmax", "choose a row to see its product above", keysScroll, keysSum),
    panel("3 · Weighted values", "the keys with the largest weights, each value times its weight; the output of the head is the sum over all keys", valuesScroll, valuesSum),
    el("section", { class: "pg-panel" }, el("details", { class: "pg-hand-code" }, el("summary", { text: "The code that ran" }), code)));

  let reply = null;
  let chosen = { layer: 0, head: 0, position: null, key: null };
  const named = (t) => visible(reply.tokens[t]);

  // ---- drawing ------------------------------------------------------------------------------------------------------

  function draw() {
    const { position, key, query, key_vector, size, rows } = reply;
    countUp(layer, reply.n_layer, reply.layer);
    countUp(head, reply.n_head, reply.head);
    tokens.replaceChildren(...reply.tokens.map((token, t) => el("button", { type: "button", class: "pg-hand-token", "data-position": t, "aria-pressed": String(t === position), text: visible(token) })));

    const products = query.map((x, i) => x * key_vector[i]);
    const most = largest(query, key_vector);
    product.replaceChildren(el("tbody", {}, row(`query of ${named(position)}`, query, most), row(`key of ${named(key)}`, key_vector, most), row("product", products, largest(products), "pg-hand-total")));
    setText(productSum, `The products add up to ${short(rows[key][0])}: how well the key of ${named(key)} (position ${key}) matches the query of ${named(position)} (position ${position}).`);
    drawKeys();
    drawValues();
    setText(code, reply.source);
    sayNote(note, reply.note);
  }

  function drawKeys() {
    const { rows, position, key, size } = reply;
    const biased = rows.some(([, bias]) => bias !== 0);
    const seen = rows.filter(([, , isVisible]) => isVisible);
    const top = Math.max(...seen.map(([, , , score]) => score), reply.sink ?? -Infinity);
    const head = ["key", "position", "q·k", `÷ √${size}`, ...(biased ? ["+ position"] : []), "mask", "e^(score − max)", "weight", ""];
    const lines = rows.map(([dot, bias, isVisible, score, weight], s) => {
      const cells = [s, short(dot), short(dot / Math.sqrt(size)), ...(biased ? [short(bias)] : []), isVisible ? "seen" : s > position ? "later" : "outside",
        isVisible ? Math.exp(score - top).toFixed(3) : "0", weight.toFixed(3)];
      return el("tr", { "data-key": s, class: s === key ? "pg-hand-chosen" : "" }, el("th", { scope: "row", text: named(s) }), ...cells.map((text) => el("td", { text: String(text) })),
        el("td", {}, shareBar(weight)));
    }).slice(0, position + 1);
    keys.replaceChildren(el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col", text })))), el("tbody", {}, ...lines));
    const line = keys.querySelector(".pg-hand-chosen");
    const away = line.offsetTop - keysScroll.scrollTop;
    if (away < 30 || away > keysScroll.clientHeight - 30) keysScroll.scrollTop = line.offsetTop - keysScroll.clientHeight / 2;
    const total = rows.reduce((sum, [, , , , weight]) => sum + weight, 0);
    const later = rows.length - position - 1;
    const rest = reply.sink == null ? "" : ` The rest, ${(1 - total).toFixed(3)}, goes to a sink of score ${short(reply.sink)} that has no value.`;
    setText(keysSum, `The weights add up to ${total.toFixed(3)}.${rest}${later ? ` ${counted(later, "later token")} ${later === 1 ? "is" : "are"} masked.` : ""} Computed in float64; the weights of the model differ by at most ${atMost(reply.difference)}.`);
  }

  function drawValues() {
    const { top, output } = reply;
    const weighted = top.map(([, weight, value]) => value.map((x) => x * weight));
    const most = largest(output, ...weighted);
    values.replaceChildren(el("tbody", {}, ...top.map(([s, weight], i) => row(`${weight.toFixed(3)} × value of ${named(s)}`, weighted[i], most)), row("sum over all keys", output, most, "pg-hand-total")));
    setText(valuesSum, `This sum is the output of the head at ${named(reply.position)}; the output matrix then projects it to the embedding size of the model.`);
  }

  // ---- choosing -----------------------------------------------------------------------------------------------------

  layer.addEventListener("change", () => want({ layer: Number(layer.value), key: null }));
  head.addEventListener("change", () => want({ head: Number(head.value), key: null }));
  tokens.addEventListener("click", async (event) => {
    const button = /** @type {Element} */ (event.target).closest("[data-position]");
    if (!button) return;
    await want({ position: Number(button.dataset.position), key: null });
    tokens.querySelector(`[data-position="${reply.position}"]`)?.focus();
  });
  keys.addEventListener("click", (event) => {
    const line = /** @type {Element} */ (event.target).closest("[data-key]");
    if (line) want({ key: Number(line.dataset.key) });
  });
  keysScroll.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !reply) return;
    event.preventDefault();
    want({ key: Math.max(0, Math.min(reply.position, reply.key + step)) });
  });

  function want(changes) {
    chosen = { ...chosen, ...changes };
    return fetchNumbers();
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  let latest = 0; // only the latest choice is drawn

  async function fetchNumbers() {
    const mine = ++latest;
    if (filled.hidden) view.tell("Reading the text…");
    const answer = await view.ask(server.head_by_hand, chosen);
    if (!answer || mine !== latest) return;
    reply = answer;
    view.tell("");
    view.show();
    draw();
  }

  const view = createView({ element, props, watch }, "pg-hand", filled, ["run", "step", "text"], () => want({ position: null, key: null }));
  onTheme(view.root, () => reply && draw());
}
