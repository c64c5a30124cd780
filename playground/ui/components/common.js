// What every component shares: safe DOM building, words for numbers, a polite clock, the page's colours.
// Loaded once, from the page's head, before any component. Text of models and visitors reaches the page through
// `textContent` only; nothing in this folder writes HTML.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @typedef {{ error: string }} Failure */
/** @typedef {{ visitor: string, run: string }} RunQuestion */
/** @typedef {{ step: number[], loss: (number | null)[] }} LossCurve */
/** @typedef {{ steps: number[], last: number, live: boolean, curve: LossCurve }} TimelineAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, text: string, special?: boolean }} TextQuestion */
/** @typedef {{ id: string, name: string, unit: string, definition: string, source: string }} Score */
/** @typedef {{ scores: Score[], values: Object<string, ((number | null)[])[]>, note: string }} HeadsAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null, parts: [number, string, number][], how: "zero" | "mean", text?: string, special?: boolean }} AblateQuestion */
/** @typedef {{ next: ([string, number | null, number | null])[], before: string, after: string, note: string, loss: number | null, change: number | null, standard_error: number | null, n_tokens: number, n_windows: number }} AblateAnswer */
/** @typedef {{ visitor: string, run: string, nonce: number | string, step: number | null, text: string }} TextValue */
/** @typedef {{ visitor: string, cursors: Object<string, string | null> }} CurvesQuestion */
/** @typedef {{ step: number, prompt: string, text: string }} RunSample */
/** @typedef {{ id: string, cursor: string, reset: boolean, step: number, tokens_per_second: number | null, eta_seconds: number | null, waiting: string, name?: string, state?: string, message?: string, role?: string, reference?: boolean, model?: string, corpus?: string, tokenizer?: string, steps?: number, bits_per_nat?: number | null, no_bits?: string, tokens?: string, text?: string, tokenizer_id?: string, documents?: string, imported?: boolean, baselines?: Object<string, number> | null, train?: Object<string, (number | null)[]>, validation?: Object<string, (number | null)[]>, samples?: RunSample[], notice?: string }} RunNews */
/** @typedef {{ runs: RunNews[], error?: string }} CurvesAnswer */
/** @typedef {{ visitor: string, run: string, step: number | null }} CheckpointQuestion */

