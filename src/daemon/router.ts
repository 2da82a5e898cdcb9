import { EngineError } from '../base/errors.ts';
import type { Exchange } from './exchange.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

export interface Route {
  readonly method: Method;
  /** `/containers/{id}/json`; a parameter takes slashes too, because images are named with them. */
  readonly path: string;
  /** A client may ask to upgrade here, and gets the connection as a raw stream. */
  readonly hijacks?: boolean;
  readonly handle: (exchange: Exchange) => Promise<void>;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** The table of routes. The first that fits is taken, so fixed paths stand before those with parameters. */
export class Router {
  readonly #routes: readonly { readonly route: Route; readonly pattern: RegExp }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, pattern: compile(route.path) }));
  }

  /** `path` without its version, still percent-encoded. Docker answers a wrong method as it answers a wrong path. */
  find(method: string, path: string): Match | undefined {
    const decoded = decode(path);
    if (decoded === undefined) return undefined;
    for (const { route, pattern } of this.#routes) {
      if (route.method !== method) continue;
      const match = pattern.exec(decoded);
      if (match) return { route, params: { ...match.groups } };
    }
    return undefined;
  }
}

export function pageNotFound(): EngineError {
  return new EngineError('not-found', 'page not found');
}

function compile(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/].*)')}$`, 's');
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
