// What Sphinx has no Chinese for.
Documentation.addTranslations({
  locale: "zh_CN",
  plural_expr: "0",
  messages: {
    "Search finished, found one page matching the search query.": [
      "共找到 ${resultCount} 个页面。",
    ],
    "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.":
      "没有找到相关页面，请换一个关键词。",
  },
});
