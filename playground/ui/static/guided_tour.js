// A guided reading: a few sentences, one after the other, each of which moves the view behind it to what it speaks of.

import { el, setText } from "./dom.js";

/**
 * A panel that is there only while something is read. `go(stage)` is called for each stage that is opened. Returns
 * { node, open(reading), close() }; a reading is { title, stages: [{ words, ... }] }.
 */
export function guidedTour({ go }) {
  let reading = null;
  let at = 0;
  const title = el("b");
  const count = el("span", { class: "pg-soft" });
  const words = el("p", { class: "pg-guide-words", "aria-live": "polite" });
  const back = el("button", { type: "button", class: "pg-small-button", text: "Back" });
  const onward = el("button", { type: "button", class: "pg-small-button pg-guide-next" });
  const end = el("button", { type: "button", class: "pg-small-button", text: "Explore on your own" });
  const node = el("section", { class: "pg-panel pg-guide", hidden: true, "aria-label": "Guided tour" },
    el("h2", { class: "pg-panel-title" }, title, " ", count), words, el("div", { class: "pg-causes-bar" }, back, onward, end));

  function stage(to) {
    at = to;
    const last = at === reading.stages.length - 1;
    setText(title, reading.title);
    setText(count, `${at + 1} of ${reading.stages.length}`);
    setText(words, reading.stages[at].words);
    setText(onward, "Next");
    back.disabled = at === 0;
    onward.hidden = last;
    node.dataset.stage = String(at);
    go(reading.stages[at]);
  }

  function close() {
    reading = null;
    node.hidden = true;
  }

  back.addEventListener("click", () => stage(at - 1));
  onward.addEventListener("click", () => {
    stage(at + 1);
    if (onward.hidden) end.focus();
  });
  end.addEventListener("click", close);
  return {
    node, close,
    open(wanted) {
      if (!wanted?.stages?.length) return close();
      reading = wanted;
      node.hidden = false;
      stage(0);
    },
  };
}
