import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import type { BuildRequest } from '../../src/engine/engine.ts';
import { Engine } from '../../src/index.ts';
import { privateRoots, withEngine } from '../support/private-engine.ts';

type Files = Readonly<Record<string, string>>;

interface Built {
  readonly id: string;
  readonly log: string;
}

async function build(engine: Engine, files: Files, request: BuildRequest = {}, signal?: AbortSignal): Promise<Built> {
  const entries = Object.entries(files).map(([name, text]) => ({
    header: tarHeader({ type: 'file', name, size: Buffer.byteLength(text), mode: 0o644 }),
    body: [Buffer.from(text)],
  }));
  let log = '';
  const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
  const { id } = await engine.builder.build(writeTar(entries), request, { onProgress, ...(signal && { signal }) });
  return { id, log };
}

/** Texts of the steps that were run, not taken from the cache. */
function ran({ log }: Built): string[] {
  return log
    .split(/^(?=Step )/m)
    .filter((step) => /^Step \d+\/\d+ : (RUN|COPY|ADD)/.test(step) && !step.includes('Using cache'))
    .map((step) => /^Step \S+ : (.*)/.exec(step)![1]!);
}

/** Layers in the order that caches well: what changes least comes first. */
const APP: Files = {
  Dockerfile:
    'FROM busybox\nWORKDIR /app\nCOPY package.json .\nRUN echo installed >installed\nCOPY src src\nCMD ["cat", "src/app.js"]\n',
  'package.json': '{}',
  'src/app.js': 'one',
};

test('a build is what its inputs are: unchanged, a source file changed, the packages changed', async () => {
  await withEngine(async (engine) => {
    const first = await build(engine, APP);
    assert.deepEqual(ran(first), ['COPY package.json .', 'RUN echo installed >installed', 'COPY src src']);

    const again = await build(engine, APP);
    assert.deepEqual(ran(again), []);
    assert.equal(again.id, first.id);

    const source = await build(engine, { ...APP, 'src/app.js': 'two' }, { explain: true });
    assert.deepEqual(ran(source), ['COPY src src']);
    assert.match(source.log, /Not cached: file app\.js changed\n/);

    const packages = await build(engine, { ...APP, 'package.json': '{"a":1}' }, { explain: true });
    assert.deepEqual(ran(packages), ['COPY package.json .', 'RUN echo installed >installed', 'COPY src src']);
    assert.match(packages.log, /COPY package\.json \.\n ---> Not cached: file package\.json changed\n/);
    assert.match(packages.log, /RUN echo installed >installed\n ---> Not cached: a step below changed/);

    const argument = { ...APP, Dockerfile: 'FROM busybox\nARG V=1\nRUN echo $V >/v\n' };
    await build(engine, argument);
    const other = await build(engine, argument, { buildArgs: { V: '2' }, explain: true });
    assert.match(other.log, /Not cached: ARG V changed\n/);

    const uncached = await build(engine, APP, { noCache: true, explain: true });
    assert.equal(ran(uncached).length, 3);
    assert.match(uncached.log, /Not cached: the build was asked not to use the cache/);

    await engine.builder.prune({ all: true });
    assert.deepEqual(await engine.builder.diskUsage(), []);
    assert.equal(ran(await build(engine, APP)).length, 3);
  });
});

test('the cache survives the engine', async () => {
  const roots = await privateRoots();
  let engine = await Engine.open(roots.options);
  await engine.images.pull('busybox', {});
  const first = await build(engine, APP);
  await engine.close();
  engine = await Engine.open(roots.options);
  const again = await build(engine, APP);
  assert.deepEqual(ran(again), []);
  assert.equal(again.id, first.id);
  await engine.close();
  await roots.discard();
});

