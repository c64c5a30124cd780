// The teacher's desk: logging in, who is here, everybody's runs with small curves, and what the host changes. All that comes
// from visitors is shown as text.

import { download, el, every, setText } from "../static/dom.js";
import { counted, duration, stateWords } from "../static/words.js";

const KEY = "playground-desk"; // in this tab only; a new tab logs in again
const SVG = "http://www.w3.org/2000/svg";
const BUSY = ["running", "queued"];
const FIRST = ["max_parameters", "max_steps", "run_minutes", "daily_minutes"]; // limits that are shown without unfolding
const TRAINERS = [["everyone", "everyone"], ["owner", "only the host"], ["nobody", "nobody"]];

const root = document.getElementById("desk");
let token = "";
try {
  token = sessionStorage.getItem(KEY) ?? "";
} catch {
  // in a frame, a browser may refuse storage: then a reload logs out
}

/** Use a token from now on; an empty one is none. */
function keep(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // see above
  }
}

/**
 * Ask an endpoint of the desk. What is wrong is thrown as an Error with a sentence.
 *
 * @param {string} path
 * @param {object} question
 * @returns {Promise<any>}
 */
async function ask(path, question = {}) {
  let answer;
  try {
    answer = await fetch(new URL(`desk/${path}`, document.baseURI), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(question),
    });
  } catch {
    throw new Error("The app does not answer. Is it running?");
  }
  if (answer.status === 401) showLogin();
  const value = await answer.json().catch(() => ({ error: `The app answered with status ${answer.status}.` }));
  if (!answer.ok) throw new Error(value.error ?? value.detail ?? `The app answered with status ${answer.status}.`);
  return value;
}

// ---- logging in -----------------------------------------------------------------------------------------------

function showLogin() {
  keep("");
  const password = el("input", { type: "password", autocomplete: "current-password", required: true, "aria-label": "Host's password", placeholder: "Host's password", maxlength: 200 });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const button = el("button", { class: "primary", text: "Open the desk" });
  const form = el("form", { class: "login card" }, el("h1", { text: "Teacher's desk" }), el("p", { class: "soft", text: "For the host of this playground." }), password, button, wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(wrong, "");
    try {
      keep((await ask("login", { password: password.value })).token);
      showDesk();
    } catch (error) {
      setText(wrong, error.message);
      button.disabled = false;
      password.select();
    }
  });
  root.replaceChildren(form);
  password.focus();
}

// ---- the desk -------------------------------------------------------------------------------------------------

function showDesk() {
  const said = el("p", { class: "said", role: "status" });
  const jobs = el("ul", { class: "jobs" });
  const people = el("ul", { class: "people" });
  const nothing = el("p", { class: "soft", text: "No runs yet. They appear here as soon as somebody starts one." });
  const nobody = el("p", { class: "soft", text: "Nobody has opened the page yet." });
  const summary = el("p", { class: "soft summary" });
  const classes = el("select", { "aria-label": "Class" });
  const scope = () => (classes.value ? { class: classes.value } : {});
  const whose = () => (classes.value ? `class ${classes.value}` : "all visitors");
  classes.addEventListener("change", () => refresh());
  const limits = limitsCard(act);
  const assignments = assignmentsCard(act);
  const button = (text, work, kind = "") => {
    const made = el("button", { type: "button", class: kind, text });
    made.addEventListener("click", () => work(made));
    return made;
  };

  /** Do something, and say what came of it. */
  async function act(question) {
    setText(said, "…");
    said.classList.remove("wrong");
    try {
      setText(said, (await ask("act", question)).said);
    } catch (error) {
      said.classList.add("wrong");
      setText(said, error.message);
      return false;
    } finally {
      await refresh();
    }
    return true;
  }

  async function exportAll(made) {
    made.disabled = true;
    setText(said, "Collecting the runs…");
    setText(said, await download("desk/export", token, "class.zip", `The runs of ${whose()} are downloaded as class.zip.`, scope()));
    made.disabled = false;
  }

  const header = el("header", {},
    el("div", { class: "brand" }, el("h1", { text: "Teacher's desk" }), summary),
    el("div", { class: "actions" },
      classes,
      button("Download all", exportAll),
      button("Stop what waits", () => act({ action: "clear" })),
      button("Stop everything", async () => (await sure("Stop all runs that train or wait?", "Stop everything")) && act({ action: "clear", running: true })),
      button("Reset between classes…", async () => (await sure(`Delete the runs, names and answers of ${whose()}, except pinned runs? They cannot be restored; download them first.`, "Delete all runs")) && act({ action: "reset", ...scope() }), "danger"),
      button("Log out", showLogin)));
  const card = (title, ...children) => el("section", { class: "card" }, el("h2", { text: title }), ...children);
  const side = el("div", { class: "side" }, card("Visitors", nobody, people), limits.card);
  const main = el("div", { class: "side" }, card("Runs", nothing, jobs), assignments.card);
  root.replaceChildren(header, said, el("div", { class: "page" }, main, side));

  const rows = new Map();
  const persons = new Map();
  async function refresh() {
    let state;
    try {
      state = await ask("state", scope());
    } catch (error) {
      if (token) setText(said, error.message);
      return;
    }
    const of = (name) => state.jobs.filter((job) => job.state === name).length;
    const more = state.n_jobs > state.jobs.length ? ` · the newest ${state.jobs.length} are listed` : "";
    setText(summary, `${counted(state.people.filter((person) => person.here).length, "visitor")} here · ${of("running")} training · ${of("queued")} waiting · ${counted(state.n_jobs, "run")}${more}`);
    showClasses(classes, state.classes);
    nothing.hidden = state.jobs.length > 0;
    nobody.hidden = state.people.length > 0;
    keyed(jobs, rows, [...state.jobs].sort((a, b) => rank(a) - rank(b)), () => jobRow(act));
    keyed(people, persons, state.people, personRow);
    limits.show(state.limits);
    assignments.show(state);
  }
  every(root, 3000, refresh);
}

