// A text's card. The value changes when another text is chosen.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ name: string, held_out: number, counted: number, nats_per_token: number | null }} Gram */
/** @typedef {{ sentences: number | null, n_sentences: number, lines: number | null, n_lines: number, windows: number | null, n_windows: number, examples: string[] }} Duplicates */
/** @typedef {{ title: string, nonce: number | string, n_bytes: number, n_characters: number, n_distinct: number, train_bytes: number, validation_bytes: number, train_tokens: number, validation_tokens: number, tokens_exact: boolean, bytes_per_token: number, vocab_size: number, grams: Gram[], counted_bytes: number, held_out_bytes: number, answers_only: boolean, duplicates: Duplicates, samples: [string, string][], no_bits: string }} DataCardValue */
/** @typedef {Component<DataCardValue>} Given */

import { calm, el } from "../static/dom.js";
import { counted, percent, printable, whole } from "../static/words.js";

const bytes = (n) => (n >= 1e6 ? `${(n / 1e6).toLocaleString("en-US", { maximumFractionDigits: 2 })} MB` : n >= 1e4 ? `${(n / 1e3).toFixed(1)} kB` : counted(n, "byte"));
const section = (title, more, ...children) =>
  el("section", { class: "pg-data-part" }, el("h3", { class: "pg-panel-title" }, el("b", { text: title }), ` ${more}`), ...children);

function tiles(card) {
  const about = card.tokens_exact ? "" : "about ";
  const rows = [
    ["size", bytes(card.n_bytes), "UTF-8"],
    ["characters", whole(card.n_characters), `${whole(card.n_distinct)} distinct`],
    ["tokens", about + whole(card.train_tokens + card.validation_tokens), `${whole(card.vocab_size)} in the vocabulary`],
    ["bytes per token", card.bytes_per_token.toFixed(2), "of validation text"],
  ];
  return el("dl", { class: "pg-tiles pg-data-tiles" }, ...rows.map(([name, value, unit]) =>
    el("div", { class: "pg-tile" }, el("dt", { text: name }), el("dd", { text: value }), el("dd", { class: "pg-unit", text: unit }))));
}

/** Training and validation as one bar in their proportion. */
function split(card) {
  const share = card.validation_bytes / card.n_bytes;
  const train = el("i", { class: "pg-data-train" });
  const validation = el("i", { class: "pg-data-validation" });
  train.style.flexGrow = String(1 - share);
  validation.style.flexGrow = String(share);
  return section("Split", "the end of the text is not trained on",
    el("div", { class: "pg-data-split", "aria-hidden": "true" }, train, validation),
    el("p", { class: "pg-soft pg-data-legend" },
      el("span", {}, el("i", { class: "pg-data-train", "aria-hidden": "true" }), `training ${bytes(card.train_bytes)}, ${counted(card.train_tokens, "token")}`),
      el("span", {}, el("i", { class: "pg-data-validation", "aria-hidden": "true" }), `validation ${bytes(card.validation_bytes)}, ${counted(card.validation_tokens, "token")}`)));
}

