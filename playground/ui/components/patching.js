// What comes back of the difference between two answers when one activation of the clean run is put into the corrupted one:
// for the residual stream a table of depths and positions, for heads and MLPs one of layers. Blue restores, orange goes the
// other way.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ visitor: string, run: string, nonce: number | string, "clean prompt": string, "corrupted prompt": string, "clean answer": string, "corrupted answer": string, step: number | null }} PatchingValue */
/** @typedef {{ visitor: string, run: string, step: number | null, "clean prompt": string, "corrupted prompt": string, "clean answer": string, "corrupted answer": string, special?: boolean }} PatchQuestion */
/** @typedef {{ tokens: string[], others: string[], answers: string[], clean: number | null, corrupted: number | null, residual: ((number | null)[])[], heads: ((number | null)[])[], mlps: (number | null)[], note: string }} PatchAnswer */
/** @typedef {Component<PatchingValue, { patch: Endpoint<PatchQuestion, PatchAnswer> }>} Given */

import { colours, onTheme } from "../static/colours.js";
import { el, setText } from "../static/dom.js";
import { createView, panel, readable, sayNote, scroller, smallText } from "../static/view.js";
import { counted, signed, visible } from "../static/words.js";

const LITTLE = 0.5; // logits

/** Blue for what restores, orange for the opposite; full from 1 on. */
function tint(td, share) {
  const { blue, vermilion, card } = colours();
  const opacity = Math.min(0.85, 0.85 * Math.abs(share));
  const [full, none] = [share < 0 ? vermilion : blue, card].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const rgb = full.map((x, i) => Math.round(opacity * x + (1 - opacity) * none[i]));
  td.style.background = `rgb(${rgb})`;
  td.style.color = readable(rgb);
}

const percent = (share) => `${signed(100 * share, 0).replace("+", "")} %`;
const depthName = (depth) => (depth === 0 ? "embedding" : `after layer ${depth}`);

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  const verdict = el("p", { class: "pg-verdict", "aria-live": "polite" });
  const detail = smallText();
  const stream = el("table", { class: "pg-lens-table pg-patch-table" });
  const frame = scroller("Share restored by the residual stream, by depth and position", stream);
  const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
  const parts = el("table", { class: "pg-lens-table pg-patch-parts" });
  const legend = el("div", { class: "pg-scale" }, el("span", { text: "−1" }), el("i", { class: "pg-patch-scale", "aria-hidden": "true" }), el("span", { text: "1" }),
    el("span", { class: "pg-soft", text: "share of the logit difference restored: 1 is all of it, 0 nothing, below 0 the opposite" }));
  const note = smallText();
  const filled = el("div", { class: "pg-stack" },
    panel("Logit difference", "of the two answers", verdict, detail, note),
    panel("Residual stream", "one position at one depth is replaced by that of the clean run", frame, readout, legend),
    panel("Heads and MLPs", "the output of one of them is replaced by that of the clean run, at all positions", scroller("Share restored by heads and MLPs", parts),
      smallText("The shares do not have to add up to 1: two parts may be redundant, or depend on each other (Meng et al. 2022; Wang et al. 2022).")));

  let reply = null;
  let cell = null; // { depth, position }

  // ---- drawing ------------------------------------------------------------------------------------------------------

  /** A position's token; where the prompts differ, both. */
  const both = (t) => (reply.tokens[t] === reply.others[t] ? visible(reply.tokens[t]) : `${visible(reply.tokens[t])}/${visible(reply.others[t])}`);

  function drawWords() {
    const [one, other] = reply.answers.map(visible);
    setText(verdict, `Logit of “${one}” minus that of “${other}”: ${signed(reply.clean, 2)} after the clean prompt, ${signed(reply.corrupted, 2)} after the corrupted one`);
    const differ = reply.tokens.filter((token, t) => token !== reply.others[t]).length;
    setText(detail, `${counted(reply.tokens.length, "token")}, ${differ} of them different. A share of 1 would turn ${signed(reply.corrupted, 2)} into ${signed(reply.clean, 2)}.${Math.abs(reply.clean - reply.corrupted) < LITTLE ? " That is a small difference, and shares of it say little: choose prompts whose answers differ more." : ""}`);
  }

  function drawStream() {
    const head = el("tr", {}, el("th", { scope: "col", text: "clean / corrupted" }), ...reply.tokens.map((token, t) =>
      el("th", { scope: "col", class: token === reply.others[t] ? "" : "pg-patch-differs", text: both(t) })));
    const rows = reply.residual.map((shares, depth) => el("tr", {}, el("th", { scope: "row", text: depthName(depth) }), ...shares.map((share, t) => {
      const td = el("td", { "data-depth": depth, "data-position": t, text: Math.abs(share) < 0.05 ? "" : share.toFixed(1).replace("-", "−") });
      tint(td, share);
      return td;
    })));
    stream.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  }

  function drawParts() {
    const { heads, mlps } = reply;
    const head = el("tr", {}, el("th", { scope: "col", text: "" }), ...heads[0].map((_, h) => el("th", { scope: "col", text: `head ${h + 1}` })), el("th", { scope: "col", text: "MLP" }));
    const rows = heads.map((shares, layer) => el("tr", {}, el("th", { scope: "row", text: `Layer ${layer + 1}` }), ...[...shares, mlps[layer]].map((share) => {
      const td = el("td", { text: percent(share) });
      tint(td, share);
      return td;
    })));
    parts.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  }

  // ---- choosing a cell ----------------------------------------------------------------------------------------------

  const tableCell = ({ depth, position }) => stream.querySelector(`td[data-depth="${depth}"][data-position="${position}"]`);

  function chooseCell(depth, position) {
    if (!reply.residual[depth] || !(position in reply.tokens)) return;
    if (cell) tableCell(cell)?.classList.remove("pg-lens-chosen");
    cell = { depth, position };
    tableCell(cell).classList.add("pg-lens-chosen");
    readout.replaceChildren(el("b", { text: `${depthName(depth)}, ${both(position)}` }), `: restores ${percent(reply.residual[depth][position])}`,
      el("span", { class: "pg-soft", text: `  position ${position}` }));
  }

  for (const kind of ["pointerover", "pointerdown"]) {
    stream.addEventListener(kind, (event) => {
      const td = /** @type {Element} */ (event.target).closest("td[data-depth]");
      if (td) chooseCell(Number(td.dataset.depth), Number(td.dataset.position));
    });
  }
  frame.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || !cell) return;
    event.preventDefault();
    chooseCell(cell.depth + move[0], cell.position + move[1]);
    frame.scrollLeft = tableCell(cell).offsetLeft - frame.clientWidth / 2;
  });

  // ---- life ---------------------------------------------------------------------------------------------------------

  function draw() {
    drawWords();
    drawStream();
    drawParts();
    const last = reply.tokens.length - 1;
    chooseCell(reply.residual.length - 1, last);
    frame.scrollLeft = frame.scrollWidth;
  }

  async function begin() {
    if (filled.hidden) view.tell("Patching every position…");
    const answer = await view.ask(server.patch, {}, { dim: filled });
    if (!answer) return;
    reply = answer;
    cell = null;
    view.tell("");
    view.show();
    sayNote(note, reply.note);
    draw();
  }

  const view = createView({ element, props, watch }, "pg-patching", filled, ["run", "step", "clean prompt", "corrupted prompt", "clean answer", "corrupted answer"], begin);
  onTheme(view.root, () => reply && draw());
}