/** The classes to choose from; the choice is there only if somebody is in one. */
function showClasses(select, classes) {
  const values = ["", ...classes];
  if ([...select.options].map((option) => option.value).join("\n") !== values.join("\n")) {
    const chosen = select.value;
    select.replaceChildren(...values.map((value) => el("option", { value, text: value ? `Class ${value}` : "All visitors" })));
    select.value = values.includes(chosen) ? chosen : "";
  }
  select.hidden = !classes.length;
}

/** Running first, then the queue in its order, then what has ended. */
const rank = (job) => (job.state === "running" ? 0 : job.place ?? 1e6);

/** A list whose rows stay the same elements, so that neither the focus nor a selection is lost. */
function keyed(list, rows, items, make) {
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) {
      row.node.remove();
      rows.delete(id);
    }
  }
  items.forEach((item, at) => {
    if (!rows.has(item.id)) rows.set(item.id, make());
    const row = rows.get(item.id);
    row.show(item);
    if (list.children[at] !== row.node) list.insertBefore(row.node, list.children[at] ?? null);
  });
}

function jobRow(act) {
  let job;
  const who = el("strong");
  const name = el("span");
  const state = el("span", { class: "state" });
  const numbers = el("span", { class: "soft numbers" });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 36");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const button = (text, work, kind = "") => {
    const made = el("button", { type: "button", class: `small ${kind}`, text });
    made.addEventListener("click", work);
    return made;
  };
  const stop = button("Stop", () => act({ action: "stop", id: job.id }));
  const pin = button("Pin", () => act({ action: "pin", id: job.id, pinned: !job.pinned }));
  const remove = button("Delete", async () => (await sure(`Delete ${job.name}?`, "Delete")) && act({ action: "delete", id: job.id }), "danger");
  const node = el("li", { class: "job" }, svg, el("div", { class: "what" }, el("div", {}, who, " ", name), el("div", {}, state, " ", numbers)), el("div", { class: "buttons" }, stop, pin, remove));
  return {
    node,
    show(now) {
      const redraw = JSON.stringify(now.curves) !== JSON.stringify(job?.curves);
      job = now;
      setText(name, job.name);
      setText(who, job.person);
      const place = job.place ? `number ${job.place} in the queue` : stateWords(job.state);
      setText(state, job.pinned ? `${place} · pinned` : place);
      node.dataset.state = job.state;
      node.title = job.message;
      const words = [`step ${job.step.toLocaleString("en")} of ${job.steps.toLocaleString("en")}`];
      if (job.loss != null) words.push(`loss ${job.loss.toFixed(3)}`);
      if (job.eta) words.push(`${duration(job.eta)} left`);
      setText(numbers, words.join(" · "));
      stop.hidden = !BUSY.includes(job.state);
      setText(pin, job.pinned ? "Unpin" : "Pin");
      pin.title = job.pinned ? "No longer show it in everybody's lists" : "Show it to everybody, first in every list";
      for (const made of [stop, pin, remove]) made.setAttribute("aria-label", `${made.textContent} ${job.name} of ${job.person}`);
      if (redraw) draw(svg, job);
    },
  };
}

