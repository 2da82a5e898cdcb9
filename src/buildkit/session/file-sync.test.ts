import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { RawCall } from '../grpc/client.ts';
import { frame } from '../grpc/frames.ts';
import { Packet_PacketType, PacketSchema } from '../protocol/files_pb.ts';
import { FileSyncSource } from './file-sync.ts';

const packet = (init: MessageInitShape<typeof PacketSchema>): Buffer =>
  frame(toBinary(PacketSchema, create(PacketSchema, init)));

const LIST = [
  packet({ stat: { path: 'd', mode: 0x800001ed } }),
  packet({ stat: { path: 'd/a', mode: 0o644, size: 3n, modTime: 5n } }),
  packet({ stat: { path: 'd/b', mode: 0o600, size: 2n, modTime: 7n } }),
];
const END = packet({});

/** A client that sends these bytes in chunks of `size`, and keeps what it is sent. */
function source(bytes: Buffer, size: number): { files: FileSyncSource; calls: string[] } {
  const calls: string[] = [];
  const call = {
    async *chunks() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    },
    send: async (...messages: Uint8Array[]) => void calls.push(`send ${messages.length}`),
    cancel: () => void calls.push('cancel'),
    finish: () => void calls.push('finish'),
  };
  const open = (): RawCall => call as unknown as RawCall;
  return { files: new FileSyncSource({ name: 'context', key: 'key', open }), calls };
}

test('a list is told from others before it is read, however it comes', async () => {
  const bytes = Buffer.concat([...LIST, END]);
  const digests = new Set<string | undefined>();
  for (const size of [1, 7, bytes.length]) {
    const { files, calls } = source(bytes, size);
    digests.add(await files.listed(undefined));
    await files.close();
    assert.deepEqual(calls, ['send 1', 'finish'], 'nothing is asked of a client whose list is known');
  }
  assert.equal(digests.size, 1);
  assert.match([...digests][0]!, /^[0-9a-f]{64}$/);
  const changed = packet({ stat: { path: 'd/b', mode: 0o600, size: 2n, modTime: 8n } });
  const other = await source(Buffer.concat([...LIST.slice(0, 2), changed, END]), 9).files.listed(undefined);
  assert.ok(!digests.has(other));
});

test('a list that is not known is read, and content that comes with its end is not lost', async () => {
  const data = [
    packet({ type: Packet_PacketType.PACKET_DATA, ID: 1, data: Buffer.from('abc') }),
    packet({ type: Packet_PacketType.PACKET_DATA, ID: 1 }),
  ];
  for (const size of [5, 1 << 20]) {
    const { files, calls } = source(Buffer.concat([...LIST, END, ...data]), size);
    await files.listed(undefined);
    const manifest = JSON.parse(Buffer.concat(await Array.fromAsync(files.manifest(undefined))).toString()) as unknown;
    assert.deepEqual(manifest, [
      ['d', 0o040755, 0, '0', 'time'],
      ['d/a', 0o100644, 3, '5', 'time'],
      ['d/b', 0o100600, 2, '7', 'time'],
    ]);
    const content = Buffer.concat(await Array.fromAsync(files.content([1])));
    assert.equal(content.subarray(12, 15).toString(), 'abc');
    await files.close();
    assert.deepEqual(calls, ['send 1', 'send 1', 'finish']);
  }
});

test('a long list is read in a thread, to the same entries', async () => {
  const many = Array.from({ length: 2000 }, (_, n) =>
    packet({ stat: { path: `file-${n}`, mode: 0o644, size: BigInt(n), modTime: 1n } }),
  );
  const { files } = source(Buffer.concat([...many, END]), 10_000);
  await files.listed(undefined);
  const text = Buffer.concat(await Array.fromAsync(files.manifest(undefined))).toString();
  const manifest = JSON.parse(text) as readonly (readonly [string, number, number])[];
  assert.equal(manifest.length, 2000);
  assert.deepEqual(manifest[1999]!.slice(0, 3), ['file-1999', 0o100644, 1999]);
  await files.close();
});

test('what is no list is an error, and the client is told', async () => {
  const { files, calls } = source(Buffer.concat([frame(Buffer.from([0x12, 0x7f, 1])), END]), 100);
  await files.listed(undefined);
  await assert.rejects(Array.fromAsync(files.manifest(undefined)), /not a list of files/);
  await files.close();
  assert.deepEqual(calls, ['cancel']);
});

test('a list that breaks off is an error, and the client is told', async () => {
  const { files, calls } = source(Buffer.concat(LIST), 10);
  await assert.rejects(files.listed(undefined), /ended the list of files in the middle/);
  await files.close();
  assert.ok(calls.includes('cancel'));
});
