"""Hints for bots, conversations and feedback in English and Chinese, to proof-read in one place.

Each text has one line for each language. Braces are placeholders: see `_hints.py`.
"""

CONVERSATION_NAME = """\
Hint: Pass a name of 1 to 100 characters, or create the conversation without name=.
提示：会话名称应为 1 到 100 个字符；创建会话时也可以不传 name=。"""
CONVERSATION_MESSAGES = """\
Hint: Pass a list of messages: [HumanMessage("…")] or [("user", "…")].
提示：请传入消息列表：[HumanMessage("…")] 或 [("user", "…")]。"""
STORED_ID = """\
Hint: {name} is the id that Coze has returned, a number: see response_metadata of an answer, or CozeConversations.list.
提示：{name} 应为扣子返回的 ID（数字）：见回答的 response_metadata 或 CozeConversations.list。"""
STUDIO_MESSAGES = """\
Hint: Coze Studio ignores the messages of a new conversation: create it empty, and send them with the first turn.
提示：Coze Studio 会忽略新会话中的消息：请创建空会话，并在第一轮对话中发送这些消息。"""
NO_BOT_FOR_LIST = """\
Hint: Coze lists the conversations of one bot: pass bot_id= or set COZE_BOT_ID.
提示：会话列表需要指定智能体：请传入 bot_id= 或设置 COZE_BOT_ID。"""
FEEDBACK_TYPE = """\
Hint: Pass "like" or "unlike".
提示：请传入 "like"（点赞）或 "unlike"（点踩）。"""
FEEDBACK_MESSAGE = """\
Hint: Pass an AIMessage that ChatCoze or CozeConversations.messages returned; its response_metadata has message_id and conversation_id.
提示：请传入 ChatCoze 或 CozeConversations.messages 返回的 AIMessage，其 response_metadata 中包含 message_id 和 conversation_id。"""
FEEDBACK_REASONS = """\
Hint: Pass a list of short texts as reason_types=, for instance ["incomplete"], or omit it.
提示：reason_types= 应为短文本列表，例如 ["不完整"]，也可以不传。"""
FEEDBACK_COMMENT = """\
Hint: Pass a text as comment=, or omit it.
提示：comment= 应为文本，也可以不传。"""
FEEDBACK_LIMITS = """\
Hint: Coze accepts up to 10 reasons of up to 30 characters, and a comment of up to 250 characters.
提示：最多 10 个原因标签，每个最长 30 个字符；评论最长 250 个字符。"""
FEEDBACK_SAVED = """\
Hint: Coze takes feedback only for turns that it has saved: use auto_save_history=True, conversation='thread' or a conversation_id. Only the user who created the conversation can give it.
提示：只能评价扣子已保存的对话：请使用 auto_save_history=True、conversation='thread' 或 conversation_id。只有会话的创建者可以评价。"""
CONNECTION = """\
Hint: Pass a ChatCoze as model=, or set COZE_API_TOKEN and COZE_API_BASE.
提示：请用 model= 传入 ChatCoze，或设置 COZE_API_TOKEN 和 COZE_API_BASE。"""
