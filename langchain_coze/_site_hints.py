"""Hints and messages for coze.site in English and Chinese, in one place to proof-read.

Each text has one line for each language. Braces are placeholders, which the raising code fills in:
see `_hints.py`.
"""

# --- Addresses (`_environment`) ------------------------------------------------------------------

URL_MISSING = """\
No address is set: pass base_url= or set COZE_SITE_BASE, for instance to {example!r}.
未设置地址：请传入 base_url= 或设置 COZE_SITE_BASE，例如 {example!r}。"""
URL_OF_COZE = """\
base_url={value!r} is an address of Coze itself, not of a project: use the address on the project's deployment page, like {example}.
base_url={value!r} 是扣子平台的地址，而不是项目的地址：请使用项目部署页上的地址，例如 {example}。"""
URL_PATH = """\
base_url={value!r} has a path: use base_url={address!r}.
base_url={value!r} 包含路径：请使用 base_url={address!r}。"""

# --- Requests and replies (`_api`) ---------------------------------------------------------------

LONG_WORK = """\
Hint: Use the mode 'async' for work that takes longer.
提示：耗时更长的任务请使用 'async' 模式。"""
AUTHENTICATION = """\
Hint: Pass the project's API token (eyJ…) as api_key= or set COZE_SITE_TOKEN. Create one on the project's deployment page, where it shows how to call the API. Tokens of the Coze API (pat_…, COZE_API_TOKEN) belong to another service.
提示：请通过 api_key= 传入项目的 API Token（eyJ…），或设置 COZE_SITE_TOKEN。API Token 在项目部署页的“API 请求示例及接口说明”中创建。扣子 API 的令牌（pat_…、COZE_API_TOKEN）用于另一个服务，在这里无效。"""
NO_ROUTE = """\
Hint: The project is older than this route, or its owner removed it: use another mode, or let Coze's AI update the project's code and deploy it again. Or base_url is not the address of a project.
提示：项目生成时还没有此接口，或其所有者已将其移除：请使用其他模式，或让扣子的 AI 更新项目代码后重新部署；也可能是 base_url 不是项目的地址。"""
ADDRESS = """\
Hint: Check base_url: it is the address on the project's deployment page (https://<name>.coze.site), and the project must be deployed.
提示：请检查 base_url：应为项目部署页上的地址（https://<名称>.coze.site），且项目已部署。"""
GATEWAY_TIMEOUT = """\
Hint: The gateway ends requests after some minutes of silence; the run may continue. Use the mode 'stream', or 'async' for long work.
提示：网关会中断数分钟没有输出的请求，而运行可能仍在继续。请使用 'stream' 模式，耗时较长的任务请使用 'async' 模式。"""
NO_STORAGE = """\
Hint: Asynchronous runs are stored in the project's database, which does not exist or cannot be reached. Use the mode 'stream' or 'run'.
提示：异步运行保存在项目数据库中：该项目没有数据库，或数据库无法访问。请使用 'stream' 或 'run' 模式。"""
PROJECT = """\
Hint: The project's own code failed: find its log in Coze by the log id or the run id.
提示：项目自身的代码出错：请在扣子中用 logid 或 run_id 查看项目日志。"""
WORKFLOW = """\
Hint: The workflow failed: try other parameters, or find its log in Coze by the run id.
提示：工作流运行失败：请更换参数，或在扣子中用 run_id 查看其日志。"""
RATE = """\
Hint: The project's model or integration is called too often: use rate_limiter= or a smaller max_concurrency.
提示：项目调用模型或集成过于频繁：请使用 rate_limiter= 或减小 max_concurrency。"""
QUOTA = """\
Hint: The credits or the quota of the project's owner are used up: top up or upgrade the plan.
提示：项目所有者的资源点或额度已用尽：请充值或升级套餐。"""
CONTEXT_LENGTH = """\
Hint: Shorten the messages, or choose a model with a longer context in the project.
提示：请缩短消息，或在项目中选择上下文更长的模型。"""
CONTENT = """\
Hint: The project's model rejected this content: rephrase the question.
提示：项目的模型拒绝了该内容：请调整提问。"""
SERVER = """\
Hint: The project could not reach its model, a service or its database: try again later.
提示：项目无法连接其模型、服务或数据库：请稍后重试。"""
TIMEOUT = """\
Hint: A run ends after 900 s: use the mode 'async' for longer work.
提示：单次运行上限为 900 秒：耗时更长的任务请使用 'async' 模式。"""
CANCELED = """\
Hint: The run was cancelled by its id, or the call that started it was cancelled. Ask again if you still need the answer.
提示：有人通过 run_id 取消了这次运行，或者发起运行的调用已被取消。如果仍需要回答，请重新提问。"""
BROKEN_SESSION = """\
Hint: An earlier turn left a tool call without a result in the session, so the model rejects every further turn: use a new session_id.
提示：之前某一轮在会话中留下了没有结果的工具调用，模型会拒绝该会话之后的每一轮：请使用新的 session_id。"""

