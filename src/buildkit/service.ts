import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { EngineServices } from '../engine/engine.ts';
import { contentHandlers } from './control/content.ts';
import { controlHandlers, type ControlParts } from './control/control.ts';
import type { RefResult } from './control/bridge.ts';
import { gatewayHandlers } from './control/gateway.ts';
import { BuildHistory } from './control/history.ts';
import { Jobs } from './control/jobs.ts';
import { type RequestedBuild, runRequestedBuild } from './control/requested-build.ts';
import type { WorkerFacts } from './control/worker.ts';
import { GrpcServer } from './grpc/server.ts';
import { Content } from './protocol/content_pb.ts';
import { Control } from './protocol/control_pb.ts';
import { LLBBridge } from './protocol/gateway_pb.ts';
import { Sessions } from './session/sessions.ts';

export interface BuildkitServiceOptions {
  readonly engine: EngineServices;
  /** Where records of builds are kept: `<data-root>/cache/build-history`. */
  readonly history: string;
  /** Gets a line for each failure that is ours. */
  readonly report: (message: string) => void;
}

/** BuildKit's protocol on the engine's builder: one more door to the same solver. */
export class BuildkitService {
  readonly #server: GrpcServer;
  readonly #sessions = new Sessions();
  readonly #parts: ControlParts;

  constructor({ engine, history: directory, report }: BuildkitServiceOptions) {
    const jobs = new Jobs<RefResult>();
    const history = new BuildHistory(directory);
    let facts: ReturnType<typeof workerFacts> | undefined;
    // What it is called does not change while the engine runs; what it can does seldom, and a build asks five times.
    const worker = shortLived(async (): Promise<WorkerFacts> => ({
      ...(await (facts ??= workerFacts(engine))),
      ...(await engine.builder.facts()),
    }));
    const parts = { engine, jobs, sessions: this.#sessions, history, worker, report };
    this.#parts = parts;
    this.#server = new GrpcServer(report)
      .add(Control, controlHandlers(parts))
      .add(LLBBridge, gatewayHandlers(parts))
      .add(Content, contentHandlers(history));
  }

  /** Serves a client on this connection, which speaks HTTP/2 from its first byte on. */
  accept(socket: Duplex): void {
    this.#server.accept(socket);
  }

  /** A build of a client that asked for it over HTTP. Throws what Control's Solve throws. */
  build(build: RequestedBuild): Promise<Record<string, string>> {
    return runRequestedBuild(this.#parts, build);
  }

  /** Throws for headers of a session that cannot be opened; called before the connection changes its protocol. */
  checkSession(headers: IncomingHttpHeaders): void {
    this.#sessions.check(headers);
  }

  /** Takes a connection on which the client serves: its session. */
  attachSession(headers: IncomingHttpHeaders, socket: Duplex): void {
    this.#sessions.attach(headers, socket);
  }

  close(): void {
    this.#sessions.close();
    this.#server.close();
    this.#parts.history.close();
  }
}

const FACTS_MS = 1000;

/** The same answer for a second; a failure is nobody else's. */
function shortLived<T>(ask: () => Promise<T>): () => Promise<T> {
  let known: { readonly answer: Promise<T>; readonly until: number } | undefined;
  return () => {
    if (known && performance.now() < known.until) return known.answer;
    const answer = ask();
    known = { answer, until: performance.now() + FACTS_MS };
    answer.catch(() => (known = undefined));
    return answer;
  };
}

async function workerFacts(engine: EngineServices): Promise<Omit<WorkerFacts, 'platforms' | 'collection'>> {
  const { ID, Name } = await engine.system.info();
  const bridge = await engine.networks.inspect('bridge').catch(() => undefined);
  return {
    id: ID,
    hostname: Name,
    hostGateway: bridge?.IPAM?.Config?.find(({ Gateway }) => Gateway !== undefined && Gateway !== '')?.Gateway,
  };
}
