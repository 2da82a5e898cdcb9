/** A listening socket that the service manager opened for us. */
export interface InheritedSocket {
  readonly fd: number;
  /** Of `FileDescriptorName=` in the socket's unit; often empty. */
  readonly name: string;
}

/** The sockets that systemd passes begin at descriptor 3 (sd_listen_fds). */
export function inheritedSockets(env: Readonly<Record<string, string | undefined>>, pid: number): InheritedSocket[] {
  if (env['LISTEN_PID'] !== String(pid)) return [];
  const count = Number(env['LISTEN_FDS'] ?? 0);
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
  return Array.from({ length: Number.isInteger(count) ? Math.min(count, 64) : 0 }, (_, index) => ({
    fd: 3 + index,
    name: names[index] ?? '',
  }));
}
