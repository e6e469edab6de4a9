"""Hints and messages in English and Chinese, in one place to proof-read.

Each text has one line for each language. Braces are placeholders, which the raising code fills in:
`hints.MISSPELT.format(name="bot_id")`. A hint describes what to do; a text without "Hint:" is a
complete message or warning.
"""

# --- Error codes and HTTP statuses of Coze (`_api/error_codes.py`) -------------------------------

PUBLISH = """\
Hint: Publish it in Coze with the API channel ticked, wait for the review, and check the id.
提示：请在扣子中发布，并在发布渠道勾选 API，等待审核通过，同时核对 ID。"""
PUBLISH_OR_SITE = """\
Hint: Publish it in Coze with the API channel ticked, and check the id and the site: resources of coze.cn exist only at base_url='https://api.coze.cn', those of coze.com only at 'https://api.coze.com'. A bot, a chatflow and a workflow have different ids: use bot_id= or workflow_id= of ChatCoze, or CozeWorkflowTool.
提示：请在扣子中发布，并在发布渠道勾选 API，同时核对 ID 和站点：coze.cn 的资源只能通过 base_url='https://api.coze.cn' 访问，coze.com 的只能通过 'https://api.coze.com' 访问。智能体、对话流和工作流的 ID 各不相同：请使用 ChatCoze 的 bot_id= 或 workflow_id=，或 CozeWorkflowTool。"""
AUTHENTICATION = """\
Hint: Check COZE_API_TOKEN or api_key=, its expiry date and its site: tokens of coze.cn work only with base_url='https://api.coze.cn', those of coze.com only with 'https://api.coze.com', and those of coze.site projects (eyJ…) only with ChatCozeSite and CozeSiteTool.
提示：请检查 COZE_API_TOKEN 或 api_key= 的令牌，及其有效期和所属站点：coze.cn 的令牌只能配合 base_url='https://api.coze.cn'，coze.com 的只能配合 'https://api.coze.com'，coze.site 项目的令牌（eyJ…）只能用于 ChatCozeSite 和 CozeSiteTool。"""
PERMISSION = """\
Hint: Grant the token the permissions that it needs (chat, listMessage, …) in the right workspace.
提示：请为令牌勾选所需权限（chat、listMessage 等），并选择正确的工作空间。"""
ID = """\
Hint: Check the id: it must belong to this site and this account.
提示：请检查 ID：该 ID 必须属于当前站点和当前账号。"""
CONVERSATION = """\
Hint: Check the id: it is that of a conversation of this site and this account, not a chat_id and not the id of a message.
提示：请检查 ID：应为当前站点和当前账号的会话 ID，而不是 chat_id 或消息 ID。"""
PARAMETERS = """\
Hint: Check the parameters of the request against the Coze API page of this call.
提示：请对照扣子文档中该接口的说明，检查请求参数。"""
RATE = """\
Hint: Requests are too frequent: use rate_limiter= or a smaller max_concurrency.
提示：请求过快：请使用 rate_limiter= 或减小 max_concurrency。"""
RATE_OR_DAILY_LIMIT = """\
Hint: Either requests are too frequent (use rate_limiter= or a smaller max_concurrency), or the daily limit of the bot is used up (try again tomorrow or upgrade the plan).
提示：可能是请求过快（请使用 rate_limiter= 或减小 max_concurrency），也可能是智能体当日额度已用尽（请明天再试或升级套餐）。"""
QUOTA = """\
Hint: The quota of this account is used up: wait for the next period or upgrade the plan.
提示：账号额度已用尽：请等待下一周期或升级套餐。"""
BILL = """\
Hint: Top up or settle the account that pays for the model.
提示：请为支付模型费用的账号充值或结清欠费。"""
SERVER = """\
Hint: Coze had an internal error: try again later, or give the logid to Coze's support.
提示：扣子内部错误：请稍后重试，或向扣子客服提供 logid。"""
CONTENT = """\
Hint: Coze rejects this content: rephrase the question.
提示：内容未通过扣子的审核：请调整提问。"""
UPLOAD = """\
Hint: Upload exactly one file, not empty, at most 512 MB, of a type that Coze lists.
提示：每次只能上传一个文件，文件不能为空，不能超过 512 MB，且须为扣子支持的类型。"""
NOT_RUNNING = """\
Hint: Only a chat that is still running can be canceled.
提示：只有进行中的对话才能取消。"""
GATEWAY = """\
Hint: A gateway or proxy answered, not Coze: try again later, and check the proxy settings and the gateway.
提示：响应来自中间的网关或代理，而不是扣子：请稍后重试，并检查代理设置和网关。"""
TOO_LARGE = """\
Hint: Coze accepts request bodies of up to 15 MB (20 MB for workflows) and uploads of up to 512 MB; a gateway may accept less. Send files as uploads or links, and shorten the messages.
提示：扣子的请求体上限为 15 MB（工作流为 20 MB），上传文件上限为 512 MB，网关的限制可能更小。请以上传或链接方式发送文件，并缩短消息。"""
WRONG_URL = """\
Hint: Check base_url: it is the address of the API (https://api.coze.cn, https://api.coze.com or your Coze Studio), without a path. For a coze.site project use ChatCozeSite or CozeSiteTool.
提示：请检查 base_url：应为 API 地址（https://api.coze.cn、https://api.coze.com 或自建的 Coze Studio），不带路径。coze.site 的项目请使用 ChatCozeSite 或 CozeSiteTool。"""
NO_ROUTE = """\
Hint: This server has no such route: self-hosted Coze Studio offers fewer calls than coze.cn and coze.com. Check base_url if it should be one of those.
提示：该服务没有此接口：自建的 Coze Studio 提供的接口比 coze.cn 和 coze.com 少。如果您要连接的是后者，请检查 base_url。"""
CRASHED = """\
Hint: The server crashed on this request: check that all ids are numbers, or report the problem with the logid.
提示：服务端处理该请求时崩溃：请确认所有 ID 均为数字，并附上 logid 反馈问题。"""
ALREADY_RESUMED = """\
Hint: The run has already continued with another answer. Check its result, and do not start it again.
提示：该次运行已收到其他回答并继续执行。请查看其结果，不要重新发起。"""
NO_CONVERSATION = """\
Hint: On Coze Studio a chatflow needs a conversation: name one with parameters={'CONVERSATION_NAME': …}, or use bot_id= with conversation='thread'.
提示：在 Coze Studio 中，对话流必须有会话：请用 parameters={'CONVERSATION_NAME': …} 指定会话名称，或使用 bot_id= 和 conversation='thread'。"""
UNKNOWN_CODE = """\
Hint: This code is not documented: check debug_url if there is one, or give the logid to Coze's support.
提示：扣子文档中没有该错误码：请查看 debug_url（如有），或向扣子客服提供 logid。"""
NO_CODE = """\
Hint: Coze returned no error code: try again, check debug_url if there is one, or give the logid to Coze's support.
提示：扣子未返回错误码：请重试，查看 debug_url（如有），或向扣子客服提供 logid。"""
META_DATA = """\
Hint: meta_data accepts at most 16 pairs, keys of 1 to 64 and values of 1 to 512 characters.
提示：meta_data 最多 16 对键值，键为 1 到 64 个字符，值为 1 到 512 个字符。"""
TOO_MANY_MESSAGES = """\
Hint: Coze accepts at most 100 messages: shorten the history, for instance with trim_messages.
提示：扣子最多接受 100 条消息：请缩短历史，例如使用 trim_messages。"""
POLLED_IS_SAVED = """\
Hint: Without streaming Coze must save the chat: leave auto_save_history unset.
提示：非流式请求要求扣子保存对话：请不要设置 auto_save_history。"""
CONTEXT_LENGTH = """\
Hint: Shorten the messages, or choose a model with a longer context for the bot.
提示：请缩短消息，或为智能体选择上下文更长的模型。"""
MODEL = """\
Hint: Choose an available model for the bot and publish it again.
提示：请为智能体选择可用的模型并重新发布。"""
BUSY = """\
Hint: Wait until the running chat of this conversation has ended, or cancel it.
提示：该会话中还有进行中的对话：请等待其结束或先取消。"""
NO_WORKFLOW = """\
Hint: Configure a workflow for this bot in Coze and publish it again.
提示：请在扣子中为智能体配置工作流并重新发布。"""
NO_RECORD = """\
Hint: Coze has no record of this run yet: try again shortly after its start, or check the id.
提示：扣子暂时没有该次运行的记录：请在启动后稍等片刻再查，或核对 ID。"""
RUN_ENDED = """\
Hint: This run has ended and accepts no more answers: check its result in Coze.
提示：该次运行已结束，不再接受回答：请在扣子中查看其结果。"""
ASYNC_PLAN = """\
Hint: Asynchronous runs need a paid plan.
提示：异步运行需要付费套餐。"""
SYNC_QUESTION = """\
Hint: The workflow asks a question, which synchronous runs do not support: use run_mode='stream' (or 'auto').
提示：该工作流会向用户提问，同步运行不支持：请使用 run_mode='stream'（或 'auto'）。"""
AGENT_STEP = """\
Hint: A step of the agent failed, often its model or a plugin: test the agent in Coze Studio and check the server log.
提示：智能体的某个步骤失败（常见于模型或插件）：请在 Coze Studio 中测试该智能体，并查看服务端日志。"""
CONVERSATION_NAME = """\
Hint: The conversation name does not exist: pass conversation_id, or create the conversation first.
提示：会话名称不存在：请传入 conversation_id，或先创建会话。"""

