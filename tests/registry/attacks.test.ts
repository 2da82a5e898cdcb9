import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '../../src/oci/digest.ts';
import { DirectoryFiles } from '../../src/registry/server/directory-files.ts';
import { TestRegistry } from './test-registry.ts';

const ROUNDS = Number(process.env['GANTRY_STRESS_ROUNDS'] ?? 40);
const SEED = Number(process.env['GANTRY_STRESS_SEED'] ?? randomInt(2 ** 31));
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Sends a path as it is: `fetch` would tidy it up. */
function raw(host: string, method: string, path: string): Promise<number> {
  const [hostname, port] = host.split(':');
  return new Promise((resolve, reject) => {
    const message = httpRequest({ hostname, port, method, path, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode!));
    });
    message.once('error', reject).end();
  });
}

function open(host: string): Promise<Socket> {
  const [hostname, port] = host.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once('error', reject);
  });
}

test(`made-up paths reach nothing but names that are names (seed ${SEED})`, async () => {
  const odd: string[] = [];
  /** Notes what is asked of the files. */
  class Noting extends DirectoryFiles {
    override list(path: string): Promise<string[]> {
      this.#note(path);
      return super.list(path);
    }
    override read(path: string): Promise<string | undefined> {
      this.#note(path);
      return super.read(path);
    }
    override remove(path: string): Promise<boolean> {
      this.#note(path);
      return super.remove(path);
    }
    #note(path: string): void {
      if (!path.split('/').every((part) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(part)) && path !== '') odd.push(path);
    }
  }
  await using registry = await TestRegistry.open({ files: (root) => new Noting(root) });
  await writeFile(join(registry.root, 'outside'), 'secret');
  const before = (await readdir(registry.root, { recursive: true })).sort();
  const random = randomOf(SEED);
  const pieces =
    '.. . %2e%2e %2E%2e%2f ..%2f.. %5c \\ %00 % %zz %c0%ae a A _tags - outside v2 // sha256: latest uploads _catalog ?n=1 # ü %F0%9F%92%A9 * ~root'
      .split(' ')
      .concat('', 'a'.repeat(300), `sha256:${'0'.repeat(64)}`, 'sha256:../../outside', '?digest=sha256:../x');
  const kinds = ['manifests', 'blobs', 'tags', 'referrers', 'blobs/uploads', 'x'];
  const methods = ['GET', 'HEAD', 'DELETE', 'PATCH'];
  const piece = (): string => pieces[random(pieces.length)]!;
  for (let count = 0; count < 2000; count += 20) {
    const paths = Array.from({ length: 20 }, () => {
      const name = Array.from({ length: 1 + random(4) }, piece).join('/');
      return encodeURI(`/v2/${name}/${kinds[random(kinds.length)]}/${piece()}`).replaceAll('%25', '%');
    });
    const statuses = await Promise.all(paths.map((path) => raw(registry.host, methods[random(methods.length)]!, path)));
    for (const [index, status] of statuses.entries())
      assert.ok(status >= 200 && status < 500, `${status} ${paths[index]}`);
  }
  assert.deepEqual(odd, []);
  assert.deepEqual((await readdir(registry.root, { recursive: true })).sort(), before);
});

