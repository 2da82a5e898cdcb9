/** A line of progress, as `pull`, `push`, `load`, `import` and `build` send them (`application/x-ndjson`-like JSON lines). */
export interface ProgressMessage {
  readonly stream?: string;
  readonly status?: string;
  readonly id?: string;
  /** Drawn by the server for clients that draw nothing themselves. */
  readonly progress?: string;
  readonly progressDetail?: {
    readonly current?: number;
    readonly total?: number;
    readonly units?: string;
    readonly hidecounts?: boolean;
    readonly start?: number;
  };
  readonly error?: string;
  /** `excerpt` is our own: the lines of the Dockerfile that a build failed at. */
  readonly errorDetail?: { readonly code?: number; readonly message?: string; readonly excerpt?: string };
  readonly aux?: unknown;
}

/** `GET /images/search` */
export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
  readonly is_automated?: boolean;
}
