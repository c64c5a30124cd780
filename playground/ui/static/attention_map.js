// One head large: rows look, columns are looked at. What a row may not see is not part of the scale but drawn as what it
// is: later tokens plain, what lies outside a window hatched, sinks under a green bar.

import { cividis, cividisWords, colours, faint } from "./colours.js";
import { el } from "./dom.js";
import { paletteBar, relation, smallText } from "./view.js";
import { counted, probability, visible } from "./words.js";

const TOP = 12; // room above the first row: half a label, and the bar over sinks

/**
 * The map and the sentence below it. `onRow(row)` is told the row under the pointer or the arrow keys.
 *
 * Returns { nodes, draw(frame, fresh), choose(row, again), scroller }. A frame is { title, tokens, size, value(i, j), window,
 * n_sink, seen(i, j) }: `value` a byte, 255 times the square root of a weight. A fresh frame chooses a cell of its own,
 * unless one was pointed at.
 */
export function attentionMap({ onRow }) {
  const map = el("canvas");
  const marks = el("canvas", { class: "pg-map-marks" });
  const sheet = el("div", { class: "pg-map-sheet" }, map, marks);
  const scroller = el("div", { class: "pg-map", tabindex: 0, role: "application", "aria-roledescription": "attention map" }, sheet);
  const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
  const key = el("p", { class: "pg-map-key" });
  const scale = el("div", { class: "pg-scale" }, el("span", { text: "0" }), paletteBar(), el("span", { text: "1" }),
    el("span", { class: "pg-soft", text: "attention weight, square-root scale: small weights stay visible" }));
  let frame = null;
  let cell = null; // { row, column } under the pointer or the arrow keys
  let pointed = false; // whether the user chose the cell
  let layout = null; // how the map is laid out, in CSS pixels

  // ---- layout ---------------------------------------------------------------------------------------------------

  /** Cell size, label room and label stride for this many tokens in this much space. */
  function plan(width, small = false) {
    const { size, tokens } = frame;
    const context = map.getContext("2d");
    const font = `${small ? 10 : 12}px ${getComputedStyle(scroller).fontFamily}`;
    context.font = font;
    const labels = tokens.map((token) => {
      const text = visible(token);
      return text.length > 14 ? `${text.slice(0, 13)}…` : text;
    });
    const widest = Math.ceil(Math.max(...labels.map((text) => context.measureText(text).width)));
    const left = widest + 12;
    const least = size <= 64 ? 12 : size <= 128 ? 6 : size <= 256 ? 4 : 2;
    const pitch = Math.max(least, Math.min(30, Math.floor((width - left - 28) / size)));
    if (pitch < 14 && !small) return plan(width, true);
    const stride = pitch >= 12 ? 1 : Math.ceil(13 / pitch);
    const upright = widest <= pitch * stride - 1;
    const below = upright ? 22 : Math.ceil(widest * 0.78) + 18;
    return { size, labels, upright, font, left, pitch, stride, gap: pitch >= 9 ? 1 : 0, width: left + pitch * size + 28, height: TOP + pitch * size + below };
  }

  function prepare(canvas, { width, height }) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext("2d");
    if (canvas.width !== across || canvas.height !== down) {
      canvas.width = across;
      canvas.height = down;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, across, down);
    context.setTransform(ratio, 0, 0, ratio, 0, ratio * TOP);
    return context;
  }

  // ---- what may not be seen -------------------------------------------------------------------------------------

  /** A fill of slanted lines. */
  function hatch(context, colour) {
    const tile = el("canvas", { width: 6, height: 6 });
    const paint = tile.getContext("2d");
    paint.strokeStyle = colour;
    paint.lineWidth = 1;
    paint.beginPath();
    for (const at of [-6, 0, 6]) {
      paint.moveTo(at, 6);
      paint.lineTo(at + 6, 0);
    }
    paint.stroke();
    return context.createPattern(tile, "repeat");
  }

  function drawMask(context, colour) {
    const { size, left, pitch, gap } = layout;
    const { window: seenBack, n_sink: sinks } = frame;
    const strip = (row, from, to) => to > from && context.fillRect(left + from * pitch, row * pitch, (to - from) * pitch - gap, pitch);
    context.fillStyle = colour.fill;
    for (let i = 0; i < size; i++) strip(i, i + 1, size);
    if (!seenBack) return;
    context.fillStyle = hatch(context, colour.grey);
    for (let i = 0; i < size; i++) strip(i, sinks, i - seenBack + 1);
    context.fillStyle = colour.green;
    if (sinks) context.fillRect(left, -6, Math.min(sinks, size) * pitch - gap, 3);
  }

  function drawKey() {
    const { window: seenBack, n_sink: sinks } = frame;
    const item = (kind, text) => el("span", {}, el("i", { class: `pg-map-${kind}`, "aria-hidden": "true" }), text);
    key.replaceChildren(item("later", "later tokens: masked"),
      ...(seenBack ? [item("outside", `outside this layer's window of ${counted(seenBack, "token")}`)] : []),
      ...(seenBack && sinks ? [item("sink", `${sinks === 1 ? "a sink" : counted(sinks, "sink")}: always visible`)] : []));
  }

  // ---- the map --------------------------------------------------------------------------------------------------

  /** Write a column's label below the map, slanted unless it fits upright. */
  function columnLabel(context, k) {
    const { left, pitch, size, labels, upright } = layout;
    context.save();
    if (upright) {
      context.textAlign = "center";
      context.textBaseline = "top";
      context.fillText(labels[k], left + (k + 0.5) * pitch, size * pitch + 6);
    } else {
      context.translate(left + (k + 0.5) * pitch - 2, size * pitch + 9);
      context.rotate(Math.PI / 3.6);
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.fillText(labels[k], 0, 0);
    }
    context.restore();
  }

  /** Few tokens: separate cells. */
  function drawCells(context) {
    const { size, left, pitch, gap } = layout;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        if (!frame.seen(i, j)) continue;
        const [r, g, b] = cividis[frame.value(i, j)];
        context.fillStyle = `rgb(${r},${g},${b})`;
        context.fillRect(left + j * pitch, i * pitch, pitch - gap, pitch - gap);
      }
    }
  }

  /** Many tokens: one picture, enlarged without smoothing. */
  function drawPicture(context) {
    const { size, left, pitch } = layout;
    const canvas = el("canvas", { width: size, height: size });
    const image = new ImageData(size, size);
    const words = new Uint32Array(image.data.buffer);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) if (frame.seen(i, j)) words[i * size + j] = cividisWords[frame.value(i, j)];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, left, 0, size * pitch, size * pitch);
  }

  function draw(news, fresh = false) {
    frame = news ?? frame;
    if (fresh) pointed = false;
    if (!frame || scroller.clientWidth === 0) return;
    const started = performance.now();
    layout = plan(scroller.clientWidth);
    const { size, labels, left, pitch, stride, gap } = layout;
    const colour = colours();
    const context = prepare(map, layout);
    drawMask(context, colour);
    if (gap) drawCells(context);
    else drawPicture(context);
    context.font = layout.font;
    context.fillStyle = colour.ink;
    context.textBaseline = "middle";
    for (let k = 0; k < size; k += stride) {
      context.textAlign = "right";
      context.fillText(labels[k], left - 7, (k + 0.5) * pitch);
      columnLabel(context, k);
    }
    sheet.style.width = `${layout.width}px`;
    sheet.style.height = `${layout.height}px`;
    scroller.setAttribute("aria-label", `${frame.title}: ${size} by ${counted(size, "token")}. Arrow keys move the cell.`);
    drawKey();
    if (!pointed || !cell || cell.row >= size || cell.column >= size) cell = strongest();
    mark();
    scroller.dataset.ms = (performance.now() - started).toFixed(1);
  }

  /** Where to start reading: the largest weight that is neither on the diagonal nor on the first token, if any; but not in
   *  the first rows, which have little to choose from. */
  function strongest() {
    const { size, value } = frame;
    let best = { row: size - 1, column: size - 1, byte: -1 };
    for (let i = Math.max(1, Math.floor(size / 3)); i < size; i++) {
      for (let j = 1; j < i; j++) if (value(i, j) > best.byte) best = { row: i, column: j, byte: value(i, j) };
    }
    return best;
  }

  // ---- the cell -------------------------------------------------------------------------------------------------

  /** Highlight the cell and its row, and say its weight. */
  function mark() {
    if (!layout || !cell || !frame) return;
    const { row, column } = cell;
    const { left, pitch, size, gap } = layout;
    const colour = colours();
    const context = prepare(marks, layout);
    context.fillStyle = faint(colour.highlight, 0.14);
    context.fillRect(0, row * pitch, left - 3, pitch - gap);
    context.strokeStyle = faint(colour.highlight, 0.75);
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, row * pitch - 0.5, (row + 1) * pitch, pitch - gap + 1);
    context.fillStyle = colour.highlight;
    context.fillRect(left + column * pitch, size * pitch + 1, pitch - gap, 3);
    if (column % layout.stride === 0) {
      context.font = layout.font;
      columnLabel(context, column);
    }
    context.strokeStyle = colour.highlight;
    context.lineWidth = 2;
    context.strokeRect(left + column * pitch - 1, row * pitch - 1, pitch - gap + 2, pitch - gap + 2);
    say();
    onRow(row);
  }

  function say() {
    const { row, column } = cell;
    const [from, to] = [row, column].map((at) => visible(frame.tokens[at]));
    const weight = (frame.value(row, column) / 255) ** 2;
    const said = `${frame.title} ${row} ${column} ${from} ${to} ${weight}`;
    if (readout.dataset.key === said) return;
    readout.dataset.key = said;
    const words = frame.seen(row, column) ? probability(weight) : column > row ? "masked (a later token)" : "masked (outside the window)";
    readout.replaceChildren(el("b", { text: from }), " → ", el("b", { text: to }), `: ${words}`,
      el("span", { class: "pg-soft", text: `  ${relation(frame.tokens, row, column)} · position ${row} attends to ${column}` }));
  }

  /** Go to a row, to the column that it looks at most: also when it is there already, if wanted `again`. */
  function choose(row, again = false) {
    if (!frame || row >= frame.size || (cell && cell.row === row && !again)) return;
    let column = row;
    for (let j = 0; j < row; j++) if (frame.value(row, j) > frame.value(row, column)) column = j;
    cell = { row, column };
    pointed = true;
    mark();
  }

  function cellAt(event) {
    if (!layout) return null;
    const box = map.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - TOP) / layout.pitch);
    const column = Math.floor((event.clientX - box.left - layout.left) / layout.pitch);
    return row >= 0 && column >= 0 && row < layout.size && column < layout.size ? { row, column } : null;
  }

  for (const kind of ["pointermove", "pointerdown"]) {
    sheet.addEventListener(kind, (event) => {
      const at = cellAt(event);
      if (!at || (cell && at.row === cell.row && at.column === cell.column)) return;
      cell = at;
      pointed = true;
      mark();
    });
  }
  scroller.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || !cell || !layout) return;
    event.preventDefault();
    const bound = (n) => Math.max(0, Math.min(layout.size - 1, n));
    cell = { row: bound(cell.row + move[0]), column: bound(cell.column + move[1]) };
    pointed = true;
    mark();
    const x = layout.left + cell.column * layout.pitch;
    if (x < scroller.scrollLeft + layout.left || x > scroller.scrollLeft + scroller.clientWidth - layout.pitch) scroller.scrollLeft = x - scroller.clientWidth / 2;
  });

  const meaning = smallText("Rows are query tokens, columns the tokens that they attend to. Point at a cell, or move with the arrow keys.");
  return { nodes: [scroller, readout, scale, key, meaning], scroller, draw, choose };
}
