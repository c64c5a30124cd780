// A text coloured by surprise, and below it the logit lens: for every token what the model would say next, after the
// embedding and after each layer. One checkpoint, or two side by side that share the chosen position.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { TextQuestion } from "../static/types.js" */
/** @typedef {{ run: string, step: number | null }} SecondCheckpoint */
/** @typedef {{ visitor: string, run: string, nonce: number | string, step: number | null, text: string, second: SecondCheckpoint | null }} LensValue */
/** @typedef {{ top: (([string, number | null])[])[], entropy: (number | null)[], divergence: (number | null)[], actual: (number | null)[] }} LensDepth */
/** @typedef {{ name: string, tokens: string[], depths: LensDepth[], note: string }} LensAnswer */
/** @typedef {Component<LensValue, { lens: Endpoint<TextQuestion, LensAnswer> }>} Given */

import { el, setText } from "../static/dom.js";
import {
  alternativeRow, createView, paletteBar, sayNote, scroller, shade, smallSegments, smallText, surprise,
  surpriseLegend, tokenSpan, tokenWords,
} from "../static/view.js";
import { counted, number, percent, visible, whole } from "../static/words.js";

const SHOWN = 6; // tokens at which the two differ most

/** Whether two lists of tokens are the same as far as the shorter one reaches back from the end. */
function sameEnd(a, b) {
  if (!a || !b) return false;
  const [long, short] = a.length < b.length ? [b, a] : [a, b];
  return short.every((token, t) => token === long[long.length - short.length + t]);
}

