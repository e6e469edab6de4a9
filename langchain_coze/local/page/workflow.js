// Runs of workflows: from the events of Coze's API to what the page shows.

import { parse } from "./dom.js";
import { text } from "./texts.js";

const ASKING_NODES = new Set(["Question", "Input"]);

/** Run a workflow. */
export function run(thread, turn, parameters) {
  const { id, app_id } = thread.served;
  const body = { workflow_id: id, parameters, ...(app_id ? { app_id } : {}) };
  return follow(thread, turn, "v1/workflow/stream_run", body);
}

async function follow(thread, turn, path, body) {
  let isComplete = false;
  const state = { question: "", prefix: `${turn.texts.size}` };
  await thread.stream(path, body, (name, data) => {
    isComplete ||= ["Done", "Error", "Interrupt"].includes(name);
    const value = parse(data);
    if (value) READERS[name]?.(thread, turn, value, state);
  });
  if (!isComplete) thread.cut();
}

const READERS = { Message: readMessage, Interrupt: readInterrupt, Error: readError };

function readMessage(_thread, turn, message, state) {
  if (message.usage) turn.count(message.usage.input_count, message.usage.output_count);
  if (ASKING_NODES.has(message.node_type)) {
    state.question = message.content;
  } else if (message.node_type === "End" && parse(message.content)) {
    turn.output(message.content);
  } else if (message.content) {
    turn.nodeText(`${state.prefix} ${message.node_id}`, message.node_title).append(message.content);
  }
}

function readError(_thread, turn, error) {
  turn.fail(text("failed", error.error_code), error.error_message);
}

function readInterrupt(thread, turn, value, state) {
  const { event_id, type, data, required_parameters: parameters } = value.interrupt_data;
  const resume = (answer) => {
    const body = { workflow_id: thread.served.id, event_id, interrupt_type: type, resume_data: answer };
    thread.proceed(turn, () => follow(thread, turn, "v1/workflow/stream_resume", body));
  };
  if (type === 5) {
    turn.askForm(parameters ?? readFields(data), (values) => resume(JSON.stringify(values)));
  } else {
    turn.askQuestion(...readQuestion(data || state.question), resume);
  }
}

/** Return the fields of a form as Studio describes them. */
function readFields(data) {
  const fields = parse(parse(data)?.content) ?? [];
  return Object.fromEntries(fields.map((field) => [field.name, field]));
}

/** Return a question and its options: of Studio's messages, or the lines of a text. */
function readQuestion(data) {
  const last = parse(data)?.messages?.at(-1);
  if (!last) {
    const lines = (parse(data)?.content ?? data).split("\n");
    const options = lines.slice(1);
    return options.every((line) => line.length < 40) ? [lines[0], options] : [lines.join("\n"), []];
  }
  if (typeof last.content === "string") return [last.content, []];
  return [last.content.question, last.content.options.map((option) => option.name)];
}
