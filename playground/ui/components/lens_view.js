// A text coloured by surprise, and below it the logit lens: for every token what the model would say next, after the
// embedding and after each layer. Both share one chosen position. Gradio runs this file as a function body with
// `element`, `props`, `server` and `watch`.
/* global element, props, server, watch */

const P = window.Playground;
const root = element.querySelector(".pg-lens");
const LEVELS = 6; // a level every 1.5 bits, as in the Sample tab

const surprise = (p) => -Math.log2(Math.max(p, 1e-12));
const level = (p) => Math.min(LEVELS - 1, Math.floor(surprise(p) / 1.5));

// What a cell's colour can say: name, what is read from a depth, the scale's end, its unit, and where it is bright.
const COLOURS = {
  probability: { name: "Probability", of: (depth, t) => depth.top[t][0][1], end: () => 1, unit: "",
    words: "how sure this layer is of the token shown" },
  actual: { name: "True token", of: (depth, t) => depth.actual[t], end: () => 1, unit: "",
    words: "probability of the token that really follows" },
  entropy: { name: "Entropy", of: (depth, t) => depth.entropy[t], end: most("entropy"), unit: " bits",
    words: "how undecided this layer is" },
  divergence: { name: "KL to the end", of: (depth, t) => depth.divergence[t], end: most("divergence"), unit: " bits",
    words: "how far this layer's prediction is from the last one's" },
};

function most(field) {
  return () => Math.max(0.1, ...reply.depths.flatMap((depth) => depth[field]).filter((x) => x != null));
}

// ---- layout -------------------------------------------------------------------------------------------------------

const empty = element.querySelector(".pg-lens-empty");
const status = P.el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
const legend = P.el("div", { class: "pg-surprise-legend" }, P.el("span", { text: "expected" }),
  ...Array.from({ length: LEVELS }, (_, i) => P.el("i", { class: `pg-surprise-${i}`, "aria-hidden": "true" })), P.el("span", { text: "surprising" }));
