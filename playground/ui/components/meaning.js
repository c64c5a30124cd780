// Passages nearest to a query, by the model and by letter n-grams side by side, what a trial of both says, and a map of how
// alike several lines are.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { TextValue } from "../static/types.js" */
/** @typedef {{ visitor: string, run: string, step: number | null, depth: number | null, query: string }} SearchQuestion */
/** @typedef {{ n: number, model: number, model_error: number, ngrams: number, ngrams_error: number, difference: number, error: number, words: string }} SearchTrial */
/** @typedef {{ depths: string[], depth: number, n_passages: number, model: [string, number, number][], ngrams: [string, number, number][], same: number, trial: SearchTrial | null, note: string }} SearchAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, depth: number | null, lines: string }} SimilarQuestion */
/** @typedef {{ lines: string[], model: number[][], ngrams: number[][] }} SimilarAnswer */
/** @typedef {Component<TextValue, { search: Endpoint<SearchQuestion, SearchAnswer>, similar: Endpoint<SimilarQuestion, SimilarAnswer> }>} Given */

import { askServer, el, setText } from "../static/dom.js";
import { createView, panel, scroller, shade, shareBar } from "../static/view.js";
import { counted, printable, signed, whole } from "../static/words.js";

const LINES = ["Mia gave her red kite to Tom.", "Anna handed the blue ball to Ben.", "Tom was very sad that night.", "Ben cried all evening.", "\u201cOpen the door!\u201d said the queen.", "It began to rain in the valley."];
const column = (title, list, about) => el("div", {}, el("h3", { class: "pg-panel-title" }, el("b", { text: title }), ` ${about}`), list);

function hits(list, found, other) {
  list.replaceChildren(...found.map(([passage, cosine, place]) => el("li", {}, el("span", { class: "pg-number pg-soft", text: cosine.toFixed(2) }),
    el("span", {}, printable(passage), el("small", { class: "pg-soft", text: ` ${other} ${whole(place)}` })))));
}