test('a manifest of 100 MB is refused before it is here, announced or not', async () => {
  await using registry = await TestRegistry.open();
  const piece = Buffer.alloc(1 << 20, ' ');
  for (const announced of [true, false]) {
    const socket = await open(registry.host);
    socket.on('error', () => undefined);
    const length = announced ? `content-length: ${100 << 20}` : 'transfer-encoding: chunked';
    socket.write(`PUT /v2/app/manifests/1 HTTP/1.1\r\nhost: x\r\ncontent-type: ${MANIFEST}\r\n${length}\r\n\r\n`);
    let answer = '';
    socket.on('data', (data: Buffer) => (answer += data.toString()));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    let sent = 0;
    while (sent < 100 && answer === '' && !socket.destroyed) {
      if (!announced) socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      if (!announced) socket.write('\r\n');
      sent++;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await closed;
    assert.match(answer, /^HTTP\/1\.1 413 /);
    assert.match(answer, /connection: close/i);
  }
  assert.equal(process.memoryUsage().rss < 2 ** 30, true);
});

test(`uploads keep exactly what they acknowledged, whatever comes in whatever order (seed ${SEED})`, async () => {
  await using registry = await TestRegistry.open();
  const random = randomOf(SEED);
  const base = `http://${registry.host}`;
  for (let round = 0; round < 6; round++) {
    const begun = await fetch(`${base}/v2/app/blobs/uploads/`, { method: 'POST' });
    const location = new URL(begun.headers.get('location')!, base);
    let kept = Buffer.alloc(0);
    const patch = async (start: number, body: Buffer): Promise<Response> =>
      fetch(location, {
        method: 'PATCH',
        body: new Uint8Array(body),
        headers: { 'content-range': `${start}-${start + body.length - 1}` },
      });
    for (let step = 0; step < 15; step++) {
      const body = Buffer.from(randomBytes(1 + random(3000)));
      const start = [kept.length, kept.length + 1 + random(50), Math.max(0, kept.length - 1 - random(50)), 0][
        random(4)
      ]!;
      const answers =
        random(4) === 0 ? await Promise.all([patch(start, body), patch(start, body)]) : [await patch(start, body)];
      const taken = answers.filter(({ status }) => status === 202);
      for (const { status } of answers) assert.ok(status === 202 || status === 416, String(status));
      assert.equal(taken.length, start === kept.length ? 1 : 0);
      if (taken.length > 0) kept = Buffer.concat([kept, body]);
      const state = await fetch(location);
      assert.equal(state.headers.get('range'), `0-${Math.max(0, kept.length - 1)}`);
    }
    const huge = await fetch(location, {
      method: 'PATCH',
      body: 'x',
      headers: { 'content-range': `${2 ** 60}-${2 ** 61}` },
    });
    assert.equal(huge.status, 416);
    location.searchParams.set('digest', sha256(kept));
    assert.equal((await fetch(location, { method: 'PUT' })).status, 201);
    const read = await fetch(`${base}/v2/app/blobs/${sha256(kept)}`);
    assert.ok(Buffer.from(await read.arrayBuffer()).equals(kept));
    assert.equal((await fetch(location, { method: 'PUT' })).status, 404);
  }
});

test('a blob that is deleted while it is pulled is pulled to its end', async () => {
  await using registry = await TestRegistry.open();
  const body = randomBytes(32 << 20);
  const digest = sha256(body);
  const base = `http://${registry.host}/v2/app`;
  await fetch(`${base}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: new Uint8Array(body) });
  const response = await fetch(`${base}/blobs/${digest}`);
  const reader = response.body!.getReader();
  const chunks = [(await reader.read()).value!];
  assert.equal((await fetch(`${base}/blobs/${digest}`, { method: 'DELETE' })).status, 202);
  await registry.repositories.collect({ graceMs: -1000 });
  assert.equal((await fetch(`${base}/blobs/${digest}`)).status, 404);
  assert.deepEqual(await Array.fromAsync(registry.repositories.content.list()), []);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  assert.equal(sha256(Buffer.concat(chunks)), digest);
});

test('clients that leave things hanging are sent away, slow ones that go on are not', async () => {
  const limits = { stallSeconds: 2, minBytesPerSecond: 100, connectionsPerClient: 6, uploadsPerClient: 3 };
  await using registry = await TestRegistry.open({ limits });
  const base = `http://${registry.host}/v2/app`;
  const body = randomBytes(64 << 20);
  const digest = sha256(body);
  await fetch(`${base}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: new Uint8Array(body) });
  const location = (await fetch(`${base}/blobs/uploads/`, { method: 'POST' })).headers.get('location')!;

  const hanging = await open(registry.host);
  hanging.write(`PATCH ${location} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nsome`);
  const deaf = await open(registry.host);
  deaf.pause();
  deaf.write(`GET /v2/app/blobs/${digest} HTTP/1.1\r\nhost: x\r\n\r\n`);
  const slow = await open(registry.host);
  const other = (await fetch(`${base}/blobs/uploads/`, { method: 'POST' })).headers.get('location')!;
  let answer = '';
  slow.on('data', (data: Buffer) => (answer += data.toString()));
  slow.write(`PATCH ${other} HTTP/1.1\r\nhost: x\r\ncontent-length: 40000\r\n\r\n`);
  const sending = (async () => {
    for (let count = 0; count < 20; count++) {
      slow.write(Buffer.alloc(2000));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  const gone = (socket: Socket): Promise<unknown> =>
    new Promise((resolve) => socket.once('close', resolve).on('error', () => undefined));
  const deafGone = gone(deaf);
  await Promise.all([gone(hanging), sending]);
  while (answer === '') await new Promise((resolve) => setTimeout(resolve, 10));
  assert.match(answer, /^HTTP\/1\.1 202 /);
  // Who does not read learns by writing that the connection is gone; empty lines in front of a request mean nothing.
  const knocking = setInterval(() => deaf.write('\r\n'), 100);
  await deafGone;
  clearInterval(knocking);
  assert.ok(deaf.bytesRead < body.length);

  slow.destroy();
  const third = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const fourth = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  assert.deepEqual([third.status, fourth.status], [202, 429]);
  const sockets = await Promise.all(Array.from({ length: 12 }, () => open(registry.host)));
  const closed = await Promise.race(sockets.map(async (socket) => gone(socket).then(() => true)));
  assert.equal(closed, true);
  for (const socket of sockets) socket.destroy();
});

test(`pushes, deletions and collections beside each other lose nothing (${ROUNDS} rounds, seed ${SEED})`, async () => {
  await using registry = await TestRegistry.open();
  const { repositories } = registry;
  const random = randomOf(SEED);
  const base = `http://${registry.host}/v2`;
  const expected = new Map<string, { digest: string; blobs: Map<string, string> }>();
  let going = true;
  let collections = 0;
  const collecting = (async () => {
    while (going) {
      await repositories.collect({ graceMs: 0 });
      collections++;
      await new Promise(setImmediate);
    }
  })();
  /** Pushes until it is taken: what a collection took in between is sent again, as clients do. */
  const push = async (name: string, contents: readonly string[]): Promise<void> => {
    const [repository] = name.split(':');
    for (;;) {
      const layers = contents.map((content) => ({
        mediaType: 'text/plain',
        digest: sha256(content),
        size: content.length,
      }));
      for (const [index, { digest }] of layers.entries()) {
        const head = await fetch(`${base}/${repository}/blobs/${digest}`, { method: 'HEAD' });
        if (head.status === 200) continue;
        const url = `${base}/${repository}/blobs/uploads/?digest=${digest}`;
        assert.equal((await fetch(url, { method: 'POST', body: contents[index]! })).status, 201);
      }
      const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: layers[0], layers });
      const url = `${base}/${repository}/manifests/${name.split(':')[1]}`;
      const put = await fetch(url, { method: 'PUT', body, headers: { 'content-type': MANIFEST } });
      if (put.status === 400) {
        assert.match(await put.text(), /MANIFEST_BLOB_UNKNOWN/);
        continue;
      }
      assert.equal(put.status, 201);
      const blobs = new Map(layers.map(({ digest }, index) => [digest, contents[index]!]));
      expected.set(name, { digest: sha256(body), blobs });
      return;
    }
  };
  const check = async (name: string): Promise<void> => {
    const { digest, blobs } = expected.get(name)!;
    const [repository, tag] = name.split(':');
    const manifest = await fetch(`${base}/${repository}/manifests/${tag}`);
    assert.equal(manifest.headers.get('docker-content-digest'), digest, name);
    for (const [blob, content] of blobs) {
      assert.equal(await (await fetch(`${base}/${repository}/blobs/${blob}`)).text(), content, `${name} ${blob}`);
    }
  };
  // Each worker has tags of its own, and shares blobs and repositories with the others.
  const work = async (worker: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const name = `r${random(2)}:w${worker}-${random(3)}`;
      const contents = Array.from({ length: 1 + random(3) }, () => `content ${random(6)}`);
      if (random(3) > 0 || !expected.has(name)) await push(name, [`only ${worker} ${round}`, ...contents]);
      else {
        const { digest } = expected.get(name)!;
        expected.delete(name);
        const url = `${base}/${name.split(':')[0]}/manifests/${digest}`;
        assert.equal((await fetch(url, { method: 'DELETE' })).status, 202);
        continue;
      }
      if (random(4) === 0) await check(name);
    }
  };
  await Promise.all([0, 1, 2].map(work));
  going = false;
  await collecting;
  assert.ok(collections > 0);
  for (const name of expected.keys()) await check(name);
  // And in the end there is nothing that nobody needs.
  for (const repository of await repositories.links.repositories()) {
    for (const { digest } of await repositories.links.manifests(repository)) {
      await repositories.links.deleteManifest(repository, digest);
    }
  }
  await repositories.collect({ graceMs: -1000 });
  assert.deepEqual(await Array.fromAsync(repositories.content.list()), []);
});

