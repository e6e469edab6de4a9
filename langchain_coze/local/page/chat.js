// Turns of bots and chatflows: from the events of Coze's API to what the page shows.

import { el, link, parse } from "./dom.js";
import { text } from "./texts.js";

const ENDS = new Set(["done", "Done", "conversation.stream.done"]);

/** Ask a bot or chatflow. */
export async function ask(thread, turn, question) {
  const message = { role: "user", content: question, content_type: "text" };
  const query = thread.conversationId ? `?conversation_id=${thread.conversationId}` : "";
  if (thread.served.kind === "bot") {
    const body = { bot_id: thread.served.id, user_id: thread.user, stream: true, additional_messages: [message] };
    return follow(thread, turn, `v3/chat${query}`, body);
  }
  const { id, app_id, bot_id } = thread.served;
  const place = app_id ? { app_id } : { bot_id };
  const body = { workflow_id: id, ...place, additional_messages: [message], parameters: {} };
  // Studio finds the conversation of a chatflow by its name.
  if (thread.profile === "studio") body.parameters.CONVERSATION_NAME = thread.user;
  else if (thread.conversationId) body.conversation_id = thread.conversationId;
  return follow(thread, turn, "v1/workflows/chat", body);
}

/** Cancel the chat that runs. */
export function cancel(thread) {
  if (thread.chatId) {
    thread.post("v3/chat/cancel", { conversation_id: thread.conversationId, chat_id: thread.chatId });
  }
}

async function follow(thread, turn, path, body) {
  thread.chatId = "";
  let isComplete = false;
  await thread.stream(path, body, (name, data) => {
    isComplete ||= ENDS.has(name) || name.endsWith("chat.failed") || name === "error";
    const value = parse(data);
    if (value && typeof value === "object") read(thread, turn, name, value);
  });
  if (!isComplete) thread.cut();
}

function read(thread, turn, name, value) {
  if (name === "error") return turn.fail(text("failed", value.code), value.msg);
  if (name === "conversation.message.delta") return readDelta(turn, value);
  if (name === "conversation.message.completed") return readMessage(turn, value);
  if (!name.startsWith("conversation.chat.")) return undefined;
  thread.conversationId = value.conversation_id || thread.conversationId;
  thread.chatId = value.id;
  if (name.endsWith(".failed")) {
    const { code, msg } = value.last_error ?? value;
    return turn.fail(text("failed", code), msg);
  }
  if (name.endsWith(".requires_action")) return readCalls(thread, turn, value);
  if (name.endsWith(".completed") && value.usage) turn.count(value.usage.input_count, value.usage.output_count);
  return undefined;
}

function readDelta(turn, message) {
  if (message.type !== "answer") return;
  if (message.reasoning_content) turn.reason(message.id, message.reasoning_content);
  if (message.content) turn.answer(message.id).append(message.content);
}

const READERS = {
  answer: readAnswer,
  function_call: readCall,
  tool_response: (turn, message) => turn.result(unwrap(message.content)),
  tool_output: (turn, message) => turn.result(unwrap(message.content)),
  follow_up: (turn, message) => turn.suggest(message.content),
  verbose: readVerbose,
  knowledge: readVerbose,
};

function readMessage(turn, message) {
  READERS[message.type]?.(turn, message);
}

function readAnswer(turn, message) {
  const { input_tokens: input, output_tokens: output } = message.meta_data ?? {};
  if (input) turn.count(Number(input), Number(output)); // Studio counts here
  if (message.content_type === "object_string") return showItems(turn, parse(message.content) ?? []);
  if (message.content_type === "card") return turn.output(message.content);
  if (turn.texts.has(`answer ${message.id}`) || !message.content) return undefined;
  return turn.answer(message.id).append(message.content);
}

/** Show images and files as links: the page loads nothing from other sites. */
function showItems(turn, items) {
  for (const item of items) {
    if (item.type === "text") turn.add(el("div", { class: "text" }, item.text));
    else turn.add(el("p", { class: "text" }, link(item.file_url ?? "", text("file", item.type)), ` ${item.file_url ?? item.file_id}`));
  }
}

function readCall(turn, message) {
  const call = parse(message.content) ?? {};
  const { name, arguments: values } = call.function ?? call;
  // The name of a tool that the client runs is ts-name-name here, and its own where it is asked for.
  turn.call(call.plugin_type === 6 ? call.api_name : name, values, message.id);
}

function unwrap(content) {
  return parse(content)?.response_for_model ?? content;
}

function readVerbose(turn, message) {
  const { msg_type: kind, data } = parse(message.content) ?? {};
  if (kind !== "knowledge_recall") return;
  const { chunks, status_code: status } = parse(data) ?? {};
  const passages = (chunks ?? []).map(({ slice, score, meta }) => ({
    title: meta.document.name,
    url: meta.link.url,
    content: slice,
    score,
    base: meta.dataset.name,
  }));
  turn.recall(passages, status);
}

function readCalls(thread, turn, chat) {
  const waiting = chat.required_action?.submit_tool_outputs?.tool_calls ?? [];
  const calls = waiting.filter((call) => call.function).map((call) => ({ id: call.id, name: call.function.name }));
  if (!calls.length) return turn.note("waitsForYou");
  const path = `v3/chat/submit_tool_outputs?conversation_id=${chat.conversation_id}&chat_id=${chat.id}`;
  return turn.askForOutputs(calls, (outputs) => {
    thread.proceed(turn, () => follow(thread, turn, path, { stream: true, tool_outputs: outputs }));
  });
}

/** Say what a request that was refused means. */
export function describe(error) {
  const isToken = [401, 4101, 700012006].includes(Number(error.code));
  return [text("failed", error.code), isToken ? `${text("wrongToken")}: ${error.message}` : error.message];
}
