const FORWARDED = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGTSTP',
  'SIGCONT',
] as const;

/** Sends the signals we get to `deliver` instead of dying of them. Gives the function that ends this. */
export function forwardSignals(deliver: (signal: string) => Promise<void>): () => void {
  const handlers = FORWARDED.map((signal) => {
    const handler = (): void => void deliver(signal).catch(() => {}); // it may have ended meanwhile
    process.on(signal, handler);
    return { signal, handler };
  });
  return () => {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  };
}
