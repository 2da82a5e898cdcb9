import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../../base/errors.ts';
import { assembleDockerfile } from './include.ts';
import { readStages } from './instructions.ts';
import { parseDockerfile } from './parse.ts';
import { type DockerfileSource, placeOf } from './source.ts';

const OURS = '# syntax=gantry/dockerfile:1\n';

/** `context:path` for files of other contexts. */
function assemble(
  files: Readonly<Record<string, string>>,
  { chosen, inContext = true }: { readonly chosen?: string; readonly inContext?: boolean } = {},
): Promise<DockerfileSource> {
  return assembleDockerfile(
    { name: 'Dockerfile', text: files['Dockerfile']! },
    {
      chosen,
      inContext,
      read: async (path, from) => {
        const text = files[from === undefined ? path : `${from}:${path}`];
        if (text === undefined) throw new EngineError('invalid-argument', 'the context has no such file');
        return text;
      },
    },
  );
}

/** Each instruction, with where it is from. */
function instructions(source: DockerfileSource): string[] {
  return parseDockerfile(source.text).nodes.map(
    ({ original, range }) => `${source.at(range.start).file.name}:${source.rangeOf(range).start} ${original}`,
  );
}

test('INCLUDE puts files into its place, each line knows where it is from', async () => {
  const source = await assemble({
    Dockerfile: `${OURS}INCLUDE head\nRUN <<EOF\nINCLUDE text\nEOF\nRUN a \\\n  INCLUDE b\ninclude --from=lib tail/end\n`,
    head: '# escape=\\\nFROM a\r\nRUN one \\\r\n two\r\n',
    'lib:tail/end': 'INCLUDE tail/more\n# the last\nCMD c',
    'lib:tail/more': 'USER u',
  });
  assert.deepEqual(instructions(source), [
    'head:2 FROM a',
    'head:3 RUN one  two',
    'Dockerfile:3 RUN <<EOF',
    'Dockerfile:6 RUN a   INCLUDE b',
    'lib:tail/more:1 USER u',
    'lib:tail/end:3 CMD c',
  ]);
  assert.deepEqual(
    source.files.map(({ name }) => name),
    ['Dockerfile', 'head', 'lib:tail/end', 'lib:tail/more'],
  );
  assert.equal(source.excerpt({ start: 6, end: 7 }).split('\n')[0], 'head:3');
  assert.equal(source.named('dockerfile line 6: no'), 'dockerfile line 3 of head: no');
  assert.equal(source.named('dockerfile parse error on line 1: no'), 'dockerfile parse error on line 1: no');
});

