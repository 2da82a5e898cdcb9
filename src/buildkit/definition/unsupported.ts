import type { Message } from '@bufbuild/protobuf';
import { GRPC, GrpcError } from '../grpc/status.ts';

/** Fields that change nothing of a result: hints. By type, their numbers. */
const HINTS: Readonly<Record<string, readonly number[]>> = { 'pb.Mount': [24] };

/** What a definition asks for and nobody here can do: its operation and what of it. */
export function unsupported(operation: string, what: string): GrpcError {
  return new GrpcError(GRPC.unimplemented, `${operation}: ${what} is not supported by this engine`);
}

export function malformed(operation: string, what: string): GrpcError {
  return new GrpcError(GRPC.invalidArgument, `invalid ${operation}: ${what}`);
}

/** Throws for fields of newer clients that this engine does not know: what they mean would be dropped in silence. */
export function refuseUnknownFields(operation: string, message: Message): void {
  for (const { no } of message.$unknown ?? []) {
    if (HINTS[message.$typeName]?.includes(no)) continue;
    throw unsupported(operation, `field ${no} of ${message.$typeName}`);
  }
  for (const value of Object.values(message) as unknown[]) visit(operation, value);
}

function visit(operation: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (Array.isArray(value)) {
    for (const one of value) visit(operation, one);
  } else if ('$typeName' in value) refuseUnknownFields(operation, value as Message);
  else for (const one of Object.values(value)) visit(operation, one);
}
