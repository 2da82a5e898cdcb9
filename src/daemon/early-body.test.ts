import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { splitEarlyBody } from './early-body.ts';

function request(headers: Record<string, string>): IncomingMessage {
  return { headers } as unknown as IncomingMessage;
}

test('the body of an upgrade ends where its length says, whenever it comes', async () => {
  const socket = new PassThrough();
  const split = splitEarlyBody(request({ 'content-length': '7' }), socket, Buffer.from('{"a'));
  socket.write('":1}input');
  const { body, rest } = await split;
  assert.equal(body.toString(), '{"a":1}');
  assert.equal(rest.toString(), 'input');
});

test('a chunked body that is there is taken; one that is only announced is none', async () => {
  const chunked = request({ 'transfer-encoding': 'chunked' });
  const whole = await splitEarlyBody(chunked, new PassThrough(), Buffer.from('2\r\n{}\r\n0\r\n\r\nrest'));
  assert.deepEqual([whole.body.toString(), whole.rest.toString()], ['{}', 'rest']);
  const none = await splitEarlyBody(chunked, new PassThrough(), Buffer.from('raw input\n'));
  assert.deepEqual([none.body.toString(), none.rest.toString()], ['', 'raw input\n']);
});

test('a client that goes in the middle, and one that sends too much', async () => {
  const socket = new PassThrough();
  const split = splitEarlyBody(request({ 'content-length': '7' }), socket, Buffer.alloc(0));
  socket.destroy();
  await assert.rejects(split, /the client is gone/);
  await assert.rejects(
    splitEarlyBody(request({ 'content-length': '9999999' }), socket, Buffer.alloc(0)),
    /at most 64 KiB/,
  );
});
