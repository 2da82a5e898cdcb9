import type { PortBinding } from '../api/network.ts';
import { EngineError } from '../base/errors.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** What a container asks to have published. */
export interface PortRequest {
  readonly protocol: Protocol;
  /** The container's. */
  readonly port: number;
  /** Empty is the engine's default. */
  readonly hostAddress: string;
  /** Ports to try in this order; undefined is any free one. */
  readonly hostPorts: { readonly first: number; readonly last: number } | undefined;
}

/** `80/tcp` as Docker writes it; the protocol may be missing. Throws `invalid-argument`. */
export function parsePort(text: string): { port: number; protocol: Protocol } {
  const [number, protocol = 'tcp', ...rest] = text.split('/');
  const port = portNumber(number!);
  if (port === undefined || port === 0 || rest.length > 0) {
    throw new EngineError('invalid-argument', `invalid port specification: "${text}"`);
  }
  if (!isProtocol(protocol)) throw new EngineError('invalid-argument', `invalid proto: ${protocol}`);
  return { port, protocol };
}

/** Every port that `PortBindings` asks for, in the order of the container's ports. Throws `invalid-argument`. */
export function portRequests(bindings: Readonly<Record<string, PortBinding[] | null>>): PortRequest[] {
  const requests: PortRequest[] = [];
  for (const [key, wanted] of Object.entries(bindings)) {
    const { port, protocol } = parsePort(key);
    // `"80/tcp": []` asks for a random one, as `null` does
    const list = wanted && wanted.length > 0 ? wanted : [{ HostIp: '', HostPort: '' }];
    for (const { HostIp, HostPort } of list) {
      requests.push({ protocol, port, hostAddress: HostIp ?? '', hostPorts: parseHostPorts(HostPort ?? '') });
    }
  }
  return requests.sort((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
}

/** Whether a published port is among those that `request` speaks of; what it leaves empty is any. */
export function isRequested(
  request: PortRequest,
  held: { readonly protocol: Protocol; readonly port: number; readonly hostAddress: string; readonly hostPort: number },
): boolean {
  const { hostAddress, hostPorts } = request;
  return (
    request.protocol === held.protocol &&
    request.port === held.port &&
    (hostAddress === '' || hostAddress.replace(/^\[(.*)\]$/, '$1') === held.hostAddress) &&
    (!hostPorts || (held.hostPort >= hostPorts.first && held.hostPort <= hostPorts.last))
  );
}

/** `8080`, `8000-8010`, empty or `0`. */
function parseHostPorts(text: string): { first: number; last: number } | undefined {
  if (text === '' || text === '0') return undefined;
  const [from, to = from, ...rest] = text.split('-');
  const first = portNumber(from!);
  const last = portNumber(to!);
  if (first === undefined || last === undefined || last < first || rest.length > 0) {
    throw new EngineError('invalid-argument', `invalid port specification: "${text}"`);
  }
  return { first, last };
}

function portNumber(text: string): number | undefined {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return value <= 65535 ? value : undefined;
}

function isProtocol(text: string): text is Protocol {
  return text === 'tcp' || text === 'udp' || text === 'sctp';
}
