// A mixture of experts: load by expert and saved step, the text coloured by expert, first choices by kind of token.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { RunQuestion, TextQuestion, TextValue, TimelineAnswer } from "../static/types.js" */
/** @typedef {{ visitor: string, run: string, step: number | null, brief?: boolean }} ExpertsQuestion */
/** @typedef {{ bits: number, shuffled: number, spread: number }} Information */
/** @typedef {{ expert: number, kind: Information, token: Information }} ExpertsBits */
/** @typedef {{ n_expert: number, n_active?: number, n_tokens?: number, load?: number[][], effective?: number[], kinds?: [string, number][], table?: number[][][], information?: ExpertsBits[] }} ExpertsAnswer */
/** @typedef {{ tokens: string[], chosen: number[][][], odds: number[][][], note: string }} RoutesAnswer */
/** @typedef {Component<TextValue, { experts: Endpoint<ExpertsQuestion, ExpertsAnswer>, routes: Endpoint<TextQuestion, RoutesAnswer>, timeline: Endpoint<RunQuestion, TimelineAnswer> }>} Given */

import { el, emptyState, every, pageAddress, setText } from "../static/dom.js";
import { createView, panel, sayNote, scroller, shade, smallSegments, smallText, tokenSpan } from "../static/view.js";
import { percent, visible, whole } from "../static/words.js";

const PATIENCE = 3000; // milliseconds between two looks at a live run
const HUES = 8; // experts beyond get a colour again; their number stands beside it

const share = (x) => (100 * x).toFixed(0);

