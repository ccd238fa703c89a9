import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bm25Index } from '../../lib/text/bm25.js';
import { englishTerms, standardTokens } from '../../lib/text/english-analysis.js';
import { decodeHtmlEntities } from '../../lib/text/html-entities.js';
import { porterStem } from '../../lib/text/porter-stemmer.js';

describe('the Porter stemmer', () => {
  // Examples of the paper, step by step, and of the two departures.
  it.each(
    (
      'caresses caress, ponies poni, ties ti, caress caress, cats cat, feed feed, agreed agre, plastered plaster, bled bled, ' +
      'motoring motor, sing sing, conflated conflat, troubled troubl, sized size, hopping hop, tanned tan, falling fall, ' +
      'hissing hiss, fizzed fizz, failing fail, filing file, happy happi, sky sky, relational relat, conditional condit, ' +
      'rational ration, valenci valenc, digitizer digit, radically radic, differently differ, vileli vile, analogously analog, ' +
      'vietnamization vietnam, predication predic, operator oper, feudalism feudal, decisiveness decis, hopefulness hope, ' +
      'callousness callous, formaliti formal, sensitiviti sensit, sensibiliti sensibl, triplicate triplic, formative form, ' +
      'formalize formal, electriciti electr, electrical electr, hopeful hope, goodness good, revival reviv, allowance allow, ' +
      'inference infer, airliner airlin, gyroscopic gyroscop, adjustable adjust, defensible defens, irritant irrit, ' +
      'replacement replac, adjustment adjust, dependent depend, adoption adopt, homologou homolog, communism commun, ' +
      'activate activ, angulariti angular, homologous homolog, effective effect, bowdlerize bowdler, probate probat, rate rate, ' +
      'cease ceas, controll control, roll roll, possibly possibl, psychology psycholog, is is, a a, yy yy, ' +
      'employment employ, employer employ, destroyed destroi, yielding yield, playfulness play, syzygy syzygi'
    )
      .split(', ')
      .map((pair) => pair.split(' ') as [string, string]),
  )('stems %s to %s', (word, stem) => expect(porterStem(word)).toBe(stem));
});

describe('English analysis', () => {
  it('splits as the standard tokenizer does', () => {
    const text = "The U.S. can't 3,000.5 foo_bar a:b x-ray O’Neil _ __ 東京 ひら カタカナ p<0.05 CD4+ naïve 1,a";
    expect(standardTokens(text)).toEqual(
      "The U.S can't 3,000.5 foo_bar a:b x ray O’Neil 東 京 ひ ら カタカナ p 0.05 CD4 naïve 1 a".split(' '),
    );
    expect(standardTokens('x'.repeat(600)).map(({ length }) => length)).toEqual([255, 255, 90]);
    expect(standardTokens(' \n')).toEqual([]);
  });

  it('drops possessives and stop words, and stems', () => {
    expect(englishTerms("The dog's running with Bell’S dogs")).toEqual(['dog', 'run', 'bell', 'dog']);
    expect(englishTerms('It is not this')).toEqual([]);
  });
});

describe('HTML entities', () => {
  it('decodes names, decimal and hexadecimal numbers, and leaves the rest alone', () => {
    expect(decodeHtmlEntities('Andy &amp; His &quot;Caf&eacute;&quot; &#39;n&#x27; &ouml;&yuml;&nbsp;!')).toBe(
      'Andy & His "Café" \'n\' öÿ\u00a0!',
    );
    expect(decodeHtmlEntities('R&B; A & B &unknown; &#0; &#xd800; &#9999999;')).toBe(
      'R&B; A & B &unknown; &#0; &#xd800; &#9999999;',
    );
  });
});

/** BM25 straight from the formula, one term and document at a time. */
function plainScore(
  query: readonly string[],
  document: readonly string[],
  all: readonly (readonly string[])[],
): number {
  const [k1, b] = [0.9, 0.4];
  const mean = all.reduce((sum, { length }) => sum + length, 0) / all.length;
  let score = 0;
  for (const term of query) {
    const containing = all.filter((terms) => terms.includes(term)).length;
    const frequency = document.filter((other) => other === term).length;
    const idf = Math.log(1 + (all.length - containing + 0.5) / (containing + 0.5));
    score += (idf * frequency) / (frequency + k1 * (1 - b + (b * document.length) / mean));
  }
  return score;
}

