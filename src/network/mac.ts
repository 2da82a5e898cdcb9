import { randomBytes } from 'node:crypto';
import { EngineError } from '../base/errors.ts';

/** Locally administered, of nobody in particular. */
export function randomMac(): string {
  return hex([0x02, 0x42, ...randomBytes(4)]);
}

/** From the IPv4 address: who gets an address again has its old hardware address too, so no neighbour's cache is stale. */
export function macOfAddress(bytes: Uint8Array): string {
  return hex([0x02, 0x42, ...bytes]);
}

/** In the kernel's form. Throws `invalid-argument`. */
export function parseMac(text: string): string {
  const bytes = text.split(/[:-]/);
  if (bytes.length !== 6 || !bytes.every((byte) => /^[0-9a-fA-F]{2}$/.test(byte))) {
    throw new EngineError('invalid-argument', `invalid MAC address ${text}`);
  }
  if ((Number.parseInt(bytes[0]!, 16) & 1) !== 0) {
    throw new EngineError('invalid-argument', `invalid MAC address: ${text} is a multicast address`);
  }
  return bytes.join(':').toLowerCase();
}

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
