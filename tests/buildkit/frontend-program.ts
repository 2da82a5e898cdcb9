/**
 * A frontend as an image has it: it speaks with the builder over stdin and stdout. What it does is the word behind its
 * image's name in `# syntax=IMAGE WORD`.
 */
import { Duplex } from 'node:stream';
import { existsSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { GrpcClient } from '../../src/buildkit/grpc/client.ts';
import { GrpcError } from '../../src/buildkit/grpc/status.ts';
import { LLBBridge, type Result, type ResultSchema } from '../../src/buildkit/protocol/gateway_pb.ts';
import { NetMode, SecurityMode } from '../../src/buildkit/protocol/ops_pb.ts';
import { Llb, mkfile, type Output } from './llb.ts';

const options = Object.fromEntries(
  Object.entries(process.env)
    .filter(([name]) => name.startsWith('BUILDKIT_FRONTEND_OPT_'))
    .map(([, text]) => [text!.slice(0, text!.indexOf('=')), text!.slice(text!.indexOf('=') + 1)]),
);
const [, word = 'report', argument = ''] = (options['cmdline'] ?? '').split(' ');
const forever = (): Promise<never> => new Promise(() => setInterval(() => {}, 1000));

function connected(): GrpcClient {
  return new GrpcClient(Duplex.from({ readable: process.stdin, writable: process.stdout }));
}

async function solve(client: GrpcClient, llb: Llb, output: Output): Promise<string> {
  const { result } = await client.unary(LLBBridge, 'solve', {
    Definition: llb.definition(output),
    allowResultReturn: true,
    allowResultArrayRef: true,
    Evaluate: true,
  });
  return refOf(result);
}

function refOf(result: Result | undefined): string {
  return result?.result.case === 'ref' ? result.result.value.id : '';
}

/** Solves with another frontend, which gets all that this one got. */
async function pass(client: GrpcClient, frontend: string, more: Record<string, string> = {}): Promise<Result> {
  const { result } = await client.unary(LLBBridge, 'solve', {
    Frontend: frontend,
    FrontendOpt: { ...options, ...more },
    allowResultReturn: true,
    allowResultArrayRef: true,
  });
  return result!;
}

async function giveBack(client: GrpcClient, result: MessageInitShape<typeof ResultSchema>): Promise<void> {
  await client.unary(LLBBridge, 'return', { result });
}

function config(labels: Record<string, string>): Buffer {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  return Buffer.from(
    JSON.stringify({ os: 'linux', architecture, config: { Labels: labels }, rootfs: { type: 'layers', diff_ids: [] } }),
  );
}

/** What an attempt ends with: its words, or nothing. */
async function refused(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return '';
  } catch (error) {
    return error instanceof GrpcError ? `${error.status} ${error.message}` : String(error);
  }
}

