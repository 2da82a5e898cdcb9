/**
 * `GET /gantry/containers/{id}/why`: why a container is as it is, from what was recorded when it happened. A container that
 * was removed is found too, for some time.
 */
export function containerWhyPath(id: string): string {
  return `/gantry/containers/${id}/why`;
}

/** Who did it. */
export interface FactAuthor {
  /** A client of the API, a program that has the engine in it, or the engine by itself. */
  readonly Kind: 'client' | 'program' | 'engine';
  /** Of the engine: `restart policy`, `health check`, `engine start`, `--rm`. */
  readonly Reason?: string;
  /** `POST /v1.51/containers/web/stop` */
  readonly Request?: string;
  readonly Agent?: string;
  /** Of a client by TCP. */
  readonly Address?: string;
  /** Of a client by a unix socket. */
  readonly Pid?: number;
  readonly Uid?: number;
  readonly Command?: string;
}

export type FactKind =
  | 'started'
  | 'start-failed'
  | 'signal'
  | 'ended'
  | 'paused'
  | 'unpaused'
  | 'health'
  | 'connected'
  | 'disconnected'
  | 'taken-over'
  | 'removed'
  | 'restored';

/** What happened to a container. */
export interface ContainerFact {
  /** RFC 3339. */
  readonly At: string;
  readonly Kind: FactKind;
  readonly By?: FactAuthor;
  /** Of `ended`. */
  readonly ExitCode?: number;
  readonly OOMKilled?: boolean;
  /** Of `ended`: milliseconds until the restart policy starts it again; absent when it does not. */
  readonly RestartAfterMs?: number;
  /** Of `ended`: no engine was there to see it. */
  readonly Unseen?: boolean;
  /** Of `signal`. */
  readonly Signal?: number;
  /** Of `signal`: what for, `stop`, `kill`, `restart`, `rm`; of `health`: the new status; of networks: the name. */
  readonly What?: string;
  /** Of `signal`: the container did not end in time after the first. */
  readonly TimedOut?: boolean;
  /** Of `ended`, of a container that is removed then: what its output says. */
  readonly Hints?: readonly Finding[];
  /** Of `start-failed`, and of `ended` when the run was lost. */
  readonly Error?: string;
}

/** One thing that is worth saying, the most telling first. */
export interface Finding {
  /** For programs: `oom-killed`, `stopped`, `command-not-found`, … (docs/why.md has all) */
  readonly Kind: string;
  readonly Text: string;
  /** What to do. */
  readonly Hint?: string;
}

export interface WhyDocument {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  /** As in inspect, or `removed`. */
  readonly State: string;
  readonly Findings: readonly Finding[];
  /** Oldest first. */
  readonly Facts: readonly ContainerFact[];
  /** The last lines that it printed, when it did not end well. */
  readonly Output: readonly string[];
}
