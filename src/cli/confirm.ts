import type { Cli } from './cli.ts';

/** Asks before something is lost. No terminal and no `--force` is a no, since nobody can answer. */
export async function confirm(cli: Cli, question: string): Promise<boolean> {
  cli.io.stdout.write(`${question} [y/N] `);
  const answer = await readLine(cli);
  if (answer === undefined) cli.io.stdout.write('');
  return ['y', 'yes'].includes((answer ?? '').trim().toLowerCase());
}

/** A line from stdin; undefined at its end. */
export async function readLine(cli: Cli): Promise<string | undefined> {
  const { createInterface } = await import('node:readline');
  const reader = createInterface({ input: cli.io.stdin(), terminal: false });
  try {
    for await (const line of reader) return line;
    return undefined;
  } finally {
    reader.close();
  }
}

/** Asks, and throws nothing: false means that the command ends without having done anything. */
export function confirmPrune(cli: Cli, force: boolean, warning: string): Promise<boolean> {
  return force ? Promise.resolve(true) : confirm(cli, `${warning}\nAre you sure you want to continue?`);
}
