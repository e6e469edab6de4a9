"""Bytes as Coze sends them, written out from recordings and documentation (docs/wire.md).

None of it is produced by our encoders.
"""

from __future__ import annotations

# wire 2.4: a whole turn of coze.cn, recorded 2025-06, shortened; the ids are real
TURN = (
    "event:conversation.chat.created\n"
    'data:{"id":"7516861354884710427","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","created_at":1750155668,"last_error":{"code":0,"msg":""},"status":"created","usage":{"token_count":0,"output_count":0,"input_count":0},"section_id":"7516861345346813988"}\n'
    "\n"
    "event:conversation.chat.in_progress\n"
    'data:{"id":"7516861354884710427","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","created_at":1750155668,"last_error":{"code":0,"msg":""},"status":"in_progress","usage":{"token_count":0,"output_count":0,"input_count":0},"section_id":"7516861345346813988"}\n'
    "\n"
    "event:conversation.message.delta\n"
    'data:{"id":"7516861356495323187","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"answer","content":"您","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988"}\n'
    "\n"
    "event:conversation.message.delta\n"
    'data:{"id":"7516861356495323187","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"answer","content":"好，运费\\u0026退货 \u2028\u0085","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988"}\n'
    "\n"
    "event:conversation.message.completed\n"
    'data:{"id":"7516861356495323187","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"answer","content":"您好，运费\\u0026退货 \u2028\u0085","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988","created_at":1750155726}\n'
    "\n"
    "event:conversation.message.completed\n"
    'data:{"id":"7516861615057354778","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"verbose","content":"{\\"msg_type\\":\\"generate_answer_finish\\",\\"data\\":\\"{\\\\\\"finish_reason\\\\\\":0,\\\\\\"FinData\\\\\\":\\\\\\"\\\\\\"}\\",\\"from_module\\":null,\\"from_unit\\":null}","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988","created_at":1750155729,"updated_at":1750155729}\n'
    "\n"
    "event:conversation.message.completed\n"
    'data:{"id":"7516861615057371162","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"follow_up","content":"提供一些处理退货运费的话术","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988","created_at":1750155729,"updated_at":1750155729}\n'
    "\n"
    "event:conversation.chat.completed\n"
    'data:{"id":"7516861354884710427","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","created_at":1750155668,"completed_at":1750155729,"last_error":{"code":0,"msg":""},"status":"completed","usage":{"token_count":3095,"output_count":1334,"input_count":1761,"input_tokens_details":{"cached_tokens":0}},"section_id":"7516861345346813988"}\n'
    "\n"
    "event:done\n"
    'data:"[DONE]"\n'
    "\n"
).encode()

TURN_TEXT = "您好，运费&退货 \u2028\u0085"

# wire 2.4: a reasoning delta, recorded 2025-05; the answer that follows has the same message id
REASONING = (
    "event:conversation.message.delta\n"
    'data:{"id":"750","conversation_id":"9","bot_id":"8","role":"assistant","type":"answer","content":"","content_type":"text","chat_id":"7","section_id":"9","reasoning_content":"好的"}\n'
    "\n"
    "event:conversation.message.delta\n"
    'data:{"id":"750","conversation_id":"9","bot_id":"8","role":"assistant","type":"answer","content":"","content_type":"text","chat_id":"7","section_id":"9","reasoning_content":"，用户"}\n'
    "\n"
    "event:conversation.message.delta\n"
    'data:{"id":"750","conversation_id":"9","bot_id":"8","role":"assistant","type":"answer","content":"\\n\\n你","content_type":"text","chat_id":"7","section_id":"9"}\n'
    "\n"
    "event:conversation.message.delta\n"
    'data:{"id":"750","conversation_id":"9","bot_id":"8","role":"assistant","type":"answer","content":"好","content_type":"text","chat_id":"7","section_id":"9"}\n'
    "\n"
    "event:conversation.message.completed\n"
    'data:{"id":"750","conversation_id":"9","bot_id":"8","role":"assistant","type":"answer","content":"\\n\\n你好","content_type":"text","chat_id":"7","section_id":"9","created_at":1750155726}\n'
    "\n"
).encode()

# wire 2.7: a failed turn, verbatim from the fixture of the official Python SDK
FAILED = (
    b"event:conversation.chat.failed\n"
    b'data:{"id":"7390342853760696354","conversation_id":"7390331532575195148","bot_id":"7374724495711502387","completed_at":1720698285,"failed_at":1720698286,"last_error":{"code":5000,"msg":"event interval error"},"status":"failed","usage":{"token_count":0,"output_count":0,"input_count":0}}\n'
    b"\n"
)

