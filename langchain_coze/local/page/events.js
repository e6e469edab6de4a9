// The list of raw events of a thread: requests, and what came back, in order.

import { el, pretty } from "./dom.js";
import { say, text } from "./texts.js";

const SHOWN = 100; // of a row with many events

export class EventList {
  constructor() {
    this.items = el("ol", { class: "event-list" });
    this.none = el("p", { class: "hint", say: "eventsNone" });
    this.copyButton = el("button", { class: "quiet", type: "button", say: "copy", onclick: () => this.copy() });
    this.node = el("div", { class: "event-log" }, this.none, this.items);
    this.rows = [];
  }

  /** Note a request; its time is the zero of the events that follow. */
  addRequest(path, body) {
    this.startedAt = performance.now();
    this.addRow(`POST /${path}`, "request", JSON.stringify(body));
  }

  add(name, data) {
    const last = this.rows.at(-1);
    if (last?.name !== name || last.kind === "request") return this.addRow(name, "event", data);
    last.data.push(data);
    last.count.textContent = `×${last.data.length}`;
    if (last.node.open && last.data.length <= SHOWN) last.content.append(show(data));
    return undefined;
  }

  addRow(name, kind, data) {
    this.none.remove();
    const ms = Math.round(performance.now() - this.startedAt);
    const row = { name, kind, data: [data], count: el("span", { class: "count" }), content: el("div") };
    const time = kind === "request" ? "" : `+${ms} ms`;
    const summary = el("summary", {}, el("code", {}, name), row.count, el("span", { class: "time" }, time));
    row.node = el("details", { class: kind }, summary, row.content);
    // The text of an event is built when somebody looks at it: there may be thousands.
    row.node.addEventListener("toggle", () => this.fill(row));
    this.rows.push(row);
    this.items.append(el("li", {}, row.node));
  }

  fill(row) {
    row.content.replaceChildren(...(row.node.open ? row.data.slice(0, SHOWN).map(show) : []));
    if (row.node.open && row.data.length > SHOWN) {
      row.content.append(say(el("p", { class: "hint" }), "eventsMore", row.data.length - SHOWN));
    }
  }

  async copy() {
    const lines = this.rows.flatMap((row) => row.data.map((data) => `${row.name}\n${data}\n`));
    await navigator.clipboard?.writeText(lines.join("\n"));
    say(this.copyButton, "copied");
    setTimeout(() => say(this.copyButton, "copy"), 1500);
  }
}

function show(data) {
  return el("pre", { class: "code" }, pretty(data) || text("eventsNone"));
}
