// The run being trained: its state in words, five numbers, the curves, what to notice, and what it writes.
// Gradio runs this file as a function body with `element`, `props`, `server` and `watch`.
/* global element, props, server, watch */

const P = window.Playground;
const root = element.querySelector(".pg-live");
const BEAT = 500; // milliseconds
const ENDED = ["finished", "stopped", "failed", "diverged", "crashed", "paused"];

// ---- layout -------------------------------------------------------------------------------------------------------

const empty = element.querySelector(".pg-live-empty");
const state = P.el("strong", { "aria-live": "polite" });
const facts = P.el("span", { class: "pg-soft" });
const title = P.el("span", { class: "pg-live-title" });
const bar = P.el("div", { class: "pg-progress-bar" });
const track = P.el("div", { class: "pg-progress", role: "progressbar", "aria-label": "Training progress", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
const message = P.el("p", { class: "pg-alert", role: "alert", hidden: true });
const progress = P.el("div", { class: "pg-live-progress" }, P.el("div", { class: "pg-live-line" }, state, facts, title), track, message);

const TILES = {
  train: ["train loss", "nats/token, smoothed"],
  validation: ["validation loss", "nats/token"],
  perplexity: ["perplexity", "equally likely tokens"],
  bits: ["bits per byte", "bits, of validation text"],
  gradient: ["gradient norm", "L2, last step"],
};
const numbers = {};
const tiles = P.el("dl", { class: "pg-tiles" });
for (const [id, [name, unit]] of Object.entries(TILES)) {
  numbers[id] = P.el("dd", { text: "–" });
  tiles.append(P.el("div", { class: "pg-tile" }, P.el("dt", { text: name }), numbers[id], P.el("dd", { class: "pg-unit", text: unit })));
}

const chartCard = P.el("section", { class: "pg-panel", "aria-label": "Training curves" });
const styles = new P.Styles();
const chart = P.curveChart(chartCard, {
  styles,
  planned: true,
  trainAlways: true,
  label: "Training and validation curves of this run",
  endLabel: (line) => line.name,
  hoverName: (line) => line.name,
});
const notice = P.el("p", { class: "pg-notice" });
chartCard.append(notice);
const announce = P.announcer(chartCard);

const samples = P.el("ol", { class: "pg-samples" });
const samplesCard = P.el("section", { class: "pg-panel", "aria-label": "What it writes", hidden: true },
  P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "What it writes" }), " same prompt, as it learns"), samples);

const filled = P.el("div", { class: "pg-live-filled", hidden: true }, progress, tiles, chartCard, samplesCard);
root.append(filled);

// ---- words --------------------------------------------------------------------------------------------------------

function factsOf(run) {
  const words = [];
  if (run.steps > 0) words.push(`step ${P.whole(run.step ?? 0)} of ${P.whole(run.steps)}`);
  if (run.state === "running" && run.tokens_per_second > 0) words.push(`${P.rate(run.tokens_per_second)} tokens/s`);
  if (run.state === "running" && run.eta_seconds != null) words.push(`${P.duration(run.eta_seconds)} left`);
  return words.join(" · ");
}

/** One modest sentence on what the numbers say. Rules in order of urgency; each is true of the numbers it quotes. */
function whatToNotice(run) {
  const v = run.validation;
  const losses = v.loss.filter((x) => Number.isFinite(x));
  const train = P.smooth(run.train.loss, 0.9);
  if (run.state === "queued") return "Another run is training. This one starts by itself when its turn comes.";
  if (run.state === "diverged") return "The loss stopped being a usable number. A lower learning rate or a longer warm-up is the first thing to try.";
  if (train.length + losses.length === 0) {
    return ENDED.includes(run.state) ? "This run ended before its first measurement." : "The first numbers arrive in a moment.";
  }
  const n = losses.length;
  const known = n >= 2; // one measurement on validation text is only the start: until the second, training loss is news
  const what = known ? "validation loss" : "training loss";
  const first = losses[0] ?? run.train.loss[0];
  const now = known || train.length === 0 ? losses.at(-1) : train.at(-1);
  const exact = P.lastOf(v.exact_match);
  const unsure = `as unsure as when choosing between ${P.number(Math.exp(now))} equally likely tokens`;

  if (exact != null && n >= 2) {
    if (exact >= 0.99) return `It now gives ${P.percent(exact)} of whole answers right on problems that it has not seen: the rule is learnt.`;
    return `It gives ${P.percent(exact)} of whole answers right. Watch for a sudden jump: on such tasks the rule is often found late.`;
  }
  const best = losses.indexOf(Math.min(...losses));
  const bestStep = v.step[v.loss.indexOf(losses[best])];
  if (n >= 4 && best < n - 2 && now > losses[best] + 0.02 && train.at(-1) < train[nearest(run.train.step, bestStep)]) {
    return `Validation was best at step ${P.whole(bestStep)} (${P.number(losses[best])}) and has risen to ${P.number(now)} while training loss still falls: it is memorising its text.`;
  }
  const lowest = Math.min(...train);
  if (train.length > 30 && train.at(-1) > lowest + 0.3 && train.at(-1) > 1.15 * lowest) {
    return `Training loss has risen from ${P.number(lowest)} to ${P.number(train.at(-1))}. If it stays there, the learning rate is probably too high.`;
  }
  if (now > 0.97 * first) return "It has not learnt anything yet: the loss is where it began, about as good as guessing.";
  if (run.state === "finished") return `Done: ${what} went from ${P.number(first)} to ${P.number(now)}; it is now ${unsure}.`;
  const earlier = losses[Math.floor(n * 0.6)];
  const gap = now - train.at(-1);
  if (n >= 3 && losses.at(-2) - now > 0.04 * first) return "Falling fast. The commonest patterns come first: in text, letters and spaces, then short words.";
  if (n >= 5 && gap > 0.25) return `It does better on the text it trains on (${P.number(train.at(-1))}) than on text it has not seen (${P.number(now)}): part of what it learns is this text by heart.`;
  if (n >= 6 && Math.abs(earlier - now) < 0.01 * first) return `Levelling off: the last ${P.whole(v.step.at(-1) - v.step[Math.floor(n * 0.6)])} steps changed validation loss by ${P.number(Math.abs(earlier - now))}. It is ${unsure}.`;
  return `Learning steadily: ${what} went from ${P.number(first)} to ${P.number(now)}; it is now ${unsure}.`;
}

