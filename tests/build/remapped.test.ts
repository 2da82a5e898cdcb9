/** Builds of an engine with userns-remap: commands run as nobody of the host, and give what they give without. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { errorMessage } from '../../src/base/errors.ts';
import type { Bytes } from '../../src/content/content-store.ts';
import type { BuildSession } from '../../src/engine/builder/build-session.ts';
import type { BuildRequest } from '../../src/engine/engine.ts';
import { Engine } from '../../src/index.ts';
import { GRAPH_CASES } from '../buildkit/graph-cases.ts';
import { type GraphResult, runGraph } from '../buildkit/run-graph.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { type PrivateRoots, privateRoots } from '../support/private-engine.ts';
import { BASE, contextArchive } from './conformance/case.ts';
import { CASES } from './conformance/cases.ts';

const RANGE = { base: 400_000, size: 65_536 };

/** Of the conformance cases, those whose files a command makes, or sees by a mount: the others tell of texts. */
const ABOUT_OWNERS = /^run .*(mount|cache|secret|bind|hosts|user)|^ref: (bind|cache|secret|user)/;

interface Built {
  readonly id?: string;
  readonly log: string;
  readonly error?: string;
}

describe('RUN in the engine’s user namespace', { concurrency: 4 }, () => {
  const engines: { readonly roots: PrivateRoots; readonly engine: Engine }[] = [];

  before(async () => {
    for (const usernsRemap of [undefined, { uid: RANGE, gid: RANGE }]) {
      const roots = await privateRoots();
      // the runtime looks for the root filesystem with the step's ids
      await chmod(roots.directory, 0o711);
      const engine = await Engine.open({ ...roots.options, ...(usernsRemap && { usernsRemap }) });
      engines.push({ roots, engine });
      await engine.images.pull('busybox', {});
      await engine.images.tag('busybox', BASE);
    }
  });
  after(async () => {
    for (const { engine, roots } of engines) {
      await engine.close();
      await roots.discard();
    }
  });

  /** With the host's ids, and with the range. */
  function both(request: BuildRequest, session?: BuildSession, context?: Uint8Array): Promise<Built[]> {
    return Promise.all(engines.map(({ engine }) => build(engine, request, session, context)));
  }

  for (const [name, one] of Object.entries(CASES)) {
    if (!/^\s*(ONBUILD )?RUN/m.test(one.dockerfile) || !ABOUT_OWNERS.test(name)) continue;
    test(`the same image: ${name}`, async () => {
      const context = await contextArchive(one);
      const request = {
        ...(one.args && { buildArgs: one.args }),
        ...(one.labels && { labels: one.labels }),
        ...(one.target !== undefined && { target: one.target }),
      };
      const [plain, remapped] = await both(request, undefined, context);
      assert.equal(remapped!.id, plain!.id, `${plain!.log}\n${plain!.error}\n${remapped!.log}\n${remapped!.error}`);
      assert.equal(remapped!.error?.slice(0, 60), plain!.error?.slice(0, 60));
    });
  }

  test('the process is nobody’s of the host, its files and mounts are whose they are without', async () => {
    const mounts = [
      'type=bind,source=a.txt,target=/m/file',
      'type=bind,source=dir,target=/m/dir,rw',
      'type=bind,source=secret.key,target=/m/key,rw',
      'type=bind,from=other,source=/o,target=/m/stage',
      'type=bind,from=other,source=/o,target=/m/written,rw',
      'type=cache,id=c,target=/m/cache,uid=7,gid=8,mode=0750',
      'type=cache,id=d,target=/m/filled,from=other,source=/o',
      'type=secret,id=s,target=/m/secret,uid=9,gid=10,mode=0440',
      'type=secret,id=s,target=/m/own',
      'type=tmpfs,target=/m/memory',
      'type=ssh,uid=3,gid=4',
    ].map((text) => `--mount=${text}`);
    const dockerfile = [
      'FROM busybox AS other',
      'RUN mkdir /o && echo five > /o/five && chown -R 5:6 /o && chmod 600 /o/five',
      'FROM busybox',
      'COPY --chown=5:6 --chmod=640 a.txt /copied',
      'RUN ln /copied /linked && chown 11:12 /linked && mknod /fifo p && echo made:x:77: >> /etc/group',
      `RUN ${mounts.join(' ')} stat -c '%u:%g %a %n' $(find /m) /copied /linked /bin /tmp /etc/hosts /etc/resolv.conf /dev /dev/shm $SSH_AUTH_SOCK && \\`,
      '  cat /m/secret /m/own /m/stage/five /m/key && touch /m/cache/made /m/filled/made /m/memory/made && ls -ln /m/filled && \\',
      '  echo over > /m/written/five && cat /m/written/five && echo over > /m/key && echo new > /m/dir/new && chown 5:6 /m/dir/new && \\',
      '  mkdir /d && cp -a /m/stage /m/written /m/dir /m/key /d && chmod 4755 /d/key && cat /proc/self/uid_map > /dev/null',
      'RUN --mount=type=cache,id=c,target=/c stat -c "%u:%g %n" /c /c/made',
      'RUN <<EOF',
      '#!/bin/sh',
      'stat -c "%u:%g %n" "$0" && echo by script > /script',
      'EOF',
      'USER 33:34',
      'WORKDIR /home/of/33',
      'RUN id -u; id -g; touch /tmp/mine 2>/dev/null; stat -c "%u:%g %n" . /home',
    ].join('\n');
    const session: BuildSession = {
      secret: async () => Buffer.from('word\n'),
      sshAgent: async () => new Duplex({ read() {}, write: (_, __, done) => done() }),
    };
    const context = await contextArchive(CASES[Object.keys(CASES)[0]!]!);
    const request = { dockerfileText: dockerfile, networkMode: 'none' };
    const [plain, remapped] = await both(request, session, context);
    assert.equal(plain!.error, undefined, plain!.log);
    assert.equal(remapped!.error, undefined, remapped!.log);
    const lines = ({ log }: Built): string[] => log.split('\n').filter((line) => !line.includes('Successfully'));
    assert.deepEqual(lines(remapped!), lines(plain!));
    assert.equal(remapped!.id, plain!.id);
    for (const line of ['5:6 600 /m/stage/five', '7:8 750 /m/cache', '9:10 440 /m/secret', '0:0 400 /m/own'])
      assert.ok(lines(remapped!).includes(line), `${line}\n${remapped!.log}`);

    const maps = await both({
      dockerfileText: 'FROM busybox\nRUN cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; cat /proc/self/status',
      networkMode: 'none',
      noCache: true,
    });
    assert.match(maps[0]!.log, /^ 0 0 4294967295$/m);
    assert.equal(maps[1]!.log.match(/^ 0 400000 65536$/gm)?.length, 2, maps[1]!.log);
  });

  test('a network that it may configure, and the internet’s door as without', async () => {
    const text = 'FROM busybox\nRUN ip addr show | grep -c inet; hostname; cat /etc/hosts | grep -c localhost';
    const [plain, remapped] = await both({ dockerfileText: text });
    assert.equal(remapped!.error, undefined, remapped!.log);
    assert.equal(remapped!.id, plain!.id, remapped!.log);
  });

  test('the host’s network and rights over it are refused before anything runs', async () => {
    const refused: readonly [string, BuildRequest, RegExp][] = [
      ['RUN --network=host echo let through', { allow: ['network.host'] }, /share the host's network namespace/],
      ['RUN echo let through', { networkMode: 'host' }, /share the host's network namespace/],
      ['RUN --security=insecure echo let through', { allow: ['security.insecure'] }, /privileged mode is incompatible/],
    ];
    for (const [line, request, words] of refused) {
      const [, remapped] = await both({ ...request, noCache: true, dockerfileText: `FROM busybox\n${line}` });
      assert.match(remapped!.error ?? '', words);
      assert.match(remapped!.error!, /with userns-remap every RUN is in a user namespace/);
      assert.doesNotMatch(remapped!.log, /^let through$/m);
    }
  });

  test('a step that failed is entered with the same ids', async () => {
    const seen: string[] = [];
    const session: BuildSession = {
      secret: async () => undefined,
      sshAgent: async () => undefined,
      shell: async (step) => {
        const shell = await step.enter({ rows: 24, columns: 200 });
        await shell.write(Buffer.from('stat -c %u:%g:%n /left /c; tr -s " " < /proc/self/uid_map; exit\n'));
        let text = '';
        for await (const { data } of shell.output) text += Buffer.from(data).toString();
        seen.push(text.replaceAll('\r', ''));
        await shell.ended;
      },
    };
    const failed = await both(
      {
        dockerfileText: 'FROM busybox\nRUN --mount=type=cache,id=e,target=/c touch /left && exit 3',
        networkMode: 'none',
        noCache: true,
        enterFailed: true,
      },
      session,
    );
    for (const { error } of failed) assert.match(error ?? '', /returned a non-zero code: 3/);
    assert.equal(seen.length, 2);
    for (const text of seen) assert.match(text, /^0:0:\/left\n0:0:\/c$/m);
    assert.equal(seen.filter((text) => /^ 0 400000 65536$/m.test(text)).length, 1, seen.join('\n---\n'));
  });
});

test('definitions of BuildKit’s clients give the same in a user namespace', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-remapped-'));
  await chmod(directory, 0o711);
  const ids = join(directory, 'ids');
  await writeFile(ids, `games:${RANGE.base}:${RANGE.size}\n`);
  const script = `mount --bind ${ids} /etc/subuid && mount --bind ${ids} /etc/subgid && exec "$@"`;
  const daemon = new DaemonProcess({
    directory,
    args: ['--userns-remap', 'games'],
    within: ['unshare', '-m', 'sh', '-c', script, 'sh'],
  });
  const expected = JSON.parse(
    readFileSync(new URL('../buildkit/graph-expected.json', import.meta.url), 'utf8'),
  ) as Record<string, GraphResult>;
  await daemon.start();
  try {
    await daemon.importBusybox();
    const cases = GRAPH_CASES.filter(({ name }) => name.startsWith('run: ') && expected[name]?.files);
    assert.ok(cases.length >= 10, String(cases.length));
    for (const one of cases) assert.deepEqual(await runGraph(daemon.socket, one), expected[one.name], one.name);
  } finally {
    await daemon.stop();
  }
  assert.deepEqual(await leftBehind(daemon), []);
  await rm(directory, { recursive: true });
});

async function build(
  engine: Engine,
  request: BuildRequest,
  session: BuildSession | undefined,
  context: Uint8Array | undefined,
): Promise<Built> {
  let log = '';
  const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
  try {
    const { id } = await engine.builder.build(context && bytes(context), request, {
      onProgress,
      ...(session && { session }),
    });
    return { id, log };
  } catch (error) {
    return { log, error: errorMessage(error) };
  }
}

async function* bytes(content: Uint8Array): Bytes {
  yield content;
}
