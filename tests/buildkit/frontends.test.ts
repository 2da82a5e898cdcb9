/** Frontends that are programs in images: what they may do, and that those which fail, lie or do not end leave nothing. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { GRPC } from '../../src/buildkit/grpc/status.ts';
import { Control, type SolveRequestSchema } from '../../src/buildkit/protocol/control_pb.ts';
import { PolicyAction } from '../../src/buildkit/protocol/policy_pb.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { importFrontend } from './frontend-image.ts';
import { pluginDirectory } from './plugins.ts';
import { controlClient, openSession } from './protocol-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-frontends-'));
const daemon = new DaemonProcess({ directory });
const IMAGE = 'frontends.test/program:1';

type Request = MessageInitShape<typeof SolveRequestSchema>;

interface Running {
  readonly done: Promise<unknown>;
  /** Resolves when the build's log has these words. */
  says(words: string): Promise<void>;
  /** The client is gone. */
  vanish(): void;
}

/** Begins a build of a Dockerfile; `onOutput` gets what was made as an archive. */
async function begin(
  text: string,
  fields: Request = {},
  onOutput?: (bytes: Buffer) => void,
  files: Readonly<Record<string, string>> = {},
  name = 'Dockerfile',
): Promise<Running> {
  const session = await openSession(daemon.socket, {
    directories: {
      dockerfile: { [name]: text },
      context: { hello: 'hi\n', ...files },
    },
    ...(onOutput && { onOutput }),
  });
  const client = await controlClient(daemon.socket);
  const Ref = randomUUID();
  const close = (): void => {
    session.close();
    client.close();
  };
  const done = client
    .unary(Control, 'solve', {
      Ref,
      Session: session.id,
      Frontend: 'dockerfile.v0',
      ...(onOutput && { Exporters: [{ Type: 'tar', Attrs: {} }] }),
      ...fields,
    })
    .finally(close);
  done.catch(() => {});
  return {
    done,
    async says(words) {
      const call = client.open(Control, 'Status', {});
      const { create, toBinary } = await import('@bufbuild/protobuf');
      const { StatusRequestSchema } = await import('../../src/buildkit/protocol/control_pb.ts');
      await call.send(toBinary(StatusRequestSchema, create(StatusRequestSchema, { Ref })));
      call.end();
      for await (const bytes of call.messages()) if (bytes.includes(words)) return;
      assert.fail(`the build ended without saying ${words}`);
    },
    vanish: close,
  };
}

const build = async (word: string, fields?: Request): Promise<unknown> =>
  (await begin(`# syntax=${IMAGE} ${word}\nFROM busybox\n`, fields)).done;

/** A file of what a build made. */
async function made(
  text: string,
  path: string,
  fields?: Request,
  files?: Readonly<Record<string, string>>,
): Promise<string> {
  let archive: Buffer | undefined;
  await (
    await begin(text, fields, (bytes) => (archive = bytes), files)
  ).done;
  return execFileSync('tar', ['-xO', path], { input: archive, encoding: 'utf8' });
}

