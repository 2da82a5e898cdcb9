import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { EngineOptions } from '../../src/engine/config.ts';

/** `['containers', 'start', 'web']` */
export type Call = readonly [
  service: 'containers' | 'images' | 'volumes' | 'networks' | 'trash',
  verb: string,
  ...args: unknown[],
];

/** Runs the calls in an engine of another process, and kills that with SIGKILL: when they are done, or `afterMs` after it opened. */
export async function killedEngine(
  options: EngineOptions,
  calls: readonly Call[],
  { afterMs }: { afterMs?: number } = {},
): Promise<void> {
  const { report: _, ...plain } = options;
  const script = fileURLToPath(new URL('engine-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify({ options: plain, calls })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const due = Promise.withResolvers<boolean>();
  let printed = '';
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString();
    if (printed.startsWith('open\n') && afterMs !== undefined) setTimeout(() => due.resolve(true), afterMs);
    if (printed.endsWith('done\n')) due.resolve(true);
  });
  child.once('exit', () => due.resolve(false));
  if (!(await due.promise)) throw new Error('the engine ended by itself');
  child.kill('SIGKILL');
  await exited;
}
