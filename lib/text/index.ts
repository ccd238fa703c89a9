export { Bm25Index, type Bm25Options } from './bm25.js';
export { englishTerms, standardTokens } from './english-analysis.js';
export { decodeHtmlEntities } from './html-entities.js';
export { porterStem } from './porter-stemmer.js';
export { type RenderChatOptions, Tokenizer } from './tokenizer.js';
export { buildWordTokenizer, type WordTokenizerOptions, wordEndToken } from './word-tokenizer.js';
