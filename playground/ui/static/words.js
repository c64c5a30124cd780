// Numbers, tokens and states in words.

const MARKS = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" };
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/u;

/**
 * A token with nothing invisible left in it: ␣ ⏎ ⇥, and U+XXXX for everything else that has no shape.
 *
 * @param {string} token
 */
export function visible(token) {
  const shown = Array.from(String(token), (character) => {
    if (MARKS[character]) return MARKS[character];
    if (UNSEEN.test(character)) return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    return character;
  }).join("");
  return shown === "" ? "∅" : shown.replace(/^(?=\p{M})/u, "◌");
}

/**
 * Running text with its line breaks, but with a sign for every control character and bidirectional override.
 *
 * @param {string | undefined} text
 */
export const printable = (text) =>
  String(text ?? "").replace(/[\p{Cc}\p{Cf}]/gu, (c) => (c === "\n" || c === "\t" ? c : c < " " ? String.fromCodePoint(0x2400 + c.codePointAt(0)) : "\ufffd"));

/**
 * Plotly reads legend and hover text as pseudo-HTML; this leaves it nothing to read.
 *
 * @param {string | undefined} text
 */
export const plain = (text) => String(text ?? "").replace(/[<>&]/g, " ").slice(0, 60);

/**
 * @param {number} n
 */
export const whole = (n) => Math.round(n).toLocaleString("en-US");

/**
 * A number of things, as config.phrases.counted: "1 token", "2 tokens".
 *
 * @param {number} n
 * @param {string} noun
 */
export const counted = (n, noun) => `${whole(n)} ${noun}${Math.round(n) === 1 ? "" : "s"}`;

/**
 * Two numbers with more decimals than `digits` where different ones would read the same, as config.phrases.apart.
 *
 * @param {number} a
 * @param {number} b
 * @param {number} digits
 */
export function apart(a, b, digits) {
  for (let more = digits; more < digits + 9; more++) {
    const [left, right] = [a.toFixed(more), b.toFixed(more)];
    if (left !== right || a === b || more === digits + 8) return [left, right];
  }
  return undefined;
}

/**
 * +0.123, −0.123; a number that rounds to zero has no sign.
 *
 * @param {number} x
 * @param {number} digits
 */
export function signed(x, digits = 3) {
  const size = Math.abs(x).toFixed(digits);
  return Number(size) === 0 ? size : `${x < 0 ? "−" : "+"}${size}`;
}

/**
 * How a number changed, as config.phrases.moved.
 *
 * @param {number} before
 * @param {number} now
 * @param {number} digits
 */
export const moved = (before, now, digits) => {
  const [first, last] = [before.toFixed(digits), now.toFixed(digits)];
  return first === last ? `stays at ${last}` : `goes from ${first} to ${last}`;
};

/**
 * A number at about three significant figures: 0.62, 4.39, 25.1, 1,240. Absent numbers are a dash.
 *
 * @param {number | null} x
 */
export function number(x) {
  if (x == null || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1e6) return x.toExponential(1).replace("e+", "e");
  if (size >= 100) return whole(x);
  if (size >= 10) return x.toFixed(1);
  if (size >= 0.01 || size === 0) return x.toFixed(2);
  return x.toExponential(1);
}

/**
 * 0.41, "< 0.01" rather than a misleading zero.
 *
 * @param {number} p
 */
export const probability = (p) => (p > 0 && p < 0.005 ? "< 0.01" : p.toFixed(2));

/**
 * 41 %, and no 0 % or 100 % where something else has a chance.
 *
 * @param {number} p
 */
export function percent(p) {
  if (p > 0 && p < 0.001) return "< 0.1 %";
  if (p >= 0.995 && p < 1 - 1e-5) return p < 0.9995 ? `${(100 * p).toFixed(1)} %` : "> 99.9 %";
  return `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;
}

/**
 * @param {number} perSecond
 */
export function rate(perSecond) {
  if (perSecond >= 9950) return `${Math.round(perSecond / 1000)}k`;
  return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(1)}k` : whole(perSecond);
}

/**
 * Seconds in words, as config.phrases.duration: "42 s", "3 min", "1 h 30 min", "2 h".
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/**
 * A share of work that is done, in whole percent: 100 only when all of it is.
 *
 * @param {number} share
 */
export const done = (share) => `${Math.floor(100 * Math.min(1, share) + 1e-9)} %`;

const STATES = { idle: "Nothing is training", queued: "Queued", running: "Training", paused: "Paused",
  stopped: "Stopped", finished: "Finished", failed: "Failed", diverged: "Diverged", crashed: "Crashed" };

/**
 * A run's state in words.
 *
 * @param {string | undefined} state
 */
export const stateWords = (state) => STATES[state] ?? String(state ?? "");
