import { EngineError } from '../base/errors.ts';

/** Certificates for `tcp://` with TLS, as PEM texts. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** False: whatever certificate the server shows is taken (`--tls`, `skip-tls-verify`). */
  readonly verify: boolean;
}

/** Where an engine listens. `url` is what a person would write after `-H`. */
export type Endpoint =
  | { readonly kind: 'unix'; readonly url: string; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly url: string;
      readonly host: string;
      readonly port: number;
      readonly tls?: TlsMaterial | undefined;
    }
  | {
      readonly kind: 'ssh';
      readonly url: string;
      readonly host: string;
      readonly user?: string;
      readonly port?: string;
      readonly path: string;
    };

/** Reads what follows `-H`. Throws `invalid-argument`. A bare `host` or `host:port` is tcp, as in Docker. */
export function parseEndpoint(text: string, tls?: TlsMaterial): Endpoint {
  const given = text.trim();
  const scheme = /^([a-z]+):\/\/(.*)$/s.exec(given);
  if (!scheme) {
    if (given === '')
      throw new EngineError(
        'invalid-argument',
        'the host of the engine is empty: give unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST',
      );
    return tcpEndpoint(`tcp://${given}`, tls);
  }
  const [, name, rest] = scheme;
  switch (name) {
    case 'unix':
      if (rest === '')
        throw new EngineError(
          'invalid-argument',
          `unable to parse docker host \`${given}\`: the socket's path is missing`,
        );
      return { kind: 'unix', url: given, path: rest! };
    case 'tcp':
    case 'http':
    case 'https':
      return tcpEndpoint(`tcp://${rest}`, tls ?? (name === 'https' ? { verify: true } : undefined));
    case 'ssh':
      return sshEndpoint(given);
    default:
      throw new EngineError(
        'invalid-argument',
        `unable to parse docker host \`${given}\`: unix, tcp and ssh are supported, not ${name}`,
      );
  }
}

function tcpEndpoint(url: string, tls: TlsMaterial | undefined): Endpoint {
  let parsed: URL;
  try {
    parsed = new URL(url.replace(/^tcp:/, 'http:'));
  } catch {
    throw new EngineError('invalid-argument', `unable to parse docker host \`${url}\``);
  }
  // URL drops the port when it is http's own, so it is read from the text.
  const written = /:(\d+)\/?$/.exec(url.slice('tcp://'.length));
  const port = written ? Number(written[1]) : tls ? 2376 : 2375;
  if (port < 1 || port > 65535)
    throw new EngineError('invalid-argument', `unable to parse docker host \`${url}\`: no such port`);
  return { kind: 'tcp', url, host: parsed.hostname.replace(/^\[|\]$/g, ''), port, tls };
}

function sshEndpoint(url: string): Endpoint {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new EngineError('invalid-argument', `unable to parse docker host \`${url}\``);
  }
  if (parsed.hostname === '' || parsed.password !== '') {
    throw new EngineError(
      'invalid-argument',
      `unable to parse docker host \`${url}\`: give ssh://USER@HOST[:PORT], without a password`,
    );
  }
  // A name that begins with a dash would be read as an option by the ssh program.
  if (parsed.hostname.startsWith('-') || parsed.username.startsWith('-')) {
    throw new EngineError(
      'invalid-argument',
      `unable to parse docker host \`${url}\`: the host may not start with a dash`,
    );
  }
  return {
    kind: 'ssh',
    url,
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    ...(parsed.username === '' ? {} : { user: decodeURIComponent(parsed.username) }),
    ...(parsed.port === '' ? {} : { port: parsed.port }),
    path: parsed.pathname === '/' ? '' : parsed.pathname,
  };
}
