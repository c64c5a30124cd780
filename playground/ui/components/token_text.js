// Generated text, coloured by surprise. The value is replaced about eight times a second while the model writes; what
// is already on the page stays. Gradio runs this file as a function body with `element`, `props` and `watch`.
/* global element, props, watch */

const P = window.Playground;
const root = element.querySelector(".pg-tokens");
const LEVELS = 6; // a level every 1.5 bits: 0 = certain ... 5 = 7.5 bits or more

const surprise = (p) => -Math.log2(Math.max(p, 1e-12));
const level = (p) => Math.min(LEVELS - 1, Math.floor(surprise(p) / 1.5));

// ---- layout -------------------------------------------------------------------------------------------------------

const empty = element.querySelector(".pg-tokens-empty");
const legend = P.el("div", { class: "pg-surprise-legend" }, P.el("span", { text: "expected" }),
  ...Array.from({ length: LEVELS }, (_, i) => P.el("i", { class: `pg-surprise-${i}`, "aria-hidden": "true" })), P.el("span", { text: "surprising" }));
const prompt = P.el("span", { class: "pg-soft" });
const flow = P.el("span", { role: "group", "aria-label": "Generated tokens; arrow keys move between them" });
const caret = P.el("span", { class: "pg-caret", "aria-hidden": "true", hidden: true });
const text = P.el("p", { class: "pg-token-flow" }, prompt, flow, caret);
const state = P.el("span", { class: "pg-soft", "aria-live": "polite" });
const panel = P.el("div", { class: "pg-token-panel", "aria-live": "polite" });
const hint = "Point at a token, or reach it with Tab and the arrow keys, to see how likely it was and what else could have come.";
const filled = P.el("div", { class: "pg-panel", hidden: true },
  P.el("div", { class: "pg-token-head" }, P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: "Text" }), " the deeper the colour, the more it surprised the model"), legend),
  text, state, panel);
root.append(filled);

// ---- tokens -------------------------------------------------------------------------------------------------------

let tokens = [];
let chosen = -1;

/** One token as a span; a line break is shown as a mark and then done. */
function span({ text, p }) {
  const node = P.el("span", { class: `pg-token pg-surprise-${level(p)}`, tabindex: -1 });
  const shown = text === "" ? "∅" : text;
  for (const part of shown.split(/(\n)/)) {
    if (part === "\n") node.append(P.el("span", { class: "pg-token-mark", text: "⏎" }), "\n");
    else if (part) node.append(part.replace(/[\p{Cc}\p{Cf}]/gu, P.visible));
  }
  return node;
}

function draw() {
  const value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
  const some = value && (value.prompt || value.tokens?.length || value.state === "writing");
  empty.hidden = Boolean(some);
  filled.hidden = !some;
  if (!some) {
    tokens = [];
    flow.replaceChildren();
    return;
  }
  const news = value.tokens ?? [];
  let same = 0;
  while (same < tokens.length && same < news.length && tokens[same].text === news[same].text && tokens[same].p === news[same].p) same++;
  while (flow.children.length > same) flow.lastElementChild.remove();
  flow.append(...news.slice(same).map(span));
  tokens = news;
  if (chosen >= tokens.length || same <= chosen) show(-1);
  if (flow.firstElementChild && !flow.querySelector('[tabindex="0"]')) flow.firstElementChild.tabIndex = 0;

  P.say(prompt, value.prompt ?? "");
  caret.hidden = value.state !== "writing";
  const count = `${P.whole(tokens.length)} ${tokens.length === 1 ? "token" : "tokens"}`;
  const words = { writing: "Writing…", done: count, stopped: `${count}, stopped`, idle: "" }[value.state] ?? "";
  P.say(state, [words, value.note].filter(Boolean).join(" · "));
  if (chosen < 0) P.say(panel, tokens.length ? hint : "");
}

// ---- what else could have come --------------------------------------------------------------------------------------

function show(index) {
  if (index === chosen) return;
  flow.children[chosen]?.classList.remove("pg-token-chosen");
  chosen = index;
  const token = tokens[index];
  if (!token) {
    P.say(panel, tokens.length ? hint : "");
    return;
  }
  flow.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
  flow.children[index].tabIndex = 0;
  flow.children[index].classList.add("pg-token-chosen");
  const rows = (token.alternatives ?? []).map(([other, p]) => {
    const bar = P.el("i", { "aria-hidden": "true" });
    bar.style.width = `${100 * Math.min(1, p)}%`;
    return P.el("li", { class: other === token.text ? "pg-alternative pg-alternative-taken" : "pg-alternative" },
      P.el("code", { text: P.visible(other) }), P.el("span", { class: "pg-alternative-bar" }, bar), P.el("span", { class: "pg-number", text: P.percent(p) }));
  });
  panel.replaceChildren(
    P.el("p", {}, P.el("code", { text: P.visible(token.text) }), ` had a probability of ${P.percent(token.p)}: `,
      P.el("b", { text: `${surprise(token.p).toFixed(1)} bits of surprise` })),
    ...(rows.length ? [P.el("ul", { class: "pg-alternatives", "aria-label": "Most likely tokens here" }, ...rows)] : []));
}

const indexOf = (target) => [...flow.children].indexOf(target.closest?.(".pg-token"));

flow.addEventListener("pointerover", (event) => {
  const index = indexOf(event.target);
  if (index >= 0) show(index);
});
flow.addEventListener("click", (event) => {
  const index = indexOf(event.target);
  if (index >= 0) flow.children[index].focus();
});
flow.addEventListener("focusin", (event) => show(indexOf(event.target)));
flow.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  const next = step && flow.children[chosen + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
});

watch("value", draw);
draw();
