// Named vectors as points on their principal axes, in two or three dimensions, at every saved step; the neighbours of one,
// and analogies. Points are drawn as their names, so that no colour is needed to tell them apart.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { RunQuestion, TextValue, TimelineAnswer } from "../static/types.js" */
/** @typedef {{ visitor: string, run: string, step: number | null, what: "tokens" | "words", depth?: number, anchor: number, axes: "fixed" | "own" }} EmbeddingsQuestion */
/** @typedef {{ names: string[], kinds: string[], counts: number[], points: number[][], shares: number[], depth: number }} EmbeddingsAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, what: "tokens" | "words", depth?: number, name: string }} NearQuestion */
/** @typedef {{ name: string, count: number, near: [string, number][] }} NearAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, what: "tokens" | "words", depth?: number, a: string, b: string, c: string, expected: string }} AnalogyQuestion */
/** @typedef {{ n: number, right: number, lazy: number, candidates: number }} AnalogyTest */
/** @typedef {{ ranked: [string, number][], raw: string, raw_given: boolean, expected: string | null, rank: number | null, lazy: number | null, of: number, test: AnalogyTest | null }} AnalogyAnswer */
/** @typedef {Component<TextValue, { embeddings: Endpoint<EmbeddingsQuestion, EmbeddingsAnswer>, near: Endpoint<NearQuestion, NearAnswer>, analogies: Endpoint<AnalogyQuestion, AnalogyAnswer>, timeline: Endpoint<RunQuestion, TimelineAnswer> }>} Given */

import { drawAxes } from "../static/axes.js";
import { colours, onTheme } from "../static/colours.js";
import { askServer, el, every, onResize, setText } from "../static/dom.js";
import { timeline } from "../static/timeline.js";
import { createView, panel, shareBar, smallSegments, smallText } from "../static/view.js";
import { counted, visible, whole } from "../static/words.js";

const HEIGHT = 460;
const PATIENCE = 3000; // milliseconds between two looks at a live run
const COLOURS = { letter: "blue", capital: "vermilion", digit: "green", space: "ink", "line end": "ink", punctuation: "purple", other: "grey" };
const NOTES = {
  tokens: "Token embeddings: the input vectors of the model, of up to 400 tokens: the most frequent of the validation text, or the first of the vocabulary where the text is not available.",
  words: "Words: the mean of the residual stream after layer {} at the last letter of a word, over its occurrences in up to 32,000 tokens of the validation text; the 120 most frequent words at most.",
};

