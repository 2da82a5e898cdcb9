import { EngineError } from '../../base/errors.ts';
import type { Handlers } from '../grpc/server.ts';
import type { Content } from '../protocol/content_pb.ts';
import type { BuildHistory } from './history.ts';

const PIECE = 1 << 20;

/** The blobs that records of builds name: attestations, and descriptions of results. */
export function contentHandlers(history: BuildHistory): Handlers<typeof Content> {
  const blob = (digest: string): Buffer => {
    const bytes = history.blob(digest);
    if (!bytes) throw new EngineError('not-found', `content ${digest}: not found`);
    return bytes;
  };
  return {
    async info({ digest }) {
      return { info: { digest, size: BigInt(blob(digest).length) } };
    },
    async *read({ digest, offset, size }) {
      const bytes = blob(digest);
      const end = size > 0n ? Math.min(bytes.length, Number(offset + size)) : bytes.length;
      if (offset < 0n || offset > bytes.length)
        throw new EngineError('invalid-argument', `read of ${digest} beyond its end`);
      for (let at = Number(offset); at < end; at += PIECE)
        yield { offset: BigInt(at), data: bytes.subarray(at, Math.min(end, at + PIECE)) };
    },
  };
}
