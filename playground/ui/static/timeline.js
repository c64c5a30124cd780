// Through training: a slider over a run's saved steps, a play button, and the loss curve with a marker on it.
//
// The owner keeps what belongs to a step; the timeline only says which step to show, and fetches the others one at a
// time while idle, those next to the marker first. So moving costs one drawing and no waiting.

import { colours, onTheme } from "./colours.js";
import { el, onResize, setText } from "./dom.js";
import { smooth, SMOOTHING } from "./runs.js";
import { whole } from "./words.js";

/** @import { LossCurve } from "./types.js" */

const HEIGHT = 92;
const ROOM = { left: 46, right: 14, top: 8, bottom: 30 };
const BEAT = 650; // milliseconds that a step stays while playing

const place = (step) => Math.log10(step + 1);

/** Round numbers for an axis of logarithmic steps: 0, 1, 10, 100, … up to `last`. */
function ticks(last) {
  const out = [0];
  for (let step = 1; step <= last; step *= 10) out.push(step);
  if (last > 0 && place(last) - place(out.at(-1)) > 0.35) out.push(last);
  return out;
}

/**
 * The loss at a step, on the line that is drawn, or null before the first measurement.
 *
 * @param {LossCurve} curve
 * @param {number} step
 * @returns {{ loss: number, measured: boolean } | null}
 */
export function lossAt(curve, step) {
  /** @type {{ at: number, loss: number } | undefined} */
  let before;
  /** @type {{ at: number, loss: number } | undefined} */
  let after;
  curve.step.forEach((at, i) => {
    if (curve.loss[i] == null) return;
    if (at <= step) before = { at, loss: curve.loss[i] };
    else after ??= { at, loss: curve.loss[i] };
  });
  if (!before) return null;
  if (before.at === step || !after) return { loss: before.loss, measured: before.at === step };
  const share = (place(step) - place(before.at)) / (place(after.at) - place(before.at));
  return { loss: before.loss + share * (after.loss - before.loss), measured: false };
}

/**
 * A timeline inside `host`.
 *
 * options.ready(step): is everything there to show it? options.load(step): a promise of true once it is, false if it
 * could not be had. options.show(step): draw it now. Returns { open(reply, step), update(reply), go(step), step(), atEnd() }:
 * `open` begins anew with the answer { steps, curve: {step, loss}, last, live } at step `step` or the last; `update`
 * takes in a later answer about the same run, and moves on to a new last step if the marker was at the last.
 */
