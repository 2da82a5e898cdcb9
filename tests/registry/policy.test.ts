import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { utimes, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Digest } from '../../src/oci/digest.ts';
import { Metrics } from '../../src/registry/server/metrics.ts';
import { ImmutableTags, Quotas } from '../../src/registry/server/policy.ts';
import { Retention } from '../../src/registry/server/retention.ts';
import { readRegistrySettings } from '../../src/registry/server/settings.ts';
import { Webhooks } from '../../src/registry/server/webhooks.ts';
import { TestRegistry } from './test-registry.ts';

const DAY_MS = 24 * 3600_000;
const SEED = Number(process.env['SEED'] ?? 5);

test('a tag that is immutable is put once, and neither moved nor deleted', async () => {
  const immutable = new ImmutableTags([{ repositories: ['team/*'], tags: ['v*'] }]);
  await using registry = await TestRegistry.open({ policy: { immutable } });
  const digest = await registry.pushArtifact('team/app', 'v1', 'one');
  assert.equal(await registry.pushArtifact('team/app', 'v1', 'one'), digest);
  await assert.rejects(registry.pushArtifact('team/app', 'v1', 'two'), /403 .*team\/app:v1 is immutable/);
  const url = `http://${registry.host}/v2/team/app/manifests`;
  for (const reference of ['v1', digest]) {
    assert.equal((await fetch(`${url}/${reference}`, { method: 'DELETE' })).status, 403);
  }
  assert.equal((await fetch(`${url}/${digest}`)).status, 200);
  await registry.pushArtifact('team/app', 'latest', 'one');
  await registry.pushArtifact('team/app', 'latest', 'two');
  await registry.pushArtifact('other', 'v1', 'one');
  await registry.pushArtifact('other', 'v1', 'two');
  // Of two that come at once, one is first.
  const both = await Promise.allSettled(['a', 'b'].map((body) => registry.pushArtifact('team/app', 'v2', body)));
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('a quota counts each blob once, refuses what does not fit, and takes more when there is room again', async () => {
  const quotas = new Quotas([{ repositories: ['team/**'], maxBytes: 3000 }]);
  await using registry = await TestRegistry.open({ policy: { quotas } });
  const first = 'a'.repeat(1000);
  const digest = await registry.pushArtifact('team/one', '1', first);
  await registry.pushArtifact('team/two', '1', first);
  await assert.rejects(
    registry.pushArtifact('team/one', '2', 'b'.repeat(2000)),
    /403 .*the quota of team\/\*\* is 3000/,
  );
  await registry.pushArtifact('other', '2', 'b'.repeat(2000));
  // Neither is what another repository has a way around it.
  const { children } = (await registry.repositories.links.manifests('other'))[0]!;
  const mount = `http://${registry.host}/v2/team/one/blobs/uploads/?mount=${children[0]}&from=other`;
  assert.equal((await fetch(mount, { method: 'POST' })).status, 403);
  for (const repository of ['team/one', 'team/two']) {
    await fetch(`http://${registry.host}/v2/${repository}/manifests/${digest}`, { method: 'DELETE' });
  }
  await registry.repositories.collect({ graceMs: -1000 });
  await registry.pushArtifact('team/one', '2', 'b'.repeat(2000));
});

test('pushes at once do not get more out of a quota together than it has', async () => {
  const maxBytes = 21_900;
  await using registry = await TestRegistry.open({
    policy: { quotas: new Quotas([{ repositories: ['**'], maxBytes }]) },
  });
  const { links, content } = registry.repositories;
  const pushes = Array.from({ length: 30 }, (_, index) =>
    registry.pushArtifact(`r${index % 3}`, `t${index}`, `${index} `.padEnd(2000, '.')),
  );
  const ended = await Promise.allSettled(pushes);
  const taken = ended.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(taken >= 1 && taken <= 10, `${taken} pushes were taken`);
  for (const one of ended) if (one.status === 'rejected') assert.match(String(one.reason), /403 .*the quota of/);
  const digests = new Set<Digest>();
  for (const repository of await links.repositories()) {
    for (const { digest } of await links.blobs(repository)) digests.add(digest);
    for (const { digest } of await links.manifests(repository)) digests.add(digest);
  }
  let bytes = 0;
  for (const digest of digests) bytes += (await content.stat(digest))?.size ?? 0;
  assert.ok(bytes <= maxBytes, `${bytes} bytes`);
});

test('retention keeps what has a reason, tells the rest in a dry run, and deletes it otherwise', async () => {
  await using registry = await TestRegistry.open();
  const { links } = registry.repositories;
  const rule = {
    repositories: ['app'],
    keepTags: ['release-*'],
    keepLast: 2,
    keepDays: 10,
    deleteUntaggedAfterDays: 5,
  };
  const digests = new Map<string, string>();
  const ages: Record<string, number> = { 'release-1': 100, old: 50, older: 60, recent: 5, new: 1 };
  for (const [tag, days] of Object.entries(ages)) {
    digests.set(tag, await registry.pushArtifact('app', tag, tag));
    const at = new Date(Date.now() - days * DAY_MS);
    await utimes(join(registry.root, 'repositories/app/_tags', tag), at, at);
  }
  const untagged = await registry.pushArtifact('app', '', 'by digest alone');
  const file = join(registry.root, 'repositories/app/_manifests', untagged.replace(':', '-'));
  await utimes(file, new Date(), new Date(Date.now() - 6 * DAY_MS));
  await registry.pushArtifact('app', '', 'by digest alone, lately');
  await registry.pushArtifact('untouched', 'old', 'old');
  const retention = new Retention([rule]);
  const told = await retention.apply(registry.repositories, { dryRun: true });
  assert.deepEqual(
    told.map(({ tag, manifest }) => tag ?? manifest),
    ['old', 'older', untagged],
  );
  assert.equal(told[0]!.why, 'not among the newest 2, pushed more than 10 days ago');
  assert.equal((await links.tags('app'))!.length, 5);
  assert.deepEqual(await retention.apply(registry.repositories, { dryRun: false }), told);
  assert.deepEqual(await links.tags('app'), ['new', 'recent', 'release-1']);
  assert.deepEqual(await links.tags('untouched'), ['old']);
  assert.equal(await links.manifest('app', untagged), undefined);
});

test(`what a dry run tells is what then goes, and nothing else (seed ${SEED})`, async () => {
  let state = SEED;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const maybe = <T>(value: T): T | undefined => (random(2) === 0 ? value : undefined);
  let went = 0;
  for (let round = 0; round < 6; round++) {
    await using registry = await TestRegistry.open();
    const { links } = registry.repositories;
    const aged = (...path: string[]): Promise<void> => {
      const at = new Date(Date.now() - random(40) * DAY_MS - 3600_000);
      return utimes(join(registry.root, 'repositories', ...path), at, at);
    };
    for (const repository of ['app', 'team/app', 'team/other']) {
      for (let index = 0; index < 6; index++) {
        // Contents are shared, so that tags are, and some have no tag.
        const tag = random(4) === 0 ? '' : `${['v', 'release-', 'ci-'][random(3)]!}${random(4)}`;
        const digest = await registry.pushArtifact(repository, tag, `content ${random(4)}`);
        if (tag !== '') {
          await aged(repository, '_tags', tag);
          await fetch(`http://${registry.host}/v2/${repository}/manifests/${tag}`, { method: 'HEAD' });
        }
        await aged(repository, '_manifests', digest.replace(':', '-'));
      }
    }
    const rules = [
      {
        repositories: [['app', 'team/*', '**'][random(3)]!],
        keepTags: maybe(['release-*']),
        keepLast: maybe(random(4)),
        keepDays: maybe(1 + random(30)),
        keepPulledDays: maybe(1 + random(30)),
        deleteUntaggedAfterDays: maybe(1 + random(30)),
      },
      { repositories: ['team/app'], keepLast: 1, deleteUntaggedAfterDays: 1 },
    ];
    const config = join(registry.root, 'settings.json');
    // As they come from a file: what is undefined is not there.
    await writeFile(config, JSON.stringify({ retention: rules }));
    const retention = new Retention(readRegistrySettings(config).retention!);
    const all = async (): Promise<string[]> => {
      const names: string[] = [];
      for (const repository of await links.repositories()) {
        for (const tag of (await links.tags(repository)) ?? []) names.push(`${repository}:${tag}`);
        for (const { digest } of await links.manifests(repository)) names.push(`${repository}@${digest}`);
      }
      return names;
    };
    const before = await all();
    const now = Date.now();
    const told = await retention.apply(registry.repositories, { dryRun: true, now });
    assert.deepEqual(await all(), before, 'a dry run changed something');
    const done = await retention.apply(registry.repositories, { dryRun: false, now });
    assert.deepEqual(done, told);
    const after = new Set(await all());
    const gone = before.filter((name) => !after.has(name));
    assert.deepEqual(
      gone.toSorted(),
      told.map(({ repository, tag, manifest }) => `${repository}${tag ? `:${tag}` : `@${manifest}`}`).toSorted(),
      JSON.stringify(rules),
    );
    assert.deepEqual(await retention.apply(registry.repositories, { dryRun: true, now }), []);
    went += gone.length;
    // What stays is whole, also after the collection that follows.
    await registry.repositories.collect({ graceMs: -1000 });
    for (const name of after) {
      const [, repository, reference] = /^([^:@]+)[:@](.*)$/.exec(name)!;
      const url = `http://${registry.host}/v2/${repository}`;
      const manifest = await fetch(`${url}/manifests/${reference}`);
      assert.equal(manifest.status, 200, name);
      const { config: blob } = (await manifest.json()) as { config: { digest: string } };
      assert.equal((await fetch(`${url}/blobs/${blob.digest}`)).status, 200, name);
    }
  }
  assert.ok(went > 10, `${went} in all`);
});

test('retention by pulls: what is pulled stays', async () => {
  await using registry = await TestRegistry.open();
  const month = new Date(Date.now() - 30 * DAY_MS);
  for (const tag of ['pulled', 'forgotten']) {
    await registry.pushArtifact('app', tag, tag);
    await utimes(join(registry.root, 'repositories/app/_tags', tag), month, month);
  }
  await fetch(`http://${registry.host}/v2/app/manifests/pulled`);
  const recently = async (): Promise<boolean> =>
    (await registry.repositories.links.tagTimes('app')).some(({ readAt }) => readAt.getTime() > Date.now() - DAY_MS);
  while (!(await recently())) await new Promise(setImmediate);
  const rules = [{ repositories: ['**'], keepPulledDays: 7 }];
  const expired = await new Retention(rules).apply(registry.repositories, { dryRun: true });
  assert.deepEqual(expired, [{ repository: 'app', tag: 'forgotten', why: 'not pulled for 7 days' }]);
});

test('prune beside a running server only tells', async () => {
  await using registry = await TestRegistry.open();
  for (const tag of ['1', '2']) await registry.pushArtifact('app', tag, tag);
  const old = new Date(Date.now() - DAY_MS);
  await utimes(join(registry.root, 'repositories/app/_tags/1'), old, old);
  const config = join(registry.root, 'settings.json');
  await writeFile(config, JSON.stringify({ retention: [{ repositories: ['**'], keepLast: 1 }] }));
  const main = new URL('../../src/registry/main.ts', import.meta.url).pathname;
  const prune = (...args: string[]): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, [main, 'prune', '--root', registry.root, '--config', config, ...args]);
  assert.match((await prune('--dry-run')).stdout, /^would delete app:1: not among the newest 1\n1 would be deleted\n$/);
  // This process is one, and its command line says so.
  await writeFile(join(registry.root, 'server.pid'), String(process.pid));
  await assert.rejects(prune(), /a registry serves .* already/);
  await writeFile(join(registry.root, 'server.pid'), '999999999');
  assert.match((await prune()).stdout, /^deleted app:1: .*\ndeleted 1, and 0 blobs/);
  await writeFile(config, '{"retention":[{"repositories":["**"],"keep":1}]}');
  await assert.rejects(prune(), /retention\[0\]\.keep is no setting/);
  assert.throws(() => readRegistrySettings(config), { code: 'invalid-argument' });
});

interface Told {
  readonly action: string;
  readonly target: { readonly repository: string; readonly tag?: string };
}

/** Takes events; refuses the first `refusals` requests. */
async function receiver(
  refusals: number,
): Promise<{ url: string; events: Told[]; signed: boolean[] } & AsyncDisposable> {
  const events: Told[] = [];
  const signed: boolean[] = [];
  let left = refusals;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString();
    if (left-- > 0) return void response.writeHead(503).end();
    events.push(...(JSON.parse(body) as { events: Told[] }).events);
    const expected = createHmac('sha256', 'key').update(body).digest('hex');
    signed.push(request.headers['x-gantry-signature'] === `sha256=${expected}`);
    response.end();
  };
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    events,
    signed,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('webhooks tell in order and again, signed, and lose the oldest when nobody takes them', async () => {
  await using one = await receiver(3);
  const reports: string[] = [];
  const options = { report: (line: string) => reports.push(line), readSecret: (file: string) => file, firstDelayMs: 1 };
  const webhooks = new Webhooks(
    [{ url: one.url, secretFile: 'key', repositories: ['app'], events: ['push', 'delete'] }],
    options,
  );
  await using registry = await TestRegistry.open({ events: (event) => webhooks.publish(event) });
  await registry.pushArtifact('app', '1', 'one');
  await registry.pushArtifact('other', '1', 'one');
  await fetch(`http://${registry.host}/v2/app/manifests/1`);
  await fetch(`http://${registry.host}/v2/app/manifests/1`, { method: 'DELETE' });
  while (one.events.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(
    one.events.map(({ action, target }) => [action, target.repository, target.tag]),
    [
      ['push', 'app', '1'],
      ['delete', 'app', '1'],
    ],
  );
  assert.deepEqual(one.signed, [true, true]);
  webhooks.close();

  await using deaf = await receiver(Infinity);
  const losing = new Webhooks([{ url: deaf.url }], { ...options, firstDelayMs: 100_000 });
  for (let count = 0; count < 1500; count++) {
    losing.publish({ action: 'push', repository: 'app', subject: undefined, from: undefined });
  }
  assert.equal(losing.waiting, 1000);
  assert.equal(losing.dropped, 500);
  losing.close();
});

test('metrics count requests, bytes and times, with no label of a client’s making', async () => {
  const metrics = new Metrics();
  await using registry = await TestRegistry.open({ metrics });
  await registry.pushArtifact('app', '1', 'x'.repeat(10_000));
  await (await fetch(`http://${registry.host}/v2/app/manifests/1`)).text();
  await (await fetch(`http://${registry.host}/v2/app/manifests/evil%22%0Alabel`)).text();
  await using server = await metrics.serve({ host: '127.0.0.1', port: 0 });
  const { port } = server.address() as AddressInfo;
  const read = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const wanted = 'gantry_registry_requests_total{method="GET",kind="manifest",status="200"} 1';
  let text = await read();
  while (!text.includes(wanted)) text = await read();
  assert.match(text, /gantry_registry_requests_total\{method="PUT",kind="manifest",status="201"\} 1/);
  assert.ok(Number(/received_bytes_total (\d+)/.exec(text)![1]) > 10_000);
  assert.doesNotMatch(text, /evil/);
  for (const line of text.trimEnd().split('\n'))
    assert.match(line, /^(# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? [\d.e+-]+)$/);
});
