// The texts of the page in both languages, and their change while the page is open.

import { SAMPLES_ZH } from "./samples.js";

const TEXTS = {
  en: {
    skip: "Skip to the input",
    served: "Bots and workflows",
    bot: "Bots",
    chatflow: "Chatflows",
    workflow: "Workflows",
    agent: "Agent",
    flow: "Workflow",
    restart: "New",
    cloud: "The server plays coze.cn and coze.com (--profile cloud)",
    studio: "The server plays a self-hosted Coze Studio (--profile studio)",
    site: "The server plays a project at coze.site (--profile site)",
    otherLanguage: "中文",
    otherLanguageTitle: "切换到中文",
    theme: "Light or dark",
    events: "Raw events",
    eventsHint: "What the server sends, as your program receives it.",
    eventsNone: "Nothing was sent yet.",
    eventsMore: "{0} more: use Copy",
    copy: "Copy",
    copied: "Copied",
    close: "Close",
    you: "You",
    placeholder: "Message {0}",
    send: "Send",
    stop: "Stop",
    keys: "Enter sends, Shift+Enter starts a new line, Esc stops",
    run: "Run",
    noInputs: "This workflow has no inputs.",
    optional: "optional",
    required: "required",
    missing: "This must not be empty",
    invalidJson: "This is not valid JSON",
    notNumber: "This must be a number",
    introBot: "Ask a question. It goes through the same API as on Coze; the raw events stand beside the answer.",
    introWorkflow: "Fill in the inputs and run the workflow. When it asks a question, you answer it here.",
    topics: "It knows about",
    thinking: "Reasoning",
    waiting: "Waiting for the server",
    tool: "Tool call",
    toolArguments: "Arguments",
    toolResult: "Result",
    toolWaits: "The bot waits for the result of this tool. Your program runs it; here you play it.",
    submit: "Submit",
    sources: "Sources",
    noSources: "The search found nothing.",
    failedSearch: "The search failed with status {0}.",
    score: "score {0}",
    next: "Ask next",
    output: "Output",
    asks: "The workflow asks",
    answer: "Your answer",
    answered: "Answered: {0}",
    unanswered: "This was not answered: something new was sent.",
    waitsForYou: "It waits for your answer.",
    tokens: "{0} tokens: {1} in, {2} out",
    seconds: "{0} s",
    instant: "under 0.1 s",
    stopped: "Stopped.",
    complete: "The answer is complete.",
    again: "Send again",
    failed: "Error {0}",
    failedText: "The server answered with an error",
    cut: "The connection broke before the answer was complete",
    cutText: "What arrived is above. The terminal of the server may say more.",
    notSent: "The server cannot be reached",
    notSentText: "The message was not sent.",
    wrongToken: "The token is not valid",
    logid: "log id {0}",
    offline: "No connection to the server. Is it still running? This page tries again every second.",
    online: "Connected again.",
    restarted: "The server was restarted. It does not know the earlier messages; a new conversation begins.",
    nothingServed: "This server serves nothing.",
    tokenTitle: "Token of this server",
    tokenText: "Other machines can reach this server, so it does not give its token away. Paste the token that its terminal printed.",
    tokenWrong: "This is not the token of the server.",
    tokenButton: "Open",
    file: "Open the {0}",
  },
  zh: {
    skip: "跳到输入框",
    served: "智能体与工作流",
    bot: "智能体",
    chatflow: "对话流",
    workflow: "工作流",
    agent: "智能体",
    flow: "工作流",
    restart: "新对话",
    cloud: "本服务模拟 coze.cn 和 coze.com（--profile cloud）",
    studio: "本服务模拟自行部署的 Coze Studio（--profile studio）",
    site: "本服务模拟 coze.site 上的项目（--profile site）",
    otherLanguage: "English",
    otherLanguageTitle: "Switch to English",
    theme: "浅色或深色",
    events: "原始事件",
    eventsHint: "服务端发送的内容，与您的程序收到的一致。",
    eventsNone: "尚未发送任何内容。",
    eventsMore: "还有 {0} 条：请点击“复制”",
    copy: "复制",
    copied: "已复制",
    close: "关闭",
    you: "您",
    placeholder: "发消息给 {0}",
    send: "发送",
    stop: "停止",
    keys: "Enter 发送，Shift+Enter 换行，Esc 停止",
    run: "运行",
    noInputs: "此工作流没有输入参数。",
    optional: "可选",
    required: "必填",
    missing: "请填写此项",
    invalidJson: "不是有效的 JSON",
    notNumber: "请输入数字",
    introBot: "请提问。请求所用的接口与扣子相同，回答旁边会显示原始事件。",
    introWorkflow: "填写参数并运行工作流。工作流提问时，您可以在这里回答。",
    topics: "可以询问的主题",
    thinking: "思考过程",
    waiting: "等待服务端响应",
    tool: "工具调用",
    toolArguments: "参数",
    toolResult: "结果",
    toolWaits: "智能体在等待此工具的结果。实际使用时由您的程序执行，在这里请您填写结果。",
    submit: "提交",
    sources: "引用来源",
    noSources: "没有检索到内容。",
    failedSearch: "检索失败，状态码 {0}。",
    score: "分数 {0}",
    next: "还可以问",
    output: "输出",
    asks: "工作流提问",
    answer: "您的回答",
    answered: "已回答：{0}",
    unanswered: "未回答：您已发送新的内容。",
    waitsForYou: "正在等待您的回答。",
    tokens: "{0} 个 token：输入 {1}，输出 {2}",
    seconds: "{0} 秒",
    instant: "不到 0.1 秒",
    stopped: "已停止。",
    complete: "回答已完成。",
    again: "重新发送",
    failed: "错误 {0}",
    failedText: "服务端返回了错误",
    cut: "回答尚未完成，连接已中断",
    cutText: "以上是已收到的内容。运行服务端的终端里可能有更多信息。",
    notSent: "无法连接服务端",
    notSentText: "消息未发送。",
    wrongToken: "令牌无效",
    logid: "日志 ID {0}",
    offline: "无法连接服务端。请确认它仍在运行；页面每秒重试一次。",
    online: "已重新连接。",
    restarted: "服务端已重启，之前的消息已丢失，将开始新的会话。",
    nothingServed: "此服务端没有提供任何智能体或工作流。",
    tokenTitle: "服务端令牌",
    tokenText: "其他机器可以访问此服务端，因此页面无法自动获得令牌。请粘贴终端里显示的令牌。",
    tokenWrong: "这不是此服务端的令牌。",
    tokenButton: "打开",
    file: "打开{0}",
  },
};

