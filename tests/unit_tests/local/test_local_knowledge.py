import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_coze.local import LocalBot, LocalKnowledge
from langchain_coze.local.knowledge import split_passages
from langchain_coze.local.runtime.text import (
    count_tokens,
    extract_index_terms,
    extract_query_terms,
    is_chinese,
    split_deltas,
    split_sentences,
)
from langchain_coze.local.samples.knowledge import create_sample_knowledge

SAMPLES = create_sample_knowledge()
TEAS = LocalKnowledge(["green tea", "green tea from the green hills"], name="teas")
PAINTS = LocalKnowledge(["green paint", "green tea cups, green paint"], name="paints", k=2)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How do I publish a bot to the API?", "Publishing a bot to the API"),
        ("What happens at a question node of a workflow?", "Workflows in Coze"),
        (
            "Which error do I get when two chats run in one conversation?",
            "Conversations and memory",
        ),
        ("What is LangGraph for?", "What LangChain is"),
        ("What is LangChain?", "What LangChain is"),
        ("LangChain 是什么？", "LangChain 简介"),
        ("怎么把智能体发布到 API 渠道？", "把智能体发布到 API"),
        ("知识库的片段是怎么召回的？", "扣子知识库"),
        ("继续一个会话要传什么参数？", "会话与记忆"),
        ("LangChain 的检索器有统一的接口吗？", "LangChain 简介"),
    ],
)
def test_both_languages_find_the_right_document(question: str, title: str) -> None:
    found = SAMPLES.search(question)
    assert found[0].document_name == title
    assert all(0 < chunk.score <= 1 for chunk in found)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


@pytest.mark.parametrize(
    "question", ["今天天气怎么样？", "Who won the cup in 1998?", "what is it", "的了吗", "", "？！"]
)
def test_questions_about_other_subjects_find_nothing(question: str) -> None:
    assert SAMPLES.search(question) == []


def test_metadata_names_and_links_a_document() -> None:
    documents: list[Document | str] = [
        Document("Green tea.", metadata={"title": "Tea", "source": "https://example.com/?a=1&b=2"}),
        Document("Black coffee.", metadata={"source": "coffee.txt", "document_id": "7300"}),
        "Plain water.",
    ]
    knowledge = LocalKnowledge(documents, name="drinks", dataset_id="7100")
    tea, coffee, water = (knowledge.search(q)[0] for q in ("tea", "coffee", "water"))
    assert (tea.document_name, tea.url) == ("Tea", "https://example.com/?a=1&b=2")
    assert (coffee.document_name, coffee.url, coffee.document_id) == ("coffee.txt", "", "7300")
    assert (water.document_name, water.dataset_id) == ("drinks_3", "7100")
    assert len({tea.document_id, coffee.document_id, water.document_id}) == 3
    assert [(c.format_type, c.source_type) for c in (tea, coffee)] == [(0, 1), (0, 0)]
    kinds = [{"source_type": 2, "format_type": 1}, {"source_type": "pdf"}]
    told = LocalKnowledge([Document("tea", metadata=kind) for kind in kinds], min_score=0)
    assert {(c.format_type, c.source_type) for c in told.search("tea")} == {(1, 2), (0, 0)}


def test_k_and_min_score_limit_what_is_found() -> None:
    texts = [f"apple number {n}" for n in range(5)]
    assert len(LocalKnowledge(texts, k=2).search("apple")) == 2
    assert len(LocalKnowledge(texts, k=2).search("apple", k=4)) == 4
    weak = "apple banana cherry durian elderberry"
    assert LocalKnowledge(texts, min_score=0.5).search(weak) == []
    assert LocalKnowledge(texts, min_score=0).search(weak) != []


async def recalled(bot: LocalBot, question: str) -> list[list[tuple[str, str]]]:
    recalls = [recall async for recall in bot.search(question)]
    return [[(chunk.dataset_name, chunk.slice) for chunk in recall.chunks] for recall in recalls]


async def test_several_bases_are_searched_and_merged_best_first() -> None:
    bot = LocalBot(knowledge=[PAINTS, TEAS])
    ((*found,),) = await recalled(bot, "green tea")
    alone = [*TEAS.search("green tea"), *PAINTS.search("green tea")]
    best = sorted(alone, key=lambda chunk: -chunk.score)[:3]
    assert [text for _, text in found] == [chunk.slice for chunk in best]
    assert {name for name, _ in found} == {"teas", "paints"}
    ids = {TEAS.dataset_id: "teas", PAINTS.dataset_id: "paints"}
    (recall,) = [recall async for recall in bot.search("green tea")]
    assert all(ids[chunk.dataset_id] == chunk.dataset_name for chunk in recall.chunks)


