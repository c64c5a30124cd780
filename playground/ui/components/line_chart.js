// A chart of a few lines. Words come from runs and users: they reach the page through textContent, and Plotly gets `plain`
// ones.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ name: string, x: any[], y: any[], dots?: boolean, label?: string }} ChartLine */
/** @typedef {{ x: number, text: string }} ChartMark */
/** @typedef {{ title: string, about: string, x: string, y: string, lines: ChartLine[], note: string, nonce: number | string, log?: boolean, marks?: ChartMark[], ticks?: number[] }} LineChartValue */
/** @typedef {Component<LineChartValue>} Given */

import { colours, onTheme } from "../static/colours.js";
import { el, onResize, setText } from "../static/dom.js";
import { loadPlotly } from "../static/plotly.js";
import { plain } from "../static/words.js";

const COLOURS = ["blue", "vermilion", "green", "purple", "orange", "sky"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "x", "triangle-up", "cross"];

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-lines");

  const title = el("b");
  const about = el("span");
  const plot = el("div", { class: "pg-lines-plot", role: "img" });
  const note = el("p", { class: "pg-lines-note" });
  const panel = el("div", { class: "pg-panel", hidden: true }, el("h2", { class: "pg-panel-title" }, title, " ", about), plot, note);
  root.append(panel);

  let value = null;
  let drawing = false;

  function traces(colour) {
    const family = {}; // lines of one name, and the dots that belong to them, share a colour and a place in the legend
    const listed = new Set();
    return value.lines.map((line) => {
      const n = (family[line.name] ??= Object.keys(family).length) % COLOURS.length;
      const look = { color: colour[COLOURS[n]] };
      const name = plain(line.name) + (line.dots ? ", measured" : "");
      const showlegend = !listed.has(name);
      listed.add(name);
      const more = line.label ? { hovertemplate: `${plain(line.label)}: %{y:.3~g}<extra></extra>` } : {};
      return { x: line.x, y: line.y, name, showlegend, legendgroup: name, ...more, mode: line.dots ? "markers" : "lines",
        line: { ...look, dash: DASHES[n], width: 2 }, marker: { ...look, symbol: SYMBOLS[n], size: 7 } };
    });
  }

  function layout(colour) {
    const narrow = plot.clientWidth < 520;
    const axis = { color: colour.soft, gridcolor: colour.line, zeroline: false, tickfont: { size: 11 }, titlefont: { size: 12 } };
    const marks = value.marks ?? [];
    return {
      width: Math.floor(plot.clientWidth), height: narrow ? 300 : 320, margin: { l: 62, r: 14, t: 16, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(root).fontFamily, size: 12, color: colour.soft },
      xaxis: { ...axis, title: { text: plain(value.x) }, showgrid: false, nticks: narrow ? 5 : 9, ...(value.ticks ? { tickvals: value.ticks } : {}) },
      yaxis: { ...axis, title: { text: plain(value.y) }, type: value.log ? "log" : "linear", rangemode: value.log ? "normal" : "tozero", nticks: 6 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, showlegend: true, hovermode: value.lines.length > 10 ? "closest" : "x unified",
      hoverlabel: { bgcolor: colour.card, bordercolor: colour.line, font: { color: colour.ink } },
      shapes: marks.map(({ x }) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colour.grey, width: 1, dash: "dot" } })),
      annotations: marks.map(({ x, text }) => ({ x, yref: "paper", y: 1, text: plain(text), showarrow: false, xanchor: "left", yanchor: "top", xshift: 4, font: { size: 11, color: colour.soft } })),
    };
  }

  async function redraw() {
    if (!value || drawing || plot.clientWidth === 0) return;
    drawing = true;
    try {
      const plotly = await loadPlotly();
      const colour = colours();
      await plotly.react(plot, traces(colour), layout(colour), { displayModeBar: false, responsive: false, showSendToCloud: false });
    } finally {
      drawing = false;
    }
  }

  let waiting = 0;

  function draw() {
    value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    panel.hidden = !value?.lines?.length;
    if (panel.hidden) return;
    setText(title, value.title);
    setText(about, value.about ?? "");
    setText(note, value.note ?? "");
    plot.setAttribute("aria-label", `${value.title}: ${value.y} over ${value.x}. ${value.note ?? ""}`);
    clearTimeout(waiting);
    waiting = setTimeout(redraw, drawing ? 120 : 0);
  }

  onResize(plot, redraw);
  onTheme(element, redraw);
  watch("value", draw);
  draw();
}
