import type { Cli } from '../cli.ts';

/** Keeps the remote terminal as large as ours, from now on. Gives the function that ends this. */
export function followSize(cli: Cli, resize: (size: { rows: number; columns: number }) => Promise<void>): () => void {
  const { stdout } = cli.io;
  if (!stdout.isTTY) return () => {};
  const send = (): void => {
    // The terminal may not be there yet, or not any more.
    resize({ rows: stdout.rows, columns: stdout.columns }).catch(() => {});
  };
  send();
  return cli.io.onResize(send);
}
