// Beside the pictures of heads: what the chosen one does, in numbers and in a sentence, and whether the model needs it.
// Both answer for the step that is shown; they are requested once the slider rests, so that moving it costs nothing.

import { el, setText } from "./dom.js";
import { sayNote, smallSegments, smallText, withError } from "./view.js";
import { counted, moved, percent, printable, visible } from "./words.js";

const REST = 300; // milliseconds without another change, after which the server is asked
export const CLEAR = 0.4; // share of attention from which on a head is called after where it looks
const SHOWN = 4; // rows of the next-token table
const PLACES = { previous: "the previous token", duplicate: "an earlier copy of the token", sink: "the first token: it is an attention sink",
  induction: "what followed an earlier copy of the token: it is an induction head" };

/** What a head's scores say, in a sentence. */
export function headInWords(values) {
  const [place, share] = Object.keys(PLACES).map((id) => [id, values[id]]).reduce((best, one) => (one[1] > best[1] ? one : best));
  if (share >= CLEAR) return `Gives ${percent(share)} of its attention to ${PLACES[place]}.`;
  const tokens = Math.round(2 ** values.entropy); // as many alike would have this entropy
  const back = `${values.distance.toFixed(1)} back on average`;
  return tokens === 1 ? `Concentrated on about one token at a time, ${back}, but on none of the places that have a score here.`
    : `No single pattern: its attention is spread over about ${counted(tokens, "token")}, ${back}.`;
}

/** The place of a value among all of a score's, from 1. */
const rankOf = (value, rows) => 1 + rows.flat().filter((other) => other > value).length;

/**
 * Two panels. `scores(step)` is a promise of { scores, values } as the server gives them, `ablate(step, parts, how)` of what
 * changes without parts; both of undefined when there was no answer. Returns { nodes, show(step, head, heads), reset(),
 * off(how) }: `show` may be called as often as one likes.
 */
export function headCard({ scores, ablate }) {
  let known = new Map(); // step -> { scores, values }
  let wanted = null; // { step, head, heads }
  let how = "on";
  let resting = 0; // a timer
  let measured = ""; // what the newest measurement is of, under way or shown

  const sentence = el("p", { class: "pg-verdict-small", "aria-live": "polite" });
  const table = el("table", { class: "pg-table pg-card-table" });
  const title = el("b");
  const does = el("section", { class: "pg-panel" }, el("h2", { class: "pg-panel-title" }, title, " attention pattern"), sentence, table,
    smallText("Point at a name for its definition. All heads and steps: Inside, Heads."));

  const switches = smallSegments("Output of the head", [["on", "On"], ["zero", "Zero"], ["mean", "Mean"]], how, (id) => off(id));
  const verdict = el("p", { class: "pg-verdict", "aria-live": "polite" });
  const detail = smallText();
  const next = el("table", { class: "pg-next-table" });
  const goesOn = smallText();
  const matters = el("section", { class: "pg-panel" }, el("h2", { class: "pg-panel-title" }, el("b", { text: "Does it matter?" }), " switch it off and measure"),
    switches, verdict, detail, next, goesOn);

  const named = ({ layer, head }) => `Layer ${layer + 1} · head ${head + 1}`;

  // ---- what it does ---------------------------------------------------------------------------------------------

  function drawScores({ scores: list, values }) {
    const { layer, head } = wanted.head;
    const own = Object.fromEntries(list.map(({ id }) => [id, values[id][layer][head]]));
    const count = values[list[0].id].flat().length;
    setText(sentence, headInWords(own));
    const top = el("tr", {}, ...["", "this head", `rank of ${count}`].map((text) => el("th", { scope: "col", text })));
    table.replaceChildren(el("thead", {}, top), el("tbody", {}, ...list.map(({ id, name, unit, definition, source }) => el("tr", {},
      el("th", { scope: "row", title: `${definition} (${source})`, text: unit === "share" ? name : `${name} (${unit})` }),
      el("td", { text: own[id].toFixed(2) }), el("td", { text: String(rankOf(own[id], values[id])) })))));
    does.dataset.step = wanted.step;
  }

  async function measureScores() {
    const { step } = wanted;
    if (!known.has(step)) {
      const mine = known;
      const answer = await scores(step);
      if (mine !== known) return;
      if (answer) known.set(step, answer);
    }
    if (wanted?.step !== step) return;
    does.classList.remove("pg-waiting");
    if (known.has(step)) drawScores(known.get(step));
  }

  // ---- does it matter -------------------------------------------------------------------------------------------

  function say(words, small) {
    setText(verdict, words);
    setText(detail, small);
    next.replaceChildren();
    sayNote(goesOn, "");
  }

  async function measureEffect() {
    const { step, heads } = wanted;
    const mine = JSON.stringify([step, heads, how]);
    if (mine === measured) return;
    measured = mine;
    if (how === "on") return say("", "Zero: the output of the head is replaced by zeros. Mean: by its mean. The effect is measured as the loss on validation text.");
    say("", "Measuring on validation text…");
    const answer = await ablate(step, heads.map(({ layer, head }) => [layer, "head", head]), how);
    if (mine !== measured) return;
    if (!answer) {
      measured = ""; // it may be tried again
      return say("", "This could not be measured: the validation text is not available, or the server did not answer.");
    }
    drawEffect(answer, heads);
  }

  function drawEffect({ loss, change, standard_error: error, n_tokens: count, next: rows, before, after }, heads) {
    const sure = error != null && Math.abs(change) > 2 * error;
    const meaning = error == null ? " With one window there is no standard error." : ` ± is one standard error.${sure ? "" : " The change is within two standard errors: not significant."}`;
    say(`${withError(change, error)} nats per token`, `Without ${heads.length === 1 ? named(heads[0]) : `these ${heads.length} heads`} the loss on ${counted(count, "validation token")} ${moved(loss, loss + change, 3)}.${meaning}`);
    const head = el("tr", {}, ...["next token", "with", "without"].map((text) => el("th", { scope: "col", text })));
    next.replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows.slice(0, SHOWN).map(([token, p, q]) => el("tr", {},
      el("th", { scope: "row" }, el("code", { text: visible(token) })), el("td", { text: percent(p) }), el("td", { text: percent(q) })))));
    sayNote(goesOn, `Your text continues with “${printable(before).slice(0, 24)}”, without ${heads.length === 1 ? "the head" : "these heads"} with “${printable(after).slice(0, 24)}”.`);
    matters.dataset.heads = heads.length;
  }

  // ---- wishes ---------------------------------------------------------------------------------------------------

  function rest() {
    clearTimeout(resting);
    resting = setTimeout(() => {
      if (!wanted || !does.isConnected) return;
      measureScores();
      measureEffect();
    }, REST);
  }

  function show(step, head, heads) {
    if (wanted && wanted.step === step && JSON.stringify([wanted.head, wanted.heads]) === JSON.stringify([head, heads])) return;
    wanted = { step, head: { ...head }, heads };
    setText(title, named(head));
    known.has(step) ? drawScores(known.get(step)) : does.classList.add("pg-waiting");
    rest();
  }

  function off(id) {
    how = id;
    for (const input of switches.querySelectorAll("input")) input.checked = input.value === id;
    if (wanted) measureEffect();
  }

  function reset() {
    known = new Map();
    wanted = null;
    measured = "";
  }

  return { nodes: [does, matters], show, reset, off };
}