test('lists are bounded, whatever is asked for', async () => {
  await using registry = await TestRegistry.open();
  const base = `http://${registry.host}/v2`;
  const config = Buffer.from('{}');
  const put = async (path: string, body: Buffer, type: string): Promise<number> =>
    (await fetch(`${base}/${path}`, { method: 'PUT', body: new Uint8Array(body), headers: { 'content-type': type } }))
      .status;
  const { headers } = await fetch(`${base}/app/blobs/uploads/`, { method: 'POST' });
  const place = new URL(headers.get('location')!, base);
  place.searchParams.set('digest', sha256(config));
  assert.equal((await fetch(place, { method: 'PUT', body: new Uint8Array(config) })).status, 201);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(config), size: config.length },
      layers: [],
    }),
  );
  assert.equal(await put('app/manifests/t0', manifest, MANIFEST), 201);
  // as many tags as many pushes would have made
  const tags = join(registry.root, 'repositories/app/_tags');
  for (let count = 1; count <= 1050; count++) copyFileSync(join(tags, 't0'), join(tags, `t${count}`));
  for (const n of ['1000000000', '99999999999999999999', '-1', 'x', '']) {
    for (const path of [`_catalog?n=${n}`, `app/tags/list?n=${n}`]) {
      const answer = await fetch(`${base}/${path}`);
      if (answer.status === 400) continue;
      assert.equal(answer.status, 200, path);
      const { tags = [], repositories = [] } = (await answer.json()) as { tags?: string[]; repositories?: string[] };
      assert.ok(tags.length <= 1000 && repositories.length <= 1000, `${path}: ${tags.length}`);
    }
  }
  const first = await fetch(`${base}/app/tags/list?n=1000000000`);
  assert.equal(((await first.json()) as { tags: string[] }).tags.length, 1000);
  assert.match(first.headers.get('link')!, /rel="?next"?/);
});

test('content is nothing that a browser would run, and no page of another origin may read it', async () => {
  await using registry = await TestRegistry.open();
  const base = `http://${registry.host}/v2`;
  const page = Buffer.from('<html><script>alert(1)</script>');
  const { headers } = await fetch(`${base}/app/blobs/uploads/`, { method: 'POST' });
  const place = new URL(headers.get('location')!, base);
  place.searchParams.set('digest', sha256(page));
  await fetch(place, { method: 'PUT', body: new Uint8Array(page), headers: { 'content-type': 'text/html' } });
  for (const path of [`app/blobs/${sha256(page)}`, 'app/manifests/none', 'app/tags/list', '_catalog', '']) {
    const answer = await fetch(`${base}/${path}`, { headers: { origin: 'https://evil.example', accept: 'text/html' } });
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff', path);
    assert.equal(answer.headers.get('access-control-allow-origin'), null, path);
    assert.doesNotMatch(answer.headers.get('content-type') ?? '', /html/, path);
    await answer.arrayBuffer();
  }
});
