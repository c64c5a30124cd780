// A race: the verdict in words, curves with bands over seeds, what differs, the waterfall, the table. Live while it trains.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ visitor: string, race: string, nonce: number | string, arrived?: boolean }} RaceValue */
/** @typedef {{ visitor: string, race: string, cursor: string | null }} RaceQuestion */
/** @typedef {{ name: string, role: string, short: string, steps: number, tokens_per_step: number, flops_per_token: number, parameters: number, bits_per_nat: number | null, tokens: string, text: string, solved: string, runs: string[] }} RaceArm */
/** @typedef {{ name: string, reference: boolean, notes: string, seeds: number[], arms: RaceArm[], differs: string[], matched: string, families: number[][], conditions: string }} RaceHead */
/** @typedef {{ mean: number, half: number | null, n: number, outcome: "better" | "worse" | "unclear" | "identical" | "one seed" }} Difference */
/** @typedef {{ mean: number, low: number, high: number, n: number }} Ratio */
/** @typedef {{ arm: string, difference: Difference, costs: Object<string, Ratio>, token_time: Ratio | null, words: string[] }} Comparison */
/** @typedef {{ headline: string, sentences: string[], rule: string, table: Object<string, any>[], comparisons: Comparison[], waterfall: Object<string, any>[], best: number[], unit: string, table_note: string }} Verdict */
/** @typedef {{ i: number, reset: boolean, train?: Object<string, (number | null)[]>, validation?: Object<string, (number | null)[]> }} RaceRow */
/** @typedef {{ id: string, state: string, message: string, steps: number[], states: string, cursor: string, head?: RaceHead, summary?: Verdict, rows?: RaceRow[] }} RaceAnswer */
/** @typedef {{ visitor: string, race: string, kind: "report" | "csv" | "json" }} FileQuestion */
/** @typedef {{ name: string, type: string, text: string }} FileAnswer */
/** @typedef {Component<RaceValue, { race: Endpoint<RaceQuestion, RaceAnswer>, file: Endpoint<FileQuestion, FileAnswer> }>} Given */

import { onTheme } from "../static/colours.js";
import { curveChart } from "../static/curve_chart.js";
import { announcer, askServer, calm, differences, el, every, NO_ANSWER, pageAddress, save, setText } from "../static/dom.js";
import { lineSample, Styles } from "../static/line_styles.js";
import { stepMetrics } from "../static/metrics.js";
import { emptyTable, extend, smooth } from "../static/runs.js";
import { bits, exp, minusBaseline, overSeeds, place, speed } from "../static/seed_curves.js";
import { done, duration, percent, rate, signed, stateWords, whole } from "../static/words.js";

const newRun = () => ({ train: emptyTable(), validation: emptyTable() });
const AXES = { step: "Step", tokens: "Tokens", flops: "Training FLOPs", seconds: "Seconds", parameters: "Parameters" };

const title = (bold, soft) => el("h2", { class: "pg-panel-title" }, el("b", { text: bold }), soft ? ` ${soft}` : "");

const OUTCOMES = { better: "better", worse: "worse", unclear: "not distinguishable", identical: "identical", "one seed": "one seed: may be chance" };
const times = (x) => (x == null ? "–" : `${x.mean.toFixed(2)} × (${bound(x.low)}–${bound(x.high)})`);
const bound = (x) => (x == null || x >= 100 ? "…" : x.toFixed(2)); // of two seeds that disagree the interval is without end

