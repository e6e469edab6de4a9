// Put before Sphinx's searchtools.js, which uses a Scorer that is there. Sphinx gives a page the
// same score whether a section is about all words of the query or has one of them in its title.
// Here a page gets more, the more words of the query stand together in the title of a section, and
// its result leads to that section.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,

  score: (result) => {
    const [docname, , , , score, , kind] = result;
    const best = kind === "text" ? Scorer.sections().get(docname) : undefined;
    if (!best) return score;
    if (best.anchor) result[2] = "#" + best.anchor;
    return score + Math.round(2 * Scorer.title * best.share);
  },

  // The best section of each page: the share of the query's words in its title, and its anchor.
  sections: () => {
    if (Scorer.found) return Scorer.found;
    const { alltitles, docnames, titles } = Search._index;
    const stemmer = new Stemmer();
    const split = (text) =>
      splitQuery(text.trim().toLowerCase())
        .filter((word) => !stopwords.includes(word))
        .map((word) => stemmer.stemWord(word));
    const query = new Set(split(new URLSearchParams(window.location.search).get("q") || ""));
    Scorer.found = new Map();
    for (const [title, places] of Object.entries(alltitles)) {
      const words = new Set(split(title));
      const shared = [...query].filter((word) => words.has(word)).length;
      if (!shared) continue;
      // a title that says little else comes first, then the title of a page
      const share = shared / query.size - 0.1 * (1 - shared / words.size);
      for (const [file, anchor] of places) {
        const isPage = titles[file] === title;
        const found = { share: share + (isPage ? 0.05 : 0), anchor: isPage ? null : anchor };
        const known = Scorer.found.get(docnames[file]);
        if (!known || known.share < found.share) Scorer.found.set(docnames[file], found);
      }
    }
    return Scorer.found;
  },
};
