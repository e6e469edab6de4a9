// Elements and forms. Everything that the server sends becomes text; nothing is read as HTML.

import { say, tell, text } from "./texts.js";

/** Create an element. `say` is the key of its text, `tell` words of the server, `on…` a listener, anything else an attribute. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "say") say(node, value);
    else if (name === "tell") tell(node, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Create a link to another site, or a plain text when the address is not one of the web. */
export function link(address, label) {
  if (!/^https?:\/\//i.test(address)) return el("span", {}, label);
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
}

/** Return JSON with indentation; a text that is not JSON as it is. */
export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  const parsed = parse(value);
  return parsed && typeof parsed === "object" ? JSON.stringify(parsed, null, 2) : value;
}

export function parse(content) {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

const composing = new WeakSet(); // inputs in which a word is being written with an input method

document.addEventListener("compositionstart", (event) => composing.add(event.target));
document.addEventListener("compositionend", (event) => composing.delete(event.target));
// Enter then chooses a word: it must reach neither the page nor the form.
document.addEventListener(
  "keydown",
  (event) => {
    const isOfWord = event.isComposing || event.keyCode === 229 || composing.has(event.target);
    if (event.key !== "Enter" || !isOfWord) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);

let count = 0;

/**
 * Create a form for parameters as Coze describes them.
 *
 * `submit` gets the values by name; an optional field that is left empty is left out.
 */
export function createForm(inputs, buttonKey, submit) {
  const fields = Object.entries(inputs).map(([name, schema]) => createField(name, schema));
  const button = el("button", { class: "primary", type: "submit", say: buttonKey });
  const form = el("form", { class: "fields", novalidate: true }, ...fields.map((field) => field.node), button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = {};
    let first = null;
    for (const field of fields) {
      try {
        const value = field.read();
        if (value !== undefined) values[field.name] = value;
        field.complain("");
      } catch (error) {
        field.complain(error.message);
        first ??= field;
      }
    }
    if (first) first.focus();
    else submit(values);
  });
  return form;
}

function createField(name, schema) {
  const id = `field-${++count}`;
  const { type, required, description, default_value: preset } = schema;
  const isText = !["integer", "number", "float", "boolean", "array", "list", "object"].includes(type);
  const isJson = ["array", "list", "object"].includes(type);
  const input = isJson
    ? el("textarea", { id, rows: 3, spellcheck: "false", class: "code" })
    : el("input", { id, type: type === "boolean" ? "checkbox" : "text", autocomplete: "off" });
  if (type === "boolean") input.checked = preset === "true" || preset === "True";
  else input.value = preset ?? "";
  if (["integer", "number", "float"].includes(type)) input.inputMode = "decimal";
  const complaint = el("p", { class: "complaint", id: `${id}-complaint`, role: "alert" });
  input.setAttribute("aria-describedby", complaint.id);
  const label = el("label", { for: id }, name, el("span", { class: "kind" }, type));
  if (type !== "boolean") {
    label.append(el("span", { class: "kind", say: required ? "required" : "optional" }));
    input.ariaRequired = String(Boolean(required));
  }
  const node = el("div", { class: type === "boolean" ? "field check" : "field" }, label, input);
  if (description) node.append(el("p", { class: "hint", tell: description }));
  node.append(complaint);

  function read() {
    if (type === "boolean") return input.checked;
    const value = input.value.trim();
    if (!value && !required) return undefined;
    if (!value) throw new Error(text("missing"));
    if (isText) return input.value;
    if (isJson) {
      const parsed = parse(value);
      if (parsed === undefined) throw new Error(text("invalidJson"));
      return parsed;
    }
    // The server checks numbers; its message names the parameter.
    const number = Number(value);
    if (Number.isNaN(number)) throw new Error(text("notNumber"));
    return number;
  }

  function complain(message) {
    complaint.textContent = message;
    input.setAttribute("aria-invalid", String(Boolean(message)));
  }

  return { name, node, read, complain, focus: () => input.focus() };
}
