export { type RenderChatOptions, Tokenizer } from './tokenizer.js';
export { buildWordTokenizer, type WordTokenizerOptions, wordEndToken } from './word-tokenizer.js';
