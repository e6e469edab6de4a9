"""Hints for bots, conversations and feedback in English and Chinese, to proof-read in one place.

Each text has one line for each language. Braces are placeholders: see `_hints.py`.
"""

CONVERSATION_NAME = """\
Hint: Coze accepts names of up to 100 characters.
提示：会话名称最长 100 个字符。"""
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
FEEDBACK_LIMITS = """\
Hint: Coze accepts up to 10 reasons of up to 30 characters, and a comment of up to 250 characters.
提示：最多 10 个原因标签，每个最长 30 个字符；评论最长 250 个字符。"""
FEEDBACK_SAVED = """\
Hint: Coze takes feedback only for turns that it has saved: use auto_save_history=True, conversation='thread' or a conversation_id. Only the user who created the conversation can give it.
提示：只能评价扣子已保存的对话：请使用 auto_save_history=True、conversation='thread' 或 conversation_id。只有会话的创建者可以评价。"""
CONNECTION = """\
Hint: Pass a ChatCoze as model=, or set COZE_API_TOKEN and COZE_API_BASE.
提示：请用 model= 传入 ChatCoze，或设置 COZE_API_TOKEN 和 COZE_API_BASE。"""
