// Attention maps: a layer x head grid of thumbnails, and the chosen head large, with its tokens on both axes; above them
// the run's timeline, which shows all of it at another step.
//
// The weights arrive as one greyscale PNG, value = round(sqrt(p) * 255): the picture and the numbers behind the pointer
// are the same bytes. Gradio runs this file as a function body with `element`, `props`, `server` and `watch`.
/* global element, props, server, watch */

const P = window.Playground;
const root = element.querySelector(".pg-attention");
const TOP = 7; // room above the first row for half a label
const THUMB = 96; // device pixels of a thumbnail; larger maps are shrunk by maximum, so that thin lines survive

// ---- layout -------------------------------------------------------------------------------------------------------

const empty = element.querySelector(".pg-attention-empty");
const status = P.el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
const grid = P.el("div", { class: "pg-heads", role: "group", "aria-label": "Layers and heads; arrow keys move, Enter chooses" });
const gridCard = P.el("section", { class: "pg-panel pg-heads-card" },
  P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Layer × head" }), " choose one"), grid);
const heading = P.el("b");
const map = P.el("canvas");
const marks = P.el("canvas", { class: "pg-map-marks" });
const sheet = P.el("div", { class: "pg-map-sheet" }, map, marks);
const scroller = P.el("div", { class: "pg-map", tabindex: 0, role: "application", "aria-roledescription": "attention map" }, sheet);
const readout = P.el("p", { class: "pg-readout", "aria-live": "polite" });
const legend = P.el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
const scale = P.el("div", { class: "pg-scale" }, P.el("span", { text: "0" }), legend, P.el("span", { text: "1" }),
  P.el("span", { class: "pg-soft", text: "attention weight, square-root scale: small weights stay visible" }));
const meaning = P.el("p", { class: "pg-soft pg-small", text: "A row is the token that looks, the columns are what it looks at; each row adds up to 1. Blank means that the row's token cannot see it. Point at a cell, or move with the arrow keys." });
const note = P.el("p", { class: "pg-soft pg-small", hidden: true });
const mapCard = P.el("section", { class: "pg-panel pg-map-card" },
  P.el("h2", { class: "pg-panel-title" }, heading, " rows look, columns are looked at"), scroller, readout, scale, meaning, note);
const time = P.el("div", { class: "pg-time" });
const timeCard = P.el("section", { class: "pg-panel pg-time-card" },
  P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Through training" }), " move the slider, or press ▶"), time);
const filled = P.el("div", { class: "pg-attention-filled", hidden: true }, timeCard, gridCard, mapCard);
root.append(status, filled);

{
  const paint = legend.getContext("2d");
  const image = paint.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(P.cividisWords);
  paint.putImageData(image, 0, 0);
}

// ---- the weights --------------------------------------------------------------------------------------------------

let frames = new Map(); // step -> { reply, layers }, see `fetchFrame`
let reply = null; // the answer that is shown, without its picture
let layers = new Map(); // layer -> { bytes, width } of the sprite row that holds it, at the step that is shown
let head = { layer: 0, head: 0 };
let cell = null; // { row, column } under the pointer or the arrow keys
let pointed = false; // did somebody choose the cell, or did we?
let layout = null; // how the large map is laid out, in CSS pixels

/** The greyscale bytes of a base64 PNG. */
async function bytesOf(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = P.el("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, image.width, image.height).data;
  const bytes = new Uint8Array(image.width * image.height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  return { bytes, width: image.width };
}

/** A function (row, column) -> byte for one head, or null while its layer has not been fetched. */
function weights({ layer, head }) {
  const sprite = layers.get(layer);
  if (!sprite) return null;
  const { bytes, width, row } = sprite;
  const origin = row * reply.size * width + head * reply.size;
  return (i, j) => bytes[origin + i * width + j];
}

const seen = (i, j) => {
  const age = i - j;
  const window = reply.windows?.[head.layer] ?? 0;
  return age >= 0 && (!(window > 0) || age < window || j < (reply.n_sink ?? 0));
};

// ---- thumbnails ---------------------------------------------------------------------------------------------------

/** A button for every head; they stay while the model has as many, so that focus stays where it is. */
function headButtons() {
  const { n_layer, n_head } = reply;
  grid.style.setProperty("--pg-columns", n_head);
  if (grid.dataset.shape === `${n_layer} ${n_head}`) return;
  grid.dataset.shape = `${n_layer} ${n_head}`;
  const buttons = [];
  for (let l = 0; l < n_layer; l++) {
    for (let h = 0; h < n_head; h++) {
      buttons.push(P.el("button", { type: "button", class: "pg-head", "data-layer": l, "data-head": h,
        "aria-label": `Layer ${l + 1}, head ${h + 1}`, title: `Layer ${l + 1} · head ${h + 1}` }));
    }
  }
  grid.replaceChildren(...buttons);
}

function drawGrid() {
  headButtons();
  for (const button of grid.children) {
    const place = { layer: Number(button.dataset.layer), head: Number(button.dataset.head) };
    const value = weights(place);
    if (value) {
      const canvas = button.querySelector("canvas") ?? P.el("canvas");
      thumbnail(canvas, value);
      if (!canvas.isConnected) button.replaceChildren(canvas);
    } else if (!button.querySelector("span")) {
      button.replaceChildren(P.el("span", { class: "pg-soft", text: place.head === 0 ? `layer ${place.layer + 1}` : "…" }));
    }
  }
  press();
}

function thumbnail(canvas, value) {
  const size = reply.size;
  const side = Math.min(size, THUMB);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const most = new Uint8Array(side * side);
  for (let i = 0; i < size; i++) {
    const y = Math.floor((i * side) / size);
    for (let j = 0; j <= i; j++) {
      const at = y * side + Math.floor((j * side) / size);
      const byte = value(i, j);
      if (byte > most[at]) most[at] = byte;
    }
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  new Uint32Array(image.data.buffer).set(Uint32Array.from(most, (byte) => P.cividisWords[byte]));
  context.putImageData(image, 0, 0);
}

/** Mark the chosen head. */
function press() {
  for (const button of grid.children) {
    const chosen = Number(button.dataset.layer) === head.layer && Number(button.dataset.head) === head.head;
    button.setAttribute("aria-pressed", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
}

async function choose(layer, h) {
  head = { layer, head: h };
  press();
  if (layers.has(layer)) return drawMap();
  if (await fetchFrame(moving.step())) showFrame(moving.step());
}

grid.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) choose(Number(button.dataset.layer), Number(button.dataset.head));
});
grid.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -reply?.n_head, ArrowDown: reply?.n_head }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...grid.children];
  buttons[buttons.indexOf(document.activeElement) + step]?.focus();
});

