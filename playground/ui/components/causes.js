// Switches for every head and MLP of a model; what is off is measured at once, all can be ranked one after the other.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { AblateAnswer, AblateQuestion, RunQuestion, TextValue } from "../static/types.js" */
/** @typedef {{ n_layer: number, n_head: number, parts: [number, string, number][] }} PartsAnswer */
/** @typedef {Component<TextValue, { parts: Endpoint<RunQuestion, PartsAnswer>, ablate: Endpoint<AblateQuestion, AblateAnswer> }>} Given */

import { el, setText } from "../static/dom.js";
import { createView, panel, points, sayNote, shareBar, smallSegments, smallText, withError } from "../static/view.js";
import { counted, percent, printable, visible } from "../static/words.js";

const SHOWN = 24; // rows of the ranking

const key = (part) => part.join(" ");
const name = ([layer, kind, head]) => `Layer ${layer + 1} · ${{ head: `head ${head + 1}`, mlp: "MLP", attention: "all attention" }[kind]}`;

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  // ---- layout -------------------------------------------------------------------------------------------------------

  let how = "zero";
  const manner = smallSegments("Replacement", [["zero", "Zero"], ["mean", "Mean"]], how, (id) => {
    how = id;
    dropRanking();
    measure();
  });
  const switches = el("div", { class: "pg-switches", role: "group", "aria-label": "Parts of the model; pressed means switched off" });
  const allOn = el("button", { type: "button", class: "pg-small-button", text: "Reset" });
  const rank = el("button", { type: "button", class: "pg-small-button", text: "Rank all parts" });
  const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Parts measured" });
  const rankedCount = el("span", { class: "pg-soft pg-small", "aria-live": "polite" });
  const gridCard = el("section", { class: "pg-panel" },
    el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Parts" }), " press to switch off"), manner),
    switches, el("div", { class: "pg-causes-bar" }, allOn, rank, progress, rankedCount),
    smallText("Zero: the output of the part is replaced by zeros. Mean: by its mean over the validation text (Wang et al. 2022). The name of a layer switches the whole layer."));
  const verdict = el("p", { class: "pg-verdict", "aria-live": "polite" });
  const detail = smallText();
  const next = el("table", { class: "pg-next-table" });
  const texts = el("div", { class: "pg-two-texts" });
  const note = smallText();
  const effectCard = panel("Effect", "on validation text",
    verdict, detail, el("div", { class: "pg-effects" }, next, texts), note);
  const list = el("ol", { class: "pg-ranking" });
  const rest = smallText();
  const rankCard = panel("Which parts matter", "change of the loss when one is off, nats per token, ± one standard error", list, rest);
  rankCard.hidden = true;
  const filled = el("div", { class: "pg-causes-filled" }, gridCard, effectCard, rankCard);

  let model = null; // { n_layer, n_head, parts }
  const off = new Map(); // key -> part
  let ranking = null; // [{ part, change, error }], as far as it was measured

  // ---- the switches -------------------------------------------------------------------------------------------------

  function drawSwitches() {
    const lines = [];
    for (let l = 0; l < model.n_layer; l++) {
      const own = model.parts.filter(([layer]) => layer === l);
      const label = el("button", { type: "button", class: "pg-switch-layer", "data-layer": l, text: `Layer ${l + 1}`, title: "Switch the whole layer" });
      const buttons = own.map((part) => el("button", { type: "button", class: "pg-switch", "data-part": key(part), "aria-pressed": "false", "aria-label": `${name(part)} off`,
        text: part[1] === "mlp" ? "MLP" : `H${part[2] + 1}` }));
      lines.push(el("div", { class: "pg-switch-row" }, label, ...buttons));
    }
    switches.replaceChildren(...lines);
    pressed();
  }

  function pressed() {
    for (const button of switches.querySelectorAll(".pg-switch")) button.setAttribute("aria-pressed", String(off.has(button.dataset.part)));
    allOn.disabled = off.size === 0;
  }

  switches.addEventListener("click", (event) => {
    const one = /** @type {Element} */ (event.target).closest(".pg-switch");
    const layer = /** @type {Element} */ (event.target).closest(".pg-switch-layer");
    if (!one && !layer) return;
    const wanted = model.parts.filter((part) => (one ? key(part) === one.dataset.part : part[0] === Number(layer.dataset.layer)));
    const allOff = wanted.every((part) => off.has(key(part)));
    for (const part of wanted) allOff ? off.delete(key(part)) : off.set(key(part), part);
    pressed();
    measure();
  });
  allOn.addEventListener("click", () => {
    off.clear();
    pressed();
    measure();
  });

  // ---- what changes -------------------------------------------------------------------------------------------------

  let busy = false;
  let stale = false;

  /** Measure what is off; while one measurement runs, only the latest change waits. */
  async function measure() {
    stale = true;
    if (busy) return;
    busy = true;
    while (stale) {
      stale = false;
      const parts = [...off.values()];
      const answer = await view.ask(server.ablate, { parts, how }, { dim: effectCard });
      if (answer && !stale) show(answer, parts);
    }
    busy = false;
  }

  function show(answer, parts) {
    view.tell("");
    view.show();
    const without = answer.loss + answer.change;
    setText(verdict, parts.length ? `Loss ${answer.loss.toFixed(3)} → ${without.toFixed(3)}: ${withError(answer.change, answer.standard_error)} nats per token`
      : `Loss ${answer.loss.toFixed(3)} nats per token with everything on`);
    setText(detail, `${parts.length ? `Off: ${parts.map(name).join(", ")}. ` : "Press a head to switch it off. "}Measured on ${counted(answer.n_tokens, "validation token")} in ${counted(answer.n_windows, "window")}${parts.length && answer.standard_error != null ? "; ± is one standard error of the paired difference" : ""}.`);
    drawNext(answer.next, parts.length > 0);
    const text = (title, body) => el("div", {}, el("h3", { class: "pg-panel-title", text: title }), el("p", { class: "pg-outputs-text" }, printable(body)));
    texts.replaceChildren(text("Continuation, everything on", answer.before), ...(parts.length ? [text("Continuation, these off", answer.after)] : []));
    sayNote(note, answer.note);
  }

  function drawNext(rows, changed) {
    const head = el("tr", {}, el("th", { scope: "col", text: "next token" }), el("th", { scope: "col", text: "on" }), ...(changed ? [el("th", { scope: "col", text: "off" }), el("th", { scope: "col", text: "change" })] : []));
    const body = rows.map(([token, p, q]) => el("tr", {}, el("th", { scope: "row" }, el("code", { text: visible(token) })), el("td", { text: percent(p) }),
      ...(changed ? [el("td", { text: percent(q) }), el("td", { text: points(q - p) })] : [])));
    next.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
  }

  // ---- which parts matter -------------------------------------------------------------------------------------------

  let round = 0; // a ranking that was begun later, or stopped, ends this one

  rank.addEventListener("click", async () => {
    if (!progress.hidden) {
      round++;
      endRanking();
      return;
    }
    const mine = ++round;
    ranking = [];
    progress.hidden = false;
    setText(rank, "Stop");
    const began = performance.now();
    for (const part of model.parts) {
      // Without a text only the loss is measured.
      const answer = await view.ask(server.ablate, { parts: [part], how, text: undefined });
      if (mine !== round) return;
      if (!answer) break;
      ranking.push({ part, change: answer.change, error: answer.standard_error });
      progress.value = ranking.length / model.parts.length;
      setText(rankedCount, `${ranking.length} of ${model.parts.length}`);
      drawRanking();
    }
    rank.dataset.seconds = ((performance.now() - began) / 1000).toFixed(2);
    endRanking();
  });

  function endRanking() {
    progress.hidden = true;
    setText(rankedCount, "");
    setText(rank, "Rank all parts");
  }

  /** What was ranked is of another question: end a ranking under way too. */
  function dropRanking() {
    round++;
    ranking = null;
    endRanking();
    drawRanking();
  }

  function drawRanking() {
    rankCard.hidden = !ranking;
    if (!ranking) return;
    const sorted = [...ranking].sort((a, b) => b.change - a.change);
    const most = Math.max(1e-6, ...sorted.map(({ change }) => Math.abs(change)));
    list.replaceChildren(...sorted.slice(0, SHOWN).map(({ part, change, error }) => {
      const bar = shareBar(Math.abs(change) / most, { class: change < 0 ? "pg-rank-less" : "" });
      return el("li", {}, el("span", { text: name(part) }), bar, el("span", { class: "pg-number", text: withError(change, error) }));
    }));
    const shown = sorted.length > SHOWN ? `The first ${SHOWN} of ${counted(sorted.length, "part")} are shown.` : "";
    sayNote(rest, sorted.length < model.parts.length ? `${sorted.length} of ${counted(model.parts.length, "part")} measured. ${shown}` : shown);
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  async function begin({ run, step }, before) {
    const answer = await view.ask(server.parts);
    if (!answer) return;
    model = answer;
    if (before.run !== run) off.clear();
    if (before.run !== run || before.step !== step) dropRanking();
    drawSwitches();
    if (filled.hidden) view.tell("Reading the validation text…");
    await measure();
  }

  const view = createView({ element, props, watch }, "pg-causes", filled, ["run", "step", "text"], begin);
}
