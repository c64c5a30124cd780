// Safe DOM building, a clock that stops when the page is hidden, and the page around a component. Text of models and visitors reaches
// the page through `textContent` only; no script here writes HTML.

import { visible } from "./words.js";

// ---- elements -------------------------------------------------------------------------------------------------

/**
 * An element. Attributes are set as such (`true` = present, `false`/null = absent), `text` and strings are text.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/**
 * Set text only when it differs, so that screen readers are not told the same thing twice.
 *
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Announces sentences that change while a model trains, for screen readers: of one subject at most one every ten seconds,
 *  and always the latest.
 *
 * @param {HTMLElement} host
 * @returns {(text: string, subject: string) => void}
 */
export function announcer(host) {
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

/**
 * A row of exclusive choices that looks like one control: native radio buttons, so arrow keys work.
 *
 * @template Value
 * @param {string} label
 * @param {[Value, string][]} options
 * @param {Value} chosen
 * @param {(value: Value) => void} onChoose
 */
export function segmented(label, options, chosen, onChoose) {
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

/**
 * A labelled check box.
 *
 * @param {string} label
 * @param {boolean} on
 * @param {(on: boolean) => void} onChange
 */
export function toggle(label, on, onChange) {
  const input = el("input", { type: "checkbox" });
  input.checked = on;
  input.addEventListener("change", () => onChange(input.checked));
  return el("label", { class: "pg-toggle" }, input, el("span", { text: label }));
}

/** The invitation shown while there is nothing to show: a headline and the one thing to do. */
export function emptyState(title, advice) {
  return el("div", { class: "pg-empty" }, el("strong", { text: title }), el("p", { text: advice }));
}

/** In which settings models differ, as small labels: what a comparison of them is about. */
export function differences(lines = []) {
  const words = lines.length ? "What differs" : "Same settings";
  return el("ul", { class: "pg-chips" }, el("li", { class: "pg-chips-title", text: words }), ...lines.map((text) => el("li", { class: "pg-chip", text })));
}

/** A token as a coloured span: line ends are shown and done, spaces are dots, bytes are hexadecimal, all else has a name. */
export function tokenPiece(text, at, attributes = {}) {
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

/**
 * Hand a text or blob to the browser as a file to keep.
 *
 * @param {string} name
 * @param {string | Blob} content
 */
export function save(name, content, type = "application/octet-stream") {
  const link = el("a", { href: URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type })), download: name.replace(/[^\w .-]+/g, " ").trim() });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Fetch a file of this app with a secret, and hand it to the browser to keep. Resolves to the sentence `done`, or to what was
 * wrong.
 *
 * @param {string} path
 * @param {string} token
 * @param {string} name
 * @param {string} done
 * @param {object} question
 */
export async function download(path, token, name, done, question = {}) {
  try {
    const answer = await fetch(new URL(path, document.baseURI), { method: "POST", headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(question) });
    if (!answer.ok) return answer.status < 500 ? await answer.text() : "The server could not make the file. Try again.";
    save(name, await answer.blob());
    return done;
  } catch {
    return "The download was interrupted. Try again.";
  }
}

// ---- addresses ------------------------------------------------------------------------------------------------

/**
 * The address under which this page opens with a query. On a Space that is the page around our frame.
 *
 * @param {Record<string, string>} query
 */
export function pageAddress(query) {
  const home = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="playground-home"]'))?.content;
  const url = home ? new URL(home) : new URL(location.pathname, location.origin);
  url.search = String(new URLSearchParams(query));
  return url.href;
}

/** The id of the tab in front, which Gradio tells the server nothing about: what its button says, in small letters. */
export function frontTab() {
  const tab = document.querySelector('#tabs [role="tab"][aria-selected="true"]');
  return tab ? tab.textContent.trim().toLowerCase() : "train";
}

// ---- time -----------------------------------------------------------------------------------------------------

/**
 * Run `work` every so often while `element` is visible: not in a hidden browser tab, not in an unselected
 * Gradio tab, never twice at once. Gradio has no unmount hook, so the clock stops itself. Returns "run it now".
 *
 * @param {HTMLElement} element
 * @param {number} milliseconds
 * @param {() => unknown} work
 */
export function every(element, milliseconds, work) {
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

/**
 * Ask a server function. Any failure is `undefined`: the caller keeps what it has, says so, and asks again later.
 *
 * @template Question, Answer
 * @param {(question: Question) => Promise<Answer>} serverFunction
 * @param {Question} request
 * @returns {Promise<Answer | undefined>}
 */
export async function askServer(serverFunction, request) {
  try {
    return await serverFunction(request);
  } catch {
    return undefined;
  }
}

/** What a view that asks again by itself says after a failure. */
export const NO_ANSWER = "The server did not answer. Trying again…";

/**
 * Call `onWidth` with the pixels whenever the element becomes visible or changes its width.
 *
 * @param {Element} element
 * @param {(width: number) => void} onWidth
 */
export function onResize(element, onWidth) {
  let last = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width > 0 && width !== last) onWidth((last = width));
  }).observe(element);
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
