import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseEndpoint } from './endpoint.ts';
import { API_VERSION, Requester } from './requester.ts';

/** An engine that speaks up to 1.`newest`: what it was asked, and what `use` makes of it. */
async function asked(newest: number, use: (requester: Requester) => Promise<unknown>): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-requester-'));
  const socket = join(directory, 's');
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.setHeader('Api-Version', `1.${newest}`);
    const wanted = Number(/^\/v1\.(\d+)/.exec(request.url!)?.[1] ?? newest);
    if (wanted > newest) response.writeHead(400).end(`{"message":"client version 1.${wanted} is too new"}`);
    else if (request.url!.endsWith('/bad')) response.writeHead(400).end('{"message":"bad parameter"}');
    else response.end('[]');
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const requester = new Requester({ endpoint: parseEndpoint(`unix://${socket}`) });
  try {
    await use(requester);
  } finally {
    requester.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
  return requests;
}

const newest = Number(API_VERSION.split('.')[1]);

test('what reads is asked at once, and tells the version for what follows', async () => {
  const use = async (requester: Requester): Promise<void> => {
    await requester.json('GET', '/images/json');
    await requester.call('POST', '/containers/a/start');
  };
  assert.deepEqual(await asked(newest, use), [
    `GET /v${API_VERSION}/images/json`,
    `POST /v${API_VERSION}/containers/a/start`,
  ]);
  assert.deepEqual(await asked(newest + 1, use), [
    `GET /v${API_VERSION}/images/json`,
    `POST /v${API_VERSION}/containers/a/start`,
  ]);
  assert.deepEqual(await asked(41, use), [
    `GET /v${API_VERSION}/images/json`,
    'HEAD /_ping',
    'GET /v1.41/images/json',
    'POST /v1.41/containers/a/start',
  ]);
});

test('what changes something waits for the version', async () => {
  assert.deepEqual(await asked(41, (requester) => requester.call('POST', '/volumes/prune')), [
    'HEAD /_ping',
    'POST /v1.41/volumes/prune',
  ]);
});

test('a refusal that is not for the version is the answer', async () => {
  await assert.rejects(
    asked(newest, (requester) => requester.json('GET', '/bad')),
    { message: 'bad parameter' },
  );
  await assert.rejects(
    asked(41, (requester) => requester.json('GET', '/bad')),
    { message: 'bad parameter' },
  );
});

test('an engine that was not there when it was first asked is asked again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-requester-'));
  const socket = join(directory, 's');
  const requester = new Requester({ endpoint: parseEndpoint(`unix://${socket}`) });
  const server = createServer((_request, response) => response.setHeader('Api-Version', '1.41').end('[]'));
  try {
    await assert.rejects(requester.call('POST', '/volumes/prune'), { code: 'unavailable' });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    assert.equal(await requester.call('POST', '/volumes/prune'), 200);
  } finally {
    requester.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  }
});