// ---- the large map ------------------------------------------------------------------------------------------------

/** Write a column's label below the map, slanted unless it fits upright. */
function columnLabel(context, k) {
  const { left, pitch, size, labels, upright } = layout;
  context.save();
  if (upright) {
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(labels[k], left + (k + 0.5) * pitch, size * pitch + 6);
    context.restore();
    return;
  }
  context.translate(left + (k + 0.5) * pitch - 2, size * pitch + 9);
  context.rotate(Math.PI / 3.6);
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(labels[k], 0, 0);
  context.restore();
}

/** Cell size, label room and label stride for this many tokens in this much space. */
function plan(width, small = false) {
  const size = reply.size;
  const context = map.getContext("2d");
  const font = `${small ? 10 : 12}px ${getComputedStyle(root).fontFamily}`;
  context.font = font;
  const labels = reply.tokens.map((token) => {
    const text = P.visible(token);
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
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, ratio * TOP);
  return context;
}

/** Few tokens: separate cells. */
function drawCells(context, value) {
  const { size, left, pitch, gap } = layout;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      if (!seen(i, j)) continue;
      const [r, g, b] = P.cividis[value(i, j)];
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(left + j * pitch, i * pitch, pitch - gap, pitch - gap);
    }
  }
}

/** Many tokens: one picture, enlarged without smoothing. */
function drawPicture(context, value) {
  const { size, left, pitch } = layout;
  const canvas = P.el("canvas", { width: size, height: size });
  const image = new ImageData(size, size);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) if (seen(i, j)) words[i * size + j] = P.cividisWords[value(i, j)];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, left, 0, size * pitch, size * pitch);
}

function drawMap() {
  const value = reply && weights(head);
  if (!value || scroller.clientWidth === 0) return;
  const started = performance.now();
  layout = plan(scroller.clientWidth);
  const { size, labels, left, pitch, stride, gap } = layout;
  const context = prepare(map, layout);
  if (gap) drawCells(context, value);
  else drawPicture(context, value);
  context.font = layout.font;
  context.fillStyle = P.colours().ink;
  context.textBaseline = "middle";
  for (let k = 0; k < size; k += stride) {
    context.textAlign = "right";
    context.fillText(labels[k], left - 7, (k + 0.5) * pitch);
    columnLabel(context, k);
  }
  sheet.style.width = `${layout.width}px`;
  sheet.style.height = `${layout.height}px`;
  P.say(heading, `Layer ${head.layer + 1} · head ${head.head + 1}`);
  scroller.setAttribute("aria-label", `Layer ${head.layer + 1}, head ${head.head + 1}: ${size} by ${size} tokens. Arrow keys move the cell.`);
  if (!pointed || !cell || cell.row >= size || cell.column >= size) cell = strongest(value, size);
  mark();
  scroller.dataset.ms = (performance.now() - started).toFixed(1);
}

/** Where to start reading: the largest weight that is neither on the diagonal nor on the first token, if any. */
function strongest(value, size) {
  let best = { row: size - 1, column: size - 1, byte: -1 };
  for (let i = 1; i < size; i++) {
    for (let j = 1; j < i; j++) if (value(i, j) > best.byte) best = { row: i, column: j, byte: value(i, j) };
  }
  return best;
}

