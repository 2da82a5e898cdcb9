import type { AuthConfig } from '../api/auth.ts';
import type { Filters } from '../api/filters.ts';
import { DISK_PATH, type DiskPart } from '../api/gantry.ts';
import type { DiskUsage, SystemVersion } from '../api/system.ts';
import { filtersQuery } from './query.ts';
import type { Requester } from './requester.ts';

/** An event as the API writes it, with `timeNano` exact. */
export interface EventMessage {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes?: Readonly<Record<string, string>> };
  readonly scope?: string;
  readonly time?: number;
  readonly timeNano: bigint;
  /** The line itself. */
  readonly text: string;
}

/** `/version`, `/info`, `/system`, `/events`, `/auth` */
export class SystemClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  version(): Promise<SystemVersion> {
    return this.#requester.json('GET', '/version');
  }

  info(): Promise<Record<string, unknown>> {
    return this.#requester.json('GET', '/info');
  }

  /** Only a Gantry engine has this. */
  onDisk(): Promise<DiskPart[]> {
    return this.#requester.json('GET', DISK_PATH);
  }

  diskUsage(): Promise<DiskUsage> {
    return this.#requester.json('GET', '/system/df');
  }

  events(options: {
    since?: string | undefined;
    until?: string | undefined;
    filters?: Filters;
    signal?: AbortSignal;
  }): AsyncGenerator<EventMessage, void, void> {
    return this.#requester.lines(
      'GET',
      '/events',
      {
        query: { since: options.since, until: options.until, filters: filtersQuery(options.filters) },
        signal: options.signal,
      },
      parseEvent,
    );
  }

  auth(config: AuthConfig): Promise<{ Status: string; IdentityToken?: string }> {
    return this.#requester.json('POST', '/auth', { json: config });
  }
}

function parseEvent(text: string): EventMessage {
  const value = JSON.parse(text) as Omit<EventMessage, 'timeNano' | 'text'> & { timeNano?: number };
  // Beyond 2⁵³, so it is read from the text.
  const nanos = /"timeNano":(\d+)/.exec(text)?.[1];
  return { ...value, timeNano: BigInt(nanos ?? (value.time ?? 0) * 1e9), text };
}
