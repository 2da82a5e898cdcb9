/** Hostile Dockerfiles against the builder: each line of docs/security.md that names this file. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { Engine } from '../../src/index.ts';
import { printed, withEngine } from '../support/private-engine.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

/** What the build printed, or why it failed. */
async function build(engine: Engine, ...lines: string[]): Promise<string> {
  let log = '';
  try {
    await engine.build({
      dockerfileText: ['FROM busybox AS base', ...lines].join('\n'),
      networkMode: 'none',
      noCache: true,
      outputs: [{ type: 'cacheonly' }],
      onLog: (text) => void (log += text),
    });
  } catch (error) {
    return `${log}\nrefused: ${(error as Error).message}`;
  }
  return log;
}

const STATUS = 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status | tr -d "\\t" | tr "\\n" " "';
const DENIED =
  'mount -t tmpfs x /tmp || echo no mount; unshare -U true || echo no namespaces; echo x > /proc/sys/kernel/hostname || echo no sysctl; cat /proc/kcore | wc -c; mknod /disk b 254 0; head -c1 /disk || echo no disk';

test('a step of a build is confined as a container is (47)', () =>
  withEngine(async (engine) => {
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sh', '-c', `${STATUS}; echo; ${DENIED}`],
      HostConfig: { NetworkMode: 'none' },
    });
    const exit = await engine.containers.wait(Id, 'next-exit');
    await engine.containers.start(Id);
    await exit.outcome;
    const { output } = await engine.containers.logs(Id, { stdout: true, stderr: false });
    const container = (await printed(output)).stdout.split('\n').filter((line) => line !== '');
    assert.match(container[0]!, /CapEff:00000000a80425fb .*NoNewPrivs:0 Seccomp:2/);
    const step = await build(engine, `RUN ${STATUS}; echo; ${DENIED}`);
    for (const line of container) assert.ok(step.includes(line.trim()), `${line}\n${step}`);
    for (const words of ['no mount', 'no namespaces', 'no sysctl', 'no disk']) assert.ok(step.includes(words), step);
  }));

test('a working directory among descriptors reaches nothing of the host (36)', () =>
  withEngine(async (engine, { directory }) => {
    writeFileSync(join(directory, 'canary'), 'untouched');
    for (let fd = 3; fd < 10; fd++) {
      const said = await build(engine, `WORKDIR /proc/self/fd/${fd}`, 'RUN pwd -P; ls ../../../../etc/debian_version');
      assert.doesNotMatch(said, /^[./]*etc\/debian_version$/m, `${fd}: ${said}`);
      const up = await build(
        engine,
        `WORKDIR /proc/self/fd/${fd}/../../..${directory}`,
        'RUN cat canary; echo x > canary',
      );
      assert.doesNotMatch(up, /^untouched$/m, up);
    }
    assert.equal(readFileSync(join(directory, 'canary'), 'utf8'), 'untouched');
  }));

test('places of mounts that a step moves away are cleaned up nowhere else (38)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = join(directory, 'canary');
    mkdirSync(join(canary, 'y/z'), { recursive: true });
    writeFileSync(join(canary, 'y/z/file'), 'untouched');
    for (const kind of ['type=tmpfs', 'type=cache', 'type=bind,from=base,source=/etc']) {
      const said = await build(
        engine,
        'FROM busybox',
        `RUN --mount=${kind},target=/x/y/z mv /x /gone || mv /x/y /gone || true; rm -rf /x 2>/dev/null; ln -s ${canary} /x; ls -ld /x`,
      );
      assert.doesNotMatch(said, /untouched|refused: cannot/);
      assert.deepEqual(readdirSync(join(canary, 'y/z')), ['file'], `${kind}: ${said}`);
      assert.equal(readFileSync(join(canary, 'y/z/file'), 'utf8'), 'untouched');
    }
  }));

test('a source or target of a mount that is a link stays inside, also while it is swapped (37)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = join(directory, 'canary');
    mkdirSync(canary);
    writeFileSync(join(canary, 'secret'), 'of-the-host');
    const links = [
      `RUN ln -s ${canary} /link && ln -s ../../../../../../..${canary} /up && mkdir /real && echo inside > /real/f`,
    ];
    for (const source of ['/link', '/up', '/link/secret']) {
      const said = await build(
        engine,
        ...links,
        'FROM busybox',
        `RUN --mount=type=bind,from=base,source=${source},target=/m ls /m; cat /m/secret /m`,
      );
      assert.doesNotMatch(said, /of-the-host/, source);
    }
    const target = await build(
      engine,
      ...links,
      'RUN --mount=type=tmpfs,target=/link/deep touch /link/deep/x; echo > /link/made; true',
    );
    assert.doesNotMatch(target, /of-the-host/);
    assert.deepEqual(readdirSync(canary), ['secret']);
    // one step swaps what is in a shared cache while others mount a part of it
    const swap = `RUN --mount=type=cache,id=race,target=/c i=0; while [ $i -lt 400 ]; do rm -rf /c/part; mkdir /c/part; rm -rf /c/part; ln -s ${canary} /c/part; i=$((i+1)); done`;
    const look = (index: number): string =>
      `RUN --mount=type=cache,id=race,target=/c i=0; while [ $i -lt 100 ]; do cat /c/part/secret 2>/dev/null; touch /c/part/x${index} 2>/dev/null; i=$((i+1)); done; true`;
    const others = Array.from({ length: 4 }, (_, index) => build(engine, look(index)));
    const said = await Promise.all([build(engine, swap), ...others]);
    for (const text of said) assert.doesNotMatch(text, /of-the-host/);
    assert.deepEqual(readdirSync(canary), ['secret']);
  }));

test('a frontend is neither fetched nor run, and asks for nothing that was not allowed (39)', () =>
  withEngine(async (engine) => {
    const asked: string[] = [];
    const registry = createServer((request, response) => {
      asked.push(request.url!);
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => registry.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
    try {
      for (const head of [`# syntax=${host}/evil/frontend:1`, `# syntax = ${host}/evil@sha256:${'0'.repeat(64)}`]) {
        let log = '';
        const words = await engine
          .build({
            dockerfileText: `${head}\nFROM busybox\nRUN echo built-in language`,
            buildArgs: { BUILDKIT_SYNTAX: `${host}/evil/frontend:2` },
            networkMode: 'none',
            noCache: true,
            outputs: [{ type: 'cacheonly' }],
            onLog: (text) => void (log += text),
          })
          .then(
            () => log,
            (error: Error) => `refused: ${error.message}`,
          );
        assert.match(words, /built-in language/, words);
      }
      assert.deepEqual(asked, []);
    } finally {
      registry.close();
    }
    for (const [flag, entitlement] of [
      ['--security=insecure', 'security.insecure'],
      ['--network=host', 'network.host'],
    ] as const) {
      const said = await build(engine, `RUN ${flag} echo let through`);
      assert.match(said, new RegExp(`refused: .*RUN ${flag} is not allowed: build with --allow ${entitlement}`), said);
      assert.doesNotMatch(said, /^let through$/m);
    }
  }));
