// A text under several tokenizers, and the chart of what a larger vocabulary would bring.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ visitor: string, text: string, tokenizers: string[], learned: string, width: any, nonce: number | string }} TokenizeValue */
/** @typedef {{ visitor: string, text: string, tokenizers: string[], learned: string, width: any }} TokenizeQuestion */
/** @typedef {{ key: string, name: string, error?: string, note?: string, vocab?: number, tokens?: number, bytes_per_token?: number, tokens_per_word?: number | null, share?: number | null, ids?: number[], pieces?: string[] }} TokenizedText */
/** @typedef {{ size: number, ratio: number }} VocabularySize */
/** @typedef {{ rows: TokenizedText[], curve: VocabularySize[], bytes: number, characters: number, words: number, learned: string, notice: string }} TokenizeAnswer */
/** @typedef {Component<TokenizeValue, { tokenize: Endpoint<TokenizeQuestion, TokenizeAnswer> }>} Given */

import { colours, onTheme } from "../static/colours.js";
import { askServer, el, onResize, setText, tokenPiece } from "../static/dom.js";
import { loadPlotly } from "../static/plotly.js";
import { counted, number, percent, plain, visible, whole } from "../static/words.js";

/** The bytes of a piece in hexadecimal; a piece that is no whole character already says them. */
function hex(piece) {
  if (/^(\\x[0-9A-F]{2})+$/.test(piece)) return piece.slice(2).split("\\x");
  return [...new TextEncoder().encode(piece)].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
}

/** One number with its unit, large and small. */
const stat = (value, unit) => el("div", { class: "pg-stat" }, el("b", { text: value }), el("span", { text: unit }));

function card(row) {
  const head = el("h3", { class: "pg-panel-title" }, el("b", { text: row.name }), row.note ? ` ${row.note}` : "");
  if (row.error) return el("section", { class: "pg-panel", "data-key": row.key }, head, el("p", { class: "pg-alert", text: row.error }));
  const stats = el("div", { class: "pg-stats" }, stat(whole(row.tokens), row.tokens === 1 ? "token" : "tokens"), stat(number(row.bytes_per_token), "bytes per token"),
    stat(number(row.tokens_per_word), "tokens per word"), stat(row.share == null ? "–" : percent(row.share), "of parameters in its embedding"));
  const flow = el("p", { class: "pg-pieces", role: "group", "aria-label": `Tokens of ${row.name}; arrow keys move`, dir: "auto" }, ...row.pieces.map((text, at) => tokenPiece(text, at, { tabindex: -1 })));
  const readout = el("p", { class: "pg-readout", "aria-live": "polite", text: `Vocabulary ${whole(row.vocab)}. Point at a piece to see its id and bytes.` });
  explore(flow, row, readout);
  const more = row.tokens > row.pieces.length ? el("p", { class: "pg-soft pg-small", text: `The first ${whole(row.pieces.length)} tokens are shown; the numbers are of all.` }) : "";
  return el("section", { class: "pg-panel pg-reading", "data-key": row.key }, el("div", { class: "pg-reading-head" }, head, stats), flow, more, readout);
}