function matrix(title, names, values) {
  const table = el("table", { class: "pg-head-scores pg-similar" });
  const head = el("tr", {}, el("th", {}), ...names.map((_, i) => el("th", { scope: "col", text: `${i + 1}` })));
  const body = values.map((row, i) => el("tr", {}, el("th", { scope: "row", title: printable(names[i]) }, `${i + 1} `, printable(names[i])), ...row.map((value, j) => {
    const cell = el("td", { text: value.toFixed(2) });
    if (i !== j) shade(cell, (1 + value) / 2);
    return cell;
  })));
  table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
  return el("div", {}, el("h3", { class: "pg-panel-title" }, el("b", { text: title })), scroller(`Similarity by ${title}`, table));
}

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  const depths = el("select", { "aria-label": "Read after" });
  const query = el("input", { type: "text", class: "pg-field pg-field-long", "aria-label": "Query", maxlength: 1000 });
  const form = el("form", { class: "pg-form-row" }, query, el("label", { class: "pg-hand-choice-label" }, "read after ", depths), el("button", { type: "submit", class: "pg-small-button", text: "Search" }));
  const lists = { model: el("ol", { class: "pg-hits" }), ngrams: el("ol", { class: "pg-hits" }) };
  const same = el("p", { class: "pg-soft pg-small", "aria-live": "polite" });
  const searchTitle = el("span", { class: "pg-soft" });
  const searchCard = panel("Search", "", form,
    el("div", { class: "pg-two-lists" }, column("The model", lists.model, "mean of its hidden states"), column("Letter n-grams", lists.ngrams, "counts of 3 to 5 letters")), same);
  const verdict = el("p", { class: "pg-verdict-small" });
  const bars = el("ul", { class: "pg-alternatives pg-trial" });
  searchCard.querySelector("h2").append(searchTitle);
  const trialCard = panel("Is the model better than n-grams?", "a test on the same passages, independent of your query", bars, verdict);
  const lines = el("textarea", { class: "pg-field pg-field-lines", rows: 6, "aria-label": "Lines of text, one sentence per line" });
  const compare = el("button", { type: "submit", class: "pg-small-button", text: "Compare lines" });
  const mapForm = el("form", { class: "pg-form-column" }, lines, compare);
  const maps = el("div", { class: "pg-two-lists" });
  const mapWords = el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
  const mapCard = panel("Line by line", "cosine similarity of any two of your lines, one sentence per line", mapForm, mapWords, maps);
  const filled = el("div", { class: "pg-stack" }, searchCard, trialCard, mapCard);
  const look = createView({ element, props, watch }, "pg-meaning", filled, ["run", "step", "text"], begin);
  const { root } = look;
  lines.value = LINES.join("\n");

  let depth = null;

  // ---- search -------------------------------------------------------------------------------------------------------

  let round = 0;

  async function search() {
    const mine = ++round;
    const found = await look.ask(server.search, { depth, query: query.value }, { dim: searchCard });
    if (!found || mine !== round) return;
    look.tell("");
    look.show();
    depth = found.depth;
    depths.replaceChildren(...found.depths.map((name, i) => el("option", { value: i, text: name, selected: i === depth })));
    setText(searchTitle, ` ${counted(found.n_passages, "passage")} of the dataset, nearest first by cosine similarity`);
    hits(lists.model, found.model, "rank by n-grams:");
    hits(lists.ngrams, found.ngrams, "rank by model:");
    setText(same, `In both lists: ${found.same} of ${counted(found.model.length, "passage")}.${found.note ? ` ${found.note}` : ""}`);
    root.dataset.depth = depth;
    if (!found.trial) {
      bars.replaceChildren();
      setText(verdict, "The text has fewer than five stories or paragraphs of two passages: the test is not possible.");
      return;
    }
    const { n, model, model_error: spread, ngrams, ngrams_error: other, difference, error, words } = found.trial;
    const line = ([name, share, off]) => el("li", { class: "pg-alternative" }, el("span", { text: name }), shareBar(share), el("span", { class: "pg-number", text: `${(100 * share).toFixed(1)}${off ? ` ± ${(100 * off).toFixed(1)}` : ""} %` }));
    bars.replaceChildren(...[["the model", model, spread], ["n-grams", ngrams, other], ["by chance", 0.5]].map(line));
    setText(verdict, `${words} Model minus n-grams: ${signed(100 * difference, 1)} ± ${(100 * error).toFixed(1)} points, one standard error over ${n} stories or paragraphs.`);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  depths.addEventListener("change", async () => {
    depth = Number(depths.value);
    await search();
    await draw();
  });

  // ---- lines --------------------------------------------------------------------------------------------------------

  async function draw() {
    const mine = look.question();
    const { visitor = "", run, step } = props.value;
    const answer = await askServer(server.similar, { visitor, run, step, depth, lines: lines.value });
    if (mine !== look.question()) return;
    const failed = !answer || answer.error;
    mapWords.hidden = !failed;
    mapWords.classList.toggle("pg-alert-bad", Boolean(failed));
    setText(mapWords, failed ? answer?.error ?? "The server did not answer. Try again." : "");
    if (failed) return maps.replaceChildren();
    const found = JSON.parse(JSON.stringify(answer)); // a plain copy: Gradio's is a slow proxy
    maps.replaceChildren(matrix("The model", found.lines, found.model), matrix("Letter n-grams", found.lines, found.ngrams));
  }

  mapForm.addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });

  // ---- life ---------------------------------------------------------------------------------------------------------

  async function begin({ run, text }, before) {
    const mine = look.question();
    if (before.run !== run) {
      depth = null;
      filled.hidden = true;
      look.tell("Reading the dataset, a few seconds…");
    }
    if (before.text !== text || !query.value) query.value = String(text).slice(0, 1000);
    await search();
    if (mine === look.question() && !filled.hidden) await draw();
  }
}
