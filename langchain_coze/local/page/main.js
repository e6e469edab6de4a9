// The page: the list of what is served, the open thread, the raw events, and the connection.

import { readServed } from "./client.js";
import { el } from "./dom.js";
import { language, name, say, setLanguage, tell, text, translate } from "./texts.js";
import { Thread } from "./thread.js";

const RETRY_MS = 1000;
const NEAR_END = 80; // pixels: whoever has scrolled up further is not pulled down
const KINDS = ["bot", "chatflow", "workflow", "agent", "flow"];
const $ = (id) => document.getElementById(id);
const wide = matchMedia("(min-width: 1080px)");

const threads = new Map();
let current = null;
let served = [];

const connection = {
  token: sessionStorage.getItem("token") || "",
  profile: "",
  serverId: "",

  /** Read what is served; return whether the server is another one than before. */
  async refresh() {
    const reply = await readServed(this.token);
    if (reply.needsToken) {
      showTokenForm(Boolean(this.token));
      throw new DOMException("no token", "AbortError");
    }
    const isOther = Boolean(this.serverId) && reply.server_id !== this.serverId;
    const token = reply.token ?? this.token; // only a page without a valid one is given it
    Object.assign(this, { token, profile: reply.profile, serverId: reply.server_id });
    served = reply.served;
    if (isOther) {
      for (const thread of threads.values()) thread.forget();
      showList();
    }
    return isOther && Boolean(current?.node.querySelector(".turn"));
  },

  /** See whether the server is there; when not, try again until it is. */
  async check() {
    if (this.isChecking) return;
    this.isChecking = true;
    for (let isLost = false; ; isLost = true) {
      try {
        const isOther = await this.refresh();
        showList();
        if (!current) open(served[0]);
        if (isLost) notify(isOther ? "restarted" : "online", "good");
        break;
      } catch (error) {
        if (!(error instanceof TypeError)) break;
        notify("offline", "bad");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.isChecking = false;
  },

  changed(thread) {
    if (thread === current) show(thread);
  },

  sent() {
    scrollDown();
  },

  announce(key) {
    $("announcer").textContent = text(key);
  },
};

// What is shown -----------------------------------------------------------------------------------

function showList() {
  const groups = KINDS.map((kind) => [kind, served.filter((item) => item.kind === kind)]);
  $("served").replaceChildren(
    ...groups.filter(([, items]) => items.length).map(([kind, items]) =>
      el("section", {}, el("h2", { class: "label", say: kind }), ...items.map(createEntry)),
    ),
  );
  if (!served.length) notify("nothingServed", "bad");
}

function createEntry(item) {
  const isCurrent = current?.served.id === item.id;
  const node = el("button", { class: "entry", type: "button", "aria-current": isCurrent && "page", onclick: () => open(item) }, el("span", { class: "entry-name", tell: item.name }));
  if (item.description) node.append(el("span", { class: "entry-description", tell: item.description }));
  return node;
}

function open(item) {
  if (!item) return;
  if (!threads.has(item.id)) threads.set(item.id, new Thread(item, connection));
  current = threads.get(item.id);
  show(current);
  showList();
  if (!wide.matches) toggle("served", false);
  current.composer.querySelector("textarea, input, button").focus();
}

function show(thread) {
  tell($("title"), thread.served.name);
  nameTab();
  $("profile").textContent = $("profile").dataset.title = connection.profile;
  $("profile").title = text(connection.profile);
  $("profile").hidden = false;
  $("thread").replaceChildren(thread.node);
  $("composer").replaceChildren(thread.composer);
  const close = el("button", { class: "quiet only-overlay", type: "button", say: "close", onclick: () => toggle("events", false) });
  const head = el("header", {}, el("h2", { say: "events" }), thread.events.copyButton, close);
  $("events").replaceChildren(head, el("p", { class: "hint about-events", say: "eventsHint" }), thread.events.node);
  scrollDown();
}

function nameTab() {
  if (current) document.title = `${name(current.served.name)} · Local Coze`;
}

function showTokenForm(wasWrong) {
  const input = el("input", { id: "token", type: "password", autocomplete: "off" });
  const complaint = el("p", { class: "complaint", role: "alert" });
  if (wasWrong) say(complaint, "tokenWrong");
  const form = el("form", { class: "one-line" }, input, el("button", { class: "primary", type: "submit", say: "tokenButton" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    connection.token = input.value.trim();
    sessionStorage.setItem("token", connection.token);
    connection.check();
  });
  const label = el("label", { for: "token" }, el("h2", { say: "tokenTitle" }));
  $("thread").replaceChildren(el("section", { class: "intro" }, label, el("p", { class: "hint", say: "tokenText" }), form, complaint));
  $("composer").replaceChildren();
  current = null;
  input.focus();
}

function notify(key, kind) {
  const notice = say($("notice"), key);
  notice.className = kind;
  notice.hidden = false;
  clearTimeout(notify.timer);
  if (kind === "good") notify.timer = setTimeout(() => (notice.hidden = true), 5000);
}

// Scrolling: the end stays in view, unless the user reads further up --------------------------------

function scrollDown() {
  $("thread").scrollTop = $("thread").scrollHeight;
}

let isAtEnd = true;
$("thread").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("thread");
  isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
});
$("thread").addEventListener("grown", () => isAtEnd && scrollDown());

// Buttons -----------------------------------------------------------------------------------------

/** Show or hide the list or the events. On a narrow screen they are overlays, which take the focus. */
function toggle(id, isOpen) {
  const isChange = document.body.classList.contains(`shows-${id}`) !== isOpen;
  document.body.classList.toggle(`shows-${id}`, isOpen);
  $(`open-${id}`).setAttribute("aria-expanded", String(isOpen));
  if (isChange && !wide.matches) (isOpen ? $(id).querySelector("button") : $(`open-${id}`)).focus();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function changeLanguage(wanted) {
  setLanguage(wanted);
  translate(document);
  nameTab();
  for (const thread of threads.values()) thread.translate();
}

$("restart").addEventListener("click", () => current?.restart());
$("language").addEventListener("click", () => changeLanguage(language === "zh" ? "en" : "zh"));
$("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
for (const id of ["served", "events"]) {
  $(`open-${id}`).addEventListener("click", () => toggle(id, !document.body.classList.contains(`shows-${id}`)));
}
wide.addEventListener("change", () => toggle("events", wide.matches));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (!wide.matches && document.body.matches(".shows-served, .shows-events")) {
    toggle("served", false);
    toggle("events", false);
  } else current?.stop();
});

if (localStorage.getItem("theme")) setTheme(localStorage.getItem("theme"));
changeLanguage(language);
toggle("events", wide.matches);
connection.check();
