/** Builds from definitions ("LLB"): what the engine makes of them is what dockerd's BuildKit made when it was recorded. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { GrpcClient } from '../../src/buildkit/grpc/client.ts';
import { GRPC } from '../../src/buildkit/grpc/status.ts';
import { type CacheOptionsSchema, Control, type StatusResponse } from '../../src/buildkit/protocol/control_pb.ts';
import { LLBBridge, ResultSchema } from '../../src/buildkit/protocol/gateway_pb.ts';
import {
  type Definition,
  DefinitionSchema,
  type ExecOpSchema,
  MountType,
  OpSchema,
} from '../../src/buildkit/protocol/ops_pb.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { TestRegistry } from '../registry/test-registry.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { GitServer } from '../support/git-server.ts';
import { GRAPH_CASES } from './graph-cases.ts';
import { copy, Llb, mkdir, mkfile, type Output } from './llb.ts';
import { controlClient, openSession, type SessionServices } from './protocol-client.ts';
import { type GraphResult, runGraph } from './run-graph.ts';

const expected = JSON.parse(readFileSync(new URL('graph-expected.json', import.meta.url), 'utf8')) as Record<
  string,
  GraphResult
>;

/** Where the engine refuses what BuildKit refuses too, in other words, and the one thing that it refuses alone. */
const OWN_WORDS: Readonly<Record<string, RegExp>> = {
  'sources: an unknown scheme': /^SourceOp: the scheme "ftp" is not supported/,
  // BuildKit drops what it does not know.
  'sources: an attribute that nobody knows': /^SourceOp: the attribute local\.nosuch of local is not supported/,
  'run: a command that is not there': /exit code: 127$/,
  'run: the network of the host has to be allowed': /^network\.host is not allowed/,
  'run: a part that is not there': /nosuch/,
  'run: an ssh agent that nobody forwards': /ssh.*default/,
  'copy: a file to a path that is not there': /^failed to stat \/x\/y\/z/,
  'copy: onto what is there and of another kind': /^COPY failed: cannot copy a file to a\.txt: it is a directory/,
  'copy: wildcards that match nothing': /^\/\*\.no not found/,
  'copy: what is not there': /"\/nosuch": not found/,
  'refused: a build within the build': /^BuildOp: .* is not supported by this engine/,
  'refused: an insecure command': /^ExecOp: security mode INSECURE is not supported/,
};

const directory = mkdtempSync(join(tmpdir(), 'gantry-graph-'));
const insecure = ['--insecure-registry', '127.0.0.0/8'];
const daemon = new DaemonProcess({ directory, args: insecure });
let web: Server;
let git: GitServer;

/** A build of a client that is a frontend itself, as buildx is: `work` is done while its Solve waits. */
async function asFrontend(
  services: SessionServices,
  exporter: { readonly Type: string; readonly Attrs: Record<string, string> },
  work: (client: GrpcClient, metadata: Record<string, string>) => Promise<void>,
  FrontendAttrs: Record<string, string> = {},
): Promise<Record<string, string>> {
  const session = await openSession(daemon.socket, services);
  const client = await controlClient(daemon.socket);
  const Ref = randomUUID();
  try {
    const solving = client.unary(Control, 'solve', { Ref, Session: session.id, Exporters: [exporter], FrontendAttrs });
    solving.catch(() => {});
    const metadata = { 'buildkit-controlapi-buildid': Ref };
    await work(client, metadata);
    return (await solving).ExporterResponse;
  } finally {
    client.close();
    session.close();
  }
}

async function solve(
  client: GrpcClient,
  metadata: Record<string, string>,
  Definition: Definition,
): Promise<{ id: string; def: Definition }> {
  const { result } = await client.unary(LLBBridge, 'solve', { Definition, allowResultReturn: true }, { metadata });
  assert.equal(result?.result.case, 'ref');
  const { id, def } = result.result.value as { id: string; def: Definition };
  return { id, def };
}

function inspect(name: string): { Config: { Env: string[]; Cmd: string[] | null }; RootFS: { Layers: string[] } } {
  const text = execFileSync('docker', ['image', 'inspect', name], { env: daemon.clientEnv, encoding: 'utf8' });
  return (JSON.parse(text) as ReturnType<typeof inspect>[])[0]!;
}

