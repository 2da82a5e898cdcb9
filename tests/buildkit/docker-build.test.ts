/** `POST /build?version=2`: builds as the docker CLI of 18.09 to 20.10 asks for them with DOCKER_BUILDKIT=1; and versions of clients. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fromBinary } from '@bufbuild/protobuf';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StatusResponseSchema } from '../../src/buildkit/protocol/control_pb.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { openSession } from './protocol-client.ts';

interface Line {
  readonly id?: string;
  readonly aux?: unknown;
  readonly stream?: string;
  readonly error?: string;
}

interface Answer {
  readonly status: number;
  readonly lines: readonly Line[];
  /** Names of the steps that were told. */
  readonly steps: readonly string[];
  readonly image: string | undefined;
}

const directory = mkdtempSync(join(tmpdir(), 'gantry-docker-build-'));
const daemon = new DaemonProcess({ directory });
let archive: Buffer;

function post(query: Record<string, string>, body?: Buffer, version = 'v1.41'): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const path = `/${version}/build?${new URLSearchParams(query).toString()}`;
  const asked = request({ socketPath: daemon.socket, method: 'POST', path }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const lines = text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => JSON.parse(line) as Line);
      const steps = lines
        .filter(({ id }) => id === 'moby.buildkit.trace')
        .flatMap(({ aux }) => fromBinary(StatusResponseSchema, Buffer.from(aux as string, 'base64')).vertexes)
        .map(({ name }) => name);
      const image = lines.find(({ id }) => id === 'moby.image.id')?.aux as { ID: string } | undefined;
      resolve({ status: response.statusCode ?? 0, lines, steps, image: image?.ID });
    });
  });
  asked.once('error', reject);
  asked.end(body);
  return promise;
}

const show = (name: string, file: string): string =>
  execFileSync('docker', ['run', '--rm', '--network=none', name, 'cat', file], {
    env: daemon.clientEnv,
    encoding: 'utf8',
  }).trim();

describe("BuildKit's builds by POST /build", { concurrency: 1 }, () => {
  before(async () => {
    const context = join(directory, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nARG A=none\nCOPY a.txt /a\nRUN echo $A >/b\n');
    writeFileSync(join(context, 'a.txt'), 'of the archive\n');
    archive = execFileSync('tar', ['-c', '-C', context, '.']);
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('an archive in the request itself, without a session', async () => {
    const answer = await post({ version: '2', t: 'by-archive', buildargs: '{"A":"given"}' }, archive);
    assert.equal(answer.status, 200);
    assert.ok(
      answer.steps.some((name) => name.includes('RUN echo given')),
      answer.steps.join('\n'),
    );
    assert.match(answer.image ?? '', /^sha256:/);
    assert.deepEqual([show('by-archive', '/a'), show('by-archive', '/b')], ['of the archive', 'given']);
  });

  test('files and secrets of a session, as the docker CLI has them', async () => {
    const session = await openSession(daemon.socket, {
      directories: {
        context: { 'a.txt': 'of the session' },
        dockerfile: {
          Dockerfile: 'FROM busybox\nCOPY a.txt /a\nRUN --mount=type=secret,id=s cat /run/secrets/s >/b\n',
        },
      },
      secrets: { s: 'a secret' },
    });
    const query = { version: '2', session: session.id, remote: 'client-session', buildid: 'one', t: 'by-session' };
    const answer = await post(query);
    session.close();
    assert.match(answer.image ?? '', /^sha256:/, JSON.stringify(answer.lines));
    assert.deepEqual([show('by-session', '/a'), show('by-session', '/b')], ['of the session', 'a secret']);
  });

  test('an archive that is uploaded in a request of its own', async () => {
    const session = await openSession(daemon.socket, {});
    const [uploaded, built] = await Promise.all([
      post({ version: '2', buildid: 'upload-request:two' }, archive),
      post({ version: '2', session: session.id, remote: 'upload-request', buildid: 'two', q: '1', t: 'by-upload' }),
    ]);
    session.close();
    assert.equal(uploaded.status, 200);
    assert.deepEqual([built.lines.length, /^sha256:[0-9a-f]{64}\n$/.test(built.lines[0]?.stream ?? '')], [1, true]);
    assert.equal(show('by-upload', '/a'), 'of the archive');
  });

  test('files go to the client', async () => {
    const parts: Buffer[] = [];
    const session = await openSession(daemon.socket, { onOutput: (bytes) => parts.push(bytes) });
    const outputs = JSON.stringify([{ Type: 'tar', Attrs: {} }]);
    const [, built] = await Promise.all([
      post({ version: '2', buildid: 'upload-request:three' }, archive),
      post({ version: '2', session: session.id, remote: 'upload-request', buildid: 'three', outputs }),
    ]);
    session.close();
    assert.equal(built.image, undefined);
    assert.match(execFileSync('tar', ['-t'], { input: Buffer.concat(parts), encoding: 'utf8' }), /^(\.\/)?a$/m);
  });

  test('failures are told in the answer, or with a status before it began', async () => {
    const context = join(directory, 'failing');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nRUN exit 9\n');
    const failing = execFileSync('tar', ['-c', '-C', context, '.']);
    const failed = await post({ version: '2' }, failing);
    assert.match(failed.lines.at(-1)?.error ?? '', /exit code: 9/);
    for (const [query, message] of [
      [{ version: '3' }, /invalid version "3"/],
      [{ version: '2', networkmode: 'mine' }, /network mode "mine" not supported/],
      [{ version: '2', squash: '1' }, /squash is not supported/],
      [{ version: '2', outputs: '[{"Type":"tar"},{"Type":"tar"}]' }, /multiple outputs/],
      [{ version: '2', remote: 'upload-request' }, /needs a buildid|not uploaded/],
    ] as const) {
      const answer = await post(query);
      assert.ok(answer.status >= 400, JSON.stringify([query, answer]));
      assert.match((answer.lines[0] as { message?: string }).message ?? '', message);
    }
  });

  test('a build is cancelled by its id', async () => {
    const context = join(directory, 'slow');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nRUN sleep 600\n');
    const slow = execFileSync('tar', ['-c', '-C', context, '.']);
    const building = post({ version: '2', buildid: 'slow' }, slow);
    const answered = building.then(() => true);
    let over = false;
    while (!over) {
      execFileSync('curl', [
        '-sf',
        '--unix-socket',
        daemon.socket,
        '-X',
        'POST',
        'http://x/v1.41/build/cancel?id=slow',
      ]);
      over = await Promise.race([answered, new Promise<false>((resolve) => setTimeout(resolve, 200, false))]);
    }
    const { status, lines } = await building;
    assert.match(JSON.stringify([status, lines.at(-1)]), /cancel/i);
  });

  test('clients that are too old or too new are told which versions there are', async () => {
    const old = await post({ version: '2' }, archive, 'v1.12');
    assert.equal(old.status, 400);
    assert.match((old.lines[0] as { message?: string }).message ?? '', /client version 1\.12 is too old.*1\.24/s);
    const recent = await post({ version: '2' }, archive, 'v1.999');
    assert.equal(recent.status, 400);
    assert.match((recent.lines[0] as { message?: string }).message ?? '', /client version 1\.999 is too new/);
    const ping = await fetchPing();
    assert.match(ping['api-version'] ?? '', /^1\.\d+$/);
    assert.equal(ping['builder-version'], '2');
  });

  function fetchPing(): Promise<Record<string, string | undefined>> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: daemon.socket, path: '/_ping' }, (response) => {
        response.resume();
        resolve(response.headers as Record<string, string | undefined>);
      });
      asked.once('error', reject);
      asked.end();
    });
  }
});
