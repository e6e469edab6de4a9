// Runs of a project of coze.site: an agent, or a workflow.

import { parse } from "./dom.js";
import { text } from "./texts.js";

/** Ask the agent. */
export function ask(thread, turn, question) {
  const prompt = [{ type: "text", content: { text: question } }];
  const body = { content: { query: { prompt } }, type: "query", session_id: thread.user };
  return follow(thread, turn, body, {});
}

/** Run the workflow, and see its nodes. */
export function run(thread, turn, inputs) {
  return follow(thread, turn, inputs, { "X-Workflow-Stream-Mode": "debug" });
}

export function cancel(thread) {
  thread.post(`cancel/${thread.chatId}`, {});
}

async function follow(thread, turn, body, headers) {
  thread.chatId = createRunId();
  let isComplete = false;
  await thread.stream(
    "stream_run",
    body,
    (_name, data) => {
      const frame = parse(data);
      isComplete ||= ["message_end", "workflow_end", "error"].includes(frame?.type);
      READERS[frame?.type]?.(turn, frame);
    },
    { ...headers, "X-Run-Id": thread.chatId },
  );
  if (!isComplete) thread.cut();
}

function createRunId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const READERS = {
  answer: (turn, frame) => frame.content.answer && turn.answer(frame.msg_id).append(frame.content.answer),
  thinking: (turn, frame) => frame.content.thinking && turn.reason(frame.msg_id, frame.content.thinking),
  tool_request: (turn, frame) => {
    const { tool_call_id: id, tool_name: name, parameters } = frame.content.tool_request;
    turn.call(name, parameters[name] ?? parameters, id);
  },
  tool_response: (turn, frame) => {
    turn.result(frame.content.tool_response.result, frame.content.tool_response.tool_call_id);
  },
  message_end: (turn, frame) => {
    const { code, message, token_cost: cost } = frame.content.message_end;
    if (cost?.total_tokens) turn.count(cost.input_tokens, cost.output_tokens);
    if (code !== "0" && code !== "1") turn.fail(text("failed", code), message);
  },
  error: (turn, frame) => {
    const error = frame.content?.error ?? frame;
    turn.fail(text("failed", error.code), error.error_msg ?? error.message ?? "");
  },
  node_start: (turn, frame) => turn.call(frame.node_name, frame.input),
  node_end: (turn, frame) => turn.result(frame.output, frame.node_name),
  workflow_end: (turn, frame) => turn.output(frame.output),
};