describe('BM25', () => {
  const documents = ['a b a c', 'b', 'c c c d e f', 'd a'].map((text) => text.split(' '));

  it('equals the formula, repeated query terms counting again', () => {
    const index = new Bm25Index(documents);
    for (const query of [['a'], ['a', 'b'], ['a', 'a', 'd'], ['z'], []]) {
      const scores = index.scores(query);
      documents.forEach((document, at) => {
        expect(scores[at]).toBeCloseTo(plainScore(query, document, documents), 12);
      });
    }
  });

  it('stores lengths in a byte as Lucene does, or exactly', () => {
    // Lucene's SmallFloat: 24 free values, then four significant bits of length - 24: 100 -> 24 + 72, 1000 -> 24 + 960.
    const of = (length: number): string[] => ['x', ...Array.from({ length: length - 1 }, (_, i) => `w${i}`)];
    const norm = (score: number, idf: number): number => idf / score - 1;
    const all = [of(40), of(100), of(1000)];
    const idf = Math.log(1 + 0.5 / 3.5);
    const mean = 1140 / 3;
    const lucene = new Bm25Index(all).scores(['x']);
    const exact = new Bm25Index(all, { luceneLengths: false }).scores(['x']);
    [40, 96, 984].forEach((length, at) => {
      expect(norm(lucene[at] as number, idf)).toBeCloseTo(0.9 * (0.6 + (0.4 * length) / mean), 10);
    });
    [40, 100, 1000].forEach((length, at) => {
      expect(norm(exact[at] as number, idf)).toBeCloseTo(0.9 * (0.6 + (0.4 * length) / mean), 10);
    });
  });

  it('bears empty documents and an empty collection, and refuses settings that make no sense', () => {
    expect([...new Bm25Index([[], ['a']]).scores(['a'])]).toEqual([0, expect.closeTo(Math.log(4 / 3) / 1.9, 12)]);
    expect([...new Bm25Index([]).scores(['a'])]).toEqual([]);
    for (const options of [{ k1: -1 }, { k1: Number.NaN }, { b: 1.5 }]) {
      expect(() => new Bm25Index([], options)).toThrow(expect.objectContaining({ code: 'ERR_BM25_OPTION' }));
    }
  });
});

const nfcorpus = join(import.meta.dirname, '../../../shared/data/passage/nfcorpus');
const linesOf = (name: string): string[] => readFileSync(join(nfcorpus, name), 'utf8').split('\n').filter(Boolean);

describe.skipIf(!existsSync(nfcorpus))('BM25 on NFCorpus (skipped without the data folder)', () => {
  it('reaches the level that Lucene has on it', () => {
    const corpus = linesOf('corpus.jsonl').map(
      (line) => JSON.parse(line) as { _id: string; title: string; text: string },
    );
    const documents = corpus.map(({ title, text }) => englishTerms(`${title} ${text}`));
    const index = new Bm25Index(documents);
    const grades = new Map<string, Map<string, number>>();
    for (const line of linesOf('qrels/dev.tsv').slice(1)) {
      const [query, document, grade] = line.split('\t') as [string, string, string];
      grades.set(query, (grades.get(query) ?? new Map()).set(document, Number(grade)));
    }
    const queries = linesOf('queries.jsonl')
      .map((line) => JSON.parse(line) as { _id: string; text: string })
      .filter(({ _id }) => grades.has(_id));
    expect(queries.length).toBe(324);
    const dcg = (gains: readonly number[]): number =>
      gains.slice(0, 10).reduce((sum, gain, rank) => sum + gain / Math.log2(rank + 2), 0);
    let total = 0;
    for (const { _id, text } of queries) {
      const scores = index.scores(englishTerms(text));
      const order = [...scores.keys()].filter((at) => (scores[at] as number) > 0);
      order.sort((a, b) => (scores[b] as number) - (scores[a] as number));
      const ofQuery = grades.get(_id) as Map<string, number>;
      const ideal = dcg([...ofQuery.values()].sort((a, b) => b - a));
      total += dcg(order.map((at) => ofQuery.get(corpus[at]?._id ?? '') ?? 0)) / ideal;
    }
    console.log(`nDCG@10 of BM25 on NFCorpus dev: ${(total / queries.length).toFixed(4)}`);
    expect(total / queries.length).toBeGreaterThan(0.28);
  }, 60_000);
});
