import { PathPatterns } from '../../src/base/path-patterns.ts';
import { EngineError } from '../../src/base/errors.ts';
import { lintDockerfile } from '../../src/build/lint/lint.ts';
import { parseRunMount } from '../../src/build/run-mount.ts';
import { expandWord } from '../../src/build/dockerfile/expand.ts';
import { readStages } from '../../src/build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../src/build/dockerfile/parse.ts';
import { planBuild } from '../../src/build/plan.ts';
import { readGitAddress } from '../../src/engine/builder/sources/git-address.ts';

/** What Dockerfiles are made of, and what they are not. */
export const PIECES = [
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

/** The `n`th input of a seed. */
export function oddText(seed: number, n: number): string {
  const random = generator((seed + Math.imul(n, 0x9e3779b1)) | 0);
  return Array.from({ length: 1 + random(40) }, () => PIECES[random(PIECES.length)]!).join('');
}

/** Reads a text as everything that comes from a Dockerfile or beside it. Throws for what is more than a refusal. */
export function readAsAll(text: string): void {
  for (const read of [readFile, readWord, readMount, readPatterns, readGitAddress]) {
    try {
      read(text);
    } catch (error) {
      if (!(error instanceof EngineError)) throw new Error(`${read.name} of ${JSON.stringify(text)}`, { cause: error });
    }
  }
}

export function readFile(text: string): void {
  const parsed = parseDockerfile(text);
  const stages = readStages(parsed);
  lintDockerfile(parsed, { ignore: [], platformArgs: new Map(), environmentOf: () => [] });
  planBuild(stages, { buildArgs: new Map(), platformArgs: new Map() });
}

export function readWord(text: string): void {
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

function readPatterns(text: string): void {
  const patterns = PathPatterns.parse(text);
  for (const path of ['a', 'a/b/c', 'x.log', '\u00fc']) patterns.matches(path);
}
