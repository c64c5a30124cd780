// The header's "Copy link": asks for what the tab in front shows, copies its address, and shows it.

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @import { Component } from "../static/gradio.js" */
/** @typedef {{ query: Object<string, string>, note: string, nonce: number | string }} LinkValue */
/** @typedef {Component<LinkValue>} Given */

import { el, frontTab, pageAddress, setText } from "../static/dom.js";

/** @param {Given} given */
export function mount({ element, props, watch, trigger }) {
  const button = el("button", { type: "button", class: "pg-small-button", text: "Copy link", title: "The address of this view" });
  const address = el("input", { class: "pg-mono", readonly: true, "aria-label": "Link", spellcheck: "false" });
  const done = el("strong");
  const note = el("span", { class: "pg-soft" });
  const close = el("button", { type: "button", class: "pg-small-button", text: "Close" });
  const panel = el("div", { class: "pg-link-panel pg-panel", role: "status", hidden: true }, done, address, note, close);
  element.querySelector(".pg-link").append(button, panel);

  button.addEventListener("click", () => trigger("ask", { tab: frontTab() }));
  close.addEventListener("click", () => {
    panel.hidden = true;
    button.focus();
  });
  address.addEventListener("focus", () => address.select());

  async function show() {
    const { query, note: words = "" } = props.value ?? {};
    if (!query) return;
    address.value = pageAddress(query);
    setText(note, words);
    panel.hidden = false;
    let copied = true;
    try {
      await navigator.clipboard.writeText(address.value);
    } catch {
      copied = false; // in a frame or without HTTPS it may not be allowed: then the address is selected, and Ctrl-C copies it
    }
    setText(done, copied ? "Link copied" : "Copy this link");
    if (!copied) address.focus();
  }

  watch("value", show);
}
