import assert from 'node:assert/strict';
import { appendFileSync, linkSync, mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { parseTime } from '../../base/time.ts';
import { logEnd } from './log-files.ts';
import { readLog, type ReadLogOptions } from './reader.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-log-'));
after(() => rmSync(directory, { recursive: true }));
let path: string;
let number = 0;
beforeEach(() => {
  path = join(directory, `log-${number++}`);
});

test('gives back every byte: whole lines, parts, both streams, terminal data', async () => {
  writeFileSync(
    path,
    record('stdout', 'F', 'one') +
      record('stdout', 'F', '') +
      record('stderr', 'P', 'half ') +
      record('stdout', 'F', 'two\r') +
      record('stderr', 'F', 'whole') +
      record('stdout', 'P', '$ '),
  );
  assert.deepEqual(await read({}), [
    [1, 'one\n\n'],
    [2, 'half '],
    [1, 'two\r\n'],
    [2, 'whole\n'],
    [1, '$ '],
  ]);
  assert.deepEqual(await read({ stdout: false }), [[2, 'half whole\n']]);
});

test('puts times in front of lines, not of their continuations', async () => {
  writeFileSync(path, record('stdout', 'P', 'a', 1) + record('stdout', 'F', 'b', 2) + record('stdout', 'F', 'c', 3));
  const text = (await read({ timestamps: true, details: 'x=y' })).map(([, data]) => data).join('');
  assert.equal(text, '2026-01-02T03:04:01.000000000Z x=y ab\n2026-01-02T03:04:03.000000000Z x=y c\n');
});

test('since and until keep whole lines, ends included', async () => {
  writeFileSync(path, [1, 2, 3, 4].map((second) => record('stdout', 'F', String(second), second)).join(''));
  const at = (second: number): bigint => parseTime(`2026-01-02T03:04:0${second}Z`)!;
  assert.deepEqual(await read({ since: at(2), until: at(3) }), [[1, '2\n3\n']]);
  assert.deepEqual(await read({ since: at(5) }), []);
});

test('skips what is damaged', async () => {
  const torn = record('stdout', 'F', 'torn').slice(0, 47);
  writeFileSync(
    path,
    `${record('stdout', 'F', 'a')}rubbish\n\n${'x'.repeat(200_000)}\n${record('stdout', 'F', 'b')}${torn}`,
  );
  assert.deepEqual(await read({}), [
    [1, 'a\n'],
    [1, 'b\n'],
  ]);
});

test('tail counts lines, from the end of files of any size', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) =>
    record(index % 2 ? 'stdout' : 'stderr', 'F', `line ${index}`),
  );
  writeFileSync(path, lines.join(''));
  for (const tail of [0, 1, 3, 7000, 19_999, 20_000, 30_000]) {
    const text = (await read({ tail })).map(([, data]) => data).join('');
    const wanted = Math.min(tail, 20_000);
    assert.equal(text.split('\n').length - 1, wanted);
    assert.ok(wanted === 0 || text.startsWith(`line ${20_000 - wanted}\n`));
  }
});

test('tail takes a line in parts as one, and an unfinished one as a line', async () => {
  const long = Array.from({ length: 100 }, () => record('stdout', 'P', 'x'.repeat(8000))).join('');
  writeFileSync(path, record('stdout', 'F', 'a') + long + record('stdout', 'F', 'end') + record('stdout', 'P', '$ '));
  assert.equal((await read({ tail: 1 })).map(([, data]) => data).join(''), '$ ');
  assert.equal((await read({ tail: 2 })).map(([, data]) => data).join(''), `${'x'.repeat(800_000)}end\n$ `);
});

test('tail reads on in rotated files', async () => {
  writeFileSync(`${path}.2`, record('stdout', 'F', '1') + record('stdout', 'F', '2'));
  writeFileSync(`${path}.1`, record('stdout', 'F', '3'));
  writeFileSync(path, record('stdout', 'F', '4'));
  assert.equal((await read({})).map(([, data]) => data).join(''), '1\n2\n3\n4\n');
  assert.equal((await read({ tail: 3 })).map(([, data]) => data).join(''), '2\n3\n4\n');
});

test('follows from a position until the end, without gap or double across rotation', async () => {
  writeFileSync(path, record('stdout', 'F', 'before'));
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const chunk of readLog({ path, stdout: true, stderr: true, from: logEnd(path), follow: true, ended })) {
      seen.push(Buffer.from(chunk.data).toString());
    }
  })();
  let expected = '';
  for (let index = 0; index < 300; index++) {
    const half = record('stdout', 'F', `line ${index}`);
    appendFileSync(path, half.slice(0, 50));
    if (index % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    appendFileSync(path, half.slice(50));
    expected += `line ${index}\n`;
    if (index % 50 === 49) {
      // As the monitor does it, and then the engine.
      linkSync(path, `${path}.current`);
      writeFileSync(`${path}.tmp`, '');
      renameSync(`${path}.tmp`, path);
      if (index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 10));
      renameSync(`${path}.current`, `${path}.1`);
      if (index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 30));
      unlinkSync(`${path}.1`);
    }
  }
  end();
  await reading;
  const got = seen.join('');
  // Files dropped before the reader saw them are gone; what it gave is in order and whole.
  assert.ok(got.endsWith('line 299\n'));
  assert.ok(expected.includes(got.slice(0, got.indexOf('\n') + 1)));
});

test('waits for a log that does not exist yet, and ends when aborted', async () => {
  const abort = new AbortController();
  const reading = readLog({ path, stdout: true, stderr: true, follow: true, signal: abort.signal });
  const first = reading.next();
  setTimeout(() => writeFileSync(path, record('stdout', 'F', 'there')), 30);
  assert.equal(Buffer.from((await first).value!.data).toString(), 'there\n');
  const second = reading.next();
  abort.abort();
  assert.equal((await second).done, true);
});

test('a million lines take well under a second', async () => {
  const line = record('stdout', 'F', 'a line of a usual length, with some forty bytes');
  const thousand = line.repeat(1000);
  for (let index = 0; index < 1000; index++) appendFileSync(path, thousand);
  let bytes = 0;
  const start = performance.now();
  for await (const chunk of readLog({ path, stdout: true, stderr: true })) bytes += chunk.data.length;
  const elapsed = performance.now() - start;
  assert.equal(bytes, (line.length - 45) * 1_000_000);
  assert.ok(elapsed < 3000, `${elapsed} ms`); // leaves room for a busy machine
});

function record(stream: string, tag: string, text: string, second = 0): string {
  return `2026-01-02T03:04:0${second}.000000000+00:00 ${stream} ${tag} ${text}\n`;
}

async function read(options: Partial<ReadLogOptions>): Promise<[number, string][]> {
  const chunks: [number, string][] = [];
  for await (const chunk of readLog({ path, stdout: true, stderr: true, ...options })) {
    chunks.push([chunk.stream, Buffer.from(chunk.data).toString()]);
  }
  return chunks;
}
