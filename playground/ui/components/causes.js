// Switches for every head and MLP of a model; what is off is measured at once, all can be ranked one after the other.
// Gradio runs this file as a function body with `element`, `props`, `server` and `watch`.
/* global element, props, server, watch */

const P = window.Playground;
const root = element.querySelector(".pg-causes");
const SHOWN = 24; // rows of the ranking

// ---- layout -------------------------------------------------------------------------------------------------------

const empty = element.querySelector(".pg-causes-empty");
const status = P.el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
let how = "zero";
const manner = P.segmented("What is written instead", [["zero", "Zero"], ["mean", "Mean"]], how, (id) => {
  how = id;
  ranking = null;
  drawRanking();
  measure();
});
manner.classList.add("pg-segments-small");
const switches = P.el("div", { class: "pg-switches", role: "group", "aria-label": "Parts of the model; pressed means switched off" });
const allOn = P.el("button", { type: "button", class: "pg-small-button", text: "All on again" });
const rank = P.el("button", { type: "button", class: "pg-small-button", text: "Rank all parts" });
const progress = P.el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Parts measured" });
const counted = P.el("span", { class: "pg-soft pg-small", "aria-live": "polite" });
const gridCard = P.el("section", { class: "pg-panel" },
  P.el("div", { class: "pg-token-head" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Parts" }), " press to switch off"), manner),
  switches, P.el("div", { class: "pg-causes-bar" }, allOn, rank, progress, counted),
  P.el("p", { class: "pg-soft pg-small", text: "Zero: the part writes nothing. Mean: it writes the same everywhere, its mean over the validation text (Wang et al. 2022). A layer's name switches all of it." }));
const verdict = P.el("p", { class: "pg-verdict", "aria-live": "polite" });
const detail = P.el("p", { class: "pg-soft pg-small" });
const next = P.el("table", { class: "pg-next-table" });
const texts = P.el("div", { class: "pg-two-texts" });
const note = P.el("p", { class: "pg-soft pg-small", hidden: true });
const effectCard = P.el("section", { class: "pg-panel" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "What changes" }), " on text the model has not read"),
  verdict, detail, P.el("div", { class: "pg-effects" }, next, texts), note);
