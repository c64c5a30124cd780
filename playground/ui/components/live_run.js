// The run being trained: its state in words, five numbers, the curves, what to notice, and what it writes.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { CurvesAnswer, CurvesQuestion, RunQuestion } from "../static/types.js" */
/** @typedef {{ visitor: string, run: string, nonce: number | string, arrived?: boolean }} LiveRunValue */
/** @typedef {{ name: string, seeds: number, parameters: number, step: number[], tokens: number[], seconds: number[], mean: number[], low: number[], high: number[] }} Band */
/** @typedef {{ band: Band | null }} BandAnswer */
/** @typedef {Component<LiveRunValue, { curves: Endpoint<CurvesQuestion, CurvesAnswer>, band: Endpoint<RunQuestion, BandAnswer> }>} Given */

import { colours } from "../static/colours.js";
import { curveChart } from "../static/curve_chart.js";
import { announcer, askServer, calm, el, every, NO_ANSWER, setText } from "../static/dom.js";
import { Styles } from "../static/line_styles.js";
import { grams, placed } from "../static/ngrams.js";
import { lastOf, Runs, smooth, SMOOTHING } from "../static/runs.js";
import { duration, number, printable, rate, stateWords, whole } from "../static/words.js";

const CAN = { loading: "see pause stop", queued: "see pause stop", running: "see pause stop", crashed: "see resume stop", paused: "see resume", stopped: "see resume", failed: "see resume" };
const BEAT = 500; // milliseconds
const ENDED = ["finished", "stopped", "failed", "diverged", "crashed", "paused"];

const TILES = {
  train: ["train loss", "nats/token, smoothed"],
  validation: ["validation loss", "nats/token"],
  perplexity: ["perplexity", "exp of the validation loss"],
  bits: ["bits per byte", "of validation text"],
  gradient: ["gradient norm", "L2, last step"],
};

const DRAWN = ["bigram", "trigram", "5-gram"];

/** Whether there is a log of the training: a model that was imported may come without one. */
const logged = (run) => run.state !== "finished" || (run.step ?? 0) > 0;

function factsOf(run) {
  const words = logged(run) ? [] : ["no training log"];
  if (run.state === "queued" && run.waiting) words.push(run.waiting);
  if (run.steps > 0 && logged(run)) words.push(`step ${whole(run.step ?? 0)} of ${whole(run.steps)}`);
  if (run.state === "running" && run.tokens_per_second > 0) words.push(`${rate(run.tokens_per_second)} tokens/s`);
  if (run.state === "running" && run.eta_seconds != null) words.push(`${duration(run.eta_seconds)} left`);
  return words.join(" · ");
}

/** Where the last evaluation is of an earlier step than the last trained one: which step, for after a unit. */
function evaluatedAt(run) {
  const { step, loss } = run.validation;
  const last = loss.findLastIndex((x) => x != null);
  return last < 0 || step[last] === run.step ? "" : `, at step\u00a0${whole(step[last])}`;
}

/** The first sample, the latest, and up to four between them that lie evenly on a logarithmic scale. */
function chosenSamples(all) {
  if (all.length <= 6) return all;
  const end = all.at(-1).step;
  const picks = new Set([all[0], all.at(-1)]);
  for (const part of [0.2, 0.4, 0.6, 0.8]) {
    const target = Math.exp(part * Math.log(end + 1)) - 1;
    picks.add(all.reduce((a, b) => (Math.abs(b.step - target) < Math.abs(a.step - target) ? b : a)));
  }
  return all.filter((sample) => picks.has(sample));
}

