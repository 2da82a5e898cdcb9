import { create } from '@bufbuild/protobuf';
import { newId } from '../../base/ids.ts';
import { SolveRequestSchema } from '../protocol/control_pb.ts';
import type { Call } from '../grpc/server.ts';
import { solve, type ControlParts } from './control.ts';

/** A Dockerfile's build that came by another door than gRPC: `POST /build?version=2`, with a session beside it. */
export interface RequestedBuild {
  /** Id of the client's session; empty when it has none. */
  readonly session: string;
  /** Of the frontend `dockerfile.v0`. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly outputs: readonly { readonly type: string; readonly attributes: Readonly<Record<string, string>> }[];
  readonly inlineCache: boolean;
  readonly entitlements: readonly string[];
  /** The context, where it came as an archive. */
  readonly archive: AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
  /** Gets what happens as encoded messages of Control's Status. */
  readonly onStatus: (message: Uint8Array) => void;
}

/** Runs it to its end; gives what its exporters say. Throws what Control's Solve throws. */
export async function runRequestedBuild(parts: ControlParts, build: RequestedBuild): Promise<Record<string, string>> {
  const { session, attributes, outputs, inlineCache, entitlements, archive, signal, onStatus } = build;
  const Ref = newId().slice(0, 25);
  const request = create(SolveRequestSchema, {
    Ref,
    Session: session,
    Frontend: 'dockerfile.v0',
    FrontendAttrs: { ...attributes },
    Exporters: outputs.map(({ type, attributes: Attrs }) => ({ Type: type, Attrs: { ...Attrs } })),
    Entitlements: [...entitlements],
    ...(inlineCache && { Cache: { Exports: [{ Type: 'inline', Attrs: {} }] } }),
  });
  const call: Call = { metadata: {}, signal };
  const solving = solve(parts, request, call, archive);
  const told = (async () => {
    const log = await parts.jobs.log(Ref, signal);
    for await (const entry of log.follow(signal)) onStatus(entry.bytes);
  })();
  // A build that did not begin has no events.
  const [solved] = await Promise.allSettled([solving, Promise.race([told, solving.then(() => told)])]);
  if (solved.status === 'rejected') throw solved.reason;
  return solved.value;
}
