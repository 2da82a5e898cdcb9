/** What a container printed, as log servers take it, and the servers it goes to. */

/** A line that a container printed, without its newline, or a piece of one that was longer than 16 KiB. */
export interface LogMessage {
  /** When its first byte was printed, in nanoseconds since the epoch. */
  readonly time: bigint;
  readonly stream: 'stdout' | 'stderr';
  readonly text: Buffer;
  /** Of a piece: what all of one line share, its number from 1, and whether it is the last. */
  readonly piece?: { readonly id: string; readonly ordinal: number; readonly last: boolean } | undefined;
}

/** Whose output it is. */
export interface LogSource {
  readonly id: string;
  /** Without a slash. */
  readonly name: string;
  readonly imageId: string;
  /** As it was asked for. */
  readonly imageName: string;
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `NAME=value` each. */
  readonly env: readonly string[];
  /** Of this host. */
  readonly hostname: string;
}

/** A log server, as one container sees it. One call at a time. */
export interface LogSink {
  /** How long to wait after a failure, at first, and how often it is tried again; undefined: until it works. */
  readonly retry: { readonly waitMs: number; readonly most?: number };
  /** Reaches the server, where the protocol has such a thing. Throws an Error in Docker's words. */
  connect(): Promise<void>;
  /** Resolves when the server, or the kernel where there is no answer, has taken them all. Then, and only then, are they not sent again. */
  send(messages: readonly LogMessage[]): Promise<void>;
  close(): void;
}

export type DriverOptions = ReadonlyMap<string, string>;

/** What speaks to one kind of server. */
export interface LogDriver {
  /** Its own options; those of every driver are added. */
  readonly options: readonly string[];
  /** Throws an Error in Docker's words for what can be said before the server is asked. */
  check(options: DriverOptions): void;
  open(options: DriverOptions, source: LogSource): LogSink;
}
