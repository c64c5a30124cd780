// Attention as lines between two copies of the text: left the token that looks, right what it looks at. A line's colour is
// its head, its strength its weight. Faint lines are left out, or a text of 500 tokens would be a grey block.

import { colours, faint } from "./colours.js";
import { el, setText } from "./dom.js";
import { smallText } from "./view.js";
import { counted, probability, visible } from "./words.js";

const LEAST = 0.04; // weight of the faintest line while no token is chosen; in long texts more
const LEVELS = 16; // weights between 0 and 1 that lines tell apart
const ROOM = 10; // above the first token
const COLOURS = ["blue", "vermilion", "green", "purple", "sky", "orange", "ink", "grey"];

/** The colour of the n-th head, and whether its lines are dashed: after eight colours they come again, with dashes. */
export const lineStyle = (n) => ({ colour: colours()[COLOURS[n % COLOURS.length]], dashed: n >= COLOURS.length });

/**
 * The drawing and a sentence below it. `onRow(row)` is told which token is pointed at. Returns { nodes, draw(frame),
 * choose(row), scroller }. A frame is { tokens, size, heads: [{ name, value(i, j), colour, dashed }] }, `value` a byte as for the map.
 */
export function attentionLines({ onRow }) {
  const base = el("canvas", { class: "pg-lines-base" });
  const names = el("canvas"); // the tokens: 512 of them twice would be too many to write again whenever the pointer moves
  const top = el("canvas", { class: "pg-map-marks" });
  const sheet = el("div", { class: "pg-map-sheet" }, base, names, top);
  const scroller = el("div", { class: "pg-lines", tabindex: 0, role: "application", "aria-roledescription": "attention lines" }, sheet);
  const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
  const meaning = smallText("");
  let frame = null;
  let row = null; // the token that is pointed at
  let layout = null;

  function plan(width) {
    const { size, tokens } = frame;
    const pitch = size <= 40 ? 20 : size <= 128 ? 17 : 14;
    const font = `${size <= 128 ? 12.5 : 11}px ${getComputedStyle(scroller).fontFamily}`;
    const context = base.getContext("2d");
    context.font = font;
    const labels = tokens.map((token) => visible(token)).map((text) => (text.length > 14 ? `${text.slice(0, 13)}…` : text));
    const widest = Math.ceil(Math.max(...labels.map((text) => context.measureText(text).width)));
    const whole = Math.min(width, 640);
    return { size, pitch, font, labels, width: whole, height: ROOM + size * pitch + 6, left: widest + 14, right: whole - widest - 14 - 8 * frame.heads.length, least: size > 128 ? 0.15 : LEAST, pointed: size > 128 ? 0.01 : 0.002 };
  }

  /** An empty canvas over all of the drawing, or over as much of it from some place on; drawn on in the drawing's own pixels. */
  function prepare(canvas, height = layout.height, from = 0) {
    const ratio = Math.min(height > 4000 ? 1 : 2, window.devicePixelRatio || 1);
    const [across, deep] = [Math.round(layout.width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext("2d");
    if (canvas.width !== across || canvas.height !== deep) {
      canvas.width = across;
      canvas.height = deep;
      canvas.style.width = `${layout.width}px`;
      canvas.style.height = `${height}px`;
    }
    canvas.style.top = `${from}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, layout.width, height);
    context.translate(0, -from);
    context.font = layout.font;
    context.textBaseline = "middle";
    return context;
  }

  const middle = (t) => ROOM + (t + 0.5) * layout.pitch;

  /** The lines of one row: all of them, or those that are not faint. Lines of about a weight are one path: a row of 512
   *  tokens and six heads is then drawn in tens of strokes rather than thousands. */
  function drawRow(context, i, least) {
    const { left, right } = layout;
    for (const { value, colour, dashed } of frame.heads) {
      context.setLineDash(dashed ? [5, 4] : []);
      const paths = new Map(); // a weight, rounded -> its lines
      for (let j = 0; j <= i; j++) {
        const weight = (value(i, j) / 255) ** 2;
        if (weight < least) continue;
        const level = Math.ceil(weight * LEVELS) / LEVELS;
        if (!paths.has(level)) paths.set(level, new Path2D());
        paths.get(level).moveTo(left, middle(i));
        paths.get(level).lineTo(right, middle(j));
      }
      for (const [weight, path] of paths) {
        context.strokeStyle = faint(colour, Math.min(1, 0.12 + 0.88 * weight));
        context.lineWidth = 0.7 + 2.3 * weight;
        context.stroke(path);
      }
    }
    context.setLineDash([]);
  }

  function drawTokens() {
    const context = prepare(names);
    context.fillStyle = colours().ink;
    layout.labels.forEach((label, t) => {
      context.textAlign = "right";
      context.fillText(label, layout.left - 6, middle(t));
      context.textAlign = "left";
      context.fillText(label, layout.right + 6 + 8 * frame.heads.length, middle(t));
    });
  }

  function draw(news) {
    frame = news ?? frame;
    if (!frame || scroller.clientWidth === 0) return;
    const started = performance.now();
    layout = plan(scroller.clientWidth);
    const context = prepare(base);
    for (let i = 0; i < frame.size; i++) drawRow(context, i, layout.least);
    drawTokens();
    sheet.style.width = `${layout.width}px`;
    sheet.style.height = `${layout.height}px`;
    scroller.setAttribute("aria-label", `${frame.heads.map(({ name }) => name).join(", ")}: lines between ${counted(frame.size, "token")}. Arrow keys move the query token.`);
    setText(meaning, `On the left the query tokens, on the right the tokens that they attend to. The colour is the head, the strength the weight; weights below ${layout.least} are left out (below ${layout.pointed} for the token pointed at). Press heads in the grid to add or remove them.`);
    if (row == null || row >= frame.size) row = frame.size - 1;
    mark();
    scroller.dataset.ms = (performance.now() - started).toFixed(1);
  }

  /** Only the lines of the chosen token, how much of each head every token gets, and that in words. */
  function mark() {
    if (!layout) return;
    drawMarks();
    say();
    onRow(row);
  }

  /** As much of the marks as can be seen: a canvas of the height of 512 tokens would take a tenth of a second. */
  function drawMarks() {
    const { left, right, pitch, height } = layout;
    const seen = Math.min(height, scroller.clientHeight);
    const from = Math.min(scroller.scrollTop, height - seen);
    const context = prepare(top, seen, from);
    drawRow(context, row, layout.pointed);
    context.fillStyle = faint(colours().highlight, 0.2);
    context.fillRect(0, middle(row) - pitch / 2, left - 2, pitch);
    frame.heads.forEach(({ value, colour }, n) => {
      for (let j = 0; j <= row; j++) {
        if (middle(j) < from - pitch || middle(j) > from + seen + pitch) continue;
        context.fillStyle = faint(colour, value(row, j) / 255);
        context.fillRect(right + 2 + 8 * n, middle(j) - pitch / 2 + 1, 7, pitch - 2);
      }
    });
  }

  function say() {
    const most = frame.heads.map(({ name, value, colour }) => {
      let column = row;
      for (let j = 0; j < row; j++) if (value(row, j) > value(row, column)) column = j;
      const dot = el("i", { class: "pg-line-dot", "aria-hidden": "true" });
      dot.style.background = colour;
      return el("span", { class: "pg-line-most" }, dot, `${name} `, el("b", { text: visible(frame.tokens[column]) }), ` ${probability((value(row, column) / 255) ** 2)}`);
    });
    readout.replaceChildren(el("b", { text: visible(frame.tokens[row]) }), el("span", { class: "pg-soft", text: ` at position ${row} attends most to: ` }), ...most);
  }

  function choose(t) {
    if (!frame || t === row || t < 0 || t >= frame.size) return;
    row = t;
    if (scroller.clientWidth) mark();
  }

  for (const kind of /** @type {const} */ (["pointermove", "pointerdown"])) {
    sheet.addEventListener(kind, (event) => {
      if (!layout) return;
      choose(Math.floor((event.clientY - base.getBoundingClientRect().top - ROOM) / layout.pitch));
    });
  }
  scroller.addEventListener("scroll", () => layout && frame && drawMarks());
  scroller.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || row == null) return;
    event.preventDefault();
    choose(row + step);
    const y = middle(row);
    if (y < scroller.scrollTop + 20 || y > scroller.scrollTop + scroller.clientHeight - 20) scroller.scrollTop = y - scroller.clientHeight / 2;
  });
  return { nodes: [scroller, readout, meaning], scroller, draw, choose };
}
