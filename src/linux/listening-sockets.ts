import { readFileSync } from 'node:fs';

export interface ListeningSocket {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

/** Sockets that take connections (of UDP: that are bound) in the network namespace of a process; empty when it is gone. */
export function listeningSockets(pid: number): ListeningSocket[] {
  return (['tcp', 'tcp6', 'udp', 'udp6'] as const).flatMap((table) => {
    const protocol = table.startsWith('tcp') ? 'tcp' : 'udp';
    return lines(`/proc/${pid}/net/${table}`).flatMap((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      const [address, port] = local.split(':');
      if (!address || !port || state !== (protocol === 'tcp' ? TCP_LISTEN : UDP_UNCONNECTED)) return [];
      return [{ protocol, address: parseAddress(address), port: Number.parseInt(port, 16) }];
    });
  });
}

const TCP_LISTEN = '0A';
const UDP_UNCONNECTED = '07';

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(1);
  } catch {
    return [];
  }
}

/** As /proc writes it: words of 32 bits, each in the order of the machine, which is little-endian where we run. */
function parseAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.subarray(0, 12).equals(MAPPED)) return bytes.subarray(12).join('.');
  if (bytes.every((byte) => byte === 0)) return '::';
  if (bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return '::1';
  return bytes.toString('hex').replace(/(.{4})(?!$)/g, '$1:');
}

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');
