/** What it takes to start the command: `gantry --version` beside its bundle without the snapshot, Node itself and the docker CLI. */
import { spawnSync } from 'node:child_process';
import { median, record } from './measure.ts';

const root = new URL('..', import.meta.url).pathname;
const commands: readonly [name: string, command: string, args: readonly string[]][] = [
  ['gantry', `${root}gantry`, ['--version']],
  ['bundle', process.execPath, [`${root}dist/cli/main.cjs`, '--version']],
  ['node', process.execPath, ['-e', '0']],
  ['docker', 'docker', ['--version']],
];
const times = new Map<string, number[]>(commands.map(([name]) => [name, []]));
for (let round = 0; round < 21; round++) {
  for (const [name, command, args] of commands) {
    const began = performance.now();
    const { status } = spawnSync(command, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`${command}: exit code ${status}`);
    if (round > 0) times.get(name)!.push(performance.now() - began);
  }
}
const values = Object.fromEntries([...times].map(([name, all]) => [name, median(all)]));
record({ name: 'start of the command line', unit: 'ms', values, ours: 'gantry' });
