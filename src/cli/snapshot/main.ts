/**
 * What the command starts from (docs/decisions/0020), made in three runs when the bundle is made. GANTRY_SNAPSHOT says
 * for which commands. As an ordinary program it rehearses them and joins the files that they need in two scripts: what
 * they need each time, and what they do without once they have read a project and kept its model; by
 * `node --build-snapshot` it rehearses them so that Node's modules are loaded in the snapshot; and the process that is
 * started from there with the one word `__rehearse` leaves the scripts' compiled functions beside them.
 */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join as joinPath, resolve } from 'node:path';
import { startupSnapshot } from 'node:v8';
import type * as bundledCommand from '../bundled-command.ts';
import { ChunkLoader, type Joined, joinChunks, loadJoined } from './chunk-loader.ts';
import { rehearse, type Role } from './rehearsal.ts';

const role = process.env['GANTRY_SNAPSHOT'] as Role;
const command = (chunks: ChunkLoader): typeof bundledCommand => chunks.load('command.cjs') as never;

const scriptIn = (directory: string): string => `${directory}/${role}.js`;
const seldomIn = (directory: string): string => `${directory}/${role}.seldom.js`;

async function join(directory: string): Promise<void> {
  const home = makeHome();
  try {
    const [first, again] = [anyChunks(directory), anyChunks(directory)];
    for (const found of [first, again]) await rehearse(role, command(found).runProgram, home);
    const seldom = first.names.filter((name) => !again.names.includes(name));
    fs.writeFileSync(scriptIn(directory), joinChunks(directory, again.names, seldom));
    fs.writeFileSync(seldomIn(directory), joinChunks(directory, seldom));
  } finally {
    fs.rmSync(home, { recursive: true });
  }
}

const anyChunks = (directory: string): ChunkLoader => new ChunkLoader(directory, {}, () => ({}), 'read');
const makeHome = (): string => fs.mkdtempSync(joinPath(tmpdir(), 'gantry-rehearsal-'));

/** Both scripts. */
async function rehearseJoined(directory: string): Promise<readonly [Joined, Joined]> {
  const [often, seldom] = [loadJoined(scriptIn(directory)), loadJoined(seldomIn(directory))];
  const home = makeHome();
  try {
    await rehearse(
      role,
      command(new ChunkLoader(directory, often.bodies, () => seldom.bodies, 'read')).runProgram,
      home,
    );
  } finally {
    fs.rmSync(home, { recursive: true });
  }
  return [often, seldom];
}

async function compile(directory: string): Promise<void> {
  const [often, seldom] = await rehearseJoined(directory);
  fs.writeFileSync(`${scriptIn(directory)}.cache`, often.script.createCachedData());
  fs.writeFileSync(`${seldomIn(directory)}.cache`, seldom.script.createCachedData());
}

function start(): void {
  // The snapshot lies beside the bundle's files; `dist` may come to be another bundle while this runs.
  const flag = process.execArgv.indexOf('--snapshot-blob');
  const here = dirname(fs.realpathSync(resolve(process.execArgv[flag + 1]!)));
  if (process.argv[1] === '__rehearse') return void compile(here);
  process.argv.splice(1, 0, `${here}/main.cjs`);
  const seldom = (): Joined['bodies'] => loadJoined(seldomIn(here)).bodies;
  void command(new ChunkLoader(here, loadJoined(scriptIn(here)).bodies, seldom, 'node')).runProcess(here, true);
}

if (startupSnapshot.isBuildingSnapshot()) {
  void rehearseJoined(import.meta.dirname);
  startupSnapshot.setDeserializeMainFunction(start);
} else void join(import.meta.dirname);
