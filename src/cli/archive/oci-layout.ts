import fs from 'node:fs';
import { join, resolve } from 'node:path';
import { CommandError } from '../command.ts';

interface LayoutEntry {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * The image of an OCI layout in a directory that `PATH[:TAG][@DIGEST]` means. Without either it is the one that is called
 * latest, or the only one. Throws `CommandError`.
 */
export function findInLayout(text: string): { readonly directory: string; readonly digest: string } {
  const [, path, tag, given] = /^(.+?)(?::([\w][\w.-]{0,127}))?(?:@(.+))?$/.exec(text) ?? [];
  const directory = resolve(path ?? '');
  const fail = (reason: string): CommandError => new CommandError(`invalid context oci-layout://${text}: ${reason}`);
  if (fs.statSync(join(directory, 'oci-layout'), { throwIfNoEntry: false })?.isFile() !== true)
    throw fail(`${directory} is no OCI layout (it has no file oci-layout)`);
  if (given !== undefined) {
    if (!/^sha256:[0-9a-f]{64}$/.test(given)) throw fail(`${given} is no digest`);
    return { directory, digest: given };
  }
  let manifests: readonly LayoutEntry[];
  try {
    const index = JSON.parse(fs.readFileSync(join(directory, 'index.json'), 'utf8')) as { manifests?: LayoutEntry[] };
    manifests = index.manifests ?? [];
  } catch (error) {
    throw new CommandError(fail(`its index.json cannot be read: ${(error as Error).message}`).message, 1, {
      cause: error,
    });
  }
  const named = manifests.filter(({ annotations }) => annotations?.[REF_NAME] === (tag ?? 'latest'));
  const found = named.at(-1) ?? (tag === undefined && manifests.length === 1 ? manifests[0] : undefined);
  if (!/^sha256:[0-9a-f]{64}$/.test(found?.digest ?? '')) {
    const names = manifests.map(({ annotations, digest }) => annotations?.[REF_NAME] ?? digest ?? '');
    throw fail(`it has no image ${tag ?? 'latest'}${names.length > 0 ? `: there are ${names.join(', ')}` : ''}`);
  }
  return { directory, digest: found!.digest! };
}

const REF_NAME = 'org.opencontainers.image.ref.name';