test('without the directive INCLUDE is an error that says what is missing; a build may choose the language', async () => {
  const files = { Dockerfile: 'FROM a\nINCLUDE b\n', b: 'USER u' };
  const source = await assemble(files);
  assert.throws(
    () => parseDockerfile(source.text),
    /^EngineError: dockerfile parse error on line 2: unknown instruction: INCLUDE \(.*# syntax=gantry\/dockerfile:1 as its first line/,
  );
  const chosen = await assemble(files, { chosen: 'gantry/dockerfile:1' });
  assert.deepEqual(instructions(chosen), ['Dockerfile:1 FROM a', 'b:1 USER u']);
  const other = {
    Dockerfile: `#!/bin/x\n# escape=\`\n# syntax=docker/dockerfile:1\nFROM a\nINCLUDE b\n`,
    b: 'RUN x `\n y',
  };
  assert.deepEqual(instructions(await assemble(other, { chosen: 'gantry/dockerfile:1 x' })), [
    'Dockerfile:4 FROM a',
    'b:1 RUN x  y',
  ]);
  const docker = await assemble({ ...files, Dockerfile: OURS + files.Dockerfile }, { chosen: 'docker/dockerfile:1' });
  assert.throws(() => parseDockerfile(docker.text), /line 3: unknown instruction: INCLUDE/);
  const plain = await assemble({ Dockerfile: 'FROM a\r\n' });
  assert.equal(plain.text, 'FROM a\r\n', 'a file of another language is as it was');
});

test('what INCLUDE refuses, with the file and the line', async () => {
  const cases: readonly [files: Record<string, string>, message: RegExp, place: string][] = [
    [{ Dockerfile: 'INCLUDE /a' }, /^dockerfile line 2: INCLUDE \/a leaves the context/, 'Dockerfile:2'],
    [
      { Dockerfile: 'INCLUDE x/../../a' },
      /^dockerfile line 2: INCLUDE x\/\.\.\/\.\.\/a leaves the context/,
      'Dockerfile:2',
    ],
    [{ Dockerfile: 'INCLUDE' }, /^dockerfile line 2: INCLUDE takes one path/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE a b' }, /^dockerfile line 2: INCLUDE takes one path/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE \\\n a' }, /^dockerfile line 2: INCLUDE is one line/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE $A' }, /^dockerfile line 2: variables are not expanded in INCLUDE/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE --as=x a' }, /^dockerfile line 2: unknown flag: --as/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE a' }, /^dockerfile line 2: INCLUDE a: the context has no such file/, 'Dockerfile:2'],
    [{ Dockerfile: 'INCLUDE a', a: '\nINCLUDE b' }, /^dockerfile line 2 of a: INCLUDE b: the context has no/, 'a:2'],
    [
      { Dockerfile: 'INCLUDE a', a: 'INCLUDE b', b: 'USER u\nINCLUDE ./a' },
      /^dockerfile line 2 of b: INCLUDE goes round in a circle: a → b → a$/,
      'b:2',
    ],
    [
      { Dockerfile: 'INCLUDE a', a: 'INCLUDE Dockerfile' },
      /^dockerfile line 1 of a: INCLUDE goes round in a circle: Dockerfile → a → Dockerfile$/,
      'a:1',
    ],
    [{ Dockerfile: 'INCLUDE a', a: 'USER u\nNOTHING' }, /^dockerfile parse error on line 2 of a: unknown instr/, 'a:2'],
    [
      { Dockerfile: 'INCLUDE a', a: 'RUN <<X\n' },
      /^dockerfile parse error on line 1 of a: unterminated heredoc X/,
      'a:1',
    ],
    [
      { Dockerfile: 'INCLUDE a\nCMD x', a: 'RUN a \\\n# no\n' },
      /^dockerfile line 1 of a: the file ends in the mid/,
      'a:1',
    ],
    [{ Dockerfile: 'INCLUDE a', a: '# escape=`\nUSER u' }, /^dockerfile parse error on line 1 of a: .*escape/, 'a:1'],
    [{ Dockerfile: 'FROM a\nNOTHING' }, /^dockerfile parse error on line 3: unknown instruction/, 'Dockerfile:3'],
  ];
  for (const [files, message, place] of cases) {
    await assert.rejects(assemble({ ...files, Dockerfile: OURS + files['Dockerfile'] }), (error: Error) => {
      assert.match(error.message, message);
      const { file, line } = placeOf(error)!;
      assert.equal(`${file.name}:${line}`, place);
      return true;
    });
  }
});

test('files that include each other without end, or too much, are refused', async () => {
  const deep = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, `INCLUDE f${index + 1}`]));
  await assert.rejects(assemble({ ...deep, Dockerfile: `${OURS}INCLUDE f0` }), /INCLUDE is more than 20 files deep/);
  const wide = Object.fromEntries(
    Array.from({ length: 15 }, (_, index) => [`f${index}`, `INCLUDE f${index + 1}\nINCLUDE f${index + 1}`]),
  );
  await assert.rejects(assemble({ ...wide, f15: 'USER u', Dockerfile: `${OURS}INCLUDE f0` }), /more than 500 files/);
  const large = { Dockerfile: `${OURS}${'INCLUDE a\n'.repeat(20)}`, a: '#'.repeat(1 << 20) };
  await assert.rejects(assemble(large), /what is included has more than 16777216 characters/);
});

test('INCLUDE is no trigger', () => {
  assert.throws(
    () => readStages(parseDockerfile(`${OURS}FROM a\nONBUILD INCLUDE b`)),
    /INCLUDE isn't allowed as an ONBUILD trigger/,
  );
});
