/** What is announced to clients is what is done: each capability is used, and each that is not announced is refused. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { create } from '@bufbuild/protobuf';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GRPC, GrpcError } from '../../src/buildkit/grpc/status.ts';
import { Control } from '../../src/buildkit/protocol/control_pb.ts';
import { LLBBridge } from '../../src/buildkit/protocol/gateway_pb.ts';
import {
  type Definition,
  DefinitionSchema,
  MountType,
  NetMode,
  SecurityMode,
} from '../../src/buildkit/protocol/ops_pb.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { copy, Llb, mkfile, type Output, rm, symlink } from './llb.ts';
import { controlClient, openSession } from './protocol-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-capabilities-'));
const daemon = new DaemonProcess({ directory });

const local = (llb: Llb, attrs: Record<string, string> = {}): Output => llb.source('local://context', attrs);
const mount = { input: -1n, output: -1n, dest: '/m' } as const;
const run = (llb: Llb, more: Parameters<Llb['run']>[2] = {}): Output => llb.run(llb.image(), 'true', more)();
/** Nothing is there: the source is understood all the same. */
const NOWHERE = 'http://127.0.0.1:1/x';
const git = (llb: Llb, attrs: Record<string, string> = {}): Output =>
  llb.source('git://127.0.0.1:1/x.git', { 'git.fullurl': 'http://127.0.0.1:1/x.git', ...attrs });