/** A table whose bars are the held-out costs, with a mark where the same n-gram stands on the text that it was counted on. */
function entropies(card) {
  const head = ["context", "", "bits per byte", "nats per token", "on the training text"];
  const knows = (i) => (i === 0 ? "none: byte frequencies" : `the last ${i === 1 ? "byte" : counted(i, "byte")}`);
  const rows = card.grams.map((gram, i) => {
    const bar = el("i", { class: "pg-data-bar" });
    const mark = el("i", { class: "pg-data-mark" });
    bar.style.width = `${Math.min(100, (100 * gram.held_out) / 8)}%`;
    mark.hidden = card.answers_only; // counted text is not only answers
    mark.style.left = `${Math.min(100, (100 * gram.counted) / 8)}%`;
    return el("tr", {}, el("th", { scope: "row" }, el("b", { text: gram.name }), el("span", { class: "pg-soft", text: knows(i) })),
      el("td", { class: "pg-data-track", "aria-hidden": "true" }, el("span", {}, bar, mark)),
      el("td", { text: gram.held_out.toFixed(2) }), el("td", {}, el("b", { text: gram.nats_per_token == null ? "–" : gram.nats_per_token.toFixed(2) })),
      el("td", { class: "pg-soft", text: card.answers_only ? "–" : gram.counted.toFixed(2) }));
  });
  const table = el("table", { class: "pg-data-table" },
    el("thead", {}, el("tr", {}, ...head.map((text) => (text ? el("th", { scope: "col", text }) : el("td", { class: "pg-data-track" }))))), el("tbody", {}, ...rows));
  const best = card.grams.reduce((a, b) => (b.held_out < a.held_out ? b : a)); // of a short text not the longest one
  const last = card.grams.at(-1);
  const order = card.grams.indexOf(best);
  const than = order === 0 ? "than the byte frequencies" : `than counts of what followed ${["", "one byte", "two bytes", "three bytes", "four bytes"][order]}`;
  const what = card.answers_only ? "Only the answers are measured: the problems are random." : "";
  const gap = last.held_out - last.counted;
  const learnt = gap > 0.25 && !card.answers_only
    ? ` On the training text, on which it was counted, the ${last.name} needs only ${last.counted.toFixed(2)} bits per byte: the difference is memorization that does not generalize.`
    : "";
  return section("N-gram baselines", "counted on the training text, measured on the validation text",
    el("div", { class: "pg-data-scroll", tabindex: 0, role: "region", "aria-label": "Entropy of n-grams" }, table),
    el("p", { class: "pg-notice" }, what ? `${what} ` : "", ...(card.no_bits ? [`${card.no_bits} A loss with this tokenizer cannot be compared with these numbers.`]
      : ["A validation loss below ", el("b", { text: `${best.nats_per_token.toFixed(2)} nats per token` }), ` is better ${than}.${learnt}`])),
    el("p", { class: "pg-soft pg-small", text: `n-grams over bytes, interpolated after Witten and Bell; counted on ${bytes(card.counted_bytes)}, measured on ${bytes(card.held_out_bytes)}. Without a model, a byte costs 8 bits.` }));
}

function duplicates(card) {
  const { sentences, n_sentences, lines, n_lines, windows, n_windows, examples } = card.duplicates;
  const rows = [];
  if (sentences != null) rows.push(el("li", {}, el("b", { text: percent(sentences) }), ` of ${counted(n_sentences, "sentence")}`));
  if (windows != null) rows.push(el("li", {}, el("b", { text: percent(windows) }), ` of ${counted(n_windows, "window")} of 64 bytes`));
  if (lines != null) rows.push(el("li", {}, el("b", { text: percent(lines) }), ` of ${counted(n_lines, "line")}`));
  const share = Math.max(sentences ?? 0, lines ?? 0, windows ?? 0);
  const verdict = !rows.length ? "The text is too short to look for duplicates."
    : share > 0.3 ? "Much of the validation text also occurs in the training text, word for word: part of a low validation loss is memorization."
    : share > 0.02 ? "Some of the validation text also occurs in the training text and may be memorized."
      : "Almost none of the validation text occurs in the training text.";
  const part = el("ul", { class: "pg-data-list" }, ...rows);
  const found = examples.length ? [el("p", { class: "pg-soft pg-small", text: "Examples:" }), ...examples.map((line) => el("code", { class: "pg-data-line", text: printable(line) }))] : [];
  return section("Duplicates", "share of the validation text that also occurs in the training text", part, el("p", { class: "pg-soft", text: verdict }), ...found);
}

const samples = (card) => section("Samples", "from three places",
  el("div", { class: "pg-data-samples" }, ...card.samples.map(([where, text]) =>
    el("figure", {}, el("figcaption", { class: "pg-soft", text: where }), el("p", { text: printable(text), tabindex: 0, role: "region", "aria-label": `Text at the ${where}` })))));

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-data");

  function draw() {
    const card = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    if (!card?.grams) {
      root.replaceChildren();
      return;
    }
    root.replaceChildren(
      el("h2", { class: "pg-data-title", tabindex: -1, text: card.title }),
      tiles(card), split(card), entropies(card),
      el("div", { class: "pg-data-two" }, duplicates(card), samples(card)));
    if (innerWidth < 800) root.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" }); // it lies below the form
  }

  watch("value", draw);
  draw();
}
