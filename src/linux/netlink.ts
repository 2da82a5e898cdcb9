import { closeSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { linksAside } from './links-aside.ts';
import { bind, bindAside, check, errnoName, SystemCallError } from './libc.ts';
import { type NetworkNamespace, newSocket } from './network-namespace.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_TRUNC = 0x20;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSG_HEADER = 16;
const NLMSGERR_ATTR_MSG = 1;
const NLA_TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;
const PADDING = Buffer.alloc(3);

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const send = bind<(fd: number, data: Uint8Array, length: number, flags: number) => number>(
  'long send(int fd, const void *data, size_t length, int flags)',
);
const sendAside = bindAside<[fd: number, data: Uint8Array, length: number, flags: number]>(
  'long send(int fd, const void *data, size_t length, int flags)',
);
const recv = bind<(fd: number, data: Uint8Array, length: number, flags: number) => number>(
  'long recv(int fd, void *data, size_t length, int flags)',
);
const setsockopt = bind<(fd: number, level: number, name: number, value: Int32Array, length: number) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);

/** What is asked of the kernel. */
export interface NetlinkRequest {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
  /** For errors: `set link 3 up`. */
  readonly what: string;
  /** The refusal that says that nothing was to be done: `EEXIST`. */
  readonly unless?: string;
}

