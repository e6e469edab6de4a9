// One bot or workflow that the user talks to: its turns, its raw events, and what runs.

import * as chat from "./chat.js";
import { CutError, ServerError, openStream, post } from "./client.js";
import { createForm, el } from "./dom.js";
import { EventList } from "./events.js";
import * as site from "./site.js";
import { language, name as localize, say, text, translate } from "./texts.js";
import { Turn } from "./turn.js";
import * as workflow from "./workflow.js";

const GRACE_MS = 1000;
const MAX_TOPICS = 6;
const MAX_NAME = 20; // characters of a name in the empty input
// How a question is asked, or a workflow run, and how that is cancelled where it can be.
const CALLS = {
  bot: chat,
  chatflow: chat,
  workflow: { run: workflow.run },
  agent: { ask: site.ask, cancel: site.cancel },
  flow: { run: site.run, cancel: site.cancel },
};

export class Thread {
  /** `connection` has the token, and is told when the server cannot be reached. */
  constructor(served, connection) {
    this.served = served;
    this.connection = connection;
    this.calls = CALLS[served.kind];
    this.node = el("div", { class: "thread" });
    this.composer = this.calls.run ? this.createRunForm() : this.createComposer();
    this.restart();
  }

  get profile() {
    return this.connection.profile;
  }

  /** Forget the conversation, and what is shown of it. */
  restart() {
    this.stop();
    this.forget();
    this.events = new EventList();
    this.node.replaceChildren(this.createIntro());
    this.connection.changed(this);
  }

  /** Begin a new conversation. */
  forget() {
    this.conversationId = "";
    this.user = `page-${Math.random().toString(36).slice(2, 10)}`;
  }

  createIntro() {
    const { name, description, topics = [] } = this.served;
    const intro = el("section", { class: "intro" }, el("h2", { tell: name }));
    if (description) intro.append(el("p", { class: "description", tell: description }));
    intro.append(el("p", { class: "hint", say: this.calls.run ? "introWorkflow" : "introBot" }));
    const isChinese = (topic) => /[\u4e00-\u9fff]/.test(topic);
    const fitting = topics.filter((topic) => isChinese(topic) === (language === "zh"));
    const shown = (fitting.length ? fitting : topics).slice(0, MAX_TOPICS);
    if (shown.length) {
      const pills = shown.map((topic) => el("button", { class: "pill", type: "button", onclick: () => this.send(topic) }, topic));
      intro.append(el("div", { class: "suggestions" }, el("p", { class: "label", say: "topics" }), ...pills));
    }
    return intro;
  }

  createComposer() {
    const input = el("textarea", { rows: 1, "aria-describedby": "keys" });
    this.input = input;
    this.nameInput();
    this.button = el("button", { class: "primary send", type: "submit", say: "send" });
    const form = el("form", { class: "composer" }, input, this.button);
    const submit = async () => {
      await this.waitForEnd();
      const question = input.value.trim();
      if (this.running || !question) return;
      input.value = "";
      this.send(question);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running) this.stop();
      else submit();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      submit();
    });
    return el("div", { class: "dock" }, form, el("p", { class: "hint keys", id: "keys", say: "keys" }));
  }

  nameInput() {
    const name = localize(this.served.name);
    this.input.ariaLabel = text("placeholder", name);
    this.input.placeholder = text("placeholder", name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name);
  }

  createRunForm() {
    const form = createForm(this.served.inputs, "run", (values) => this.send(values));
    this.button = form.querySelector("button[type=submit]");
    this.button.addEventListener("click", (event) => {
      if (!this.running) return;
      event.preventDefault();
      this.stop();
    });
    if (!Object.keys(this.served.inputs).length) form.prepend(el("p", { class: "hint", say: "noInputs" }));
    return el("div", { class: "dock" }, form);
  }

  /** Write the texts again, after the language was changed. */
  translate() {
    translate(this.node);
    translate(this.composer);
    translate(this.events.node);
    if (this.input) this.nameInput();
    if (this.node.firstElementChild?.matches(".intro:only-child")) this.node.replaceChildren(this.createIntro());
  }

  /** Send a question, or the inputs of a workflow. */
  async send(content) {
    await this.waitForEnd();
    if (this.running) return;
    for (const ask of this.node.querySelectorAll(".ask:not(:has(.answered))")) closeAsk(ask);
    const turn = new Turn(this, describe(content), () => this.send(content));
    this.node.append(turn.node);
    this.connection.sent();
    await this.proceed(turn, async () => {
      if (await this.connection.refresh()) turn.note("restarted");
      await (this.calls.run ?? this.calls.ask)(this, turn, content);
    });
  }

  /** Wait for a turn that is about to end: its last words are seen before its last event. */
  async waitForEnd() {
    if (this.running) await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, GRACE_MS))]);
  }

  /** Run a part of a turn: its beginning, or what follows an answer of the user. */
  async proceed(turn, act) {
    if (this.running) await this.waitForEnd();
    let end;
    this.ended = new Promise((resolve) => (end = resolve));
    this.running = new AbortController();
    this.arrived = 0;
    this.setRunning(true);
    turn.node.setAttribute("aria-busy", "true");
    const { signal } = this.running;
    try {
      await act();
    } catch (error) {
      this.showFailure(turn, error, signal);
    }
    if (this.running?.signal === signal) {
      this.running = null;
      this.setRunning(false);
    }
    end();
    turn.finish();
    this.connection.announce("complete");
  }

  showFailure(turn, error, signal) {
    if (signal.aborted) turn.note("stopped");
    else if (error instanceof ServerError) turn.fail(...chat.describe(error), error.logid);
    else if (error instanceof CutError || this.arrived) turn.fail(text("cut"), text("cutText"));
    else if (error instanceof TypeError) turn.fail(text("notSent"), text("notSentText"));
    else if (error.name !== "AbortError") throw error; // else the page asks for the token
    if (!signal.aborted && !(error instanceof ServerError)) this.connection.check();
  }

  /** Read a stream; `handle` gets the name and the data of each event. */
  async stream(path, body, handle, headers) {
    const { signal } = this.running;
    this.events.addRequest(path, body);
    for await (const { name, data } of openStream(this.connection.token, path, body, { signal, headers })) {
      this.arrived += 1;
      this.events.add(name, data);
      handle(name, data);
    }
  }

  post(path, body) {
    post(this.connection.token, path, body).catch(() => this.connection.check());
  }

  cut() {
    throw new CutError();
  }

  stop() {
    if (!this.running) return;
    this.calls.cancel?.(this);
    this.running.abort();
  }

  setRunning(isRunning) {
    say(this.button, isRunning ? "stop" : this.calls.run ? "run" : "send");
    this.button.classList.toggle("stops", isRunning);
  }
}

/** Show that a question was not answered: a new run does not wait for it. */
function closeAsk(ask) {
  for (const control of ask.querySelectorAll("button, input, textarea")) control.disabled = true;
  ask.append(el("p", { class: "answered", say: "unanswered" }));
}

function describe(content) {
  if (typeof content === "string") return content;
  return Object.entries(content).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("\n");
}
