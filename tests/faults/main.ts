/**
 * `npm run test:faults`: the engine killed, its power cut, its disk as it was after any of its writes, many times, with
 * figures at the end.
 *
 *     npm run test:faults                              200 kills, 200 power cuts, 100 prefixes, a seed of the clock
 *     npm run test:faults -- kills=1000 cuts=0 prefixes=0 seed=7 runtime=runc
 *
 * A signal (Ctrl-C) ends the kills; what has been looked at by then is told, and nothing of it is left.
 */
import { killEngine } from './kill-engine.ts';
import { replayPrefixes } from './prefix-replay.ts';
import { cannotCutPower, cutPower } from './power-cut.ts';

const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]));
for (const name of words.keys()) {
  if (!['kills', 'cuts', 'prefixes', 'seed', 'runtime'].includes(name))
    throw new Error(`no option ${name}: kills, cuts, prefixes, seed, runtime`);
}
const number = (name: string, otherwise: number): number => Number(words.get(name) ?? otherwise);
const seed = number('seed', Date.now() % 1_000_000);
const kills = number('kills', 200);
let [cuts, prefixes] = [number('cuts', 200), number('prefixes', 100)];
const runtime = words.get('runtime');
const reports = [];
if (kills > 0) {
  const enough = new AbortController();
  const end = (): void => enough.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, end);
  const { signal } = enough;
  reports.push(await killEngine({ kills, seed, ...(runtime && { runtime }), report: console.log, signal }));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, end);
  if (signal.aborted) [cuts, prefixes] = [0, 0];
}
const why = cannotCutPower();
if (cuts > 0 && why === undefined) reports.push(await cutPower({ cuts, seed, report: console.log }));
if (prefixes > 0 && why === undefined)
  reports.push(await replayPrefixes({ prefixes, operations: 60, seed, report: console.log }));
if (cuts + prefixes > 0 && why !== undefined) console.log(`no power cuts here: ${why}`);
console.log(JSON.stringify(reports, null, 2));
process.exitCode = reports.some(({ failures }) => failures.length > 0) ? 1 : 0;