const flow = P.el("p", { class: "pg-token-flow", role: "group", "aria-label": "Your text; arrow keys move between tokens" });
const mean = P.el("p", { class: "pg-soft pg-small" });
const panel = P.el("div", { class: "pg-token-panel", "aria-live": "polite" });
const textCard = P.el("section", { class: "pg-panel" },
  P.el("div", { class: "pg-token-head" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Surprise" }), " the deeper the colour, the less the model expected it"), legend),
  flow, mean, panel);

let colour = "probability";
const choice = P.segmented("What colour means", Object.entries(COLOURS).map(([id, c]) => [id, c.name]), colour, (id) => {
  colour = id;
  paintCells();
});
choice.classList.add("pg-segments-small");
const table = P.el("table", { class: "pg-lens-table" });
const scroller = P.el("div", { class: "pg-lens-scroll", tabindex: 0, role: "region", "aria-label": "Predictions after every layer" }, table);
const bar = P.el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
const ends = [P.el("span"), P.el("span")];
const meaning = P.el("span", { class: "pg-soft" });
const readout = P.el("p", { class: "pg-readout", "aria-live": "polite" });
const note = P.el("p", { class: "pg-soft pg-small", hidden: true });
const lensCard = P.el("section", { class: "pg-panel" },
  P.el("div", { class: "pg-token-head" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Layer by layer" }), " what the model would say next, if it ended here"), choice),
  scroller, readout, P.el("div", { class: "pg-scale" }, ends[0], bar, ends[1], meaning),
  P.el("p", { class: "pg-soft pg-small", text: "The logit lens (nostalgebraist 2020): the final norm and the output matrix, applied to the residual stream after each layer. A column is a token of your text, a cell the likeliest token after it. The bottom row is what your text really goes on with." }), note);
const filled = P.el("div", { class: "pg-stack", hidden: true }, textCard, lensCard);
root.append(status, filled);
{
  const context = bar.getContext("2d");
  const image = context.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(P.cividisWords);
  context.putImageData(image, 0, 0);
}

// ---- the text -----------------------------------------------------------------------------------------------------

let reply = null;
let chosen = 0; // position of the text
let cell = null; // { depth, position }

function drawText() {
  const last = reply.depths.at(-1);
  const spans = reply.tokens.map((token, t) => {
    const p = t ? last.actual[t - 1] : null;
    const node = P.el("span", { class: `pg-token ${p == null ? "" : `pg-surprise-${level(p)}`}`, tabindex: -1 });
    for (const part of (token === "" ? "∅" : token).split(/(\n)/)) {
      if (part === "\n") node.append(P.el("span", { class: "pg-token-mark", text: "⏎" }), "\n");
      else if (part) node.append(part.replace(/[\p{Cc}\p{Cf}]/gu, P.visible));
    }
    return node;
  });
  flow.replaceChildren(...spans);
  const known = last.actual.filter((p) => p != null);
  const bits = known.reduce((sum, p) => sum + surprise(p), 0) / Math.max(1, known.length);
  P.say(mean, known.length ? `On average ${bits.toFixed(2)} bits a token: as if it guessed among ${P.number(2 ** bits)} equally likely ones. The first token has nothing before it.` : "One token: nothing to predict.");
}

function chooseToken(t) {
  if (t < 0 || t >= reply.tokens.length) return;
  flow.children[chosen]?.classList.remove("pg-token-chosen");
  flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
  chosen = t;
  flow.children[t].classList.add("pg-token-chosen");
  flow.children[t].tabIndex = 0;
  const last = reply.depths.at(-1);
  if (t === 0) {
    panel.replaceChildren(P.el("p", {}, P.el("code", { text: P.visible(reply.tokens[0]) }), " is the first token: the model had nothing to expect it from."));
    return;
  }
  const p = last.actual[t - 1];
  const rows = last.top[t - 1].map(([other, odds]) => {
    const fill = P.el("i", { "aria-hidden": "true" });
    fill.style.width = `${100 * Math.min(1, odds)}%`;
    return P.el("li", { class: other === reply.tokens[t] ? "pg-alternative pg-alternative-taken" : "pg-alternative" },
      P.el("code", { text: P.visible(other) }), P.el("span", { class: "pg-alternative-bar" }, fill), P.el("span", { class: "pg-number", text: P.percent(odds) }));
  });
  panel.replaceChildren(
    P.el("p", {}, P.el("code", { text: P.visible(reply.tokens[t]) }), ` had a probability of ${P.percent(p)}: `, P.el("b", { text: `${surprise(p).toFixed(1)} bits of surprise` })),
    P.el("ul", { class: "pg-alternatives", "aria-label": "Most likely tokens here" }, ...rows));
}

const tokenAt = (target) => [...flow.children].indexOf(target.closest?.(".pg-token"));
flow.addEventListener("pointerover", (event) => {
  const t = tokenAt(event.target);
  if (t >= 0) chooseToken(t);
});
flow.addEventListener("click", (event) => {
  const t = tokenAt(event.target);
  if (t < 0) return;
  chooseToken(t);
  if (t > 0) {
    chooseCell(reply.depths.length - 1, t - 1);
    scrollTo(t - 1);
  }
});
flow.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!step || !flow.children[chosen + step]) return;
  event.preventDefault();
  chooseToken(chosen + step);
  flow.children[chosen].focus();
});

// ---- the lens -----------------------------------------------------------------------------------------------------

const depthName = (depth) => (depth === 0 ? "embedding" : depth === reply.depths.length - 1 ? `layer ${depth} · answer` : `layer ${depth}`);

function drawTable() {
  const head = P.el("tr", {}, P.el("th", { scope: "col", text: "after reading" }), ...reply.tokens.map((token) => P.el("th", { scope: "col", text: P.visible(token) })));
  const rows = reply.depths.map((depth, d) => P.el("tr", {}, P.el("th", { scope: "row", text: depthName(d) }),
    ...depth.top.map((top, t) => P.el("td", { "data-depth": d, "data-position": t, text: P.visible(top[0][0]) }))));
  const truth = P.el("tr", { class: "pg-lens-truth" }, P.el("th", { scope: "row", text: "really next" }),
    ...reply.tokens.map((_, t) => P.el("td", { text: t + 1 < reply.tokens.length ? P.visible(reply.tokens[t + 1]) : "?" })));
  table.replaceChildren(P.el("thead", {}, head), P.el("tbody", {}, ...rows, truth));
  paintCells();
}

function paintCells() {
  const scale = COLOURS[colour];
  const end = scale.end();
  for (const td of table.querySelectorAll("td[data-depth]")) {
    const value = scale.of(reply.depths[td.dataset.depth], Number(td.dataset.position));
    const byte = value == null ? 0 : Math.round(255 * Math.min(1, value / end));
    const [r, g, b] = P.cividis[byte];
    td.style.background = value == null ? "none" : `rgb(${r},${g},${b})`;
    td.style.color = value == null ? "inherit" : byte > 120 ? "#111" : "#fff";
    const hit = reply.depths[td.dataset.depth].top[td.dataset.position][0][0] === reply.tokens[Number(td.dataset.position) + 1];
    td.classList.toggle("pg-lens-right", hit);
  }
  P.say(ends[0], `0${scale.unit}`);
  P.say(ends[1], `${P.number(end)}${scale.unit}`);
  P.say(meaning, `${scale.words}; underlined where the token shown really follows`);
}

const tableCell = ({ depth, position }) => table.querySelector(`td[data-depth="${depth}"][data-position="${position}"]`);

function chooseCell(depth, position) {
  if (depth < 0 || position < 0 || depth >= reply.depths.length || position >= reply.tokens.length) return;
  if (cell) tableCell(cell)?.classList.remove("pg-lens-chosen");
  cell = { depth, position };
  tableCell(cell).classList.add("pg-lens-chosen");
  const at = reply.depths[depth];
  const odds = at.top[position].map(([token, p]) => `${P.visible(token)} ${P.percent(p)}`).join(" · ");
  const truth = at.actual[position] == null ? "" : ` · true token ${P.percent(at.actual[position])}`;
  readout.replaceChildren(P.el("b", { text: `${depthName(depth)}, after ${P.visible(reply.tokens[position])}` }), `: ${odds}`,
    P.el("span", { class: "pg-soft", text: `  entropy ${at.entropy[position].toFixed(2)} bits · KL to the end ${at.divergence[position].toFixed(2)} bits${truth}` }));
}

function scrollTo(position) {
  const td = tableCell({ depth: 0, position });
  scroller.scrollLeft = td.offsetLeft - scroller.clientWidth / 2;
}

for (const kind of ["pointerover", "pointerdown"]) {
  table.addEventListener(kind, (event) => {
    const td = event.target.closest("td[data-depth]");
    if (td) chooseCell(Number(td.dataset.depth), Number(td.dataset.position));
  });
}
scroller.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!move || !cell) return;
  event.preventDefault();
  chooseCell(cell.depth + move[0], cell.position + move[1]);
  scrollTo(cell.position);
});

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
  question = now;
  if (!reply) tell("Reading the text…");
  root.classList.add("pg-waiting");
  const answer = await P.ask(server.lens, { visitor, run, step, text });
  if (now !== question) return;
  root.classList.remove("pg-waiting");
  if (!answer || answer.error) return tell(answer?.error ?? "The server did not answer. Press Look to try again.", true);
  reply = JSON.parse(JSON.stringify(answer)); // a plain copy: Gradio's is a slow proxy
  tell("");
  filled.hidden = false;
  note.hidden = !reply.note;
  P.say(note, reply.note);
  cell = null;
  drawText();
  drawTable();
  chooseToken(Math.min(chosen || reply.tokens.length - 1, reply.tokens.length - 1));
  chooseCell(reply.depths.length - 1, reply.tokens.length - 1);
  scrollTo(cell.position);
}

new ResizeObserver(refresh).observe(root);
watch("value", refresh);
refresh();
