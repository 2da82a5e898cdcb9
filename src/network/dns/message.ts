/** DNS messages (RFC 1035), as far as a resolver for containers needs them. Everything here faces hostile bytes. */
export const TYPE = { A: 1, PTR: 12, AAAA: 28, OPT: 41, ANY: 255 } as const;
export const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;
const HEADER = 12;
const CLASS_IN = 1;
const MAX_JUMPS = 32;

export interface Question {
  /** Lower-case, without the trailing dot; empty for the root. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface Query {
  readonly id: number;
  readonly opcode: number;
  readonly question: Question;
  /** Bytes of header and question. */
  readonly length: number;
  /** What the client takes by UDP: 512, or what its OPT record says (RFC 6891). */
  readonly udpSize: number;
}

export interface Answer {
  readonly type: typeof TYPE.A | typeof TYPE.AAAA | typeof TYPE.PTR;
  /** Bytes of the address, or a name in the wire's form. */
  readonly data: Uint8Array;
}

/** Undefined when it is no query with exactly one question. */
export function parseQuery(message: Buffer): Query | undefined {
  if (message.length < HEADER) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0 || message.readUInt16BE(4) !== 1) return undefined;
  const name = readName(message, HEADER);
  if (!name || name.end + 4 > message.length) return undefined;
  const question = {
    name: name.text.toLowerCase(),
    type: message.readUInt16BE(name.end),
    class: message.readUInt16BE(name.end + 2),
  };
  const length = name.end + 4;
  return {
    id: message.readUInt16BE(0),
    opcode: (flags >> 11) & 15,
    question,
    length,
    udpSize: ednsSize(message, length),
  };
}

function ednsSize(message: Buffer, at: number): number {
  const opt = records(message, at)?.find((record) => record.type === TYPE.OPT);
  return opt ? Math.min(4096, Math.max(512, opt.class)) : 512;
}

/** The answer to `query`, which was parsed from `message`. `limit` cuts it, with the mark that says so (TC). */
export function makeAnswer(
  message: Buffer,
  query: Query,
  reply: {
    readonly code: number;
    readonly answers?: readonly Answer[];
    readonly ttl?: number;
    readonly limit?: number;
  },
): Buffer {
  const parts: Buffer[] = [];
  let size = query.length;
  let cut = false;
  for (const answer of reply.answers ?? []) {
    const record = Buffer.alloc(12 + answer.data.length);
    record.writeUInt16BE(0xc000 | HEADER, 0); // the question's name
    record.writeUInt16BE(answer.type, 2);
    record.writeUInt16BE(CLASS_IN, 4);
    record.writeUInt32BE(reply.ttl ?? 0, 6);
    record.writeUInt16BE(answer.data.length, 10);
    record.set(answer.data, 12);
    cut = size + record.length > (reply.limit ?? 65535);
    if (cut) break;
    size += record.length;
    parts.push(record);
  }
  const head = Buffer.from(message.subarray(0, query.length));
  const recursionDesired = head.readUInt16BE(2) & 0x0100;
  head.writeUInt16BE(0x8080 | (query.opcode << 11) | recursionDesired | (cut ? 0x0200 : 0) | reply.code, 2);
  head.writeUInt16BE(parts.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...parts]);
}

/** Whether `answer` belongs to `query`: id, the bit that says answer, and the question repeated. */
export function isAnswerTo(query: Query, answer: Buffer): boolean {
  if (answer.length < HEADER || answer.readUInt16BE(0) !== query.id || (answer.readUInt8(2) & 0x80) === 0) return false;
  // a server that refuses may leave the question out
  if (answer.readUInt16BE(4) === 0) return answerCode(answer) !== RCODE.noError;
  const name = readName(answer, HEADER);
  return (
    name !== undefined &&
    name.end + 4 <= answer.length &&
    name.text.toLowerCase() === query.question.name &&
    answer.readUInt16BE(name.end) === query.question.type
  );
}

export function answerCode(answer: Buffer): number {
  return answer.readUInt8(3) & 15;
}

export function isTruncated(answer: Buffer): boolean {
  return (answer.readUInt8(2) & 2) !== 0;
}