# --- Agents and workflows (`_site`, `coze_site.py`) ----------------------------------------------

LINK = """\
Hint: Pass a link with url=. An image may also be sent as base64 with response_mode='run' or 'async'.
提示：请用 url= 提供链接；图片也可以用 base64 配合 response_mode='run' 或 'async' 发送。"""
IMAGE = """\
Hint: Only images can be sent in this mode, as base64 or as a link. Use response_mode='stream' for links to other files.
提示：此模式只能发送图片（base64 或链接）；其他文件请使用 response_mode='stream' 并提供链接。"""
SYSTEM_MESSAGE = """\
With session_id, system messages are sent only before the first answer; later ones are not sent.
指定 session_id 时，系统消息仅在首次回答前发送，之后不再发送。"""
RUN_IGNORES_SESSION = """\
Hint: The project has an older version. Use response_mode='stream', or omit session_id.
提示：该项目版本较旧。请使用 response_mode='stream'，或不要设置 session_id。"""
WORKFLOW_PROJECT = """\
Hint: Use CozeSiteTool for a workflow.
提示：工作流请使用 CozeSiteTool。"""
OTHER_FRAMES = """\
Hint: The project's code may have been changed, so that its frames are not those of an agent: test the project in Coze. Or base_url is not the address of a project.
提示：项目代码可能被修改过，发送的数据帧与智能体的不同：请在扣子中测试该项目；也可能是 base_url 不是项目的地址。"""
AGENT_PROJECT = """\
Hint: Use ChatCozeSite for an agent.
提示：智能体请使用 ChatCozeSite。"""
INTERRUPT = """\
Hint: coze.site cannot continue a run that asked a question (interrupt): change the workflow so that it takes the answer as an input.
提示：运行停在提问处（interrupt）之后，coze.site 无法继续：请修改工作流，让它以输入参数接收答案。"""
ASYNC_HAS_NO_SESSION = """\
response_mode='async' has no sessions: leave session and session_id unset.
response_mode='async' 不支持会话：请不要设置 session 和 session_id。"""
FILE_URL = """\
Hint: Pass an http(s) URL that the project can download without a login.
提示：请传入项目无需登录即可下载的 http(s) 链接。"""
NO_CLIENT_TOOLS = """\
Hint: Add the tools to the project in Coze; or use the agent as a node of a graph or as a worker of another model that calls your tools; or use ChatCoze with a bot.
提示：请在扣子的项目中添加工具；或将该智能体用作图的节点；或由另一个能调用您的工具的模型来调度它；或改用 ChatCoze 连接带端插件的智能体。"""
STRUCTURED_OUTPUT = """\
Hint: Request JSON in the project's prompt and add a JsonOutputParser or PydanticOutputParser after the agent; or call a workflow with CozeSiteTool, whose outputs are typed; or let another chat model structure the answer.
提示：请在项目的提示词中要求输出 JSON，并在其后接 JsonOutputParser 或 PydanticOutputParser；或用 CozeSiteTool 调用输出带类型的工作流；或由另一个聊天模型把回答整理成结构化数据。"""
ASYNC_IGNORES_SESSION = """\
Hint: Omit session_id, or use another mode.
提示：请不要设置 session_id，或使用其他模式。"""
