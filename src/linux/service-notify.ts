import { UnixDatagram } from './unix-datagram.ts';

/** Tells the service manager at `socketPath` (`NOTIFY_SOCKET`) a state such as `READY=1`; see sd_notify(3). Throws SystemCallError. */
export function notifyService(socketPath: string, state: string): void {
  const socket = new UnixDatagram(socketPath);
  try {
    socket.sendNow(Buffer.from(state));
  } finally {
    socket.close();
  }
}
