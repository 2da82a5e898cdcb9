import type { AuthConfig } from '../../../api/auth.ts';
import { errorMessage } from '../../../base/errors.ts';
import { parseReference, withDefaultTag } from '../../../oci/reference.ts';
import type { ImageParts } from '../../images/parts.ts';
import { needRegistry } from '../../images/pull.ts';
import { imageArchive } from '../outputs/archive.ts';
import { authFor, type ClientOutput } from '../outputs/deliver.ts';
import type { CacheableSteps } from '../solved-build.ts';
import { encodeCache } from './cache-config.ts';
import { assembleCache, portableRecords } from './export.ts';
import type { CacheTarget } from './option.ts';

export interface ExportCachesOptions {
  readonly auth: Readonly<Record<string, AuthConfig>> | undefined;
  readonly signal: AbortSignal | undefined;
  readonly announce: (text: string) => void;
  readonly toClient: ((output: ClientOutput) => Promise<void>) | undefined;
}

/** Brings what builds of several platforms know to where it was asked for (`--cache-to`). */
export async function exportCaches(
  parts: ImageParts,
  solved: readonly CacheableSteps[],
  targets: readonly CacheTarget[],
  { auth, signal, announce, toClient }: ExportCachesOptions,
): Promise<void> {
  for (const target of targets) {
    if (target.kind === 'inline') continue; // it is in the image
    try {
      const { mode, form } = target;
      const assembled = await assembleCache(parts, solved, { mode, form, signal });
      if (target.kind === 'local') {
        const archive = imageArchive(assembled, { layout: 'oci', names: [], tag: target.tag });
        await toClient?.({ kind: 'cache', index: target.index, open: () => archive });
        announce(`Exported cache to a directory: ${assembled.blobs.size} blobs\n`);
        continue;
      }
      const reference = withDefaultTag(parseReference(target.reference));
      await needRegistry(parts.registry, reference).push(reference, assembled.target, assembled.source, {
        auth: authFor(auth, reference),
        signal,
      });
      announce(`Exported cache to ${target.reference}: digest: ${assembled.target.digest}\n`);
    } catch (error) {
      signal?.throwIfAborted();
      if (!target.ignoreError) throw error;
      announce(`[Warning] the cache was not exported: ${errorMessage(error)}\n`);
    }
  }
}

/** The cache of an image's own layers, to be kept in its document. */
export function inlineCache(parts: Pick<ImageParts, 'snapshotter'>, solved: CacheableSteps): string {
  return Buffer.from(encodeCache(portableRecords(parts, solved, 'min'))).toString('base64');
}
