import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TRASH_HEADER } from '../api/trash.ts';
import type { Caller } from '../base/caller.ts';
import { peerPid, peerProcess } from '../linux/peer-process.ts';

const MAX_TEXT = 200;

/** Who sent a request, as far as its connection shows it. */
export function callerOf(request: IncomingMessage): Caller {
  const { socket, headers } = request;
  const agent = headers['user-agent']?.slice(0, MAX_TEXT);
  const address = socket.remoteAddress;
  const peer = address === undefined ? peerOf(socket) : undefined;
  return {
    request: `${request.method} ${request.url?.split('?')[0]?.slice(0, MAX_TEXT)}`,
    ...(agent !== undefined && { agent }),
    ...(address !== undefined && { address }),
    ...(peer && { process: peer }),
    ...(headers[TRASH_HEADER] === 'off' && { trash: false }),
  };
}

/** What counts as one client: a process, or a host by TCP. */
export function clientOf(socket: Socket): string {
  const { remoteAddress } = socket;
  if (remoteAddress !== undefined) return remoteAddress;
  const fd = descriptorOf(socket);
  return fd === undefined ? '' : `pid ${peerPid(fd) ?? 0}`;
}

function descriptorOf(socket: object): number | undefined {
  // Node has no public name for a socket's descriptor
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

function peerOf(socket: object): Caller['process'] {
  const fd = descriptorOf(socket);
  return fd === undefined ? undefined : peerProcess(fd);
}
