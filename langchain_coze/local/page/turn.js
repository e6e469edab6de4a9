// How one turn is shown: the question, and everything that the server sends for it.

import { createForm, el, link, pretty } from "./dom.js";
import { say, text } from "./texts.js";

const FLUSH_MS = 40; // a stream may have thousands of deltas; the page shows them together
const PIECE = 4000; // characters; browsers lay out many short paragraphs faster than one long one

/** A text that grows. */
class GrowingText {
  constructor(node) {
    this.node = node;
    this.length = 0;
    this.waiting = "";
    this.piece = null;
    this.pieceLength = 0;
  }

  append(part) {
    this.length += part.length;
    this.waiting += part;
    this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    let part = this.waiting;
    this.waiting = "";
    while (part) {
      const end = this.pieceLength > PIECE ? part.indexOf("\n") : part.length;
      const stop = end < 0 ? part.length : end;
      this.write(part.slice(0, stop));
      part = part.slice(stop);
      if (this.pieceLength > PIECE && part.startsWith("\n")) {
        this.write("\n");
        this.piece = null;
        part = part.slice(1);
      }
    }
    this.node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  write(part) {
    if (!this.piece) {
      this.piece = document.createTextNode("");
      this.pieceLength = 0;
      this.node.append(el("div", { class: "piece" }, this.piece));
    }
    this.piece.appendData(part);
    this.pieceLength += part.length;
  }
}

export class Turn {
  /** Show a question; `again` sends it again. */
  constructor(thread, question, again) {
    this.thread = thread;
    this.again = again;
    this.startedAt = performance.now();
    this.texts = new Map();
    this.calls = new Map();
    this.tokens = null;
    this.body = el("div", { class: "body" });
    this.sources = el("ol", { class: "sources" });
    this.suggestions = el("div", { class: "suggestions" });
    this.foot = el("p", { class: "foot" });
    this.waitingNote = el("p", { class: "waiting" }, el("span", { class: "dots", "aria-hidden": "true" }), el("span", { say: "waiting" }));
    this.body.append(this.waitingNote);
    this.node = el(
      "article",
      { class: "turn", "aria-busy": "true" },
      el("div", { class: "question" }, el("span", { class: "sr", say: "you" }), question),
      el("div", { class: "answer" }, this.body, this.sources, this.foot, this.suggestions),
    );
  }

  add(...nodes) {
    this.waitingNote.remove();
    this.body.append(...nodes);
    this.node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
    return nodes[0];
  }

  /** Return the growing text with a key, which is created when it is new. */
  growing(key, create) {
    if (!this.texts.has(key)) this.texts.set(key, new GrowingText(create()));
    return this.texts.get(key);
  }

  answer(id) {
    return this.growing(`answer ${id}`, () => this.add(el("div", { class: "text" })));
  }

  reason(id, part) {
    this.growing(`reasoning ${id}`, () => {
      const content = el("div", { class: "text" });
      this.add(el("details", { class: "reasoning", open: true }, el("summary", { say: "thinking" }), content));
      return content;
    }).append(part);
  }

  /** Show a text of a workflow's node. */
  nodeText(key, title) {
    return this.growing(`node ${key}`, () => {
      const content = el("div", { class: "text" });
      this.add(el("div", { class: "node" }, el("p", { class: "label" }, title), content));
      return content;
    });
  }

  output(value) {
    this.add(el("div", { class: "node" }, el("p", { class: "label", say: "output" }), el("pre", { class: "code" }, pretty(value))));
  }

  /** Show a call of a tool; `result` gives it its output later. */
  call(name, callArguments, key = name) {
    const content = el("div", { class: "call-content" }, el("p", { class: "label", say: "toolArguments" }), el("pre", { class: "code" }, pretty(callArguments)));
    const state = el("span", { class: "state", "aria-hidden": "true" });
    const summary = el("summary", {}, state, el("span", { class: "sr", say: "tool" }), el("code", {}, name));
    const node = this.add(el("details", { class: "call" }, summary, content));
    this.calls.set(key, { name, node, content, summary, startedAt: performance.now() });
    return key;
  }

  /** Show the output of a call, by default of the oldest one without any. */
  result(output, key) {
    const open = key ?? [...this.calls].find(([, call]) => !call.done)?.[0];
    const call = this.calls.get(open);
    if (!call || call.done) return;
    call.done = true;
    call.node.classList.add("done");
    call.content.append(el("p", { class: "label", say: "toolResult" }), el("pre", { class: "code" }, pretty(output)));
    const preview = typeof output === "string" ? output : JSON.stringify(output);
    call.summary.append(el("span", { class: "preview" }, preview.slice(0, 120)));
  }