const ACTIONS: Readonly<Record<string, (client: GrpcClient) => Promise<void>>> = {
  /** Uses every call that is not for something else, and gives back a file that tells of it. */
  async report(client) {
    const pong = await client.unary(LLBBridge, 'ping', {});
    const inputs = await client.unary(LLBBridge, 'inputs', {});
    const local = new Llb();
    const files = await solve(
      client,
      local,
      local.source('local://context', { 'local.session': process.env['BUILDKIT_SESSION_ID']! }),
    );
    const read = await client.unary(LLBBridge, 'readFile', { Ref: files, FilePath: 'hello' });
    const listed = await client.unary(LLBBridge, 'readDir', { Ref: files, DirPath: '.' });
    const stat = await client.unary(LLBBridge, 'statFile', { Ref: files, Path: 'hello' });
    await client.unary(LLBBridge, 'evaluate', { Ref: files });
    const { Config, Digest } = await client.unary(LLBBridge, 'resolveImageConfig', { Ref: options['source']! });
    await client.unary(LLBBridge, 'warn', { level: 1n, short: Buffer.from('a warning of the frontend') });
    process.stderr.write('a word of the frontend\n');
    const report = {
      options,
      capabilities: pong.FrontendAPICaps.length > 0 && pong.LLBCaps.length > 0,
      workers: pong.Workers.length,
      told: (JSON.parse(process.env['BUILDKIT_WORKERS']!) as { id: string; platforms: { os: string }[] }[]).map(
        ({ platforms }) => platforms[0]!.os,
      ),
      product: process.env['BUILDKIT_EXPORTEDPRODUCT'],
      definition: existsSync('/run/config/buildkit/metadata/frontend.bin'),
      inputs: Object.keys(inputs.Definitions),
      read: Buffer.from(read.Data).toString(),
      listed: listed.entries.map(({ path }) => path),
      size: Number(stat.stat?.size),
      entrypoint: (JSON.parse(Buffer.from(Config).toString()) as { config: { Entrypoint: string[] } }).config.Entrypoint
        .length,
      digest: Digest.startsWith('sha256:'),
      network: readdirSync('/sys/class/net').toSorted(),
      directory: process.cwd(),
      capabilitiesOfProcess: /^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1],
      seccomp: /^Seccomp:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1],
    };
    const llb = new Llb();
    const ref = await solve(client, llb, llb.file(undefined, [mkfile('/report.json', JSON.stringify(report))]));
    await giveBack(client, {
      result: { case: 'ref', value: { id: ref } },
      metadata: { 'containerimage.config': config({ 'of.frontend': 'yes' }) },
    });
  },
  /** The Dockerfile as it is, with a label besides. */
  async label(client) {
    const result = await pass(client, 'dockerfile.v0');
    const text = Buffer.from(result.metadata['containerimage.config']!).toString();
    const image = JSON.parse(text) as { config: { Labels?: Record<string, string> } };
    image.config.Labels = { ...image.config.Labels, 'of.frontend': 'added' };
    result.metadata['containerimage.config'] = Buffer.from(JSON.stringify(image));
    await giveBack(client, result);
  },
  /** Passes the whole on, to the frontend that `argument` says. */
  async pass(client) {
    await giveBack(client, await pass(client, argument));
  },
  /** Its own image again, which does what `argument` says. */
  async outer(client) {
    await giveBack(client, await pass(client, 'gateway.v0', { cmdline: `${options['source']} ${argument}` }));
  },
  async fail(client) {
    await client.unary(LLBBridge, 'return', { error: { code: 2, message: 'this is no good day', details: [] } });
  },
  async twice(client) {
    await giveBack(client, {});
    process.stderr.write(`twice: ${await refused(giveBack(client, {}))}\n`);
    process.exit(1);
  },
  async strange(client) {
    throw new Error(await refused(giveBack(client, { result: { case: 'ref', value: { id: 'of-nobody' } } })));
  },
  async linger(client) {
    const llb = new Llb();
    const ref = await solve(client, llb, llb.file(undefined, [mkfile('/lingered', 'x')]));
    await giveBack(client, { result: { case: 'ref', value: { id: ref } } });
    await forever();
  },
  /** Answers with a failure behind its result. */
  async lie(client) {
    await giveBack(client, {});
    process.exit(9);
  },
  /** Asks for what the client was not allowed, and for what is not its own. */
  async reach(client) {
    const attempt = (make: (llb: Llb) => Output): Promise<string> => {
      const llb = new Llb();
      return refused(solve(client, llb, make(llb)));
    };
    const root = 'docker.io/library/busybox:latest';
    const found = {
      network: await attempt((llb) => llb.run(llb.image(root), 'true', { network: NetMode.HOST })()),
      insecure: await attempt((llb) => llb.run(llb.image(root), 'true', { security: SecurityMode.INSECURE })()),
      hostOption: await refused(pass(client, 'dockerfile.v0', { 'force-network-mode': 'host' })),
      session: await attempt((llb) => llb.source('local://context', { 'local.session': 'of-another' })),
      directory: await attempt((llb) => llb.source('local:///etc')),
      result: await refused(client.unary(LLBBridge, 'readFile', { Ref: 'of-another', FilePath: '/etc/passwd' })),
      container: await refused(
        client.open(LLBBridge, 'NewContainer').ended.then(
          () => {},
          (error: unknown) => Promise.reject(error as Error),
        ),
      ),
      policy: await refused(client.unary(LLBBridge, 'resolveImageConfig', { Ref: 'denied.invalid/image:1' })),
    };
    throw new Error(JSON.stringify(found));
  },
  async hang() {
    process.stderr.write('hanging\n');
    await forever();
  },
  async solving(client) {
    const llb = new Llb();
    process.stderr.write('solving\n');
    await solve(client, llb, llb.run(llb.image(), `sleep 600 # ${process.hrtime.bigint()}`)());
  },
};

/** What is done without a connection that makes sense. */
const RAW: Readonly<Record<string, () => Promise<void>>> = {
  async exit() {
    process.stderr.write('no way\n');
    process.exit(Number(argument));
  },
  async garbage() {
    writeSync(1, Buffer.alloc(100_000, 'garbage '));
    await forever();
  },
  /** All that it can say, without minding whether anybody listens. */
  async flood() {
    const bytes = Buffer.alloc(1 << 20, 'f');
    for (;;) {
      try {
        writeSync(Number(argument), bytes);
      } catch (error) {
        // A pipe that is full for now.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
    }
  },
  /** A frame of HTTP/2 that is longer than any may be. */
  async huge() {
    writeSync(1, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    writeSync(1, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    writeSync(1, Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]));
    await forever();
  },
};

const raw = RAW[word];
if (raw) await raw();
else {
  const client = connected();
  try {
    await ACTIONS[word]!(client);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const status = error instanceof GrpcError ? error : undefined;
    await client.unary(LLBBridge, 'return', {
      error: { code: status?.status ?? 2, message, details: [...(status?.details ?? [])] },
    });
  }
  process.exit(0);
}
