// A map of how alike positions are, its middle row as a curve, and RoPE's planes as a table.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { CheckpointQuestion, TextValue } from "../static/types.js" */
/** @typedef {{ plane: number, frequency: number, wavelength: number, turns: number }} Frequency */
/** @typedef {{ scheme: string, block_size: number, at: number[], similarity: number[][] | null, frequencies: Frequency[] | null, theta: number, untouched: number, slopes: number[] | null, window: number }} PositionsAnswer */
/** @typedef {Component<TextValue, { positions: Endpoint<CheckpointQuestion, PositionsAnswer> }>} Given */

import { cividisWords, colours, onTheme } from "../static/colours.js";
import { el, onResize, setText } from "../static/dom.js";
import { loadPlotly } from "../static/plotly.js";
import { createView, paletteBar, panel, smallText } from "../static/view.js";
import { counted, number, whole } from "../static/words.js";

const ROOM = { left: 54, top: 8, right: 10, bottom: 40 };

const SCHEMES = {
  learned: { name: "Learned positions", words: "Each position has a learned vector, which is added to the token embedding. The map shows the cosine similarity of any two. Before training it is noise; a band along the diagonal means that neighbouring positions have become similar." },
  sinusoidal: { name: "Sinusoidal positions", words: "Fixed sines and cosines of decreasing frequency are added to the token embedding. The similarity of two positions depends only on their distance: every diagonal has one colour." },
  rope: { name: "RoPE", words: "Nothing is added: queries and keys are rotated, plane by plane, by the position times the frequency of the plane. The map shows the similarity of a vector rotated to one position and the same vector rotated to another, if all planes have the same norm. It depends only on the distance." },
  alibi: { name: "ALiBi", words: "There are no position vectors to compare: the scores of each head decrease by a fixed slope per token of distance." },
  none: { name: "No positions", words: "This model has no position encoding. It can infer positions only from the causal mask: the first token sees one token, the tenth sees ten." },
};

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const title = el("b");
  const words = smallText();
  const map = el("canvas", { class: "pg-positions-map", role: "img", tabindex: 0, "aria-label": "Similarity of any two positions; arrow keys move the row" });
  const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
  const mapCard = panel("Position by position", "similarity of any two", map, readout, el("div", { class: "pg-scale" }, el("span", { text: "−1" }), paletteBar(), el("span", { text: "1" }), el("span", { class: "pg-soft", text: "cosine; arrow keys move the row" })));
  const curve = el("div", { class: "pg-lines-plot", role: "img", "aria-label": "Similarity of the chosen position with every other" });
  const curveTitle = el("span");
  const curveCard = el("section", { class: "pg-panel" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "One row" }), curveTitle), curve);
  const table = el("table", { class: "pg-table" });
  const tableTitle = el("b");
  const tableAbout = el("span");
  const tableNote = smallText();
  const tableCard = el("section", { class: "pg-panel" }, el("h2", { class: "pg-panel-title" }, tableTitle, tableAbout),
    el("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Frequencies or slopes" }, table), tableNote);
  const head = el("section", { class: "pg-panel" }, el("h2", { class: "pg-panel-title" }, title), words);
  const maps = el("div", { class: "pg-two-cards" }, mapCard, curveCard);
  const filled = el("div", { class: "pg-stack" }, head, maps, tableCard);
  const look = createView({ element, props, watch }, "pg-positions", filled, ["run", "step"], begin);
  const { root } = look;

  let reply = null;
  let row = 0;

  function drawMap() {
    const width = map.clientWidth;
    if (!reply?.similarity || !width) return;
    const n = reply.at.length;
    const side = Math.min(width - ROOM.left - ROOM.right, 420);
    const height = side + ROOM.top + ROOM.bottom;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    map.style.height = `${height}px`;
    map.width = Math.round(width * ratio);
    map.height = Math.round(height * ratio);
    const sheet = new OffscreenCanvas(n, n);
    const image = new ImageData(n, n);
    const pixels = new Uint32Array(image.data.buffer);
    reply.similarity.forEach((line, i) => line.forEach((value, j) => (pixels[i * n + j] = cividisWords[Math.round(127.5 * (1 + Math.max(-1, Math.min(1, value))))])));
    sheet.getContext("2d").putImageData(image, 0, 0);
    const paint = map.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.imageSmoothingEnabled = false;
    paint.drawImage(sheet, ROOM.left, ROOM.top, side, side);
    const colour = colours();
    paint.font = `11px ${getComputedStyle(root).fontFamily}`;
    paint.fillStyle = colour.soft;
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (n - 1)));
    for (const i of ticks) {
      const middle = ((i + 0.5) / n) * side;
      paint.textAlign = "center";
      paint.fillText(whole(reply.at[i] + 1), ROOM.left + middle, ROOM.top + side + 14);
      paint.textAlign = "right";
      paint.fillText(whole(reply.at[i] + 1), ROOM.left - 5, ROOM.top + middle + 4);
    }
    paint.textAlign = "center";
    paint.fillText("position", ROOM.left + side / 2, ROOM.top + side + 31);
    paint.save();
    paint.translate(12, ROOM.top + side / 2);
    paint.rotate(-Math.PI / 2);
    paint.fillText("position", 0, 0);
    paint.restore();
    paint.strokeStyle = colour.highlight;
    paint.lineWidth = 2;
    paint.strokeRect(ROOM.left, ROOM.top + (row / n) * side, side, Math.max(2, side / n));
  }

  let drawing = false;

  async function drawCurve() {
    if (!reply?.similarity || drawing || !curve.clientWidth) return;
    drawing = true;
    try {
      const plotly = await loadPlotly();
      const colour = colours();
      const axis = { color: colour.soft, gridcolor: colour.line, zeroline: false, tickfont: { size: 11 } };
      const named = (text) => ({ text, font: { size: 12 } });
      const at = reply.at.map((position) => position + 1);
      await plotly.react(curve, [{ x: at, y: reply.similarity[row], mode: "lines", line: { color: colour.blue, width: 2 }, hovertemplate: "position %{x}: %{y:.2f}<extra></extra>" }],
        { width: Math.floor(curve.clientWidth), height: 320, margin: { l: 54, r: 12, t: 12, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
          font: { family: getComputedStyle(root).fontFamily, size: 12, color: colour.soft }, hoverlabel: { bgcolor: colour.card, font: { color: colour.ink } },
          xaxis: { ...axis, title: named("position"), showgrid: false, nticks: 6 }, yaxis: { ...axis, title: named("similarity (cosine)"), range: [-1.05, 1.05] } },
        { displayModeBar: false, responsive: false, showSendToCloud: false });
    } finally {
      drawing = false;
    }
  }

  function choose(i, column = null) {
    row = Math.max(0, Math.min(reply.at.length - 1, i));
    const here = whole(reply.at[row] + 1);
    if (column == null) setText(readout, `Row of position ${here}; point at the map or use the arrow keys`);
    else setText(readout, `Positions ${here} and ${whole(reply.at[column] + 1)}: ${reply.similarity[row][column].toFixed(2)}`);
    setText(curveTitle, ` position ${here} with every other`);
    drawMap();
    drawCurve();
  }

  map.addEventListener("pointermove", (event) => {
    if (!reply?.similarity) return;
    const box = map.getBoundingClientRect();
    const side = box.height - ROOM.top - ROOM.bottom;
    const n = reply.at.length;
    const [j, i] = [Math.floor(((event.clientX - box.left - ROOM.left) / side) * n), Math.floor(((event.clientY - box.top - ROOM.top) / side) * n)];
    if (i >= 0 && j >= 0 && i < n && j < n) choose(i, j);
  });
  map.addEventListener("keydown", (event) => {
    const move = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!move || !reply?.similarity) return;
    event.preventDefault();
    choose(row + move);
  });

  /** A plane's cosine over the context: how often it comes round. */
  function wave(frequency) {
    const canvas = el("canvas", { class: "pg-wave", width: 320, height: 28, "aria-hidden": "true" });
    const paint = canvas.getContext("2d");
    paint.strokeStyle = colours().blue;
    paint.lineWidth = 2;
    paint.beginPath();
    for (let x = 0; x <= 320; x++) paint.lineTo(x, 14 - 12 * Math.cos((frequency * x * reply.block_size) / 320));
    paint.stroke();
    return canvas;
  }

  function drawTable() {
    tableCard.hidden = !reply.frequencies && !reply.slopes;
    if (tableCard.hidden) return;
    const line = (cells) => el("tr", {}, ...cells.map((cell, i) => el(i ? "td" : "th", i ? { text: cell } : { scope: "row", text: cell })));
    const top = (names) => el("thead", {}, el("tr", {}, ...names.map((text) => el("th", { scope: "col", text }))));
    if (reply.frequencies) {
      setText(tableTitle, "Frequencies");
      setText(tableAbout, ` θ^(−2i/R) with base θ = ${whole(reply.theta)} and R = ${2 * reply.frequencies.length} rotated dimensions per head`);
      const slow = reply.frequencies.filter(({ turns }) => turns < 1).length;
      setText(tableNote, `${slow} of ${counted(reply.frequencies.length, "plane")} ${slow === 1 ? "makes" : "make"} less than one turn within the context of ${counted(reply.block_size, "token")}. Slow planes distinguish early from late positions, fast ones neighbours.${reply.untouched ? ` ${counted(reply.untouched, "dimension")} of each head ${reply.untouched === 1 ? "is" : "are"} not rotated.` : ""}`);
      const rows = reply.frequencies.map(({ plane, frequency, wavelength, turns }) => {
        const cells = line([`${plane + 1}`, frequency.toPrecision(3), number(wavelength), turns < 0.01 ? turns.toPrecision(1) : number(turns)]);
        cells.append(el("td", {}, wave(frequency)));
        return cells;
      });
      table.replaceChildren(top(["plane", "radians per token", "wavelength (tokens)", "turns in the context", `its cosine over ${counted(reply.block_size, "token")}`]), el("tbody", {}, ...rows));
    } else {
      setText(tableTitle, "Slopes");
      setText(tableAbout, " penalty on the score per token of distance, by head");
      setText(tableNote, "A penalty of 0.69 halves the weight: at that distance, other things being equal, a token gets half as much attention.");
      table.replaceChildren(top(["head", "slope (per token)", "halved after (tokens)"]), el("tbody", {}, ...reply.slopes.map((slope, i) => line([`${i + 1}`, slope.toPrecision(3), number(Math.LN2 / slope)]))));
    }
  }

  async function begin() {
    const answer = await look.ask(server.positions, {}, { dim: root });
    if (!answer) return;
    reply = answer;
    look.tell("");
    look.show();
    const { name, words: said } = SCHEMES[reply.scheme];
    setText(title, name);
    setText(words, said + (reply.at.length < reply.block_size ? ` Of ${whole(reply.block_size)} positions, one in ${reply.at[1]} is shown.` : ""));
    maps.hidden = !reply.similarity;
    root.dataset.scheme = reply.scheme;
    if (reply.similarity) choose(Math.floor(reply.at.length / 2));
    drawTable();
  }

  onResize(map, drawMap);
  onResize(curve, drawCurve);
  onTheme(element, () => {
    drawMap();
    drawCurve();
    if (reply) drawTable();
  });
}