/** Pointer and arrow keys choose a piece; its id and bytes are said below. */
function explore(flow, row, readout) {
  let chosen = null;
  const say = (node) => {
    if (!node || node === chosen) return;
    chosen?.classList.remove("pg-piece-chosen");
    flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
    chosen = node;
    node.classList.add("pg-piece-chosen");
    node.tabIndex = 0;
    const at = [...flow.children].indexOf(node);
    const bytes = hex(row.pieces[at]);
    readout.replaceChildren(el("b", { text: visible(row.pieces[at]) }), ` id ${row.ids[at]}`,
      el("span", { class: "pg-soft", text: `  token ${whole(at + 1)} of ${whole(row.tokens)} · ${bytes.length} ${bytes.length === 1 ? "byte" : "bytes"}: ${bytes.slice(0, 24).join(" ")}${bytes.length > 24 ? " …" : ""}` }));
  };
  const pieceOf = (target) => target.closest?.(".pg-piece");
  for (const kind of ["pointerover", "focusin"]) flow.addEventListener(kind, (event) => say(pieceOf(event.target)));
  flow.addEventListener("click", (event) => pieceOf(event.target)?.focus());
  flow.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const next = step && flow.children[[...flow.children].indexOf(chosen) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  if (flow.firstElementChild) flow.firstElementChild.tabIndex = 0;
}

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const root = element.querySelector(".pg-readings");
  const empty = element.querySelector(".pg-readings-empty");

  // ---- layout -------------------------------------------------------------------------------------------------------

  const alert = el("p", { class: "pg-alert pg-alert-bad", role: "alert", hidden: true });
  const notice = el("p", { class: "pg-notice", "aria-live": "polite" });
  const size = el("p", { class: "pg-soft pg-small" });
  const list = el("div", { class: "pg-readings-list" });
  const chartTitle = el("h2", { class: "pg-panel-title" });
  const plot = el("div", { class: "pg-chart pg-chart-low", role: "figure", "aria-label": "Bytes per token of this text against the size of the vocabulary" });
  const chartCard = el("section", { class: "pg-panel", "aria-label": "Compression against vocabulary" }, chartTitle, plot,
    el("p", { class: "pg-soft pg-small", text: "Doubling the vocabulary doubles the embedding table that the model must learn: see where the curve flattens." }));
  const filled = el("div", { class: "pg-readings-filled", hidden: true }, alert, notice, size, list, chartCard);
  root.append(filled);

  // ---- the chart ----------------------------------------------------------------------------------------------------

  let answer = null;

  async function drawChart() {
    if (!answer?.curve || plot.clientWidth === 0) return;
    const plotly = await loadPlotly();
    const colour = colours();
    const marks = answer.rows.filter((row) => row.key.startsWith("bpe:") && !row.error);
    const axis = { color: colour.soft, gridcolor: colour.line, zeroline: false, tickfont: { size: 11 }, fixedrange: true };
    const sizes = answer.curve.map((point) => point.size);
    const traces = [
      { x: sizes, y: answer.curve.map((point) => point.ratio), mode: "lines+markers", line: { color: colour.blue, width: 2 }, marker: { color: colour.blue, size: 5 },
        hovertemplate: "%{x:,} tokens: %{y:.2f} bytes per token<extra></extra>" },
      { x: marks.map((row) => row.vocab), y: marks.map((row) => row.bytes_per_token), mode: "markers", marker: { color: colour.highlight, size: 11, symbol: "circle-open", line: { width: 2 } },
        text: marks.map((row) => plain(row.name)), hovertemplate: "%{text}: %{y:.2f}<extra></extra>" },
    ];
    const ticks = [256, 512, 1000, 2000, 4000, 8000];
    await plotly.react(plot, traces, {
      width: Math.floor(plot.clientWidth), height: 240, margin: { l: 48, r: 16, t: 8, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(root).fontFamily, size: 12, color: colour.soft }, showlegend: false, dragmode: false,
      hoverlabel: { bgcolor: colour.card, bordercolor: colour.line, font: { color: colour.ink, size: 12 } },
      xaxis: { ...axis, type: "log", tickvals: ticks, ticktext: ticks.map(whole), title: { text: "vocabulary (tokens, log scale)", standoff: 6, font: { size: 12 } } },
      yaxis: { ...axis, rangemode: "tozero", nticks: 6, title: { text: "bytes per token", standoff: 4, font: { size: 12 } } },
    }, { displayModeBar: false, responsive: false, showSendToCloud: false });
  }
  onTheme(plot, drawChart);
  onResize(plot, drawChart);

  // ---- life ---------------------------------------------------------------------------------------------------------

  let latest = 0;

  function draw() {
    alert.hidden = !answer.error;
    setText(alert, answer.error ?? "");
    root.classList.remove("pg-waiting");
    empty.hidden = true;
    filled.hidden = false;
    if (answer.error) return;
    setText(notice, answer.notice);
    setText(size, `This text: ${counted(answer.bytes, "byte")} of UTF-8 · ${counted(answer.characters, "character")} · ${counted(answer.words, "word")} between spaces.`);
    list.replaceChildren(...answer.rows.map(card));
    chartTitle.replaceChildren(el("b", { text: "Compression by vocabulary size" }), ` this text with BPE learned from ${answer.learned}`);
    drawChart();
  }

  /** Ask about the value that is there now; only the latest question's answer is drawn. */
  async function refresh() {
    const value = JSON.parse(JSON.stringify(props.value ?? null));
    if (!value?.text) latest++; // an answer that is still under way is no longer wanted
    empty.hidden = Boolean(value?.text && answer);
    filled.hidden = !empty.hidden;
    if (!value?.text) return;
    const mine = ++latest;
    root.classList.add("pg-waiting");
    const reply = await askServer(server.tokenize, value);
    if (mine !== latest) return;
    answer = reply ?? { error: "The server did not answer. Change something to ask again." };
    draw();
  }

  watch("value", refresh);
  refresh();
}
