import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildMessage, BuildVertexDocument } from '../../api/gantry.ts';
import type { ProgressMessage } from '../../api/progress.ts';
import type { CommandError } from '../command.ts';
import type { Io } from '../io.ts';
import { portsText } from './container-row.ts';
import { escapeControls } from './escape.ts';
import { indentJson } from './json.ts';
import { compareNatural } from './order.ts';
import { progressText, showProgress } from './progress.ts';
import { formatRows, type RowFormat } from './rows.ts';
import { STATS_FORMAT } from './stats-row.ts';
import { showSteps, StepRows } from './step-rows.ts';
import { fitRows, layOut } from './table.ts';
import { TaskRows } from './task-rows.ts';
import { binarySize, humanDuration, humanSize } from './units.ts';
import { ellipsis } from './width.ts';

test('tables', () => {
  assert.equal(
    layOut([
      ['NAME', 'X'],
      ['a', 'b'],
    ]),
    'NAME      X\na         b\n',
  );
  assert.equal(
    layOut([
      ['NAME', 'X', 'Y'],
      ['a much longer name', '', 'é'],
    ]),
    'NAME                 X         Y\na much longer name             é\n',
  );
});

const FORMAT: RowFormat = { columns: ['ID', 'Name'], headers: { ID: 'THING ID' }, typeName: '*x', quiet: 'ID' };
const ROWS = [{ ID: '1', Name: 'a<b', Label: (key: unknown) => `l-${String(key)}` }];

test('a narrow terminal shows fewer figures of containers, each of them whole', () => {
  const row = {
    ID: '0123456789ab',
    Name: 'shop-web-1',
    CPUPerc: '12.50%',
    MemUsage: '123.4MiB / 23.45GiB',
    MemPerc: '0.51%',
    NetIO: '1.23GB / 45.6MB',
    BlockIO: '1.23GB / 45.6MB',
    PIDs: '12',
  };
  const shown = (width?: number): string[] => formatRows(STATS_FORMAT, [row], { width }).trimEnd().split('\n');
  assert.match(shown()[0]!, /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS$/);
  assert.deepEqual(shown(200), shown());
  assert.deepEqual(
    shown(80).map((line) => line.split(/ {2,}/)),
    [
      ['NAME', 'CPU %', 'MEM USAGE / LIMIT', 'NET I/O', 'PIDS'],
      ['shop-web-1', '12.50%', '123.4MiB / 23.45GiB', '1.23GB / 45.6MB', '12'],
    ],
  );
  for (const width of [60, 80, 100, 110]) for (const line of shown(width)) assert.ok(line.length <= width, line);
});