function nearest(steps, step) {
  const at = steps.findIndex((s) => s >= step);
  return at < 0 ? steps.length - 1 : at;
}

// ---- drawing ------------------------------------------------------------------------------------------------------

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

function drawSamples(run) {
  const rows = chosenSamples(run.samples);
  const key = `${run.id} ${rows.map((sample) => sample.step)} ${run.state}`;
  samplesCard.hidden = rows.length === 0;
  if (samples.dataset.key === key) return;
  samples.dataset.key = key;
  samples.replaceChildren(...rows.map((sample, i) => {
    const text = P.el("span", { class: "pg-sample-text" }, P.el("span", { class: "pg-soft", text: P.printable(sample.prompt) }), P.printable(sample.text));
    if (i === rows.length - 1 && run.state === "running") text.append(P.el("span", { class: "pg-caret", "aria-hidden": "true" }));
    return P.el("li", {}, P.el("span", { class: "pg-sample-step", text: `step ${P.whole(sample.step)}` }), text);
  }));
}

function drawRun(run) {
  P.say(state, P.stateWords(run.state));
  state.dataset.state = run.state;
  P.say(facts, factsOf(run));
  P.say(title, [run.model, run.corpus, run.tokenizer].filter(Boolean).join(" · "));
  const done = run.steps > 0 ? Math.min(100, (100 * (run.step ?? 0)) / run.steps) : 0;
  bar.style.width = `${done}%`;
  track.dataset.state = run.state;
  track.setAttribute("aria-valuenow", Math.round(done));
  message.hidden = !run.message;
  P.say(message, run.message ?? "");
  message.classList.toggle("pg-alert-bad", ["failed", "diverged", "crashed"].includes(run.state));

  const loss = P.lastOf(run.validation.loss);
  const smoothed = P.lastOf(P.smooth(run.train.loss, 0.9));
  P.say(numbers.train, P.number(smoothed));
  P.say(numbers.validation, P.number(loss));
  P.say(numbers.perplexity, P.number(loss == null ? null : Math.exp(loss)));
  P.say(numbers.bits, P.number(P.lastOf(run.validation.bits_per_byte)));
  P.say(numbers.gradient, P.number(P.lastOf(run.train.grad_norm)));
  P.say(notice, whatToNotice(run));
  announce(notice.textContent);
  drawSamples(run);
  return chart.draw([run]);
}

// ---- life ---------------------------------------------------------------------------------------------------------

let runs = new P.Runs();
let shown = null;
let beats = 0;

/** Every how many beats to ask: the first points are awaited, an ended run may be resumed. Between, the training needs the cores. */
function pace(run) {
  if (ENDED.includes(run.state)) return 6;
  return run.train.step.length > 10 ? 4 : 1;
}

async function refresh() {
  const { visitor = "", run = "" } = props.value ?? {};
  if (run !== shown) {
    if (run && shown !== null && innerWidth < 800) {
      root.scrollIntoView({ block: "start", behavior: P.calm() ? "auto" : "smooth" }); // on a phone it lies below the form
    }
    shown = run;
    runs = new P.Runs();
    styles.keep([]);
    empty.hidden = Boolean(run);
    filled.hidden = !run;
    filled.classList.add("pg-waiting");
  }
  if (!run) return;
  const known = runs.byId.get(run);
  if (known && ++beats % pace(known) !== 0) return;
  const reply = await P.ask(server.curves, runs.request(visitor, [run]));
  if (!reply || shown !== run) return;
  if (reply.error) {
    message.hidden = false;
    P.say(message, reply.error);
  }
  if (!runs.absorb(reply) && !reply.runs?.some((news) => news.state === "running")) return;
  filled.classList.remove("pg-waiting");
  if (runs.byId.has(run)) await drawRun(runs.byId.get(run));
}

const look = P.every(element, BEAT, refresh);
watch("value", () => {
  beats = -1;
  look();
});
