import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { TaskLog } from '../task.ts';
import { readLog } from './reader.ts';
import { finishLog, prepareLog, settleLog } from './rotation.ts';

let directory: string;
let log: TaskLog;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-rotation-'));
  log = { path: join(directory, 'log'), maxBytes: 200, maxFiles: 3 };
});
afterEach(() => rmSync(directory, { recursive: true }));

test('two rotations that nobody saw keep all three files, in order', async () => {
  prepareLog(log);
  print('F', 'one');
  monitorRotates();
  print('F', 'two');
  monitorRotates();
  print('F', 'three');
  assert.equal(await read(), 'one\ntwo\nthree\n'); // before the engine looks
  settleLog(log);
  assert.equal(await read(), 'one\ntwo\nthree\n');
  settleLog(log);
  finishLog(log);
  assert.deepEqual(readdirSync(directory).sort(), ['log', 'log.1', 'log.2']);
  assert.equal(await read(), 'one\ntwo\nthree\n');
});

test('the engine dies between any two names', async () => {
  for (const lost of ['.current', '.next', '.tmp']) {
    prepareLog(log);
    print('F', `${lost} one`);
    monitorRotates();
    print('F', `${lost} two`);
    settleLog(log);
    rmSync(log.path + lost, { force: true });
    prepareLog(log);
    print('F', `${lost} three`);
    const text = await read();
    for (const word of ['one', 'two', 'three']) assert.ok(text.includes(`${lost} ${word}\n`), `${lost}: ${text}`);
    finishLog(log);
  }
});

test('the oldest go, counted in bytes, and no half line is shown', async () => {
  prepareLog(log);
  for (let index = 0; index < 12; index++) {
    print('F', `end of ${index - 1}`);
    print('F', `line ${index}`);
    print('F', `line ${index} again`);
    print('P', `begin of ${index}, `);
    monitorRotates();
    settleLog(log);
  }
  const text = await read();
  assert.match(text, /^line 10\nline 10 again\nbegin of 10, end of 10\n/);
  assert.ok(readFileSync(`${log.path}.cut`, 'utf8').endsWith(' 1'));
});

test('a log without bounds has one file', () => {
  prepareLog({ ...log, maxBytes: 0 });
  finishLog({ ...log, maxBytes: 0 });
  assert.deepEqual(readdirSync(directory), ['log']);
});

function print(tag: string, text: string): void {
  appendFileSync(log.path, `2026-01-02T03:04:05.000000000+00:00 stdout ${tag} ${text}\n`);
}

/** As conmon does it. */
function monitorRotates(): void {
  writeFileSync(`${log.path}.tmp`, '');
  renameSync(`${log.path}.tmp`, log.path);
}

async function read(): Promise<string> {
  let text = '';
  for await (const chunk of readLog({ path: log.path, stdout: true, stderr: true }))
    text += Buffer.from(chunk.data).toString();
  return text;
}
