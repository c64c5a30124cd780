// A table with a row for every head: its six scores at the chosen step, and one of them at all saved steps. The columns of
// the steps fill one by one; while a run trains, new ones are added.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { HeadsAnswer, RunQuestion, TextQuestion, TextValue, TimelineAnswer } from "../static/types.js" */
/** @typedef {Component<TextValue, { heads: Endpoint<TextQuestion, HeadsAnswer>, timeline: Endpoint<RunQuestion, TimelineAnswer> }>} Given */

import { el, every, setText } from "../static/dom.js";
import { CLEAR } from "../static/head_card.js";
import { createView, sayNote, scroller, shade, smallSegments, smallText } from "../static/view.js";
import { percent, whole } from "../static/words.js";

const PATIENCE = 3000; // milliseconds between two looks at a live run

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const table = el("table", { class: "pg-head-scores" });
  const meanings = el("dl", { class: "pg-meanings" });
  const note = smallText();
  const order = smallSegments("Order of the rows", [["layer", "By layer"], ["score", "By score"]], "layer", (id) => {
    sorting = id;
    draw();
  });
  const title = el("span");
  const verdict = el("p", { class: "pg-verdict", "aria-live": "polite" });
  const filled = el("section", { class: "pg-panel" },
    el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Heads" }), title), order), verdict,
    scroller("Scores of every head", table),
    smallText("Press a score to see it over training on the right. Colours run from 0 to 1 for shares, otherwise from 0 to the largest value shown."), meanings, note);

  let found = new Map(); // step -> { id: numbers by layer and head }
  let scores = [];
  let steps = [];
  let live = false;
  let score = null; // the one shown over training: the visitor's choice, or else the one in which a head stands out most
  let wanted = false; // has the visitor chosen it?
  let sorting = "layer";

  // ---- drawing ------------------------------------------------------------------------------------------------------

  /** The largest number of a score, wherever it is shown: where its colours end. */
  function end({ id, unit }) {
    if (unit === "share") return 1;
    return Math.max(1e-6, ...[...found.values()].flatMap((values) => values[id].flat()));
  }

  function rows() {
    const now = found.get(props.value.step);
    const all = now[score].flatMap((heads, layer) => heads.map((_, head) => ({ layer, head })));
    return sorting === "layer" ? all : all.sort((a, b) => now[score][b.layer][b.head] - now[score][a.layer][a.head]);
  }

  /** Which heads do one thing with much of their attention. */
  function inWords(values) {
    const kinds = scores.filter(({ unit }) => unit === "share").map(({ id, name }) => {
      const clear = values[id].flatMap((heads, layer) => heads.flatMap((value, head) => (value >= CLEAR ? [`L${layer + 1} · H${head + 1}`] : [])));
      return clear.length ? `${name.toLowerCase()} ${clear.join(", ")}` : "";
    }).filter(Boolean);
    return kinds.length ? `Heads with at least ${percent(CLEAR)} of their attention on one kind of place: ${kinds.join("; ")}` : `No head has ${percent(CLEAR)} of its attention on one of these places`;
  }

  /** The score in which one head stands out most. */
  function striking(values) {
    const most = (id) => Math.max(...values[id].flat());
    return scores.filter(({ unit }) => unit === "share").map(({ id }) => id).reduce((best, id) => (most(id) > most(best) ? id : best));
  }

  function draw() {
    const step = props.value?.step;
    if (!found.has(step)) return;
    if (!wanted) score = striking(found.get(step));
    setText(verdict, inWords(found.get(step)));
    const chosen = scores.find(({ id }) => id === score);
    setText(title, ` at step ${whole(step)}, and ${chosen.name.toLowerCase()} over training`);
    const buttons = scores.map(({ id, name, unit }) => {
      const button = el("button", { type: "button", class: "pg-score", "data-score": id, "aria-pressed": String(id === score), title: `Show over training (${unit})` }, name);
      return el("th", { scope: "col", "aria-sort": id === score && sorting === "score" ? "descending" : null }, button, el("small", { text: unit }));
    });
    const ages = steps.map((at) => el("th", { scope: "col", class: "pg-score-step" }, whole(at)));
    if (ages.length) ages[0].prepend(el("small", { text: "step " }));
    const head = el("tr", {}, el("th", { scope: "col", text: "head" }), ...buttons, el("th", { class: "pg-score-gap" }), ...ages);
    const ends = new Map(scores.map((one) => [one.id, end(one)]));
    const body = rows().map(({ layer, head: h }) => {
      const cells = scores.map(({ id }) => {
        const value = found.get(step)[id][layer][h];
        const td = el("td", { "data-score": id, text: value.toFixed(2) });
        shade(td, value / ends.get(id));
        return td;
      });
      const history = steps.map((at) => {
        const value = found.get(at)?.[score][layer][h];
        const td = el("td", { class: "pg-score-step", title: value == null ? "" : `step ${whole(at)}: ${value.toFixed(3)}` });
        if (value != null) {
          td.textContent = value.toFixed(2);
          shade(td, value / ends.get(score));
        }
        return td;
      });
      return el("tr", {}, el("th", { scope: "row", text: `L${layer + 1} · H${h + 1}` }), ...cells, el("td", { class: "pg-score-gap" }), ...history);
    });
    table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
    view.root.dataset.steps = found.size;
  }

  table.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest(".pg-score");
    if (!button) return;
    score = button.dataset.score;
    wanted = true;
    draw();
    table.querySelector(`.pg-score[data-score="${score}"]`)?.focus();
  });

  function explain() {
    meanings.replaceChildren(...scores.flatMap(({ name, definition, source }) => [
      el("dt", { text: name }), el("dd", {}, definition, el("span", { class: "pg-soft", text: ` ${source}` }))]));
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  /** Measure one step; true once it is there. */
  async function measure(step) {
    const mine = step === props.value.step;
    const answer = await view.ask(server.heads, { step }, { dim: mine ? view.root : null, quietly: !mine });
    if (!answer) return false;
    scores = answer.scores;
    found.set(step, answer.values);
    sayNote(note, answer.note);
    return true;
  }

  /** Which steps there are, and those that are missing, one after the other. */
  async function history() {
    const mine = view.question();
    const answer = await view.ask(server.timeline, {}, { quietly: true });
    if (!answer) return;
    live = answer.live;
    steps = answer.steps;
    draw();
    for (const step of steps) {
      if (found.has(step)) continue;
      await measure(step);
      if (mine !== view.question()) return;
      draw();
    }
  }

  async function begin({ step }) {
    found = new Map();
    if (filled.hidden) view.tell("Scoring every head…");
    if (!(await measure(step))) return;
    view.tell("");
    view.show();
    explain();
    draw();
    await history();
  }

  const view = createView({ element, props, watch }, "pg-headtable", filled, ["run", "step", "text"], begin);
  every(element, PATIENCE, () => (live && view.question() ? history() : null));
}