# --- Requests, replies and streams (`_api`) ------------------------------------------------------

TRUNCATED = """\
Hint: The answer is incomplete. Try again; check proxies that cut long connections.
提示：回答不完整。请重试；并检查会中断长连接的代理。"""
MAX_DURATION = """\
Hint: Raise max_duration, or check in Coze what takes so long.
提示：请调大 max_duration，或在扣子中查看耗时原因。"""
READ_TIMEOUT = """\
Hint: Raise timeout=, or check in Coze what the bot is waiting for.
提示：请调大 timeout=，或在扣子中查看智能体在等待什么。"""
POLL_TIMEOUT = """\
Hint: Raise poll_timeout.
提示：请调大 poll_timeout。"""
POLL_OR_STREAM = """\
Hint: Raise poll_timeout, or use the default response_mode='stream', which needs no polling.
提示：请调大 poll_timeout，或使用默认的 response_mode='stream'（无需轮询）。"""
TRY_LATER = """\
Hint: Try again later.
提示：请稍后重试。"""
API_ADDRESS = """\
Hint: Check base_url: it is the address of the API, for instance https://api.coze.cn, not that of the website.
提示：请检查 base_url：应为 API 地址，例如 https://api.coze.cn，而不是网站地址。"""
NOT_IN_STUDIO = """\
Hint: This server does not offer {feature} ({path}): self-hosted Coze Studio does not; coze.cn and coze.com do.
提示：该服务不提供 {path}：自建的 Coze Studio 没有此接口，coze.cn 和 coze.com 有。"""
FILE_TOO_LARGE = """\
Hint: The file size is {size}. Coze accepts files of up to 512 MB, and a gateway may accept less: use a smaller file, or pass a public link to it.
提示：文件大小为 {size}。扣子的上限为 512 MB，网关的限制可能更小：请缩小文件，或提供公开链接。"""
BODY_TOO_LARGE = """\
Hint: The request size is {size}. Coze accepts up to {limit} here, and a gateway may accept less: send files as uploads or links, and shorten the messages or parameters.
提示：请求大小为 {size}。扣子此接口的上限为 {limit}，网关的限制可能更小：请以上传或链接方式发送文件，并缩短消息或参数。"""
WRONG_EXTENSION = """\
Hint: Coze checks that the extension of the name matches the content, and accepts common documents, images, audio, video and archives. Give the file a name with the right extension: filename="report.pdf" in its content block.
提示：扣子会检查文件名的扩展名与内容是否一致，并只接受常见的文档、图片、音频、视频和压缩包。请为文件指定正确的扩展名：在内容块中设置 filename="report.pdf"。"""
COMPRESSED = """\
Hint: A proxy or gateway in front of base_url may compress responses, which delays a stream. Switch that off there, or accept it: default_headers={{"accept-encoding": "{encoding}"}}.
提示：base_url 前面的代理或网关可能压缩了响应，这会使流式输出变慢。请在代理或网关上关闭压缩；如果可以接受，请设置 default_headers={{"accept-encoding": "{encoding}"}}。"""
OTHER_STREAM = """\
Hint: Read the other stream to its end or close it first: a conversation can have only one turn at a time.
提示：请先读完或关闭另一个流：同一会话一次只能进行一轮对话。"""

