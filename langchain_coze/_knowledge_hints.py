"""Hints and messages for knowledge bases in English and Chinese, in one place to proof-read.

Each text has one line for each language. Braces are placeholders, which the raising code fills in:
see `_hints.py`.
"""

# --- Requests and replies (`_api`) ---------------------------------------------------------------

OWNER = """\
Hint: Only the owner of a knowledge base can change it. Use a token of the owner, with the permissions createKnowledge, createDocument, listDocument, readDocumentProgress and deleteDocument for its workspace.
提示：只有知识库的所有者可以修改它。请使用所有者的令牌，并为所在工作空间勾选 createKnowledge、createDocument、listDocument、readDocumentProgress 和 deleteDocument 权限。"""
DATASET_ID = """\
Hint: Check dataset_id (the number after /knowledge/ in the address of the knowledge base) and the site that it belongs to.
提示：请检查 dataset_id（知识库网址中 /knowledge/ 后面的数字）及其所属站点。"""
REFUSED = """\
Hint: Coze accepts pdf, txt, doc and docx files in text knowledge bases, no tables and no images, and checks their content: look at the documents in `failed`. If all were refused, check that the knowledge base holds texts, not images or tables.
提示：文本知识库只接受 pdf、txt、doc 和 docx 文件，不接受表格和图片，并会检查内容：请查看 `failed` 中的文档。如果全部被拒绝，请确认这是文本知识库，而不是图片或表格知识库。"""
PAGE_UNREADABLE = """\
Hint: Coze could not read the web page: check that it is public, or add its text with add_documents.
提示：扣子无法读取该网页：请确认网页可公开访问，或用 add_documents 添加其文本。"""

# --- Documents (`_knowledge`, `knowledge.py`) ----------------------------------------------------

STUDIO = """\
Hint: Add documents on the pages of Coze Studio; its address does not offer these calls, and its server fails to process what they send. CozeRecallRetriever can search its knowledge bases. If this is coze.cn or coze.com behind a gateway, set server='cloud'.
提示：请在 Coze Studio 页面上添加文档：其地址不提供这些接口，服务端也无法处理上传的内容。可以用 CozeRecallRetriever 检索其知识库。如果这是网关后面的 coze.cn 或 coze.com，请设置 server='cloud'。"""
NO_RETRIEVER = """\
Hint: Coze has no API to search a knowledge base: pass retriever=CozeRecallRetriever(bot_id=…) with a bot or workflow that uses this knowledge base.
提示：扣子没有直接检索知识库的接口：请传入 retriever=CozeRecallRetriever(bot_id=…)，并使用绑定了该知识库的智能体或工作流。"""
NO_TEXTS = """\
Hint: Use documents() for the list, and invoke() with a retriever to search.
提示：请用 documents() 获取文档列表，或设置 retriever 后用 invoke() 检索。"""
LIST = """\
Hint: Pass a list, also for one item.
提示：请传入列表，只有一项时也是如此。"""
DOCUMENT = """\
Hint: Pass LangChain documents with text.
提示：请传入包含文本的 LangChain 文档。"""
TOO_LARGE = """\
Hint: One request holds up to 15 MB, and base64 adds a third: split the document.
提示：一次请求的上限为 15 MB，且 base64 编码会使体积增加三分之一：请拆分文档。"""
IDS = """\
Hint: Pass one id of 1 to {limit} printable characters for each document, each only once.
提示：请为每个文档提供一个唯一的 ID，由 1 到 {limit} 个可打印字符组成。"""
ID_LIST = """\
Hint: Pass a list of ids: documents() shows them.
提示：请传入文档 ID 的列表，可用 documents() 查看。"""
FILE = """\
Hint: Pass paths of existing files, or pairs (name, bytes), none of them empty.
提示：请传入已有文件的路径，或 (名称, 字节) 元组，且内容不能为空。"""
FILE_TYPE = """\
Hint: Coze accepts pdf, txt, doc and docx here. Read other files with a document loader of LangChain, and pass their text to add_documents.
提示：此接口只接受 pdf、txt、doc 和 docx。其他文件请用 LangChain 的文档加载器读取，再通过 add_documents 添加其文本。"""
PAGE_ADDRESS = """\
Hint: Pass public addresses that start with https:// or http://.
提示：请传入以 https:// 或 http:// 开头的公开网址。"""
UPDATE_INTERVAL = """\
Hint: Coze reads a web page again every 24 hours or less often: pass at least 24.
提示：网页自动更新的间隔至少为 24 小时。"""
NAME = """\
Hint: Coze accepts names of 1 to 100 characters.
提示：知识库名称应为 1 到 100 个字符。"""
STRATEGY = """\
chunk_strategy is {{"chunk_type": 0}} for automatic slices, or {{"chunk_type": 1, "separator": …, "max_tokens": …}} with 100 to 2000 tokens, not {value!r}.
chunk_strategy 应为 {{"chunk_type": 0}}（自动分段），或 {{"chunk_type": 1, "separator": …, "max_tokens": …}}，其中 max_tokens 为 100 到 2000。"""
INCOMPLETE = """\
Hint: `succeeded` has the documents that are in, `failed` the others with their reasons. Call again with the same ids: what is in is not sent again.
提示：`succeeded` 为已入库的文档，`failed` 为其余文档及原因。请用相同的 ID 再次调用：已入库的文档不会重复发送。"""
LEFTOVER = """\
Hint: The new versions are in, but the old ones could not be deleted and are still found. Call again with the same ids to delete them.
提示：新版本已入库，但旧版本未能删除，仍会被检索到。请用相同的 ID 再次调用以删除旧版本。"""
PROGRESS = """\
Hint: Pass a function that is not async: progress(done, total).
提示：请传入普通函数（非 async）：progress(done, total)。"""
STILL_PROCESSING = """\
Hint: Coze is still processing: call wait_processed(), or raise poll_timeout. Until then, the versions that they replace stay in.
提示：扣子仍在处理：请调用 wait_processed()，或调大 poll_timeout。在此之前，被替换的旧版本会保留。"""
