import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { streamChunks } from './stream-chunks.ts';

test('what comes before the reader looks comes together', async () => {
  const stream = new PassThrough();
  const chunks = streamChunks(stream);
  const first = chunks.next();
  for (let n = 0; n < 1000; n++) stream.write(Buffer.from([n & 0xff]));
  const { value } = await first;
  assert.ok(value && value.length > 100, `${value?.length} bytes at once`);
  stream.end();
  const rest = Buffer.concat(await Array.fromAsync(chunks));
  assert.deepEqual(Buffer.concat([value, rest]), Buffer.from(Array.from({ length: 1000 }, (_, n) => n & 0xff)));
});

test('a writer waits for a reader that does not come, and nothing is lost', async () => {
  const stream = new PassThrough();
  const chunks = streamChunks(stream);
  const piece = Buffer.alloc(64 << 10, 1);
  let written = 0;
  const first = chunks.next();
  while (stream.write(piece)) {
    written += piece.length;
    await turn();
    if (written > 16 << 20) assert.fail('nobody reads, and the writer may go on');
  }
  written += piece.length;
  stream.end();
  let read = (await first).value!.length;
  for await (const chunk of chunks) read += chunk.length;
  assert.equal(read, written);
});

test('a stream that fails or is closed in the middle throws after what came', async () => {
  for (const error of [new Error('broken'), undefined]) {
    const stream = new PassThrough();
    const chunks = streamChunks(stream);
    stream.write('abc');
    assert.equal(String((await chunks.next()).value), 'abc');
    stream.destroy(error);
    await assert.rejects(chunks.next(), error ?? /closed before its end/);
    await assert.rejects(Array.fromAsync(streamChunks(stream)), error ?? /is closed/);
  }
});

test('a reader that leaves early leaves the stream open', async () => {
  const stream = new PassThrough();
  stream.write('abc');
  for await (const chunk of streamChunks(stream)) {
    assert.equal(String(chunk), 'abc');
    break;
  }
  assert.equal(stream.destroyed, false);
});