# --- Connections (`_api`) ------------------------------------------------------------------------

UNSENDABLE = """\
Hint: Check base_url (it starts with https:// or http://), the proxy, and that the token and default_headers are plain ASCII.
提示：请检查 base_url（以 https:// 或 http:// 开头）和代理；令牌和 default_headers 只能含 ASCII 字符。"""
UNTRUSTED = """\
Hint: The certificate of the server (or of a proxy that inspects traffic) is not trusted here. For a private certificate authority set SSL_CERT_FILE to a PEM file with its certificate (it replaces the public ones) before the program starts, or pass http_client=httpx.Client(verify=ssl_context).
提示：服务端（或检查流量的代理）的证书在本机不受信任。若使用私有 CA，请在程序启动前将 SSL_CERT_FILE 设为包含其证书的 PEM 文件（它会取代公共 CA 的证书），或传入 http_client=httpx.Client(verify=ssl_context)。"""
UNREACHABLE = """\
Hint: Check the network, the proxy settings and base_url.
提示：请检查网络、代理设置和 base_url。"""
UNREACHABLE_BY_PROXY = """\
Hint: Check that the proxy is running and that {source} is correct, or add {host} to NO_PROXY; also check the network and base_url.
提示：请检查代理是否可用、{source} 是否正确，或将 {host} 加入 NO_PROXY；并检查网络和 base_url。"""
PROXY_ADDRESS = """\
Hint: Set {source} to http://host:port, https://host:port or socks5://host:port, or unset it; NO_PROXY lists hosts that need no proxy.
提示：请将 {source} 设为 http://host:port、https://host:port 或 socks5://host:port，或取消该设置；不需要代理的主机可以写在 NO_PROXY 中。"""
SOCKS = """\
Hint: Install it: pip install "httpx[socks]", or unset {source}.
提示：请安装：pip install "httpx[socks]"，或取消设置 {source}。"""

