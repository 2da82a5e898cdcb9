import { isIP } from 'node:net';
import { EngineError } from '../base/errors.ts';

/** One `--host`. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Sockets that the service manager opened; `name` chooses one of several. */
  | { readonly kind: 'fd'; readonly name: string };

/** Throws `invalid-argument` in Docker's words. */
export function parseHost(text: string, defaultSocket = '/run/gantry/gantry.sock'): ListenAddress {
  const match = /^(?:([a-z]+):\/\/)?(.*)$/.exec(text);
  const scheme = match?.[1] ?? 'tcp';
  const rest = match?.[2] ?? '';
  if (scheme === 'unix') return { kind: 'unix', path: rest === '' ? defaultSocket : rest };
  if (scheme === 'fd') return { kind: 'fd', name: rest === '*' ? '' : rest };
  if (scheme !== 'tcp') {
    throw new EngineError('invalid-argument', `invalid bind address (${text}): unsupported proto '${scheme}'`);
  }
  const address = /^(\[[0-9a-fA-F:.]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(rest);
  const port = Number(address?.[2] ?? 2375);
  if (!address || port > 65_535)
    throw new EngineError('invalid-argument', `invalid bind address (${text}): expected tcp://ADDRESS:PORT`);
  return { kind: 'tcp', host: address[1]!.replace(/^\[|\]$/g, '') || '127.0.0.1', port };
}

/** Reachable by this host's own processes only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
