// A mixture of experts: load by expert and saved step, the text coloured by expert, first choices by kind of token.
// Gradio runs this file as a function body with `element`, `props`, `server` and `watch`.
/* global element, props, server, watch */

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @typedef {{ visitor: string, run: string, step: number | null, brief?: boolean }} ExpertsQuestion */
/** @typedef {{ bits: number, shuffled: number, spread: number }} Information */
/** @typedef {{ expert: number, kind: Information, token: Information }} ExpertsBits */
/** @typedef {{ n_expert: number, n_active?: number, n_tokens?: number, load?: number[][], effective?: number[], kinds?: [string, number][], table?: number[][][], information?: ExpertsBits[] }} ExpertsAnswer */
/** @typedef {{ tokens: string[], chosen: number[][][], odds: number[][][], note: string }} RoutesAnswer */

const P = window.Playground;
const PATIENCE = 3000; // milliseconds between two looks at a live run
const HUES = 8; // experts beyond get a colour again; their number stands beside it

const loads = P.el("table", { class: "pg-head-scores" });
const loadWords = P.el("p", { class: "pg-verdict" });
const loadCard = P.panel("Load over training", "share of all routing choices that each expert gets on validation text, in %",
  loadWords, P.scroller("Load of every expert at every saved step", loads),
  P.small("“Effective” is 2 to the power of the entropy of the load: the number of equally loaded experts with the same entropy. Colours run from 0 to twice an even share."));

