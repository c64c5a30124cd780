// Up to eight runs over one another: one line style a run, its name at the line's end, one sentence on who is ahead.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { CurvesAnswer, CurvesQuestion } from "../static/types.js" */
/** @typedef {{ visitor: string, runs: string[], nonce: number | string }} CompareValue */
/** @typedef {Component<CompareValue, { curves: Endpoint<CurvesQuestion, CurvesAnswer> }>} Given */

import { onTheme } from "../static/colours.js";
import { curveChart } from "../static/curve_chart.js";
import { announcer, askServer, el, every, NO_ANSWER, setText } from "../static/dom.js";
import { lineSample, Styles } from "../static/line_styles.js";
import { Runs } from "../static/runs.js";
import { apart, counted, number, stateWords, whole } from "../static/words.js";

const MOST = 8;
const BROKEN = ["failed", "diverged", "crashed"];

/** The last step after the start at which all of these runs were evaluated, or null. */
function lastCommonStep(list) {
  return list[0].validation.step.findLast((step) => step > 0 && list.every((run) => run.validation.step.includes(step))) ?? null;
}

/** The standard error of a run's loss at a step, in its unit; null where its log has none. */
function errorOf(run, step, same) {
  const error = at(run, "loss_se", step);
  return error == null ? null : error * (same ? 1 : run.bits_per_nat);
}

const plusMinus = (error) => (error == null ? "" : ` ± ${error.toFixed(3)}`);

/** A validation column at the latest measurement that is not after `step`. */
function at(run, column, step) {
  const i = run.validation.step.findLastIndex((s) => s <= step);
  return i < 0 ? null : run.validation[column][i];
}