/** Seconds until the first of its records is stale; undefined when it has none or cannot be read. */
export function shortestTtl(answer: Buffer, query: Query): number | undefined {
  const ttls = records(answer, query.length)
    ?.filter((record) => record.type !== TYPE.OPT)
    .map((record) => answer.readUInt32BE(record.ttlAt));
  return ttls && ttls.length > 0 ? Math.min(...ttls) : undefined;
}

/** A copy with another id, whose records are `seconds` older. */
export function agedAnswer(answer: Buffer, query: Query, seconds: number): Buffer {
  const copy = Buffer.from(answer);
  copy.writeUInt16BE(query.id, 0);
  for (const record of records(copy, query.length) ?? []) {
    if (record.type === TYPE.OPT) continue;
    copy.writeUInt32BE(Math.max(0, copy.readUInt32BE(record.ttlAt) - seconds), record.ttlAt);
  }
  return copy;
}

/** The addresses of the asked type among its records; behind aliases as well. */
export function addressesOf(answer: Buffer, query: Query): Uint8Array[] {
  const size = query.question.type === TYPE.A ? 4 : 16;
  return (records(answer, query.length) ?? []).flatMap(({ type, ttlAt }) => {
    const at = ttlAt + 6;
    const isAddress = type === query.question.type && answer.readUInt16BE(ttlAt + 4) === size;
    return isAddress ? [Uint8Array.from(answer.subarray(at, at + size))] : [];
  });
}

interface RecordHeader {
  readonly type: number;
  readonly class: number;
  readonly ttlAt: number;
}

function records(message: Buffer, start: number): RecordHeader[] | undefined {
  const count = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  const found: RecordHeader[] = [];
  let at = start;
  for (let n = 0; n < count; n++) {
    const name = readName(message, at);
    if (!name || name.end + 10 > message.length) return undefined;
    found.push({
      type: message.readUInt16BE(name.end),
      class: message.readUInt16BE(name.end + 2),
      ttlAt: name.end + 4,
    });
    at = name.end + 10 + message.readUInt16BE(name.end + 8);
    if (at > message.length) return undefined;
  }
  return found;
}

/** A name at `at`, following compression; `end` is behind it in the message. */
function readName(message: Buffer, at: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  let length = 0;
  let end: number | undefined;
  for (let jumps = 0; ;) {
    const size = message[at];
    if (size === undefined) return undefined;
    if (size === 0) return { text: labels.join('.'), end: end ?? at + 1 };
    if (size >= 0xc0) {
      const low = message[at + 1];
      if (low === undefined || ++jumps > MAX_JUMPS) return undefined;
      end ??= at + 2;
      at = ((size & 0x3f) << 8) | low;
      continue;
    }
    length += size + 1;
    if (size > 63 || length > 255 || at + 1 + size > message.length) return undefined;
    labels.push(message.toString('latin1', at + 1, at + 1 + size));
    at += size + 1;
  }
}

/** A name in the wire's form, without compression. Labels too long for it are cut. */
export function wireName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label, 'latin1').subarray(0, 63);
    return Buffer.concat([Uint8Array.of(bytes.length), bytes]);
  });
  return Buffer.concat([...parts, Uint8Array.of(0)]);
}

/** A query as a client sends it. */
export function makeQuery(id: number, name: string, type: number): Buffer {
  const head = Buffer.alloc(HEADER);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x0100, 2);
  head.writeUInt16BE(1, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(CLASS_IN, 2);
  return Buffer.concat([head, wireName(name), tail]);
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for, as its bytes. */
export function reverseAddress(name: string): Uint8Array | undefined {
  const labels = name.split('.').toReversed();
  if (labels[0] !== 'arpa') return undefined;
  const rest = labels.slice(2);
  if (labels[1] === 'in-addr' && rest.length === 4) {
    const bytes = rest.map((label) => (/^\d{1,3}$/.test(label) ? Number(label) : 256));
    return bytes.every((byte) => byte < 256) ? Uint8Array.from(bytes) : undefined;
  }
  if (labels[1] === 'ip6' && rest.length === 32 && rest.every((label) => /^[0-9a-f]$/.test(label))) {
    return Uint8Array.from(Buffer.from(rest.join(''), 'hex'));
  }
  return undefined;
}
