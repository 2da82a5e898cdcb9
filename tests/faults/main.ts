/**
 * `npm run test:faults`: the engine killed and its power cut, many times, with figures at the end.
 *
 *     npm run test:faults                              200 kills, 200 power cuts, a seed of the clock
 *     npm run test:faults -- kills=1000 cuts=0 seed=7 runtime=runc
 */
import { killEngine } from './kill-engine.ts';
import { cannotCutPower, cutPower } from './power-cut.ts';

const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]));
for (const name of words.keys()) {
  if (!['kills', 'cuts', 'seed', 'runtime'].includes(name))
    throw new Error(`no option ${name}: kills, cuts, seed, runtime`);
}
const number = (name: string, otherwise: number): number => Number(words.get(name) ?? otherwise);
const seed = number('seed', Date.now() % 1_000_000);
const [kills, cuts] = [number('kills', 200), number('cuts', 200)];
const runtime = words.get('runtime');
const reports = [];
if (kills > 0) reports.push(await killEngine({ kills, seed, ...(runtime && { runtime }), report: console.log }));
const why = cannotCutPower();
if (cuts > 0 && why === undefined) reports.push(await cutPower({ cuts, seed, report: console.log }));
if (cuts > 0 && why !== undefined) console.log(`no power cuts here: ${why}`);
console.log(JSON.stringify(reports, null, 2));
process.exitCode = reports.some(({ failures }) => failures.length > 0) ? 1 : 0;
