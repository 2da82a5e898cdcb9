import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpTransport, redirectTarget } from './http.ts';

test('a redirect may not lead to a scheme that protects less, nor take a login along in its address', () => {
  const secure = new URL('https://registry.example.com/v2/app/blobs/x');
  const plain = new URL('http://127.0.0.1:5000/v2/app/blobs/x');
  assert.equal(redirectTarget(secure, '/elsewhere?a=b').href, 'https://registry.example.com/elsewhere?a=b');
  assert.equal(redirectTarget(secure, 'https://cdn.example.com/x').href, 'https://cdn.example.com/x');
  assert.equal(redirectTarget(plain, 'https://cdn.example.com/x').href, 'https://cdn.example.com/x');
  assert.equal(redirectTarget(plain, 'http://127.0.0.1:5001/x').href, 'http://127.0.0.1:5001/x');
  assert.equal(redirectTarget(secure, 'https://ann:secret@cdn.example.com/x').href, 'https://cdn.example.com/x');
  for (const [from, location] of [
    [secure, 'http://registry.example.com/v2/app/blobs/x'],
    [secure, 'file:///etc/passwd'],
    [plain, 'ftp://127.0.0.1/x'],
    [plain, 'http://['],
  ] as const) {
    assert.throws(() => redirectTarget(from, location), { code: 'forbidden', message: /which is not followed/ });
  }
});

test('bodies are their own, however many come at once and whoever is slow', async () => {
  const bodies = Array.from({ length: 6 }, (_, index) => randomBytes((index + 1) * 700_000));
  const server = createServer((request, response) => {
    const index = Number(request.url!.slice(1));
    // One without a length ends with its connection, one is in pieces.
    if (index === 0) response.writeHead(200, { connection: 'close' });
    else if (index > 1) response.writeHead(200, { 'content-length': bodies[index]!.length });
    response.write(bodies[index]!.subarray(0, 1000));
    setImmediate(() => response.end(bodies[index]!.subarray(1000)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const transport = new HttpTransport({ verify: true });
  try {
    for (let round = 0; round < 2; round++) {
      await Promise.all(
        bodies.map(async (expected, index) => {
          const { body } = await transport.send({ method: 'GET', url: new URL(`http://127.0.0.1:${port}/${index}`) });
          const parts: Buffer[] = [];
          for await (const part of body) {
            parts.push(part);
            if (index % 2 === 1) await sleep(1);
          }
          assert.ok(Buffer.concat(parts).equals(expected), `body ${index}`);
        }),
      );
    }
  } finally {
    transport.close();
    server.closeAllConnections();
    server.close();
  }
});
