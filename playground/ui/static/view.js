// What the views that look into a model share: the life of a view that answers one question at a time, and the small
// things that several of them draw: panels, cells on the palette, surprise, likeliest tokens.

import { cividis, cividisWords } from "./colours.js";
import { askServer, el, segmented, setText } from "./dom.js";
import { counted, percent, signed, visible } from "./words.js";

// ---- a view and its question ----------------------------------------------------------------------------------

/**
 * The life of a view that shows the answer to one question: what `props.value` says in `fields`, about its run.
 *
 * `gradio` is the component's { element, props, watch }; `name` the class of its root, in which `${name}-empty` invites
 * while no run is chosen; `body` is what the view fills. `begin(values, before)` is called, once the script has run to
 * its end, for every new question while it is visible, with the values of the question before it. Returns
 *   root                                       for marks that tests and styles read
 *   tell(text, bad)                            the line above the body; "" takes it away, and one that ends in … is at work
 *   refuse(text)                               the same for an error; hides the body if it holds the answer to another question
 *   ask(serverFunction, more, {dim, quietly})  the answer as a plain object; undefined when there was none, which `refuse` says
 *                                              unless quietly, or when the question has changed meanwhile. `dim` is dimmed until
 *                                              there is an answer
 *   show()                                     what the body holds is the answer to this question
 *   question()                                 the current question, as a text to compare; "" while no run is chosen
 */
export function createView({ element, props, watch }, name, body, fields, begin) {
  const root = element.querySelector(`.${name}`);
  const empty = element.querySelector(`.${name}-empty`);
  const status = el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
  let current = "";
  let answered = ""; // the question that the body answers
  let newest = null; // of the questions that came as a value
  body.hidden = true;
  root.append(status, body);

  const values = () => Object.fromEntries(fields.map((field) => [field, props.value?.[field]]));

  function tell(text, bad = false) {
    status.hidden = !text;
    status.classList.toggle("pg-alert-bad", bad);
    status.classList.toggle("pg-alert-busy", text.endsWith("…"));
    setText(status, text);
  }

  function refuse(text) {
    if (answered !== current) body.hidden = true;
    tell(text, true);
  }

  /**
   * @template Answer
   * @param {(question: any) => Promise<Answer & { error?: string }>} serverFunction
   * @param {object} more
   * @param {{ dim?: Element, quietly?: boolean }} how
   * @returns {Promise<Answer | undefined>}
   */
  async function ask(serverFunction, more = {}, { dim, quietly = false } = {}) {
    const mine = current;
    dim?.classList.add("pg-waiting");
    const answer = await askServer(serverFunction, { visitor: props.value?.visitor ?? "", special: props.value?.special ?? true, ...values(), ...more });
    if (mine !== current) return undefined;
    const failed = !answer || answer.error;
    if (!failed || !body.contains(dim)) dim?.classList.remove("pg-waiting"); // after an error a part still holds what was there before
    if (!failed) return JSON.parse(JSON.stringify(answer)); // a plain copy: Gradio's is a slow proxy
    if (!quietly) refuse(answer?.error ?? "The server did not answer. Try again.");
    return undefined;
  }

  function refresh() {
    if (madeBefore(props.value, newest)) {
      props.value = newest; // which is watched
      return;
    }
    newest = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    const value = values();
    const now = value.run ? JSON.stringify({ ...value, nonce: props.value.nonce }) : "";
    empty.hidden = Boolean(now);
    if (!now) {
      body.hidden = true;
      current = now;
      tell("");
    } else if (now !== current && element.offsetParent !== null) {
      const before = current ? JSON.parse(current) : {};
      current = now;
      tell("");
      begin(value, before);
    }
  }

  new ResizeObserver(refresh).observe(root); // a view in a tab that was not open has its first size when it is opened
  watch("value", refresh);
  queueMicrotask(refresh);
  const show = () => {
    body.hidden = false;
    answered = current;
  };
  return { root, tell, refuse, ask, question: () => current, show };
}

/**
 * What a view should ask about a run, or a view's invitation without one. Tabs make it in the page, not on the server: then
 * questions reach a view in the order of the clicks, and a slow answer to an earlier click cannot replace a later one.
 */
export const makeQuestion = (visitor, run, fields) => ({ visitor, run: run ?? "", ...fields, nonce: ++questions });
let questions = 0;

/**
 * Whether this page made one question before the other. Gradio applies a value that was set before its component was
 * mounted some time after mounting, when a newer one may be there.
 */
export const madeBefore = (one, other) => Boolean(one && other) && one.nonce < other.nonce && other.nonce <= questions;

/** A question about one checkpoint as one about two, or about one again. */
export const withSecond = (question, run, step) => ({ ...question, second: run ? { run, step } : null });

// ---- pieces of a page -----------------------------------------------------------------------------------------

/** A card: a title in bold, some words after it, and what follows. */
export const panel = (title, words, ...children) => el("section", { class: "pg-panel" },
  el("h2", { class: "pg-panel-title" }, el("b", { text: title }), words ? ` ${words}` : ""), ...children);

/** Soft small print. */
export const smallText = (text = "") => el("p", { class: "pg-soft pg-small", text });

