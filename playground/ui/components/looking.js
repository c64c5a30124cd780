// What the views that look into a model share: the life of a view that answers one question at a time, and the small
// things that several of them draw: panels, cells on the palette, surprise, likeliest tokens.

(() => {
  "use strict";
  const P = window.Playground;

  // ---- a view and its question ----------------------------------------------------------------------------------

  /**
   * The life of a view that shows the answer to one question: what `props.value` says in `fields`, about its run.
   *
   * `gradio` is the component's { element, props, watch }; `name` the class of its root, in which `${name}-empty` invites
   * while no run is chosen; `body` is what the view fills. `begin(asked, before)` is called, once the script has run to
   * its end, for every new question that somebody can see, with the values of the question before it. Returns
   *   root                                       for marks that tests and styles read
   *   tell(text, bad)                            the line above the body; "" takes it away, and one that ends in … is at work
   *   ask(serverFunction, more, {dim, quietly})  the answer as a plain object; undefined when there was none, which is told
   *                                              unless quietly, or when the question has changed meanwhile
   *   show()                                     what the body holds is worth seeing
   *   question()                                 what is asked now, as a text to compare; "" while no run is chosen
   */
  function view({ element, props, watch }, name, body, fields, begin) {
    const root = element.querySelector(`.${name}`);
    const empty = element.querySelector(`.${name}-empty`);
    const status = P.el("p", { class: "pg-alert", "aria-live": "polite", hidden: true });
    let question = "";
    body.hidden = true;
    root.append(status, body);

    const asked = () => Object.fromEntries(fields.map((field) => [field, props.value?.[field]]));

    function tell(text, bad = false) {
      status.hidden = !text;
      status.classList.toggle("pg-alert-bad", bad);
      status.classList.toggle("pg-alert-busy", text.endsWith("…"));
      P.say(status, text);
    }

    async function ask(serverFunction, more = {}, { dim, quietly = false } = {}) {
      const mine = question;
      dim?.classList.add("pg-waiting");
      const answer = await P.ask(serverFunction, { visitor: props.value?.visitor ?? "", special: props.value?.special ?? true, ...asked(), ...more });
      if (mine !== question) return undefined;
      dim?.classList.remove("pg-waiting");
      if (answer && !answer.error) return JSON.parse(JSON.stringify(answer)); // a plain copy: Gradio's is a slow proxy
      if (!quietly) tell(answer?.error ?? "The server did not answer. Try again.", true);
      return undefined;
    }

    function refresh() {
      const value = asked();
      const now = value.run ? JSON.stringify({ ...value, nonce: props.value.nonce }) : "";
      empty.hidden = Boolean(now);
      if (!now) {
        body.hidden = true;
        question = now;
        tell("");
      } else if (now !== question && element.offsetParent !== null) {
        const before = question ? JSON.parse(question) : {};
        question = now;
        begin(value, before);
      }
    }

    new ResizeObserver(refresh).observe(root); // a view in a tab that was not open has its first size when it is opened
    watch("value", refresh);
    queueMicrotask(refresh);
    return { root, tell, ask, question: () => question, show: () => (body.hidden = false) };
  }

  /**
   * What a view should ask about a run, or a view's invitation without one. Tabs make it in the page, not on the server: then
   * questions reach a view in the order of the clicks, and a slow answer to an earlier click cannot replace a later one.
   */
  const question = (visitor, run, fields) => ({ visitor, run: run ?? "", ...fields, nonce: ++questions });
  let questions = 0;

  /** A question about one checkpoint as one about two, or about one again. */
  const withSecond = (asked, run, step) => ({ ...asked, beside: run ? { run, step } : null });

  // ---- pieces of a page -----------------------------------------------------------------------------------------

  /** A card: a title in bold, some words after it, and what follows. */
  const panel = (title, words, ...children) => P.el("section", { class: "pg-panel" },
    P.el("h2", { class: "pg-panel-title" }, P.el("b", { text: title }), words ? ` ${words}` : ""), ...children);

  /** Soft small print. */
  const small = (text = "") => P.el("p", { class: "pg-soft pg-small", text });

  /** A note that is there only while it says something. */
  function sayNote(node, text) {
    node.hidden = !text;
    P.say(node, text ?? "");
  }

  /** Something wide in a frame that scrolls sideways, with the keyboard too. */
  const scroller = (label, ...children) => P.el("div", { class: "pg-lens-scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);

  /** Segments, small. */
  function smallSegments(label, options, chosen, onChoose) {
    const group = P.segmented(label, options, chosen, onChoose);
    group.classList.add("pg-segments-small");
    return group;
  }

  /** A native choice of numbers 1 … count, whose values count from 0; kept while their number stays. */
  function countUp(select, count, chosen) {
    if (select.children.length !== count) {
      select.replaceChildren(...Array.from({ length: count }, (_, i) => P.el("option", { value: i, text: String(i + 1) })));
    }
    select.value = String(chosen);
  }

  /** +0.123 ± 0.045; without the latter where there is no error. */
  const withError = (x, error) => `${P.signed(x)}${error == null ? "" : ` ± ${error.toFixed(3)}`}`;

  /** A change of a probability: +1.2 points; one that rounds to nothing has no sign. */
  const points = (change) => `${P.signed(100 * change, 1)} points`;

  // ---- cells on the palette -------------------------------------------------------------------------------------

  /** Black or white, whichever can be read on a colour: one of them always has a contrast of 4.5 (WCAG 2.1). */
  function readable(rgb) {
    const [r, g, b] = rgb.map((x) => (x <= 10 ? x / 3294.6 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  }

  /** Give a cell the palette's colour for a share between 0 and 1, and letters that can be read on it; null clears it. */
  function shade(node, share) {
    const byte = Math.round(255 * Math.max(0, Math.min(1, share ?? 0)));
    const rgb = P.cividis[byte];
    node.style.background = share == null ? "none" : `rgb(${rgb})`;
    node.style.color = share == null ? "inherit" : readable(rgb);
  }

  /** The palette as a bar, to stand between the words for its two ends. */
  function paletteBar() {
    const canvas = P.el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    const context = canvas.getContext("2d");
    const image = context.createImageData(256, 1);
    new Uint32Array(image.data.buffer).set(P.cividisWords);
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // ---- attention ------------------------------------------------------------------------------------------------

  /** What a column is to the row that looks at it, in words: the places that heads are known to look for come first. */
  function relation(tokens, row, column) {
    const own = visibleWord(tokens[row]);
    if (column > row) return "a later token";
    if (column === row) return "itself";
    if (column === row - 1) return "the previous token";
    const whole = tokens.slice(column + 1, row + 1).every(lettered);
    if (whole && lettered(tokens[column]) && !(column > 0 && lettered(tokens[column - 1]))) return "the start of its word";
    if (whole && /^\s$/.test(tokens[column])) return "the space before its word";
    if (column > 0 && tokens[column - 1] === tokens[row]) return `what followed an earlier ${own} (induction)`;
    if (tokens[column] === tokens[row]) return `an earlier ${own}`;
    if (column === 0) return "the first token";
    return `${P.counted(row - column, "token")} back`;
  }

  const lettered = (token) => /^\p{L}+$/u.test(token);
  const visibleWord = (token) => `“${P.visible(token)}”`;

  // ---- surprise -------------------------------------------------------------------------------------------------

  const LEVELS = 6; // a level every 1.5 bits: 0 = certain ... 5 = 7.5 bits or more

  /** Bits of surprise at something of probability p. */
  const surprise = (p) => -Math.log2(Math.max(p, 1e-12));

  /** The class that colours a token of probability p. */
  const surpriseClass = (p) => (p == null ? "" : `pg-surprise-${Math.min(LEVELS - 1, Math.floor(surprise(p) / 1.5))}`);

  const surpriseLegend = () => P.el("div", { class: "pg-surprise-legend" }, P.el("span", { text: "expected" }),
    ...Array.from({ length: LEVELS }, (_, i) => P.el("i", { class: `pg-surprise-${i}`, "aria-hidden": "true" })), P.el("span", { text: "surprising" }));

  /** A token in running text, coloured by its probability; a line break is shown as a mark and then done. */
  function tokenSpan(text, p) {
    const node = P.el("span", { class: `pg-token ${surpriseClass(p)}`, tabindex: -1 });
    for (const part of (text === "" ? "∅" : text).split(/(\n)/)) {
      if (part === "\n") node.append(P.el("span", { class: "pg-token-mark", text: "⏎" }), "\n");
      else if (part) node.append(part.replace(/[\p{Cc}\p{Cf}]/gu, P.visible));
    }
    return node;
  }

  /** The sentence about a token that had a probability. */
  const tokenWords = (text, p) => [P.el("code", { text: P.visible(text) }), ` had a probability of ${P.percent(p)}: `,
    P.el("b", { text: `${surprise(p).toFixed(1)} bits of surprise` })];

  /** A bar from the left, as long as the share says. */
  function shareBar(share, attributes = {}) {
    const fill = P.el("i", { "aria-hidden": "true", ...attributes });
    fill.style.width = `${100 * Math.min(1, share)}%`;
    return P.el("span", { class: "pg-alternative-bar" }, fill);
  }

  /** The three parts of a row of likeliest tokens: the token, a bar, its probability. */
  const alternative = (text, p) => [P.el("code", { text: P.visible(text) }), shareBar(p), P.el("span", { class: "pg-number", text: P.percent(p) })];

  Object.assign(P, { view, question, withSecond, panel, small, relation, readable, sayNote, scroller, smallSegments, countUp, withError, points, shade, paletteBar, surprise, surpriseClass,
    surpriseLegend, tokenSpan, tokenWords, shareBar, alternative });
})();
