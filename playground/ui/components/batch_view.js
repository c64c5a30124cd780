// A batch under the lens. Rows are chosen like radio buttons, positions like cells of a grid: with the arrow keys.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ ids: number[], pieces: string[], loss: (number | null)[] | null, counts: boolean[] }} BatchRow */
/** @typedef {{ n_rows: number, title: string, rows: BatchRow[], note: string, code: Object<string, string>[], nonce: number | string, visitor: string, run: string, step: number | null, batch: any }} BatchValue */
/** @typedef {{ visitor: string, run: string, step: number | null, ids: number[], position: number, target: number }} ExplainQuestion */
/** @typedef {{ token: number, piece: string, logit: number, weight: number, p: number }} ExplainCandidate */
/** @typedef {{ candidates: ExplainCandidate[], target: number, largest: number, total: number, p: number, loss: number, others: number, p_others: number }} ExplainAnswer */
/** @typedef {Component<BatchValue, { explain: Endpoint<ExplainQuestion, ExplainAnswer> }>} Given */

import { askServer, el, setText } from "../static/dom.js";
import { counted, percent, visible, whole } from "../static/words.js";

const LEVELS = 6; // a level every 1.5 bits, as in generated text
const level = (nats) => Math.min(LEVELS - 1, Math.floor(nats / Math.LN2 / 1.5));
const mean = (values) => {
  const known = (values ?? []).filter((x) => x != null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

/** A row's tokens as running text, each coloured by its loss, if that is known. */
function strip(data) {
  const text = el("span", { class: "pg-batch-text" });
  data.pieces.slice(0, -1).forEach((piece, t) => {
    const loss = t > 0 ? data.loss?.[t - 1] : null; // this token was the target of the position before
    text.append(el("span", { class: loss == null ? "" : `pg-surprise-${level(loss)}`, text: visible(piece) }));
  });
  return text;
}

const small = (x) => (x >= 0.001 && x < 1000 ? x.toFixed(3) : x === 0 ? "0" : x.toExponential(1).replace("e-", "·10⁻").replace("e+", "·10⁺").replace(/⁻(\d+)$|⁺(\d+)$/, (_, a, b) => (a ? "⁻" : "") + [...(a ?? b)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")));

function noticed(e) {
  const best = e.candidates[0];
  if (best.token === e.target) return `The target was the most likely token, at ${percent(e.p)}. The loss depends on this probability, not on the rank, so a correct prediction still costs ${small(e.loss)} nats.`;
  const vocabulary = e.others + e.candidates.length;
  if (e.p < 1 / vocabulary) return `The target got less than a uniform distribution would give it (1 in ${whole(vocabulary)}), so this position costs more than ln ${whole(vocabulary)} = ${Math.log(vocabulary).toFixed(2)} nats. Only the probability of the target counts, not how the rest is distributed.`;
  return `The most likely token was ${visible(best.piece)} (${percent(best.p)}); the target got ${percent(e.p)}. Only the probability of the target counts, not how the rest is distributed.`;
}

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const root = element.querySelector(".pg-batch");
  const empty = element.querySelector(".pg-batch-empty");

  // ---- layout -------------------------------------------------------------------------------------------------------

  const title = el("h2", { class: "pg-panel-title" });
  const rowsHost = el("div", { class: "pg-batch-rows", role: "radiogroup", "aria-label": "Rows of the batch" });
  const batchNote = el("p", { class: "pg-soft pg-small" });
  const shiftTitle = el("h2", { class: "pg-panel-title" });
  const table = el("table", { class: "pg-shift" });
  const frame = el("div", { class: "pg-shift-frame", role: "region", "aria-label": "Inputs and targets, position by position" }, table);
  const shiftSays = el("p", { class: "pg-notice", "aria-live": "polite" });
  const lossPanel = el("section", { class: "pg-panel", "aria-label": "Cross-entropy at one position" });
  const codeHost = el("details", { class: "pg-code" });
  const filled = el("div", { class: "pg-live-filled", hidden: true },
    el("section", { class: "pg-panel", "aria-label": "The batch" }, title, rowsHost, batchNote),
    el("section", { class: "pg-panel", "aria-label": "One row" }, shiftTitle, frame, shiftSays), lossPanel,
    el("section", { class: "pg-panel" }, codeHost));
  root.append(filled);

  let value = null;
  let row = 0;
  let position = 0;
  let latest = 0;

  // ---- the rows -----------------------------------------------------------------------------------------------------

  function drawRows() {
    rowsHost.replaceChildren(...value.rows.map((data, i) => {
      const loss = mean(data.loss);
      const button = el("button", { type: "button", role: "radio", class: "pg-batch-row", "aria-checked": String(i === row), tabindex: i === row ? 0 : -1,
        "aria-label": `Row ${i + 1}${loss == null ? "" : `, mean loss ${loss.toFixed(2)}`}` },
      el("b", { text: String(i + 1) }), strip(data), el("span", { class: "pg-number pg-soft", text: loss == null ? "" : loss.toFixed(2) }));
      button.addEventListener("click", () => chooseRow(i));
      return button;
    }));
    const all = mean(value.rows.flatMap((data) => data.loss ?? []));
    const more = value.n_rows > value.rows.length ? `The first ${value.rows.length} of ${value.n_rows} rows are shown. ` : "";
    setText(batchNote, [value.note, more + (all == null ? "" : `The mean over these rows is ${all.toFixed(3)} nats per token; the loss of a step is the mean over all of its rows. A deeper colour means a higher loss.`)].filter(Boolean).join(" "));
  }

  function chooseRow(i, focus = true) {
    row = Math.max(0, Math.min(value.rows.length - 1, i));
    [...rowsHost.children].forEach((button, n) => {
      button.setAttribute("aria-checked", String(n === row));
      button.tabIndex = n === row ? 0 : -1;
    });
    if (focus) rowsHost.children[row].focus();
    drawShift();
  }

  rowsHost.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    chooseRow(row + step);
  });

  // ---- one row: inputs over targets -----------------------------------------------------------------------------------

  function drawShift() {
    const data = value.rows[row];
    const n = data.ids.length - 1;
    shiftTitle.replaceChildren(el("b", { text: `Row ${row + 1}` }), " inputs and targets: the targets are the inputs, one token later");
    const line = (name, cells) => el("tr", {}, el("th", { scope: "row", text: name }), ...cells);
    const cells = (make) => Array.from({ length: n }, (_, t) => make(t));
    const token = (t, kind) => el("td", { class: `pg-shift-${kind}`, "data-t": t }, el("code", { text: visible(data.pieces[kind === "in" ? t : t + 1]) }), el("small", { text: String(data.ids[kind === "in" ? t : t + 1]) }));
    const targets = cells((t) => {
      const cell = token(t, "out");
      if (!data.counts[t]) cell.classList.add("pg-shift-off");
      return cell;
    });
    const losses = cells((t) => {
      const loss = data.loss?.[t];
      const cell = el("td", { "data-t": t, class: loss == null ? "pg-soft" : `pg-surprise-${level(loss)}` });
      const name = `Position ${t}: after ${visible(data.pieces[t])} comes ${visible(data.pieces[t + 1])}${loss == null ? "" : `, loss ${loss.toFixed(2)}`}`;
      const button = el("button", { type: "button", class: "pg-shift-pick", tabindex: -1, "aria-label": name, text: loss == null ? "·" : loss.toFixed(1) });
      cell.append(button);
      return cell;
    });
    table.replaceChildren(el("tbody", {}, line("position", cells((t) => el("td", { class: "pg-soft", "data-t": t, text: String(t) }))),
      line("input", cells((t) => token(t, "in"))), line("target", targets), line(data.loss ? "loss" : "", losses)));
    const costs = (data.loss ?? []).map((x) => x ?? -1);
    choosePosition(costs.length ? costs.indexOf(Math.max(...costs)) : Math.min(4, n - 1), false);
  }

  function choosePosition(t, focus = true) {
    const data = value.rows[row];
    position = Math.max(0, Math.min(data.ids.length - 2, t));
    const picks = [...table.querySelectorAll(".pg-shift-pick")];
    picks.forEach((button, n) => {
      button.tabIndex = n === position ? 0 : -1;
      button.setAttribute("aria-pressed", String(n === position));
    });
    for (const cell of table.querySelectorAll("td")) {
      const at = Number(cell.dataset.t);
      cell.classList.toggle("pg-shift-chosen", at === position);
      cell.classList.toggle("pg-shift-next", cell.classList.contains("pg-shift-in") && at === position + 1);
    }
    const cell = picks[position].parentElement;
    frame.scrollLeft = cell.offsetLeft - frame.clientWidth / 2;
    if (focus) picks[position].focus({ preventScroll: true });
    const ignored = data.counts[position] ? "" : " This target is not counted in the loss.";
    const next = position + 1 < data.ids.length - 1 ? `, which is the input of position ${position + 1}` : "";
    setText(shiftSays, `At position ${position} the model has read ${counted(position + 1, "token")}, up to “${visible(data.pieces[position])}”. The target is “${visible(data.pieces[position + 1])}”${next}.${ignored}`);
    explain();
  }

  table.addEventListener("click", (event) => {
    const cell = /** @type {Element} */ (event.target).closest("td");
    if (cell) choosePosition(Number(cell.dataset.t));
  });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e6, End: 1e6, PageUp: -16, PageDown: 16 }[event.key];
    if (!step) return;
    event.preventDefault();
    choosePosition(position + step);
  });

  // ---- one position: logits, softmax, minus log -----------------------------------------------------------------------

  async function explain() {
    const data = value.rows[row];
    lossPanel.hidden = !data.loss;
    if (!data.loss) return;
    const mine = ++latest;
    lossPanel.classList.add("pg-waiting");
    const reply = await askServer(server.explain, { visitor: value.visitor, run: value.run, step: value.step, ids: data.ids.slice(0, -1), position, target: data.ids[position + 1] });
    if (mine !== latest) return;
    lossPanel.classList.remove("pg-waiting");
    if (!reply || reply.error) {
      lossPanel.replaceChildren(el("p", { class: "pg-alert", text: reply?.error ?? "The server did not answer. Try again." }));
      return;
    }
    drawLoss(reply, data.pieces[position + 1]);
  }

  function drawLoss(e, target) {
    const rows = e.candidates.map((candidate) => {
      const bar = el("i", { class: "pg-data-bar" });
      bar.style.width = `${100 * candidate.p}%`;
      const hit = candidate.token === e.target;
      return el("tr", { class: hit ? "pg-loss-target" : "" },
        el("th", { scope: "row" }, el("code", { text: visible(candidate.piece) }), el("small", { class: "pg-soft", text: hit ? "target" : String(candidate.token) })),
        el("td", { text: candidate.logit.toFixed(2) }), el("td", { text: small(candidate.weight) }),
        el("td", { class: "pg-data-track", "aria-hidden": "true" }, el("span", {}, bar)), el("td", { text: small(candidate.p) }));
    });
    if (e.others) {
      rows.push(el("tr", { class: "pg-soft" }, el("th", { scope: "row", text: counted(e.others, "other") }), el("td"), el("td", { text: small(e.p_others * e.total) }), el("td", { class: "pg-data-track" }), el("td", { text: small(e.p_others) })));
    }
    rows.push(el("tr", { class: "pg-loss-sum" }, el("th", { scope: "row", text: "sum" }), el("td"), el("td", { text: small(e.total) }), el("td", { class: "pg-data-track" }), el("td", { text: "1" })));
    const head = ["token", "logit", "exp(logit − max)", "", "÷ sum = p"];
    lossPanel.replaceChildren(
      el("h2", { class: "pg-panel-title" }, el("b", { text: "Cross-entropy" }), ` from the logits of position ${position}`),
      el("div", { class: "pg-data-scroll", tabindex: 0, role: "region", "aria-label": "Logits, weights and probabilities" },
        el("table", { class: "pg-data-table pg-loss-table" }, el("thead", {}, el("tr", {}, ...head.map((text) => (text ? el("th", { scope: "col", text }) : el("td", { class: "pg-data-track" }))))), el("tbody", {}, ...rows))),
      el("p", { class: "pg-formula" }, "loss = −ln p(", el("code", { text: visible(target) }), `) = −ln ${small(e.p)} = `, el("b", { text: `${e.loss.toFixed(3)} nats` }), ` = ${(e.loss / Math.LN2).toFixed(2)} bits`),
      el("p", { class: "pg-notice", text: noticed(e) }));
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  function drawCode() {
    codeHost.replaceChildren(el("summary", { text: "The code that made these numbers" }),
      ...value.code.flatMap(({ name, text }) => [el("p", { class: "pg-soft pg-small", text: name }), el("pre", { tabindex: 0 }, el("code", { text }))]));
  }

  function draw() {
    value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    const some = Boolean(value?.rows?.length);
    empty.hidden = some;
    filled.hidden = !some;
    if (!some) return;
    row = 0;
    title.replaceChildren(el("b", { text: `The batch of step ${whole(value.batch)}` }), ` ${value.title}`);
    drawRows();
    drawCode();
    drawShift();
  }

  watch("value", draw);
  draw();
}
