import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bytes } from '../../../content/content-store.ts';
import type { Digest } from '../../../oci/digest.ts';
import { formatPlatform } from '../../../oci/platform.ts';
import { tarTree } from '../../../snapshot/diff-layer.ts';
import type { BuildDirectory } from '../build-directory.ts';
import type { BuiltImage } from './built-image.ts';

export interface FilesParts {
  /** Of this build. */
  readonly directory: BuildDirectory;
  readonly mountView: (chain: Digest, target: string) => Promise<void>;
  readonly unmount: (target: string) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The files of what was built as a tar (`-o type=local`, `type=tar`): of one platform as they are, of several below
 * `linux_amd64` and its like, unless the output says otherwise. `send` is called once, with everything mounted.
 */
export async function filesArchive(
  images: readonly BuiltImage[],
  { split }: { readonly split: boolean | undefined },
  { directory, mountView, unmount, signal }: FilesParts,
  send: (open: () => Bytes) => Promise<void>,
): Promise<void> {
  const root = directory.place('files');
  const below = split ?? images.length > 1;
  const mounted: string[] = [];
  await mkdir(root, { recursive: true });
  try {
    if (!below && images.length === 1) {
      const { chain } = images[0]!;
      if (chain) {
        await mountView(chain, root);
        mounted.push(root);
      }
    } else {
      for (const { platform, chain } of images) {
        const place = join(root, below ? formatPlatform(platform).replaceAll('/', '_') : '.');
        await mkdir(place, { recursive: true });
        if (!chain) continue;
        await mountView(chain, place);
        mounted.push(place);
      }
    }
    await send(() => tarTree(root, { signal }));
  } finally {
    for (const place of mounted) await unmount(place);
  }
}
