import type { Cli } from '../cli.ts';
import { humanSize } from './units.ts';

/** The end of every prune: what went, and how much that gave back. */
export function printPruned(cli: Cli, title: string, names: readonly string[], bytes: number | undefined): void {
  if (names.length > 0) cli.print(`${title}\n${names.map((name) => `${cli.clean(name)}\n`).join('')}`);
  if (bytes !== undefined) cli.print(`Total reclaimed space: ${humanSize(bytes)}`);
}