test('tables fit the terminal: wide columns are cut, names and ids never', () => {
  const rows = [
    ['ID', 'COMMAND', 'PORTS', 'NAMES'],
    [
      '0123456789ab',
      '"/docker-entrypoint.sh nginx -g daemon"',
      '0.0.0.0:8080->80/tcp, [::]:8080->80/tcp',
      'a-name-that-is-rather-long',
    ],
  ];
  const lines = (width: number): string[] =>
    layOut(fitRows(rows, width, new Set([0, 3])))
      .trimEnd()
      .split('\n');
  assert.deepEqual(fitRows(rows, 200, new Set()), rows);
  for (const width of [120, 100, 80]) {
    for (const line of lines(width)) assert.ok(Array.from(line).length <= width, `${width}: ${line}`);
    assert.match(lines(width)[1]!, /^0123456789ab .*… .*a-name-that-is-rather-long$/);
  }
  assert.match(
    lines(20)[1]!,
    /^0123456789ab +"\/docke… +0\.0\.0\.0… +a-name-that-is-rather-long$/,
    'what cannot fit is not cut to nothing',
  );
  const ps = [
    ['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'PORTS', 'NAMES'],
    [
      '0123456789ab',
      'nginx:1.23',
      '"/docker-entry…"',
      '2 minutes ago',
      'Up 2 minutes (healthy)',
      '0.0.0.0:9000->80/tcp',
      'web-app',
    ],
  ];
  for (const width of [90, 80]) {
    const shown = layOut(fitRows(ps, width, new Set([0, 6]), new Set([4]))).split('\n');
    for (const line of shown) assert.ok(Array.from(line).length <= width, `${width}: ${line}`);
  }
  const states = [
    ['ID', 'PORTS', 'STATUS'],
    ['0123456789ab', '0.0.0.0:80->80/tcp', 'Exited (137) 2 minutes ago'],
  ];
  const cut = (width: number): string => fitRows(states, width, new Set([0]), new Set([2]))[1]!.join('|');
  assert.equal(cut(60), '0123456789ab|0.0.0.0:80->80/…|Exited (137) 2 minutes ago');
  assert.equal(cut(42), '0123456789ab|0.0.0.0…|Exited (137) 2 …', 'states only when nothing else is left');
  assert.deepEqual(fitRows([], 80, new Set()), []);
});

test('lists in every form', () => {
  assert.equal(formatRows(FORMAT, ROWS), 'THING ID   NAME\n1          a<b\n');
  assert.equal(formatRows(FORMAT, ROWS, { quiet: true }), '1\n');
  assert.equal(formatRows(FORMAT, ROWS, { template: 'json' }), '{"ID":"1","Name":"a\\u003cb"}\n');
  assert.equal(formatRows(FORMAT, ROWS, { template: '{{json .}}' }), '{"ID":"1","Name":"a\\u003cb"}\n');
  assert.equal(formatRows(FORMAT, ROWS, { template: '{{.Name}}\\t{{.Label "x"}}' }), 'a<b\tl-x\n');
  assert.equal(
    formatRows(FORMAT, ROWS, { template: 'table {{.Name}}\\t{{.Label "com.x"}}' }),
    'NAME      x\na<b       l-com.x\n',
  );
  assert.equal(formatRows(FORMAT, [], { template: 'table {{upper .Name}}\t{{.ID}}' }), 'NAME      THING ID\n');
});

test('what strangers have named cannot move the cursor', () => {
  assert.equal(escapeControls('a\x1b[2Jb\x07\x9b\tc\n'), 'a\\x1b[2Jb\\x07\\x9b\tc\n');
  const rows = [{ ID: '1', Name: 'evil\x1b]0;title\x07' }];
  assert.equal(formatRows(FORMAT, rows, { template: '{{.Name}}', escape: true }), 'evil\\x1b]0;title\\x07\n');
});

test('sizes and times in docker’s words', () => {
  assert.deepEqual(
    [0, 999, 1000, 1_984_000, 1_500_000_000_000].map((n) => humanSize(n)),
    ['0B', '999B', '1kB', '1.984MB', '1.5TB'],
  );
  assert.equal(humanSize(1_984_123, 3), '1.98MB');
  assert.deepEqual([524_288, 25_278_201_856].map(binarySize), ['512KiB', '23.54GiB']);
  const s = 1000;
  assert.deepEqual(
    [
      0,
      s,
      59 * s,
      60 * s,
      119 * s,
      120 * s,
      3600 * s,
      47 * 3600 * s,
      48 * 3600 * s,
      15 * 86_400 * s,
      65 * 86_400 * s,
      800 * 86_400 * s,
    ].map(humanDuration),
    [
      'Less than a second',
      '1 second',
      '59 seconds',
      'About a minute',
      'About a minute',
      '2 minutes',
      'About an hour',
      '47 hours',
      '2 days',
      '2 weeks',
      '2 months',
      '2 years',
    ],
  );
  assert.equal(ellipsis('abcdef', 4), 'abc…');
  assert.equal(ellipsis('abcd', 4), 'abcd');
  assert.equal(ellipsis('abcdef', 1), 'a');
  assert.equal(ellipsis('日本語です', 6), '日本…');
  assert.equal(ellipsis('日本語', 6), '日本語');
  assert.equal(ellipsis('Für 😀 alle', 7), 'Für 😀…');
});

test('ports of ps', () => {
  const at = (
    IP: string,
    PublicPort: number,
    PrivatePort = PublicPort,
  ): { IP: string; PublicPort: number; PrivatePort: number; Type: string } => ({
    IP,
    PublicPort,
    PrivatePort,
    Type: 'tcp',
  });
  assert.equal(portsText([at('::', 80), at('0.0.0.0', 80)]), '0.0.0.0:80->80/tcp, [::]:80->80/tcp');
  assert.equal(
    portsText([
      { PrivatePort: 53, Type: 'udp' },
      { PrivatePort: 53, Type: 'tcp' },
    ]),
    '53/tcp, 53/udp',
  );
  assert.equal(
    portsText([at('0.0.0.0', 8081, 81), at('0.0.0.0', 8080, 80)]),
    '0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp',
  );
  assert.equal(portsText([at('0.0.0.0', 1), at('0.0.0.0', 2), at('0.0.0.0', 3)]), '0.0.0.0:1-3->1-3/tcp');
});

test('JSON keeps its numbers and escapes', () => {
  assert.equal(
    indentJson('[{"a":12345678901234567890,"b":"\\u003cx\\"}{","c":[],"d":{}}]', '    '),
    '[\n    {\n        "a": 12345678901234567890,\n        "b": "\\u003cx\\"}{",\n        "c": [],\n        "d": {}\n    }\n]',
  );
});

test('progress', () => {
  assert.equal(progressText({ progressDetail: { current: 500_000, total: 1_000_000 } }, 80), '500kB/1MB'.padStart(8));
  assert.match(progressText({ progressDetail: { current: 5, total: 10 } }, 120), /^\[={25}> {25}\] +5B\/10B$/);
  assert.equal(progressText({}, 80), '');
});

test('numbers in names by their value', () => {
  assert.deepEqual(['net10', 'net2', 'Net1', 'a'].toSorted(compareNatural), ['Net1', 'a', 'net2', 'net10']);
});

test('transfers come with their rate: redrawn on a terminal, a line every five seconds elsewhere', async () => {
  const shown = async (isTTY: boolean): Promise<string> => {
    let text = '';
    let now = 0;
    const output = { isTTY, columns: 100, rows: 24, write: (data: string | Uint8Array) => void (text += String(data)) };
    async function* messages(): AsyncGenerator<{ id: string; status: string; progressDetail?: object }> {
      yield { id: 'abc', status: 'Pulling fs layer' };
      for (let second = 0; second <= 12; second++) {
        now = second * 1000;
        yield { id: 'abc', status: 'Downloading', progressDetail: { current: second * 1e6 + 1, total: 2e7 } };
      }
      yield { id: 'abc', status: 'Download complete' };
      yield { id: 'abc', status: 'Extracting', progressDetail: { current: 5, total: 10 } };
    }
    await showProgress(output, messages(), { now: () => now });
    return text;
  };
  assert.equal(
    await shown(false),
    'abc: Pulling fs layer\nabc: Downloading 5MB/20MB 1MB/s\nabc: Downloading 10MB/20MB 1MB/s\nabc: Download complete\n',
  );
  const screen = await shown(true);
  assert.match(screen, /abc: Downloading +12MB\/20MB 1MB\/s/);
  assert.ok(screen.includes('5B/10B\x1b['));
});

test('progress as JSON: the messages themselves, and the error once more as an error', async () => {
  let text = '';
  const output = {
    isTTY: true,
    columns: 80,
    rows: 24,
    write: (data: string | Uint8Array) => void (text += String(data)),
  };
  async function* messages(): AsyncGenerator<ProgressMessage> {
    yield { id: 'abc', status: 'Downloading', progressDetail: { current: 1, total: 2 } };
    yield { error: 'gone', errorDetail: { message: 'gone' } };
  }
  await assert.rejects(showProgress(output, messages(), { json: true }), /gone/);
  assert.deepEqual(
    text
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
    [
      { id: 'abc', status: 'Downloading', progressDetail: { current: 1, total: 2 } },
      { error: 'gone', errorDetail: { message: 'gone' } },
    ],
  );
});

test('tasks in rows: redrawn in place, begun anew below what others write', () => {
  let text = '';
  let now = 0;
  let held: (() => void) | undefined;
  const output = {
    isTTY: true,
    columns: 60,
    rows: 24,
    write: (data: string | Uint8Array) => void (text += String(data)),
  };
  const io = {
    holdScreen: (release: () => void) => void (held = release),
    giveScreen: () => void (held = undefined),
  } as unknown as Io;
  const rows = new TaskRows({ io, output, colour: false, prefix: '', now: () => now });
  rows.show({ kind: 'Network', name: 'a_default', status: 'Creating' });
  rows.show({ kind: 'Container', name: 'a-web-1\x1b[2J', status: 'Creating' });
  now = 1500;
  text = '';
  rows.show({ kind: 'Network', name: 'a_default', status: 'Created' });
  const screen = text;
  assert.ok(screen.startsWith('\x1b[3A\r'), 'over the three lines that were there');
  assert.match(
    screen,
    /\[\+\] Running 1\/2\n.* ✔ Network a_default +Created +1\.5s\n.* . Container a-web-1\\x1b\[2J +Creating +1\.5s\n/,
  );
  for (const line of screen.split('\n')) assert.ok(line.replaceAll(/\x1b\[\d*[A-Z]|\r/g, '').length <= 60); // oxlint-disable-line no-control-regex
  // Somebody else writes: what has ended is not told again.
  held?.();
  text = '';
  rows.show({ kind: 'Container', name: 'a-web-1\x1b[2J', status: 'Error' });
  assert.match(text, /^\x1b\[2K\[\+\] Running 1\/1\n\x1b\[2K ✘ Container a-web-1\S+ +Error +1\.5s\n\x1b\[J$/); // oxlint-disable-line no-control-regex
});

test('steps in rows: stages side by side, the end of what they print, all of it when one fails', async () => {
  let text = '';
  let now = 0;
  const output = {
    isTTY: true,
    columns: 60,
    rows: 12,
    write: (data: string | Uint8Array) => void (text += String(data)),
  };
  const io = { holdScreen: () => {}, giveScreen: () => {} } as unknown as Io;
  const rows = new StepRows({ io, output, colour: false, now: () => now });
  const vertex = (Stage: number, Position: number, Text: string): BuildVertexDocument => ({
    Id: `${Stage}.${Position}`,
    Text,
    Stage,
    StageName: ['one', 'two'][Stage]!,
    Position,
    Total: 3,
    Line: 1,
  });
  const aux: unknown[] = [];
  async function* messages(): AsyncGenerator<BuildMessage> {
    yield { event: { Type: 'started', Vertex: vertex(0, 0, 'FROM a AS one') } };
    yield { event: { Type: 'done', Vertex: vertex(0, 0, 'FROM a AS one'), Origin: 'cached' } };
    yield { event: { Type: 'started', Vertex: vertex(0, 1, 'ENV A=1') } };
    yield { event: { Type: 'done', Vertex: vertex(0, 1, 'ENV A=1'), Origin: 'run' } };
    yield { event: { Type: 'started', Vertex: vertex(0, 2, 'RUN make') } };
    yield { event: { Type: 'started', Vertex: vertex(1, 0, 'FROM b AS two') } };
    yield { aux: { ID: 'x' } };
    for (let i = 1; i <= 50; i++)
      yield { event: { Type: 'output', Vertex: vertex(0, 2, 'RUN make'), Message: `line ${i}\n` } };
    now = 2000;
    text = '';
    yield { event: { Type: 'done', Vertex: vertex(1, 0, 'FROM b AS two'), Origin: 'run' } };
    assert.match(text, /\[\+\] Building 2\.0s \(3\/6\)\n/);
    assert.match(text, /✔ \[one 1\/3\] FROM a AS one +CACHED\n/);
    assert.match(text, /. \[one 3\/3\] RUN make +2\.0s\n\S+ +line 46\n(?:.*\n){3}.* line 50\n/);
    assert.match(text, /✔ \[two 1\/3\] FROM b AS two +2\.0s\n/);
    assert.doesNotMatch(text, /ENV A|line 45/);
    text = '';
    yield { event: { Type: 'failed', Vertex: vertex(0, 2, 'RUN make'), Message: 'it failed' } };
    yield { error: 'it failed', errorDetail: { message: 'it failed', code: 9, excerpt: '>>> RUN make\n' } };
  }
  await assert.rejects(
    showSteps(rows, output, messages(), (item) => aux.push(item)),
    (error: CommandError) => error.code === 9 && error.message === 'it failed',
  );
  assert.deepEqual(aux, [{ ID: 'x' }]);
  assert.match(
    text,
    /✘ \[one 3\/3\] RUN make[^]*------\n > \[one 3\/3\] RUN make:\nline 1\nline 2\n(?:line \d+\n){48}------\n>>> RUN make\n$/,
  );
});