/** Highlight the cell and its row, and say its weight. */
function mark() {
  const value = reply && weights(head);
  if (!layout || !cell || !value) return;
  const { row, column } = cell;
  const { left, pitch, size, gap } = layout;
  const colour = P.colours();
  const context = prepare(marks, layout);
  context.fillStyle = P.faint(colour.highlight, 0.14);
  context.fillRect(0, row * pitch, left - 3, pitch - gap);
  context.strokeStyle = P.faint(colour.highlight, 0.75);
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

  const [from, to] = [row, column].map((at) => P.visible(reply.tokens[at]));
  const weight = (value(row, column) / 255) ** 2;
  const key = `${head.layer} ${head.head} ${row} ${column} ${from} ${to} ${weight}`;
  if (readout.dataset.key === key) return;
  readout.dataset.key = key;
  const words = seen(row, column) ? P.probability(weight) : column > row ? "not visible (it comes later)" : "not visible (outside the window)";
  readout.replaceChildren(P.el("b", { text: from }), " → ", P.el("b", { text: to }), `: ${words}`,
    P.el("span", { class: "pg-soft", text: `  position ${row} looks at ${column}` }));
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

// ---- life ---------------------------------------------------------------------------------------------------------

let question = "";
const PATIENCE = 2000; // milliseconds between two looks at whether a live run has saved another step

function tell(text, bad = false) {
  status.hidden = !text;
  status.classList.toggle("pg-alert-bad", bad);
  P.say(status, text);
}

const moving = P.timeline(time, { ready, load: fetchFrame, show: showFrame });

/** Is there all that the map needs at this step? */
function ready(step) {
  return Boolean(frames.get(step)?.layers.has(head.layer));
}

/** Get the maps of a step: of all layers where they fit one picture, else of the chosen one. True once they are there. */
async function fetchFrame(step, quietly = false) {
  const { visitor = "", run, text } = props.value;
  const mine = question;
  root.classList.toggle("pg-waiting", !quietly);
  const answer = await P.ask(server.attention, { visitor, run, step, text, layer: head.layer });
  if (mine !== question) return false;
  root.classList.remove("pg-waiting");
  if (!answer || answer.error) {
    if (!quietly) tell(answer?.error ?? "The server did not answer. Press Look to try again.", true);
    return false;
  }
  const sprite = await bytesOf(answer.png);
  if (mine !== question) return false;
  const { png, ...rest } = answer;
  const frame = frames.get(step) ?? { layers: new Map() };
  answer.layers.forEach((layer, row) => frame.layers.set(layer, { ...sprite, row }));
  frames.set(step, { ...frame, reply: { ...rest, tokens: [...answer.tokens], windows: [...answer.windows] } });
  return true;
}

/** Draw everything as it is at a step that has been fetched. */
function showFrame(step) {
  const started = performance.now();
  const frame = frames.get(step);
  ({ reply, layers } = frame);
  if (head.layer >= reply.n_layer || head.head >= reply.n_head) head = { layer: reply.layers[0], head: 0 };
  if (!layers.has(head.layer)) head = { ...head, layer: reply.layers[0] };
  tell("");
  filled.hidden = false;
  note.hidden = !reply.note;
  P.say(note, reply.note ?? "");
  drawGrid();
  drawMap();
  root.dataset.step = step;
  root.dataset.ms = (performance.now() - started).toFixed(1);
}

/** Ask which steps there are; begin anew, or take in what a live run has saved since. */
async function openTime() {
  const { visitor = "", run } = props.value;
  const mine = question;
  if (!reply) tell("Reading the text…");
  const answer = await P.ask(server.timeline, { visitor, run });
  if (mine !== question) return;
  if (!answer || answer.error) {
    tell(answer?.error ?? "The server did not answer. Press Look to try again.", true);
    return;
  }
  frames = new Map();
  pointed = false;
  filled.hidden = false;
  live = answer.live;
  await moving.open(JSON.parse(JSON.stringify(answer)), kept.run === run ? kept.step : null);
}

let live = false;
let kept = {}; // the run and step that were shown before the question changed

async function follow() {
  if (!live || !question) return;
  const { visitor = "", run } = props.value;
  const mine = question;
  const answer = await P.ask(server.timeline, { visitor, run });
  if (mine !== question || !answer || answer.error) return;
  live = answer.live;
  await moving.update(JSON.parse(JSON.stringify(answer)));
}

/** Start over when the question changed; while nobody can see the answer, wait. */
function refresh() {
  const { run, text, nonce } = props.value ?? {};
  const now = run ? JSON.stringify([run, text, nonce]) : "";
  empty.hidden = Boolean(now);
  if (!now) {
    filled.hidden = true;
    tell("");
    question = now;
    return;
  }
  if (now === question || element.offsetParent === null) return;
  if (question) kept = { run: JSON.parse(question)[0], step: moving.atEnd() ? null : moving.step() };
  question = now;
  openTime();
}

new ResizeObserver(refresh).observe(root);
P.onResize(scroller, drawMap);
P.onTheme(root, drawMap);
P.every(element, PATIENCE, follow);
watch("value", refresh);
refresh();
