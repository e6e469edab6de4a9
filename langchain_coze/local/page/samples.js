// The samples of the server in Chinese. Names that a program calls, such as count_words, stay.

export const SAMPLES_ZH = new Map(Object.entries({
  "Local Coze bot": "本地示例智能体",
  "Answers from a few built-in documents, in English and Chinese": "根据内置的几篇中英文文档回答问题",
  "Local Coze help": "内置帮助文档",
  "answer_about_coze": "本地示例智能体",
  "Count the words and the characters of a text.": "统计文本的词数和字符数",
  "Any text.": "任意文本",
  "Whether to return only the longest word.": "是否只返回最长的词",
  "Book a hotel room: request the guest and the number of nights, then a confirmation.": "预订酒店房间：先询问住客和天数，再请您确认",
  "The city of the hotel.": "酒店所在城市",
  "Searches a few built-in documents on Coze and LangChain": "检索内置的几篇扣子和 LangChain 文档",
}));
