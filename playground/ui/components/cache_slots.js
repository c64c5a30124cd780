// The slots of a KV cache, played token by token.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ held: number[], inside: number[], slot: number, evicted: number }} SlotStep */
/** @typedef {{ capacity: number, n_sink: number, streams: boolean, tokens: string[], steps: SlotStep[], nonce: number | string }} SlotsValue */
/** @typedef {Component<SlotsValue>} Given */

import { calm, el, every, setText } from "../static/dom.js";
import { visible } from "../static/words.js";

const PACE = 700; // milliseconds a token

/** @param {Given} given */
export function mount({ element, props, watch }) {
  const root = element.querySelector(".pg-slots");

  const track = el("ol", { class: "pg-slot-row", "aria-label": "Slots of the cache" });
  const words = el("p", { class: "pg-slot-words" });
  const play = el("button", { type: "button", class: "pg-small-button" });
  const back = el("button", { type: "button", class: "pg-small-button", text: "◂ back" });
  const on = el("button", { type: "button", class: "pg-small-button", text: "one token ▸" });
  const slider = el("input", { type: "range", min: 0, step: 1, "aria-label": "Token" });
  const panel = el("div", { class: "pg-panel", hidden: true },
    el("h2", { class: "pg-panel-title" }, el("b", { text: "Slots of the cache" }), " of one layer; a box is a slot, the number in it the position of its token in the text"),
    track, words, el("div", { class: "pg-slot-controls" }, play, back, on, slider));
  root.append(panel);

  let value = null;
  let at = 0;
  let playing = false;

  function load() {
    value = JSON.parse(JSON.stringify(props.value ?? null)); // a plain copy: Gradio's is a slow proxy
    panel.hidden = !value?.steps?.length;
    if (panel.hidden) return;
    track.replaceChildren(...Array.from({ length: value.capacity }, (_, slot) => el("li", { class: slot < value.n_sink ? "pg-slot pg-slot-sink" : "pg-slot" },
      el("b"), el("code"), el("small"))));
    slider.max = String(value.steps.length - 1);
    at = 0;
    playing = !calm();
    draw();
  }

  function draw() {
    const step = value.steps[at];
    [...track.children].forEach((box, slot) => {
      const held = step.held[slot];
      const [position, token, inside] = box.children;
      box.classList.toggle("pg-slot-new", slot === step.slot);
      box.classList.toggle("pg-slot-empty", held < 0);
      setText(position, held < 0 ? "" : String(held));
      setText(token, held < 0 ? "" : visible(value.tokens[held] ?? ""));
      setText(inside, held < 0 || !value.streams ? "" : `at ${step.inside[slot]}`);
    });
    const token = visible(value.tokens[at] ?? "");
    const where = at < value.n_sink ? "the slot of a sink, permanently" : `slot ${step.slot}`;
    const gone = step.evicted >= 0 ? ` Token ${step.evicted}, the oldest that is not a sink, is evicted.` : "";
    const inside = value.streams ? ` Its position for RoPE is ${step.inside[step.slot]}.` : "";
    setText(words, `Token ${at}, “${token}”, takes ${where}.${gone}${inside}`);
    slider.value = String(at);
    setText(play, playing ? "❚❚ pause" : "▶ play");
  }

  function go(to) {
    at = Math.max(0, Math.min(value.steps.length - 1, to));
    draw();
  }

  play.addEventListener("click", () => {
    playing = !playing;
    if (playing && at === value.steps.length - 1) at = 0;
    draw();
  });
  back.addEventListener("click", () => {
    playing = false;
    go(at - 1);
  });
  on.addEventListener("click", () => {
    playing = false;
    go(at + 1);
  });
  slider.addEventListener("input", () => {
    playing = false;
    go(Number(slider.value));
  });
  every(element, PACE, () => {
    if (!value || !playing) return;
    if (at === value.steps.length - 1) playing = false;
    go(at + 1);
  });

  watch("value", load);
  load();
}
