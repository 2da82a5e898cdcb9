/** An engine in a process of its own, to be killed: takes its options and a list of calls, prints `open` and `done`, and lives on. */
import { Engine } from '../../src/index.ts';
import type { Call } from './killed-engine.ts';

const { options, calls } = JSON.parse(process.argv[2]!) as {
  options: Record<string, unknown>;
  calls: readonly Call[];
};
const engine = await Engine.open(options);
process.stdout.write('open\n');
for (const [service, verb, ...args] of calls) {
  const target = engine[service] as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  await target[verb]!(...args);
}
process.stdout.write('done\n');
setInterval(() => {}, 1 << 30);