/** @param {Given} given */
export function mount({ element, props, server, watch, trigger }) {
  const root = element.querySelector(".pg-compare");
  const empty = element.querySelector(".pg-compare-empty");

  // ---- layout -------------------------------------------------------------------------------------------------------

  const card = el("section", { class: "pg-panel", "aria-label": "Compared runs", hidden: true });
  const verdict = el("p", { class: "pg-notice" });
  const legend = el("ul", { class: "pg-legend", "aria-label": "Runs" });
  const alert = el("p", { class: "pg-alert", role: "alert", hidden: true });
  const styles = new Styles();
  const hidden = new Set();
  const chart = curveChart(card, {
    styles,
    label: "Curves of the compared runs",
    endLabel: (line) => (line.thin ? "" : nameOf(line.run)),
    hoverName: (line) => (line.thin ? `${nameOf(line.run)}, training` : nameOf(line.run)),
    onChoice: () => drawLegend(),
  });
  card.append(legend, verdict, alert);
  const announce = announcer(card);
  root.append(card);

  // ---- words --------------------------------------------------------------------------------------------------------

  /** Short where that is enough: the model's name if only one shown run has it, else the run's own name. */
  function nameOf(run) {
    const twin = runsShown().some((other) => other !== run && other.model === run.model);
    return (twin ? run.name : run.model || run.name) || run.id;
  }

  /** Which run has the lowest loss at the last common evaluation; where a comparison would mislead, why. */
  function whoIsAhead(list) {
    const measured = list.filter((run) => !BROKEN.includes(run.state) && run.validation.loss.some(Number.isFinite));
    const coming = list.some((run) => ["queued", "running"].includes(run.state) && !measured.includes(run));
    if (measured.length < 2) {
      if (coming) return "Waiting for the evaluation on validation text.";
      return list.length < 2 ? "Choose a second run to compare with." : "Fewer than two of these runs have a final validation loss. Choose another run to compare with.";
    }
    if (new Set(measured.map((run) => run.corpus)).size > 1) return "These runs were trained on different datasets, so their losses are not comparable. Compare the shapes of the curves, not the values.";
    if (new Set(measured.map((run) => run.text)).size > 1) return "These runs were evaluated on different validation texts (another text, amount or version), so their losses are not comparable. Compare the shapes of the curves, not the values.";
    const same = new Set(measured.map((run) => run.tokens)).size === 1;
    const lossy = measured.filter((run) => !run.bits_per_nat);
    const how = new Set(measured.map((run) => run.tokenizer_id)).size > 1 ? "use different tokenizers" : "separate documents differently";
    if (!same && lossy.length) return `These runs cannot be ranked: they ${how}, and the tokenizer of ${lossy.map(nameOf).join(", ")} does not decode back to the text, so it has no bits per byte.`;
    const ends = !same && list.every((run) => run.state === "finished"); // of equal budgets, not of equal steps
    const step = ends ? Infinity : lastCommonStep(measured);
    if (step == null) return `These runs cannot be ranked: there is no step after the start at which all were evaluated (${measured.map((run) => `${nameOf(run)}: last at step ${whole(run.validation.step.at(-1))}`).join(", ")}).`;
    const unit = same ? "nats per token" : "bits per byte";
    const column = same ? "loss" : "bits_per_byte";
    const scores = measured.map((run) => ({ run, value: at(run, column, step), error: errorOf(run, step, same) })).filter(({ value }) => value != null).sort((a, b) => a.value - b.value);
    if (scores.length < 2) return "";
    const [best, next] = scores;
    const unequal = same ? "" : ` ${whyBits(step, best.run, next.run)}`;
    const lengths = measured.map((run) => run.validation.step.at(-1));
    const unequalLengths = new Set(lengths).size > 1 ? ` (${measured.map((run, i) => `${nameOf(run)} after ${counted(lengths[i], "step")}`).join(", ")})` : "";
    const when = ends ? `At the end of each${unequalLengths}` : `At step ${whole(step)}, the last at which all were evaluated`;
    const without = [best, next].filter(({ error }) => error == null).map(({ run }) => nameOf(run));
    const meaning = (without.length < 2 ? "± is one standard error over windows of the validation text, not the error of this difference. " : "") +
      (without.length ? `The log of ${without.join(" and of ")} has no standard error, so a small difference may be due to the choice of validation windows. ` : "");
    const [low, high] = apart(best.value, next.value, 3);
    const noise = 2 * Math.hypot(best.error ?? 0, next.error ?? 0); // as if the two were independent, which errs on the side of silence
    const ranking = best.value === next.value ? `${nameOf(best.run)} and ${nameOf(next.run)} have the same validation loss: ${low}${plusMinus(best.error)} ${unit}.`
      : next.value - best.value <= noise ? `${scores.length > 2 ? "the two lowest validation losses" : "the validation losses"} are within two standard errors of each other: ${low}${plusMinus(best.error)} for ${nameOf(best.run)} and ${high}${plusMinus(next.error)} ${unit} for ${nameOf(next.run)}.`
      : `${nameOf(best.run)} has the lowest validation loss: ${low}${plusMinus(best.error)} against ${high}${plusMinus(next.error)} ${unit} for ${nameOf(next.run)}.`;
    return `${when}, ${ranking} ${meaning}One run each: another seed may change a small difference.${unequal}`;
  }

  /** Why losses per token of two runs cannot be compared, in these runs' own numbers at the step that is ranked (Infinity: at
   *  the end of each): other tokenizers, other separators of documents, or both. */
  function whyBits(step, ...pair) {
    const [a, b] = pair.map((run) => ({ run, bytes: 1 / (run.bits_per_nat * Math.LN2), loss: at(run, "loss", step), bits: at(run, "bits_per_byte", step) }));
    const twins = a.run.tokenizer === b.run.tokenizer;
    const words = ({ run }) => run.tokenizer + (twins ? ` of ${nameOf(run)}` : "");
    const reasons = [];
    if (a.run.tokenizer_id !== b.run.tokenizer_id) reasons.push(`a token is ${number(a.bytes)} bytes of this text with ${words(a)} and ${number(b.bytes)} with ${words(b)}`);
    if (a.run.documents !== b.run.documents) reasons.push(`documents are ${a.run.documents} in ${nameOf(a.run)} and ${b.run.documents} in ${nameOf(b.run)}`);
    if (!reasons.length) reasons.push("their documents end at different places");
    return `Their losses per token are not comparable: ${reasons.join(", and ")}, ` +
      `so ${step === Infinity ? "" : `at step ${whole(step)} `}${number(a.loss)} and ${number(b.loss)} nats per token are ${number(a.bits)} and ${number(b.bits)} bits per byte.`;
  }

  function drawLegend() {
    const list = runsShown();
    const key = JSON.stringify(list.map((run) => [run.id, nameOf(run), run.state, run.step, hidden.has(run.id), chart.chosen.metric, styles.of(run).colour]));
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.run : null;
    legend.replaceChildren(...list.map((run) => {
      const latest = chart.latest(run);
      const button = el("button", { type: "button", class: "pg-legend-item", "aria-pressed": String(!hidden.has(run.id)), "data-run": run.id, title: hidden.has(run.id) ? "Show" : "Hide" },
        lineSample(styles.of(run)), el("b", { text: nameOf(run) }), el("span", { class: "pg-number", text: latest ? number(latest.value) : "–" }),
        el("span", { class: "pg-soft", text: latest ? `step ${whole(latest.step)}${run.state === "running" ? ", training" : ""}` : (run.imported && !run.step ? "imported, no training log" : stateWords(run.state).toLowerCase()) }));
      button.addEventListener("click", () => {
        hidden.has(run.id) ? hidden.delete(run.id) : hidden.add(run.id);
        draw();
      });
      return el("li", {}, button);
    }));
    if (focused) [...legend.querySelectorAll("button")].find((button) => button.dataset.run === focused)?.focus();
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  let runs = new Runs();
  let wanted = [];
  let beats = 0;

  const runsShown = () => wanted.map((id) => runs.byId.get(id)).filter(Boolean);

  /** Runs with different tokenizers are laid over one another in the one unit that they share. */
  function chooseUnit(list) {
    const key = list.map((run) => run.id).join();
    if (key === decided) return;
    const different = new Set(list.map((run) => run.tokens)).size > 1;
    if (different && !list.some((run) => run.bits_per_nat) && list.some((run) => ["queued", "running"].includes(run.state))) return; // not known yet
    decided = key;
    if (different && list.some((run) => run.bits_per_nat)) chart.choose("bits_per_byte");
  }
  let decided = "";

  function draw() {
    const list = runsShown();
    if (!list.length) return undefined;
    chooseUnit(list);
    drawLegend();
    const seen = list.filter((run) => !hidden.has(run.id));
    setText(verdict, whoIsAhead(seen));
    announce(verdict.textContent, wanted.join());
    return chart.draw(seen);
  }

  async function refresh() {
    const { visitor = "", runs: chosen = [] } = props.value ?? {};
    const ids = [...chosen].slice(0, MOST);
    const changed = JSON.stringify(ids) !== JSON.stringify(wanted);
    if (changed) {
      wanted = ids;
      styles.keep(ids);
      for (const id of [...runs.byId.keys()]) if (!ids.includes(id)) runs.byId.delete(id);
      empty.hidden = ids.length > 0;
      card.hidden = ids.length === 0;
    }
    if (!ids.length) return;
    const list = runsShown();
    const moving = list.length < ids.length || list.some((run) => ["running", "queued"].includes(run.state));
    if (!changed && !moving && ++beats % 6 !== 0) return;
    const reply = await askServer(server.curves, runs.request(visitor, ids));
    const failed = reply ? reply.error : NO_ANSWER;
    if (!reply) beats = -1; // ask again at the next beat
    alert.hidden = !failed;
    setText(alert, failed ?? "");
    if (runs.absorb(reply) || changed) await draw();
    tellMeasured();
  }

  /** Let the table beside the chart know when a run has been measured anew. */
  function tellMeasured() {
    const key = JSON.stringify(runsShown().map((run) => [run.id, run.validation.step.length]));
    if (key !== measured) trigger("measured", {});
    measured = key;
  }
  let measured = "";

  onTheme(legend, drawLegend);
  const look = every(element, 1000, refresh);
  watch("value", () => {
    beats = -1;
    look();
  });
}