const list = P.el("ol", { class: "pg-ranking" });
const rankCard = P.el("section", { class: "pg-panel", hidden: true }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Which parts matter" }), " loss gained when one is off, nats per token, ± one standard error"), list);
const filled = P.el("div", { class: "pg-causes-filled", hidden: true }, gridCard, effectCard, rankCard);
root.append(status, filled);

let model = null; // { n_layer, n_head, parts }
const off = new Map(); // key -> part
let ranking = null; // [{ part, change, error }], as far as it was measured

const key = (part) => part.join(" ");
const name = ([layer, kind, head]) => `Layer ${layer + 1} · ${{ head: `head ${head + 1}`, mlp: "MLP", attention: "all attention" }[kind]}`;
const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(3)}`;

// ---- the switches -------------------------------------------------------------------------------------------------

function drawSwitches() {
  const lines = [];
  for (let l = 0; l < model.n_layer; l++) {
    const own = model.parts.filter(([layer]) => layer === l);
    const label = P.el("button", { type: "button", class: "pg-switch-layer", "data-layer": l, text: `Layer ${l + 1}`, title: "Switch the whole layer" });
    const buttons = own.map((part) => P.el("button", { type: "button", class: "pg-switch", "data-part": key(part), "aria-pressed": "false", "aria-label": `${name(part)} off`,
      text: part[1] === "mlp" ? "MLP" : `H${part[2] + 1}` }));
    lines.push(P.el("div", { class: "pg-switch-row" }, label, ...buttons));
  }
  switches.replaceChildren(...lines);
  pressed();
}

function pressed() {
  for (const button of switches.querySelectorAll(".pg-switch")) button.setAttribute("aria-pressed", String(off.has(button.dataset.part)));
  allOn.disabled = off.size === 0;
}

switches.addEventListener("click", (event) => {
  const one = event.target.closest(".pg-switch");
  const layer = event.target.closest(".pg-switch-layer");
  if (!one && !layer) return;
  const wanted = model.parts.filter((part) => (one ? key(part) === one.dataset.part : part[0] === Number(layer.dataset.layer)));
  const allOff = wanted.every((part) => off.has(key(part)));
  for (const part of wanted) allOff ? off.delete(key(part)) : off.set(key(part), part);
  pressed();
  measure();
});
allOn.addEventListener("click", () => {
  off.clear();
  pressed();
  measure();
});

// ---- what changes -------------------------------------------------------------------------------------------------

let busy = false;
let stale = false;

/** Measure what is off; while one measurement runs, only the latest wish waits. */
async function measure() {
  stale = true;
  if (busy) return;
  busy = true;
  while (stale) {
    stale = false;
    const mine = question;
    const parts = [...off.values()];
    const { visitor = "", run, step, text } = props.value;
    effectCard.classList.add("pg-waiting");
    const answer = await P.ask(server.ablate, { visitor, run, step, parts, how, text });
    effectCard.classList.remove("pg-waiting");
    if (mine !== question || stale) continue;
    if (!answer || answer.error) tell(answer?.error ?? "The server did not answer. Press Look to try again.", true);
    else show(JSON.parse(JSON.stringify(answer)), parts);
  }
  busy = false;
}

function show(answer, parts) {
  tell("");
  filled.hidden = false;
  const without = answer.loss + answer.change;
  const spread = answer.standard_error == null ? "" : ` ± ${answer.standard_error.toFixed(3)}`;
  P.say(verdict, parts.length ? `Loss ${answer.loss.toFixed(3)} → ${without.toFixed(3)}: ${signed(answer.change)}${spread} nats per token`
    : `Loss ${answer.loss.toFixed(3)} nats per token with everything on`);
  P.say(detail, `${parts.length ? `Off: ${parts.map(name).join(", ")}. ` : "Press a head. "}Measured on ${P.whole(answer.n_tokens)} validation tokens in ${answer.n_windows} windows; ± is one standard error of the paired difference.`);
  drawNext(answer.next, parts.length > 0);
  const text = (title, body) => P.el("div", {}, P.el("h3", { class: "pg-panel-title", text: title }), P.el("p", { class: "pg-beside-text" }, P.printable(body)));
  texts.replaceChildren(text("Goes on, everything on", answer.before), ...(parts.length ? [text("Goes on, these off", answer.after)] : []));
  note.hidden = !answer.note;
  P.say(note, answer.note);
}

function drawNext(rows, changed) {
  const head = P.el("tr", {}, P.el("th", { scope: "col", text: "next token" }), P.el("th", { scope: "col", text: "on" }), ...(changed ? [P.el("th", { scope: "col", text: "off" }), P.el("th", { scope: "col", text: "change" })] : []));
  const body = rows.map(([token, p, q]) => P.el("tr", {}, P.el("th", { scope: "row" }, P.el("code", { text: P.visible(token) })), P.el("td", { text: P.percent(p) }),
    ...(changed ? [P.el("td", { text: P.percent(q) }), P.el("td", { text: `${q < p ? "−" : "+"}${(100 * Math.abs(q - p)).toFixed(1)} points` })] : [])));
  next.replaceChildren(P.el("thead", {}, head), P.el("tbody", {}, ...body));
}

// ---- which parts matter -------------------------------------------------------------------------------------------

let round = 0; // a ranking that was begun later, or stopped, ends this one

rank.addEventListener("click", async () => {
  if (!progress.hidden) {
    round++;
    endRanking();
    return;
  }
  const mine = ++round;
  const { visitor = "", run, step } = props.value;
  ranking = [];
  progress.hidden = false;
  P.say(rank, "Stop");
  const began = performance.now();
  for (const part of model.parts) {
    const answer = await P.ask(server.ablate, { visitor, run, step, parts: [part], how });
    if (mine !== round) return;
    if (!answer || answer.error) {
      tell(answer?.error ?? "The server did not answer. Rank again.", true);
      break;
    }
    ranking.push({ part, change: answer.change, error: answer.standard_error });
    progress.value = ranking.length / model.parts.length;
    P.say(counted, `${ranking.length} of ${model.parts.length}`);
    drawRanking();
  }
  rank.dataset.seconds = ((performance.now() - began) / 1000).toFixed(2);
  endRanking();
});

function endRanking() {
  progress.hidden = true;
  P.say(counted, "");
  P.say(rank, "Rank all parts");
}

function drawRanking() {
  rankCard.hidden = !ranking;
  if (!ranking) return;
  const sorted = [...ranking].sort((a, b) => b.change - a.change);
  const most = Math.max(1e-6, ...sorted.map(({ change }) => Math.abs(change)));
  list.replaceChildren(...sorted.slice(0, SHOWN).map(({ part, change, error }) => {
    const bar = P.el("i", { "aria-hidden": "true", class: change < 0 ? "pg-rank-less" : "" });
    bar.style.width = `${(100 * Math.abs(change)) / most}%`;
    return P.el("li", {}, P.el("span", { text: name(part) }), P.el("span", { class: "pg-alternative-bar" }, bar),
      P.el("span", { class: "pg-number", text: `${signed(change)}${error == null ? "" : ` ± ${error.toFixed(3)}`}` }));
  }));
}

// ---- life ---------------------------------------------------------------------------------------------------------

let question = "";

function tell(text, bad = false) {
  status.hidden = !text;
  status.classList.toggle("pg-alert-bad", bad);
  P.say(status, text);
}

async function refresh() {
  const { visitor = "", run, step, text, nonce } = props.value ?? {};
  const now = run ? JSON.stringify([run, step, text, nonce]) : "";
  empty.hidden = Boolean(now);
  if (!now) {
    filled.hidden = true;
    tell("");
    question = now;
    return;
  }
  if (now === question || element.offsetParent === null) return;
  const before = question ? JSON.parse(question) : [];
  question = now;
  const answer = await P.ask(server.parts, { visitor, run });
  if (now !== question) return;
  if (!answer || answer.error) return tell(answer?.error ?? "The server did not answer. Press Look to try again.", true);
  model = JSON.parse(JSON.stringify(answer));
  if (before[0] !== run) off.clear();
  if (before[0] !== run || before[1] !== step) {
    round++;
    ranking = null;
    endRanking();
    drawRanking();
  }
  drawSwitches();
  if (filled.hidden) tell("Reading the validation text…");
  await measure();
}

new ResizeObserver(refresh).observe(root);
watch("value", refresh);
refresh();
