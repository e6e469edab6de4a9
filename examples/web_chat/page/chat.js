// The page of the web example: it sends what the user says, and shows the events that come back.

const TEXTS = {
  en: { restart: "New", send: "Send", stop: "Stop", ask: "Ask a question", start: "Run {0}", thinking: "Reasoning", result: "Result", arguments: "Arguments", answer: "Your answer", submit: "Submit", sources: "Sources", next: "Ask next", tokens: "{0} tokens: {1} in, {2} out", asks: "The workflow asks", stopped: "Stopped.", lost: "The connection broke before the answer was complete", lostText: "Check that the site still runs, and send it again.", session: "Your session has ended: reload the page.", hello: "Ask the bot, or run the workflow. Reloading the page keeps the thread." },
  zh: { restart: "新对话", send: "发送", stop: "停止", ask: "请输入问题", start: "运行 {0}", thinking: "思考过程", result: "结果", arguments: "参数", answer: "您的回答", submit: "提交", sources: "引用来源", next: "还可以问", tokens: "{0} 个 token：输入 {1}，输出 {2}", asks: "工作流提问", stopped: "已停止。", lost: "回答尚未完成，连接已中断", lostText: "请确认网站仍在运行，然后重新发送。", session: "会话已失效，请刷新页面。", hello: "向智能体提问，或运行工作流。刷新页面后对话仍在。" },
};
const language = /^zh/i.test(navigator.language) ? "zh" : "en";
const $ = (id) => document.getElementById(id);

let thread = sessionStorage.getItem("thread") || createThread();
let running = null; // aborts what runs
let ended = null; // a promise that what runs has ended
let turn = null; // the elements of the newest turn, by what they show

function text(key, ...values) {
  return TEXTS[language][key].replace(/\{(\d)\}/g, (_, number) => values[number]);
}

/** Create an element; strings become text, never HTML. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function createThread() {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem("thread", id);
  return id;
}

// What is shown -----------------------------------------------------------------------------------

function add(...nodes) {
  const main = $("thread");
  const isAtEnd = main.scrollHeight - main.scrollTop - main.clientHeight < 80;
  main.append(...nodes);
  if (isAtEnd) main.scrollTop = main.scrollHeight;
  return nodes[0];
}

function beginTurn(question) {
  turn = { texts: new Map(), calls: new Map(), sources: null, suggestions: null };
  if (question) add(el("p", { class: "question" }, question));
}

function grow(key, part, create) {
  if (!turn.texts.has(key)) turn.texts.set(key, create());
  turn.texts.get(key).append(part);
  add(); // to stay at the end
}

const SHOW = {
  question: ({ text: content }) => beginTurn(content),
  text: ({ id, text: content }) => grow(`text ${id}`, content, () => add(el("div", { class: "text" }))),
  reasoning: ({ id, text: content }) =>
    grow(`reasoning ${id}`, content, () => {
      const node = el("div", { class: "text" });
      add(el("details", { class: "reasoning" }, el("summary", {}, text("thinking")), node));
      return node;
    }),
  tool_call: ({ id, name, args }) => {
    if (turn.calls.has(id)) return;
    const label = el("p", { class: "label" }, text("arguments"));
    turn.calls.set(id, add(el("details", { class: "call" }, el("summary", {}, el("code", {}, name)), label, el("pre", {}, pretty(args)))));
  },
  tool_result: ({ id, content }) => {
    const call = turn.calls.get(id) ?? document.querySelector(".call:not(.done)");
    call?.classList.add("done");
    call?.append(el("p", { class: "label" }, text("result")), el("pre", {}, pretty(content)));
  },
  progress: ({ node, content }) => {
    if (!content.startsWith("{")) add(el("div", { class: "progress" }, el("p", { class: "label" }, node), el("p", { class: "text" }, content)));
  },
  output: ({ output }) => add(el("pre", { class: "output" }, pretty(output))),
  source: (source) => {
    turn.sources ??= add(el("p", { class: "label" }, text("sources")));
    const title = /^https?:/i.test(source.url) ? el("a", { href: source.url, target: "_blank", rel: "noopener noreferrer" }, source.title) : el("b", {}, source.title);
    add(el("div", { class: "source" }, title, el("p", { class: "hint" }, source.content)));
  },
  follow_up: ({ text: content }) => {
    turn.suggestions ??= add(el("div", { class: "choices" }, el("p", { class: "label" }, text("next"))));
    turn.suggestions.append(el("button", { type: "button", onclick: () => ask(content) }, content));
  },
  usage: (usage) => add(el("p", { class: "foot" }, text("tokens", usage.total_tokens, usage.input_tokens, usage.output_tokens))),
  error: ({ message, hint, code, logid }) => {
    const about = [code, logid].filter(Boolean).join(" · ");
    const lines = (hint ?? "").split("\n"); // one in English, one in Chinese
    const shown = language === "zh" ? lines.at(-1) : lines[0];
    add(el("section", { class: "failure", role: "alert" }, el("strong", {}, message), el("span", {}, shown), el("span", { class: "hint" }, about)));
  },
  ask: showQuestion,
};

function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

function showQuestion({ id, of, question, options, inputs }) {
  if (document.getElementById(`ask-${id}`)) return;
  const names = Object.keys(inputs);
  const last = $("thread").lastElementChild; // the node has told its question, too
  if (last?.matches(".progress") && last.querySelector(".text").textContent === question) last.remove();
  // coze.cn sends the choices as the lines below the question.
  const [title, ...lines] = names.length || options.length ? [question] : question.split("\n");
  const choices = options.length ? options : lines;
  const card = el("section", { class: "ask", id: `ask-${id}` }, el("p", { class: "label" }, text("asks")));
  const send = (answer) => {
    const given = names.length ? Object.entries(answer).map((pair) => pair.join(": ")) : [title, answer];
    card.replaceChildren(el("span", {}, given.join(names.length ? ", " : " ")));
    card.classList.add("answered");
    run("answer", { id, of, answer });
  };
  if (!names.length) card.append(el("p", { class: "text" }, title));
  if (choices.length) card.append(el("div", { class: "choices" }, ...choices.map((choice) => el("button", { type: "button", onclick: () => send(choice) }, choice))));
  card.append(names.length ? createForm(inputs, send) : createForm({ "": { type: "string" } }, (values) => send(values[""])));
  add(card);
  card.querySelector("button, input").focus({ preventScroll: true });
}

function createForm(inputs, submit) {
  const fields = Object.entries(inputs).map(([name, schema], index) => {
    const id = `field-${Date.now()}-${index}`;
    const input = el("input", { id, autocomplete: "off", value: schema.default_value ?? schema.default ?? "", "aria-label": name || text("answer"), placeholder: schema.description ?? "" });
    return { name, schema, input, node: el("div", {}, el("label", { for: id }, name), input) };
  });
  const form = el("form", { class: "fields" }, ...fields.map((field) => field.node), el("button", { class: "primary", type: "submit" }, text("submit")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = fields.filter((field) => field.input.value.trim());
    if (given.length) submit(Object.fromEntries(given.map(({ name, schema, input }) => [name, read(schema.type, input.value)])));
  });
  return form;
}

function read(type, value) {
  if (type === "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value; // Coze says what is wrong with it
  }
}

// Requests ----------------------------------------------------------------------------------------

/** Wait for a turn that is about to end: its last words are seen before its last event. */
async function waitForEnd() {
  if (running) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000))]);
}