window.Playground = (() => {
  "use strict";

  // ---- elements -------------------------------------------------------------------------------------------------

  /** An element. Attributes are set as such (`true` = present, `false`/null = absent), `text` and strings are text. */
  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  /** Set text only when it differs, so that screen readers are not told the same thing twice. */
  function say(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  /** Announces sentences that change while a model trains, for screen readers: of one subject at most one every ten seconds,
   *  and always the latest. */
  function announcer(host) {
    const region = el("p", { class: "pg-unseen", "aria-live": "polite" });
    let last = -Infinity;
    let latest = "";
    let timer = 0;
    let about;
    const speak = () => {
      timer = 0;
      if (region.textContent === latest) return;
      last = performance.now();
      region.textContent = latest;
    };
    host.append(region);
    return (text, subject) => {
      latest = text;
      if (subject !== about) {
        clearTimeout(timer);
        about = subject;
        return speak();
      }
      timer ||= setTimeout(speak, Math.max(0, last + 10_000 - performance.now()));
      return undefined;
    };
  }

  let names = 0;

  /** A row of exclusive choices that looks like one control: native radio buttons, so arrow keys work. */
  function segmented(label, options, chosen, onChoose) {
    const name = `pg-segment-${++names}`;
    const group = el("div", { class: "pg-segments", role: "radiogroup", "aria-label": label });
    for (const [value, text] of options) {
      const input = el("input", { type: "radio", name, value });
      input.checked = value === chosen;
      input.addEventListener("change", () => onChoose(value));
      group.append(el("label", {}, input, el("span", { text })));
    }
    return group;
  }

  /** A labelled check box. */
  function toggle(label, on, onChange) {
    const input = el("input", { type: "checkbox" });
    input.checked = on;
    input.addEventListener("change", () => onChange(input.checked));
    return el("label", { class: "pg-toggle" }, input, el("span", { text: label }));
  }

  /** The invitation shown while there is nothing to show: a headline and the one thing to do. */
  function emptyState(title, advice) {
    return el("div", { class: "pg-empty" }, el("strong", { text: title }), el("p", { text: advice }));
  }

  /** In which settings models differ, as small labels: what a comparison of them is about. */
  function differences(lines = []) {
    const words = lines.length ? "What differs" : "Same settings";
    return el("ul", { class: "pg-chips" }, el("li", { class: "pg-chips-title", text: words }), ...lines.map((text) => el("li", { class: "pg-chip", text })));
  }

  // ---- addresses ------------------------------------------------------------------------------------------------

  /** The address under which this page opens with a query. On a Space that is the page around our frame. */
  function address(query) {
    const home = document.querySelector('meta[name="playground-home"]')?.content;
    const url = home ? new URL(home) : new URL(location.pathname, location.origin);
    url.search = new URLSearchParams(query);
    return url.href;
  }

  /** The id of the tab in front, which Gradio tells the server nothing about: what its button says, in small letters. */
  function frontTab() {
    const tab = document.querySelector('#tabs [role="tab"][aria-selected="true"]');
    return tab ? tab.textContent.trim().toLowerCase() : "train";
  }

  // ---- time -----------------------------------------------------------------------------------------------------

  /**
   * Run `work` every so often while somebody can see `element`: not in a hidden browser tab, not in an unselected
   * Gradio tab, never twice at once. Gradio has no unmount hook, so the clock stops itself. Returns "run it now".
   */
  function every(element, milliseconds, work) {
    let busy = false;
    const beat = async () => {
      if (busy || document.hidden || element.offsetParent === null) return;
      busy = true;
      try {
        await work();
      } catch (error) {
        console.error(error);
      } finally {
        busy = false;
      }
    };
    const timer = setInterval(() => (element.isConnected ? beat() : clearInterval(timer)), milliseconds);
    beat();
    return beat;
  }

  /** Ask a server function. Any failure is `undefined`: the caller keeps what it has and asks again later. */
  async function ask(serverFunction, request) {
    try {
      return await serverFunction(request);
    } catch {
      return undefined;
    }
  }

  /** Call `onWidth(pixels)` whenever the element becomes visible or changes its width. */
  function onResize(element, onWidth) {
    let last = 0;
    new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width > 0 && width !== last) onWidth((last = width));
    }).observe(element);
  }

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  // ---- colours --------------------------------------------------------------------------------------------------

  const restyles = new Map();
  let watchingTheme = false;

  /** Call `restyle` after the page switches between light and dark, for as long as `element` is on it. */
  function onTheme(element, restyle) {
    restyles.set(element, restyle);
    if (watchingTheme) return;
    watchingTheme = true;
    let dark = document.body.classList.contains("dark");
    new MutationObserver(() => {
      if (dark === document.body.classList.contains("dark")) return;
      dark = !dark;
      for (const [node, callback] of restyles) node.isConnected ? callback() : restyles.delete(node);
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  /** The design tokens of style.css that canvases and charts need, as they are right now. */
  function colours() {
    const style = getComputedStyle(document.body);
    const names = ["ground", "card", "ink", "soft", "line", "fill", "blue", "vermilion", "green", "purple", "orange",
      "sky", "grey", "highlight"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--pg-${name}`).trim() || "#888"]));
  }

  /** A #rrggbb colour at some opacity. */
  const faint = (hex, opacity) => hex.slice(0, 7) + Math.round(opacity * 255).toString(16).padStart(2, "0");

  const CIVIDIS = [[0, 32, 77], [0, 54, 110], [65, 77, 107], [102, 105, 112], [124, 123, 120], [149, 144, 120],
    [185, 174, 111], [220, 204, 93], [255, 234, 70]];

  /** cividis as 256 [r, g, b] entries: readable with any colour vision, and in grey. */
  const cividis = Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (CIVIDIS.length - 1);
    const low = Math.min(CIVIDIS.length - 2, Math.floor(place));
    return CIVIDIS[low].map((c, k) => Math.round(c + (CIVIDIS[low + 1][k] - c) * (place - low)));
  });

  /** The same as one 32-bit word a colour, the way ImageData keeps a pixel. */
  const cividisWords = new Uint32Array(new Uint8Array(cividis.flatMap((rgb) => [...rgb, 255])).buffer);

  // ---- words ----------------------------------------------------------------------------------------------------

  const MARKS = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" };
  const UNSEEN = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/u;

  /** A token with nothing invisible left in it: ␣ ⏎ ⇥, and U+XXXX for everything else that has no shape. */
  function visible(token) {
    const shown = Array.from(String(token), (character) => {
      if (MARKS[character]) return MARKS[character];
      if (UNSEEN.test(character)) return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
      return character;
    }).join("");
    return shown === "" ? "∅" : shown.replace(/^(?=\p{M})/u, "◌");
  }

  /** A token as a coloured span: line ends are shown and done, spaces are dots, bytes are hexadecimal, all else has a name. */
  function piece(text, at, attributes = {}) {
    const node = el("span", { class: `pg-piece pg-piece-${at % 6}`, ...attributes });
    if (/^(\\x[0-9A-F]{2})+$/.test(text)) node.append(el("i", { class: "pg-hex", text: text.slice(2).replaceAll("\\x", " ") }));
    else {
      for (const part of text.split(/([ \n])/)) {
        if (part === "\n") node.append(el("i", { text: "⏎" }), "\n");
        else if (part === " ") node.append(el("wbr"), el("i", { text: "·" }));
        else if (part) node.append(visible(part));
      }
    }
    if (text === "") node.append("∅");
    return node;
  }

  /** Running text with its line breaks, but with a sign for every control character and bidirectional override. */
  const printable = (text) =>
    String(text ?? "").replace(/[\p{Cc}\p{Cf}]/gu, (c) => (c === "\n" || c === "\t" ? c : c < " " ? String.fromCodePoint(0x2400 + c.codePointAt(0)) : "\ufffd"));

  /** Plotly reads legend and hover text as pseudo-HTML; this leaves it nothing to read. */
  const plain = (text) => String(text ?? "").replace(/[<>&]/g, " ").slice(0, 60);

  const whole = (n) => Math.round(n).toLocaleString("en-US");

  /** A number of things, as config.phrases.counted: "1 token", "2 tokens". */
  const counted = (n, noun) => `${whole(n)} ${noun}${Math.round(n) === 1 ? "" : "s"}`;

  /** Two numbers with more decimals than `digits` where different ones would read the same, as config.phrases.apart. */
  function apart(a, b, digits) {
    for (let more = digits; more < digits + 9; more++) {
      const [left, right] = [a.toFixed(more), b.toFixed(more)];
      if (left !== right || a === b || more === digits + 8) return [left, right];
    }
    return undefined;
  }

  /** +0.123, −0.123; a number that rounds to zero has no sign. */
  function signed(x, digits = 3) {
    const size = Math.abs(x).toFixed(digits);
    return Number(size) === 0 ? size : `${x < 0 ? "−" : "+"}${size}`;
  }

  /** How a number changed, as config.phrases.moved. */
  const moved = (before, now, digits) => {
    const [first, last] = [before.toFixed(digits), now.toFixed(digits)];
    return first === last ? `stays at ${last}` : `goes from ${first} to ${last}`;
  };

  /** A number at about three significant figures: 0.62, 4.39, 25.1, 1,240. Absent numbers are a dash. */
  function number(x) {
    if (x == null || !Number.isFinite(x)) return "–";
    const size = Math.abs(x);
    if (size >= 1e6) return x.toExponential(1).replace("e+", "e");
    if (size >= 100) return whole(x);
    if (size >= 10) return x.toFixed(1);
    if (size >= 0.01 || size === 0) return x.toFixed(2);
    return x.toExponential(1);
  }

  /** 0.41, "< 0.01" rather than a misleading zero. */
  const probability = (p) => (p > 0 && p < 0.005 ? "< 0.01" : p.toFixed(2));

  /** 41 %, and no 0 % or 100 % where something else has a chance. */
  function percent(p) {
    if (p > 0 && p < 0.001) return "< 0.1 %";
    if (p >= 0.995 && p < 1 - 1e-5) return p < 0.9995 ? `${(100 * p).toFixed(1)} %` : "> 99.9 %";
    return `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;
  }

  function rate(perSecond) {
    if (perSecond >= 9950) return `${Math.round(perSecond / 1000)}k`;
    return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(1)}k` : whole(perSecond);
  }

  /** Seconds in words: "under 1 s", "42 s", "3 min", "1 h 30 min". */
  function duration(seconds) {
    if (seconds < 1) return "under 1 s";
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    return seconds < 5400 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  /** A share of work that is done, in whole percent: 100 only when all of it is. */
  const done = (share) => `${Math.floor(100 * Math.min(1, share) + 1e-9)} %`;

  const STATES = { idle: "Nothing is training", queued: "Queued", running: "Training", paused: "Paused",
    stopped: "Stopped", finished: "Finished", failed: "Failed", diverged: "Diverged", crashed: "Crashed" };

  /** A run's state in words. */
  const stateWords = (state) => STATES[state] ?? String(state ?? "");

  /** Hand a text or blob to the browser as a file to keep. */
  function save(name, content, type = "application/octet-stream") {
    const link = el("a", { href: URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type })), download: name.replace(/[^\w .-]+/g, " ").trim() });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // ---- plotly ---------------------------------------------------------------------------------------------------

  let plotly;

  /**
   * plotly.js from the Python wheel, fetched when the first chart needs it. The promise keeps this Plotly for
   * itself: a gr.Plot on the page would later put Gradio's own, older one under `window.Plotly`.
   */
  function loadPlotly() {
    plotly ??= new Promise((resolve, reject) => {
      const path = document.querySelector('meta[name="playground-plotly"]')?.content ?? "";
      if (!path && window.Plotly) return resolve(window.Plotly); // a report carries its own
      const prefix = new URL(window.gradio_config?.root || "/", location.href).pathname.replace(/\/$/, "");
      const script = el("script", { src: prefix + path });
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

  return { el, say, announcer, segmented, toggle, emptyState, differences, address, frontTab, every, ask, onResize, calm, onTheme, colours, faint, cividis, cividisWords,
    visible, piece, printable, plain, whole, counted, apart, signed, moved, number, probability, percent, rate, duration, done, stateWords, save, loadPlotly };
})();