const mark = (e) => el("i", { class: `pg-expert-mark pg-expert-${e % HUES}`, "aria-hidden": "true" });

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const loads = el("table", { class: "pg-head-scores" });
  const loadWords = el("p", { class: "pg-verdict" });
  const loadCard = panel("Load over training", "share of all routing choices that each expert gets on validation text, in %",
    loadWords, scroller("Load of every expert at every saved step", loads),
    smallText("“Effective” is 2 to the power of the entropy of the load: the number of equally loaded experts with the same entropy. Colours run from 0 to twice an even share."));

  const layerChoice = el("div");
  const flow = el("p", { class: "pg-token-flow pg-expert-flow", role: "group", "aria-label": "Your text coloured by expert; arrow keys move between tokens" });
  const legend = el("p", { class: "pg-expert-legend pg-small" });
  const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
  const note = smallText();
  const textCard = el("section", { class: "pg-panel" },
    el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Your text" }), " coloured by each token's first expert"), layerChoice),
    flow, legend, readout, note);

  const kinds = el("table", { class: "pg-head-scores" });
  const kindWords = el("p", { class: "pg-verdict" });
  const bits = el("table", { class: "pg-table" });
  const kindTitle = el("span");
  const kindCard = el("section", { class: "pg-panel" },
    el("h2", { class: "pg-panel-title" }, el("b", { text: "Expert specialisation" }), kindTitle),
    kindWords, scroller("Experts by kind of token", kinds),
    el("div", { class: "pg-scroll pg-expert-bits", tabindex: 0, role: "region", "aria-label": "Mutual information of expert and token, in bits" }, bits),
    smallText("Mutual information between the first expert and the kind of token, or the token itself, in bits. Shuffled: the same with shuffled labels (mean of 20, ± standard deviation), which is what the estimate gives for noise."));

  /** A link to the Train tab's form, filled with a mixture small enough for a minute. */
  const small = (text, train) => el("a", { class: "pg-small-button", target: "_top", text,
    href: pageAddress({ tab: "train", setup: JSON.stringify({ preset: "mixture", model: { n_layer: 2, n_embd: 64 }, train: { steps: 300, ...train } }) }) });
  const offer = el("section", { class: "pg-panel", hidden: true });
  const offered = emptyState("This model is dense: one MLP a layer, and no router", "Choose a run with experts above, or train one. A small mixture takes a minute or two on a laptop, and its experts can be watched here while it trains.");
  offered.append(el("div", { class: "pg-causes-bar pg-offers" }, small("Set up a mixture", {}), small("The same without balance loss", { balance_loss: 0 })));
  offer.append(offered);
  const cards = el("div", { class: "pg-stack" }, loadCard, textCard, kindCard);
  const filled = el("div", {}, offer, cards);

  let found = new Map(); // step -> { load, effective, … }
  let atStep = null; // the answer of the chosen step, with kinds
  let text = null; // { tokens, chosen, odds }
  let steps = [];
  let live = false;
  let layer = 0;
  let chosen = 0;

  // ---- load ---------------------------------------------------------------------------------------------------------

  function drawLoads() {
    const n = atStep.n_expert;
    const columns = steps.length ? steps : [props.value.step];
    const head = el("tr", {}, el("th", { scope: "col", text: "expert" }), ...columns.map((step, i) => el("th", { scope: "col", class: "pg-score-step" }, ...(i ? [] : [el("small", { text: "step " })]), whole(step))));
    const rows = [];
    atStep.load.forEach((_, l) => {
      for (let e = 0; e < n; e++) {
        const cells = columns.map((step) => {
          const value = found.get(step)?.load[l][e];
          const cell = el("td", { class: "pg-score-step", title: value == null ? "" : `step ${whole(step)}: ${(100 * value).toFixed(1)} %` });
          if (value != null) {
            cell.textContent = share(value);
            shade(cell, (value * n) / 2);
          }
          return cell;
        });
        rows.push(el("tr", {}, el("th", { scope: "row" }, mark(e), ` L${l + 1} · expert ${e + 1}`), ...cells));
      }
      const working = columns.map((step) => el("td", { class: "pg-score-step pg-expert-working", text: found.get(step)?.effective[l].toFixed(1) ?? "" }));
      rows.push(el("tr", { class: "pg-expert-sum" }, el("th", { scope: "row", text: `L${l + 1} · effective, of ${n}` }), ...working));
    });
    loads.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
    const working = atStep.effective.map((x) => x.toFixed(1));
    setText(loadWords, `Effective experts at step ${whole(props.value.step)}: ${working.map((x, l) => `${x} of ${n} in layer ${l + 1}`).join(", ")}`);
    root.dataset.steps = found.size;
  }

  // ---- the text -----------------------------------------------------------------------------------------------------

  function drawText() {
    textCard.hidden = !text;
    if (!text) return;
    const spans = text.tokens.map((token, t) => {
      const e = text.chosen[layer][t][0];
      const node = tokenSpan(token);
      node.classList.add(`pg-expert-${e % HUES}`);
      node.dataset.expert = e;
      return node;
    });
    flow.replaceChildren(...spans);
    const counts = new Map();
    for (const [e] of text.chosen[layer]) counts.set(e, (counts.get(e) ?? 0) + 1);
    legend.replaceChildren(...[...counts].sort((a, b) => a[0] - b[0]).map(([e, count]) => el("span", {}, mark(e), ` expert ${e + 1}: ${count}`)));
    choose(Math.min(chosen, text.tokens.length - 1));
  }

  function choose(t) {
    if (t < 0 || t >= text.tokens.length) return;
    flow.children[chosen]?.classList.remove("pg-token-chosen");
    if (flow.children[chosen]) flow.children[chosen].tabIndex = -1;
    chosen = t;
    flow.children[t].classList.add("pg-token-chosen");
    flow.children[t].tabIndex = 0;
    const lines = text.chosen.map((experts, l) => `layer ${l + 1}: ${experts[t].map((e, i) => `expert ${e + 1} (${percent(text.odds[l][t][i])})`).join(", ")}`);
    readout.replaceChildren(el("code", { text: visible(text.tokens[t]) }), ` goes to · ${lines.join(" · ")}`);
  }

  const tokenAt = (target) => [...flow.children].indexOf(target.closest?.(".pg-token"));
  for (const kind of ["pointerover", "click"]) {
    flow.addEventListener(kind, (event) => {
      const t = tokenAt(event.target);
      if (t >= 0) choose(t);
    });
  }
  flow.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    choose(chosen + move);
    flow.children[chosen].focus();
  });

  // ---- kinds --------------------------------------------------------------------------------------------------------

  function drawKinds() {
    const n = atStep.n_expert;
    const head = el("tr", {}, el("th", { scope: "col", text: "kind of token" }), el("th", { scope: "col", text: "tokens" }), ...Array.from({ length: n }, (_, e) => el("th", { scope: "col" }, mark(e), ` ${e + 1}`)));
    const body = atStep.kinds.map(([kind, count], k) => el("tr", {}, el("th", { scope: "row", text: kind }), el("td", { text: whole(count) }),
      ...atStep.table[layer][k].map((value) => {
        const cell = el("td", { text: `${share(value)} %` });
        shade(cell, value);
        return cell;
      })));
    kinds.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
    setText(kindTitle, ` in layer ${layer + 1}: share of each kind of token by first expert`);
    const one = atStep.information[layer];
    const real = one.kind.bits > one.kind.shuffled + 3 * one.kind.spread;
    setText(kindWords, real ? `Layer ${layer + 1}: the kind of token gives ${one.kind.bits.toFixed(2)} of the ${one.expert.toFixed(2)} bits of the first expert` : `Layer ${layer + 1}: the kind of token gives no more information about the first expert than shuffled kinds do`);
    const row = (l, { expert, kind, token }) => el("tr", {}, el("th", { scope: "row", text: `layer ${l + 1}` }), el("td", { text: expert.toFixed(2) }),
      ...[kind, token].flatMap((x) => [el("td", { text: x.bits.toFixed(3) }), el("td", { text: `${x.shuffled.toFixed(3)} ± ${x.spread.toFixed(3)}` })]));
    bits.replaceChildren(el("thead", {}, el("tr", {}, ...["", "expert (bits)", "given by kind", "shuffled", "given by token", "shuffled"].map((words) => el("th", { scope: "col", text: words })))),
      el("tbody", {}, ...atStep.information.map((x, l) => row(l, x))));
  }

  function drawLayers() {
    const names = atStep.load.map((_, l) => [l, `Layer ${l + 1}`]);
    layerChoice.replaceChildren(smallSegments("Layer", names, layer, (l) => {
      layer = Number(l);
      drawText();
      drawKinds();
    }));
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  const look = createView({ element, props, watch }, "pg-experts", filled, ["run", "step", "text"], begin);
  const { root } = look;

  /** Which steps there are, and the load at those that are missing, one after the other. */
  async function history(mine) {
    const answer = await look.ask(server.timeline, {}, { quietly: true });
    if (!answer) return;
    live = answer.live;
    steps = answer.steps;
    drawLoads();
    for (const step of steps) {
      if (found.has(step)) continue;
      const one = await look.ask(server.experts, { step, brief: true }, { quietly: true });
      if (mine !== look.question()) return;
      if (one) found.set(step, one);
      drawLoads();
    }
  }

  async function begin({ run, step }, before) {
    const mine = look.question();
    live = false;
    if (before.run !== run) {
      filled.hidden = true;
      found = new Map();
      steps = [];
      look.tell("Measuring the router…");
    }
    const answer = await look.ask(server.experts, {}, { dim: root });
    if (mine !== look.question()) return;
    if (!answer) return;
    look.tell("");
    offer.hidden = answer.n_expert > 1;
    cards.hidden = !offer.hidden;
    look.show();
    if (cards.hidden) return;
    atStep = answer;
    found.set(step, atStep);
    layer = Math.min(layer, atStep.load.length - 1);
    drawLayers();
    drawLoads();
    drawKinds();
    text = (await look.ask(server.routes)) ?? null;
    if (mine !== look.question()) return;
    sayNote(note, text?.note);
    drawText();
    await history(mine);
  }

  every(element, PATIENCE, () => (live && look.question() ? history(look.question()) : null));
}
