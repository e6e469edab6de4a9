// The browser's half of chinese_search.py: Sphinx puts it into language_data.js, after searchtools.js.
const HAN = /[\u4e00-\u9fff]/;
const ASKING = /为什么|怎么样?|怎样|如何|什么|哪些|哪个|是否|能否|可以/g;
const PARTICLES = "的了吗呢啊和与或在到对从把被给用我您你它有要会能不没也都就上中里";
const findPairs = (text) => [...text].slice(1).map((next, at) => text[at] + next);
const isIndexed = (term) =>
  [Search._index.terms, Search._index.titleterms].some((index) => Object.hasOwn(index, term));

// The pairs that a page needs: those inside words, none that joins two words. The browser cuts
// "检查点" into "检查" and "点", "超时" into "超" and "时": a single character is in a pair with its
// neighbour, by preference a single one too, then the one before it, and one that the index has.
const segmenter = window.Intl?.Segmenter && new Intl.Segmenter("zh", { granularity: "word" });
const findNeeded = (run) => {
  if (!segmenter) return findPairs(run);
  const words = [...segmenter.segment(run)].map(({ segment }) => (PARTICLES.includes(segment) ? "" : segment));
  return words.flatMap((word, at) => {
    if (word.length !== 1) return findPairs(word);
    const [before, after] = [words[at - 1] || "", words[at + 1] || ""];
    const left = before && before.at(-1) + word;
    const right = after && word + after[0];
    const choices = (after.length === 1 ? [right, left] : [left, right]).filter((pair) => pair);
    return choices.find(isIndexed) || choices[0] || [];
  });
};

let phrase = []; // all pairs of the last query, also those that join two words
var splitQuery = (query) => {
  const runs = query.match(/[\u4e00-\u9fff]+|((?![\u4e00-\u9fff])[\p{Letter}\p{Number}_])+/gu) || [];
  phrase = runs.filter((run) => HAN.test(run)).flatMap(findPairs);
  const terms = runs.flatMap((run) => {
    if (/^[0-9]+$/.test(run)) return ["n" + run];
    return HAN.test(run) ? run.split(ASKING).flatMap(findNeeded) : [run];
  });
  return terms.length ? terms : [...query].filter((character) => HAN.test(character));
};

// Sphinx accepts a page without the short terms of a query, and pairs are short: here a page needs
// every pair, and every term that the index has. A page with the phrase as it was typed is higher.
const searchTerms = Search.performTermsSearch;
Search.performTermsSearch = (terms, excluded) => {
  const results = searchTerms(terms, excluded);
  if (!phrase.length) return results;
  const { terms: texts, titleterms: titles, docnames } = Search._index;
  const has = (index, term, page) => Object.hasOwn(index, term) && [index[term]].flat().includes(page);
  const isIn = (page) => (term) => has(texts, term, page) || has(titles, term, page);
  const needed = [...terms].filter((term) => HAN.test(term) || Object.hasOwn(texts, term));
  return results.flatMap((result) => {
    const isInPage = isIn(docnames.indexOf(result[0]));
    if (!needed.every(isInPage)) return [];
    if (phrase.every(isInPage)) result[4] += Scorer.term;
    return [result];
  });
};