const shown = new WeakMap(); // the key and values of what a node says, or words of the server

export let language = localStorage.getItem("language") || (/^zh/i.test(navigator.language) ? "zh" : "en");

/** Return a text; {0} and so on are the values. */
export function text(key, ...values) {
  return (TEXTS[language][key] ?? key).replace(/\{(\d)\}/g, (_, number) => values[number]);
}

/** Return words of the server: those of its samples in the language of the page. */
export function name(words) {
  return (language === "zh" && SAMPLES_ZH.get(words)) || words;
}

/** Give a node words of the server. */
export function tell(node, words) {
  shown.set(node, [words]);
  node.dataset.said = "";
  node.textContent = name(words);
  return node;
}

/** Give a node a text that follows the language of the page. */
export function say(node, key, ...values) {
  shown.set(node, [key, values]);
  node.dataset.said = "";
  node.textContent = text(key, ...values);
  return node;
}

/** Write all texts of a part of the page in the current language. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-said]")) {
    const [key, values] = shown.get(node);
    node.textContent = values ? text(key, ...values) : name(key);
  }
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const node of root.querySelectorAll("[data-title]")) node.title = text(node.dataset.title);
  for (const node of root.querySelectorAll("[data-label]")) node.ariaLabel = text(node.dataset.label);
}

export function setLanguage(wanted) {
  language = wanted;
  localStorage.setItem("language", wanted);
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
}
