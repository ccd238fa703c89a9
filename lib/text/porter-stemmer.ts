/**
 * Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980) with the two departures of the author's
 * later programs, which Lucene's PorterStemFilter has too: `bli` for `abli` in step 2, and `logi` -> `log`.
 */

const isVowelAt = (word: string, at: number): boolean => {
  const letter = word[at];
  if (letter === 'y') return at > 0 && !isVowelAt(word, at - 1);
  return letter !== undefined && 'aeiou'.includes(letter);
};

/** m of [C](VC)^m[V]: how often a consonant follows a vowel. */
function measure(stem: string): number {
  let count = 0;
  let afterVowel = false;
  for (let at = 0; at < stem.length; at++) {
    const vowel = isVowelAt(stem, at);
    if (afterVowel && !vowel) count++;
    afterVowel = vowel;
  }
  return count;
}

function hasVowel(stem: string): boolean {
  for (let at = 0; at < stem.length; at++) if (isVowelAt(stem, at)) return true;
  return false;
}

function endsInDoubleConsonant(word: string): boolean {
  const last = word.length - 1;
  return last >= 1 && word[last] === word[last - 1] && !isVowelAt(word, last);
}

/** *o: consonant, vowel, consonant at the end, the last not w, x or y. */
function endsInShortSyllable(word: string): boolean {
  const last = word.length - 1;
  if (last < 2 || isVowelAt(word, last) || !isVowelAt(word, last - 1) || isVowelAt(word, last - 2)) return false;
  return !'wxy'.includes(word[last] as string);
}

function step1(word: string): string {
  let stem = word;
  if (stem.endsWith('sses') || stem.endsWith('ies')) stem = stem.slice(0, -2);
  else if (stem.endsWith('s') && !stem.endsWith('ss')) stem = stem.slice(0, -1);
  if (stem.endsWith('eed')) {
    if (measure(stem.slice(0, -3)) > 0) stem = stem.slice(0, -1);
  } else {
    const suffix = stem.endsWith('ed') ? 'ed' : stem.endsWith('ing') ? 'ing' : '';
    const base = stem.slice(0, stem.length - suffix.length);
    if (suffix !== '' && hasVowel(base)) stem = repairEnding(base);
  }
  if (stem.endsWith('y') && hasVowel(stem.slice(0, -1))) stem = `${stem.slice(0, -1)}i`;
  return stem;
}

/** After `ed` or `ing` went: `conflat` -> `conflate`, `hopp` -> `hop`, `fil` -> `file`. */
function repairEnding(stem: string): string {
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (endsInDoubleConsonant(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsInShortSyllable(stem) ? `${stem}e` : stem;
}

type Rules = readonly (readonly [suffix: string, replacement: string])[];

const step2Rules: Rules = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['bli', 'ble'],
  ['alli', 'al'],
  ['entli', 'ent'],
  ['eli', 'e'],
  ['ousli', 'ous'],
  ['ization', 'ize'],
  ['ation', 'ate'],
  ['ator', 'ate'],
  ['alism', 'al'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['biliti', 'ble'],
  ['logi', 'log'],
];

const step3Rules: Rules = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ful', ''],
  ['ness', ''],
];

/** In the order of the program: of several that fit, `ement` before `ment` before `ent`. */
const step4Suffixes: readonly string[] =
  'al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize'.split(' ');

/** The first rule whose suffix fits decides, whether its condition holds or not. */
function replaceSuffix(word: string, rules: Rules): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const stem = word.slice(0, word.length - rule[0].length);
  return measure(stem) > 0 ? stem + rule[1] : word;
}

function step4(word: string): string {
  const suffix = step4Suffixes.find((ending) => (ending === 'ion' ? /[st]ion$/.test(word) : word.endsWith(ending)));
  if (suffix === undefined) return word;
  const stem = word.slice(0, word.length - suffix.length);
  return measure(stem) > 1 ? stem : word;
}

function step5(word: string): string {
  let stem = word;
  if (stem.endsWith('e')) {
    const base = stem.slice(0, -1);
    const m = measure(base);
    if (m > 1 || (m === 1 && !endsInShortSyllable(base))) stem = base;
  }
  return stem.endsWith('ll') && measure(stem) > 1 ? stem.slice(0, -1) : stem;
}

/** @param word lower case; one of at most two letters stays as it is */
export function porterStem(word: string): string {
  if (word.length <= 2) return word;
  return step5(step4(replaceSuffix(replaceSuffix(step1(word), step2Rules), step3Rules)));
}
