// What Gradio gives the script of a component, for the type checker only.

import type { Failure } from "./types.js";

/** A function of the server. No answer is `undefined`, and any answer may be a `Failure` instead. */
export type Endpoint<Question, Answer> = (question: Question) => Promise<(Answer & Partial<Failure>) | undefined>;

export interface Component<Value, Server = {}> {
  element: HTMLElement;
  props: { value?: Value };
  server: Server;
  watch(name: "value", changed: () => void): void;
  trigger(event: string, data: object): void;
}

declare global {
  interface Window {
    Plotly: Plotly;
  }
  // The page is HTML: what a selector finds is an HTMLElement.
  interface ParentNode {
    querySelector<Tag extends keyof HTMLElementTagNameMap>(selectors: Tag): HTMLElementTagNameMap[Tag] | null;
    querySelector<Found extends Element = HTMLElement>(selectors: string): Found | null;
    querySelectorAll<Tag extends keyof HTMLElementTagNameMap>(selectors: Tag): NodeListOf<HTMLElementTagNameMap[Tag]>;
    querySelectorAll<Found extends Element = HTMLElement>(selectors: string): NodeListOf<Found>;
  }
  interface Element extends HTMLOrSVGElement, ElementCSSInlineStyle {
    closest<Found extends Element = HTMLElement>(selectors: string): Found | null;
  }
}

/** As much of plotly.js as the scripts use. */
export interface Plotly {
  react(node: PlotlyNode, traces: object[], layout: object, config: object): Promise<PlotlyNode>;
  purge(node: HTMLElement): void;
  toImage(figure: object, options: object): Promise<string>;
}

/** An element that plotly.js has drawn in. */
export type PlotlyNode = HTMLElement & { data?: any; layout?: any; on?(event: string, listener: (event: any) => unknown): void };
