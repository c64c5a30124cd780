// The distribution of the next token: grey what the model thinks, blue what is drawn from after the filters. The logits
// arrive once; sliders elsewhere send `playground:sampling` events and everything is computed here.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ p: number, entropy: number }} Padding */
/** @typedef {{ labels: string[], logits: string, low: number, high: number, by_id: string, uniform: number, seen: number[], temperature: number, top_k: number, top_p: number, min_p: number, repetition_penalty: number, padding: Padding, note: string, nonce: number | string }} NextTokenValue */
/** @typedef {Component<NextTokenValue>} Given */

import { el, setText } from "../static/dom.js";
import { drawToken, entropyBits, filterDistribution } from "../static/sampling.js";
import { counted, percent, visible, whole } from "../static/words.js";

const ROWS = 12;

/** Numbers of two bytes each. */
function words(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
}

/** The end of the bars' axis: a round probability that holds the longest bar. */
const scaleFor = (most) => [0.1, 0.25, 0.5, 1].find((end) => most <= end * 0.98) ?? 1;

function fill(row, label, before, after, full, words, drawn) {
  row.item.hidden = false;
  row.item.classList.toggle("pg-bar-drawn", drawn);
  row.item.classList.toggle("pg-bar-removed", after === 0);
  setText(row.label, label);
  row.before.style.width = `${(100 * before) / full}%`;
  row.after.style.width = `${(100 * after) / full}%`;
  row.words.style.left = `${(100 * Math.max(before, after)) / full}%`;
  setText(row.words, words);
}

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-next");

  // ---- layout -------------------------------------------------------------------------------------------------------

  const empty = element.querySelector(".pg-next-empty");
  const list = el("ol", { class: "pg-bars", "aria-label": "Most likely next tokens" });
  const rows = Array.from({ length: ROWS + 1 }, () => {
    const row = { label: el("code"), before: el("i", { class: "pg-bar-before" }), after: el("i", { class: "pg-bar-after" }), words: el("span", { class: "pg-bar-words" }) };
    row.item = el("li", {}, row.label, el("span", { class: "pg-bar-track" }, row.before, row.after, row.words));
    list.append(row.item);
    return row;
  });
  rows[ROWS].item.classList.add("pg-bar-rest");
  const summary = el("p", { class: "pg-next-summary", "aria-live": "polite" });
  const note = el("p", { class: "pg-soft pg-small", hidden: true });
  const filled = el("div", { class: "pg-panel", hidden: true },
    el("h2", { class: "pg-panel-title" }, el("b", { text: "Next token" }), " grey: probabilities of the model · blue: after the filters, sampled from"), list, summary, note);
  root.append(filled);

  // ---- arithmetic and drawing ---------------------------------------------------------------------------------------

  let logits = null;
  let padding = { p: 0, entropy: 0 }; // probability and entropy (bits) of ids that only pad the vocabulary: the model's own, never drawn
  let labels = []; // of the likeliest tokens; logits come likeliest first
  let sampling = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1 };
  let seen = []; // which of them the text so far holds, for the repetition penalty
  let byId = null; // where each token id stands among them: draws go by id
  let uniform = null; // the random number that chooses

  function load() {
    const value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    logits = value?.logits?.length ? unpacked(value) : null;
    empty.hidden = logits !== null;
    filled.hidden = logits === null;
    if (!logits) return;
    labels = value.labels ?? [];
    seen = value.seen ?? [];
    byId = value.by_id ? words(value.by_id) : null;
    uniform = value.uniform ?? null;
    padding = value.padding ?? { p: 0, entropy: 0 };
    take(value);
    note.hidden = !value.note;
    setText(note, value.note ?? "");
    draw();
  }

  const unpacked = ({ logits, low, high }) => Float64Array.from(words(logits), (word) => low + ((high - low) * word) / 65535);

  function take(settings) {
    for (const name of Object.keys(sampling)) {
      if (settings?.[name] != null && Number.isFinite(Number(settings[name]))) sampling[name] = Number(settings[name]);
    }
  }

  function draw() {
    if (!logits) return;
    const started = performance.now();
    const { before: possible, after, removedBy } = filterDistribution(logits, sampling, seen);
    const before = possible.map((p) => p * (1 - padding.p)); // of the whole vocabulary, as losses are
    const drawn = byId && uniform !== null ? drawToken(after, uniform, byId) : -1;
    const again = new Set(sampling.repetition_penalty === 1 ? [] : seen);
    const shown = Array.from(logits.subarray(0, ROWS).keys());
    const full = scaleFor(Math.max(...shown.map((i) => Math.max(before[i], after[i]))));
    shown.forEach((i, at) => fill(rows[at], visible(labels[i] ?? `#${i}`), before[i], after[i], full, wordsFor(after[i], removedBy[i], again.has(i)), i === drawn));
    for (let at = shown.length; at < ROWS; at++) rows[at].item.hidden = true;
    let restBefore = 0;
    let restAfter = 0;
    for (let i = ROWS; i < logits.length; i++) {
      restBefore += before[i];
      restAfter += after[i];
    }
    if (logits.length > ROWS) fill(rows[ROWS], counted(logits.length - ROWS, "other"), restBefore, restAfter, Math.max(full, restBefore, restAfter), restAfter > 0 ? `${percent(restAfter)}${drawn >= ROWS ? " · one is drawn" : ""}` : "removed", drawn >= ROWS);
    else rows[ROWS].item.hidden = true;
    let remain = 0;
    for (let i = 0; i < after.length; i++) if (after[i] > 0 && removedBy[i] === null) remain++;
    setText(summary, `entropy ${(entropyBits(before) + padding.entropy).toFixed(2)} → ${entropyBits(after).toFixed(2)} bits · ${whole(remain)} of ${counted(logits.length, "token")} remain${drawn >= 0 ? ` · this seed draws ${drawn < labels.length ? visible(labels[drawn]) : "one of the others"}` : ""}`);
    root.dataset.ms = (performance.now() - started).toFixed(2);
  }

  function wordsFor(p, by, again) {
    if (by) return sampling.temperature === 0 ? "removed by temperature 0" : `removed by ${by}`;
    return again ? `${percent(p)} · seen before` : percent(p);
  }

  function onSampling(event) {
    if (!element.isConnected) {
      document.removeEventListener("playground:sampling", onSampling);
      return;
    }
    take(event.detail);
    if (element.offsetParent !== null) draw();
  }

  document.addEventListener("playground:sampling", onSampling);
  watch("value", load);
  load();
}