  /** Ask the user for the outputs of tools that a client runs. */
  askForOutputs(calls, submit) {
    const inputs = {};
    for (const call of calls) inputs[call.name] = { type: "string", required: true };
    const form = createForm(inputs, "submit", (values) => {
      form.closest(".ask").remove();
      submit(calls.map((call) => ({ tool_call_id: call.id, output: values[call.name] })));
    });
    this.ask("toolWaits", "", form);
  }

  /** Ask a question of a workflow: with options, and a text for any other answer. */
  askQuestion(question, options, submit) {
    const card = el("div", { class: "choices" });
    const done = (value) => {
      card.replaceWith(say(el("p", { class: "answered" }), "answered", value));
      submit(value);
    };
    for (const option of options) {
      card.append(el("button", { class: "choice", type: "button", onclick: () => done(option) }, option));
    }
    const input = el("input", { type: "text", autocomplete: "off", "aria-label": text("answer"), placeholder: text("answer") });
    const form = el("form", { class: "one-line" }, input, el("button", { class: "primary", type: "submit", say: "submit" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value.trim()) done(input.value);
    });
    card.append(form);
    this.ask("asks", question, card);
  }

  /** Ask for the values of a workflow's form. */
  askForm(inputs, submit) {
    const form = createForm(inputs, "submit", (values) => {
      const told = Object.entries(values).map(([name, value]) => `${name}: ${value}`).join(", ");
      form.replaceWith(say(el("p", { class: "answered" }), "answered", told));
      submit(values);
    });
    this.ask("asks", "", form);
  }

  ask(titleKey, question, control) {
    const card = el("section", { class: "ask" }, el("p", { class: "label", say: titleKey }));
    if (question) card.append(el("p", { class: "text" }, question));
    card.append(control);
    this.add(card);
    card.querySelector("button.choice, input, textarea")?.focus({ preventScroll: true });
  }

  /** Show the passages that a bot found; `status` other than 0 is a failed search. */
  recall(passages, status = 0) {
    if (!this.sources.previousElementSibling.matches(".sources-title")) {
      this.sources.before(el("h2", { class: "sources-title", say: "sources" }));
    }
    if (status) this.sources.append(say(el("li", { class: "none" }), "failedSearch", status));
    else if (!passages.length) this.sources.append(el("li", { class: "none", say: "noSources" }));
    for (const passage of passages) this.sources.append(createSource(passage));
  }

  suggest(question) {
    if (!this.suggestions.childElementCount) {
      this.suggestions.append(el("p", { class: "label", say: "next" }));
    }
    this.suggestions.append(el("button", { class: "pill", type: "button", onclick: () => this.thread.send(question) }, question));
  }

  count(input, output) {
    const [before, after] = this.tokens ?? [0, 0];
    this.tokens = [before + input, after + output];
  }

  note(key, ...values) {
    this.add(say(el("p", { class: "note" }), key, ...values));
  }

  /** Say what went wrong; everything that arrived stays. */
  fail(title, details, logid = "") {
    const card = el("section", { class: "failure", role: "alert" }, el("p", { class: "failure-title" }, title), el("p", { class: "text" }, details));
    if (logid) card.append(say(el("p", { class: "hint" }), "logid", logid));
    if (this.again) {
      card.append(el("button", { class: "choice", type: "button", say: "again", onclick: () => this.again() }));
    }
    this.add(card);
  }

  /** End the turn, or a part of it that a question of the server ends. */
  finish() {
    for (const growing of this.texts.values()) growing.flush();
    this.waitingNote.remove();
    this.node.setAttribute("aria-busy", "false");
    this.foot.replaceChildren();
    const [input, output] = this.tokens ?? [0, 0];
    if (input + output) this.foot.append(say(el("span"), "tokens", input + output, input, output));
    const seconds = (performance.now() - this.startedAt) / 1000;
    this.foot.append(say(el("span"), seconds < 0.1 ? "instant" : "seconds", seconds.toFixed(1)));
    for (const part of this.body.querySelectorAll("details.reasoning")) part.open = false;
    this.node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }
}

function createSource({ title, url, content, score, base }) {
  const about = el("p", { class: "about" });
  if (base) about.append(el("span", { tell: base }));
  if (/^https?:/i.test(url)) about.append(el("span", {}, new URL(url).host));
  if (score !== undefined) about.append(say(el("span"), "score", Number(score).toFixed(2)));
  return el(
    "li",
    { class: "source" },
    el("p", { class: "source-title" }, link(url, title)),
    el("details", { class: "passage" }, el("summary", {}, content)),
    about,
  );
}
