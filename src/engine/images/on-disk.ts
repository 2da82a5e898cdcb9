import type { ImageParts } from './parts.ts';
import { resolveImage } from './resolve.ts';

/** An image as its parts lie on disk: what a search of its files needs. Throws `not-found`. */
export async function imageOnDisk(
  { images, snapshotter }: Pick<ImageParts, 'images' | 'snapshotter'>,
  name: string,
): Promise<{ readonly id: string; readonly configText: string; readonly layers: readonly string[] }> {
  const image = resolveImage(images, name);
  const layers: string[] = [];
  for (let chain: string | undefined = image.chain; chain !== undefined; chain = snapshotter.stat(chain)?.parent) {
    if (snapshotter.stat(chain)) layers.push(snapshotter.changesDir(chain));
  }
  return { id: image.id, configText: image.configText, layers };
}