/** A message of an answer: what follows the netlink header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly payload: Buffer;
}

/**
 * One raw netlink socket (netlink(7)). Calls are synchronous: the kernel works on a request inside `send`, so the answer is
 * there when it returns. About 50 µs each.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(64 * 1024);
  #sequence = 0;
  #open = true;

  /** In the thread's own namespace, or in `namespace` for good. */
  constructor(protocol: number, namespace?: NetworkNamespace) {
    this.#fd = namespace ? namespace.socket(AF_NETLINK, SOCK_RAW, protocol) : newSocket(AF_NETLINK, SOCK_RAW, protocol);
    const on = Int32Array.of(1);
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, on, 4);
    setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, 4);
  }

  /**
   * Sends one request and gives the messages of its answer. Throws `SystemCallError` named `what`, with the kernel's own
   * words where it has some.
   */
  request(type: number, flags: number, body: Uint8Array, what: string): NetlinkMessage[] {
    const message = this.#message(type, flags, body);
    check(send(this.#fd, message, message.length, 0), 'netlink', what);
    return this.#answer(this.#sequence, what);
  }

  /**
   * As `request` for each, but a thread of Node's pool waits while the kernel works: for what takes it milliseconds, or
   * waits for others that change the host's links. The kernel has them all at once, and goes on after a refusal: the first
   * is thrown at the end. The socket must be used for nothing else meanwhile.
   */
  async requestAside(...requests: readonly NetlinkRequest[]): Promise<NetlinkMessage[][]> {
    const numbered = requests.map((request) => {
      const message = this.#message(request.type, request.flags, request.body);
      return { request, message, sequence: this.#sequence };
    });
    // each begins where the kernel looks for it
    const bytes = Buffer.concat(numbered.flatMap(({ message }) => [message, PADDING.subarray(0, -message.length & 3)]));
    const sent = await linksAside(() => sendAside(this.#fd, bytes, bytes.length, 0));
    if (sent < 0) throw new EngineError('internal', `netlink ${requests[0]?.what}: the request could not be sent`);
    const refusals: unknown[] = [];
    const answers = numbered.map(({ request: { what, unless }, sequence }) => {
      try {
        return this.#answer(sequence, what);
      } catch (error) {
        if (!(error instanceof SystemCallError && error.code === unless)) refusals.push(error);
        return [];
      }
    });
    if (refusals.length > 0) throw refusals[0];
    return answers;
  }

  #message(type: number, flags: number, body: Uint8Array): Buffer {
    const message = Buffer.alloc(NLMSG_HEADER + body.length);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt16LE(type, 4);
    message.writeUInt16LE(flags | NLM_F_REQUEST | NLM_F_ACK, 6);
    message.writeUInt32LE(++this.#sequence, 8);
    message.set(body, NLMSG_HEADER);
    return message;
  }

  #answer(sequence: number, what: string): NetlinkMessage[] {
    const messages: NetlinkMessage[] = [];
    for (;;) {
      const length = check(recv(this.#fd, this.#buffer, this.#buffer.length, MSG_TRUNC), 'netlink', what);
      if (length > this.#buffer.length) throw new Error(`netlink ${what}: an answer of ${length} bytes`);
      if (takeAnswer(this.#buffer.subarray(0, length), sequence, what, messages)) return messages;
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Adds what one datagram has of the answer to the request of that number; true when that was the last of it. A message that
 * is shorter than its header, or longer than the datagram, ends the reading. Throws `SystemCallError` for a refusal.
 */
export function takeAnswer(datagram: Buffer, sequence: number, what: string, messages: NetlinkMessage[]): boolean {
  for (let at = 0; at + NLMSG_HEADER <= datagram.length;) {
    const size = datagram.readUInt32LE(at);
    if (size < NLMSG_HEADER || at + size > datagram.length) break;
    const type = datagram.readUInt16LE(at + 4);
    const flags = datagram.readUInt16LE(at + 6);
    const mine = datagram.readUInt32LE(at + 8) === sequence;
    const payload = datagram.subarray(at + NLMSG_HEADER, at + size);
    at += (size + 3) & ~3;
    if (!mine) continue;
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) {
      const errno = -wholePayload(payload, 4, what).readInt32LE(0);
      if (errno === 0) return true;
      throw netlinkError(errno, flags, payload, what);
    }
    messages.push({ type, payload: Buffer.from(payload) });
  }
  return false;
}

/** The payload, when it has the bytes that every such message begins with. */
export function wholePayload(payload: Buffer, bytes: number, what: string): Buffer {
  if (payload.length < bytes)
    throw new EngineError('internal', `netlink ${what}: an answer of ${payload.length} bytes`);
  return payload;
}

/** The extended acknowledgement's text (NLMSGERR_ATTR_MSG), when the kernel sent one. */
function netlinkError(errno: number, flags: number, payload: Buffer, what: string): SystemCallError {
  const echoed = (flags & NLM_F_CAPPED) !== 0 || payload.length < 8 ? NLMSG_HEADER : payload.readUInt32LE(4);
  const words =
    (flags & NLM_F_ACK_TLVS) !== 0
      ? parseAttributes(payload.subarray(4 + ((echoed + 3) & ~3))).get(NLMSGERR_ATTR_MSG)
      : undefined;
  const error = new SystemCallError('netlink', errno, what);
  if (words) error.message += ` (${errnoName(errno) === error.code ? cString(words) : ''})`;
  return error;
}

/** Attributes by type; of a repeated one the last. */
export function parseAttributes(data: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= data.length;) {
    const size = data.readUInt16LE(at);
    if (size < 4) break;
    attributes.set(data.readUInt16LE(at + 2) & NLA_TYPE_MASK, data.subarray(at + 4, at + size));
    at += (size + 3) & ~3;
  }
  return attributes;
}

export function attribute(type: number, value: Uint8Array): Buffer {
  const size = 4 + value.length;
  const buffer = Buffer.alloc((size + 3) & ~3);
  buffer.writeUInt16LE(size, 0);
  buffer.writeUInt16LE(type, 2);
  buffer.set(value, 4);
  return buffer;
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

export function stringAttribute(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

export function u8Attribute(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value));
}

export function u16Attribute(type: number, value: number): Buffer {
  const data = Buffer.alloc(2);
  data.writeUInt16LE(value);
  return attribute(type, data);
}

export function u32Attribute(type: number, value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value, 0);
  return attribute(type, buffer);
}

/** 0 for an attribute that is not there, or too short for a number. */
export function u32Of(attributes: ReadonlyMap<number, Buffer>, type: number): number {
  const value = attributes.get(type);
  return value && value.length >= 4 ? value.readUInt32LE(0) : 0;
}

export function cString(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString('utf8', 0, end < 0 ? data.length : end);
}
