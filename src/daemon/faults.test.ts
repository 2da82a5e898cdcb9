/** One request that fails inside, in whatever way, is one answer: the daemon goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineServices } from '../engine/engine.ts';
import { routeTable } from './routes/table.ts';
import { fakeEngine } from './testing/fake-engine.ts';
import { TestServer } from './testing/http.ts';

/** Of methods that give no promise it is nobody's to look at. */
function rejected(reason: unknown): Promise<never> {
  const promise = Promise.reject(reason as Error);
  promise.catch(() => {});
  return promise;
}

/** What a service can do wrong: throw at once, reject, or give what is none of its answers. */
const FAULTS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new TypeError('cannot read properties of undefined');
  },
  rejects: () => rejected(new RangeError('out of range')),
  'rejects with no error': () => rejected(undefined),
  'answers with nothing': () => Promise.resolve(undefined),
  'streams a failure': () =>
    (async function* () {
      yield new Uint8Array([1]);
      throw new Error('in the middle');
    })(),
};

const BODY = { body: '{"Image":"x"}', headers: { 'content-type': 'application/json' } };
const SERVICES = 'containers execs images networks volumes secrets builder system events trash registry'.split(' ');

for (const [fault, act] of Object.entries(FAULTS)) {
  test(`every route with an engine that ${fault}`, { timeout: 110_000 }, async () => {
    const broken = new Proxy(
      {},
      { get: (_, service) => (typeof service === 'symbol' ? undefined : new Proxy({}, { get: () => act })) },
    );
    await using server = await TestServer.start(
      Object.fromEntries(SERVICES.map((name) => [name, (broken as Record<string, object>)[name]])),
    );
    const routes = routeTable(fakeEngine() as EngineServices);
    assert.ok(routes.length > 80, `${routes.length}`);
    const crashes: unknown[] = [];
    const note = (error: unknown): void => void crashes.push(error);
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
    try {
      for (const { method, path, hijacks } of routes) {
        const url = `/v1.51${path.replace(/\{\w+\}/g, 'name')}?stdout=1&name=x&repo=a&fromImage=x&term=x&path=/x&stream=0`;
        const answer = hijacks
          ? undefined
          : await Promise.race([
              server
                .request(method, url, method === 'POST' || method === 'PUT' ? BODY : {})
                .catch((error: Error) => ({ status: 0, text: error.message })),
              // a stream that waits for events is no answer, and no crash
              new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 3000).unref()),
            ]);
        if (answer && answer.status >= 400 && method !== 'HEAD')
          assert.match(answer.text, /"message"/, `${method} ${path}`);
        assert.equal((await server.request('GET', '/_ping')).status, 200, `after ${method} ${path}`);
      }
    } finally {
      process.off('unhandledRejection', note);
      process.off('uncaughtException', note);
    }
    assert.deepEqual(crashes, []);
  });
}