async def test_each_bot_has_a_separate_limit() -> None:
    one, nine = (LocalBot(knowledge=[TEAS, PAINTS], k=k) for k in (1, 9))
    assert [len(r) for r in await recalled(one, "green tea")] == [1]
    assert [len(r) for r in await recalled(nine, "green tea")] == [4]
    each = LocalBot(knowledge=[TEAS, PAINTS], k=1, recalls="each")
    assert [len(r) for r in await recalled(each, "green tea")] == [1, 1]


async def test_each_knowledge_base_may_have_its_own_recall() -> None:
    bot = LocalBot(knowledge=[TEAS, PAINTS, LocalKnowledge(["coffee"])], recalls="each")
    recalls = [recall async for recall in bot.search("green")]
    assert [{c.dataset_name for c in r.chunks} for r in recalls] == [{"teas"}, {"paints"}, set()]
    assert len({recall.agent_id for recall in recalls}) == 3


async def test_a_slow_search_does_not_block_the_loop() -> None:
    bases = [LocalKnowledge(["tea"], name=str(n), delay=0.2) for n in range(3)]
    start = time.monotonic()
    await recalled(LocalBot(knowledge=bases), "tea")
    assert 0.2 <= time.monotonic() - start < 0.5  # together, not one after the other
    start = time.monotonic()
    assert bases[0].search("tea")
    assert time.monotonic() - start < 0.2


def test_knowledge_may_be_given_in_several_forms() -> None:
    bot = LocalBot(name="a", knowledge=[TEAS, PAINTS])
    assert bot.knowledge == (TEAS, PAINTS)
    infos = bot.as_json()["knowledge"]["knowledge_infos"]
    assert [info["name"] for info in infos] == ["teas", "paints"]
    assert LocalBot(name="a", knowledge=TEAS).knowledge is TEAS
    assert len(LocalBot(name="a", knowledge="one text").knowledge) == 1
    assert LocalBot(name="a").knowledge is None
    with pytest.raises(TypeError, match="not both"):
        LocalBot(name="a", knowledge=[TEAS, "text"])
    with pytest.raises(ValueError, match="two knowledge bases"):
        LocalBot(name="a", knowledge=[TEAS, LocalKnowledge([], name="teas")])
    with pytest.raises(ValueError, match="recalls"):
        LocalBot(name="a", recalls="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k must"):
        LocalBot(name="a", k=0)


def test_queries_may_have_one_character_and_mixed_width() -> None:
    knowledge = LocalKnowledge(["茶叶长在山上", "ＡＰＩ 渠道"])
    assert knowledge.search("茶")[0].slice == "茶叶长在山上"
    assert knowledge.search("api")[0].slice == "ＡＰＩ 渠道"


def test_searching_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert LocalKnowledge(["some tea"]).search("tea")
    assert caplog.records == []


def test_empty_knowledge_finds_nothing_and_wrong_documents_are_refused() -> None:
    assert LocalKnowledge([]).search("anything") == []
    with pytest.raises(TypeError, match="not int"):
        LocalKnowledge([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least 1"):
        LocalKnowledge([], k=0)
    with pytest.raises(ValueError, match="delay"):
        LocalKnowledge([], delay=-1)


def test_long_text_is_cut_at_sentences() -> None:
    text = "First sentence here. Second one follows.\n\n第一句话。第二句话！" + "长" * 50
    passages = split_passages(text, 30)
    assert all(len(passage) <= 30 for passage in passages)
    assert passages[0] == "First sentence here."
    assert "第一句话。第二句话！" in passages


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(split_deltas(text)) == text
    assert count_tokens(text) >= (1 if text else 0)


@settings(max_examples=50)
@given(st.text(alphabet="ab 中。.!\n", max_size=120), st.integers(1, 20))
def test_splitting_loses_nothing_but_space(text: str, size: int) -> None:
    passages = split_passages(text, size)
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(0 < len(passage) <= size for passage in passages)


def test_text_is_split_without_a_dictionary() -> None:
    assert is_chinese("LangChain 是什么？")
    assert not is_chinese("What does 扣子 mean here?")
    assert extract_index_terms("Bots 知识库") == ["bots", "知", "识", "库", "知识", "识库"]
    assert extract_query_terms("扣子的知识库是什么？") == ["扣子", "知识", "识库"]
    assert extract_query_terms("What is a workflow?") == ["workflow"]
    assert split_sentences("One. Two! 第三句。第四句") == ["One.", "Two!", "第三句。", "第四句"]
    assert split_deltas("Hello 你好吗") == ["Hello", " ", "你好", "吗"]
    assert (count_tokens("你好"), count_tokens("hello world")) == (2, 3)