/** A note that is there only while it says something. */
export function sayNote(node, text) {
  node.hidden = !text;
  setText(node, text ?? "");
}

/** Something wide in a frame that scrolls sideways, with the keyboard too. */
export const scroller = (label, ...children) => el("div", { class: "pg-lens-scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);

/** Segments, small. */
export function smallSegments(label, options, chosen, onChoose) {
  const group = segmented(label, options, chosen, onChoose);
  group.classList.add("pg-segments-small");
  return group;
}

/** A native choice of numbers 1 … count, whose values count from 0; kept while their number stays. */
export function countUp(select, count, chosen) {
  if (select.children.length !== count) {
    select.replaceChildren(...Array.from({ length: count }, (_, i) => el("option", { value: i, text: String(i + 1) })));
  }
  select.value = String(chosen);
}

/** +0.123 ± 0.045; without the latter where there is no error. */
export const withError = (x, error) => `${signed(x)}${error == null ? "" : ` ± ${error.toFixed(3)}`}`;

/** A change of a probability: +1.2 points; one that rounds to nothing has no sign. */
export const points = (change) => `${signed(100 * change, 1)} points`;

// ---- cells on the palette -------------------------------------------------------------------------------------

/** Black or white, whichever can be read on a colour: one of them always has a contrast of 4.5 (WCAG 2.1). */
export function readable(rgb) {
  const [r, g, b] = rgb.map((x) => (x <= 10 ? x / 3294.6 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** Give a cell the palette's colour for a share between 0 and 1, and letters that can be read on it; null clears it. */
export function shade(node, share) {
  const byte = Math.round(255 * Math.max(0, Math.min(1, share ?? 0)));
  const rgb = cividis[byte];
  node.style.background = share == null ? "none" : `rgb(${rgb})`;
  node.style.color = share == null ? "inherit" : readable(rgb);
}

/** The palette as a bar, to stand between the words for its two ends. */
export function paletteBar() {
  const canvas = el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(cividisWords);
  context.putImageData(image, 0, 0);
  return canvas;
}

// ---- attention ------------------------------------------------------------------------------------------------

/** What a column is to the row that looks at it, in words: the places that heads are known to look for come first. */
export function relation(tokens, row, column) {
  const own = visibleWord(tokens[row]);
  if (column > row) return "a later token";
  if (column === row) return "itself";
  if (column === row - 1) return "the previous token";
  const whole = tokens.slice(column + 1, row + 1).every(lettered);
  if (whole && lettered(tokens[column]) && !(column > 0 && lettered(tokens[column - 1]))) return "the start of its word";
  if (whole && /^\s$/.test(tokens[column])) return "the space before its word";
  if (column > 0 && tokens[column - 1] === tokens[row]) return `what followed an earlier ${own} (induction)`;
  if (tokens[column] === tokens[row]) return `an earlier ${own}`;
  if (column === 0) return "the first token";
  return `${counted(row - column, "token")} back`;
}

const lettered = (token) => /^\p{L}+$/u.test(token);
const visibleWord = (token) => `“${visible(token)}”`;

// ---- surprise -------------------------------------------------------------------------------------------------

const LEVELS = 6; // a level every 1.5 bits: 0 = certain ... 5 = 7.5 bits or more

/** Bits of surprise at something of probability p. */
export const surprise = (p) => -Math.log2(Math.max(p, 1e-12));

/** The class that colours a token of probability p. */
export const surpriseClass = (p) => (p == null ? "" : `pg-surprise-${Math.min(LEVELS - 1, Math.floor(surprise(p) / 1.5))}`);

export const surpriseLegend = () => el("div", { class: "pg-surprise-legend" }, el("span", { text: "expected" }),
  ...Array.from({ length: LEVELS }, (_, i) => el("i", { class: `pg-surprise-${i}`, "aria-hidden": "true" })), el("span", { text: "surprising" }));

/** A token in running text, coloured by its probability; a line break is shown as a mark and then done. */
export function tokenSpan(text, p) {
  const node = el("span", { class: `pg-token ${surpriseClass(p)}`, tabindex: -1 });
  for (const part of (text === "" ? "∅" : text).split(/(\n)/)) {
    if (part === "\n") node.append(el("span", { class: "pg-token-mark", text: "⏎" }), "\n");
    else if (part) node.append(part.replace(/[\p{Cc}\p{Cf}]/gu, visible));
  }
  return node;
}

/** The sentence about a token that had a probability. */
export const tokenWords = (text, p) => [el("code", { text: visible(text) }), ` had a probability of ${percent(p)}: `,
  el("b", { text: `${surprise(p).toFixed(1)} bits of surprise` })];

/** A bar from the left, as long as the share says. */
export function shareBar(share, attributes = {}) {
  const fill = el("i", { "aria-hidden": "true", ...attributes });
  fill.style.width = `${100 * Math.min(1, share)}%`;
  return el("span", { class: "pg-alternative-bar" }, fill);
}

/** The three parts of a row of likeliest tokens: the token, a bar, its probability. */
export const alternativeRow = (text, p) => [el("code", { text: visible(text) }), shareBar(p), el("span", { class: "pg-number", text: percent(p) })];
