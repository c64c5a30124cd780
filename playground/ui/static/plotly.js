// plotly.js, loaded when the first chart is drawn.

import { el } from "./dom.js";

let plotly;

/**
 * plotly.js from the Python wheel, which the server has next to these scripts. The promise keeps this Plotly for itself: a
 * gr.Plot on the page would later put Gradio's own, older one under `window.Plotly`. A saved report carries its own.
 */
export function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    if (import.meta.url.startsWith("data:")) return resolve(window.Plotly);
    const script = el("script", { src: new URL("../plotly.min.js", import.meta.url).href });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotly = undefined;
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
    return undefined;
  });
  return plotly;
}