const docker = (...args: readonly string[]): string =>
  execFileSync('docker', args, { env: daemon.clientEnv, encoding: 'utf8' }).trim();

const definitionOf = (write: (llb: Llb) => Output): Definition => {
  const llb = new Llb();
  return llb.definition(write(llb));
};

describe('builds from definitions', { concurrency: 1 }, () => {
  before(async () => {
    web = createServer((_request, response) => response.end('from the web'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const repository = join(directory, 'repository');
    execFileSync('git', ['init', '--quiet', '--initial-branch=main', repository]);
    writeFileSync(join(repository, 'tracked'), 'from git');
    const commit = ['-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '--quiet', '--no-gpg-sign', '-m', 'one'];
    execFileSync('git', ['add', '.'], { cwd: repository });
    execFileSync('git', commit, { cwd: repository });
    git = await GitServer.start(directory);
    await daemon.start();
    await daemon.importBusybox();
    // The first command of an engine makes what later ones share.
    execFileSync('docker', ['run', '--rm', '--network=none', 'busybox', 'true'], { env: daemon.clientEnv });
  });
  after(async () => {
    await daemon.stop();
    web.close();
    git.close();
    await nothingLeft(daemon);
  });

  describe('as with BuildKit', { concurrency: 3 }, () => {
    for (const one of GRAPH_CASES)
      test(one.name, async () => {
        const result = await runGraph(daemon.socket, one);
        const words = OWN_WORDS[one.name];
        if (words) assert.match(result.error ?? JSON.stringify(result), words);
        else assert.deepEqual(result, expected[one.name]);
      });
  });

  test('an image, with the configuration that its frontend gave it', async () => {
    const config = { architecture: 'amd64', os: 'linux', config: { Env: ['A=1'], Cmd: ['cat', '/note'] } };
    const response = await asFrontend(
      {},
      { Type: 'image', Attrs: { name: 'by-frontend' } },
      async (client, metadata) => {
        const definition = definitionOf((llb) => llb.file(llb.image(), [mkfile('/note', 'noted')]));
        const { id } = await solve(client, metadata, definition);
        const { Data } = await client.unary(LLBBridge, 'readFile', { Ref: id, FilePath: '/note' }, { metadata });
        assert.equal(Buffer.from(Data).toString(), 'noted');
        const { entries } = await client.unary(LLBBridge, 'readDir', { Ref: id, DirPath: '/' }, { metadata });
        assert.ok(entries.some(({ path }) => path === 'note'));
        const result = {
          result: { case: 'ref', value: { id } },
          metadata: { 'containerimage.config': Buffer.from(JSON.stringify(config)) },
        } as const;
        await client.unary(LLBBridge, 'return', { result }, { metadata });
      },
    );
    assert.match(response['containerimage.config.digest'] ?? '', /^sha256:/);
    const { Config, RootFS } = inspect('by-frontend');
    assert.deepEqual([Config.Env, Config.Cmd, RootFS.Layers.length], [['A=1'], ['cat', '/note'], 2]);
    assert.equal(docker('run', '--rm', '--network=none', 'by-frontend'), 'noted');
  });

  test('an image without a configuration, and its history', async () => {
    const session = await openSession(daemon.socket, {});
    const client = await controlClient(daemon.socket);
    const Definition = definitionOf((llb) => llb.run(llb.image(), 'echo made >/made')());
    const Exporters = [{ Type: 'image', Attrs: { name: 'by-definition' } }];
    await client.unary(Control, 'solve', { Ref: randomUUID(), Session: session.id, Definition, Exporters });
    assert.equal(docker('run', '--rm', '--network=none', 'by-definition', 'cat', '/made'), 'made');
    assert.match(docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', 'by-definition'), /echo made >\/made/);
    client.close();
    session.close();
  });

  test('files of a client are in layers without a copy, where nothing more is done with them', async () => {
    const directories = { linked: { 'only-here/one': 'of the client', 'only-here/deep/two': 'of the client too' } };
    const images = {
      linked: definitionOf((llb) =>
        llb.file(undefined, [copy('/only-here', '/linked/')], [llb.source('local://linked')]),
      ),
      changed: definitionOf((llb) =>
        llb.file(
          undefined,
          [copy('/only-here', '/changed/'), mkfile('/changed/only-here/one', 'changed')],
          [llb.source('local://linked')],
        ),
      ),
    };
    const times: string[][] = [];
    for (const [name, Definition] of Object.entries(images)) {
      let archive: Buffer = Buffer.alloc(0);
      const session = await openSession(daemon.socket, { directories, onOutput: (bytes) => (archive = bytes) });
      const client = await controlClient(daemon.socket);
      const Exporters = [{ Type: 'tar', Attrs: {} }];
      await client.unary(Control, 'solve', { Ref: randomUUID(), Session: session.id, Definition, Exporters });
      client.close();
      session.close();
      const tar = join(directory, `${name}.tar`);
      writeFileSync(tar, archive);
      const listed = execFileSync('tar', ['--full-time', '--utc', '-tvf', tar], { encoding: 'utf8' });
      times.push(listed.split('\n').filter((line) => /deep/.test(line)));
    }
    const snapshots = join(directory, 'data', 'snapshots');
    const links = (path: string): number[] =>
      readdirSync(snapshots)
        .map((one) => join(snapshots, one, 'fs', path))
        .filter((one) => existsSync(one))
        .map((one) => statSync(one).nlink);
    assert.deepEqual(
      links('linked/only-here/one').map((count) => count > 1),
      [true],
    );
    assert.deepEqual(
      links('linked/only-here/deep/two').map((count) => count > 1),
      [true],
    );
    assert.deepEqual(links('changed/only-here/one'), [1]);
    // Directories are as old as they are when all is copied.
    const [linked, changed] = times;
    assert.deepEqual(
      linked?.map((line) => line.replaceAll('linked', 'changed')),
      changed,
    );
  });

  test('several platforms, each from a definition of its own, become an index', async () => {
    const parts: Buffer[] = [];
    const platforms = ['linux/amd64', 'linux/arm64'];
    const onOutput = (bytes: Buffer): void => void parts.push(bytes);
    await asFrontend({ onOutput }, { Type: 'oci', Attrs: {} }, async (client, metadata) => {
      const refs: Record<string, { id: string }> = {};
      for (const platform of platforms) {
        const { id } = await solve(
          client,
          metadata,
          definitionOf((llb) => llb.file(undefined, [mkfile('/p', platform)])),
        );
        refs[platform] = { id };
      }
      const configs = platforms.map((platform) => {
        const [os, architecture] = platform.split('/');
        return [`containerimage.config/${platform}`, Buffer.from(JSON.stringify({ os, architecture }))] as const;
      });
      const result = { result: { case: 'refs', value: { refs } }, metadata: Object.fromEntries(configs) } as const;
      await client.unary(LLBBridge, 'return', { result }, { metadata });
    });
    const archive = Buffer.concat(parts).toString('latin1');
    for (const platform of ['amd64', 'arm64']) assert.match(archive, new RegExp(`"platform":\\{[^}]*"${platform}"`));
  });

  test('what is said about a result: how it was made, what is in it, and what its frontend says', async () => {
    let archive: Buffer = Buffer.alloc(0);
    const wanted = { 'attest:sbom': '', 'attest:provenance': 'mode=max' };
    const services = { onOutput: (bytes: Buffer) => (archive = bytes), directories: { context: { a: 'a' } } };
    const work = async (client: GrpcClient, metadata: Record<string, string>): Promise<void> => {
      const { id } = await solve(
        client,
        metadata,
        definitionOf((llb) => llb.file(llb.image(), [copy('/a', '/a')], [llb.source('local://context')])),
      );
      const text = JSON.stringify({ said: 'by the frontend' });
      const note = await solve(
        client,
        metadata,
        definitionOf((llb) => llb.file(undefined, [mkfile('/said.json', text)])),
      );
      const own = { kind: 0, ref: { id: note.id }, path: '/said.json', inTotoPredicateType: 'https://example.com/own' };
      const result = create(ResultSchema, {
        result: { case: 'ref', value: { id } },
        attestations: { '': { attestation: [own] } },
      });
      await client.unary(LLBBridge, 'return', { result }, { metadata });
    };
    await asFrontend(services, { Type: 'oci', Attrs: { name: 'said:1' } }, work, wanted);
    const place = mkdtempSync(join(directory, 'said-'));
    execFileSync('tar', ['-x', '-C', place], { input: archive });
    const statements = readdirSync(join(place, 'blobs/sha256'))
      .map((name) => readFileSync(join(place, 'blobs/sha256', name)))
      .filter((bytes) => bytes.includes('"predicateType"'))
      .map((bytes) => JSON.parse(bytes.toString('utf8')) as { predicateType: string; predicate: object });
    const said = Object.fromEntries(statements.map(({ predicateType, predicate }) => [predicateType, predicate]));
    assert.deepEqual(Object.keys(said).sort(), [
      'https://example.com/own',
      'https://slsa.dev/provenance/v1',
      'https://spdx.dev/Document',
    ]);
    assert.deepEqual(said['https://example.com/own'], { said: 'by the frontend' });
    const provenance = JSON.stringify(said['https://slsa.dev/provenance/v1']);
    assert.match(provenance, /"uri":"pkg:docker\/docker\.io\/library\/busybox@latest\?platform=/);
    assert.match(provenance, /"locals":\[\{"name":"context"\}\]/);
    assert.match(provenance, /"op":"COPY \/a \/a"/);
  });

  test('what one definition gave is a source of the next, and an input of a Dockerfile', async () => {
    const directories = {
      dockerfile: { Dockerfile: 'FROM base\nCOPY --from=more /more /\nRUN cat /note /more >/both\n' },
    };
    const wanted = { Type: 'image', Attrs: { name: 'by-both' } };
    await asFrontend({ directories }, wanted, async (client, metadata) => {
      const first = await solve(
        client,
        metadata,
        definitionOf((llb) => llb.image()),
      );
      const llb = new Llb();
      const [source] = first.def.def;
      const { op } = fromBinary(OpSchema, source!);
      assert.equal(op.case, 'source');
      const upon = llb.file(llb.source((op.value as { identifier: string }).identifier), [mkfile('/note', 'one ')]);
      const base = await solve(client, metadata, llb.definition(upon));
      const { result } = await client.unary(
        LLBBridge,
        'solve',
        {
          Frontend: 'dockerfile.v0',
          FrontendOpt: { 'context:base': 'input:base', 'context:more': 'input:more' },
          FrontendInputs: {
            base: base.def,
            more: definitionOf((other) => other.file(undefined, [mkfile('/more', 'two')])),
          },
        },
        { metadata },
      );
      await client.unary(LLBBridge, 'return', { result }, { metadata });
    });
    assert.equal(docker('run', '--rm', '--network=none', 'by-both', 'cat', '/both'), 'one two');
  });

  test('rights are those that the client was allowed, not those that a frontend or its attributes ask for', async () => {
    const build = async (
      line: string,
      FrontendAttrs: Record<string, string>,
      Entitlements: string[] = [],
    ): Promise<string> => {
      const Dockerfile = `FROM busybox\n${line}`;
      const session = await openSession(daemon.socket, { directories: { dockerfile: { Dockerfile }, context: {} } });
      const client = await controlClient(daemon.socket);
      try {
        const Frontend = 'dockerfile.v0';
        await client.unary(Control, 'solve', {
          Ref: randomUUID(),
          Session: session.id,
          Frontend,
          FrontendAttrs,
          Entitlements,
        });
        return 'built';
      } catch (error) {
        return (error as Error).message;
      } finally {
        client.close();
        session.close();
      }
    };
    const step = 'RUN test -e /sys/class/net/lo';
    const hostStep = step.replace('RUN', 'RUN --network=host');
    const force = { 'force-network-mode': 'host' };
    assert.match(await build(step, force), /network\.host is not allowed/);
    assert.match(await build(hostStep, {}), /network=host is not allowed/);
    assert.match(await build(hostStep.replace('network=host', 'security=insecure'), {}), /insecure is not allowed/);
    assert.match(await build(step, {}, ['security.insecure']), /security\.insecure is not supported/);
    assert.equal(await build(step, force, ['network.host']), 'built');
    assert.equal(await build(hostStep, {}, ['network.host']), 'built');
  });

  test('what is known is not made again, and what has to be is', async () => {
    const events = async (text: string): Promise<Map<string, boolean>> => {
      const session = await openSession(daemon.socket, { directories: { context: { 'a.txt': text } } });
      const client = await controlClient(daemon.socket);
      const Ref = randomUUID();
      const Definition = definitionOf((llb) =>
        llb.run(
          llb.file(
            llb.run(llb.image(), 'echo base >/base')(),
            [copy('/a.txt', '/a.txt')],
            [llb.source('local://context')],
          ),
          'cat /a.txt >/b.txt',
        )(),
      );
      await client.unary(Control, 'solve', { Ref, Session: session.id, Definition });
      const status = client.open(Control, 'Status', {});
      const { input, output } = Control.method.status;
      await status.send(toBinary(input, create(input, { Ref })));
      status.end();
      const cached = new Map<string, boolean>();
      for await (const bytes of status.messages())
        for (const vertex of (fromBinary(output, bytes) as StatusResponse).vertexes)
          if (vertex.completed) cached.set(vertex.name.replace(/^\/bin\/sh -c /, ''), vertex.cached);
      client.close();
      session.close();
      return cached;
    };
    await events('one');
    const again = await events('one');
    assert.deepEqual(
      ['echo base >/base', 'copy /a.txt /a.txt', 'cat /a.txt >/b.txt'].map((name) => again.get(name)),
      [true, true, true],
    );
    const changed = await events('two');
    assert.deepEqual(
      ['echo base >/base', 'copy /a.txt /a.txt', 'cat /a.txt >/b.txt'].map((name) => changed.get(name)),
      [true, false, false],
    );
  });

  test('what one engine knows another takes from a cache: in a registry, in a directory, within the image', async () => {
    await using registry = await TestRegistry.open();
    const stored: Record<string, Record<string, Buffer>> = {};
    const onBlob = (store: string, digest: string, bytes: Buffer): void =>
      void ((stored[store] ??= {})[digest] = bytes);
    const directories = { context: { 'a.txt': 'of the client' } };
    /** A branch that is not in the result, and what is taken from it. */
    const Definition = definitionOf((llb) => {
      const made = llb.run(llb.image(), 'cat /proc/sys/kernel/random/uuid >/made')();
      const base = llb.file(llb.image(), [copy('/a.txt', '/a.txt')], [llb.source('local://context')]);
      const taken = llb.file(base, [copy('/made', '/made')], [made]);
      return llb.run(taken, 'cat /made /a.txt >/both')();
    });
    const solveAt = async (
      at: DaemonProcess,
      Cache: MessageInitShape<typeof CacheOptionsSchema>,
      Exporters: { readonly Type: string; readonly Attrs: Record<string, string> }[] = [],
    ): Promise<{ readonly response: Record<string, string>; readonly cached: Record<string, boolean> }> => {
      const session = await openSession(at.socket, { directories, onBlob, blobs: stored });
      const client = await controlClient(at.socket);
      const Ref = randomUUID();
      const solving = client.unary(Control, 'solve', { Ref, Session: session.id, Definition, Cache, Exporters });
      const status = client.open(Control, 'Status', {});
      await status.send(toBinary(Control.method.status.input, create(Control.method.status.input, { Ref })));
      status.end();
      const cached: Record<string, boolean> = {};
      for await (const bytes of status.messages())
        for (const vertex of (fromBinary(Control.method.status.output, bytes) as StatusResponse).vertexes)
          if (vertex.completed && /^(copy|.bin.sh)/.test(vertex.name))
            cached[vertex.name.replace('/bin/sh -c ', '')] = vertex.cached;
      const { ExporterResponse } = await solving;
      client.close();
      session.close();
      return { response: ExporterResponse, cached };
    };
    const ref = (name: string): Record<string, string> => ({ ref: `${registry.host}/${name}` });
    // The same image: one that is imported is as old as its import.
    const busybox = execFileSync('docker', ['save', 'busybox'], { env: daemon.clientEnv, maxBuffer: 64 << 20 });
    const first = await solveAt(
      daemon,
      {
        Exports: [
          { Type: 'registry', Attrs: { ...ref('max:1'), mode: 'max' } },
          { Type: 'registry', Attrs: { ...ref('min:1'), mode: 'min' } },
          { Type: 'local', Attrs: { dest: '/kept', mode: 'max' } },
          { Type: 'inline', Attrs: {} },
        ],
      },
      [{ Type: 'image', Attrs: { name: `${registry.host}/inline:1`, push: 'true' } }],
    );
    const { digest } = JSON.parse(first.response['cache.manifest']!) as { digest: string };
    assert.ok(stored['local:/kept']?.[digest], 'the manifest is in the directory');
    const all = ['cat /proc/sys/kernel/random/uuid >/made', 'copy /a.txt /a.txt', 'copy /made /made'];
    const last = 'cat /made /a.txt >/both';
    const known = (names: readonly string[]): Record<string, boolean> =>
      Object.fromEntries([...all, last].map((name) => [name, names.includes(name)]));
    const sources: Readonly<Record<string, readonly [string, Record<string, string>, readonly string[]]>> = {
      max: ['registry', ref('max:1'), [...all, last]],
      directory: ['local', { src: '/kept', digest }, [...all, last]],
      // Without the branch's own layers it is made anew, and gives something else.
      min: ['registry', ref('min:1'), ['copy /a.txt /a.txt']],
      inline: ['registry', ref('inline:1'), ['copy /a.txt /a.txt']],
    };
    const other = new DaemonProcess({ directory: mkdtempSync(join(directory, 'other-')), args: insecure });
    await other.start();
    try {
      execFileSync('docker', ['load', '--quiet'], { env: other.clientEnv, input: busybox });
      for (const [name, [Type, Attrs, expectedKnown]] of Object.entries(sources)) {
        execFileSync('docker', ['builder', 'prune', '-af'], { env: other.clientEnv });
        const { cached } = await solveAt(other, { Imports: [{ Type, Attrs }] });
        assert.deepEqual(cached, known(expectedKnown), name);
      }
    } finally {
      await other.stop();
    }
    await nothingLeft(other);
  });

  test('a failed operation is shown with the lines that its definition has for it', async () => {
    const session = await openSession(daemon.socket, {});
    const client = await controlClient(daemon.socket);
    const llb = new Llb();
    const failing = llb.run(llb.image(), 'exit 3')();
    const ranges = [{ start: { line: 2 }, end: { line: 2 } }];
    const { def, metadata } = llb.definition(failing);
    const Definition = create(DefinitionSchema, {
      def,
      metadata,
      Source: {
        infos: [{ filename: 'build.star', data: Buffer.from('a\nrun(x)\n'), language: 'Starlark' }],
        locations: { [failing.digest]: { locations: [{ sourceIndex: 0, ranges }] } },
      },
    });
    await assert.rejects(
      client.unary(Control, 'solve', { Ref: randomUUID(), Session: session.id, Definition }),
      (error: { message: string; details?: readonly { typeUrl: string; value: Uint8Array }[] }) => {
        assert.match(error.message, /exit code: 3/);
        const [detail] = error.details ?? [];
        return detail?.typeUrl === 'errdefs.Source' && Buffer.from(detail.value).includes('build.star');
      },
    );
    client.close();
    session.close();
  });

  test('sources of the web, of git, and of a layout that the client has', async () => {
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/file`;
    const http = await runGraph(daemon.socket, {
      name: 'http',
      definition: () =>
        definitionOf((llb) =>
          llb.source(url, { 'http.filename': 'got', 'http.perm': '0640', 'http.uid': '5', 'http.gid': '6' }),
        ),
    });
    assert.deepEqual(http.files, ['got file 640 5:6 "from the web"']);
    const wrong = await runGraph(daemon.socket, {
      name: 'http',
      definition: () => definitionOf((llb) => llb.source(url, { 'http.checksum': sha256('other') })),
    });
    assert.match(wrong.error ?? '', /digest mismatch/);

    const repository = `${git.url}/repository/.git`;
    const cloned = await runGraph(daemon.socket, {
      name: 'git',
      definition: () =>
        definitionOf((llb) =>
          llb.source(`git://${repository.replace(/^http:\/\//, '')}#main`, { 'git.fullurl': repository }),
        ),
    });
    assert.deepEqual(cloned.files, ['tracked file 644 0:0 "from git"']);

    const { blobs, digest } = await layoutOf((llb) => llb.file(undefined, [mkfile('/in-layout', 'here')]));
    const layout = await runGraph(daemon.socket, {
      name: 'layout',
      blobs: { 'oci:store': blobs },
      definition: () => definitionOf((llb) => llb.source(`oci-layout://x/store@${digest}`, { 'oci.store': 'store' })),
    });
    assert.deepEqual(layout.files, ['in-layout file 644 0:0 "here"']);
    const absent = await runGraph(daemon.socket, {
      name: 'layout',
      definition: () => definitionOf((llb) => llb.source(`oci-layout://x/store@${digest}`)),
    });
    assert.match(absent.error ?? '', /not found in the layout/);
  });

  /** The blobs of an image of the engine's own, as a client would have them in a directory. */
  async function layoutOf(
    write: (llb: Llb) => Output,
  ): Promise<{ readonly blobs: Record<string, Uint8Array>; readonly digest: string }> {
    let archive: Buffer = Buffer.alloc(0);
    const session = await openSession(daemon.socket, { onOutput: (bytes) => (archive = bytes) });
    const client = await controlClient(daemon.socket);
    const Exporters = [{ Type: 'oci', Attrs: {} }];
    const Definition = definitionOf(write);
    const { ExporterResponse } = await client.unary(Control, 'solve', {
      Ref: randomUUID(),
      Session: session.id,
      Definition,
      Exporters,
    });
    client.close();
    session.close();
    const place = mkdtempSync(join(directory, 'layout-'));
    execFileSync('tar', ['-x', '-C', place], { input: archive });
    const names = readdirSync(join(place, 'blobs/sha256'));
    const blobs = names.map((name) => [`sha256:${name}`, readFileSync(join(place, 'blobs/sha256', name))] as const);
    return { blobs: Object.fromEntries(blobs), digest: ExporterResponse['containerimage.digest']! };
  }

  test('patterns of a directory reach the client', async () => {
    const asked: Record<string, unknown>[] = [];
    await runGraph(daemon.socket, {
      name: 'patterns',
      onFiles: (metadata) => asked.push(metadata),
      definition: () =>
        definitionOf((llb) =>
          llb.source('local://context', {
            'local.includepattern': '["a","ü"]',
            'local.excludepatterns': '["b"]',
            'local.followpaths': '["c"]',
          }),
        ),
    });
    assert.deepEqual(
      ['dir-name', 'include-patterns', 'include-patterns-encoded', 'exclude-patterns', 'followpaths'].map(
        (name) => asked[0]?.[name],
      ),
      ['context', 'a, %C3%BC', '1', 'b', 'c'],
    );
  });

  describe('definitions that make no sense, or too much', { concurrency: 1 }, () => {
    const last = (input: { digest: string; index: bigint }): Uint8Array =>
      toBinary(OpSchema, create(OpSchema, { inputs: [input] }));
    const op = (init: MessageInitShape<typeof OpSchema>): Uint8Array => toBinary(OpSchema, create(OpSchema, init));
    const definition = (...def: readonly Uint8Array[]): Definition => ({ def, metadata: {} }) as unknown as Definition;
    const image = op({ op: { case: 'source', value: { identifier: 'docker-image://busybox' } } });
    const imageOutput = { digest: sha256(image), index: 0n };
    const exec = (mounts: MessageInitShape<typeof ExecOpSchema>['mounts']): Uint8Array =>
      op({ inputs: [imageOutput], op: { case: 'exec', value: { meta: { args: ['x'], cwd: '/' }, mounts } } });
    /** With a field that no version has. */
    const unknown = Buffer.concat([image, Buffer.from([0xf8, 0x7f, 0x01])]);
    const cases: Readonly<Record<string, readonly [Definition, number, RegExp]>> = {
      garbage: [definition(Buffer.from('garbage'), last(imageOutput)), GRPC.invalidArgument, /not a pb\.Op/],
      'an input that is not there': [definition(last(imageOutput)), GRPC.invalidArgument, /is missing/],
      'an input behind its operation': [
        definition(exec([{ dest: '/', output: 0n }]), image, last(imageOutput)),
        GRPC.invalidArgument,
        /not in front of it/,
      ],
      'no result': [definition(image), GRPC.invalidArgument, /last operation is no result/],
      'a result of a number that the operation has not': [
        definition(image, last({ ...imageOutput, index: 3n })),
        GRPC.unknown,
        /has no result 3/,
      ],
      'a command without a root': [
        definition(image, exec([{ dest: '/x', mountType: MountType.TMPFS }]), last(imageOutput)),
        GRPC.invalidArgument,
        /ExecOp: it has no root/,
      ],
      'a mount of an input that is not there': [
        definition(image, exec([{ dest: '/', input: 5n }]), last(imageOutput)),
        GRPC.invalidArgument,
        /ExecOp: a mount names input 5/,
      ],
      'a field that nobody knows': [
        definition(unknown, last({ digest: sha256(unknown), index: 0n })),
        GRPC.unimplemented,
        /SourceOp: field/,
      ],
      'actions that go in a circle': [
        definition(
          op({
            op: {
              case: 'file',
              value: {
                actions: [{ input: 0n, secondaryInput: -1n, output: 0n, action: mkfile('/x', 'x') }],
              },
            },
          }),
          last(imageOutput),
        ),
        GRPC.invalidArgument,
        /FileOp: an action names input 0/,
      ],
    };
    for (const [name, [Definition, status, message]] of Object.entries(cases))
      test(name, async () => {
        const session = await openSession(daemon.socket, {});
        const client = await controlClient(daemon.socket);
        await assert.rejects(
          client.unary(Control, 'solve', { Ref: randomUUID(), Session: session.id, Definition }),
          (error: { status: number; message: string }) => {
            assert.match(error.message, message);
            return error.status === status;
          },
        );
        client.close();
        session.close();
      });

    test('more commands side by side than run at a time', async () => {
      const result = await runGraph(daemon.socket, {
        name: 'many',
        below: 'out',
        definition: () =>
          definitionOf((llb) => {
            const base = llb.file(llb.image(), [mkdir('/out')]);
            const all = Array.from({ length: 20 }, (_, n) => llb.diff(base, llb.run(base, `echo ${n} >/out/${n}`)()));
            return llb.merge(base, ...all);
          }),
      });
      assert.equal(result.files?.filter((line) => / file /.test(line)).length, 20, JSON.stringify(result));
    });

    test('ten thousand operations, one upon the other', async () => {
      const llb = new Llb();
      // All of them are read; what the result does not need is not made.
      let output = llb.file(undefined, [mkfile('/x', '0')]);
      const wanted = output;
      for (let n = 1; n < 10_000; n++) output = llb.file(output, [mkfile('/x', String(n))]);
      const result = await runGraph(daemon.socket, { name: 'huge', definition: () => llb.definition(wanted) });
      assert.deepEqual(result.files, ['x file 644 0:0 "0"']);
    });
  });

  test('an engine that dies in the middle of a definition leaves nothing, and the next one goes on', async () => {
    const session = await openSession(daemon.socket, { directories: { context: { a: 'a' } } });
    const client = await controlClient(daemon.socket);
    const Ref = randomUUID();
    const Definition = definitionOf((llb) =>
      llb.run(llb.file(llb.image(), [copy('/a', '/a')], [llb.source('local://context')]), 'echo begun; sleep 600', {
        inputs: [llb.image()],
        mounts: [{ input: 1n, dest: '/m', output: 1n }],
      })(),
    );
    client.unary(Control, 'solve', { Ref, Session: session.id, Definition }).catch(() => {});
    const status = client.open(Control, 'Status', {});
    const { input, output } = Control.method.status;
    await status.send(toBinary(input, create(input, { Ref })));
    status.end();
    for await (const bytes of status.messages())
      if ((fromBinary(output, bytes) as StatusResponse).logs.some(({ msg }) => Buffer.from(msg).includes('begun')))
        break;
    await daemon.kill();
    client.close();
    session.close();
    await daemon.start();
    const again = await runGraph(daemon.socket, {
      name: 'again',
      definition: () => definitionOf((llb) => llb.file(undefined, [mkfile('/x', 'x')])),
    });
    assert.deepEqual(again.files, ['x file 644 0:0 "x"']);
  });
});