# --- Tokens (`_environment.py`); those of OAuth are in `_oauth_hints.py` -------------------------

NO_API_KEY = """\
Hint: Create a token in Coze (coze.cn → API & SDK → Authorization) and set COZE_API_TOKEN or pass api_key=. Without an account: python -m langchain_coze.local
提示：请在扣子中创建令牌（coze.cn → API & SDK → 授权），然后设置环境变量 COZE_API_TOKEN 或传入 api_key=。没有账号时可以运行：python -m langchain_coze.local"""
WRONG_CHARACTER = """\
Hint: Copy the token from Coze again, without other text: it has no spaces and only ASCII characters. An "…" comes from an example: put your token in its place.
提示：请从扣子重新复制令牌，不要带其他文字：令牌不含空格，且只有 ASCII 字符。“…”来自示例，请替换为您的令牌。"""

# --- Fields and arguments (`_environment.py`, `_base`) -------------------------------------------

URL_CREDENTIALS = """\
base_url must not contain a user name or password: pass a gateway's credentials in default_headers=, and the token as api_key=.
base_url 不能包含用户名或密码：网关凭证请放在 default_headers= 中，令牌请通过 api_key= 传入。"""
URL_QUERY = """\
base_url must not contain a query (?) or a fragment (#).
base_url 不能包含查询参数（?）或锚点（#）。"""
URL_FORM = """\
base_url must be an address like {example}, not {value!r}.
base_url 应为 {example} 这样的地址，而不是 {value!r}。"""
URL_OF_WEBSITE = """\
base_url={value!r} is the address of the website, not of the API: use base_url={address!r}.
base_url={value!r} 是网站地址，而不是 API 地址：请使用 base_url={address!r}。"""
URL_OF_CALL = """\
base_url={value!r} is the address of one call, not of the API: use base_url={address!r}.
base_url={value!r} 是单个接口的地址，而不是 API 地址：请使用 base_url={address!r}。"""
URL_OF_PROJECT = """\
base_url={value!r} is an agent or a workflow of coze.site, which has another API: use ChatCozeSite(base_url={value!r}) or CozeSiteTool.
base_url={value!r} 是 coze.site 上的智能体或工作流，其 API 不同：请使用 ChatCozeSite(base_url={value!r}) 或 CozeSiteTool。"""
HEADER_AUTHORIZATION = """\
default_headers must not contain Authorization: pass the token as api_key=.
default_headers 不能包含 Authorization：令牌请通过 api_key= 传入。"""
HEADER_FUNCTION = """\
Hint: A function for default_headers returns a dict of str and is not async; it is called for each request.
提示：default_headers 的函数应返回字符串字典，且不能是异步函数；每次请求都会调用它。"""
HEADER_FORM = """\
The header {name!r} in default_headers cannot be sent: names and values are printable ASCII, without spaces around them. Encode other text, for instance with urllib.parse.quote.
default_headers 中的 {name!r} 无法发送：名称和值只能是可打印的 ASCII 字符，首尾不能有空格；其他文本请先编码，例如使用 urllib.parse.quote。"""
TIMEOUT_FORM = """\
timeout must be a number of seconds above 0, an httpx.Timeout or None, not {value!r}.
timeout 应为大于 0 的秒数、httpx.Timeout 或 None，不能是 {value!r}。"""
TIMEOUT_OF_FORK = """\
timeout cannot be used with a client of {package}: set it in the client that you pass as {name}.
timeout 不能与 {package} 的客户端一起使用：请在通过 {name} 传入的客户端中设置。"""
CLIENT_KIND = """\
{name} must be an httpx.{expected}.
{name} 应为 httpx.{expected}。"""
CLIENT_IN_PICKLE = """\
This object contains your own HTTP client ({name}=), which cannot be pickled. Omit it: connections are created and shared automatically.
此对象持有您传入的 HTTP 客户端（{name}=），无法用 pickle 序列化。请不要传入：不传时会自动创建并共用客户端。"""
SERVER_CHOICE = """\
server must be 'auto', 'cloud' or 'studio', not {value!r}.
server 只能是 'auto'、'cloud' 或 'studio'，不能是 {value!r}。"""
BACKEND_CHOICE = """\
http_backend must be 'httpx' or 'aiohttp', not {value!r}.
http_backend 只能是 'httpx' 或 'aiohttp'，不能是 {value!r}。"""
AIOHTTP_EXTRA = """\
http_backend='aiohttp' needs the package httpx-aiohttp, which is missing. Run: pip install httpx-aiohttp
http_backend='aiohttp' 缺少 httpx-aiohttp，请运行：pip install httpx-aiohttp"""
CONVERSATION_ID = """\
Hint: Pass an id, or a map of bot ids to ids.
提示：请提供会话 ID，或智能体 ID 到会话 ID 的映射。"""
CONVERSATION_FIELD = """\
conversation must be 'stateless' or 'thread', not {value!r}: pass the id of a conversation as conversation_id=.
conversation 只能是 'stateless' 或 'thread'，不能是 {value!r}：会话 ID 请通过 conversation_id= 传入。"""
PARAMETER_DICT = """\
Hint: Pass a dict of parameters.
提示：请以字典形式传入参数。"""
MISSPELT = """\
Hint: Did you mean {name}?
提示：您要写的是 {name} 吗？"""
TOOL_CHOICE = """\
Hint: Remove tool_choice, and describe in the bot's prompt in Coze when to call a tool.
提示：请不要设置 tool_choice，并在扣子中智能体的提示词里说明何时调用工具。"""
STRUCTURED_OUTPUT = """\
Hint: Omit response_format. Set the output format of the bot's model to JSON in Coze and add a JsonOutputParser or PydanticOutputParser after the bot; or call a workflow, whose outputs are typed; or let another chat model structure the bot's answer.
提示：请不要设置 response_format；可在扣子中将智能体模型的输出格式设为 JSON，并在其后接 JsonOutputParser 或 PydanticOutputParser；或调用输出带类型的工作流；或由另一个聊天模型把回答整理成结构化数据。"""
REPLACED = """\
Hint: Use {replacement}.
提示：请使用 {replacement}。"""
INIT_ONLY = """\
{owner} accepts {name} only in its constructor, not in a call; ignored.
{name} 只能在创建 {owner} 时传入，不能单次指定，已忽略。"""
OTHER_NAME = """\
{owner} has no argument {name}; ignored. Use {other}.
{owner} 没有参数 {name}，已忽略；请使用 {other}。"""
BOT_SETTING = """\
{name} is set on the bot in Coze; ignored.
{name} 需要在扣子的智能体中设置，已忽略。"""
NO_ARGUMENT = """\
{owner} has no argument {name}; ignored.
{owner} 没有参数 {name}，已忽略。"""

