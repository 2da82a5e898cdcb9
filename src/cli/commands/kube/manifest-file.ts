import fs from 'node:fs';
import type { Dict } from '../../../compose/model/value.ts';
import { readManifests } from '../../../kube/manifests.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { fileComplaint } from '../../options/environment.ts';

/** The objects of files of manifests; `-` is stdin. */
export async function readManifestFiles(cli: Cli, files: readonly string[]): Promise<Dict[]> {
  const found: Dict[] = [];
  for (const file of files) {
    if (file !== '-') {
      found.push(...readManifests(readText(file), file));
      continue;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of cli.io.stdin()) chunks.push(Buffer.from(chunk as Uint8Array));
    found.push(...readManifests(Buffer.concat(chunks).toString('utf8'), 'stdin'));
  }
  return found;
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`open ${file}: ${fileComplaint(error)}`, 1, { cause: error });
  }
}
