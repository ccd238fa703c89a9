/**
 * Texts to index terms as Lucene's EnglishAnalyzer makes them: standard tokenizer, possessive filter, lower case, stop words,
 * Porter stemmer.
 */
import { porterStem } from './porter-stemmer.js';

/** Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET. */
const stopWords: ReadonlySet<string> = new Set(
  (
    'a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was ' +
    'will with'
  ).split(' '),
);

const maxTokenLength = 255;

// Word boundaries of Unicode (UAX #29), as far as they matter between spaces: letters and digits hold together, also across an
// apostrophe, a full stop or a colon between letters and across a comma or a full stop between digits; ideographs and
// Hiragana stand alone.
const single = '[\\p{Script=Han}\\p{Script=Hiragana}]';
const extend = '[\\p{M}\\p{Cf}]*';
const letter = `(?:(?!${single})[\\p{L}\\p{Nl}]${extend})`;
const digit = `(?:\\p{Nd}${extend})`;
const joiner = `(?:[_\\u203f\\u2040\\u2054\\ufe33\\ufe34\\ufe4d-\\ufe4f\\uff3f]${extend})`;
const betweenLetters =
  "[.:'\\u00b7\\u0387\\u05f4\\u2018\\u2019\\u2024\\u2027\\ufe13\\ufe52\\ufe55\\uff07\\uff0e\\uff1a]";
const betweenDigits =
  "[.,;'\\u037e\\u0589\\u060c\\u060d\\u066c\\u07f8\\u2018\\u2019\\u2024\\u2044\\ufe10\\ufe14\\ufe50\\ufe52\\ufe54\\uff07\\uff0c\\uff0e\\uff1b]";
const tokenPattern = new RegExp(
  `${single}${extend}|(?:${letter}(?:${betweenLetters}(?=${letter}))?|${digit}(?:${betweenDigits}(?=${digit}))?|${joiner})+`,
  'gu',
);
const onlyJoiners = new RegExp(`^${joiner}+$`, 'u');

/** Tokens of a text, in order, as Lucene's StandardTokenizer splits it; longer than 255 characters are cut. */
export function standardTokens(text: string): string[] {
  return (text.match(tokenPattern) ?? []).flatMap((token) => {
    if (onlyJoiners.test(token)) return [];
    if (token.length <= maxTokenLength) return [token];
    const parts: string[] = [];
    for (let at = 0; at < token.length; at += maxTokenLength) parts.push(token.slice(at, at + maxTokenLength));
    return parts;
  });
}

/** Index terms of an English text, in order, with repetitions. */
export function englishTerms(text: string): string[] {
  const terms: string[] = [];
  for (const token of standardTokens(text)) {
    const lower = token.replace(/['\u2019\uff07][sS]$/u, '').toLowerCase();
    if (lower !== '' && !stopWords.has(lower)) terms.push(porterStem(lower));
  }
  return terms;
}
