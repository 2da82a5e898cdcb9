import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import type { SpokenCommand } from '../../engine/builder/step-executor.ts';
import type { ImageConfig } from '../../oci/image.ts';
import { type Bridge, type BuildJob, clientBridge } from '../control/bridge.ts';
import { Job } from '../control/jobs.ts';
import { SolveRequestSchema } from '../protocol/control_pb.ts';
import { GRPC } from '../grpc/status.ts';
import type { ClientSession } from '../session/client-session.ts';
import { type FrontendCall, type ImageFrontendParts, runImageFrontend } from './image-frontend.ts';

type Chunk = SpokenCommand['output'] extends AsyncIterable<infer T> ? T : never;

const CONFIG = {
  config: { Entrypoint: ['/frontend'] },
  rootfs: { type: 'layers', diff_ids: [] },
} as unknown as ImageConfig;
const CALL: FrontendCall = {
  frontend: 'gateway.v0',
  attributes: { source: 'a/b' },
  inputs: {},
  policies: [],
  cacheImports: [],
};

function bridge(): Bridge {
  const session = { closed: new AbortController().signal } as ClientSession;
  const job: BuildJob = new Job(create(SolveRequestSchema, { Ref: 'x' }), session, new AbortController().signal);
  return clientBridge(job);
}

/** Parts whose program says this and ends with this code. */
function parts(chunks: readonly Chunk[], code = 0): ImageFrontendParts & { readonly ran: string[][] } {
  const ran: string[][] = [];
  return {
    ran,
    worker: async () => ({
      id: 'w',
      hostname: 'h',
      hostGateway: undefined,
      platforms: ['linux/amd64'],
      collection: [],
    }),
    report: () => {},
    configOf: async () => CONFIG,
    run: async (_image, _layers, program, use) => {
      ran.push([...program.env]);
      const exited = Promise.withResolvers<number>();
      const spoken: SpokenCommand = {
        output: (async function* () {
          yield* chunks;
          exited.resolve(code);
        })(),
        write: async () => {},
        kill: () => exited.resolve(137),
        exited: exited.promise,
      };
      return use(spoken);
    },
    handlersOf: () => ({}),
  };
}

test('programs that call programs are bounded in depth and in number', async () => {
  const client = bridge();
  const own = parts([]);
  await assert.rejects(runImageFrontend(own, { ...client, depth: 8 }, CALL), {
    status: GRPC.resourceExhausted,
    message: /docker.io\/a\/b:latest is called by 8 others/,
  });
  const busy = { ...client, programs: { running: 16 } };
  await assert.rejects(runImageFrontend(own, busy, CALL), { status: GRPC.resourceExhausted });
  assert.equal(busy.programs.running, 16);
  assert.deepEqual(own.ran, []);
  await assert.rejects(runImageFrontend(own, client, CALL), /no result for incomplete build/);
  assert.equal(client.programs.running, 0);
});

test('options go into the environment as they are, and none that could become another', async () => {
  const own = parts([]);
  const attributes = { source: 'a/b', 'build-arg:X': 'a=b\nc' };
  await assert.rejects(runImageFrontend(own, bridge(), { ...CALL, attributes }), /no result/);
  assert.deepEqual(own.ran[0]!.slice(0, 3), [
    'BUILDKIT_FRONTEND_OPT_0=source=a/b',
    'BUILDKIT_FRONTEND_OPT_1=build-arg:X=a=b\nc',
    'BUILDKIT_SESSION_ID=',
  ]);
  await assert.rejects(runImageFrontend(own, bridge(), { ...CALL, attributes: { source: 'a/b', x: 'a\0b' } }), /NUL/);
  const other = { source: 'a/b', 'context:a/b': 'https://example.com/x.tar' };
  await assert.rejects(runImageFrontend(own, bridge(), { ...CALL, attributes: other }), { code: 'unimplemented' });
});

test('what a program says that makes no sense ends it, and how it ended is told', async () => {
  const garbage = parts([{ stream: 1, data: Buffer.from('this is no HTTP/2 at all, not by a long way') }], 3);
  await assert.rejects(runImageFrontend(garbage, bridge(), CALL), /closed unexpectedly|exit code: 3/);
  const loud = parts(Array.from({ length: 65 }, () => ({ stream: 2 as const, data: Buffer.alloc(1 << 20, 'x') })));
  await assert.rejects(runImageFrontend(loud, bridge(), CALL), /more than 64 MiB/);
});