# --- Messages and files (`_convert`) -------------------------------------------------------------

NO_HUMAN_MESSAGE = """\
Hint: Pass at least one HumanMessage.
提示：请至少提供一条 HumanMessage。"""
ANSWER_LAST = """\
Hint: End the messages with a HumanMessage.
提示：消息列表应以 HumanMessage 结尾。"""
EMPTY_QUESTION = """\
Hint: Add text to the last message.
提示：请为最后一条消息提供文本内容。"""
FILE_WITHOUT_TEXT = """\
Hint: Add a text block that describes what the bot should do with the file.
提示：请添加文本内容块，说明希望智能体如何处理该文件。"""
ANSWER_FILES = """\
Coze accepts files from users only: the files of an AIMessage are not sent.
扣子只接受用户消息中的文件，AIMessage 中的文件未发送。"""
OBJECT_STRING = """\
Hint: With content_type 'object_string', the content is a list of items as JSON. Simpler: pass the list itself as content.
提示：content_type 为 'object_string' 时，content 应为内容项列表的 JSON 文本；也可以直接将列表作为 content 传入。"""
SYSTEM_MESSAGE = """\
Hint: A bot's system prompt is set in Coze: change it there, or choose another mode.
提示：智能体的系统提示词在扣子中设置：请在那里修改，或选择其他模式。"""
SYSTEM_VARIABLE = """\
Hint: Set it to the prompt variable of the bot that receives the system message.
提示：请指定智能体提示词中接收系统消息的变量名。"""
TOO_MANY_SYSTEM_MESSAGES = """\
Hint: Join them into one.
提示：请合并为一条。"""
MESSAGES_LEFT_OUT = """\
Coze accepts at most {limit} messages: the oldest {surplus} of {total} are not sent. Shorten the history yourself with trim_messages.
扣子最多接受 {limit} 条消息：共有 {total} 条，最早的 {surplus} 条未发送。请用 trim_messages 自行缩短历史。"""
FILE_SOURCE = """\
Hint: Pass url=, base64= or file_id=.
提示：请传入 url=、base64= 或 file_id=。"""
MIME_TYPE = """\
Hint: Use a type such as image/png, or omit mime_type.
提示：请使用 image/png 这样的类型，或不设置 mime_type。"""
TOOL_FILES = """\
Hint: Name the plugin's parameter of each file in its content block: {"type": "image", "base64": …, "extras": {"parameter": "photo"}}.
提示：请在内容块中用 extras 指明每个文件对应的插件参数：{"type": "image", "base64": …, "extras": {"parameter": "photo"}}。"""
PUBLIC_LINK = """\
Hint: Pass a public link that starts with https://, or the bytes with base64=.
提示：请提供以 https:// 开头的公开链接，或用 base64= 传入文件内容。"""
LARGE_ATTACHMENT = """\
Hint: Make the file smaller, or pass a public link with url=.
提示：请缩小文件，或用 url= 提供公开链接。"""
EMPTY_FILE = """\
Hint: Pass its bytes.
提示：请提供文件内容。"""
BASE64 = """\
Hint: Encode its bytes with base64.b64encode(…).decode(), or pass the bytes.
提示：请用 base64.b64encode(…).decode() 编码，或直接传入 bytes。"""
IMAGE_FORMAT = """\
Hint: Send a PNG, JPEG, GIF or WebP, or send it as a block of type 'file'.
提示：请发送 PNG、JPEG、GIF 或 WebP 图片，或用 type 为 'file' 的内容块发送。"""
BLOCK_TYPE = """\
Hint: Send text, images, files and audio.
提示：请发送文本、图片、文件或音频内容块。"""
RECALL_FAILED = """\
The knowledge base search failed (status_code {status_code}): sources are missing.
知识库检索失败（status_code {status_code}），引用来源不完整。"""
RECALL_DAMAGED = """\
The knowledge base returned damaged data ({problem}): only {count} chunks could be read.
知识库返回的数据已损坏，只读取到 {count} 个片段。"""
OUTPUT_PATH = """\
Hint: Correct output_path=, or the outputs of the workflow's end node.
提示：请修改 output_path=，或工作流结束节点的输出。"""
OUTPUT_LIST = """\
Hint: Return the {key} of the knowledge node as a variable of the end node, or set output_path= to the path of the list.
提示：请将知识库检索节点的 {key} 设为结束节点的返回变量，或用 output_path= 指定列表位置。"""

