import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary } from '@bufbuild/protobuf';
import { SolveRequestSchema, StatusResponseSchema } from '../protocol/control_pb.ts';
import type { BuildJob } from './bridge.ts';
import { BuildHistory, type HistoryResult } from './history.ts';
import { StatusLog } from './status-log.ts';

function build(history: BuildHistory, ref: string): void {
  const log = new StatusLog();
  const job = { request: create(SolveRequestSchema, { Ref: ref }), log } as unknown as BuildJob;
  const entry = history.begin(job);
  log.add({ vertexes: [{ digest: 'sha256:1', name: `step of ${ref}` }] });
  entry.end({}, undefined, [RESULT]);
}

const RESULT: HistoryResult = { platform: undefined, descriptor: undefined, attestations: [], config: '{"a":1}' };
const CONFIG = 'sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862';

function names(history: BuildHistory, ref: string): string[] | undefined {
  const entries = history.status(ref);
  return (
    entries &&
    [...entries].flatMap(({ bytes }) => fromBinary(StatusResponseSchema, bytes).vertexes.map(({ name }) => name))
  );
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition() && tries < 600; tries++) await sleep(50);
  assert.ok(condition());
}

test('a build is remembered when it ends, written behind that, and found again', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-history-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const records = (): number => readdirSync(directory).filter((name) => !name.includes('.')).length;
  const history = new BuildHistory(directory);
  build(history, 'one');
  assert.equal(records(), 0, 'nobody waits for the disk');
  assert.deepEqual(names(history, 'one'), ['step of one']);
  assert.equal(String(history.blob(CONFIG)), RESULT.config);
  await until(() => records() === 1);
  assert.deepEqual(names(history, 'one'), ['step of one']);

  history.update('one', { pinned: true, remove: false });
  build(history, 'two');
  build(history, 'gone');
  history.update('gone', { pinned: false, remove: true });
  history.close();
  const again = new BuildHistory(directory);
  assert.deepEqual(names(again, 'one'), ['step of one']);
  assert.deepEqual(names(again, 'two'), ['step of two']);
  assert.equal(names(again, 'gone'), undefined);
  again.update('one', { pinned: false, remove: true });
  again.update('two', { pinned: false, remove: true });
  await until(() => records() === 0);
});

test('what an engine left half written, or another version wrote, is no record', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-history-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const history = new BuildHistory(directory);
  build(history, 'whole');
  history.close();
  const [whole = ''] = readdirSync(directory);
  cpSync(join(directory, whole), join(directory, `${whole}.new`));
  cpSync(join(directory, whole), join(directory, 'f'.repeat(32)));
  truncateSync(join(directory, 'f'.repeat(32)), 300);
  mkdirSync(join(directory, 'e'.repeat(32)));
  const again = new BuildHistory(directory);
  assert.deepEqual(names(again, 'whole'), ['step of whole']);
  assert.deepEqual(readdirSync(directory), [whole]);
});
