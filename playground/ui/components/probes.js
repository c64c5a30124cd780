// A chart for every label: accuracy of a probe at each depth, with the commonest answer and shuffled labels beside it; all
// numbers also as a table.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @import { CheckpointQuestion, TextValue } from "../static/types.js" */
/** @typedef {{ id: string, name: string, question: string, n_class: number, n_train: number, n_test: number, majority: [number, number | null], real: ([number, number | null])[], shuffled: ([number, number | null])[], words: string }} ProbeLabel */
/** @typedef {{ depths: string[], labels: ProbeLabel[], skipped: string[], n_tokens: number }} ProbesAnswer */
/** @typedef {Component<TextValue, { probes: Endpoint<CheckpointQuestion, ProbesAnswer> }>} Given */

import { colours, onTheme } from "../static/colours.js";
import { el, onResize, setText } from "../static/dom.js";
import { loadPlotly } from "../static/plotly.js";
import { createView, panel, smallText } from "../static/view.js";
import { counted, whole } from "../static/words.js";

const percent = ([accuracy, error]) => `${(100 * accuracy).toFixed(1)}${error == null ? "" : ` ± ${(100 * error).toFixed(1)}`}`;

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const cards = el("div", { class: "pg-two-cards" });
  const table = el("table", { class: "pg-table" });
  const skipped = smallText();
  const tableCard = panel("All numbers", "accuracy (%) on windows that the probe was not fitted on, ± one standard error",
    el("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Accuracy of every probe" }, table), skipped);
  const filled = el("div", { class: "pg-stack" }, cards, tableCard);
  const look = createView({ element, props, watch }, "pg-probes", filled, ["run", "step"], begin);
  const { root } = look;

  let reply = null;
  let plots = [];
  let drawing = false;

  function build() {
    plots = reply.labels.map((label) => {
      const plot = el("div", { class: "pg-lines-plot", role: "img", "aria-label": `${label.name}: accuracy at each depth. ${label.words}` });
      const card = panel(label.name, label.question, plot,
        el("p", { class: "pg-small", text: `${label.words} ${label.n_class} classes; fitted on ${counted(label.n_train, "token")}, tested on ${whole(label.n_test)}.` }));
      card.dataset.label = label.id;
      return { label, plot, card };
    });
    cards.replaceChildren(...plots.map(({ card }) => card));
    for (const { plot } of plots) onResize(plot, draw);
    const head = el("tr", {}, ...["", "majority class", ...reply.depths].map((text) => el("th", { scope: "col", text })));
    const line = (name, cells) => el("tr", {}, el("th", { scope: "row", text: name }), ...cells.map((text) => el("td", { text })));
    table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...reply.labels.flatMap((label) => [
      line(label.name, [percent(label.majority), ...label.real.map(percent)]), line(`${label.name}, shuffled`, ["", ...label.shuffled.map(percent)])])));
    setText(skipped, `${counted(reply.n_tokens, "token")} of validation text; a third of the windows is for testing. Bars in the charts are two standard errors.${reply.skipped.length ? ` Too few tokens for: ${reply.skipped.join(", ")}.` : ""}`);
    root.dataset.labels = reply.labels.length;
  }

  async function draw() {
    if (drawing || !reply) return;
    drawing = true;
    try {
      const plotly = await loadPlotly();
      const colour = colours();
      const axis = { color: colour.soft, gridcolor: colour.line, zeroline: false, tickfont: { size: 11 } };
      const named = (text) => ({ text, font: { size: 12 } });
      for (const { label, plot } of plots) {
        if (!plot.clientWidth) continue;
        const series = (name, fits, look, symbol) => ({ x: reply.depths, y: fits.map(([accuracy]) => 100 * accuracy), name, mode: "lines+markers", line: { ...look, width: 2 }, marker: { color: look.color, symbol, size: 7 },
          error_y: { type: "data", array: fits.map(([, error]) => 200 * (error ?? 0)), color: look.color, thickness: 1.2, width: 3 }, hovertemplate: "%{y:.1f} %" });
        const same = reply.depths.map(() => label.majority);
        await plotly.react(plot, [series("probe", label.real, { color: colour.blue }, "circle"), series("shuffled", label.shuffled, { color: colour.vermilion, dash: "dot" }, "square"),
          { ...series("majority", same, { color: colour.grey, dash: "dash" }, "line-ew"), mode: "lines", error_y: { visible: false } }],
          { width: Math.floor(plot.clientWidth), height: 270, margin: { l: 50, r: 12, t: 34, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
            font: { family: getComputedStyle(root).fontFamily, size: 12, color: colour.soft }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } }, hovermode: "x unified",
            hoverlabel: { bgcolor: colour.card, bordercolor: colour.line, font: { color: colour.ink } },
            xaxis: { ...axis, title: named("read after"), showgrid: false, type: "category" }, yaxis: { ...axis, title: named("accuracy (%)"), range: [0, 103], dtick: 25 } },
          { displayModeBar: false, responsive: false, showSendToCloud: false });
      }
    } finally {
      drawing = false;
    }
  }

  async function begin({ run }, before) {
    if (before.run !== run) {
      filled.hidden = true;
      look.tell("Fitting probes to every layer, a few seconds…");
    }
    const answer = await look.ask(server.probes, {}, { dim: root });
    if (!answer) return;
    reply = answer;
    if (!reply.labels.length) return look.refuse("No label has enough tokens in this text. Choose a run on a longer one.");
    look.tell("");
    look.show();
    build();
    await draw();
  }

  onTheme(element, draw);
}
