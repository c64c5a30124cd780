// Where each token looks: a layer x head grid of thumbnails, and the chosen heads large, as a map or as lines; above them
// the run's timeline, which shows all of it at another step. One token is pointed at everywhere at once.  The weights arrive
// as one greyscale PNG, value = round(sqrt(p) * 255): the picture and the numbers behind the pointer are the same bytes.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { AblateAnswer, AblateQuestion, HeadsAnswer, RunQuestion, TextQuestion, TimelineAnswer } from "../static/types.js" */
/** @typedef {{ words: string, step: number, heads: [number, number][], token: number, off: string }} TourStage */
/** @typedef {{ title: string, stages: TourStage[] }} Tour */
/** @typedef {{ visitor: string, run: string, nonce: number | string, text: string, special: boolean, reading?: Tour }} AttentionValue */
/** @typedef {{ visitor: string, run: string, step: number | null, text: string, special?: boolean, layer?: number | null }} AttentionQuestion */
/** @typedef {{ tokens: string[], n_layer: number, n_head: number, layers: number[], size: number, png: string, note: string, windows: number[], n_sink: number }} AttentionAnswer */
/** @typedef {Component<AttentionValue, { attention: Endpoint<AttentionQuestion, AttentionAnswer>, timeline: Endpoint<RunQuestion, TimelineAnswer>, heads: Endpoint<TextQuestion, HeadsAnswer>, ablate: Endpoint<AblateQuestion, AblateAnswer> }>} Given */

import { attentionLines, lineStyle } from "../static/attention_lines.js";
import { attentionMap } from "../static/attention_map.js";
import { cividisWords, colours, faint, onTheme } from "../static/colours.js";
import { el, every, onResize, setText } from "../static/dom.js";
import { guidedTour } from "../static/guided_tour.js";
import { headCard } from "../static/head_card.js";
import { timeline } from "../static/timeline.js";
import { createView, panel, sayNote, smallSegments, smallText, tokenSpan } from "../static/view.js";
import { visible } from "../static/words.js";

const THUMB = 96; // device pixels of a thumbnail; larger maps are shrunk by maximum, so that thin lines survive
const PATIENCE = 2000; // milliseconds between two looks at whether a live run has saved another step