export function timeline(host, { ready, load, show }) {
  let reply = null;
  let steps = [];
  let index = 0;
  let playing = 0; // a timer
  let round = 0; // what was fetched for an earlier one is dropped
  let fetching = false;

  const play = el("button", { type: "button", class: "pg-play" });
  const slider = el("input", { type: "range", min: 0, step: 1, "aria-label": "Saved step of the training" });
  const words = el("p", { class: "pg-time-words" });
  const canvas = el("canvas", { class: "pg-time-curve", role: "img", "aria-label": "Smoothed loss over training steps, with a mark at the step shown" });
  const alone = el("p", { class: "pg-soft pg-small", hidden: true });
  const bar = el("div", { class: "pg-time-bar" }, play, slider, words);
  host.append(bar, canvas, alone);

  function say() {
    const step = steps[index];
    const here = lossAt(reply.curve, step);
    const live = reply.live && index === steps.length - 1 ? " · newest so far" : "";
    setText(words, `step ${whole(step)}${here ? ` · smoothed loss ${here.loss.toFixed(2)}` : ""}${live}`);
    slider.setAttribute("aria-valuetext", words.textContent);
    slider.style.setProperty("--pg-part", steps.length > 1 ? `${(100 * index) / (steps.length - 1)}%` : "100%");
    setText(play, playing ? "❚❚" : "▶");
    play.setAttribute("aria-label", playing ? "Pause" : "Play the training step by step");
  }

  // ---- the curve ------------------------------------------------------------------------------------------------

  const across = (width, step) => {
    const last = Math.max(place(reply.last), place(steps.at(-1)), 0.1);
    return ROOM.left + (place(step) / last) * (width - ROOM.left - ROOM.right);
  };

  function range() {
    const losses = reply.curve.loss.filter((loss) => loss != null);
    if (!losses.length) return null;
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    return high > low ? [low, high] : [low - 0.5, high + 0.5];
  }

  function drawCurve() {
    const width = host.clientWidth;
    if (!reply || !width) return;
    const colour = colours();
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    canvas.width = Math.round(width * ratio);
    canvas.height = HEIGHT * ratio;
    const paint = canvas.getContext("2d");
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.font = `11px ${getComputedStyle(host).fontFamily}`;
    const floor = HEIGHT - ROOM.bottom;
    paint.strokeStyle = colour.line;
    paint.fillStyle = colour.soft;
    paint.textAlign = "center";
    paint.beginPath();
    for (const tick of ticks(Math.max(reply.last, steps.at(-1)))) {
      const x = across(width, tick);
      paint.moveTo(x, ROOM.top);
      paint.lineTo(x, floor);
      const half = paint.measureText(whole(tick)).width / 2;
      paint.fillText(whole(tick), Math.min(x, width - half - 1), floor + 13);
    }
    paint.stroke();
    paint.fillText("training step (logarithmic)", (ROOM.left + width - ROOM.right) / 2, floor + 27);
    const bounds = range();
    const up = (loss) => (bounds ? floor - ((loss - bounds[0]) / (bounds[1] - bounds[0])) * (floor - ROOM.top) : floor);
    if (bounds) drawLine(paint, width, up, bounds, colour);
    steps.forEach((step, i) => {
      const here = lossAt(reply.curve, step);
      paint.beginPath();
      paint.arc(across(width, step), here ? up(here.loss) : floor, i === index ? 5.5 : 3, 0, 2 * Math.PI);
      paint.fillStyle = i === index ? colour.highlight : colour.card;
      paint.strokeStyle = i === index ? colour.highlight : colour.blue;
      paint.lineWidth = 1.5;
      paint.fill();
      paint.stroke();
    });
  }

  function drawLine(paint, width, up, bounds, colour) {
    paint.textAlign = "right";
    paint.fillText(bounds[1].toFixed(1), ROOM.left - 6, up(bounds[1]) + 6);
    paint.fillText(bounds[0].toFixed(1), ROOM.left - 6, up(bounds[0]) + 2);
    paint.save();
    paint.translate(10, (up(bounds[0]) + up(bounds[1])) / 2);
    paint.rotate(-Math.PI / 2);
    paint.textAlign = "center";
    paint.fillText("loss (nats)", 0, 0);
    paint.restore();
    paint.strokeStyle = colour.blue;
    paint.lineWidth = 2;
    paint.beginPath();
    reply.curve.step.forEach((step, i) => {
      if (reply.curve.loss[i] != null) paint.lineTo(across(width, step), up(reply.curve.loss[i]));
    });
    paint.stroke();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!reply || steps.length < 2) return;
    const x = event.clientX - canvas.getBoundingClientRect().left;
    const away = steps.map((step) => Math.abs(across(host.clientWidth, step) - x));
    pause();
    move(away.indexOf(Math.min(...away)));
  });

  // ---- moving ---------------------------------------------------------------------------------------------------

  /** Show the step with this number, as soon as it is there; true if it was there at once. */
  async function move(to) {
    index = to;
    slider.value = to;
    say();
    drawCurve();
    const step = steps[to];
    const mine = round;
    if (ready(step)) {
      const started = performance.now();
      show(step);
      host.dataset.ms = (performance.now() - started).toFixed(1);
      prefetch();
      return;
    }
    if ((await load(step)) && mine === round && steps[index] === step) show(step);
    prefetch();
  }

  /** Fetch what is missing, nearest first, one after the other. */
  async function prefetch() {
    if (fetching) return;
    fetching = true;
    const failed = new Set();
    const mine = round;
    for (;;) {
      const missing = steps.filter((step) => !ready(step) && !failed.has(step));
      if (mine !== round || !missing.length || document.hidden || host.offsetParent === null) break;
      const away = (step) => Math.abs(steps.indexOf(step) - index);
      const next = missing.reduce((best, step) => (away(step) < away(best) ? step : best));
      if (!(await load(next, true))) failed.add(next);
    }
    fetching = false;
    host.dataset.ready = steps.filter(ready).length;
    if (mine !== round) prefetch();
  }

  function pause() {
    clearInterval(playing);
    playing = 0;
    if (reply) say();
  }

  function start() {
    if (index === steps.length - 1) move(0);
    playing = setInterval(() => {
      if (!host.isConnected || host.offsetParent === null) return pause();
      if (!ready(steps[index]) || !ready(steps[index + 1])) return prefetch();
      move(index + 1);
      if (index === steps.length - 1) pause();
    }, BEAT);
    say();
  }

  play.addEventListener("click", () => (playing ? pause() : start()));
  slider.addEventListener("input", () => {
    pause();
    move(Number(slider.value));
  });
  onResize(host, drawCurve);
  onTheme(host, drawCurve);

  /** Take an answer in. Steps whose files are gone stay as long as they can still be shown. */
  function absorb(news) {
    reply = { ...news, curve: { step: news.curve.step, loss: smooth(news.curve.loss, SMOOTHING) } };
    steps = [...new Set([...steps.filter(ready), ...news.steps])].sort((a, b) => a - b);
    slider.max = String(Math.max(0, steps.length - 1));
    const several = steps.length > 1;
    play.hidden = slider.hidden = canvas.hidden = !several;
    alone.hidden = several;
    setText(alone, several ? "" : "Only one step of this run was saved. Train a run with snapshots (see All training settings) to compare steps.");
  }

  return {
    open(news, step) {
      pause();
      round++;
      steps = [];
      absorb(news);
      const wanted = steps.indexOf(step);
      return move(wanted >= 0 ? wanted : steps.length - 1);
    },
    update(news) {
      const last = index === steps.length - 1 && !playing;
      const step = steps[index];
      absorb(news);
      const next = last ? steps.length - 1 : Math.max(0, steps.indexOf(step));
      if (steps[next] !== step) return move(next);
      index = next;
      slider.value = String(next);
      say();
      drawCurve();
      return prefetch();
    },
    /** Show a saved step; one that is not there leaves all as it is. */
    go(step) {
      pause();
      return steps.includes(step) ? move(steps.indexOf(step)) : undefined;
    },
    step: () => steps[index],
    atEnd: () => index === steps.length - 1,
  };
}
