// The page's colours, light and dark, for canvases and charts.

const restyles = new Map();
let watchingTheme = false;

/** Call `restyle` after the page switches between light and dark, for as long as `element` is on it. */
export function onTheme(element, restyle) {
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
export function colours() {
  const style = getComputedStyle(document.body);
  const names = ["ground", "card", "ink", "soft", "line", "fill", "blue", "vermilion", "green", "purple", "orange",
    "sky", "grey", "highlight"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--pg-${name}`).trim() || "#888"]));
}

/** A #rrggbb colour at some opacity. */
export const faint = (hex, opacity) => hex.slice(0, 7) + Math.round(opacity * 255).toString(16).padStart(2, "0");

const CIVIDIS = [[0, 32, 77], [0, 54, 110], [65, 77, 107], [102, 105, 112], [124, 123, 120], [149, 144, 120],
  [185, 174, 111], [220, 204, 93], [255, 234, 70]];

/** cividis as 256 [r, g, b] entries: readable with any colour vision, and in grey. */
export const cividis = Array.from({ length: 256 }, (_, i) => {
  const place = (i / 255) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(place));
  return CIVIDIS[low].map((c, k) => Math.round(c + (CIVIDIS[low + 1][k] - c) * (place - low)));
});

/** The same as one 32-bit word a colour, the way ImageData keeps a pixel. */
export const cividisWords = new Uint32Array(new Uint8Array(cividis.flatMap((rgb) => [...rgb, 255])).buffer);
