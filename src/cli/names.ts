import type { Cli } from './cli.ts';
import { describeError } from './describe-error.ts';

const AT_ONCE = 20;

/**
 * Does something to each of several things, some at a time, and prints their names in the order given; what fails is
 * told on stderr and makes the exit code 1.
 */
export async function forEachName(
  cli: Cli,
  names: readonly string[],
  action: (name: string) => Promise<unknown>,
  options: { atOnce?: number; quiet?: boolean; prefix?: string } = {},
): Promise<number> {
  const results: Promise<{ error?: unknown }>[] = [];
  const running = new Set<Promise<unknown>>();
  for (const name of names) {
    while (running.size >= (options.atOnce ?? AT_ONCE)) await Promise.race(running);
    const result = action(name).then(
      () => ({}),
      (error: unknown) => ({ error }),
    );
    running.add(result);
    void result.then(() => running.delete(result));
    results.push(result);
  }
  const failures: unknown[] = [];
  for (const [i, result] of results.entries()) {
    const { error } = await result;
    if (error !== undefined) failures.push(error);
    else if (options.quiet !== true) cli.print(cli.clean(names[i]!));
  }
  for (const error of failures) cli.warn(`${options.prefix ?? ''}${describeError(error)}`);
  return failures.length === 0 ? 0 : 1;
}
