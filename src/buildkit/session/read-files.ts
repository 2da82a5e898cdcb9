import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { posix } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import type { RawCall } from '../grpc/client.ts';
import { Packet_PacketType, PacketSchema, type Stat } from '../protocol/files_pb.ts';

const SYMLINK = 0x08000000;
const KIND = 0x8f280000;
const MAX_BYTES = 16 << 20;
const MAX_LINKS = 32;

/**
 * Reads a few small files of a client whole: a Dockerfile, a .dockerignore. Links are followed within the directory.
 * Files that are not there are left out. Throws `too-large` beyond 16 MiB, of what the client says of its files included.
 */
export async function readSmallFiles(call: RawCall, names: readonly string[]): Promise<Map<string, Buffer>> {
  const send = (packet: { type: Packet_PacketType; ID?: number }): Promise<void> =>
    call.send(toBinary(PacketSchema, create(PacketSchema, packet)));
  const stats: Stat[] = [];
  const contents = new Map<number, Buffer[]>();
  let open = 0;
  let bytes = 0;
  let listed = false;
  try {
    for await (const message of call.messages()) {
      bytes += message.length;
      if (bytes > MAX_BYTES)
        throw new EngineError('too-large', `${names[0]} and its list have more than ${MAX_BYTES >> 20} MiB`);
      const packet = fromBinary(PacketSchema, message);
      if (packet.type === Packet_PacketType.PACKET_ERR)
        throw new EngineError('invalid-argument', Buffer.from(packet.data).toString());
      if (packet.type === Packet_PacketType.PACKET_STAT && packet.stat) stats.push(packet.stat);
      else if (packet.type === Packet_PacketType.PACKET_STAT) {
        listed = true;
        for (const name of names) {
          const id = lookUp(stats, name);
          if (id === undefined || contents.has(id)) continue;
          contents.set(id, []);
          open++;
          await send({ type: Packet_PacketType.PACKET_REQ, ID: id });
        }
      }
      if (packet.type === Packet_PacketType.PACKET_DATA) {
        const pieces = contents.get(packet.ID);
        if (!pieces) throw new EngineError('invalid-argument', 'the client sent a file that nobody asked for');
        pieces.push(Buffer.from(packet.data));
        if (packet.data.length === 0) open--;
      }
      if (listed && open === 0) break;
    }
    if (!listed || open > 0)
      throw new EngineError('invalid-argument', 'the client stopped sending files in the middle');
    await send({ type: Packet_PacketType.PACKET_FIN });
    // The client answers with its own end, which changes nothing.
    call.finish();
  } catch (error) {
    call.cancel();
    throw error;
  }
  const found = new Map<string, Buffer>();
  for (const name of names) {
    const id = lookUp(stats, name);
    if (id !== undefined) found.set(name, Buffer.concat(contents.get(id) ?? []));
  }
  return found;
}

/** Place in the list of the regular file that a path means. */
function lookUp(stats: readonly Stat[], name: string): number | undefined {
  let path = clean(name);
  for (let links = 0; links < MAX_LINKS; links++) {
    let at = '';
    let moved = false;
    for (const part of path.split('/')) {
      at = at === '' ? part : `${at}/${part}`;
      const stat = stats.find((one) => one.path === at);
      if (!stat) return undefined;
      if ((stat.mode & SYMLINK) === 0) continue;
      path = clean(
        posix.join(stat.linkname.startsWith('/') ? '' : posix.dirname(at), stat.linkname, path.slice(at.length)),
      );
      moved = true;
      break;
    }
    if (moved) continue;
    const index = stats.findIndex((one) => one.path === path);
    return (stats[index]!.mode & KIND) >>> 0 === 0 ? index : undefined;
  }
  return undefined;
}

function clean(path: string): string {
  return posix.join('/', path).slice(1);
}