describe('frontends that are programs', { concurrency: 1 }, () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    await importFrontend(IMAGE, daemon.clientEnv);
  });
  after(async () => {
    await daemon.stop();
    const left = await leftBehind(daemon);
    rmSync(directory, { recursive: true, force: true });
    assert.deepEqual(left, []);
  });

  test('one is told what is wanted, and every call is answered', async () => {
    const report = JSON.parse(await made(`# syntax=${IMAGE} report\nanything\n`, 'report.json')) as object;
    assert.deepEqual(report, {
      options: { cmdline: `${IMAGE} report`, source: IMAGE },
      capabilities: true,
      workers: 1,
      told: ['linux'],
      product: 'docker',
      definition: true,
      inputs: [],
      read: 'hi\n',
      listed: ['hello'],
      size: 3,
      entrypoint: 2,
      digest: true,
      network: ['eth0', 'lo'],
      directory: '/tmp',
      capabilitiesOfProcess: '00000000a80425fb',
      seccomp: '2',
    });
  });

  test('one has no network where its image says so, and is not asked for what its image does not claim', async () => {
    const text = `FROM ${IMAGE}\nLABEL moby.buildkit.frontend.network.none=true\n`;
    execFileSync('docker', ['build', '-t', 'frontends.test/alone', '-'], {
      env: daemon.clientEnv,
      input: text,
      stdio: 'pipe',
    });
    const FrontendAttrs = { source: 'frontends.test/alone', cmdline: 'x report' };
    const fields = { Frontend: 'gateway.v0', FrontendAttrs };
    assert.deepEqual(JSON.parse(await made('', 'report.json', fields)).network, ['lo']);
    const more = { ...FrontendAttrs, 'frontend.caps': 'moby.buildkit.frontend.subrequests' };
    await assert.rejects(build('report', { ...fields, FrontendAttrs: more }), {
      status: GRPC.unimplemented,
      message: /unsupported frontend capability moby.buildkit.frontend.subrequests/,
    });
    await assert.rejects(build('', { Frontend: 'gateway.v0' }), /no source specified for gateway/);
    await assert.rejects(build('', { Frontend: 'other.v0' }), { status: GRPC.unimplemented });
  });

  test('one has a Dockerfile built, by itself or by another frontend', async () => {
    for (const word of ['pass dockerfile.v0', 'outer label'])
      assert.equal(await made(`# syntax=${IMAGE} ${word}\nFROM busybox\nRUN echo built >/file\n`, 'file'), 'built\n');
  });

  test('one that fails, lies or says nothing that makes sense is ended', async () => {
    const cases: Readonly<Record<string, RegExp>> = {
      fail: /^this is no good day$/,
      'exit 3': /program:1 did not complete successfully: exit code: 3$/,
      'exit 0': /no result for incomplete build$/,
      lie: /did not complete successfully: exit code: 9$/,
      twice: /exit code: 1$/,
      strange: /no such result: of-nobody$/,
      garbage: /frontend grpc server closed unexpectedly$/,
      huge: /frontend grpc server closed unexpectedly$/,
      'flood 1': /frontend grpc server closed unexpectedly$/,
      'flood 2': /was ended: it printed more than 64 MiB to stderr$/,
    };
    for (const [word, message] of Object.entries(cases)) await assert.rejects(build(word), { message }, word);
    assert.deepEqual(readdirSync(join(directory, 'run/tasks')), []);
  });

  test('one that does not end when it has given its answer is ended', async () => {
    assert.equal(await made(`# syntax=${IMAGE} linger\n`, 'lingered'), 'x');
  });

  test('one reaches nothing that its client could not', async () => {
    const rule = { action: PolicyAction.DENY, selector: { identifier: 'docker-image://denied.invalid/*' } };
    const SourcePolicy = { rules: [rule] };
    const failed = await build('reach', { SourcePolicy }).then(
      () => assert.fail('it failed not'),
      (error: Error) => JSON.parse(error.message) as Record<string, string>,
    );
    assert.match(failed['network']!, /^7 network.host is not allowed/);
    assert.match(failed['hostOption']!, /^7 network.host is not allowed/);
    assert.match(failed['insecure']!, /^12 /);
    assert.match(failed['result']!, /^5 no such result/);
    assert.match(failed['container']!, /^12 unknown method NewContainer/);
    assert.match(failed['policy']!, /^7 /);
    const own = { ...rule, selector: { identifier: 'docker-image://frontends.test/*' } };
    await assert.rejects(build('report', { SourcePolicy: { rules: [own] } }), /frontends.test.* denied by policy/);
  });

  test('one whose client vanishes is gone with what it asked for', async () => {
    for (const word of ['hang', 'solving', 'outer hang']) {
      const running = await begin(`# syntax=${IMAGE} ${word}\n`);
      await running.says(word === 'solving' ? 'sleep 600' : 'hanging');
      running.vanish();
      await assert.rejects(running.done);
    }
    // What is busy with a build does not end before it.
    await build('exit 0').catch(() => {});
    for (let tries = 0; readdirSync(join(directory, 'run/tasks')).length > 0 && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(readdirSync(join(directory, 'run/tasks')), []);
  });

  test('one of an engine that was killed is gone with the next', async () => {
    const running = await begin(`# syntax=${IMAGE} hang\n`);
    await running.says('hanging');
    const [task] = readdirSync(join(directory, 'run/tasks'));
    const pid = readFileSync(join(directory, 'run/tasks', task!, 'pid'), 'utf8').trim();
    await daemon.kill();
    await assert.rejects(running.done);
    await daemon.start();
    assert.deepEqual(readdirSync(join(directory, 'run/tasks')), []);
    assert.equal(spawnSync('kill', ['-0', pid]).status, 1);
    await assert.rejects(build('fail'), /this is no good day/);
  });

  test('gantry build says who can build a Dockerfile that is for another frontend', () => {
    const gantry = (text: string, ...args: readonly string[]): { status: number | null; stderr: string } =>
      spawnSync(process.execPath, [daemon.cli, 'build', ...args, '-f', '-', directory], {
        env: daemon.clientEnv,
        input: text,
        encoding: 'utf8',
      });
    const refused = gantry(`# syntax=${IMAGE} report\nFROM busybox\n`);
    assert.notEqual(refused.status, 0);
    assert.match(
      refused.stderr,
      /is for the frontend frontends.test.*docker buildx build --build-arg BUILDKIT_SYNTAX=/,
    );
    const own = gantry(
      `# syntax=${IMAGE} report\nFROM busybox\n`,
      '--build-arg',
      'BUILDKIT_SYNTAX=docker/dockerfile:1',
    );
    assert.equal(own.status, 0, own.stderr);
  });

  const plugins = pluginDirectory();
  test('buildx', { skip: plugins === undefined ? 'buildx could not be had: see tools/setup-tests.sh' : false }, () => {
    const config = join(directory, 'docker');
    const context = join(directory, 'context');
    mkdirSync(join(config, 'cli-plugins'), { recursive: true });
    mkdirSync(context);
    symlinkSync(join(plugins!, 'docker-buildx'), join(config, 'cli-plugins/docker-buildx'));
    writeFileSync(join(context, 'hello'), 'hi\n');
    const buildx = (syntax: string, ...args: readonly string[]): { status: number | null; stderr: string } => {
      writeFileSync(join(context, 'Dockerfile'), `${syntax}FROM busybox\nCOPY hello /\n`);
      return spawnSync('docker', ['buildx', 'build', '--progress=plain', '-t', 'made', ...args, '.'], {
        cwd: context,
        env: { ...daemon.clientEnv, DOCKER_CONFIG: config, BUILDX_GIT_INFO: 'false' },
        encoding: 'utf8',
      });
    };
    const labels = (): unknown =>
      JSON.parse(
        execFileSync('docker', ['image', 'inspect', 'made', '--format', '{{json .Config.Labels}}'], {
          env: daemon.clientEnv,
          encoding: 'utf8',
        }),
      );
    const reported = buildx(`# syntax=${IMAGE} report\n`);
    assert.equal(reported.status, 0, reported.stderr);
    assert.match(reported.stderr, /a word of the frontend/);
    assert.match(reported.stderr, /a warning of the frontend/);
    assert.deepEqual(labels(), { 'of.frontend': 'yes' });
    const labelled = buildx('', '--build-arg', `BUILDKIT_SYNTAX=${IMAGE} label`);
    assert.equal(labelled.status, 0, labelled.stderr);
    assert.deepEqual(labels(), { 'of.frontend': 'added' });
    const ours = buildx(`# syntax=${IMAGE} fail\n`, '--build-arg', 'BUILDKIT_SYNTAX=docker/dockerfile:1');
    assert.equal(ours.status, 0, ours.stderr);
    const failed = buildx(`# syntax=${IMAGE} fail\n`);
    assert.match(failed.stderr, /1 \| >>> # syntax=.* fail[^]*this is no good day/);
    const attested = buildx(`# syntax=${IMAGE} report\n`, '--sbom=true');
    assert.match(attested.stderr, /attestations of what the frontend .* are not supported/);
  });

  test('a file of another default name, and what is ignored by one', async () => {
    const files = { '.containerignore': 'secret\n', secret: '' };
    for (const name of ['Containerfile', 'dockerfile']) {
      const text = 'FROM busybox\nCOPY . /all\nRUN test -e /all/hello && ! test -e /all/secret\n';
      await (
        await begin(text, {}, undefined, files, name)
      ).done;
    }
    const other = await begin('FROM busybox\n', {}, undefined, {}, 'Buildfile');
    await assert.rejects(other.done, /failed to read dockerfile: open Dockerfile: no such file or directory/);
  });

  test('our own language is built in: files of the context are included', async () => {
    const ours = '# syntax=gantry/dockerfile:1\nFROM busybox\n';
    const files = {
      'parts/more': 'RUN echo more >/more\nNOTHING\n',
      'parts/one': 'INCLUDE parts/two\nRUN cat /two >/one\n',
      'parts/two': 'COPY hello /two\n',
    };
    assert.equal(await made(`${ours}INCLUDE parts/one\n`, 'one', {}, files), 'hi\n');
    const printed = `${ours}INCLUDE parts/one\nENV --from-cmd SAID=cat /one\nRUN echo $SAID >/said\n`;
    assert.equal(await made(printed, 'said', {}, files), 'hi\n');
    const shown = await begin(printed, {}, undefined, files);
    await shown.says('[4/5] ENV --from-cmd SAID=cat /one');
    await shown.done;
    await assert.rejects(
      begin(`${ours}INCLUDE parts/more\n`, {}, undefined, files).then(({ done }) => done),
      (error: Error) => {
        assert.match(error.message, /^dockerfile parse error on line 2 of parts\/more: unknown instruction: NOTHING$/);
        return true;
      },
    );
    await assert.rejects(
      begin('FROM busybox\nINCLUDE parts/one\n').then(({ done }) => done),
      /unknown instruction: INCLUDE .*# syntax=gantry\/dockerfile:1/,
    );
  });
});