/** @param {Given} given */
export function mount({ element, props, server, watch, trigger }) {
  const root = element.querySelector(".pg-race");
  const empty = element.querySelector(".pg-race-empty");

  // ---- data ---------------------------------------------------------------------------------------------------------

  let race = null; // { head, summary, state, message, steps, states, cursor, runs: [{ train, validation }] }

  /** Take a reply in; true if anything that is drawn changed. */
  function absorb(reply) {
    const { rows = [], ...facts } = reply;
    const changed = rows.length > 0 || facts.head || facts.summary || race.state !== facts.state || String(race.steps) !== String(facts.steps);
    Object.assign(race, facts);
    for (const row of rows) {
      if (row.reset || !race.runs[row.i]) race.runs[row.i] = newRun();
      for (const part of ["train", "validation"]) extend(race.runs[row.i][part], row[part]);
    }
    return Boolean(changed);
  }

  const nSeeds = () => race.head.seeds.length;
  const runsOf = (arm) => race.head.seeds.map((_, s) => race.runs[arm * nSeeds() + s] ?? newRun());
  const sameTokens = () => new Set(race.head.arms.map((arm) => arm.tokens)).size === 1;
  /** What the verdict compares: nats per token only where all tokens are the same. */
  const unit = () => race?.summary?.unit || (sameTokens() ? "nats per token" : "bits per byte");
  /** Whether an arm's validation text is the first one's, without which there is no difference to draw. */
  const sameText = (arm) => arm.text === race.head.arms[0].text;

  // ---- metrics and axes ---------------------------------------------------------------------------------------------

  const METRICS = {
    loss: { name: "Loss", axis: "loss (nats per token)", train: (r) => r.train.loss, validation: (r) => r.validation.loss },
    difference: { name: "Difference", get axis() { return `${race ? unit() : "loss"} minus the first arm's`; }, train: null, paired: true,
      validation: (r, arm) => (unit() === "bits per byte" ? r.validation.loss.map(bits(arm)) : r.validation.loss) },
    perplexity: { name: "Perplexity", axis: "perplexity", log: true, train: (r) => r.train.loss.map(exp), validation: (r) => r.validation.loss.map(exp) },
    bits_per_byte: { name: "Bits per byte", axis: "bits per byte of text", train: (r, arm) => r.train.loss.map(bits(arm)), validation: (r, arm) => r.validation.loss.map(bits(arm)) },
    accuracy: { name: "Accuracy", axis: "top-1 accuracy (%)", digits: ".1f", train: null, validation: (r) => r.validation.accuracy.map((share) => (share == null ? null : 100 * share)) },
    ...stepMetrics(true),
    speed: { name: "Tokens/s", axis: "tokens per second", digits: ",.0f", ticks: "~s", train: speed, validation: null },
  };

  /** Per seed {x, y} of one arm; smoothed if it is a training curve. */
  function seeds(index, part, chosen) {
    const arm = race.head.arms[index];
    const metric = METRICS[chosen.metric];
    return runsOf(index).map((run) => {
      const y = metric[part](run, arm);
      return { x: place(run, part, arm, chosen.axis), y: part === "train" ? smooth(y, chosen.smoothing) : y };
    });
  }

  /** Whether a run ended on the way; the mean is that of the others, as in the verdict. */
  const isLost = (arm, seed) => "dx".includes(race.states?.[arm * nSeeds() + seed] ?? "-");

  const hidden = new Set();
  const styles = new Styles();

  /** In a race of rates, which arms are the same model; else none. */
  const familyOf = (index) => race.head.families.findIndex((members) => members.includes(index));
  /** Whether an arm stands back: a rate that is not its model's best. */
  const standsBack = (index) => race.head.families.length > 0 && !race.summary?.best?.includes(index);

  /** One colour a model; of the rates of one model the best has its line, the others are dotted. */
  function styleOf(index) {
    const family = familyOf(index);
    const first = family < 0 ? index : race.head.families[family][0];
    const style = styles.of({ id: `${race.id} ${first}`, role: race.head.arms[first].role, order: first - 1 });
    return standsBack(index) ? { ...style, dash: "dot" } : style;
  }

  /** Every line to draw. */
  function lines(chosen, isLog) {
    const metric = METRICS[chosen.metric];
    const part = metric.validation ? "validation" : "train";
    const out = [];
    race.head.arms.forEach((arm, index) => {
      if (hidden.has(index) || (metric.paired && (index === 0 || !sameText(arm) || (unit() === "nats per token" && arm.tokens !== race.head.arms[0].tokens)))) return;
      const { colour, dash } = styleOf(index);
      const own = (which) => {
        const curves = seeds(index, which, chosen);
        const drawn = metric.paired ? minusBaseline(curves, seeds(0, which, chosen)) : curves;
        const kept = drawn.filter((_, s) => !isLost(index, s) && !(metric.paired && isLost(0, s)));
        return overSeeds(kept.length ? kept : drawn, isLog);
      };
      const bold = own(part);
      const back = standsBack(index);
      const base = { run: index, colour, dash, opacity: back ? 0.6 : 1, width: back ? 1.4 : 2.4 };
      if (chosen.axis === "parameters") {
        if (bold) out.push({ ...base, x: [arm.parameters], y: [bold.y.at(-1)], dots: { up: (bold.band?.high ?? bold.y).at(-1) - bold.y.at(-1), down: bold.y.at(-1) - (bold.band?.low ?? bold.y).at(-1) } });
        return;
      }
      if (chosen.train && metric.validation && metric.train) {
        const thin = own("train");
        if (thin) out.push({ ...base, ...thin, band: undefined, dash: "solid", width: 1, opacity: 0.5, thin: true });
      }
      if (bold) out.push({ ...base, ...bold, ...(back ? { band: undefined } : {}) });
    });
    return out;
  }

  // ---- layout -------------------------------------------------------------------------------------------------------
  const facts = el("p", { class: "pg-race-facts" });
  const headline = el("p", { class: "pg-race-headline" });
  const start = el("button", { type: "button", class: "pg-small-button pg-narrow-only", text: "Start a race" });
  start.addEventListener("click", () => document.getElementById("race-sizes")?.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" }));
  const more = el("div", { class: "pg-race-more" });
  const differs = el("div");
  const notes = el("p", { class: "pg-notice", hidden: true });
  const alert = el("p", { class: "pg-alert", role: "alert", hidden: true });
  const bar = el("div", { class: "pg-progress-bar" });
  const track = el("div", { class: "pg-progress", role: "progressbar", "aria-label": "Progress of the race", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  const card = el("section", { class: "pg-panel pg-race-main", "aria-label": "The race" }, ...(server.file ? [start] : []), facts, headline, more, differs, track, alert);
  const chart = curveChart(card, {
    styles,
    metrics: METRICS,
    axes: AXES,
    si: ["tokens", "flops", "parameters"],
    lines: (chosen, isLog) => (race?.head ? lines(chosen, isLog) : []),
    label: "Curves of the race: mean over seeds, and a band from the lowest to the highest seed",
    endLabel: (line) => (line.thin ? "" : race.head.arms[line.run].name),
    hoverName: (line) => race.head.arms[line.run].name + (line.thin ? ", training" : ""),
    exports: () => race.head.name,
    onChoice: () => drawLegend(),
  });
  const legend = el("ul", { class: "pg-legend", "aria-label": "Arms" });
  const key = el("p", { class: "pg-soft pg-small" });
  card.append(legend, key, notes);
  const announce = announcer(card);
  const falls = el("ol", { class: "pg-falls" });
  const fallsCard = el("section", { class: "pg-panel", "aria-label": "Ablation ladder", hidden: true }, title("Ablation ladder", "one change at a time"), falls,
    el("p", { class: "pg-soft pg-small", text: "Each bar begins where the one above ends; further left is a lower loss, which is better. Hatched bars are changes that are not statistically significant." }));
  const against = el("table", { class: "pg-table" });
  const againstTitle = title("", "");
  const againstCard = el("section", { class: "pg-panel", "aria-label": "Every arm against the first", hidden: true }, againstTitle,
    el("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Comparisons, scrollable" }, against));
  const table = el("table", { class: "pg-table" });
  const rule = el("p", { class: "pg-soft pg-small" });
  const tableCard = el("section", { class: "pg-panel", "aria-label": "Results" }, title("Results", "at the last common measurement, mean ± standard deviation over seeds"),
    el("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Results, scrollable" }, table), rule);
  const files = el("p", { class: "pg-files", hidden: !server.file });
  for (const [kind, text, about] of [["report", "Report (HTML)", "This race as one HTML page that works offline"], ["csv", "CSV", "All measurements, one per row"], ["json", "Config", "The configuration, for python -m playground race FILE.json"]]) {
    const button = el("button", { type: "button", class: "pg-small-button", text, title: about, "data-file": kind });
    button.addEventListener("click", () => saveFile(kind, button));
    files.append(button);
  }
  const link = el("button", { type: "button", class: "pg-small-button", text: "Copy link", title: "The address of this race" });
  link.addEventListener("click", async () => {
    const address = pageAddress({ tab: "compare", race: shown });
    await navigator.clipboard?.writeText(address).catch(() => {});
    setText(said, address);
  });
  const said = el("output", { class: "pg-soft pg-small" });
  files.append(link, said);
  tableCard.append(files);

  async function saveFile(kind, button) {
    button.disabled = true;
    const reply = await askServer(server.file, { visitor: props.value?.visitor ?? "", race: shown, kind });
    button.disabled = false;
    if (!reply || reply.error) setText(said, reply?.error ?? "The file could not be created. Try again.");
    else {
      save(reply.name, reply.text, reply.type);
      setText(said, `Saved ${reply.name}.`);
    }
  }

  const filled = el("div", { class: "pg-race-filled", hidden: true }, card, fallsCard, againstCard, tableCard);
  const refusal = el("p", { class: "pg-alert pg-alert-bad", role: "alert" }); // in place of a race that cannot be shown
  root.append(filled);

  // ---- drawing ------------------------------------------------------------------------------------------------------

  function drawLegend() {
    if (!race?.head) return;
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.arm : null;
    legend.replaceChildren(...race.head.arms.map((arm, index) => {
      const lost = race.states ? race.head.seeds.filter((_, s) => race.states[index * nSeeds() + s] === "d").length : 0;
      const button = el("button", { type: "button", class: "pg-legend-item", "aria-pressed": String(!hidden.has(index)), "data-arm": index, title: arm.short },
        lineSample(styleOf(index)), el("b", { text: arm.name }), el("span", { class: "pg-soft", text: lost ? `diverged (${lost} of ${nSeeds()})` : arm.solved }));
      if (lost) button.dataset.lost = lost;
      button.addEventListener("click", () => {
        hidden.has(index) ? hidden.delete(index) : hidden.add(index);
        drawLegend();
        chart.draw([]);
      });
      return el("li", {}, button);
    }));
    if (focused != null) legend.querySelector(`[data-arm="${focused}"]`)?.focus();
    const n = nSeeds();
    const perToken = ["loss", "perplexity", "accuracy"].includes(chart.chosen.metric) && !sameTokens();
    const about = chart.chosen.metric === "difference" ? `Below zero is better than ${race.head.arms[0].name}, seed by seed. `
      : perToken ? "The arms use different tokenizers: compare only the shapes of these curves, and values in bits per byte. " : "";
    const [mean, spread] = chart.chosen.axis === "parameters" ? ["Points: last measurement, mean", "Bars"] : ["Lines: mean", "Bands"];
    const solved = race.head.arms.some((arm) => arm.solved) ? ` The sizes after the names were adjusted to match ${race.head.matched}.` : "";
    const lost = n > 1 && /[dx]/.test(race.states ?? "") ? ", without those that diverged or failed" : "";
    setText(key, about + (n > 1 ? `${mean} over ${n} seeds${lost}. ${spread}: from the lowest seed to the highest.` : "One seed: no bands, and no confidence interval in the verdict.") + solved);
  }

  function drawHead() {
    setText(facts, race.head.conditions);
    differs.replaceChildren(differences(race.head.differs));
    notes.hidden = !race.head.notes;
    setText(notes, race.head.notes);
    drawLegend();
  }

  function drawFalls() {
    const bars = race.summary?.waterfall ?? [];
    fallsCard.hidden = bars.length < 2;
    if (fallsCard.hidden) return;
    const values = bars.map((one) => one.value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const floor = low - 0.35 * (high - low || 1);
    const share = (value) => (100 * (value - floor)) / (high - floor);
    falls.replaceChildren(...bars.map((one, i) => {
      const start = i ? bars[i - 1].value : floor;
      const piece = el("i", { class: "pg-fall", "data-outcome": i ? one.outcome : "level", "aria-hidden": "true" });
      piece.style.left = `${share(Math.min(start, one.value))}%`;
      piece.style.width = `${Math.max(0.6, Math.abs(share(start) - share(one.value)))}%`;
      const words = i ? `${signed(one.change)}${one.half == null ? "" : ` ± ${one.half.toFixed(3)}`}` : one.value.toFixed(3);
      return el("li", {}, el("span", { text: one.name }), el("span", { class: "pg-fall-track" }, piece),
        el("span", { class: "pg-number", text: words, title: { better: "better", worse: "worse", unclear: "not statistically significant" }[one.outcome] ?? "" }));
    }));
  }

  /** Every arm against the first, where there are several: the sentence above tells of one only. */
  function drawAgainst() {
    const rows = race.summary?.comparisons ?? [];
    againstCard.hidden = rows.length < 2;
    if (againstCard.hidden) return;
    const first = race.head.arms[0].name;
    againstTitle.replaceChildren(el("b", { text: `Against ${first}` }), ` the difference at the last common measurement, and what each needed to reach the same loss relative to ${first}, with the interval over seeds`);
    const heads = ["arm", race.summary.unit, "", "tokens", "FLOPs", "time", "time per token"];
    against.replaceChildren(
      el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, ...rows.map(({ arm, difference, costs, token_time }) => {
        const clear = ["better", "worse", "one seed"].includes(difference.outcome);
        const cost = (kind) => times(clear ? costs[kind] : null); // of what cannot be told apart, the costs are chance too
        const half = difference.half == null ? "" : ` ± ${difference.half.toFixed(3)}`;
        return el("tr", {}, el("th", { scope: "row", text: arm }), el("td", { text: signed(difference.mean) + half }),
          el("td", { class: "pg-outcome", "data-outcome": difference.outcome, text: OUTCOMES[difference.outcome] }),
          ...["tokens", "flops", "seconds"].map((kind) => el("td", { text: cost(kind) })), el("td", { text: times(token_time) }));
      })));
  }

  function drawSummary() {
    const { summary } = race;
    setText(headline, (race.state !== "finished" && summary.comparisons.length ? "So far: " : "") + summary.headline);
    more.replaceChildren(...summary.sentences.map((text) => el("p", { text })));
    setText(rule, `${summary.rule} ${summary.table_note ? `${summary.table_note} ` : ""}Tokens per second were measured on the machine that trained the race. Memory is an estimate: weights, gradients, optimizer state and the activations of one batch.`);
    announce(headline.textContent, race.id);
    const plus = (value, spread, digits) => (value == null ? "–" : value.toFixed(digits) + (spread == null ? "" : ` ± ${spread.toFixed(digits)}`));
    const inBits = summary.unit === "bits per byte";
    const known = summary.table.some((row) => row.loss_se != null); // a race trained before errors were logged has none
    const [afterLoss, afterBits] = [known && !inBits, known && inBits]; // the error is that of the unit that is compared
    const cells = (row) => [plus(row.loss, row.loss_spread, 3), ...(afterLoss ? [plus(row.loss_se, null, 3)] : []), plus(row.bits_per_byte, null, 3), ...(afterBits ? [plus(row.bits_per_byte_se, null, 3)] : []),
      row.accuracy == null ? "–" : percent(row.accuracy), whole(row.parameters), `${(row.flops_per_token / 1e6).toFixed(2)} M`, whole(row.steps),
      row.tokens_per_second ? rate(row.tokens_per_second) : "–", `${(row.memory_bytes / 1e6).toFixed(0)} MB`];
    const heads = ["arm", "loss (nats/token)", ...(afterLoss ? ["s.e. (nats/token)"] : []), "bits/byte", ...(afterBits ? ["s.e. (bits/byte)"] : []), "accuracy", "parameters", "FLOPs/token", "steps", "tokens/s", "memory"];
    table.replaceChildren(
      el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, ...summary.table.map((row, i) => el("tr", { class: standsBack(i) ? "pg-back" : null }, el("th", { scope: "row", text: row.arm }), ...cells(row).map((text) => el("td", { text }))))));
    drawFalls();
    drawAgainst();
    drawLegend();
  }

  /** Seconds until all runs have done their steps, at the pace of each so far; null before there is one. */
  function secondsLeft() {
    const paces = race.runs.map(({ train: { step, seconds } }) => (step.length ? seconds.at(-1) / step.at(-1) : null));
    const known = paces.filter((pace) => pace > 0);
    if (!known.length) return null;
    const usual = known.reduce((sum, pace) => sum + pace, 0) / known.length;
    return race.steps.reduce((sum, step, i) => sum + Math.max(0, race.head.arms[Math.floor(i / nSeeds())].steps - step) * (paces[i] || usual), 0);
  }

  function drawState() {
    const all = race.head.arms.flatMap((arm) => race.head.seeds.map(() => arm.steps));
    const share = race.steps.reduce((sum, step, i) => sum + Math.min(1, step / all[i]), 0) / all.length;
    bar.style.width = `${100 * share}%`;
    track.dataset.state = race.state;
    track.hidden = race.state === "finished";
    track.setAttribute("aria-valuenow", String(Math.floor(100 * share)));
    filled.dataset.state = race.state;
    const left = race.state === "running" ? secondsLeft() : null;
    const words = race.state === "finished" ? "" : `${stateWords(race.state)} · ${done(share)} done${left == null ? "" : ` · ${duration(left)} left`}. `;
    alert.hidden = !(words || race.message);
    setText(alert, words + (race.message ?? ""));
    alert.classList.toggle("pg-alert-bad", ["failed", "crashed"].includes(race.state));
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  let shown = null;
  let unitChosen = false;
  let announced = "";
  let beats = 0;

  async function refresh() {
    const { visitor = "", race: wanted = "", arrived = false } = props.value ?? {};
    if (wanted !== shown) {
      if (wanted && shown !== null && !arrived && innerWidth < 800) {
        root.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" }); // on a phone it lies above the form
      }
      shown = wanted;
      race = null;
      unitChosen = false;
      announced = "";
      hidden.clear();
      styles.keep([]);
      empty.hidden = Boolean(wanted);
      filled.hidden = true;
      refusal.remove();
    }
    if (!wanted) return;
    const moving = !race || ["queued", "running"].includes(race.state);
    if (!moving && ++beats % 6 !== 0) return;
    const reply = await askServer(server.race, { visitor, race: wanted, cursor: race?.cursor ?? null });
    if (shown !== wanted) return;
    const failed = reply ? reply.error : NO_ANSWER;
    if (failed) {
      if (!reply) beats = -1; // ask again at the next beat
      if (race) alert.hidden = false;
      else if (!refusal.isConnected) root.append(refusal);
      setText(race ? alert : refusal, failed);
      return;
    }
    filled.hidden = false;
    refusal.remove();
    race ??= { runs: [], steps: [] };
    if (!absorb(reply)) {
      if (alert.textContent === NO_ANSWER) drawState();
      return;
    }
    if (reply.head) drawHead();
    if (reply.head && !unitChosen && race.head.arms.some((arm) => arm.bits_per_nat)) {
      unitChosen = true;
      if (!sameTokens()) chart.choose("bits_per_byte"); // the one unit that the arms share
    }
    if (reply.summary) drawSummary();
    drawState();
    tell();
    await chart.draw([]);
  }

  /** Let the buttons around know which race is shown and what it is doing. */
  function tell() {
    const now = `${shown} ${race.state}`;
    if (!announced.startsWith(`${shown} `)) trigger("opened", {});
    if (now !== announced) trigger("moved", {});
    announced = now;
  }

  onTheme(legend, drawLegend);
  const look = every(element, 1000, refresh);
  watch("value", () => {
    beats = -1;
    look();
  });
}