# --- Turns and searches (`_chat`) ----------------------------------------------------------------

NO_BOT = """\
Hint: Pass bot_id= or set COZE_BOT_ID: the number after /bot/ in the bot's address.
提示：请传入 bot_id= 或设置 COZE_BOT_ID：即智能体网址中 /bot/ 后面的数字。"""
ID_IN_URL = """\
Hint: The id is the number after {before} in the address: {name}="{id}".
提示：ID 是网址中 {before} 后面的数字：{name}="{id}"。"""
ID_FORM = """\
Hint: {name} is the number after {before} in the address of its page in Coze, without other text.
提示：{name} 是其扣子页面网址中 {before} 后面的数字，不要带其他文字。"""
MODEL_NAME = """\
Hint: {bot_id!r} is not a number. bot_id (or model) is the id of a bot, the number after /bot/ in the address of its page, not the name of a language model: you choose that in Coze, in the settings of the bot.
提示：{bot_id!r} 不是数字。bot_id（或 model）是智能体的 ID，即智能体网址中 /bot/ 后面的数字，而不是大模型的名称：大模型请在扣子的智能体设置中选择。"""
THREAD_IS_SAVED = """\
Hint: Leave auto_save_history unset.
提示：请不要设置 auto_save_history。"""
UNSAVED_STREAMS = """\
Hint: Leave auto_save_history unset, or use response_mode='stream'.
提示：请不要设置 auto_save_history，或使用 response_mode='stream'。"""
NAMES_AND_VALUES = """\
Hint: Pass a dict of names and values: {name}={{"city": "Hangzhou"}}.
提示：请传入名称与值的字典：{name}={{"city": "杭州"}}。"""
UNSAVED_CONVERSATION = """\
Coze has no messages in the conversation {conversation_id}: its turn was not saved, so the bot does not know it. Pass auto_save_history=True with the first question, too, or use conversation='thread'.
会话 {conversation_id} 中没有消息：上一轮未保存，智能体不知道其内容；请在第一次提问时也传入 auto_save_history=True，或使用 conversation='thread'。"""
BOT_OR_APP = """\
Hint: Pass app_id= for a {kind} in an app, or bot_id= for one in a bot, not both.
提示：属于应用的请传入 app_id=，属于智能体的请传入 bot_id=，不能同时传入。"""
CHATFLOW_STREAMS = """\
Hint: Leave response_mode unset: invoke() also works with streaming.
提示：请不要设置 response_mode：流式响应同样支持 invoke()。"""
CHATFLOW_FILE = """\
Hint: Pass the file to a parameter of its start node, with parameters=.
提示：请通过 parameters= 将文件传给对话流开始节点的参数。"""
CHATFLOW_PARAMETERS = """\
Hint: Pass the values of its start node with parameters=.
提示：请使用 parameters= 传入开始节点的参数。"""
UNANSWERED_CALLS = """\
Hint: Add a ToolMessage for each call, or a HumanMessage to continue without them.
提示：请为每个调用添加 ToolMessage，或添加 HumanMessage 以放弃这些调用。"""
UNSAVED_CALL = """\
Hint: Use bind_tools(…) or auto_save_history=True, and start again from the question.
提示：请使用 bind_tools(…) 或 auto_save_history=True，并从用户提问处重新开始。"""
MISSING_CALL = """\
Hint: Keep the AIMessage with the tool_calls before its ToolMessages, for instance when trimming.
提示：请保留 ToolMessage 之前带有 tool_calls 的 AIMessage（例如裁剪历史时）。"""
UNSAVED_QUESTION = """\
The bot asked its question in a chat that was not saved, so a new turn starts. Use conversation='thread' or auto_save_history=True to continue such turns.
智能体曾向用户提问，但那轮对话没有保存，因此将开始新的一轮。如果要继续这样的对话，请使用 conversation='thread' 或 auto_save_history=True。"""
ALREADY_CONTINUED = """\
Hint: Nothing was started. The other call has the result; in LangGraph it is a checkpoint in graph.get_state_history(config). If that call failed or its process ended, continue with a new message. For a fork in LangGraph, set checkpoint_id in the config.
提示：本次调用未启动任何运行。结果在另一次调用中；在 LangGraph 中，可在 graph.get_state_history(config) 的检查点中找到。如果那次调用失败或其进程已退出，请发送新的消息继续。如需在 LangGraph 中分叉，请在 config 中指定 checkpoint_id。"""
TURN_UNREADABLE = """\
The newest turn of the conversation could not be read ({problem}). The whole history is sent in a new conversation. If the token lacks the permission listMessage, add it.
无法读取会话中最后一轮对话，将新建会话并发送全部历史。如果令牌缺少 listMessage 权限，请为其勾选。"""
NO_ANSWER = """\
Hint: In Coze Studio this happens if the model or a plugin fails, or if the question is empty: test the agent in Coze, and check the server log.
提示：在 Coze Studio 上，模型或插件调用失败，或者问题为空时，会出现这种情况：请在扣子中测试该智能体，并查看服务端日志。"""
CONVERSATION_UNKNOWN = """\
Hint: Check the id and base_url. If the server has lost the conversation, omit conversation_id and call again: the whole history is then sent in a new one.
提示：请检查会话 ID 和 base_url。如果服务端已丢失该会话，请去掉 conversation_id 再调用一次，这样会在新会话中发送全部历史。"""
CONVERSATION_LOST = """\
The server does not know the conversation {expected}: this turn runs in a new one, {actual}, without earlier messages. Check conversation_id and base_url.
服务端找不到会话 {expected}，本轮对话在新会话 {actual} 中进行，不包含之前的消息；请检查 conversation_id 和 base_url。"""
NO_RECALL = """\
The bot {bot_id} sent no recall. Either nothing was found (Coze Studio sends no message then), or no knowledge base is bound. Bind a knowledge base to it in Coze, have it called automatically rather than on demand, and publish the bot again.
智能体 {bot_id} 没有返回召回内容：可能没有检索到内容（此时 Coze Studio 不发送召回消息），也可能未绑定知识库。请在扣子中为其添加知识库，将调用方式设为“自动调用”，并重新发布。"""
TURN_CUT = """\
The turn ended early after its recall ({problem}): documents may be missing.
召回之后，这轮对话提前结束，可能缺少部分文档。"""
DRIVE_UNAUTHORIZED = """\
Hint: The authorization of a cloud drive behind the knowledge base has expired: renew it in Coze.
提示：知识库所用云盘的授权已过期，请在扣子中重新授权。"""
KNOWLEDGE_BASE = """\
Hint: Test the question in the bot's preview in Coze, and check its knowledge base there.
提示：请在扣子的智能体预览中测试该问题，并检查知识库状态。"""
QUERY_PARAMETER = """\
Hint: Name the start-node variable for the question with query_parameter=; pass values of the other variables with parameters=.
提示：请用 query_parameter= 指定接收问题的开始节点变量，其他变量用 parameters= 传入。"""
SEARCH_WITH_QUESTION = """\
Hint: A retriever needs a workflow that ends without questions: remove the question.
提示：检索器使用的工作流不能向用户提问：请去掉其中的问答节点或输入节点。"""

