// Generated texts, coloured by surprise, as the branches of a tree. The value is replaced about eight times a second while
// the model writes; what is already on the page stays.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ id: number, text: string, p: number, alternatives: [number, string, number][] }} WrittenToken */
/** @typedef {{ name: string, note: string, parent: number | null, at: number, tokens: WrittenToken[], writing: boolean, run?: string, step?: number | null }} Branch */
/** @typedef {{ prompt: string, branches: Branch[], chosen: number, state: string, note: string, nonce?: number | string, plain?: boolean, fixed?: boolean }} TextTree */
/** @typedef {Component<TextTree>} Given */

import { el, setText } from "../static/dom.js";
import { alternativeRow, surpriseLegend, tokenSpan, tokenWords } from "../static/view.js";
import { percent, printable, visible, whole } from "../static/words.js";

const reach = "Point at a token, or reach it with Tab and the arrow keys, to see its probability";

const indexOf = (flow, target) => [...flow.children].indexOf(target.closest?.(".pg-token"));

/** @param {Given} given */
export function mount({ element, props, watch, trigger }) {
  const root = element.querySelector(".pg-tokens");

  // ---- layout -------------------------------------------------------------------------------------------------------

  const empty = element.querySelector(".pg-tokens-empty");
  const legend = surpriseLegend();
  const list = el("div", { class: "pg-branches" });
  const state = el("p", { class: "pg-soft pg-small pg-tokens-state", "aria-live": "polite" });
  const panel = el("div", { class: "pg-token-panel", "aria-live": "polite" });
  const hint = () => (value?.fixed ? `${reach}.` : `${reach} and the alternatives; choose another one to branch off there.`);
  const explained = el("span", { text: " the deeper the colour, the less likely the token was" });
  const filled = el("div", { class: "pg-panel", hidden: true },
    el("div", { class: "pg-token-head" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Text" }), explained), legend),
    list, state, panel);
  root.append(filled);

  // ---- branches -----------------------------------------------------------------------------------------------------

  let value = null;
  let views = []; // one for each branch
  let shown = null; // the token whose alternatives are shown: { branch, index } of a branch's own tokens

  /** The whole text's tokens of a branch: what it takes over from its parents, then its own. */
  function path(number) {
    const branch = value.branches[number];
    return branch.parent == null ? branch.tokens : [...path(branch.parent).slice(0, branch.at), ...branch.tokens];
  }

  const depth = (number) => (value.branches[number].parent == null ? 0 : 1 + depth(value.branches[number].parent));

  function view(number) {
    const name = el("button", { type: "button", class: "pg-branch-name" });
    const note = el("span", { class: "pg-soft pg-small" });
    const given = el("span", { class: "pg-soft" });
    const flow = el("span", { role: "group", "aria-label": "Generated tokens; arrow keys move between them" });
    const caret = el("span", { class: "pg-caret", "aria-hidden": "true", hidden: true });
    const text = el("p", { class: "pg-token-flow" }, given, flow, caret);
    const box = el("section", { class: "pg-branch" }, el("div", { class: "pg-branch-head" }, name, note), text);
    name.addEventListener("click", () => choose(number));
    flow.addEventListener("pointerover", (event) => point(number, event.target));
    flow.addEventListener("click", (event) => {
      const index = indexOf(flow, event.target);
      if (index < 0) return;
      flow.children[index].focus();
      choose(number);
    });
    flow.addEventListener("focusin", (event) => point(number, event.target));
    flow.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      const next = step && flow.children[(shown?.index ?? 0) + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    return { box, name, note, given, flow, caret, tokens: [] };
  }

  function choose(number) {
    if (value.chosen === number || value.state === "writing") return;
    value.chosen = number;
    drawBranches();
    trigger("choose", { branch: number });
  }

  function draw() {
    value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    const some = value && (value.branches?.length || value.state === "writing");
    empty.hidden = Boolean(some);
    filled.hidden = !some;
    if (!some) {
      views = [];
      list.replaceChildren();
      return;
    }
    value.branches ??= [];
    while (views.length > value.branches.length) views.pop().box.remove();
    while (views.length < value.branches.length) {
      views.push(view(views.length));
      list.append(views.at(-1).box);
    }
    panel.hidden = legend.hidden = explained.hidden = Boolean(value.plain);
    if (shown && !value.branches[shown.branch]?.tokens[shown.index]) show(null);
    drawBranches();
    const n = value.branches.reduce((sum, branch) => sum + branch.tokens.length, 0);
    const count = `${whole(n)} ${n === 1 ? "token" : "tokens"}`;
    const words = { writing: "Generating…", done: count, stopped: `${count}, stopped`, idle: "" }[value.state] ?? "";
    setText(state, [words, value.note].filter(Boolean).join(" · "));
    if (!shown) setText(panel, n ? hint() : "");
  }

  function drawBranches() {
    const alone = value.branches.length === 1 && !value.branches[0].name;
    value.branches.forEach((branch, number) => {
      const { box, name, note, given, flow, caret } = views[number];
      box.style.marginInlineStart = `${Math.min(4, depth(number)) * 18}px`;
      box.classList.toggle("pg-branch-chosen", !alone && value.chosen === number);
      name.parentElement.hidden = alone;
      name.setAttribute("aria-pressed", String(value.chosen === number));
      setText(name, branch.name || `${number + 1}`);
      setText(note, branch.note ?? "");
      const taken = branch.parent == null ? "" : path(branch.parent).slice(0, branch.at).map((token) => token.text).join("");
      const before = printable(value.prompt ?? "") + printable(taken);
      // A branch that is not looked at begins close to where it leaves its parent.
      setText(given, branch.parent == null || value.chosen === number ? before : `…${Array.from(before).slice(-24).join("")}`);
      drawTokens(number, branch.tokens);
      caret.hidden = value.state !== "writing" || !branch.writing;
      if (flow.firstElementChild && !flow.querySelector('[tabindex="0"]')) flow.firstElementChild.tabIndex = 0;
    });
  }

  function drawTokens(number, news) {
    const known = views[number];
    let same = 0;
    while (same < known.tokens.length && same < news.length && known.tokens[same].text === news[same].text && known.tokens[same].p === news[same].p) same++;
    if (shown?.branch === number && shown.index >= same) show(null);
    while (known.flow.children.length > same) known.flow.lastElementChild.remove();
    known.flow.append(...news.slice(same).map(({ text, p }) => tokenSpan(text, p)));
    known.tokens = news;
  }

  // ---- what else could have come --------------------------------------------------------------------------------------

  function point(branch, target) {
    const index = indexOf(views[branch].flow, target);
    if (index >= 0) show({ branch, index });
  }

  function show(place) {
    if (place && shown && place.branch === shown.branch && place.index === shown.index) return;
    if (shown) views[shown.branch]?.flow.children[shown.index]?.classList.remove("pg-token-chosen");
    shown = place;
    const token = place && value.branches[place.branch]?.tokens[place.index];
    if (!token) {
      setText(panel, hint());
      return;
    }
    const { flow } = views[place.branch];
    flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
    flow.children[place.index].tabIndex = 0;
    flow.children[place.index].classList.add("pg-token-chosen");
    const at = (value.branches[place.branch].at ?? 0) + place.index;
    const rows = (token.alternatives ?? []).map(([id, text, p]) => alternative(place.branch, at, token, id, text, p));
    panel.replaceChildren(
      el("p", {}, ...tokenWords(token.text, token.p), rows.length && !value.fixed ? ". Choose another token to branch off here." : ""),
      ...(rows.length ? [el("ul", { class: "pg-alternatives", "aria-label": "Most likely tokens here" }, ...rows)] : []));
  }

  function alternative(branch, at, token, id, text, p) {
    const taken = id === token.id;
    const button = el("button", { type: "button", class: "pg-alternative-button", disabled: taken || value.fixed || value.state === "writing",
      "aria-label": `${visible(text)}, ${percent(p)}${taken ? ", taken" : value.fixed ? "" : ", branch off here"}` },
    ...alternativeRow(text, p));
    button.addEventListener("click", () => trigger("branch", { branch, at, id }));
    return el("li", { class: taken ? "pg-alternative-taken" : "" }, button);
  }

  watch("value", draw);
  draw();
}
