"""Lines and hints of the doctor in English and Chinese, in one place to proof-read.

Each text has one line for each language; the doctor prints one of them. Braces are placeholders.
"""

# --- Lines ---------------------------------------------------------------------------------------

LOCAL = """\
a server on this machine
本机服务"""
STUDIO = """\
self-hosted Coze Studio
自建的 Coze Studio"""
GATEWAY = """\
a gateway to Coze
通往扣子的网关"""
ACCEPTED = """\
accepted{user}
有效{user}"""
USER = """\
, user {name}
，用户 {name}"""
CLOCK = """\
{seconds} s apart from the server's clock
与服务端时钟相差 {seconds} 秒"""
WORKSPACES = """\
{count}: {names}
共 {count} 个：{names}"""
WORKSPACES_UNKNOWN = """\
this server does not list them
该服务不提供工作空间列表"""
BOT = """\
{id} {name}, published; knowledge bases: {knowledge}; plugins: {plugins}; workflows: {workflows}
{id} {name}，已发布；知识库：{knowledge}；插件：{plugins}；工作流：{workflows}"""
WORKFLOW = """\
{id} {name}; inputs: {inputs}
{id} {name}；输入：{inputs}"""
WORKFLOW_UNKNOWN = """\
{id}: this server does not describe workflows
{id}：该服务不提供工作流信息"""
SITE_AGENT = """\
{address}: an agent
{address}：智能体"""
SITE_WORKFLOW = """\
{address}: a workflow; inputs: {inputs}
{address}：工作流；输入：{inputs}"""
CHAT = """\
answered: {text}
已回答：{text}"""
NONE = """\
none
无"""
CLIENT_PROXY = """\
{text}
自定义 HTTP 客户端（{text}）"""
REQUIRED = """\
{name} (required)
{name}（必填）"""
SUMMARY_OK = """\
All checks passed.
全部检查通过。"""
SUMMARY_PROBLEMS = """\
Problems: {count}
发现 {count} 个问题"""

# --- Problems ------------------------------------------------------------------------------------

UNSET = """\
No Coze token is set.
未设置扣子令牌"""
UNSET_FOR_SITE = """\
The token of the project is missing: COZE_SITE_TOKEN is not set
缺少项目令牌：未设置 COZE_SITE_TOKEN"""
PROJECT_KEY = """\
COZE_API_TOKEN holds the token of a coze.site project (eyJ…), which the Coze API does not accept
COZE_API_TOKEN 是 coze.site 项目的令牌（eyJ…），扣子 API 不接受"""
MOVE_PROJECT_KEY = """\
Hint: Set it as COZE_SITE_TOKEN, and pass the project's address with --site. For the Coze API create a token that begins with pat_ or sat_.
提示：请将其设为 COZE_SITE_TOKEN，并用 --site 指定项目地址。扣子 API 请使用以 pat_ 或 sat_ 开头的令牌。"""
CLOCK_AHEAD = """\
this computer's clock is {seconds} s ahead
本机时钟快 {seconds} 秒"""
CLOCK_BEHIND = """\
this computer's clock is {seconds} s behind
本机时钟慢 {seconds} 秒"""
SET_CLOCK = """\
Hint: Set it (NTP): OAuth tokens are refused when it is wrong.
提示：请校准时钟（NTP）：时钟不准时，OAuth 令牌会被拒绝。"""
NO_WORKSPACES = """\
the token sees none
令牌无权查看任何工作空间"""
GRANT_WORKSPACE = """\
Hint: Edit the token in Coze and choose the workspace of your bots and workflows.
提示：请在扣子中编辑令牌，选择智能体和工作流所在的工作空间。"""
NOTHING_TO_CHAT = """\
there is no bot and no agent to ask
没有可提问的智能体"""
NAME_A_BOT = """\
Hint: Pass --bot with its id, or --site with the address of an agent.
提示：请用 --bot 指定智能体 ID，或用 --site 指定智能体项目的地址。"""
INVALID_SETTING = """\
Hint: Correct the setting {setting}.
提示：请修改设置 {setting}。"""
RAISED = """\
{names} raised an exception of the class {error}
{names} 引发了 {error} 异常"""
CALL_IT = """\
Hint: Call your own function or object without Coze to see what is wrong, and correct it.
提示：请单独调用您传入的函数或对象，查明原因并修改。"""
LANGUAGE = """\
Hint: Pass lang="en" or lang="zh", or omit it for the language of the system.
提示：请传入 lang="en" 或 lang="zh"；不传时使用系统语言。"""

# --- Errors of the calls: their own text is English ----------------------------------------------

AUTHENTICATION = """\
{message}
令牌未通过验证（{message}）"""
PERMISSION = """\
{message}
没有权限（{message}）"""
NOT_FOUND = """\
{message}
不存在或未发布（{message}）"""
INVALID_REQUEST = """\
{message}
请求无法发送或被拒绝（{message}）"""
RATE = """\
{message}
请求过于频繁（{message}）"""
QUOTA = """\
{message}
额度已用尽或已欠费（{message}）"""
SERVER = """\
{message}
服务端出错（{message}）"""
CONNECTION = """\
{message}
无法连接（{message}）"""
TIMEOUT = """\
{message}
等待超时（{message}）"""
FAILED = """\
{message}
检查失败（{message}）"""