# --- Workflows (`_workflows`) --------------------------------------------------------------------

RESUME = """\
Hint: Pass the CozeWorkflowInterrupt that was raised, and text or a dict of values.
提示：请传入抛出的 CozeWorkflowInterrupt，以及文本或字典形式的回答。"""
STREAM_INSTEAD = """\
Asynchronous runs need a paid plan (6003): the workflow runs as a stream instead.
异步运行需要付费套餐（6003），已改为流式运行。"""
ANSWER_REFUSED = """\
Hint: Coze rejected the answer. Either the run has already received it, for instance from a process that was killed, and its result is unknown; or the answer does not match the question. Check the run in Coze first: another run would repeat all of its actions.
提示：扣子拒绝了该回答。该次运行可能此前已收到该回答（例如由已被终止的进程发送），此时结果未知；也可能回答与问题不符。请先在扣子中查看该次运行：再次运行会重复执行所有操作。"""
UNKNOWN_START = """\
Hint: The process that started the workflow ended, or lost the connection, before it got the result. Look in Coze for a run of this workflow at this time. If there is one, put its result into the thread, in an agent with graph.update_state(config, {'messages': [ToolMessage(…)]}, as_node='tools'). Otherwise graph.invoke(None, graph.get_state(config).config) starts it; for a graph of create_workflow_graph, pass the input again. If the result does not matter any more, send the agent a new message.
提示：启动该工作流的进程在得知结果之前已退出或断开连接。请在扣子中查找该工作流在此时间的运行记录。如果存在，请将其结果写入线程：在 agent 中使用 graph.update_state(config, {'messages': [ToolMessage(…)]}, as_node='tools')。如果不存在，请用 graph.invoke(None, graph.get_state(config).config) 启动；create_workflow_graph 创建的图请重新传入输入。如果不再需要该结果，向 agent 发送新的消息即可。"""
UNKNOWN_ANSWER = """\
Hint: The process that sent the answer ended, or lost the connection, before it got the result. Check the run in Coze and put its result into the thread, in an agent with graph.update_state(config, {'messages': [ToolMessage(…)]}, as_node='tools'). Another run would repeat all of its actions. If the result does not matter any more, send the agent a new message.
提示：发送该回答的进程在得知结果之前已退出或断开连接。请在扣子中查看该次运行，并将其结果写入线程：在 agent 中使用 graph.update_state(config, {'messages': [ToolMessage(…)]}, as_node='tools')。再次运行会重复执行所有操作。如果不再需要该结果，向 agent 发送新的消息即可。"""
UNKNOWN_QUESTION = """\
Hint: Coze Studio does not report the questions of asynchronous runs: use run_mode='stream' (or 'auto').
提示：Coze Studio 不返回异步运行中的提问：请使用 run_mode='stream'（或 'auto'）。"""
NODE_FAILED = """\
Hint: A node of the workflow failed: try other parameters, or check its trace in Coze.
提示：工作流的某个节点运行失败：请更换参数，或在扣子中查看运行日志。"""
WORKFLOW_LEFT_OUT = """\
The workflow {title} was skipped: {problem}
已跳过工作流 {title}。"""
TOOL_PARAMETERS = """\
Hint: Pass the parameters with the names and types of the workflow: see args of the tool.
提示：请按工作流的参数名称和类型传入，见工具的 args。"""
WORKSPACE = """\
Hint: Check workspace_id (the number after /space/ in the address of the workspace), and that the token may list its workflows.
提示：请检查 workspace_id（工作空间网址中 /space/ 后面的数字），以及令牌是否有权列出其中的工作流。"""
ARGS_SCHEMA = """\
Hint: Pass args_schema=: a JSON schema or a pydantic model of the start node's variables.
提示：请传入 args_schema=：描述开始节点变量的 JSON Schema 或 pydantic 模型。"""