/** The greyscale bytes of a base64 PNG. */
async function bytesOf(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = el("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, image.width, image.height).data;
  const bytes = new Uint8Array(image.width * image.height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  return { bytes, width: image.width };
}

const placeOf = (button) => ({ layer: Number(button.dataset.layer), head: Number(button.dataset.head) });

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  const flow = el("p", { class: "pg-token-flow pg-heads-text", role: "group", "aria-label": "Your text; point at a token to see what every head attends to from there" });
  const grid = el("div", { class: "pg-heads", role: "group", "aria-label": "Layers and heads; arrow keys move, Enter chooses" });
  const gridCard = panel("Layer × head", "below each: the token that gets the most attention from the one pointed at", flow, grid);
  gridCard.classList.add("pg-heads-card");
  const heading = el("b");
  const ways = smallSegments("How attention is drawn", [["map", "Map"], ["lines", "Lines"]], "map", (id) => switchTo(id));
  const map = attentionMap({ onRow: point });
  const lines = attentionLines({ onRow: point });
  const mapPart = el("div", {}, ...map.nodes);
  const linesPart = el("div", { hidden: true }, ...lines.nodes);
  const note = smallText();
  const mapCard = el("section", { class: "pg-panel pg-map-card" },
    el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, heading, " attention weights"), ways), mapPart, linesPart, note);
  const time = el("div", { class: "pg-time" });
  const timeCard = panel("Training steps", "move the slider, or press ▶", time);
  timeCard.classList.add("pg-time-card");
  const card = headCard({
    scores: (step) => view.ask(server.heads, { step }, { quietly: true }),
    ablate: (step, parts, how) => view.ask(server.ablate, { step, parts, how }, { quietly: true }),
  });
  const cards = el("div", { class: "pg-head-cards pg-stack" }, ...card.nodes);
  const guide = guidedTour({ go: visit });
  const filled = el("div", { class: "pg-stack" }, guide.node, el("div", { class: "pg-attention-filled" }, timeCard, gridCard, mapCard, cards));

  // ---- the weights --------------------------------------------------------------------------------------------------

  let frames = new Map(); // step -> { reply, layers }, see `fetchFrame`
  let reply = null; // the answer that is shown, without its picture
  let layers = new Map(); // layer -> { bytes, width, row } of the sprite row that holds it, at the step that is shown
  let head = { layer: 0, head: 0 }; // the one in the map
  let several = null; // those whose lines are drawn, as "layer head"; null until one is chosen: all of `head`'s layer
  let way = "map";
  let row = 0; // the token that is pointed at

  /** A function (row, column) -> byte for one head, or null while its layer has not been fetched. */
  function weights({ layer, head: h }) {
    const sprite = layers.get(layer);
    if (!sprite) return null;
    const { bytes, width, row: line } = sprite;
    const origin = line * reply.size * width + h * reply.size;
    return (i, j) => bytes[origin + i * width + j];
  }

  /** Who sees whom in a layer: a function (row, column) -> boolean. */
  function sight(layer) {
    const window = reply.windows?.[layer] ?? 0;
    const sinks = reply.n_sink ?? 0;
    return window > 0 ? (i, j) => j <= i && (i - j < window || j < sinks) : (i, j) => j <= i;
  }

  const named = ({ layer, head: h }) => `Layer ${layer + 1} · head ${h + 1}`;
  const keyOf = ({ layer, head: h }) => `${layer} ${h}`;

  /** The heads whose lines are drawn. */
  function chosenHeads() {
    if (several) return [...several].map((key) => key.split(" ").map(Number)).map(([layer, h]) => ({ layer, head: h })).filter((one) => one.layer < reply.n_layer && one.head < reply.n_head);
    return Array.from({ length: reply.n_head }, (_, h) => ({ layer: head.layer, head: h }));
  }

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
        const name = named({ layer: l, head: h });
        buttons.push(el("button", { type: "button", class: "pg-head", "data-layer": l, "data-head": h, "aria-label": name, title: name },
          el("span", { class: "pg-head-picture" }), el("span", { class: "pg-head-most" })));
      }
    }
    grid.replaceChildren(...buttons);
  }

  function drawGrid() {
    headButtons();
    for (const button of grid.children) {
      const place = placeOf(button);
      const value = weights(place);
      const host = button.firstElementChild;
      if (value) {
        const canvas = host.querySelector("canvas") ?? el("canvas");
        thumbnail(canvas, value, sight(place.layer));
        if (!canvas.isConnected) host.replaceChildren(canvas);
      } else if (host.querySelector("canvas") || !host.textContent) {
        host.replaceChildren(el("span", { class: "pg-soft", text: place.head === 0 ? `layer ${place.layer + 1}` : "…" }));
      }
    }
    press();
  }

  function thumbnail(canvas, value, seen) {
    const size = reply.size;
    const side = Math.min(size, THUMB);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const most = new Int16Array(side * side).fill(-1);
    for (let i = 0; i < size; i++) {
      const line = Math.floor((i * side) / size) * side;
      for (let j = 0; j <= i; j++) {
        if (!seen(i, j)) continue;
        const at = line + Math.floor((j * side) / size);
        const byte = value(i, j);
        if (byte > most[at]) most[at] = byte;
      }
    }
    const context = canvas.getContext("2d");
    const image = context.createImageData(side, side);
    // What cannot be seen stays clear.
    new Uint32Array(image.data.buffer).set(Uint32Array.from(most, (byte) => (byte < 0 ? 0 : cividisWords[byte])));
    context.putImageData(image, 0, 0);
  }

  /** Mark the chosen heads; lines give them their colours. */
  function press() {
    const heads = way === "lines" ? chosenHeads() : [head];
    for (const button of grid.children) {
      const place = placeOf(button);
      const at = heads.findIndex((one) => keyOf(one) === keyOf(place));
      button.setAttribute("aria-pressed", String(at >= 0));
      button.style.setProperty("--pg-line-colour", way === "lines" && at >= 0 ? lineStyle(at).colour : "");
      button.tabIndex = keyOf(place) === keyOf(head) ? 0 : -1;
    }
  }

  async function choose(place) {
    if (way === "lines") toggle(place);
    head = place;
    press();
    if (ready(moving.step())) return drawLarge();
    if (await fetchFrame(moving.step())) showFrame(moving.step());
  }

  /** Add a head's lines, or take them away; the last ones stay. */
  function toggle(place) {
    several ??= new Set(chosenHeads().map(keyOf));
    if (!several.has(keyOf(place))) several.add(keyOf(place));
    else if (several.size > 1) several.delete(keyOf(place));
  }

  grid.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest("button");
    if (button) choose(placeOf(button));
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -reply?.n_head, ArrowDown: reply?.n_head }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...grid.children];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
  });

  // ---- one token, everywhere ----------------------------------------------------------------------------------------

  function drawText() {
    flow.replaceChildren(...reply.tokens.map((token) => tokenSpan(token, null)));
  }

  /** A token is pointed at: what each head looks at from there, and what the chosen one does, over the text. In the map that
   *  moves the cell to what is looked at most; `again`, even if it is in this row. */
  function point(t, again = false) {
    row = t;
    if (!reply || t >= reply.size) return;
    (way === "map" ? map : lines).choose(t, again);
    for (const button of grid.children) {
      const value = weights(placeOf(button));
      if (value) setText(button.lastElementChild, most(value, t));
    }
    const value = weights(head);
    const { blue } = colours();
    [...flow.children].forEach((span, j) => {
      span.classList.toggle("pg-token-chosen", j === t);
      span.tabIndex = j === t ? 0 : -1;
      span.style.background = value && j <= t ? faint(blue, 0.75 * (value(t, j) / 255)) : "none";
    });
  }

  /** What row t looks at most: "k 43 %". */
  function most(value, t) {
    let column = t;
    for (let j = 0; j < t; j++) if (value(t, j) > value(t, column)) column = j;
    return `${visible(reply.tokens[column])} ${Math.round(100 * (value(t, column) / 255) ** 2)} %`;
  }

  flow.addEventListener("pointerover", (event) => {
    const t = [...flow.children].indexOf(/** @type {Element} */ (event.target).closest(".pg-token"));
    if (t >= 0) point(t);
  });
  flow.addEventListener("focusin", (event) => point([...flow.children].indexOf(/** @type {Element} */ (event.target))));
  flow.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step || !flow.children[row + step]) return;
    event.preventDefault();
    flow.children[row + step].focus();
  });

  // ---- large --------------------------------------------------------------------------------------------------------

  function switchTo(id) {
    way = id;
    several = null;
    mapPart.hidden = way !== "map";
    linesPart.hidden = way !== "lines";
    press();
    const t = row; // the other drawing has a token of its own
    drawLarge();
    point(t);
  }

  /** The chosen head as a map, or the chosen heads as lines; and what is said about it. */
  function drawLarge(fresh = false) {
    const value = reply && weights(head);
    if (!value) return;
    card.show(moving.step(), head, way === "lines" ? chosenHeads() : [head]);
    const { tokens, size } = reply;
    if (way === "map") {
      setText(heading, named(head));
      map.draw({ title: named(head), tokens, size, value, seen: sight(head.layer), window: reply.windows?.[head.layer] ?? 0, n_sink: reply.n_sink ?? 0 }, fresh);
      return;
    }
    const heads = chosenHeads().map((one, n) => ({ name: `L${one.layer + 1} H${one.head + 1}`, value: weights(one), ...lineStyle(n) })).filter((one) => one.value);
    setText(heading, `${heads.length} ${heads.length === 1 ? "head" : "heads"}`);
    lines.draw({ tokens, size, heads });
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  const moving = timeline(time, { ready, load: fetchFrame, show: showFrame });

  /** The layers that are to be drawn large and have not been fetched at this step. */
  function missing(step) {
    const needed = way === "lines" && reply ? chosenHeads().map((one) => one.layer) : [head.layer];
    return needed.filter((layer) => !frames.get(step)?.layers.has(layer));
  }

  /** Is there all that is to be drawn large at this step? */
  function ready(step) {
    return missing(step).length === 0;
  }

  /** Get the maps of a step: of all layers where they fit one picture, else of those needed. True once they are there. */
  async function fetchFrame(step, quietly = false) {
    const mine = view.question();
    while (!ready(step)) {
      const answer = await view.ask(server.attention, { step, layer: missing(step)[0] }, { quietly, dim: quietly ? null : view.root });
      if (!answer) return false;
      const { png, ...rest } = answer;
      const sprite = await bytesOf(png);
      if (mine !== view.question()) return false;
      const frame = frames.get(step) ?? { layers: new Map() };
      rest.layers.forEach((layer, line) => frame.layers.set(layer, { ...sprite, row: line }));
      frames.set(step, { ...frame, reply: rest });
      // A head of a larger model may not be here.
      if (head.layer >= rest.n_layer || head.head >= rest.n_head) head = { layer: rest.layers[0], head: 0 };
    }
    return true;
  }

  /** Draw everything as it is at a step that has been fetched. */
  function showFrame(step) {
    const started = performance.now();
    const fresh = fresher;
    fresher = false;
    ({ reply, layers } = frames.get(step));
    view.tell("");
    view.show();
    sayNote(note, reply.note);
    if (fresh || flow.children.length !== reply.size) drawText();
    drawGrid();
    drawLarge(fresh);
    view.root.dataset.step = step;
    view.root.dataset.ms = (performance.now() - started).toFixed(1);
  }

  let fresher = false; // the question is a new one: choose a cell for it
  let live = false;
  let shown = {}; // the run whose step is shown

  /** Ask which steps there are, and show one: the same as before if the run is the same and it was not its newest. */
  async function begin({ run }) {
    const wanted = shown.run === run && !moving.atEnd() ? moving.step() : null;
    if (filled.hidden) view.tell("Reading the text…");
    const answer = await view.ask(server.timeline);
    if (!answer) return;
    shown = { run };
    frames = new Map();
    several = null;
    fresher = true;
    card.reset();
    filled.hidden = false; // the slider is laid out; the answer to the question comes with the first frame
    live = answer.live;
    await moving.open(answer, wanted);
    guide.open(JSON.parse(JSON.stringify(props.value?.reading ?? null)));
  }

  /** What a stage of a guided reading speaks of: a step, one head as a map or several as lines, a token, and what is off. */
  async function visit({ step, heads, token, off }) {
    const mine = view.question();
    [head] = heads = heads.map(([layer, h]) => ({ layer, head: h }));
    if ((way === "lines") !== heads.length > 1) ways.querySelector(`input[value="${heads.length > 1 ? "lines" : "map"}"]`).click();
    several = heads.length > 1 ? new Set(heads.map(keyOf)) : null;
    await moving.go(step);
    if (mine !== view.question()) return;
    press();
    drawLarge();
    point(token, true);
    card.off(off);
  }

  async function follow() {
    if (!live || !view.question()) return;
    const answer = await view.ask(server.timeline, {}, { quietly: true });
    if (!answer) return;
    live = answer.live;
    await moving.update(answer);
  }

  const view = createView({ element, props, watch }, "pg-attention", filled, ["run", "text"], begin);
  onResize(map.scroller, () => drawLarge());
  onResize(lines.scroller, () => drawLarge());
  onTheme(view.root, () => {
    press();
    drawLarge();
    if (reply) point(row);
  });
  every(element, PATIENCE, follow);
}
