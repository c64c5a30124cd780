// Byte pair encoding, merge by merge. The server says once which merge removes which boundary between two bytes; from there
// on the slider asks no server.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component, Endpoint } from "../static/gradio.js" */
/** @typedef {{ text: string, nonce: number | string }} ReplayValue */
/** @typedef {{ text: string, learned: string }} ReplayQuestion */
/** @typedef {{ token: number, pair: string[], ids: number[], count: number, rivals: [string, string, number][] }} Merge */
/** @typedef {{ bytes: string, removed: number[], merges: Merge[], learned: string, stopped: boolean }} ReplayAnswer */
/** @typedef {Component<ReplayValue, { replay: Endpoint<ReplayQuestion, ReplayAnswer> }>} Given */

import { askServer, el, segmented, setText, tokenPiece } from "../static/dom.js";
import { counted, number, visible, whole } from "../static/words.js";

const SHOWN = 1200; // bytes of the text that are drawn

/** @param {Given} given */
export function mount({ element, props, server, watch }) {
  const root = element.querySelector(".pg-replay");

  // ---- layout -------------------------------------------------------------------------------------------------------

  let learned = "text";
  const choice = segmented("Learn the merges from", [["text", "this text"], ["tales", "Tales"], ["python_source", "Python source"]], learned, (value) => {
    learned = value;
    fetchMerges();
  });
  const slider = el("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "Number of merges" });
  const count = el("output", { class: "pg-number" });
  const back = el("button", { type: "button", class: "pg-small-button", text: "◀", "aria-label": "One merge back" });
  const forward = el("button", { type: "button", class: "pg-small-button", text: "▶", "aria-label": "One merge on" });
  const alert = el("p", { class: "pg-alert pg-alert-bad", role: "alert", hidden: true });
  const title = el("p", { class: "pg-replay-title", "aria-live": "polite" });
  const bars = el("ol", { class: "pg-rivals", "aria-label": "The most frequent pairs at this step" });
  const flow = el("p", { class: "pg-pieces", dir: "auto" });
  const summary = el("p", { class: "pg-soft pg-small pg-number" });
  root.append(el("section", { class: "pg-panel", "aria-label": "Merge by merge" },
    el("div", { class: "pg-toolbar" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Merge by merge" }), " the most frequent pair becomes a token, again and again"), choice),
    el("div", { class: "pg-replay-slider" }, back, slider, forward, count), alert, title, bars, flow, summary));

  // ---- drawing ------------------------------------------------------------------------------------------------------

  let data = null; // { bytes, removed, merges }
  const decoder = new TextDecoder("utf-8", { fatal: true });

  /** Bytes as text, or as \xE2 when they are no whole characters. */
  function spelled(bytes) {
    try {
      return decoder.decode(bytes);
    } catch {
      return [...bytes].map((byte) => `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
    }
  }

  function drawText(step) {
    const { bytes, removed } = data;
    const end = Math.min(bytes.length, SHOWN);
    const nodes = [];
    let start = 0;
    let latest = 0; // the last merge inside the piece so far
    for (let i = 0; i < end; i++) {
      const at = i + 1 < end ? removed[i] : 0;
      if (at > 0 && at <= step) {
        latest = Math.max(latest, at);
        continue;
      }
      nodes.push(tokenPiece(spelled(bytes.subarray(start, i + 1)), nodes.length));
      if (step > 0 && latest === step) nodes.at(-1).classList.add("pg-piece-fresh");
      start = i + 1;
      latest = 0;
    }
    flow.replaceChildren(...nodes);
    let tokens = bytes.length;
    for (const at of removed) if (at > 0 && at <= step) tokens--;
    const cut = bytes.length > SHOWN ? ` The first ${whole(SHOWN)} bytes are shown.` : "";
    setText(summary, `${counted(bytes.length, "byte")} ${bytes.length === 1 ? "is" : "are"} now ${counted(tokens, "token")}: ${number(bytes.length / Math.max(1, tokens))} bytes per token, with a vocabulary of ${whole(256 + step)}.${cut}`);
  }

  function drawMerge(step) {
    const merge = data.merges[step - 1];
    bars.hidden = !merge;
    if (!merge) {
      const none = data.merges.length === 0;
      setText(title, none ? "No pair of tokens occurs twice in this text, so there is nothing to merge." : "Before the first merge: 256 tokens, one for each byte. Move the slider.");
      return;
    }
    const [left, right] = merge.pair.map(visible);
    title.replaceChildren(`Merge ${step}: `, el("code", { text: left }), " + ", el("code", { text: right }), " → ", el("code", { text: visible(joined(merge)) }),
      ` gets id ${merge.token}: the pair occurred ${counted(merge.count, "time")} in ${data.learned}.`);
    const most = merge.rivals[0][2];
    bars.replaceChildren(...merge.rivals.map(([a, b, n], i) => {
      const bar = el("i", { "aria-hidden": "true" });
      bar.style.width = `${(100 * n) / most}%`;
      return el("li", { class: i === 0 ? "pg-rival pg-rival-won" : "pg-rival" }, el("code", {}, visible(a), el("i", { text: " + " }), visible(b)), el("span", { class: "pg-rival-bar" }, bar), el("span", { class: "pg-number", text: whole(n) }));
    }));
  }

  /** The new token's text: its halves, joined as bytes where they are parts of a character. */
  function joined({ pair }) {
    const text = pair.join("");
    if (!/^(\\x[0-9A-F]{2})+$/.test(text)) return text;
    return spelled(Uint8Array.from(text.slice(2).split("\\x"), (two) => parseInt(two, 16)));
  }

  function draw() {
    if (!data) return;
    const started = performance.now();
    const step = Number(slider.value);
    slider.style.setProperty("--pg-part", `${(100 * step) / Math.max(1, data.merges.length)}%`);
    slider.setAttribute("aria-valuetext", counted(step, "merge"));
    setText(count, `${whole(step)} of ${whole(data.merges.length)}${data.stopped ? ", no more pairs" : ""}`);
    drawMerge(step);
    drawText(step);
    root.dataset.ms = (performance.now() - started).toFixed(1);
  }

  slider.addEventListener("input", draw);
  for (const [button, move] of /** @type {[HTMLButtonElement, number][]} */ ([[back, -1], [forward, 1]])) {
    button.addEventListener("click", () => {
      slider.value = String(Number(slider.value) + move);
      draw();
    });
  }

  // ---- life ---------------------------------------------------------------------------------------------------------

  let latest = 0;

  async function fetchMerges() {
    const { text = "" } = JSON.parse(JSON.stringify(props.value ?? {}));
    root.hidden = !text;
    if (!text) return;
    const mine = ++latest;
    root.classList.add("pg-waiting");
    const reply = await askServer(server.replay, { text, learned });
    if (mine !== latest) return;
    root.classList.remove("pg-waiting");
    const problem = reply ? reply.error ?? "" : "The server did not answer. Change something to ask again.";
    alert.hidden = !problem;
    setText(alert, problem);
    if (problem) return;
    data = { ...reply, bytes: Uint8Array.from(atob(reply.bytes), (character) => character.charCodeAt(0)) };
    const before = Number(slider.value);
    slider.max = String(data.merges.length);
    slider.value = String(Math.min(before || 12, data.merges.length));
    draw();
  }

  watch("value", fetchMerges);
  fetchMerges();
}