test('stages that do not need each other run side by side, in an order that can be read', async () => {
  await withEngine(async (engine) => {
    // Each waits for the other through a cache that both share: one after the other, neither would end.
    const meet = (own: string, other: string): string =>
      `RUN --mount=type=cache,id=meet,target=/m touch /m/${own} && i=0; until [ -e /m/${other} ]; do sleep 0.05; i=$((i+1)); [ $i -lt 600 ]; done; echo ${own} done >/${own}`;
    const built = await build(engine, {
      Dockerfile: `FROM busybox AS left\n${meet('l', 'r')}\nFROM busybox AS right\n${meet('r', 'l')}\nFROM scratch\nCOPY --from=left /l /\nCOPY --from=right /r /\n`,
    });
    const steps = [...built.log.matchAll(/^Step (\d+)\//gm)].map((match) => Number(match[1]));
    assert.deepEqual(
      steps,
      steps.toSorted((a, b) => a - b),
    );
  });
});

test('a step that two builds want at once runs once', async () => {
  await withEngine(async (engine) => {
    const files = {
      Dockerfile:
        'FROM busybox\nRUN --mount=type=cache,id=count,target=/c echo x >>/c/runs; sleep 1; cp /c/runs /runs\n',
    };
    const [one, two] = await Promise.all([build(engine, files), build(engine, files)]);
    assert.equal(one.id, two.id);
    const check = {
      Dockerfile: 'FROM busybox\nRUN --mount=type=cache,id=count,target=/c [ "$(wc -l </c/runs)" = 1 ]\n',
    };
    await build(engine, check);
  });
});

test('builds without a cache run a step once when they want it at the same time, and again afterwards', async () => {
  await withEngine(async (engine) => {
    const files = { Dockerfile: 'FROM busybox\nRUN sleep 2; cat /proc/sys/kernel/random/uuid >/id\nRUN echo x >/x\n' };
    const fresh = { noCache: true };
    const before = await build(engine, files);
    const [one, two] = await Promise.all([build(engine, files, fresh), build(engine, files, fresh)]);
    assert.equal(one.id, two.id);
    assert.notEqual(one.id, before.id, 'what was there before is not used');
    assert.match(one.log + two.log, /Shared with another build/);
    const later = await build(engine, files, fresh);
    assert.notEqual(later.id, one.id);
    assert.doesNotMatch(later.log, /Shared|Using cache/);
  });
});

test('a build whose client went away ends at once, and the one that waited for its step goes on', async () => {
  await withEngine(async (engine) => {
    const files = { Dockerfile: 'FROM busybox\nRUN sleep 2; echo done >/done\n' };
    const client = new AbortController();
    const leaving = build(engine, files, {}, client.signal);
    leaving.catch(() => undefined);
    const staying = build(engine, files);
    await delay(700);
    client.abort();
    await assert.rejects(leaving);
    await staying;
    assert.deepEqual(ran(await build(engine, files)), []);
  });
});

test('caches of mounts are listed, kept by a prune of unused records, and removed by one of all', async () => {
  await withEngine(async (engine) => {
    await build(engine, {
      Dockerfile: 'FROM busybox\nRUN --mount=type=cache,target=/root/.npm echo 12345 >/root/.npm/a\n',
    });
    const mounts = async (): Promise<(readonly [string, number])[]> =>
      (await engine.builder.diskUsage())
        .filter(({ Type }) => Type === 'exec.cachemount')
        .map(({ Description, Size }) => [Description, Size] as const);
    assert.deepEqual(await mounts(), [['cached mount /root/.npm', 6]]);
    await engine.builder.prune({});
    assert.equal((await mounts()).length, 1);
    await engine.builder.prune({ all: true });
    assert.deepEqual(await mounts(), []);
  });
});

test('a failure shows its line, its output and its code, and stops the other stages', async () => {
  await withEngine(async (engine) => {
    const files = {
      Dockerfile: 'FROM busybox AS slow\nRUN sleep 100\nFROM busybox\nRUN echo why; exit 7\nCOPY --from=slow /x /\n',
    };
    let log = '';
    const started = Date.now();
    await assert.rejects(
      engine.builder.build(
        writeTar([
          {
            header: tarHeader({ type: 'file', name: 'Dockerfile', size: files.Dockerfile.length }),
            body: [Buffer.from(files.Dockerfile)],
          },
        ]),
        {},
        { onProgress: ({ stream }) => void (log += stream ?? '') },
      ),
      { exitCode: 7 },
    );
    assert.ok(Date.now() - started < 60_000);
    assert.match(log, /why\n/);
    await assert.rejects(
      build(engine, { Dockerfile: 'FROM busybox\nENV A=1\nRUM x\nENV B=2\n' }),
      /line 3: unknown instruction: RUM.*\nDockerfile:3\n-+\n {3}1 \| {5}FROM busybox\n {3}2 \| {5}ENV A=1\n {3}3 \| >>> RUM x\n {3}4 \| {5}ENV B=2\n-+$/s,
    );
  });
});

test('with SOURCE_DATE_EPOCH two engines make the same image', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 2; n++) {
    await withEngine(async (engine) => {
      const files = {
        ...APP,
        Dockerfile: `${APP['Dockerfile']!}RUN mkdir -p /a/b && date +%N >/dev/null && ln -s b /a/c && rm /etc/group\nCOPY <<EOF /n/m/x\nh\nEOF\n`,
      };
      const { id } = await build(engine, files, { buildArgs: { SOURCE_DATE_EPOCH: '1700000000' } });
      ids.push(id);
      assert.equal((await engine.images.inspect(id)).Created, '2023-11-14T22:13:20Z');
    });
  }
  assert.equal(ids[0], ids[1]);
});
