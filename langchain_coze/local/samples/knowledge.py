"""The built-in knowledge base: a few documents about Coze and LangChain, in English and Chinese."""

from __future__ import annotations

from langchain_core.documents import Document

from langchain_coze.local.knowledge import LocalKnowledge

# Each document has a title, a source and a text.
_DOCUMENTS = (
    (
        "Knowledge bases in Coze",
        "https://www.coze.com/open/docs/guides/knowledge?from=local&lang=en",
        (
            "A Coze knowledge base keeps documents, tables or images for a bot to look things up. "
            "Each document is cut into slices; a question recalls the slices that fit it best. "
            "The recalled slices reach the model before it answers, and API clients see them in a "
            "verbose message called knowledge_recall. Coze has no endpoint that searches one "
            "directly, so a retriever asks a bot or runs a workflow."
        ),
    ),
    (
        "Publishing a bot to the API",
        "https://www.coze.com/open/docs/guides/publish_api",
        (
            "A bot answers API calls only after it has been published to the API channel. "
            "Calling a bot that is not published gives error 4015. "
            "To publish, open the bot, press Publish, and tick the API channel."
        ),
    ),
    (
        "Workflows in Coze",
        "https://www.coze.com/open/docs/guides/workflow",
        (
            "A Coze workflow joins nodes such as models, plugins, code and knowledge into one. "
            "It takes named parameters and gives an output, so LangChain can use it as a tool. "
            "A workflow may stop at a question node and wait for the user to answer."
        ),
    ),
    (
        "Conversations and memory",
        "https://www.coze.com/open/docs/developer_guides/create_conversation",
        (
            "A conversation keeps the messages of earlier chats on the server. "
            "Pass conversation_id as a query parameter to continue a conversation. "
            "Only one chat can run in a conversation at a time; a second one gets error 4016."
        ),
    ),
    (
        "What LangChain is",
        "https://docs.langchain.com/oss/python/langchain/overview",
        (
            "LangChain is a Python framework for programs that use language models. "
            "Its chat models, retrievers and tools share one interface, so parts can be exchanged. "
            "LangGraph, from the same authors, runs agents as graphs with state and checkpoints."
        ),
    ),
    (
        "扣子知识库",
        "https://www.coze.cn/open/docs/guides/knowledge?from=local&lang=zh",
        (
            "扣子的知识库用来存放文档、表格和图片，供智能体检索。"
            "每篇文档会被切成若干片段，提问时召回最相关的片段。"
            "召回的片段会先交给大模型，再由它生成回答；通过 API 调用时，这些片段出现在 "
            "knowledge_recall 消息里。"
            "扣子没有直接检索知识库的接口，需要通过智能体或工作流来检索。"
        ),
    ),
    (
        "把智能体发布到 API",
        "https://www.coze.cn/open/docs/guides/publish_api",
        (
            "智能体必须先发布到 API 渠道，才能通过接口调用。"
            "调用未发布的智能体会得到错误码 4015。"
            "发布时，在智能体页面点击“发布”，勾选 API 渠道即可。"
        ),
    ),
    (
        "扣子工作流",
        "https://www.coze.cn/open/docs/guides/workflow",
        (
            "扣子的工作流把大模型、插件、代码和知识库等节点连接成一个流程。"
            "工作流有输入参数和输出结果，因此可以在 LangChain 里当作工具使用。"
            "工作流遇到问答节点时会暂停，等用户回答后继续执行。"
        ),
    ),
    (
        "会话与记忆",
        "https://www.coze.cn/open/docs/developer_guides/create_conversation",
        (
            "会话在服务端保存之前的消息，让智能体记住上下文。"
            "要继续某个会话，请把 conversation_id 放在请求的查询参数里。"
            "同一个会话同时只能进行一轮对话，否则会得到错误码 4016。"
        ),
    ),
    (
        "LangChain 简介",
        "https://docs.langchain.com/oss/python/langchain/overview",
        (
            "LangChain 是开发大模型应用的 Python 框架。"
            "聊天模型、检索器和工具在 LangChain 里使用统一的接口，可以自由替换。"
            "LangGraph 出自同一团队，用带有状态和检查点的图来运行智能体。"
        ),
    ),
)


def create_sample_knowledge() -> LocalKnowledge:
    """Return a knowledge base of the built-in documents."""
    documents = [
        Document(text, metadata={"title": title, "source": source})
        for title, source, text in _DOCUMENTS
    ]
    return LocalKnowledge(documents, name="Local Coze help")