# wire 3.1: a recall, escaped as in the stream; its link has an ampersand
RECALL = rb"""event:conversation.message.completed
data:{"id":"7516861350000000001","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"verbose","content":"{\"msg_type\":\"knowledge_recall\",\"data\":\"{\\\"chunks\\\":[{\\\"slice\\\":\\\"text\\\",\\\"score\\\":0.50244140625,\\\"meta\\\":{\\\"dataset\\\":{\\\"id\\\":\\\"7611703448279351315\\\",\\\"name\\\":\\\"kb\\\"},\\\"document\\\":{\\\"id\\\":\\\"7611709418610606118\\\",\\\"name\\\":\\\"doc\\\",\\\"format_type\\\":0,\\\"source_type\\\":2},\\\"link\\\":{\\\"title\\\":\\\"kb_doc\\\",\\\"url\\\":\\\"https://h/p?a=1\\\\u0026b=2\\\"},\\\"card\\\":{\\\"title\\\":\\\"kb\\\",\\\"con\\\":\\\"text\\\",\\\"index\\\":\\\"1\\\"}}}],\\\"ori_req\\\":\\\"\\\",\\\"status_code\\\":0}\",\"from_module\":null,\"from_unit\":null}","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988","created_at":1750155669,"updated_at":1750155669}

"""

# wire 2.6 and 8: the end of a turn that calls a local plugin
REQUIRES_ACTION = (
    "event:conversation.chat.requires_action\n"
    'data:{"id":"7","conversation_id":"9","bot_id":"8","status":"requires_action","required_action":{"type":"submit_tool_outputs","submit_tool_outputs":{"tool_calls":[{"id":"BUJJF0dAQ0NAEBVeQkVKEV5HFURFXhFCEhFeFxdHShcSQEtFSxYRSUI=","type":"function","function":{"name":"local_data_assistant","arguments":"{\\"location\\":\\"南京\\",\\"type\\":0}"}}]}}}\n'
    "\n"
    "event:done\n"
    'data:"[DONE]"\n'
    "\n"
).encode()

# wire 2.3: a call that the bot made itself, and its result
SERVER_TOOL = (
    b"event:conversation.message.completed\n"
    b'data:{"id":"71","conversation_id":"9","bot_id":"8","role":"assistant","type":"function_call","content":"{\\"name\\":\\"toutiaosousuo-search\\",\\"arguments\\":{\\"input_query\\":\\"coze\\"},\\"plugin_id\\":7281192623887500003,\\"plugin_name\\":\\"toutiaosousuo\\",\\"api_id\\":7288907006982012986,\\"api_name\\":\\"search\\",\\"plugin_type\\":1}","content_type":"text","chat_id":"7","section_id":"9"}\n'
    b"\n"
    b"event:conversation.message.completed\n"
    b'data:{"id":"72","conversation_id":"9","bot_id":"8","role":"assistant","type":"tool_response","content":"{\\"content_type\\":1,\\"response_for_model\\":\\"found\\",\\"type_for_model\\":1}","content_type":"text","chat_id":"7","section_id":"9"}\n'
    b"\n"
)

# wire 8: how Coze Studio ends a stream
STUDIO_END = b"event:conversation.stream.done\ndata:\n\n"

# wire 4.4: a workflow stream (spaces, ids), verbatim from the fixture of the official Python SDK
WORKFLOW = (
    "id: 0\n"
    "event: Message\n"
    'data: {"content":"msg","node_is_finish":false,"node_seq_id":"0","node_title":"Message"}\n'
    "\n"
    "id: 4\n"
    "event: Message\n"
    'data: {"content":"坐不下！","node_is_finish":true,"node_seq_id":"4","node_title":"Message"}\n'
    "\n"
    "id: 0\n"
    "event: Error\n"
    'data: {"error_code":4000,"error_message":"Request parameter error"}\n'
    "\n"
    "id: 6\n"
    "event: Done\n"
    "data: {}\n"
    "\n"
).encode()

# wire 4.6: how a chatflow fails; its code is a string
CHATFLOW_FAILED = (
    'event: conversation.chat.failed\ndata: {"code": "720702204","msg": "会话名不存在"}\n\n'
).encode()

RECORDED = {
    "turn": TURN,
    "reasoning": REASONING,
    "failed": FAILED,
    "recall": RECALL,
    "requires_action": REQUIRES_ACTION,
    "server_tool": SERVER_TOOL,
    "studio_end": STUDIO_END,
    "workflow": WORKFLOW,
    "chatflow_failed": CHATFLOW_FAILED,
}