const copy = (answer) => JSON.parse(JSON.stringify(answer)); // a plain one: Gradio's is a slow proxy
const row = ([other, cosine]) => el("li", { class: "pg-alternative" }, el("code", { text: visible(other) }), shareBar(Math.max(0, cosine)), el("span", { class: "pg-number", text: cosine.toFixed(2) }));

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  let what = "tokens";
  let dimensions = "2";
  let axes = "fixed";
  const tools = el("div", { class: "pg-causes-bar" },
    smallSegments("What is shown", [["tokens", "Tokens"], ["words", "Words"]], what, (id) => {
      what = id;
      begin();
    }),
    smallSegments("Dimensions", [["2", "2-D"], ["3", "3-D"]], dimensions, (id) => {
      dimensions = id;
      draw();
    }),
    smallSegments("Axes", [["fixed", "Axes of the last step"], ["own", "Each step's own"]], axes, (id) => {
      axes = id;
      begin();
    }));
  const canvas = el("canvas", { class: "pg-embeddings-map", role: "img", tabindex: 0 });
  const legend = el("p", { class: "pg-expert-legend pg-small" });
  const about = smallText();
  const time = el("div", { class: "pg-time" });
  const mapCard = panel("Map", "principal components: the directions of largest variance",
    tools, canvas, legend, about, time);

  const name = el("input", { type: "text", class: "pg-field", "aria-label": "Name of a vector", maxlength: 60, size: 8 });
  const nearList = el("ul", { class: "pg-alternatives", "aria-label": "Nearest vectors by cosine" });
  const nearWords = el("p", { class: "pg-soft pg-small", "aria-live": "polite" });
  const nearForm = el("form", { class: "pg-form-row" }, el("label", {}, "near ", name), el("button", { type: "submit", class: "pg-small-button", text: "Show" }));
  const nearCard = panel("Nearest neighbours", "by cosine similarity in all dimensions", nearForm, nearList, nearWords);

  const fields = Object.fromEntries(["a", "b", "c", "expected"].map((id) => [id, el("input", { type: "text", class: "pg-field", maxlength: 60, size: 7, "aria-label": { a: "a", b: "is to b", c: "as c", expected: "is to, expected answer" }[id] })]));
  const solved = el("ul", { class: "pg-alternatives", "aria-label": "Answers of the analogy" });
  const solvedWords = el("p", { class: "pg-verdict-small", "aria-live": "polite" });
  const testWords = smallText();
  const analogyForm = el("form", { class: "pg-form-row" }, fields.a, " is to ", fields.b, " as ", fields.c, " is to ", fields.expected, el("button", { type: "submit", class: "pg-small-button", text: "Solve" }));
  const analogyCard = panel("Analogy", "nearest to b − a + c", analogyForm, solvedWords, solved, testWords);
  const filled = el("div", { class: "pg-stack" }, mapCard, el("div", { class: "pg-two-cards" }, nearCard, analogyCard));
  const look = createView({ element, props, watch }, "pg-embeddings", filled, ["run", "step"], begin);
  const { root } = look;

  let frames = new Map(); // step -> { names, kinds, counts, points, shares }
  let step = null; // the one shown
  let anchor = null; // whose axes they are
  let chosen = ""; // a name
  let live = false;
  let turn = { across: 0.6, up: 0.35 }; // of the 3-D view, radians
  let placed = []; // [x, y] on the canvas, of the frame shown

  // ---- the map ------------------------------------------------------------------------------------------------------

  /** What the map must hold, the same for all steps that are there, so that growing is seen as growing: bounds of each axis, and
   *  how far 99 in 100 points of any step lie from the middle. */
  function room() {
    const low = [Infinity, Infinity];
    const high = [-Infinity, -Infinity];
    let far = 1e-6;
    for (const { points } of frames.values()) {
      for (const point of points) {
        for (const i of [0, 1]) [low[i], high[i]] = [Math.min(low[i], point[i]), Math.max(high[i], point[i])];
      }
      const away = points.map((point) => Math.hypot(...point)).sort((a, b) => a - b);
      far = Math.max(far, away[Math.floor(0.99 * (away.length - 1))]);
    }
    for (const i of [0, 1]) if (!(high[i] > low[i])) [low[i], high[i]] = [low[i] - 1, high[i] + 1];
    return { low, high, far };
  }

  const turned = ([x, y, z]) => {
    const [c, s] = [Math.cos(turn.across), Math.sin(turn.across)];
    const [u, v] = [Math.cos(turn.up), Math.sin(turn.up)];
    const [across, deep] = [c * x - s * z, s * x + c * z];
    return [across, u * y - v * deep, v * y + u * deep];
  };

  function draw() {
    const frame = frames.get(step);
    const width = canvas.clientWidth;
    if (!frame || !width) return;
    const height = Math.min(HEIGHT, Math.max(320, width * 0.8));
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const colour = colours();
    const style = getComputedStyle(root);
    const paint = canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    const flat = dimensions === "2";
    const { low, high, far } = room();
    const scale = (Math.min(width, height) / 2 - 26) / far;
    const along = (x, i, from, to) => from + ((x - low[i]) / (high[i] - low[i])) * (to - from);
    const project = (point) => {
      if (flat) return [along(point[0], 0, 76, width - 22), along(point[1], 1, height - 52, 18), 0];
      const [x, y, z] = turned(point);
      return [width / 2 + x * scale, height / 2 - y * scale, z];
    };
    const axis = (i) => `PC ${i + 1} (${(100 * frame.shares[i]).toFixed(0)} % of variance)`;
    paint.font = `11px ${style.fontFamily}`;
    paint.strokeStyle = colour.line;
    paint.fillStyle = colour.soft;
    if (flat) drawAxes(paint, project, width, height, [low, high], axis);
    else drawAxes3(paint, project, far, axis);
    placed = frame.points.map(project);
    const order = placed.map((_, i) => i).sort((a, b) => placed[a][2] - placed[b][2] || b - a);
    paint.textAlign = "center";
    paint.textBaseline = "middle";
    const mono = style.getPropertyValue("--font-mono") || "monospace";
    for (const i of order) {
      const here = frame.names[i] === chosen;
      const deep = flat ? 1 : 0.45 + 0.55 * ((placed[i][2] / far + 1) / 2);
      const label = visible(frame.names[i]);
      paint.globalAlpha = here ? 1 : Math.max(0.3, Math.min(1, deep));
      paint.font = `${here ? "700 15px" : "12px"} ${mono}`;
      if (here) {
        const half = paint.measureText(label).width / 2 + 5;
        paint.fillStyle = colour.card;
        paint.strokeStyle = colour.highlight;
        paint.lineWidth = 2;
        paint.beginPath();
        paint.roundRect(placed[i][0] - half, placed[i][1] - 11, 2 * half, 22, 6);
        paint.fill();
        paint.stroke();
      }
      paint.fillStyle = colour[COLOURS[frame.kinds[i]]] ?? colour.ink;
      paint.fillText(label, placed[i][0], placed[i][1]);
    }
    paint.globalAlpha = 1;
    paint.lineWidth = 1;
    canvas.setAttribute("aria-label", `${frame.names.length} ${what} on ${flat ? "two" : "three"} principal components at step ${whole(step)}; ${flat ? "" : "drag or use the arrow keys to turn; "}press one to see its neighbours`);
    root.dataset.step = step;
    root.dataset.points = frame.names.length;
  }

  function drawAxes3(paint, project, most, axis) {
    const [ox, oy] = project([0, 0, 0]);
    for (let i = 0; i < 3; i++) {
      const [x, y] = project([0, 1, 2].map((k) => (k === i ? most : 0)));
      const [bx, by] = project([0, 1, 2].map((k) => (k === i ? -most : 0)));
      paint.beginPath();
      paint.moveTo(bx, by);
      paint.lineTo(x, y);
      paint.stroke();
      paint.textAlign = x < ox - 8 ? "right" : x > ox + 8 ? "left" : "center";
      const half = paint.measureText(axis(i)).width;
      const to = Math.min(Math.max(x, paint.textAlign === "right" ? half + 4 : 4), canvas.clientWidth - (paint.textAlign === "left" ? half + 4 : 4));
      paint.fillText(axis(i), to, y + (y > oy ? 12 : -4));
    }
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1;
    let least = 24 ** 2;
    placed.forEach(([px, py], i) => {
      const away = (px - x) ** 2 + (py - y) ** 2;
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) {
      const i = nearest(event);
      canvas.style.cursor = i >= 0 ? "pointer" : dimensions === "3" ? "grab" : "default";
      const frame = frames.get(step);
      canvas.title = i >= 0 && frame ? `${visible(frame.names[i])} · ${frame.kinds[i]}${frame.counts[i] ? ` · ${counted(frame.counts[i], "time")}` : ""}` : "";
      return;
    }
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag = { x: event.clientX, y: event.clientY, moved: true };
    if (dimensions !== "3") return;
    turn = { across: turn.across + dx / 120, up: Math.max(-1.5, Math.min(1.5, turn.up + dy / 120)) };
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const i = drag && !drag.moved ? nearest(event) : -1;
    drag = null;
    if (i >= 0) choose(frames.get(step).names[i]);
  });
  canvas.addEventListener("pointercancel", () => (drag = null));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!move || dimensions !== "3") return;
    event.preventDefault();
    turn = { across: turn.across + move[0], up: Math.max(-1.5, Math.min(1.5, turn.up + move[1])) };
    draw();
  });
  onResize(canvas, draw);
  onTheme(element, () => {
    draw();
    drawLegend();
  });

  function drawLegend() {
    const frame = frames.get(step);
    if (!frame) return;
    const colour = colours();
    legend.replaceChildren(...[...new Set(frame.kinds)].map((kind) => {
      const mark = el("i", { class: "pg-expert-mark", "aria-hidden": "true" });
      mark.style.background = colour[COLOURS[kind]];
      return el("span", {}, mark, ` ${kind}`);
    }));
  }

  // ---- neighbours and analogies -----------------------------------------------------------------------------------------

  const question = (more) => ({ visitor: props.value.visitor ?? "", run: props.value.run, step, what, ...more });

  let nearRound = 0;

  async function choose(wanted) {
    chosen = wanted;
    name.value = wanted;
    draw();
    const mine = ++nearRound;
    const answer = await askServer(server.near, question({ name: wanted }));
    if (mine !== nearRound) return;
    if (!answer || answer.error) {
      nearList.replaceChildren();
      setText(nearWords, answer?.error ?? "The server did not answer. Try again.");
      return;
    }
    chosen = answer.name;
    nearList.replaceChildren(...copy(answer.near).map(row));
    setText(nearWords, `${visible(answer.name)} at step ${whole(step)}${answer.count ? `; it occurs ${counted(answer.count, "time")} in the validation text that was read` : ""}.`);
    draw();
  }

  async function solve() {
    const words = Object.fromEntries(Object.entries(fields).map(([id, input]) => [id, input.value]));
    const mine = `${look.question()} ${what} ${step}`;
    const answer = await askServer(server.analogies, question(words));
    if (mine !== `${look.question()} ${what} ${step}`) return;
    if (!answer || answer.error) {
      solved.replaceChildren();
      setText(testWords, "");
      setText(solvedWords, answer?.error ?? "The server did not answer. Try again.");
      return;
    }
    const one = copy(answer);
    solved.replaceChildren(...one.ranked.map(row));
    const won = visible(one.ranked[0][0]);
    const given = one.raw_given ? ", one of the three given," : "";
    const verdict = one.rank == null ? `Nearest is ${won}.`
      : one.rank === 1 ? `Correct: ${won} ranks first${one.lazy === 1 ? ", but it also does among the neighbours of c alone: the offset was not needed" : `; among the neighbours of c alone it ranks number ${one.lazy}`}.`
      : `Wrong: ${visible(one.expected)} ranks number ${one.rank} of ${whole(one.of)}; ${won} ranks first. Among the neighbours of c alone ${visible(one.expected)} ranks number ${one.lazy}.`;
    setText(solvedWords, `${verdict} If the three given names were allowed, ${visible(one.raw)}${given} would rank first.`);
    setText(testWords, one.test ? `Of all ${one.test.n} analogies from letters to their capitals: ${one.test.right} correct, ${one.test.lazy} by the neighbours of c alone, ${(one.test.n / one.test.candidates).toFixed(1)} expected by chance.` : "");
  }

  nearForm.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(name.value);
  });
  analogyForm.addEventListener("submit", (event) => {
    event.preventDefault();
    solve();
  });

  /** Something that can be computed from these vectors, so that nothing stands empty. */
  function examples() {
    const { names } = frames.get(step);
    const has = (...wanted) => wanted.every((one) => names.includes(one));
    const four = what === "words" && has("he", "she", "his", "her") ? ["he", "she", "his", "her"]
      : has("a", "A", "t", "T") ? ["a", "A", "t", "T"] : names.filter((one) => one.trim()).slice(0, 4);
    ["a", "b", "c", "expected"].forEach((id, i) => (fields[id].value = four[i] ?? ""));
    chosen = [chosen, "he", "e"].find((one) => names.includes(one)) ?? names.find((one) => /^\p{L}/u.test(one)) ?? names[0];
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  async function load(at, quietly = false) {
    if (frames.has(at)) return true;
    const mode = `${what} ${axes}`;
    const answer = await look.ask(server.embeddings, { step: at, anchor, what, axes }, { quietly });
    if (!answer || mode !== `${what} ${axes}`) return false;
    frames.set(at, answer);
    if (quietly) draw(); // the scale may have grown
    return true;
  }

  let asking = 0; // neighbours and analogy follow the slider once it rests

  const line = timeline(time, {
    ready: (at) => frames.has(at),
    load,
    show: (at) => {
      step = at;
      draw();
      drawLegend();
      clearTimeout(asking);
      asking = setTimeout(() => {
        choose(chosen);
        solve();
      }, 250);
    },
  });

  /** Start again with the run's steps: another run, another kind of vectors, other axes. */
  async function begin() {
    const wanted = props.value?.step;
    live = false;
    if (!look.question()) return;
    if (filled.hidden) look.tell("Reading the vectors…");
    const news = await look.ask(server.timeline);
    if (!news) return;
    frames = new Map();
    anchor = news.steps.at(-1);
    const first = news.steps.includes(wanted) ? wanted : anchor;
    root.classList.add("pg-waiting");
    const there = await load(first);
    root.classList.remove("pg-waiting");
    if (!there) return;
    look.tell("");
    look.show();
    step = first;
    setText(about, `${NOTES[what].replace("{}", frames.get(step).depth)} ${axes === "fixed" ? "The axes are those of the last saved step, for all steps: what moves on the map moves in the model." : "Each step has its own principal axes, turned and mirrored onto those of the last step, so that nothing flips; only distances within a step can be compared."}`);
    examples();
    live = news.live;
    await line.open(news, first);
  }

  /** While the run trains, its new steps come after the others, on the axes that the map has. */
  every(element, PATIENCE, async () => {
    if (!live || !look.question()) return;
    const mine = anchor;
    const news = await look.ask(server.timeline, {}, { quietly: true });
    if (!news || mine !== anchor) return;
    live = news.live;
    await line.update(news);
  });
}
