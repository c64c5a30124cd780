// Training curves: the chart that live_run.js, compare_chart.js and race_view.js share.
//
// A chart is drawn whole from its state: one Plotly.react per change, measured as fast as extendTraces plus the
// relayout that moving labels need, and much simpler. Axis ranges are computed here rather than by Plotly, so a zoom
// is one variable: while it is set, growing curves leave the view alone.

import { colours, faint, onTheme } from "./colours.js";
import { el, onResize, save, segmented, setText, toggle } from "./dom.js";
import { RUN_AXES, RUN_METRICS } from "./metrics.js";
import { loadPlotly } from "./plotly.js";
import { lastOf, smooth, SMOOTHING } from "./runs.js";
import { plain } from "./words.js";

/** @import { PlotlyNode } from "./gradio.js" */

const SHARE = 150;

const CONFIG = { responsive: false, displaylogo: false, showSendToCloud: false, doubleClick: false, scrollZoom: false,
  displayModeBar: "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d"]] };

/** Give each label a `place` near its line's end, 15 pixels from the next: clusters share their displacement. */
function spread(labels, height) {
  const clusters = [];
  for (const label of [...labels].sort((a, b) => a.up - b.up)) {
    clusters.push({ middle: label.up, labels: [label] });
    while (clusters.length > 1) {
      const [below, above] = clusters.slice(-2);
      const room = 7.5 * (below.labels.length + above.labels.length);
      if (above.middle - below.middle >= room) break;
      const labels = [...below.labels, ...above.labels];
      const middle = (below.middle * below.labels.length + above.middle * above.labels.length) / labels.length;
      clusters.splice(-2, 2, { middle, labels });
    }
  }
  for (const { middle, labels: members } of clusters) {
    const half = 7.5 * (members.length - 1);
    const centre = Math.max(6 + half, Math.min(height - 4 - half, middle));
    members.forEach((label, i) => (label.place = centre - half + 15 * i));
  }
}

/**
 * A toolbar and a chart inside `host`.
 *
 * options.styles: a `Styles`. options.trainAlways: draw training curves without asking. options.label: accessible
 * name. options.planned: the horizontal axis reaches to the run's last planned step. options.endLabel(line): words at a
 * line's end, "" for none. options.hoverName(line): its name under the pointer. options.onChoice(): another metric or axis.
 * options.metrics, options.axes, options.lines(chosen, logs): what else than runs may be drawn, and its lines; a line may have a
 * band { low, high }; one that is a single point with dots { up, down } is drawn as a point with bars. options.si: axes whose numbers are so large that they are written as 3.2M. options.exports(): offer
 * PNG, SVG and CSV under the file name that this returns.
 * options.behind(chosen, log): lines that lie behind the runs' own.
 * options.baselines(run): losses in nats per token to compare with, [{ name, loss }], as dashed lines right across.
 * Returns { draw(runs), latest(run), chosen } where chosen = { metric, axis, smoothing, train } as the visitor set them.
 */
