import assert from 'node:assert/strict';
import test from 'node:test';
import { EngineError } from '../../base/errors.ts';
import { lintDockerfile } from '../lint/lint.ts';
import { parseRunMount } from '../run-mount.ts';
import { expandWord } from './expand.ts';
import { readStages } from './instructions.ts';
import { parseDockerfile } from './parse.ts';

/** Inputs of one run. */
const RUNS = 4000;
/** Far more than any input of this size needs. */
const MAX_MS = 10_000;

const PIECES = [
  'FROM ',
  'FROM a AS b',
  'RUN ',
  'COPY ',
  'ADD ',
  'ENV ',
  'ARG ',
  'LABEL ',
  'CMD ',
  'ONBUILD ',
  'HEALTHCHECK ',
  'SHELL ',
  'EXPOSE ',
  'VOLUME ',
  'USER ',
  'WORKDIR ',
  '\n',
  '\r\n',
  '\\\n',
  '`\n',
  '# ',
  '# escape=`\n',
  '# check=skip=all\n',
  '<<EOF',
  '<<-EOF',
  "<<'E'",
  'EOF',
  '--from=',
  '--mount=',
  'type=cache,',
  'target=/x',
  '--chown=',
  '--chmod=',
  '--',
  '[',
  ']',
  '"',
  "'",
  ',',
  '$',
  '${',
  '}',
  '${A',
  ':-',
  ':+',
  ':?',
  '##',
  '%%',
  '//',
  '/',
  '*',
  '?',
  '=',
  'A',
  'a b',
  '\\',
  '\0',
  '\u0000',
  '\uFEFF',
  'ü',
  '\u2028',
  '__proto__',
  'constructor',
  '0',
  ' ',
  '\t',
  ' # x',
];

test('no Dockerfile, however odd, does more than be refused', () => {
  const random = generator(20261123);
  for (let run = 0; run < RUNS; run++) {
    const text = Array.from({ length: 1 + random(40) }, () => PIECES[random(PIECES.length)]!).join('');
    const started = performance.now();
    for (const read of [readFile, readWord, readMount]) {
      try {
        read(text);
      } catch (error) {
        assert.ok(error instanceof EngineError, `${JSON.stringify(text)}: ${String((error as Error).stack)}`);
      }
    }
    assert.ok(performance.now() - started < MAX_MS, JSON.stringify(text));
  }
});

test('repetition does not make reading slow', () => {
  for (const piece of PIECES) {
    const text = `FROM a\nENV A=${piece.repeat(5_000)}\nRUN ${piece.repeat(5_000)}`;
    const started = performance.now();
    try {
      readFile(text);
      readWord(text);
    } catch (error) {
      assert.ok(error instanceof EngineError, `${JSON.stringify(piece)}: ${String((error as Error).stack)}`);
    }
    assert.ok(performance.now() - started < MAX_MS, `${JSON.stringify(piece)} took ${performance.now() - started} ms`);
  }
});

function readFile(text: string): void {
  const parsed = parseDockerfile(text);
  readStages(parsed);
  lintDockerfile(parsed, { ignore: [], platformArgs: new Map(), environmentOf: () => [] });
}

function readWord(text: string): void {
  expandWord(text, (name) => (name === 'A' ? 'aXbXc'.repeat(10) : undefined));
}

function readMount(text: string): void {
  parseRunMount(text, '/w');
}

/** The same numbers each time (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

test('patterns of many stars are not slow', () => {
  const stars = '*a'.repeat(50);
  for (const operator of ['#', '##', '%', '%%', '/', '//']) {
    const started = performance.now();
    expandWord(`\${A${operator}${stars}b}`, () => 'a'.repeat(300));
    assert.ok(performance.now() - started < MAX_MS, operator);
  }
});
