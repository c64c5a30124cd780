// Line styles: one for each meaning, and the same for a run as long as the page lives.

import { colours } from "./colours.js";

const OTHERS = [["green", "dot"], ["purple", "dashdot"], ["orange", "longdash"], ["sky", "longdashdot"],
  ["ink", "8px,3px,2px,3px"], ["grey", "3px,3px"], ["soft", "12px,4px"], ["green", "2px,6px"], ["purple", "solid"],
  ["orange", "dash"]];
const ROLES = { classic: ["vermilion", "dash"], modern: ["blue", "solid"] };

/** Hands out line styles: a run's role first, then by its id; what is given stays given. */
export class Styles {
  constructor() {
    this.byId = new Map();
  }

  /** run: { id, role, order? }; `order` says where among the others' styles to begin, else the id does. */
  of(run) {
    let style = this.byId.get(run.id);
    if (!style) {
      const taken = new Set(this.byId.values());
      const own = ROLES[run.role];
      if (own && !taken.has(own)) style = own;
      else {
        const start = run.order ?? [...String(run.id)].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 997, 7) % 6;
        style = OTHERS.map((_, i) => OTHERS[(start + i) % OTHERS.length]).find((one) => !taken.has(one)) ?? OTHERS[0];
      }
      this.byId.set(run.id, style);
    }
    return { colour: colours()[style[0]], dash: style[1], token: style[0] };
  }

  /** Forget runs that are no longer shown, so that their styles are free again. */
  keep(ids) {
    for (const id of this.byId.keys()) if (!ids.includes(id)) this.byId.delete(id);
  }
}

const DASHES = { solid: "none", dash: "6 3", dot: "2 3", dashdot: "6 3 2 3", longdash: "9 3", longdashdot: "9 3 2 3" };

/**
 * A short piece of a line, for a legend.
 *
 * @param {{ colour: string, dash: string }} style
 */
export function lineSample({ colour, dash }) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("viewBox", "0 0 26 8");
  line.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(line.namespaceURI, "path");
  const attributes = { d: "M1 4H25", stroke: colour, "stroke-width": "2.6", "stroke-dasharray": DASHES[dash] ?? dash.replaceAll("px", "") };
  for (const [name, value] of Object.entries(attributes)) path.setAttribute(name, value);
  line.append(path);
  return line;
}