async function ask(question) {
  await waitForEnd();
  if (running) return;
  beginTurn(question);
  run("ask", { text: question });
}

async function run(path, body) {
  if (running) await waitForEnd();
  let end;
  ended = new Promise((resolve) => (end = resolve));
  running = new AbortController();
  const { signal } = running;
  setRunning(true);
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify({ thread, ...body }), signal });
    if (!response.ok) SHOW.error({ message: response.status === 422 ? text("session") : await response.text() });
    else if (!(await showStream(response))) SHOW.error({ message: text("lost"), hint: text("lostText") });
  } catch {
    if (signal.aborted) add(el("p", { class: "hint" }, text("stopped")));
    else SHOW.error({ message: text("lost"), hint: text("lostText") });
  }
  if (running?.signal === signal) running = null;
  setRunning(false);
  end();
}

/** Show the events of a stream; return whether it came to its end. */
async function showStream(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (buffer + value).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const [, kind, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
      if (kind === "done") return true;
      SHOW[kind]?.(JSON.parse(data));
    }
  }
}

function setRunning(isRunning) {
  $("send").textContent = text(isRunning ? "stop" : "send");
  $("send").classList.toggle("stops", isRunning);
}

async function open() {
  $("thread").replaceChildren(el("p", { class: "hint" }, text("hello")));
  beginTurn();
  const response = await fetch(`api/thread/${thread}`);
  if (!response.ok) return SHOW.error({ message: text("session") });
  const { workflow, events } = await response.json();
  for (const [kind, fields] of events) SHOW[kind]?.(fields);
  $("start").hidden = !workflow;
  if (workflow) {
    $("start").textContent = text("start", workflow.name);
    $("start").onclick = () => startWorkflow(workflow);
  }
  return undefined;
}

function startWorkflow({ name, description, properties }) {
  if (running) return;
  const card = el("section", { class: "ask" }, el("p", { class: "label" }, name), el("p", {}, description));
  const start = (parameters) => {
    card.remove();
    beginTurn(`${name} ${JSON.stringify(parameters)}`);
    run("run", { parameters });
  };
  if (Object.keys(properties).length) card.append(createForm(properties, start));
  else start({});
  add(card);
  card.querySelector("input")?.focus();
}

for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
$("input").placeholder = $("input").ariaLabel = text("ask");

async function submit() {
  await waitForEnd();
  const question = $("input").value.trim();
  if (running || !question) return;
  $("input").value = "";
  ask(question);
}
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort();
  else submit();
});

// Enter also chooses a word of an input method: then it must reach neither the page nor a form.
let composing = null;
document.addEventListener("compositionstart", (event) => (composing = event.target));
document.addEventListener("compositionend", () => (composing = null));
document.addEventListener("keydown", (event) => {
  const isOfWord = event.isComposing || event.keyCode === 229 || composing === event.target;
  if (event.key !== "Enter" || !isOfWord) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
$("input").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
$("restart").addEventListener("click", () => {
  running?.abort();
  thread = createThread();
  open();
});
$("input").focus();
open();
