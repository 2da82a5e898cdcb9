import { create, toBinary } from '@bufbuild/protobuf';
import { BytesMessageSchema } from '../protocol/filesync_pb.ts';
import type { RawCall } from '../grpc/client.ts';

/** gRPC's clients take messages of 4 MiB; this keeps clear of it. */
const PIECE = 1 << 20;

/** Sends a stream to the client's file, and waits until it is there; gives its bytes. Throws what the client answers. */
export async function sendFile(call: RawCall, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let sent = 0;
  try {
    for await (const chunk of bytes) {
      sent += chunk.length;
      for (let at = 0; at < chunk.length; at += PIECE)
        await call.send(
          toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: chunk.subarray(at, at + PIECE) })),
        );
    }
    call.end();
    for await (const _message of call.messages()) continue;
    return sent;
  } catch (error) {
    call.cancel();
    throw error;
  }
}
