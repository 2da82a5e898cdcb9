/**
 * A disk whose writes are recorded: a filesystem with one file in it, served from here to the kernel (FUSE), for a loop
 * device. What the kernel writes to that device, and when it asks for everything to be on the disk, is in the record in the
 * order in which it came, so that the disk can be made as it was, or could have been, at any moment.
 *
 *     node tests/support/recorded-disk.ts FILE DIRECTORY RECORD
 *
 * serves FILE as DIRECTORY/disk until the directory is unmounted. It is a process of its own, for those who use the disk
 * wait for it.
 */
import { appendFileSync, closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { bind, check } from '../../src/linux/libc.ts';

/** Of a record: kind and length (32 bits each), offset (64 bits), then the bytes of a write. */
export const RECORD_HEADER = 16;
export const RECORD = { write: 1, flush: 2 } as const;

export interface DiskRecord {
  readonly kind: (typeof RECORD)[keyof typeof RECORD];
  readonly offset: number;
  readonly data: Buffer;
  /** Where it ends in the file of records. */
  readonly end: number;
}

/** The records of such a file, in order, in its memory. */
export function readRecords(file: Buffer): DiskRecord[] {
  const records: DiskRecord[] = [];
  for (let at = 0; at + RECORD_HEADER <= file.length;) {
    const end = at + RECORD_HEADER + file.readUInt32LE(at + 4);
    if (end > file.length) break;
    records.push({
      kind: file.readUInt32LE(at) as DiskRecord['kind'],
      offset: Number(file.readBigUInt64LE(at + 8)),
      data: file.subarray(at + RECORD_HEADER, end),
      end,
    });
    at = end;
  }
  return records;
}

/** linux/fuse.h, protocol 7.31 */
const OP = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  releasedir: 29,
  destroy: 38,
  batchForget: 42,
};
const [IN_HEADER, OUT_HEADER, ATTR] = [40, 16, 88];
const [ROOT, DISK] = [1n, 2n];
const [ENOENT, ENOSYS, ENODEV] = [2, 38, 'ENODEV'];
const MAX_WRITE = 128 << 10;
const [BIG_WRITES, MAX_PAGES] = [1 << 5, 1 << 22];

class RecordedDisk {
  readonly #device: number;
  readonly #file: number;
  readonly #size: number;
  readonly #record: number;

  constructor(device: number, file: number, record: number) {
    this.#device = device;
    this.#file = file;
    this.#size = fstatSync(file).size;
    this.#record = record;
  }

  /** Until it is unmounted. */
  serve(): void {
    const request = Buffer.alloc(MAX_WRITE + 4096);
    for (;;) {
      let length: number;
      try {
        length = readSync(this.#device, request);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === ENODEV) return;
        if (['EINTR', 'ENOENT', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code!)) continue;
        throw error;
      }
      this.#answer(request.subarray(0, length));
    }
  }

  #answer(request: Buffer): void {
    const opcode = request.readUInt32LE(4);
    const unique = request.readBigUInt64LE(8);
    const node = request.readBigUInt64LE(16);
    const body = request.subarray(IN_HEADER);
    if (opcode === OP.forget || opcode === OP.batchForget) return;
    const answer = this.#do(opcode, node, body);
    const head = Buffer.alloc(OUT_HEADER);
    const data = typeof answer === 'number' ? Buffer.alloc(0) : answer;
    head.writeUInt32LE(OUT_HEADER + data.length, 0);
    head.writeInt32LE(typeof answer === 'number' ? -answer : 0, 4);
    head.writeBigUInt64LE(unique, 8);
    writeSync(this.#device, Buffer.concat([head, data]));
  }

  /** The answer's bytes, or why there are none. */
  #do(opcode: number, node: bigint, body: Buffer): Buffer | number {
    switch (opcode) {
      case OP.init: {
        const answer = Buffer.alloc(64);
        answer.writeUInt32LE(7, 0);
        answer.writeUInt32LE(31, 4);
        answer.writeUInt32LE(MAX_WRITE, 8);
        answer.writeUInt32LE(BIG_WRITES | MAX_PAGES, 12);
        answer.writeUInt16LE(16, 16);
        answer.writeUInt16LE(12, 18);
        answer.writeUInt32LE(MAX_WRITE, 20);
        answer.writeUInt32LE(1, 24);
        answer.writeUInt16LE(MAX_WRITE >> 12, 28);
        return answer;
      }
      case OP.lookup: {
        if (body.toString('latin1', 0, body.indexOf(0)) !== 'disk') return ENOENT;
        const head = Buffer.alloc(40);
        head.writeBigUInt64LE(DISK, 0);
        head.writeBigUInt64LE(3600n, 16);
        head.writeBigUInt64LE(3600n, 24);
        return Buffer.concat([head, this.#attributes(DISK)]);
      }
      case OP.getattr: {
        const head = Buffer.alloc(16);
        head.writeBigUInt64LE(3600n, 0);
        return Buffer.concat([head, this.#attributes(node)]);
      }
      case OP.open:
      case OP.opendir:
        return Buffer.alloc(16);
      case OP.read: {
        const data = Buffer.alloc(body.readUInt32LE(16));
        return data.subarray(0, readSync(this.#file, data, 0, data.length, Number(body.readBigUInt64LE(8))));
      }
      case OP.write: {
        const size = body.readUInt32LE(16);
        const data = body.subarray(40, 40 + size);
        const offset = body.readBigUInt64LE(8);
        this.#note(RECORD.write, offset, data);
        writeSync(this.#file, data, 0, size, Number(offset));
        const answer = Buffer.alloc(8);
        answer.writeUInt32LE(size, 0);
        return answer;
      }
      case OP.fsync:
        this.#note(RECORD.flush, 0n, Buffer.alloc(0));
        return 0;
      case OP.statfs:
        return Buffer.alloc(80);
      case OP.flush:
      case OP.release:
      case OP.releasedir:
      case OP.destroy:
        return 0;
      default:
        return ENOSYS;
    }
  }

  #note(kind: DiskRecord['kind'], offset: bigint, data: Uint8Array): void {
    const head = Buffer.alloc(RECORD_HEADER);
    head.writeUInt32LE(kind, 0);
    head.writeUInt32LE(data.length, 4);
    head.writeBigUInt64LE(offset, 8);
    appendFileSync(this.#record, Buffer.concat([head, data]));
  }

  #attributes(node: bigint): Buffer {
    const attributes = Buffer.alloc(ATTR);
    attributes.writeBigUInt64LE(node, 0);
    attributes.writeBigUInt64LE(node === ROOT ? 0n : BigInt(this.#size), 8);
    attributes.writeBigUInt64LE(node === ROOT ? 0n : BigInt(this.#size >> 9), 16);
    attributes.writeUInt32LE(node === ROOT ? 0o40755 : 0o100600, 60);
    attributes.writeUInt32LE(1, 64);
    attributes.writeUInt32LE(4096, 80);
    return attributes;
  }
}

if (import.meta.main) {
  const [file, directory, record] = process.argv.slice(2) as [string, string, string];
  const mount = bind<(source: string, target: string, type: string, flags: number, data: string) => number>(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  const device = openSync('/dev/fuse', 'r+');
  check(
    mount('recorded', directory, 'fuse', 0, `fd=${device},rootmode=40000,user_id=0,group_id=0`),
    'mount',
    directory,
  );
  process.stdout.write('ready\n');
  new RecordedDisk(device, openSync(file, 'r+'), openSync(record, 'a')).serve();
  closeSync(device);
}