/** Training losses over steps, all of a job's on one scale. */
function draw(svg, job) {
  const all = job.curves.flatMap(([, losses]) => losses);
  const [low, high, last] = [Math.min(...all), Math.max(...all), Math.max(1, job.steps)];
  svg.setAttribute("aria-label", all.length ? `Training loss, from ${all[0].toFixed(2)} to ${all.at(-1).toFixed(2)}` : "No training steps yet");
  svg.replaceChildren(...job.curves.filter(([steps]) => steps.length).map(([steps, losses]) => {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("points", steps.map((step, i) => `${(120 * step / last).toFixed(1)},${(34 - 32 * (losses[i] - low) / (high - low || 1)).toFixed(1)}`).join(" "));
    return line;
  }));
}

function personRow() {
  const dot = el("i", { class: "dot", "aria-hidden": "true" });
  const name = el("strong");
  const words = el("span", { class: "soft" });
  const node = el("li", {}, dot, name, words);
  return {
    node,
    show(person) {
      node.classList.toggle("here", person.here);
      setText(name, person.name);
      const minutes = person.minutes < 0.5 ? [] : [`${Math.round(person.minutes)} min today`];
      const group = person.class ? [`class ${person.class}`] : [];
      setText(words, [...group, person.here ? "here" : "away", counted(person.jobs, "run"), ...(person.active ? [`${person.active} active`] : []), ...minutes].join(" · "));
    },
  };
}

// ---- assignments ----------------------------------------------------------------------------------------------

/** The assignments with what was handed in, and a form for a new one. */
function assignmentsCard(act) {
  const list = el("ul", { class: "assignments" });
  const rows = new Map();
  const title = el("input", { required: true, maxlength: 80 });
  const question = el("textarea", { required: true, maxlength: 5000, rows: 3 });
  const setup = el("input", { required: true, placeholder: "from Copy link to this configuration, on the Train tab" });
  const frozen = el("input", { placeholder: "none; for example n_layer, learning_rate" });
  const field = (text, input) => el("label", { class: "field wide" }, el("span", { text }), input);
  const form = el("form", {}, field("Title", title), field("Question", question), field("Configuration", setup), field("Frozen settings", frozen),
    el("div", { class: "actions" }, el("button", { class: "primary", text: "Make the assignment" })));
  const making = el("details", {}, el("summary", { text: "New assignment" }), form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const names = frozen.value.split(",").map((name) => name.trim()).filter(Boolean);
    if (!(await act({ action: "assign", title: title.value, question: question.value, setup: setup.value, frozen: names }))) return;
    form.reset();
    making.open = false;
  });
  return {
    card: el("section", { class: "card" }, el("h2", { text: "Assignments" }), list, making),
    show(state) {
      keyed(list, rows, state.assignments.map((one) => ({ ...one, code: state.limits.class_code })), () => assignmentRow(act));
    },
  };
}

function assignmentRow(act) {
  let one;
  const title = el("strong");
  const words = el("span", { class: "soft" });
  const question = el("p", { class: "soft question" });
  const link = el("input", { readonly: true, "aria-label": "Link for the class", spellcheck: "false" });
  const answers = el("ul", { class: "answers" });
  const rows = new Map();
  const summary = el("summary");
  const remove = el("button", { type: "button", class: "small danger", text: "Delete" });
  link.addEventListener("focus", () => link.select());
  remove.addEventListener("click", async () => (await sure(`Delete ${one.title} and its answers?`, "Delete")) && act({ action: "unassign", id: one.id }));
  const node = el("li", {}, el("div", { class: "what" }, title, " ", words), question, el("div", { class: "actions" }, link, remove), el("details", {}, summary, answers));
  return {
    node,
    show(now) {
      one = now;
      setText(title, one.title);
      setText(question, one.question);
      setText(words, one.frozen.length ? `frozen: ${one.frozen.join(", ")}` : "");
      const address = new URL("./", document.baseURI);
      address.search = String(new URLSearchParams({ assignment: one.id, ...(one.code ? { class: one.code } : {}) }));
      if (link.value !== address.href) link.value = address.href;
      setText(summary, `${counted(one.answers.length, "answer")} handed in`);
      keyed(answers, rows, one.answers, answerRow);
    },
  };
}

