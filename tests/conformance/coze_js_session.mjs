// The calls of `tests.conformance.calls`, made with the official JavaScript SDK.
//
// Called as `node coze_js_session.mjs PLACE BASE_URL TOKEN FACTS [CALL …]`, where PLACE has the
// SDK's node_modules; prints one JSON line for each call: what was seen, or how it failed. The
// calls are independent of each other and run at once. A call without a function is one whose
// method the SDK does not have; once it has it, the call tells so and a test fails.

import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [place, baseURL, token, factsText, ...only] = process.argv.slice(2);
const sdk = createRequire(join(resolve(place), 'session.js'))('@coze/api');
const facts = JSON.parse(factsText);
const { bots, workflows } = facts;
const coze = new sdk.CozeAPI({ baseURL, token });
const LONGEST_CALL = 20_000; // milliseconds

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
const question = (content, content_type = 'text') => [
  { role: 'user', type: 'question', content, content_type },
];
const ask = (bot, changes = {}) => ({
  bot_id: bots[bot],
  user_id: 'ada',
  additional_messages: question('tea'),
  ...changes,
});
const answers = (messages) => messages.filter((m) => m.type === 'answer').map((m) => m.content);

async function collected(events) {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

/** A chat that has ended, or waits. */
async function until(chat) {
  let found = chat;
  while (['created', 'in_progress'].includes(found.status)) {
    await pause(50);
    found = await coze.chat.retrieve(chat.conversation_id, chat.id);
  }
  return found;
}

/** What the events of a chat tell. */
async function told(events) {
  const seen = { deltas: [], answers: [], recalled: [], follow_ups: [] };
  Object.assign(seen, { usage: false, end: null, failed: [] });
  for await (const { event, data } of events) {
    if (event.startsWith('conversation.chat.')) {
      seen.end = event;
      seen.usage ||= Boolean(data.usage?.token_count);
      if (event.endsWith('failed')) seen.failed = [data.last_error.code, data.last_error.msg];
    } else if (event === 'conversation.message.delta') {
      seen.deltas.push(data.content);
    } else if (event === 'conversation.message.completed' && data.type === 'answer') {
      seen.answers.push(data.content);
    } else if (event === 'conversation.message.completed' && data.type === 'follow_up') {
      seen.follow_ups.push(data.content);
    } else if (data.content?.includes('knowledge_recall')) {
      const { chunks } = JSON.parse(JSON.parse(data.content).data);
      seen.recalled.push(...chunks.map((chunk) => chunk.slice));
    }
  }
  return seen;
}

/** The code that a call fails with, and whether the error tells its log id. */
async function codeOf(attempt) {
  try {
    await attempt();
  } catch (error) {
    return [error.code ?? null, Boolean(error.logid)];
  }
  return null;
}

/** The request that answers the tool call of a chat. */
const outputs = (chat, stream) => ({
  conversation_id: chat.conversation_id,
  chat_id: chat.id,
  tool_outputs: chat.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: '22',
  })),
  stream,
});

/** A conversation with messages in it. */
async function written(...texts) {
  const { id } = await coze.conversations.create({});
  const messages = [];
  for (const content of texts) {
    const message = { role: 'user', content, content_type: 'text' };
    messages.push(await coze.conversations.messages.create(id, message));
  }
  return [id, messages];
}