/** A definition that needs it. Those without one are no matter of definitions: their tests are named. */
const USES: Readonly<Record<string, ((llb: Llb) => Output) | string>> = {
  'source.image': (llb) => llb.image(),
  'source.image.resolvemode': (llb) =>
    llb.source('docker-image://docker.io/library/busybox:latest', { 'image.resolvemode': 'local' }),
  'source.image.layerlimit': (llb) =>
    llb.source('docker-image://docker.io/library/busybox:latest', { 'image.layerlimit': '1' }),
  'source.local': local,
  'source.local.unique': (llb) => local(llb, { 'local.unique': 'x' }),
  'source.local.sessionid': (llb) => local(llb, { 'local.session': 'x' }),
  'source.local.includepatterns': (llb) => local(llb, { 'local.includepattern': '["a"]' }),
  'source.local.followpaths': (llb) => local(llb, { 'local.followpaths': '["a"]' }),
  'source.local.excludepatterns': (llb) => local(llb, { 'local.excludepatterns': '["b"]' }),
  'source.local.sharedkeyhint': (llb) => local(llb, { 'local.sharedkeyhint': 'x' }),
  'source.local.differ': (llb) => local(llb, { 'local.differ': 'none' }),
  'source.git': git,
  'source.git.keepgitdir': (llb) => git(llb, { 'git.keepgitdir': 'true' }),
  'source.git.fullurl': git,
  'source.git.httpauth': (llb) => git(llb, { 'git.authtokensecret': 'GIT_AUTH_TOKEN' }),
  'source.git.knownsshhosts': (llb) => git(llb, { 'git.knownsshhosts': 'x' }),
  'source.git.mountsshsock': (llb) => git(llb, { 'git.mountsshsock': 'default' }),
  'source.git.subdir': (llb) =>
    llb.source('git://127.0.0.1:1/x.git#main:sub', { 'git.fullurl': 'http://127.0.0.1:1/x.git' }),
  'source.http': (llb) => llb.source(NOWHERE),
  'source.http.checksum': (llb) => llb.source(NOWHERE, { 'http.checksum': sha256('x') }),
  'source.http.perm': (llb) => llb.source(NOWHERE, { 'http.perm': '0600' }),
  'soruce.http.uidgid': (llb) => llb.source(NOWHERE, { 'http.uid': '1', 'http.gid': '1' }),
  'source.ocilayout': (llb) => llb.source(`oci-layout://x@${sha256('x')}`),
  'exec.meta.base': run,
  'exec.meta.cgroup.parent': (llb) => run(llb, { meta: { cgroupParent: '/capabilities' } }),
  'exec.meta.network': (llb) => run(llb, { network: NetMode.NONE }),
  'exec.meta.proxyenv': (llb) => run(llb, { meta: { proxyEnv: { httpProxy: 'x' } } }),
  'exec.meta.removemountstubs.recursive': (llb) => run(llb, { meta: { removeMountStubsRecursive: true } }),
  'exec.meta.setsdefaultpath': (llb) => run(llb),
  'exec.meta.ulimit': (llb) => run(llb, { meta: { ulimit: [{ Name: 'nofile', Soft: 1024n, Hard: 2048n }] } }),
  'exec.mount.bind': (llb) => run(llb, { inputs: [llb.image()], mounts: [{ ...mount, input: 1n, readonly: true }] }),
  'exec.mount.bind.readwrite-nooutput': (llb) => run(llb, { inputs: [llb.image()], mounts: [{ ...mount, input: 1n }] }),
  'exec.mount.cache': (llb) =>
    run(llb, { mounts: [{ ...mount, mountType: MountType.CACHE, cacheOpt: { ID: 'capabilities' } }] }),
  'exec.mount.cache.sharing': (llb) =>
    run(llb, { mounts: [{ ...mount, mountType: MountType.CACHE, cacheOpt: { ID: 'capabilities', sharing: 2 } }] }),
  'exec.mount.selector': (llb) =>
    run(llb, { inputs: [llb.image()], mounts: [{ ...mount, input: 1n, readonly: true, selector: '/bin' }] }),
  'exec.mount.tmpfs': (llb) => run(llb, { mounts: [{ ...mount, mountType: MountType.TMPFS }] }),
  'exec.mount.tmpfs.size': (llb) =>
    run(llb, { mounts: [{ ...mount, mountType: MountType.TMPFS, TmpfsOpt: { size: 4096n } }] }),
  'exec.mount.secret': (llb) =>
    run(llb, { mounts: [{ ...mount, mountType: MountType.SECRET, secretOpt: { ID: 's', optional: true } }] }),
  'exec.mount.ssh': (llb) =>
    run(llb, { mounts: [{ ...mount, mountType: MountType.SSH, SSHOpt: { ID: 'default', optional: true } }] }),
  'exec.secretenv': (llb) => run(llb, { secretenv: [{ ID: 's', name: 'S', optional: true }] }),
  'exec.validexitcode': (llb) => run(llb, { meta: { validExitCodes: [0, 1] } }),
  'file.base': (llb) => llb.file(undefined, [mkfile('/x', 'x')]),
  'file.rm.wildcard': (llb) => llb.file(undefined, [mkfile('/x', 'x'), rm('/*', { allowWildcard: true })]),
  'file.rm.nofollowsymlink': (llb) => llb.file(undefined, [symlink('/nowhere', '/x'), rm('/x')]),
  'file.copy.includeexcludepatterns': (llb) =>
    llb.file(undefined, [copy('/bin', '/', { includePatterns: ['sh'] } as never)], [llb.image()]),
  'file.copy.modestring': (llb) =>
    llb.file(undefined, [copy('/bin/sh', '/', { modeStr: 'u+x' } as never)], [llb.image()]),
  'file.copy.alwaysreplaceexistingdestpaths': (llb) =>
    llb.file(undefined, [copy('/', '/', { alwaysReplaceExistingDestPaths: true } as never)], [llb.image()]),
  'file.symlink.create': (llb) => llb.file(undefined, [symlink('a', '/b')]),
  mergeop: (llb) => llb.merge(llb.image(), llb.file(undefined, [mkfile('/x', 'x')])),
  diffop: (llb) => llb.diff(undefined, llb.image()),
  constraints: (llb) => llb.image(),
  platform: (llb) => llb.image(),
  'meta.ignorecache': (llb) => run(llb, { metadata: { ignoreCache: true } }),
  'meta.description': (llb) => run(llb, { metadata: { description: { 'llb.customname': 'x' } } }),
  'meta.exportcache': (llb) => run(llb, { metadata: { exportCache: { Value: true } } }),
  'exporter.image.annotations': 'tests/buildkit/buildx-cases.ts',
  'exporter.image.attestations': 'tests/buildkit/registry.test.ts: an SBOM and provenance stand beside the image',
  'exporter.sourcedateepoch': 'tests/buildkit/buildx-cases.ts',
  'exporter.multiple': 'tests/buildkit/buildx-cases.ts',
  'source.policy': 'tests/buildkit/buildx-cases.ts: a source policy that denies an image',
  'gc.freespacefilter': 'tests/buildkit/buildx-cases.ts',
};

/** What BuildKit 0.25 has besides. */
const ABSENT = [
  'source.buildop.llbfilename',
  'exec.meta.security',
  'exec.meta.security.devices.v1',
  'exec.mount.cache.content',
  'exec.cgroup',
  'cache.gha',
  'cache.s3',
  'cache.azblob',
  'history.filter',
];

