import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Digest, sha256 } from '../oci/digest.ts';
import { collect } from './children.ts';
import type { Bytes, ContentStore } from './content-store.ts';

/** What every `ContentStore` promises. `make` gives an empty one. */
export function contentStoreSuite(name: string, make: () => Promise<ContentStore>): void {
  const check = (what: string, body: (store: ContentStore) => Promise<void>): void =>
    void test(`${name}: ${what}`, async () => body(await make()));

  check('what was written is read back', async (store) => {
    const target = describe('hello');
    await store.write(target, chunks('he', 'llo'));
    assert.ok(await store.has(target));
    assert.equal(await text(store.read(target)), 'hello');
    assert.equal(await text(store.read(target, { offset: 2 })), 'llo');
    assert.equal(await text(store.read(target, { offset: 5 })), '');
    assert.equal((await store.stat(target.digest))?.size, 5);
  });

  check('what is not there is not found', async (store) => {
    const target = describe('nothing');
    assert.equal(await store.has(target), false);
    assert.equal(await store.stat(target.digest), undefined);
    await assert.rejects(text(store.read(target)), { code: 'not-found' });
    await store.delete(target.digest);
  });

  check('content that is not its digest is refused and not kept', async (store) => {
    const target = describe('hello');
    await assert.rejects(store.write(target, chunks('jello')), { code: 'corrupt' });
    await assert.rejects(store.write(target, chunks('hell')), { code: 'corrupt' });
    await assert.rejects(store.write(target, chunks('hello', ' world')), { code: 'corrupt' });
    assert.equal(await store.has(target), false);
    assert.deepEqual(await listed(store), []);
  });

  check('a read with the wrong size is refused', async (store) => {
    const target = describe('hello');
    await store.write(target, chunks('hello'));
    await assert.rejects(text(store.read({ ...target, size: 4 })), { code: 'corrupt' });
  });

  check('the same content written twice at once is there once', async (store) => {
    const target = describe('twice');
    await Promise.all(Array.from({ length: 8 }, () => store.write(target, chunks('tw', 'ice'))));
    assert.deepEqual(await listed(store), [target.digest]);
    assert.equal(await text(store.read(target)), 'twice');
  });

  check('a write goes on under its name, and only one at a time', async (store) => {
    const target = describe('first second');
    {
      await using part = await store.ingest('n');
      await part.append(Buffer.from('first '));
      await assert.rejects(store.ingest('n'), { code: 'conflict' });
    }
    await using rest = await store.ingest('n');
    assert.equal(rest.offset, 6);
    await rest.append(Buffer.from('second'));
    let announced: Digest | undefined;
    const blob = await rest.commit({ announce: (digest) => (announced = digest) });
    assert.equal(blob.digest, target.digest);
    assert.equal(announced, target.digest);
    assert.equal(await text(store.read(target)), 'first second');
  });

  check('an aborted or failed write starts anew', async (store) => {
    const part = await store.ingest('n');
    await part.append(Buffer.from('x'));
    await part.abort();
    await using again = await store.ingest('n');
    assert.equal(again.offset, 0);
    await again.append(Buffer.from('y'));
    await assert.rejects(again.commit({ digest: sha256('z') }), { code: 'corrupt' });
    await using third = await store.ingest('n');
    assert.equal(third.offset, 0);
  });

  check('sha512 is checked as well', async (store) => {
    const digest =
      'sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043';
    await store.write({ digest, size: 5 }, chunks('hello'));
    assert.equal(await text(store.read({ digest, size: 5 })), 'hello');
    await assert.rejects(store.write({ digest: digest.replace('9b', '9c') as Digest, size: 5 }, chunks('hello')), {
      code: 'corrupt',
    });
  });

  check('deleted is gone at once', async (store) => {
    const target = describe('bye');
    await store.write(target, chunks('bye'));
    const gone = store.delete(target.digest);
    assert.equal(await store.has(target), false);
    await gone;
    assert.deepEqual(await listed(store), []);
  });

  check('an abort stops a read', async (store) => {
    const target = describe('hello');
    await store.write(target, chunks('hello'));
    await assert.rejects(text(store.read(target, { signal: AbortSignal.abort() })), { name: 'AbortError' });
  });
}

function describe(content: string): { digest: Digest; size: number } {
  return { digest: sha256(content), size: Buffer.byteLength(content) };
}

async function* chunks(...parts: string[]): Bytes {
  for (const part of parts) yield Buffer.from(part);
}

async function text(bytes: Bytes): Promise<string> {
  return (await collect(bytes, 1 << 20, 'test')).toString();
}

async function listed(store: ContentStore): Promise<Digest[]> {
  return (await Array.fromAsync(store.list())).map((blob) => blob.digest);
}
