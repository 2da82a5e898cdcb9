import fs from 'node:fs';
import { type BakeSource, readHclFile, readJsonFile } from '../../../bake/definition.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { composeTargets } from './compose-targets.ts';

/** Looked for where no file is named; all of them that are there count, later ones over earlier ones. */
const NAMES = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yml',
  'docker-compose.yaml',
  'docker-bake.json',
  'docker-bake.hcl',
  'docker-bake.override.json',
  'docker-bake.override.hcl',
];

/** Reads bake files, and Compose files as such. Throws CommandError with the file's name. */
export async function readBakeFiles(cli: Cli, given: readonly string[]): Promise<BakeSource[]> {
  const files = given.length > 0 ? given : NAMES.filter((name) => fs.existsSync(name));
  if (files.length === 0) throw new CommandError(`couldn't find a bake definition: looked for ${NAMES.join(', ')}`);
  const sources: BakeSource[] = [];
  const compose = files.filter((name) => /\.ya?ml$/.test(name));
  if (compose.length > 0) sources.push(composeTargets(cli, compose));
  for (const name of files) {
    if (compose.includes(name)) continue;
    const text = name === '-' ? await whole(cli) : readText(name);
    try {
      const isJson = name.endsWith('.json') || (!name.endsWith('.hcl') && text.trimStart().startsWith('{'));
      const source = isJson ? readJsonFile(text) : readHclFile(text);
      for (const warning of source.warnings) cli.warn(`WARN: ${name}: ${warning}`);
      sources.push(source);
    } catch (error) {
      throw new CommandError(`failed to parse ${name}: ${(error as Error).message}`, 1, { cause: error });
    }
  }
  return sources;
}

function readText(name: string): string {
  try {
    return fs.readFileSync(name, 'utf8');
  } catch (error) {
    throw new CommandError(
      `failed to read ${name}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`,
      1,
      { cause: error },
    );
  }
}

async function whole(cli: Cli): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of cli.io.stdin() as AsyncIterable<Uint8Array>) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