describe('capabilities', { concurrency: 1 }, () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    // The first command of an engine makes what later ones share.
    execFileSync('docker', ['run', '--rm', '--network=none', 'busybox', 'true'], { env: daemon.clientEnv });
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon);
  });

  /** Solves a definition; the status that it fails with. */
  async function statusOf(Definition: Definition): Promise<{ status: number; message: string } | undefined> {
    const session = await openSession(daemon.socket, { directories: { context: { a: 'a' } } });
    const client = await controlClient(daemon.socket);
    try {
      await client.unary(Control, 'solve', { Ref: randomUUID(), Session: session.id, Definition });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof GrpcError, String(error));
      return { status: error.status, message: error.message };
    } finally {
      client.close();
      session.close();
    }
  }

  /** The same, as a client writes it that says what it needs. */
  function claiming(definition: Definition, capability: string): Definition {
    const first = sha256(definition.def[0]!);
    const metadata = {
      ...definition.metadata,
      [first]: { ...definition.metadata[first]!, caps: { [capability]: true } },
    };
    return create(DefinitionSchema, { def: definition.def, metadata });
  }

  async function announced(): Promise<{ frontend: string[]; build: string[] }> {
    const session = await openSession(daemon.socket, {});
    const client = await controlClient(daemon.socket);
    const Ref = randomUUID();
    const solving = client.unary(Control, 'solve', { Ref, Session: session.id });
    solving.catch(() => {});
    const metadata = { 'buildkit-controlapi-buildid': Ref };
    const { LLBCaps, FrontendAPICaps } = await client.unary(LLBBridge, 'ping', {}, { metadata });
    await client.unary(LLBBridge, 'return', { result: {} }, { metadata });
    await solving;
    client.close();
    session.close();
    const names = (caps: readonly { ID: string; Enabled: boolean }[]): string[] =>
      caps.filter(({ Enabled }) => Enabled).map(({ ID }) => ID);
    return { build: names(LLBCaps), frontend: names(FrontendAPICaps) };
  }

  test('each that is announced has a use here, and none that is not', async () => {
    const { build, frontend } = await announced();
    assert.deepEqual(build.toSorted(), Object.keys(USES).toSorted());
    assert.deepEqual(
      build.filter((name) => ABSENT.includes(name)),
      [],
    );
    assert.deepEqual(
      frontend.filter((name) => name.startsWith('gateway.exec')),
      [],
    );
  });

  test('the worker says what it is, what it can run, and what of its cache goes by itself', async () => {
    const client = await controlClient(daemon.socket);
    const { record } = await client.unary(Control, 'listWorkers', {});
    const [{ platforms, GCPolicy, BuildkitVersion, Labels }] = record as [(typeof record)[number]];
    const own = process.arch === 'x64' ? 'amd64' : process.arch;
    assert.ok(platforms.some(({ OS, Architecture }) => OS === 'linux' && Architecture === own));
    if (own === 'amd64') assert.ok(platforms.some(({ Architecture }) => Architecture === '386'));
    assert.deepEqual(
      GCPolicy.map(({ filters, keepDuration, maxUsedSpace }) => [
        filters.length > 0,
        keepDuration > 0n,
        maxUsedSpace > 0n,
      ]),
      [
        [true, true, true],
        [false, true, false],
        [false, false, true],
      ],
    );
    assert.match(BuildkitVersion?.version ?? '', /^v0\.25\.0\+gantry\./);
    assert.equal(Labels['org.mobyproject.buildkit.worker.executor'], 'oci');
    assert.deepEqual((await client.unary(Control, 'listWorkers', { filter: ['id==nosuch'] })).record, []);
    client.close();
  });

  describe('announced', { concurrency: 3 }, () => {
    for (const [name, use] of Object.entries(USES)) {
      if (typeof use === 'string') continue;
      test(name, async () => {
        const llb = new Llb();
        const failed = await statusOf(claiming(llb.definition(use(llb)), name));
        // Some lead to places where nothing is: that is another failure.
        assert.notEqual(failed?.status, GRPC.unimplemented, failed?.message);
        if (!/^so[ru]+ce\.(git|http|ocilayout)/.test(name)) assert.equal(failed, undefined);
      });
    }
  });

  test('what is not announced is refused when a definition claims it', async () => {
    for (const name of ABSENT) {
      const llb = new Llb();
      const failed = await statusOf(claiming(llb.definition(llb.file(undefined, [mkfile('/x', 'x')])), name));
      assert.equal(failed?.status, GRPC.unimplemented, name);
      assert.ok(failed.message.includes(name), failed.message);
    }
  });

  test('and what it stands for is refused when a definition does not say so', async () => {
    const uses: readonly ((llb: Llb) => Output)[] = [
      (llb) => run(llb, { security: SecurityMode.INSECURE }),
      (llb) => llb.add({ op: { case: 'build', value: {} } })(),
    ];
    for (const use of uses) {
      const llb = new Llb();
      const failed = await statusOf(llb.definition(use(llb)));
      assert.equal(failed?.status, GRPC.unimplemented, failed?.message);
    }
  });
});
