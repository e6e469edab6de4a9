// Requests to the server of this page. Nothing here knows what the events mean.

export class ServerError extends Error {
  constructor(code, message, logid = "") {
    super(message);
    Object.assign(this, { code, logid });
  }
}

export class CutError extends Error {}

/** Return what the server serves, and its token; `needsToken` when the user has to know that. */
export async function readServed(token) {
  const response = await fetch("page/served.json", { headers: authorize(token), cache: "no-store" });
  if (response.status === 401) return { needsToken: true, ...(await response.json()) };
  if (!response.ok) throw new ServerError(response.status, await response.text());
  return response.json();
}

/** Send a request whose reply is not read, such as that to cancel a chat. */
export function post(token, path, body) {
  const headers = { ...authorize(token), "Content-Type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body), keepalive: true });
}

/** Yield the events of a stream as {name, data}; data is the text as it was sent. */
export async function* openStream(token, path, body, { signal, headers = {} }) {
  const response = await fetch(path, {
    method: "POST",
    headers: { ...authorize(token), "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) {
    throw readError(response, await response.text());
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (buffer + value).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) if (block.trim()) yield readEvent(block);
  }
}

function authorize(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function readEvent(block) {
  const event = { name: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+): ?(.*)$/s.exec(line) || [];
    if (field === "event") event.name = value;
    if (field === "data") event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

function readError(response, content) {
  const logid = response.headers.get("x-tt-logid") || "";
  try {
    const reply = JSON.parse(content);
    const message = reply.msg || reply.detail?.error_message || reply.detail || content;
    return new ServerError(reply.code || response.status, String(message), reply.detail?.logid || logid);
  } catch {
    return new ServerError(response.status, content.slice(0, 500), logid);
  }
}
