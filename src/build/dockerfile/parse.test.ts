import assert from 'node:assert/strict';
import test from 'node:test';
import { expandWord, expandWords } from './expand.ts';
import { readStages } from './instructions.ts';
import { parseDockerfile } from './parse.ts';

const read = (text: string): ReturnType<typeof readStages> => readStages(parseDockerfile(text));

test('parseDockerfile() joins continuations, skips comments inside them and warns of empty ones', () => {
  const parsed = parseDockerfile('FROM a\nRUN one \\\n  # inside\n\n  two\n');
  assert.deepEqual(
    parsed.nodes.map((node) => [node.name, node.text, node.range]),
    [
      ['FROM', 'a', { start: 1, end: 1 }],
      ['RUN', 'one   two', { start: 2, end: 5 }],
    ],
  );
  assert.deepEqual(
    parsed.warnings.map((warning) => warning.rule),
    ['NoEmptyContinuation'],
  );
});

test('ENV --from-cmd is of our own language', () => {
  const ours = '# syntax=gantry/dockerfile:1\nFROM a\n';
  const { stages } = read(`${ours}ENV --from-cmd A=git describe "x y"=1\nENV --from-cmd B=["a", "b"]\n`);
  assert.deepEqual(
    stages[0]!.instructions.map((one) => one.kind === 'ENV-COMMAND' && { name: one.name, command: one.command }),
    [
      { name: 'A', command: { form: 'shell', line: 'git describe "x y"=1' } },
      { name: 'B', command: { form: 'exec', argv: ['a', 'b'] } },
    ],
  );
  for (const wrong of ['A', 'A=', '=x', 'a-b=x', ''])
    assert.throws(() => read(`${ours}ENV --from-cmd ${wrong}`), /line 3: ENV /, wrong);
  assert.throws(() => read(`${ours}ONBUILD ENV --from-cmd A=x`), /isn't allowed as an ONBUILD trigger/);
  assert.throws(
    () => read('FROM a\nENV --from-cmd A=x'),
    /line 2: unknown flag: --from-cmd \(.*# syntax=gantry\/dockerfile:1 as its first line/,
  );
  assert.throws(() => read('FROM a\nENV --other A=x'), /unknown flag: --other/);
});

test('parseDockerfile() reads directives only at the top', () => {
  const parsed = parseDockerfile('# escape=`\n# syntax=docker/dockerfile:1\nFROM a\n# check=skip=all\nRUN a `\nb');
  assert.equal(parsed.escape, '`');
  assert.deepEqual({ ...parsed.directives }, { escape: '`', syntax: 'docker/dockerfile:1' });
  assert.equal(parsed.nodes[1]?.text, 'a b');
});

test('parseDockerfile() takes heredocs off the lines that follow', () => {
  const parsed = parseDockerfile(
    'FROM a\nRUN <<EOF\necho $HOME\nEOF\nCOPY <<-"A" <<B /dst/\n\tquoted $x\n\tA\nplain $x\nB\nCMD x',
  );
  assert.deepEqual(parsed.nodes[1]?.heredocs, [{ name: 'EOF', expand: true, fd: 0, content: 'echo $HOME\n' }]);
  assert.deepEqual(parsed.nodes[2]?.heredocs, [
    { name: 'A', expand: false, fd: 0, content: 'quoted $x\n' },
    { name: 'B', expand: true, fd: 0, content: 'plain $x\n' },
  ]);
  assert.equal(parsed.nodes[3]?.name, 'CMD');
});

test('parseDockerfile() accepts comments at line ends where Docker would refuse the file, with a warning each', () => {
  const parsed = parseDockerfile(
    'FROM node:20 # base\nWORKDIR /app # here\nRUN npm install # shell\nCMD ["node", "server.js"] # start\n',
  );
  assert.deepEqual(
    parsed.nodes.map((node) => node.text),
    ['node:20', '/app', 'npm install # shell', '["node", "server.js"]'],
  );
  assert.deepEqual(
    parsed.warnings.map((warning) => [warning.rule, warning.range.start]),
    [
      ['InlineComment', 1],
      ['InlineComment', 2],
      ['InlineComment', 4],
    ],
  );
});

const REFUSED: readonly [text: string, message: RegExp][] = [
  ['', /cannot be empty/],
  ['FORM a', /line 1: unknown instruction: FORM \(did you mean FROM\?\)/],
  ['RUN a', /line 1: no build stage in current context/],
  ['FROM a b', /FROM requires either one or three arguments/],
  ['FROM a AS 1x', /invalid name for build stage/],
  ['FROM a\nCOPY x', /line 2: COPY requires at least two arguments/],
  ['FROM a\nCOPY --frm=x a b', /unknown flag: --frm/],
  ['FROM a\nRUN <<EOF\nx', /unterminated heredoc EOF/],
  ['FROM a\nENV x', /ENV must have two arguments/],
  ['FROM a\nSHELL sh -c', /SHELL requires the arguments to be in JSON form/],
  ['FROM a\nONBUILD FROM b', /isn't allowed as an ONBUILD trigger/],
  ['FROM a\nHEALTHCHECK --interval=1x CMD a', /invalid duration "1x"/],
  ['FROM a\nRUN a\0b', /NUL/],
];
for (const [text, message] of REFUSED) {
  test(`readStages() refuses ${JSON.stringify(text)}`, () => assert.throws(() => read(text), message));
}

test('readStages() gives instructions their parts', () => {
  const { stages } = read(
    'ARG V=1\nFROM --platform=$BUILDPLATFORM base:$V AS Build\nENV A=1 B="two words"\nENV old some text\nCOPY --from=x --chown=1:2 ["a b", "/c d"]\nHEALTHCHECK --interval=1m30s --retries=2 CMD true\nENTRYPOINT ["a"]\nCMD b c\n',
  );
  const [stage] = stages;
  assert.equal(stage?.name, 'build');
  assert.equal(stage.platform, '$BUILDPLATFORM');
  const found = stage.instructions.map(({ range: _r, original: _o, ...rest }) => rest);
  assert.deepEqual(found[0], {
    kind: 'ENV',
    pairs: [
      { key: 'A', value: '1' },
      { key: 'B', value: '"two words"' },
    ],
  });
  assert.deepEqual(found[1], { kind: 'ENV', pairs: [{ key: 'old', value: 'some text' }] });
  assert.deepEqual((found[2] as { sources?: unknown }).sources, ['a b']);
  assert.deepEqual(found[3], {
    kind: 'HEALTHCHECK',
    interval: 90e9,
    timeout: undefined,
    startPeriod: undefined,
    startInterval: undefined,
    retries: 2,
    command: { form: 'shell', line: 'true' },
  });
  assert.deepEqual(found.slice(4), [
    { kind: 'ENTRYPOINT', command: { form: 'exec', argv: ['a'] } },
    { kind: 'CMD', command: { form: 'shell', line: 'b c' } },
  ]);
});

const VARIABLES: Readonly<Record<string, string>> = { A: 'one', EMPTY: '', P: '/a/b.tar.gz' };
const EXPANSIONS: readonly [text: string, expanded: string][] = [
  ['$A ${A}x', 'one onex'],
  ['\\$A', '$A'],
  ['\'$A\' "$A"', '$A one'],
  ['${B:-d}${EMPTY:-e}${EMPTY-f}${A:-g}', 'deone'],
  ['${A:+set}${EMPTY:+no}${EMPTY+yes}${B+no}', 'setyes'],
  ['${P#*/}', 'a/b.tar.gz'],
  ['${P##*/}', 'b.tar.gz'],
  ['${P%.*}', '/a/b.tar'],
  ['${P%%.*}', '/a/b'],
  ['${P/a/X} ${P//./_}', '/X/b.tar.gz /a/b_tar_gz'],
  ['${B:-${A:-x}}', 'one'],
  ['a$', 'a$'],
  ['"a\\"b" a\\ b', 'a"b a b'],
];
for (const [text, expanded] of EXPANSIONS) {
  test(`expandWord() ${text}`, () =>
    assert.equal(
      expandWord(text, (name) => VARIABLES[name]),
      expanded,
    ));
}

test('expandWords() splits at unquoted white space; refusals name the variable', () => {
  assert.deepEqual(
    expandWords('a "b c"  $A', (name) => VARIABLES[name]),
    ['a', 'b c', 'one'],
  );
  assert.throws(() => expandWord('${B:?needed}', () => undefined), /B: needed/);
  assert.throws(() => expandWord('${A', (name) => VARIABLES[name]), /missing }/);
  assert.throws(() => expandWord('"a', () => undefined), /matching double-quote/);
});