const layerChoice = P.el("div");
const flow = P.el("p", { class: "pg-token-flow pg-expert-flow", role: "group", "aria-label": "Your text coloured by expert; arrow keys move between tokens" });
const legend = P.el("p", { class: "pg-expert-legend pg-small" });
const readout = P.el("p", { class: "pg-readout", "aria-live": "polite" });
const note = P.small();
const textCard = P.el("section", { class: "pg-panel" },
  P.el("div", { class: "pg-token-head" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Your text" }), " coloured by each token's first expert"), layerChoice),
  flow, legend, readout, note);

const kinds = P.el("table", { class: "pg-head-scores" });
const kindWords = P.el("p", { class: "pg-verdict" });
const bits = P.el("table", { class: "pg-table" });
const kindTitle = P.el("span");
const kindCard = P.el("section", { class: "pg-panel" },
  P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Expert specialisation" }), kindTitle),
  kindWords, P.scroller("Experts by kind of token", kinds),
  P.el("div", { class: "pg-scroll pg-expert-bits", tabindex: 0, role: "region", "aria-label": "Mutual information of expert and token, in bits" }, bits),
  P.small("Mutual information between the first expert and the kind of token, or the token itself, in bits. Shuffled: the same with shuffled labels (mean of 20, ± standard deviation), which is what the estimate gives for noise."));

/** A link to the Train tab's form, filled with a mixture small enough for a minute. */
const small = (text, train) => P.el("a", { class: "pg-small-button", target: "_top", text,
  href: P.address({ tab: "train", setup: JSON.stringify({ preset: "mixture", model: { n_layer: 2, n_embd: 64 }, train: { steps: 300, ...train } }) }) });
const offer = P.el("section", { class: "pg-panel", hidden: true });
const offered = P.emptyState("This model is dense: one MLP a layer, and no router", "Choose a run with experts above, or train one. A small mixture takes a minute or two on a laptop, and its experts can be watched here while it trains.");
offered.append(P.el("div", { class: "pg-causes-bar pg-offers" }, small("Set up a mixture", {}), small("The same without balance loss", { balance_loss: 0 })));
offer.append(offered);
const cards = P.el("div", { class: "pg-stack" }, loadCard, textCard, kindCard);
const filled = P.el("div", {}, offer, cards);

let found = new Map(); // step -> { load, effective, … }
let whole = null; // the answer of the chosen step, with kinds
let text = null; // { tokens, chosen, odds }
let steps = [];
let live = false;
let layer = 0;
let chosen = 0;

const share = (x) => (100 * x).toFixed(0);

// ---- load ---------------------------------------------------------------------------------------------------------

function drawLoads() {
  const n = whole.n_expert;
  const columns = steps.length ? steps : [props.value.step];
  const head = P.el("tr", {}, P.el("th", { scope: "col", text: "expert" }), ...columns.map((step, i) => P.el("th", { scope: "col", class: "pg-score-step" }, ...(i ? [] : [P.el("small", { text: "step " })]), P.whole(step))));
  const rows = [];
  whole.load.forEach((_, l) => {
    for (let e = 0; e < n; e++) {
      const cells = columns.map((step) => {
        const value = found.get(step)?.load[l][e];
        const cell = P.el("td", { class: "pg-score-step", title: value == null ? "" : `step ${P.whole(step)}: ${(100 * value).toFixed(1)} %` });
        if (value != null) {
          cell.textContent = share(value);
          P.shade(cell, (value * n) / 2);
        }
        return cell;
      });
      rows.push(P.el("tr", {}, P.el("th", { scope: "row" }, mark(e), ` L${l + 1} · expert ${e + 1}`), ...cells));
    }
    const working = columns.map((step) => P.el("td", { class: "pg-score-step pg-expert-working", text: found.get(step)?.effective[l].toFixed(1) ?? "" }));
    rows.push(P.el("tr", { class: "pg-expert-sum" }, P.el("th", { scope: "row", text: `L${l + 1} · effective, of ${n}` }), ...working));
  });
  loads.replaceChildren(P.el("thead", {}, head), P.el("tbody", {}, ...rows));
  const working = whole.effective.map((x) => x.toFixed(1));
  P.say(loadWords, `Effective experts at step ${P.whole(props.value.step)}: ${working.map((x, l) => `${x} of ${n} in layer ${l + 1}`).join(", ")}`);
  root.dataset.steps = found.size;
}

// ---- the text -----------------------------------------------------------------------------------------------------

const mark = (e) => P.el("i", { class: `pg-expert-mark pg-expert-${e % HUES}`, "aria-hidden": "true" });

function drawText() {
  textCard.hidden = !text;
  if (!text) return;
  const spans = text.tokens.map((token, t) => {
    const e = text.chosen[layer][t][0];
    const node = P.tokenSpan(token);
    node.classList.add(`pg-expert-${e % HUES}`);
    node.dataset.expert = e;
    return node;
  });
  flow.replaceChildren(...spans);
  const counts = new Map();
  for (const [e] of text.chosen[layer]) counts.set(e, (counts.get(e) ?? 0) + 1);
  legend.replaceChildren(...[...counts].sort((a, b) => a[0] - b[0]).map(([e, count]) => P.el("span", {}, mark(e), ` expert ${e + 1}: ${count}`)));
  choose(Math.min(chosen, text.tokens.length - 1));
}

function choose(t) {
  if (t < 0 || t >= text.tokens.length) return;
  flow.children[chosen]?.classList.remove("pg-token-chosen");
  if (flow.children[chosen]) flow.children[chosen].tabIndex = -1;
  chosen = t;
  flow.children[t].classList.add("pg-token-chosen");
  flow.children[t].tabIndex = 0;
  const lines = text.chosen.map((experts, l) => `layer ${l + 1}: ${experts[t].map((e, i) => `expert ${e + 1} (${P.percent(text.odds[l][t][i])})`).join(", ")}`);
  readout.replaceChildren(P.el("code", { text: P.visible(text.tokens[t]) }), ` goes to · ${lines.join(" · ")}`);
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
  const n = whole.n_expert;
  const head = P.el("tr", {}, P.el("th", { scope: "col", text: "kind of token" }), P.el("th", { scope: "col", text: "tokens" }), ...Array.from({ length: n }, (_, e) => P.el("th", { scope: "col" }, mark(e), ` ${e + 1}`)));
  const body = whole.kinds.map(([kind, count], k) => P.el("tr", {}, P.el("th", { scope: "row", text: kind }), P.el("td", { text: P.whole(count) }),
    ...whole.table[layer][k].map((value) => {
      const cell = P.el("td", { text: `${share(value)} %` });
      P.shade(cell, value);
      return cell;
    })));
  kinds.replaceChildren(P.el("thead", {}, head), P.el("tbody", {}, ...body));
  P.say(kindTitle, ` in layer ${layer + 1}: share of each kind of token by first expert`);
  const one = whole.information[layer];
  const real = one.kind.bits > one.kind.shuffled + 3 * one.kind.spread;
  P.say(kindWords, real ? `Layer ${layer + 1}: the kind of token gives ${one.kind.bits.toFixed(2)} of the ${one.expert.toFixed(2)} bits of the first expert` : `Layer ${layer + 1}: the kind of token gives no more information about the first expert than shuffled kinds do`);
  const row = (l, { expert, kind, token }) => P.el("tr", {}, P.el("th", { scope: "row", text: `layer ${l + 1}` }), P.el("td", { text: expert.toFixed(2) }),
    ...[kind, token].flatMap((x) => [P.el("td", { text: x.bits.toFixed(3) }), P.el("td", { text: `${x.shuffled.toFixed(3)} ± ${x.spread.toFixed(3)}` })]));
  bits.replaceChildren(P.el("thead", {}, P.el("tr", {}, ...["", "expert (bits)", "given by kind", "shuffled", "given by token", "shuffled"].map((words) => P.el("th", { scope: "col", text: words })))),
    P.el("tbody", {}, ...whole.information.map((x, l) => row(l, x))));
}

function drawLayers() {
  const names = whole.load.map((_, l) => [l, `Layer ${l + 1}`]);
  layerChoice.replaceChildren(P.smallSegments("Layer", names, layer, (l) => {
    layer = Number(l);
    drawText();
    drawKinds();
  }));
}

// ---- life ---------------------------------------------------------------------------------------------------------

const look = P.view({ element, props, watch }, "pg-experts", filled, ["run", "step", "text"], begin);
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
  if (!answer) return void (filled.hidden = true);
  look.tell("");
  offer.hidden = answer.n_expert > 1;
  cards.hidden = !offer.hidden;
  look.show();
  if (cards.hidden) return;
  whole = answer;
  found.set(step, whole);
  layer = Math.min(layer, whole.load.length - 1);
  drawLayers();
  drawLoads();
  drawKinds();
  text = (await look.ask(server.routes)) ?? null;
  if (mine !== look.question()) return;
  P.sayNote(note, text?.note);
  drawText();
  await history(mine);
}

P.every(element, PATIENCE, () => (live && look.question() ? history(look.question()) : null));