export function curveChart(host, options) {
  const METRICS = options.metrics ?? RUN_METRICS;
  const AXES = options.axes ?? RUN_AXES;
  const chosen = { metric: Object.keys(METRICS)[0], axis: "step", smoothing: SMOOTHING, train: Boolean(options.trainAlways) };
  const logs = Object.fromEntries(Object.entries(METRICS).map(([id, metric]) => [id, Boolean(metric.log)]));
  const narrow = () => host.clientWidth < 560;
  let runs = [];
  let plotly = null;
  let zoom = null;
  let held = false;
  let late = false;
  let cost = 0; // milliseconds that the last drawing took
  let drawn = -Infinity; // when it ended

  const metrics = segmented("Metric", Object.entries(METRICS).map(([id, m]) => [id, m.name]), chosen.metric, (id) => {
    chosen.metric = id;
    log.querySelector("input").checked = logs[id];
    smoothing.hidden = !drawsSmoothed();
    unzoom();
    options.onChoice?.();
  });
  const axes = segmented("Horizontal axis", Object.entries(AXES), chosen.axis, (id) => {
    chosen.axis = id;
    unzoom();
    options.onChoice?.();
  });
  const slider = el("input", { type: "range", min: 0, max: 0.98, step: 0.02, "aria-label": "Smoothing of training curves" });
  slider.value = String(chosen.smoothing);
  const amount = el("output", { text: chosen.smoothing.toFixed(2) });
  slider.addEventListener("input", () => {
    chosen.smoothing = Number(slider.value);
    setText(amount, chosen.smoothing.toFixed(2));
    slider.style.setProperty("--pg-part", `${(100 * chosen.smoothing) / 0.98}%`);
    redraw();
  });
  slider.style.setProperty("--pg-part", `${(100 * chosen.smoothing) / 0.98}%`);
  const smoothing = el("label", { class: "pg-slider" }, el("span", { text: "smoothing" }), slider, amount);
  const log = toggle("log", logs[chosen.metric], (on) => {
    logs[chosen.metric] = on;
    unzoom();
  });
  log.title = "Logarithmic vertical axis";
  const train = toggle("show training", chosen.train, (on) => {
    chosen.train = on;
    smoothing.hidden = !drawsSmoothed();
    unzoom();
  });
  const back = el("button", { type: "button", class: "pg-small-button", text: "Reset zoom", hidden: true });
  back.addEventListener("click", unzoom);
  const drawsSmoothed = () =>
    Boolean(METRICS[chosen.metric].train) && !METRICS[chosen.metric].unsmoothed && (chosen.train || !METRICS[chosen.metric].validation);
  smoothing.hidden = !drawsSmoothed();

  const tools = el("div", { class: "pg-chart-tools" }, smoothing);
  if (!options.trainAlways) tools.append(train);
  tools.append(log);
  if (options.exports) tools.append(...exportButtons());
  const plot = /** @type {PlotlyNode} */ (el("div", { class: "pg-chart", role: "figure", "aria-label": options.label }));
  axes.classList.add("pg-segments-small");
  host.append(el("div", { class: "pg-toolbar" }, metrics, tools), el("div", { class: "pg-chart-frame" }, plot, back), el("div", { class: "pg-chart-axis" }, axes));

  // A redraw in the middle of a drag would take the selection rectangle away: it waits for the end.
  plot.addEventListener("pointerdown", () => (held = true), true);
  window.addEventListener("pointerup", () => {
    held = false;
    if (late) redraw();
  });
  onTheme(host, redraw);
  onResize(host, redraw);

  function unzoom() {
    zoom = null;
    redraw();
  }

  /** The chart as a picture, and what it draws as numbers. */
  function exportButtons() {
    return [["png", "PNG"], ["svg", "SVG"], ["csv", "CSV"]].map(([format, text]) => {
      const button = el("button", { type: "button", class: "pg-small-button pg-export", text, title: `Save this chart as ${text}`, "data-format": format });
      button.addEventListener("click", () => (format === "csv" ? save(`${options.exports()}.csv`, asCSV(), "text/csv") : savePicture(format)));
      return button;
    });
  }

  async function savePicture(format) {
    plotly ??= await loadPlotly();
    // A picture has no page behind it: give it the card's colour.
    const figure = { data: plot.data, layout: { ...plot.layout, paper_bgcolor: colours().card, plot_bgcolor: colours().card } };
    const address = await plotly.toImage(figure, { format, width: 1000, height: 560, scale: 2 });
    save(`${options.exports()}.${format}`, await (await fetch(address)).blob());
  }

  function asCSV() {
    const quoted = (text) => `"${String(text).replace(/^[=+@-]/, "'$&").replaceAll('"', '""')}"`;
    const rows = [["line", AXES[chosen.axis], METRICS[chosen.metric].axis, "low", "high"].map(quoted).join(",")];
    for (const line of lines()) {
      line.x.forEach((x, i) => rows.push([quoted(options.hoverName(line)), x, line.y[i], line.band?.low[i] ?? "", line.band?.high[i] ?? ""].join(",")));
    }
    return rows.join("\n") + "\n";
  }

  /** One run's curve as {x, y}, without gaps. `part` is "train" or "validation". */
  function curve(run, part) {
    const metric = METRICS[chosen.metric];
    if (!metric[part]) return null;
    let y = metric[part](run);
    if (part === "train" && !metric.unsmoothed) y = smooth(y, chosen.smoothing);
    const x = run[part][chosen.axis];
    const keep = x.map((_, i) => i).filter((i) => x[i] != null && Number.isFinite(y[i]) && (!logs[chosen.metric] || y[i] > 0));
    return keep.length ? { x: keep.map((i) => x[i]), y: keep.map((i) => y[i]), ...errors(run, part, keep) } : null;
  }

  /** One standard error to either side of validation losses, in units of the chosen metric; nothing where a log has none. */
  function errors(run, part, keep) {
    const { ofLoss } = METRICS[chosen.metric];
    const { loss, loss_se } = run[part];
    if (part !== "validation" || !ofLoss || !keep.every((i) => loss_se?.[i] != null)) return {};
    const [low, high] = [-1, 1].map((side) => keep.map((i) => ofLoss(loss[i] + side * loss_se[i], run)));
    return { band: { low, high }, half: keep.map((_, i) => (high[i] - low[i]) / 2) };
  }

  /** Every line to draw: thin for training, bold for validation (or for the only one that there is). */
  function lines() {
    if (options.lines) return options.lines(chosen, logs[chosen.metric]);
    const metric = METRICS[chosen.metric];
    const behind = options.behind?.(chosen, logs[chosen.metric]) ?? [];
    return behind.concat(runs.flatMap((run) => {
      const { colour, dash } = options.styles.of(run);
      const bold = curve(run, metric.validation ? "validation" : "train");
      const thin = chosen.train && metric.validation ? curve(run, "train") : null;
      const out = [];
      if (thin) out.push({ run, ...thin, name: "training", colour, dash: "solid", width: 1.2, opacity: 0.55, thin: true });
      if (bold) out.push({ run, ...bold, name: metric.validation ? "validation" : "training", colour, dash, width: metric.validation ? 2.6 : 1.6, opacity: 1 });
      return out;
    }));
  }

  /** Where the horizontal axis ends: the planned number of steps for one run, else the furthest point. */
  function furthest(all) {
    const data = Math.max(1, ...all.map((line) => line.x.at(-1)));
    const run = options.planned ? runs[0] : null;
    if (!run || !(run.steps > 0) || chosen.axis === "seconds") return data * 1.02;
    if (chosen.axis === "step") return Math.max(run.steps, data);
    const steps = lastOf(run.train.step);
    return steps ? Math.max(data, (lastOf(run.train.tokens) / steps) * run.steps) : data;
  }

  function fit(all) {
    const isLog = logs[chosen.metric];
    const scale = isLog ? Math.log10 : (y) => y;
    let low = Infinity;
    let high = -Infinity;
    for (const line of all) {
      const around = line.dots ? [line.y[0] + line.dots.up, line.y[0] - line.dots.down] : [];
      for (const y of isLog ? line.y : [...line.y, ...(line.band?.low ?? []), ...(line.band?.high ?? []), ...around]) {
        if (y < low) low = y;
        if (y > high) high = y;
      }
    }
    if (!(high >= low)) return { x: [0, 1], y: isLog ? [-1, 1] : [0, 1] };
    [low, high] = [scale(low), scale(high)];
    const pad = Math.max((high - low) * 0.06, isLog ? 0.02 : Math.abs(high) * 0.01, 1e-9);
    const points = all.map((line) => line.dots && line.x[0]);
    const margin = Math.max(0.1 * (Math.max(...points) - Math.min(...points)), 0.05 * Math.max(...points));
    const across = points.every(Boolean) ? [Math.min(...points) - margin, Math.max(...points) + margin] : [0, furthest(all)];
    return { x: across, y: [low >= 0 && low - pad < 0 && !isLog ? 0 : low - pad, high + pad] };
  }

  /** Words at the lines' ends, nudged apart so that none covers another. */
  function endLabels(all, view, width, height) {
    const isLog = logs[chosen.metric];
    const card = faint(colours().card, 0.6);
    const labels = all
      .map((line) => ({ line, x: line.x.at(-1), y: isLog ? Math.log10(line.y.at(-1)) : line.y.at(-1), text: plain(options.endLabel(line)) }))
      .filter(({ x, y, text }) => text && x >= view.x[0] && x <= view.x[1] && y >= view.y[0] && y <= view.y[1])
      .map((label) => ({ ...label,
        left: ((label.x - view.x[0]) / (view.x[1] - view.x[0])) * width,
        up: ((label.y - view.y[0]) / (view.y[1] - view.y[0])) * height }))
      .sort((a, b) => a.left - b.left);
    const columns = []; // labels that could meet: their horizontal extents overlap
    let right = -Infinity;
    for (const label of labels) {
      if (label.left > right) columns.push([]);
      columns.at(-1).push(label);
      right = Math.max(label.left > right ? -Infinity : right, label.left + 8 * label.text.length + 10);
    }
    for (const column of columns) spread(column, height);
    return labels.map(({ line, x, y, text, up, place }) => ({
      x, y, xref: "x", yref: "y", text, showarrow: false, xanchor: "left", yanchor: "middle", xshift: 7, yshift: place - up,
      bgcolor: card, borderpad: 0, font: { size: 12, color: line.colour, weight: line.thin ? 400 : 650 }, opacity: line.thin ? 0.85 : 1,
    }));
  }

  function traces(all) {
    const bands = all.filter((line) => line.band && line.x.length > 1).map((line) => ({
      type: "scatter", mode: "lines", x: [...line.x, ...line.x.toReversed()], y: [...line.band.high, ...line.band.low.toReversed()], line: { width: 0 },
      fill: "toself", fillcolor: faint(line.colour, line.behind ? 0.3 : 0.16), hoverinfo: "skip", showlegend: false,
    }));
    return bands.concat(all.map((line) => ({
      type: "scatter", mode: line.x.length === 1 || line.dots ? "markers" : "lines", x: line.x, y: line.y, opacity: line.opacity,
      line: { color: line.colour, width: line.width, dash: line.dash }, marker: { color: line.colour, size: 6 },
      name: plain(options.hoverName(line)), hovertemplate: `%{y:${METRICS[chosen.metric].digits ?? ".3f"}}${line.half ? " ± %{customdata:.2g}" : ""}`, customdata: line.half, showlegend: false,
      ...(line.dots ? { error_y: { type: "data", symmetric: false, array: [line.dots.up], arrayminus: [line.dots.down], color: line.colour, thickness: 1.5 } } : {}),
    })));
  }

  /** What there is to compare with and lies in view, in units of the chosen metric: { name, y }. */
  function references(view) {
    const { ofLoss } = METRICS[chosen.metric];
    const found = ofLoss && options.baselines ? runs.flatMap((run) => options.baselines(run).map(({ name, loss }) => ({ name, y: ofLoss(loss, run) }))) : [];
    const scale = logs[chosen.metric] ? Math.log10 : (y) => y;
    return found.filter(({ y }) => scale(y) >= view.y[0] && scale(y) <= view.y[1]);
  }

  const referenceTraces = (view) => references(view).map(({ name, y }) => ({ type: "scatter", mode: "lines", x: view.x, y: [y, y],
    name, line: { color: colours().grey, width: 1, dash: "dash" }, hoverinfo: "skip", showlegend: false }));

  /** Their names at the right, where the curve has long gone below; one that would cover another is left out. */
  function referenceLabels(view, height) {
    let lastUp = -Infinity;
    return references(view).map(({ name, y }) => ({ name, y: logs[chosen.metric] ? Math.log10(y) : y }))
      .sort((a, b) => a.y - b.y)
      .filter(({ y }) => {
        const up = ((y - view.y[0]) / (view.y[1] - view.y[0])) * height;
        return up - lastUp >= 14 && ((lastUp = up), true);
      })
      .map(({ name, y }) => ({ x: 0.996, y, xref: "paper", yref: "y", text: plain(name), showarrow: false, xanchor: "right",
        yanchor: "bottom", borderpad: 0, font: { size: 11, color: colours().soft } }));
  }

  function layout(all) {
    const colour = colours();
    const height = narrow() ? 260 : 330;
    const ends = narrow() ? 0 : Math.min(150, Math.max(0, ...all.map((line) => plain(options.endLabel(line)).length)) * 7 + 14);
    const margin = { l: 50, r: Math.max(14, ends), t: 10, b: 26, pad: 0 };
    const fitted = fit(all);
    const view = zoom ?? fitted;
    const axis = { color: colour.soft, gridcolor: colour.line, showline: false, zeroline: false, automargin: false,
      tickfont: { size: 11 }, fixedrange: false };
    return {
      width: Math.floor(plot.clientWidth), height, margin, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(host).fontFamily, size: 12, color: colour.soft },
      xaxis: { ...axis, range: view.x, showgrid: false, nticks: narrow() ? 5 : 9, tickformat: narrow() || options.si?.includes(chosen.axis) ? "~s" : ",",
        unifiedhovertitle: { text: `${AXES[chosen.axis]} %{x:${options.si?.includes(chosen.axis) ? ".3s" : ",.0f"}}` } },
      yaxis: { ...axis, range: view.y, type: logs[chosen.metric] ? "log" : "linear", nticks: 7, exponentformat: "none",
        tickformat: METRICS[chosen.metric].ticks ?? ",~f",
        title: { text: METRICS[chosen.metric].axis, standoff: 4, font: { size: 12 } },
        ...(logs[chosen.metric] ? { dtick: view.y[1] - view.y[0] > 3 ? 1 : "D2" } : {}) },
      annotations: [...(narrow() ? [] : endLabels(all, view, plot.clientWidth - margin.l - margin.r, height - margin.t - margin.b)),
        ...referenceLabels(view, height - margin.t - margin.b)],
      hovermode: "x unified", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      hoverlabel: { bgcolor: colour.card, bordercolor: colour.line, font: { color: colour.ink, size: 12 } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour.soft, activecolor: colour.blue },
      uirevision: `${chosen.metric} ${chosen.axis}`, datarevision: performance.now(),
    };
  }

  function listen() {
    plot.on("plotly_relayout", (change) => {
      if (!Object.keys(change).some((key) => /^[xy]axis\.range/.test(key))) return;
      zoom = { x: [...plot.layout.xaxis.range], y: [...plot.layout.yaxis.range] };
      redraw();
    });
    plot.on("plotly_doubleclick", () => {
      unzoom();
      return false;
    });
  }

  let drawing = Promise.resolve();
  let queued = false;

  /** Draw once more after the drawing in progress, however often this is called meanwhile. */
  function redraw() {
    late = held;
    if (held || queued || !plot.isConnected || plot.clientWidth === 0 || (runs.length === 0 && !plotly && !options.lines)) return drawing;
    queued = true;
    drawing = drawing.then(() => {
      queued = false;
      return render();
    }).catch((error) => console.error(error));
    return drawing;
  }

  async function render() {
    const first = plotly === null;
    plotly ??= await loadPlotly();
    const started = performance.now();
    const all = lines();
    const around = layout(all);
    const view = { x: around.xaxis.range, y: around.yaxis.range };
    await plotly.react(plot, [...referenceTraces(view), ...traces(all)], around, CONFIG);
    if (first) listen();
    back.hidden = zoom === null;
    drawn = performance.now();
    cost = drawn - started;
    plot.dataset.ms = cost.toFixed(1);
  }

  return {
    chosen,
    /**
     * Show these runs. While one of them trains, drawing takes at most one part in SHARE of the time, because the training
     * may want the same cores: news that come sooner are drawn with the next ones. A curve's first points do not wait.
     */
    draw(newRuns) {
      const same = runs.length === newRuns.length && runs.every((run, i) => run === newRuns[i]);
      runs = newRuns;
      const early = performance.now() - drawn < Math.min(4000, SHARE * cost);
      const patient = runs.some((run) => run.state === "running" && run.train.step.length > 12);
      return same && early && patient ? drawing : redraw();
    },
    /** Draw another metric, as if the visitor had chosen it. */
    choose(metric) {
      const input = /** @type {HTMLInputElement} */ (metrics.querySelector(`input[value="${metric}"]`));
      if (input && !input.checked) input.click();
    },
    /** The last value of the chosen metric: { value, step } of the bold line, or null. */
    latest(run) {
      const metric = METRICS[chosen.metric];
      const part = metric.validation ? "validation" : "train";
      const y = metric[part](run);
      const at = y.findLastIndex((value) => value != null && Number.isFinite(value));
      return at < 0 ? null : { value: y[at], step: run[part].step[at], unit: metric.axis };
    },
  };
}