function answerRow() {
  const person = el("strong");
  const text = el("p");
  return {
    node: el("li", {}, person, text),
    show(answer) {
      setText(person, answer.person);
      setText(text, answer.text);
    },
  };
}

// ---- limits ---------------------------------------------------------------------------------------------------

/** The form of limits. It shows what is in force until the host has begun to change it. */
function limitsCard(act) {
  const code = el("input", { maxlength: 40, placeholder: "no names", autocomplete: "off" });
  const trainers = el("select", {}, ...TRAINERS.map(([value, text]) => el("option", { value, text })));
  const numbers = el("div", { class: "fields" });
  const more = el("div", { class: "fields" });
  const settings = el("div", { class: "checks" });
  const frozenSummary = el("summary");
  const changed = el("p", { class: "soft" });
  const save = el("button", { class: "primary", text: "Change the limits", disabled: true });
  const undo = el("button", { type: "button", text: "As at the start" });
  const form = el("form", {},
    el("label", { class: "field", title: "Visitors who give it are asked for their name, which is shown here" }, el("span", { text: "Class code" }), code),
    el("label", { class: "field" }, el("span", { text: "Who can train" }), trainers), numbers,
    el("details", {}, el("summary", { text: "More limits" }), more), el("details", {}, frozenSummary, settings), changed, el("div", { class: "actions" }, save, undo));
  const card = el("section", { class: "card" }, el("h2", { text: "Class and limits" }), el("p", { class: "soft", text: "With a class code, visitors are asked for their name. Limits hold for everything that is started from now on; empty: no limit." }), form);
  let edited = false;
  let inputs = {};
  let boxes = {};
  form.addEventListener("input", () => {
    edited = true;
    save.disabled = false;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const changes = { class_code: code.value.trim(), trainers: trainers.value, frozen: Object.keys(boxes).filter((name) => boxes[name].checked) };
    for (const [name, input] of Object.entries(inputs)) changes[name] = input.value.trim() === "" ? null : Number(input.value);
    edited = false; // what is in force is shown again, unless it was refused
    if (!(await act({ action: "limits", changes }))) edited = true;
    save.disabled = !edited;
  });
  undo.addEventListener("click", async () => {
    edited = false;
    save.disabled = true;
    await act({ action: "undo" });
  });
  function build(limits) {
    for (const { name, label, help } of limits.numbers) {
      inputs[name] = el("input", { type: "number", min: 0, step: "any", placeholder: "no limit" });
      (FIRST.includes(name) ? numbers : more).append(el("label", { class: "field", title: help }, el("span", { text: label }), inputs[name]));
    }
    for (const { name, label } of limits.settings) {
      boxes[name] = el("input", { type: "checkbox" });
      settings.append(el("label", { title: name }, boxes[name], ` ${label}`));
    }
  }
  return {
    card,
    show(limits) {
      if (!Object.keys(inputs).length) build(limits);
      setText(changed, limits.changed.length ? `Changed since the start: ${limits.changed.join(", ")}.` : "");
      undo.hidden = !limits.changed.length;
      if (edited) return;
      trainers.value = limits.trainers;
      code.value = limits.class_code;
      for (const { name, value } of limits.numbers) inputs[name].value = value ?? "";
      for (const name of Object.keys(boxes)) boxes[name].checked = limits.frozen.includes(name);
      setText(frozenSummary, `Frozen settings: ${limits.frozen.length || "none"}`);
    },
  };
}

/** A question before something that cannot be undone. */
function sure(question, yes) {
  const no = el("button", { text: "Cancel", value: "", autofocus: true });
  const dialog = el("dialog", {}, el("p", { text: question }), el("form", { method: "dialog", class: "actions" }, el("button", { class: "danger", text: yes, value: "yes" }), no));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "yes");
  }));
}

if (token) showDesk();
else showLogin();
