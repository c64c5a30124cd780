// The header's pill: what is training, on every tab. Asks every two seconds while somebody can see it.
// Gradio runs this file as a function body with `element`, `props` and `server`.
/* global element, props, server */

// Types of ui/components/contracts, written by `python -m tests.typedefs`.
/** @typedef {{ visitor: string }} LiveValue */
/** @typedef {{ state: string, text: string }} LiveAnswer */

const P = window.Playground;
const pill = element.querySelector(".pg-pill");
const text = P.el("span", { class: "pg-pill-text", text: "Nothing is training" });
const news = P.el("span", { class: "pg-unseen", role: "status" }); // read out when the state changes, not every second
pill.append(P.el("i", { class: "pg-dot", "aria-hidden": "true" }), text, news);

let state = null;

P.every(element, 2000, async () => {
  const reply = await P.ask(server.live, { visitor: props.value?.visitor ?? "" });
  if (!reply) return;
  P.say(text, reply.text || P.stateWords(reply.state));
  if (state !== null && state !== reply.state) P.say(news, `${P.stateWords(reply.state)}. ${reply.text ?? ""}`);
  state = reply.state;
  pill.dataset.state = reply.state;
});