/** A file of the account. The SDK takes streams of files only. */
async function uploaded() {
  const folder = mkdtempSync(join(tmpdir(), 'coze-'));
  try {
    writeFileSync(join(folder, '茶.txt'), 'Tea grows on hills.');
    return await coze.files.upload({ file: createReadStream(join(folder, '茶.txt')) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A new knowledge base. */
async function madeDataset(name = 'notes') {
  const request = { name, space_id: facts.workspace, format_type: 0 };
  return (await coze.datasets.create(request)).dataset_id;
}

/** The names of the knowledge bases with this in their names. */
async function namedLike(name) {
  const found = await coze.datasets.list({ space_id: facts.workspace, name });
  return found.dataset_list.map((dataset) => dataset.name);
}

const TEXT = {
  name: 'tea.txt',
  source_info: { file_base64: Buffer.from('Tea grows on hills.').toString('base64'), file_type: 'txt' },
};
const PAGE = {
  name: 'page',
  source_info: { web_url: 'https://example.com/', document_source: 1 },
};

/** A document that was added. */
async function added(dataset_id, base = TEXT) {
  const chunk_strategy = { chunk_type: 0 };
  const request = { dataset_id, document_bases: [base], chunk_strategy, format_type: 0 };
  return (await coze.datasets.documents.create(request))[0];
}

/** All documents of a knowledge base. */
async function documentsOf(dataset_id) {
  const all = [];
  for (let page = 1; ; page += 1) {
    const found = await coze.datasets.documents.list({ dataset_id, page });
    all.push(...found.document_infos);
    if (!found.document_infos.length || all.length >= found.total) return all;
  }
}

/** What a streamed run tells, with its questions answered. */
async function flow(name) {
  const seen = { events: [], texts: [] };
  const workflow_id = workflows[name];
  let stream = coze.workflows.runs.stream({ workflow_id, parameters: { city: '杭州' } });
  while (stream) {
    const events = stream;
    stream = null;
    for await (const { event, data } of events) {
      seen.events.push(event);
      if (event === 'Message') seen.texts.push(data.content);
      if (event === 'Error') seen.texts.push(data.error_message);
      if (event !== 'Interrupt') continue;
      const { event_id, type } = data.interrupt_data;
      const resume_data = { 2: 'yes', 5: '{"nights":2}' }[type];
      const about = { workflow_id, event_id, interrupt_type: type };
      stream = coze.workflows.runs.resume({ ...about, resume_data });
    }
  }
  return seen;
}

const calls = {
  'chat.stream': ['chat.stream', () => told(coze.chat.stream(ask('tea')))],
  'chat.stream.failed': [
    'chat.stream',
    async () => {
      const seen = await told(coze.chat.stream(ask('broken')));
      return [seen.end, seen.failed];
    },
  ],
  'chat.stream.refused': [
    'chat.stream',
    async () => (await collected(coze.chat.stream(ask('draft')))).map((event) => event.event),
  ],
  'chat.create_and_poll': [
    'chat.createAndPoll',
    async () => {
      const { chat, messages } = await coze.chat.createAndPoll(ask('tea'));
      return [chat.status, Boolean(chat.usage?.token_count), answers(messages)];
    },
  ],
  'chat.create_and_poll.failed': [
    'chat.createAndPoll',
    async () => {
      const { chat } = await coze.chat.createAndPoll(ask('broken'));
      return [chat.status, chat.last_error.code, chat.last_error.msg];
    },
  ],
  'chat.create_and_poll.cancelled': [
    'chat.createAndPoll',
    async () => {
      const { id } = await coze.conversations.create({});
      const later = coze.chat.createAndPoll(ask('slow', { conversation_id: id }));
      later.catch(() => {}); // it may fail before it is waited for
      let found = [];
      while (!found.length) {
        await pause(50);
        found = (await coze.conversations.messages.list(id, {})).data;
      }
      await coze.chat.cancel(id, found[0].chat_id);
      const ended = later.then(({ chat }) => chat.status);
      return Promise.race([ended, pause(1000).then(() => 'still polling')]);
    },
  ],
  'chat.retrieve': [
    'chat.retrieve',
    async () => {
      const chat = await coze.chat.create(ask('slow'));
      const found = await coze.chat.retrieve(chat.conversation_id, chat.id);
      return [chat.status, found.id === chat.id, found.status];
    },
  ],
  'chat.cancel': [
    'chat.cancel',
    async () => {
      const chat = await coze.chat.create(ask('slow'));
      return (await coze.chat.cancel(chat.conversation_id, chat.id)).status;
    },
  ],
  'chat.messages.list': [
    'chat.messages.list',
    async () => {
      let data;
      for await (const event of coze.chat.stream(ask('tea'))) {
        data = event.data;
        if (event.event === 'conversation.chat.completed') break;
      }
      const listed = await coze.chat.messages.list(data.conversation_id, data.id);
      return listed.map((message) => message.type);
    },
  ],
  'chat.conversation': [
    'chat.stream',
    async () => {
      const { id } = await coze.conversations.create({ bot_id: bots.tea });
      const request = ask('tea', { conversation_id: id });
      const first = await told(coze.chat.stream(request));
      return [first.answers, (await told(coze.chat.stream(request))).answers];
    },
  ],
  'chat.submit_tool_outputs.stream': [
    'chat.submitToolOutputs',
    async () => {
      const events = await collected(coze.chat.stream(ask('weather')));
      const { data } = events.find((event) => event.event.endsWith('requires_action'));
      const { name, arguments: args } =
        data.required_action.submit_tool_outputs.tool_calls[0].function;
      const seen = await told(coze.chat.submitToolOutputs(outputs(data, true)));
      return [name, args, ...seen.answers];
    },
  ],
  'chat.submit_tool_outputs.poll': [
    'chat.submitToolOutputs',
    async () => {
      const chat = await until(await coze.chat.create(ask('weather')));
      const again = await coze.chat.submitToolOutputs(outputs(chat, false));
      if (again[Symbol.asyncIterator]) return { generator: await collected(again) };
      const ended = await until(again);
      const listed = await coze.chat.messages.list(chat.conversation_id, chat.id);
      return [chat.status, again.id === chat.id, ended.status, ...answers(listed)];
    },
  ],
  'conversations.create': [
    'conversations.create',
    async () => {
      const made = await coze.conversations.create({});
      return [/^\d+$/.test(made.id), made.meta_data];
    },
  ],
  'conversations.retrieve': [
    'conversations.retrieve',
    async () => {
      const made = await coze.conversations.create({ meta_data: { case: '42' } });
      const found = await coze.conversations.retrieve(made.id);
      return [found.id === made.id, found.meta_data];
    },
  ],
  'conversations.list': [
    'conversations.list',
    async () => {
      const bot_id = bots.shelf;
      const made = new Set();
      for (let n = 0; n < 3; n += 1) made.add((await coze.conversations.create({ bot_id })).id);
      const page = (page_num) => coze.conversations.list({ bot_id, page_num, page_size: 2 });
      const [first, second] = [await page(1), await page(2)];
      const all = [...first.conversations, ...second.conversations].map(({ id }) => id);
      const same = all.length === made.size && all.every((id) => made.has(id));
      return [first.conversations.length, first.has_more, same];
    },
  ],
  'conversations.update': ['conversations.update', null],
  'conversations.delete': ['conversations.delete', null],
  'conversations.clear': [
    'conversations.clear',
    async () => {
      const made = await coze.conversations.create({});
      const section = await coze.conversations.clear(made.id);
      return [section.conversation_id === made.id, section.id !== made.last_section_id];
    },
  ],
  'conversations.messages.create': [
    'conversations.messages.create',
    async () => {
      const [id, [message]] = await written('one');
      return [message.content, message.role, message.conversation_id === id];
    },
  ],
  'conversations.messages.list': [
    'conversations.messages.list',
    async () => {
      const messages = ['one', 'two', 'three'].flatMap((text) => question(text));
      const { id } = await coze.conversations.create({ messages });
      const page = (more) =>
        coze.conversations.messages.list(id, { order: 'asc', limit: 2, ...more });
      const first = await page({});
      const second = await page({ after_id: first.last_id });
      const texts = (list) => list.data.map((message) => message.content);
      return [texts(first), first.has_more, [...texts(first), ...texts(second)]];
    },
  ],
  'conversations.messages.retrieve': [
    'conversations.messages.retrieve',
    async () => {
      const [id, [message]] = await written('one');
      return (await coze.conversations.messages.retrieve(id, message.id)).content;
    },
  ],
  'conversations.messages.update': [
    'conversations.messages.update',
    async () => {
      const [id, [message]] = await written('one');
      const change = { content: 'two', content_type: 'text' };
      const changed = await coze.conversations.messages.update(id, message.id, change);
      return [changed.id === message.id, changed.content];
    },
  ],
  'conversations.messages.delete': [
    'conversations.messages.delete',
    async () => {
      const [id, [message]] = await written('one', 'two');
      const deleted = await coze.conversations.messages.delete(id, message.id);
      const left = (await coze.conversations.messages.list(id, {})).data;
      return [deleted.content, left.map((one) => one.content)];
    },
  ],
  'files.upload': [
    'files.upload',
    async () => {
      const file = await uploaded();
      return [file.file_name, file.bytes];
    },
  ],
  'files.retrieve': [
    'files.retrieve',
    async () => {
      const { id } = await uploaded();
      const found = await coze.files.retrieve(id);
      return [found.id === id, found.file_name, found.bytes];
    },
  ],
  'chat.file': [
    'chat.stream',
    async () => {
      const content = [
        { type: 'text', text: 'What does it say?' },
        { type: 'file', file_id: (await uploaded()).id },
      ];
      const request = { additional_messages: question(content, 'object_string') };
      return (await told(coze.chat.stream(ask('read', request)))).answers;
    },
  ],
  'workflows.runs.create': [
    'workflows.runs.create',
    async () => {
      const workflow_id = workflows.locate;
      const parameters = { city: '杭州' };
      const run = await coze.workflows.runs.create({ workflow_id, parameters });
      return [JSON.parse(run.data), run.debug_url.includes(workflow_id)];
    },
  ],
  'workflows.runs.create.failed': [
    'workflows.runs.create',
    () => codeOf(() => coze.workflows.runs.create({ workflow_id: workflows.fail })),
  ],
  'workflows.runs.create.async': [
    'workflows.runs.history',
    async () => {
      const workflow_id = workflows.locate;
      const request = { workflow_id, parameters: { city: '杭州' }, is_async: true };
      const { execute_id } = await coze.workflows.runs.create(request);
      let run = { execute_status: 'Running' };
      while (run.execute_status === 'Running') {
        await pause(50);
        [run] = await coze.workflows.runs.history(workflow_id, execute_id);
      }
      const output = JSON.parse(JSON.parse(run.output).Output);
      return [run.execute_status, run.run_mode, Number(run.error_code), output];
    },
  ],
  'workflows.runs.stream': [
    'workflows.runs.stream',
    async () => {
      const seen = await flow('locate');
      return [JSON.parse(seen.texts.at(-1)), seen.events.includes('Error')];
    },
  ],
  'workflows.runs.stream.failed': [
    'workflows.runs.stream',
    async () => {
      const seen = await flow('fail');
      return [seen.events, seen.texts];
    },
  ],
  'workflows.runs.stream.ping': [
    'workflows.runs.stream',
    async () => (await flow('wait')).texts[0],
  ],
  'workflows.runs.resume': [
    'workflows.runs.resume',
    async () => {
      const { events, texts } = await flow('book');
      const asked = events.filter((event) => event === 'Interrupt').length;
      return [asked, JSON.parse(texts.at(-1))];
    },
  ],
  'workflows.chat.stream': [
    'workflows.chat.stream',
    async () => {
      const seen = [];
      const { id } = await coze.conversations.create({});
      for (const text of ['go', 'Hangzhou']) {
        const events = coze.workflows.chat.stream({
          workflow_id: facts.chatflow,
          bot_id: bots.tea,
          conversation_id: id,
          parameters: {},
          additional_messages: question(text),
        });
        seen.push(...(await told(events)).answers);
      }
      return seen;
    },
  ],
  'workflows.list': ['workflows.list', null],
  'workflows.retrieve': ['workflows.retrieve', null],
  'bots.retrieve': [
    'bots.retrieve',
    async () => (await coze.bots.retrieve({ bot_id: bots.tea })).name,
  ],
  'bots.list': [
    'bots.listNew',
    async () => {
      const { items } = await coze.bots.listNew({ workspace_id: facts.workspace, page_size: 50 });
      return items.map(({ name }) => name);
    },
  ],
  'datasets.create': [
    'datasets.create',
    async () => [/^\d+$/.test(await madeDataset()), await namedLike('notes')],
  ],
  'datasets.update': [
    'datasets.update',
    async () => {
      await coze.datasets.update(await madeDataset('old'), { name: 'renamed' });
      return (await namedLike('renamed'))[0];
    },
  ],
  'datasets.delete': [
    'datasets.delete',
    async () => {
      await coze.datasets.delete(await madeDataset('short-lived'));
      return namedLike('short-lived');
    },
  ],
  'datasets.documents.create': [
    'datasets.documents.create',
    async () => {
      const id = await madeDataset('adding');
      const made = [await added(id), await added(id, PAGE)];
      return made.map(({ name, type, source_type }) => [name, type, source_type]);
    },
  ],
  'datasets.documents.list': [
    'datasets.documents.list',
    async () => {
      const id = await madeDataset('listing');
      const made = new Set();
      for (let n = 0; n < 12; n += 1) made.add((await added(id)).document_id);
      const listed = await documentsOf(id);
      return [listed.length, listed.filter(({ document_id }) => made.has(document_id)).length];
    },
  ],
  'datasets.documents.update': [
    'datasets.documents.update',
    async () => {
      const id = await madeDataset('renaming');
      const { document_id } = await added(id);
      await coze.datasets.documents.update({ document_id, document_name: 'coffee.txt' });
      return (await documentsOf(id))[0].name;
    },
  ],
  'datasets.documents.delete': [
    'datasets.documents.delete',
    async () => {
      const id = await madeDataset('deleting');
      await coze.datasets.documents.delete({ document_ids: [(await added(id)).document_id] });
      return (await documentsOf(id)).map(({ name }) => name);
    },
  ],
  'datasets.process': [
    'datasets.process',
    async () => {
      const id = await madeDataset('processing');
      const document_ids = [(await added(id)).document_id];
      const found = await coze.datasets.process(id, { document_ids });
      return found.data.map(({ document_name, status, progress }) => [
        document_name,
        status,
        progress,
      ]);
    },
  ],
  'workspaces.list': [
    'workspaces.list',
    async () => {
      const found = await coze.workspaces.list({});
      return found.workspaces.map(({ id }) => id === facts.workspace);
    },
  ],
  'users.me': ['users.me', async () => [Boolean((await coze.users.me()).user_id)]],
  'oauth.jwt': [
    'users.me',
    async () => {
      const { id, key, key_id } = facts.app;
      const made = await sdk.getJWTToken({
        baseURL,
        appId: id,
        aud: new URL(baseURL).host,
        keyid: key_id,
        privateKey: key,
        sessionName: 'ada',
        durationSeconds: 60,
      });
      const mine = new sdk.CozeAPI({ baseURL, token: made.access_token });
      return [Boolean((await mine.users.me()).user_id)];
    },
  ],
  'error.4000': [
    'chat.create',
    async () => (await coze.chat.create(ask('tea', { bot_id: '' }))).id,
  ],
  'error.4015': ['chat.create', async () => (await coze.chat.create(ask('draft'))).id],
  'error.4100': [
    'chat.create',
    async () => {
      const stranger = new sdk.CozeAPI({ baseURL, token: 'pat_wrong' });
      return (await stranger.chat.create(ask('tea'))).id;
    },
  ],
  'error.4101': ['chat.create', async () => (await coze.chat.create(ask('forbidden'))).id],
  'error.4200': [
    'workflows.runs.create',
    async () => (await coze.workflows.runs.create({ workflow_id: workflows.hidden })).data,
  ],
};

/** How a call failed: the SDK's own class, then the code, else the HTTP status or the message. */
function failure(error) {
  return [error.constructor.name, error.code ?? error.status ?? error.message.split('\n')[0]];
}

async function seenBy(name) {
  const [method, attempt] = calls[name];
  const found = method.split('.').reduce((place, part) => place?.[part], coze);
  if (found === undefined) return { missing: method };
  if (attempt === null) return { untried: method };
  const seen = attempt().then(
    (saw) => ({ saw: saw ?? null }),
    (error) => ({ error: failure(error) }),
  );
  return Promise.race([seen, pause(LONGEST_CALL).then(() => ({ hangs: true }))]);
}

const wanted = only.length ? only : Object.keys(calls);
const lines = wanted.map(async (call) => JSON.stringify({ call, ...(await seenBy(call)) }));
process.stdout.write(`${(await Promise.all(lines)).join('\n')}\n`, () => process.exit(0));
