/**
 * What the command starts from (docs/decisions/0020), made in three runs when the bundle is made. GANTRY_SNAPSHOT says
 * for which commands. As an ordinary program it rehearses them and joins the files that they need in one script; by
 * `node --build-snapshot` it rehearses them so that Node's modules are loaded in the snapshot; and the process that is
 * started from there with the one word `__rehearse` leaves the script's compiled functions beside it.
 */
import fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { startupSnapshot } from 'node:v8';
import type * as bundledCommand from '../bundled-command.ts';
import { ChunkLoader, type Joined, joinChunks, loadJoined } from './chunk-loader.ts';
import { rehearse, type Role } from './rehearsal.ts';

const role = process.env['GANTRY_SNAPSHOT'] as Role;
const command = (chunks: ChunkLoader): typeof bundledCommand => chunks.load('command.cjs') as never;

const scriptIn = (directory: string): string => `${directory}/${role}.js`;

async function join(directory: string): Promise<void> {
  const found = new ChunkLoader(directory, {}, 'read');
  await rehearse(role, command(found).runProgram);
  fs.writeFileSync(scriptIn(directory), joinChunks(directory, found.names));
}

async function rehearseJoined(directory: string): Promise<Joined> {
  const joined = loadJoined(scriptIn(directory));
  await rehearse(role, command(new ChunkLoader(directory, joined.bodies, 'read')).runProgram);
  return joined;
}

async function compile(directory: string): Promise<void> {
  const { script } = await rehearseJoined(directory);
  fs.writeFileSync(`${scriptIn(directory)}.cache`, script.createCachedData());
}

function start(): void {
  // The snapshot lies beside the bundle's files; `dist` may come to be another bundle while this runs.
  const flag = process.execArgv.indexOf('--snapshot-blob');
  const here = dirname(fs.realpathSync(resolve(process.execArgv[flag + 1]!)));
  if (process.argv[1] === '__rehearse') return void compile(here);
  process.argv.splice(1, 0, `${here}/main.cjs`);
  void command(new ChunkLoader(here, loadJoined(scriptIn(here)).bodies, 'node')).runProcess(here, true);
}

if (startupSnapshot.isBuildingSnapshot()) {
  void rehearseJoined(import.meta.dirname);
  startupSnapshot.setDeserializeMainFunction(start);
} else void join(import.meta.dirname);