/** Every how many beats to ask: the first points are awaited, an ended run may be resumed. Between, the training needs the cores. */
function pace(run) {
  if (ENDED.includes(run.state)) return 6;
  return run.train.step.length > 10 ? 4 : 1;
}

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const root = element.querySelector(".pg-live");
  const page = element.closest(".pg-main") ?? root; // the style sheet shows the buttons that fit what its data-can says

  // ---- layout -------------------------------------------------------------------------------------------------------

  const empty = element.querySelector(".pg-live-empty");
  const state = el("strong", { "aria-live": "polite" });
  const facts = el("span", { class: "pg-soft" });
  const title = el("span", { class: "pg-live-title" });
  const bar = el("div", { class: "pg-progress-bar" });
  const track = el("div", { class: "pg-progress", role: "progressbar", "aria-label": "Training progress", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  const message = el("p", { class: "pg-alert", role: "alert", hidden: true });
  const progress = el("div", { class: "pg-live-progress" }, el("div", { class: "pg-live-line" }, state, facts, title), track, message);
  const numbers = {};
  const units = {};
  const tiles = el("dl", { class: "pg-tiles" });
  for (const [id, [name, unit]] of Object.entries(TILES)) {
    numbers[id] = el("dd", { text: "–" });
    units[id] = el("dd", { class: "pg-unit", text: unit });
    tiles.append(el("div", { class: "pg-tile" }, el("dt", { text: name }), numbers[id], units[id]));
  }

  const chartCard = el("section", { class: "pg-panel", "aria-label": "Training curves" });
  const styles = new Styles();
  const curves = el("div");
  chartCard.append(curves);
  const chart = curveChart(curves, {
    styles,
    planned: true,
    trainAlways: true,
    label: "Training and validation curves of this run",
    endLabel: (line) => line.name,
    hoverName: (line) => line.about ?? line.name,
    behind: (chosen) => reference(chosen),
    baselines: (run) => grams(run).filter(({ name }) => DRAWN.includes(name)),
  });

  // The band of the runs that ship for this preset and text, as far as this run's own axis reaches.
  let band = null;

  function reference({ metric, axis }) {
    const run = runs.byId.get(shown);
    const convert = { loss: (x) => x, perplexity: Math.exp, bits_per_byte: (x) => x * run?.bits_per_nat }[metric];
    if (!band || !run || !convert || (metric === "bits_per_byte" && !run.bits_per_nat)) return [];
    const planned = { step: run.steps, tokens: ((lastOf(run.train.tokens) ?? 0) / (lastOf(run.train.step) || 1)) * run.steps, seconds: lastOf(run.train.seconds) ?? 0 }[axis];
    const keep = band[axis].map((_, i) => i).filter((i) => band[axis][i] <= Math.max(planned, lastOf(run.train[axis]) ?? 0));
    if (keep.length < 2) return [];
    const pick = (values) => keep.map((i) => convert(values[i]));
    return [{ run, x: keep.map((i) => band[axis][i]), y: pick(band.mean), band: { low: pick(band.low), high: pick(band.high) },
      name: "reference", about: band.name, colour: colours().grey, dash: "dot", width: 1.2, opacity: 0.9, thin: true, behind: true }];
  }

  const notice = el("p", { class: "pg-notice" });
  chartCard.append(notice);
  const announce = announcer(chartCard);

  const samples = el("ol", { class: "pg-samples" });
  const samplesCard = el("section", { class: "pg-panel", "aria-label": "Samples", hidden: true },
    el("h2", { class: "pg-panel-title" }, el("b", { text: "Samples" }), " from the same prompt, during training"), samples);

  const filled = el("div", { class: "pg-live-filled", hidden: true }, progress, tiles, chartCard, samplesCard);
  root.append(filled);

  // ---- drawing ------------------------------------------------------------------------------------------------------

  function drawSamples(run) {
    const rows = chosenSamples(run.samples);
    const key = `${run.id} ${rows.map((sample) => sample.step)} ${run.state}`;
    samplesCard.hidden = rows.length === 0;
    if (samples.dataset.key === key) return;
    samples.dataset.key = key;
    samples.replaceChildren(...rows.map((sample, i) => {
      const text = el("span", { class: "pg-sample-text" }, el("span", { class: "pg-soft", text: printable(sample.prompt) }), printable(sample.text));
      if (i === rows.length - 1 && run.state === "running") text.append(el("span", { class: "pg-caret", "aria-hidden": "true" }));
      return el("li", {}, el("span", { class: "pg-sample-step", text: `step ${whole(sample.step)}` }), text);
    }));
  }

  function drawRun(run) {
    setText(state, run.imported && !logged(run) ? "Imported" : stateWords(run.state));
    tiles.hidden = curves.hidden = !logged(run);
    state.dataset.state = run.state;
    page.dataset.can = CAN[run.state] ?? "see";
    setText(facts, factsOf(run));
    setText(title, [run.model, run.corpus, run.tokenizer].filter(Boolean).join(" · "));
    const done = run.steps > 0 ? Math.min(100, (100 * (run.step ?? 0)) / run.steps) : 0;
    bar.style.width = `${done}%`;
    track.hidden = !logged(run);
    track.dataset.state = run.state;
    track.setAttribute("aria-valuenow", String(Math.floor(done)));
    message.hidden = !run.message;
    setText(message, run.message ?? "");
    message.classList.toggle("pg-alert-bad", ["failed", "diverged", "crashed"].includes(run.state));

    const loss = lastOf(run.validation.loss);
    const smoothed = lastOf(smooth(run.train.loss, SMOOTHING));
    setText(numbers.train, number(smoothed));
    const error = lastOf(run.validation.loss_se);
    const at = evaluatedAt(run);
    setText(numbers.validation, number(loss));
    setText(units.validation, `nats/token${error == null ? "" : `, ± ${error.toFixed(3)} (s.e.)`}${at}`);
    setText(units.perplexity, `${TILES.perplexity[1]}${at}`);
    setText(units.bits, `${TILES.bits[1]}${at}`);
    setText(numbers.perplexity, number(loss == null ? null : Math.exp(loss)));
    setText(numbers.bits, number(lastOf(run.validation.bits_per_byte)));
    setText(numbers.gradient, number(lastOf(run.train.grad_norm)));
    setText(notice, [run.notice, run.no_bits, placed(run)].filter(Boolean).join(" ")); // the run doctor's word first, see analysis/doctor.py
    announce(notice.textContent, run.id);
    drawSamples(run);
    return chart.draw([run]);
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  let runs = new Runs();
  let shown = null;
  let beats = 0;

  async function refresh() {
    const { visitor = "", run = "", arrived = false } = props.value ?? {};
    if (run !== shown) {
      if (run && shown !== null && !arrived && innerWidth < 800) {
        root.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" }); // on a phone it lies below the form
      }
      shown = run;
      runs = new Runs();
      band = null;
      if (run) {
        askServer(server.band, { visitor, run }).then((reply) => {
          if (shown !== run) return;
          band = reply?.band ?? null;
          if (runs.byId.has(run)) drawRun(runs.byId.get(run));
        });
      }
      styles.keep([]);
      empty.hidden = Boolean(run);
      page.dataset.can = run ? CAN.loading : "start";
      filled.hidden = !run;
      filled.classList.add("pg-waiting");
    }
    if (!run) return;
    const known = runs.byId.get(run);
    if (known && ++beats % pace(known) !== 0) return;
    const reply = await askServer(server.curves, runs.request(visitor, [run]));
    if (shown !== run) return;
    const failed = reply ? reply.error : NO_ANSWER;
    const again = reply && message.textContent === NO_ANSWER; // the first answer after a failure
    if (failed) {
      if (!reply) beats = -1; // ask again at the next beat
      message.hidden = false;
      setText(message, failed);
    }
    if (!runs.absorb(reply) && !again && !reply.runs?.some((news) => news.state === "running")) return;
    filled.classList.remove("pg-waiting");
    if (runs.byId.has(run)) await drawRun(runs.byId.get(run));
  }

  const look = every(element, BEAT, refresh);
  watch("value", () => {
    beats = -1;
    look();
  });
}
