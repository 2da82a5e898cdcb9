import { fromBinary } from '@bufbuild/protobuf';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StatusResponse, StatusResponseSchema } from '../protocol/control_pb.ts';
import { StatusLog } from './status-log.ts';

const NEVER = new AbortController().signal;

async function read(log: StatusLog): Promise<StatusResponse[]> {
  return (await Array.fromAsync(log.follow(NEVER))).map(({ bytes }) => fromBinary(StatusResponseSchema, bytes));
}

test('each reader of a log gets all of it, what is there already as one message', async () => {
  const log = new StatusLog();
  log.add({ vertexes: [{ digest: 'sha256:1', name: 'one' }] });
  log.add({ warnings: [{ vertex: 'sha256:1', short: Buffer.from('careful') }] });
  log.add({ vertexes: [{ digest: 'sha256:1', name: 'one', cached: true, completed: { seconds: 1n } }] });
  log.add({ vertexes: [{ digest: 'sha256:2', name: 'two' }] });
  log.end();
  log.add({ vertexes: [{ digest: 'sha256:3', name: 'too late' }] });
  for (let reader = 0; reader < 2; reader++) {
    const messages = await read(log);
    assert.deepEqual(
      messages.map(({ vertexes, warnings }) => [vertexes.map(({ name }) => name), warnings.length]),
      [[['one', 'one', 'two'], 1]],
    );
  }
  assert.deepEqual(log.counts, { total: 2, cached: 1, completed: 1, warnings: 1 });
});

test('output beyond a limit is clipped, and says so; all else is told', async () => {
  const log = new StatusLog();
  const msg = Buffer.alloc(1 << 20, 'y');
  for (let piece = 0; piece < 40; piece++) log.add({ logs: [{ vertex: 'sha256:1', msg }] });
  log.add({ vertexes: [{ digest: 'sha256:1', name: 'one', completed: { seconds: 1n } }] });
  log.end();
  const messages = await read(log);
  const logs = messages.flatMap((message) => message.logs);
  assert.equal(logs.length, 17);
  assert.equal(Buffer.from(logs.at(-1)!.msg).toString(), '[output clipped, log limit 16MiB reached]\n');
  assert.equal(messages.at(-1)!.vertexes.length, 1);
  assert.ok(messages.length > 8, 'no message is larger than clients take');
});

test('warnings without an end are kept up to a limit, one that is larger than it not at all', async () => {
  const log = new StatusLog();
  for (let count = 0; count < 20; count++) log.add({ warnings: [{ vertex: 'v', short: Buffer.alloc(1 << 20, 'y') }] });
  log.add({ warnings: [{ vertex: 'v', short: Buffer.alloc(16 << 20, 'y') }] });
  log.add({ vertexes: [{ digest: 'sha256:1', name: 'one' }] });
  log.end();
  const messages = await read(log);
  assert.equal(messages.flatMap(({ warnings }) => warnings).length, 3);
  assert.equal(log.counts.warnings, 3);
  assert.equal(messages.flatMap(({ vertexes }) => vertexes).length, 1);
});
