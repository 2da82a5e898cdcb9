import { addressOfBytes, formatAddress } from '../address.ts';
import { answerCode, RCODE } from './message.ts';

/** What a server's answer says, in a word or as its addresses. */
export function describeAnswer(answer: Buffer, addresses: readonly Uint8Array[]): string {
  const code = answerCode(answer);
  if (code !== RCODE.noError) return CODES[code] ?? `code ${code}`;
  return addresses.length > 0 ? addresses.map(addressText).join(' ') : 'the name has no such address';
}

const CODES: Readonly<Record<number, string>> = {
  [RCODE.formatError]: 'FORMERR',
  [RCODE.serverFailure]: 'SERVFAIL',
  [RCODE.nameError]: 'NXDOMAIN: no such name',
  [RCODE.notImplemented]: 'NOTIMP',
  [RCODE.refused]: 'REFUSED',
};

export function addressText(bytes: Uint8Array): string {
  return formatAddress(addressOfBytes(bytes));
}
