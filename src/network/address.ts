import { EngineError } from '../base/errors.ts';

/** An IP address as a number with its family. IPv4-mapped IPv6 addresses are IPv6. */
export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** `base` has no bit set beyond `prefix`. */
export interface Subnet {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly prefix: number;
}

/** Undefined when it is neither dotted IPv4 (RFC 6943 strict form) nor IPv6 (RFC 4291, no zone). */
export function tryParseAddress(text: string): Address | undefined {
  const value = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return value === undefined ? undefined : { family: text.includes(':') ? 6 : 4, value };
}

/** Throws `invalid-argument`. */
export function parseAddress(text: string): Address {
  const address = tryParseAddress(text);
  if (!address) throw new EngineError('invalid-argument', `invalid IP address: ${text}`);
  return address;
}

/** `address/prefix`, both as written. Throws `invalid-argument` in Go's words (`invalid CIDR address: x`). */
export function parseCidr(text: string): { address: Address; subnet: Subnet } {
  const cut = text.indexOf('/');
  const address = cut < 0 ? undefined : tryParseAddress(text.slice(0, cut));
  const length = text.slice(cut + 1);
  const bits = address?.family === 6 ? 128 : 32;
  if (!address || !/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > bits) {
    throw new EngineError('invalid-argument', `invalid CIDR address: ${text}`);
  }
  return { address, subnet: subnetOf(address, Number(length)) };
}

export function subnetOf(address: Address, prefix: number): Subnet {
  const host = hostBits({ family: address.family, prefix });
  return { family: address.family, base: (address.value >> host) << host, prefix };
}

export function contains(subnet: Subnet, address: Address): boolean {
  return subnet.family === address.family && subnetOf(address, subnet.prefix).base === subnet.base;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  const wide = a.prefix <= b.prefix ? a : b;
  const narrow = wide === a ? b : a;
  return contains(wide, { family: narrow.family, value: narrow.base });
}

export function firstAddress(subnet: Subnet): Address {
  return { family: subnet.family, value: subnet.base };
}

export function lastAddress(subnet: Subnet): Address {
  return { family: subnet.family, value: subnet.base + (1n << hostBits(subnet)) - 1n };
}

function hostBits(subnet: { readonly family: 4 | 6; readonly prefix: number }): bigint {
  return BigInt((subnet.family === 6 ? 128 : 32) - subnet.prefix);
}

/** Canonical text: dotted, or RFC 5952. */
export function formatAddress(address: Address): string {
  const bytes = addressBytes(address);
  if (address.family === 4) return bytes.join('.');
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(bytes[at]! * 256 + bytes[at + 1]!);
  const run = longestZeroRun(groups);
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return hex(groups);
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(firstAddress(subnet))}/${subnet.prefix}`;
}

/** In network order: 4 or 16 bytes. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? 4 : 16);
  let rest = address.value;
  for (let at = bytes.length - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

export function addressOfBytes(bytes: Uint8Array): Address {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const left = ipv6Groups(halves[0]!, halves.length === 1);
  const right = halves.length === 2 ? ipv6Groups(halves[1]!, true) : [];
  if (!left || !right) return undefined;
  const missing = 8 - left.length - right.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...left, ...Array.from({ length: missing }, () => 0), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

function ipv6Groups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (last && at === parts.length - 1 && part.includes('.')) {
      const tail = parseIpv4(part);
      if (tail === undefined) return undefined;
      groups.push(Number(tail >> 16n), Number(tail & 0xffffn));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