const named = (reply, step) => `${reply.name} · step ${whole(step)}`;

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // What a cell's colour can say: name, what is read from a depth, the scale's end, its unit, and where it is bright.
  const COLOURS = {
    probability: { name: "Probability", of: (depth, t) => depth.top[t][0][1], end: () => 1, unit: "",
      words: "probability of the token shown" },
    actual: { name: "Actual token", of: (depth, t) => depth.actual[t], end: () => 1, unit: "",
      words: "probability of the actual next token" },
    entropy: { name: "Entropy", of: (depth, t) => depth.entropy[t], end: most("entropy"), unit: " bits",
      words: "entropy of the prediction of this layer" },
    divergence: { name: "KL divergence", of: (depth, t) => depth.divergence[t], end: most("divergence"), unit: " bits",
      words: "Kullback–Leibler divergence from the prediction of the last layer" },
  };

  /** The largest value of a field anywhere on the page, so that two checkpoints have one scale. */
  function most(field) {
    return () => Math.max(0.1, ...drawn().flatMap(({ reply }) => reply.depths).flatMap((depth) => depth[field]).filter((x) => x != null));
  }

  // ---- layout -------------------------------------------------------------------------------------------------------

  let colour = "probability";
  const choice = smallSegments("What colour means", Object.entries(COLOURS).map(([id, c]) => [id, c.name]), colour, (id) => {
    colour = id;
    paint();
  });
  const readers = [reader(), reader()];
  const drawn = () => readers.filter(({ reply }) => reply);
  const contest = el("div", { class: "pg-lens-contest", hidden: true });
  const ends = [el("span"), el("span")];
  const meaning = el("span", { class: "pg-soft" });
  const texts = el("div", { class: "pg-lens-pair" }, ...readers.map(({ textPart }) => textPart));
  const filled = el("div", { class: "pg-stack" },
    el("section", { class: "pg-panel" },
      el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Surprise" }), " the deeper the colour, the less likely the token was"), surpriseLegend()),
      texts, contest),
    el("section", { class: "pg-panel" },
      el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Layer by layer" }), " the prediction, if the model ended here"), choice),
      ...readers.map(({ lensPart }) => lensPart), el("div", { class: "pg-scale" }, ends[0], paletteBar(), ends[1], meaning),
      smallText("The logit lens (nostalgebraist 2020): the final norm and the output matrix, applied to the residual stream after each layer. A column is a token of your text, a cell the most likely token after it. The bottom row has the actual next tokens.")));

  // ---- one checkpoint's reading -------------------------------------------------------------------------------------

  /** What one checkpoint makes of the text: a part for its surprise, a part for its layers. */
  function reader() {
    const names = [0, 1].map(() => el("h3", { class: "pg-lens-name" }));
    const flow = el("p", { class: "pg-token-flow", role: "group", "aria-label": "Your text; arrow keys move between tokens" });
    const mean = smallText();
    const panel = el("div", { class: "pg-token-panel", "aria-live": "polite" });
    const table = el("table", { class: "pg-lens-table" });
    const frame = scroller("Predictions after every layer", table);
    const readout = el("p", { class: "pg-readout", "aria-live": "polite" });
    const note = smallText();
    const textPart = el("div", {}, names[0], flow, mean, panel);
    const lensPart = el("div", { class: "pg-lens-part" }, names[1], frame, readout, note);
    const self = { textPart, lensPart, reply: null, chosen: 0, cell: null, draw, clear, paintCells, chooseToken, chooseCell, scrollTo, bits };

    function draw(reply, name) {
      Object.assign(self, { reply, cell: null });
      textPart.hidden = lensPart.hidden = false;
      for (const heading of names) sayNote(heading, name);
      sayNote(note, reply.note);
      drawText();
      drawTable();
      chooseToken(Math.min(self.chosen || reply.tokens.length - 1, reply.tokens.length - 1));
      chooseCell(reply.depths.length - 1, reply.tokens.length - 1);
      scrollTo(self.cell.position);
    }

    function clear() {
      self.reply = null;
      textPart.hidden = lensPart.hidden = true;
    }

    /** Surprise at every token but the first, in bits. */
    function bits() {
      return self.reply.depths.at(-1).actual.filter((p) => p != null).map(surprise);
    }

    // -- the text --

    function drawText() {
      const { actual } = self.reply.depths.at(-1);
      flow.replaceChildren(...self.reply.tokens.map((token, t) => tokenSpan(token, t ? actual[t - 1] : null)));
      const all = bits();
      const average = all.reduce((sum, x) => sum + x, 0) / Math.max(1, all.length);
      setText(mean, all.length ? `On average ${average.toFixed(2)} bits per token, a perplexity of ${number(2 ** average)}. The first token is not predicted.` : "One token: nothing to predict.");
    }

    function chooseToken(t) {
      const { reply } = self;
      if (t < 0 || t >= reply.tokens.length) return;
      flow.children[self.chosen]?.classList.remove("pg-token-chosen");
      flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      self.chosen = t;
      flow.children[t].classList.add("pg-token-chosen");
      flow.children[t].tabIndex = 0;
      if (t === 0) {
        panel.replaceChildren(el("p", {}, el("code", { text: visible(reply.tokens[0]) }), " is the first token: there is nothing before it to predict it from."));
        return;
      }
      const last = reply.depths.at(-1);
      const rows = last.top[t - 1].map(([other, odds]) =>
        el("li", { class: other === reply.tokens[t] ? "pg-alternative pg-alternative-taken" : "pg-alternative" }, ...alternativeRow(other, odds)));
      panel.replaceChildren(el("p", {}, ...tokenWords(reply.tokens[t], last.actual[t - 1])),
        el("ul", { class: "pg-alternatives", "aria-label": "Most likely tokens here" }, ...rows));
    }

    const tokenAt = (target) => [...flow.children].indexOf(target.closest?.(".pg-token"));
    flow.addEventListener("pointerover", (event) => {
      const t = tokenAt(event.target);
      if (t >= 0) everywhere(self, (one, shift) => one.chooseToken(t + shift));
    });
    flow.addEventListener("click", (event) => {
      const t = tokenAt(event.target);
      if (t < 0) return;
      everywhere(self, (one, shift) => {
        one.chooseToken(t + shift);
        if (t + shift <= 0) return;
        one.chooseCell(one.reply.depths.length - 1, t + shift - 1);
        one.scrollTo(t + shift - 1);
      });
    });
    flow.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step || !flow.children[self.chosen + step]) return;
      event.preventDefault();
      const t = self.chosen + step;
      everywhere(self, (one, shift) => one.chooseToken(t + shift));
      flow.children[t].focus();
    });

    // -- the lens --

    const depthName = (depth) => (depth === 0 ? "embedding" : depth === self.reply.depths.length - 1 ? `layer ${depth} · output` : `layer ${depth}`);
    const tableCell = ({ depth, position }) => table.querySelector(`td[data-depth="${depth}"][data-position="${position}"]`);

    function drawTable() {
      const { tokens, depths } = self.reply;
      const head = el("tr", {}, el("th", { scope: "col", text: "after reading" }), ...tokens.map((token) => el("th", { scope: "col", text: visible(token) })));
      const rows = depths.map((depth, d) => el("tr", {}, el("th", { scope: "row", text: depthName(d) }),
        ...depth.top.map((top, t) => el("td", { "data-depth": d, "data-position": t, text: visible(top[0][0]) }))));
      const truth = el("tr", { class: "pg-lens-truth" }, el("th", { scope: "row", text: "actual next token" }),
        ...tokens.map((_, t) => el("td", { text: t + 1 < tokens.length ? visible(tokens[t + 1]) : "?" })));
      table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows, truth));
    }

    function paintCells(scale, end) {
      const { tokens, depths } = self.reply;
      for (const td of table.querySelectorAll("td[data-depth]")) {
        const [depth, t] = [depths[td.dataset.depth], Number(td.dataset.position)];
        const value = scale.of(depth, t);
        shade(td, value == null ? null : value / end);
        td.classList.toggle("pg-lens-right", depth.top[t][0][0] === tokens[t + 1]);
      }
    }

    function chooseCell(depth, position) {
      const { reply, cell } = self;
      if (depth < 0 || position < 0 || depth >= reply.depths.length || position >= reply.tokens.length) return;
      if (cell) tableCell(cell)?.classList.remove("pg-lens-chosen");
      self.cell = { depth, position };
      tableCell(self.cell).classList.add("pg-lens-chosen");
      const at = reply.depths[depth];
      const odds = at.top[position].map(([token, p]) => `${visible(token)} ${percent(p)}`).join(" · ");
      const truth = at.actual[position] == null ? "" : ` · actual token ${percent(at.actual[position])}`;
      readout.replaceChildren(el("b", { text: `${depthName(depth)}, after ${visible(reply.tokens[position])}` }), `: ${odds}`,
        el("span", { class: "pg-soft", text: `  entropy ${at.entropy[position].toFixed(2)} bits · KL divergence ${at.divergence[position].toFixed(2)} bits${truth}` }));
    }

    function scrollTo(position) {
      const td = tableCell({ depth: 0, position });
      frame.scrollLeft = td.offsetLeft - frame.clientWidth / 2;
    }

    for (const kind of ["pointerover", "pointerdown"]) {
      table.addEventListener(kind, (event) => {
        const td = /** @type {Element} */ (event.target).closest("td[data-depth]");
        if (td) everywhere(self, (one, shift) => one.chooseCell(Number(td.dataset.depth), Number(td.dataset.position) + shift));
      });
    }
    frame.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move || !self.cell) return;
      event.preventDefault();
      const [depth, position] = [self.cell.depth + move[0], self.cell.position + move[1]];
      everywhere(self, (one, shift) => {
        one.chooseCell(depth, position + shift);
        one.scrollTo(one.cell.position);
      });
    });
    frame.addEventListener("scroll", () => everywhere(self, (one, shift) => one !== self && shift === 0 && one.follow(frame.scrollLeft)));
    self.follow = (left) => {
      if (Math.abs(frame.scrollLeft - left) > 1) frame.scrollLeft = left;
    };
    return self;
  }

  // ---- two of them --------------------------------------------------------------------------------------------------

  /** Do something with a reader, and with the other one if it reads the same tokens; `shift` is what to add to a position of
   *  the first: a model with a shorter context reads only the end of the text. */
  function everywhere(self, work) {
    work(self, 0);
    const other = readers.find((one) => one !== self);
    if (sameEnd(self.reply?.tokens, other.reply?.tokens)) work(other, other.reply.tokens.length - self.reply.tokens.length);
  }

  function paint() {
    const scale = COLOURS[colour];
    const end = scale.end();
    for (const one of drawn()) one.paintCells(scale, end);
    setText(ends[0], `0${scale.unit}`);
    setText(ends[1], `${number(end)}${scale.unit}`);
    setText(meaning, `${scale.words}; underlined where the token shown is the actual next token`);
  }

  /** Who was less surprised, on average and at which tokens. */
  function compare(names) {
    contest.hidden = !names[1];
    if (!names[1]) return;
    const lengths = readers.map(({ reply }) => reply.tokens.length);
    if (!sameEnd(...readers.map(({ reply }) => reply.tokens))) {
      contest.replaceChildren(el("p", { class: "pg-notice", text: "The two use different tokens, so bits per token are not comparable. “Same text” on the Compare tab compares them on pieces that both have." }));
      return;
    }
    const count = Math.min(...lengths) - 1; // tokens that both predict
    const [a, b] = readers.map((one) => one.bits().slice(one.bits().length - count));
    if (!a.length) {
      contest.replaceChildren(el("p", { class: "pg-notice", text: "One token: nothing to compare." }));
      return;
    }
    const mean = (list) => list.reduce((sum, x) => sum + x, 0) / Math.max(1, list.length);
    const gap = mean(b) - mean(a);
    const cut = lengths[0] === lengths[1] ? "" : ` With their contexts, ${names[0]} reads ${lengths[0]} and ${names[1]} ${lengths[1]} of the tokens; only ${counted(count, "token")} that both predict ${count === 1 ? "is" : "are"} compared.`;
    const words = Math.abs(gap) < 0.005 ? "On average both predict this text equally well, to 0.01 bits per token." :
      `${gap < 0 ? names[1] : names[0]} predicts this text better: by ${Math.abs(gap).toFixed(2)} bits per token on average. The text is short; the result may differ on another.`;
    const order = a.map((_, t) => t).sort((s, t) => Math.abs(b[t] - a[t]) - Math.abs(b[s] - a[s])).slice(0, SHOWN).filter((t) => Math.abs(b[t] - a[t]) >= 0.05);
    const rows = order.map((t) => {
      const at = t + lengths[0] - count; // of the token among those of the first
      const before = readers[0].reply.tokens.slice(Math.max(0, at - 12), at).map(visible).join("");
      const token = visible(readers[0].reply.tokens[at]);
      return el("li", {}, el("code", {}, before, el("b", { text: token })), ` ${a[t].toFixed(1)} → ${b[t].toFixed(1)} bits`);
    });
    contest.replaceChildren(el("p", { class: "pg-notice", text: words + cut }), ...(rows.length ? [smallText("Where they differ most, first → second:"), el("ol", { class: "pg-losses-most" }, ...rows)] : []));
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  async function begin({ step, second: chosen }) {
    const mine = view.question();
    if (filled.hidden) view.tell("Reading the text…");
    const first = await view.ask(server.lens, {}, { dim: view.root });
    if (!first) return;
    const second = chosen?.run ? await view.ask(server.lens, { run: chosen.run, step: chosen.step }, { dim: view.root }) : null;
    if (mine !== view.question()) return; // else the second could not be had, which has been told: the first is shown
    if (second !== undefined) view.tell("");
    view.show();
    const names = second ? [named(first, step), named(second, chosen.step)] : ["", ""];
    texts.classList.toggle("pg-lens-two", Boolean(second));
    readers[0].draw(first, names[0]);
    second ? readers[1].draw(second, names[1]) : readers[1].clear();
    everywhere(readers[0], (one, shift) => one.chooseToken(readers[0].chosen + shift));
    paint();
    compare(names);
  }

  readers[1].clear();
  const view = createView({ element, props, watch }, "pg-lens", filled, ["run", "step", "text", "second"], begin);
}