# --- Components (`tools.py`, `retrievers.py`, `graphs.py`) ---------------------------------------

WORKFLOW_WAITS = """\
Hint: Continue with tool.resume(interrupt, answer), or run it in a graph with a checkpointer, and answer with Command(resume=answer).
提示：请使用 tool.resume(interrupt, answer) 继续；或在带检查点存储（checkpointer）的图中运行，并用 Command(resume=answer) 回答。"""
EMPTY_QUERY = """\
Hint: Pass a str that is not empty.
提示：检索内容应为非空字符串。"""
RESULT_LIMIT = """\
Hint: Pass an integer of at least 1.
提示：k 应为大于等于 1 的整数。"""
SCORE_THRESHOLD = """\
Hint: Pass a number that is at least 0.
提示：score_threshold 应为大于等于 0 的数。"""
NO_SCORES = """\
score_threshold has no effect: the documents have no scores.
检索结果没有分数，score_threshold 不起作用。"""
CHAT_COZE = """\
Hint: Pass a ChatCoze.
提示：请传入 ChatCoze。"""
GRAPH_NAME = """\
Hint: Pass a different name= for each graph, without the characters | and :.
提示：请为每个图传入不同的 name=，其中不能有 | 和 :。"""
CHAT_MODEL = """\
Hint: Pass a chat model.
提示：请传入聊天模型。"""
