import { canonicalJson } from '../../../oci/canonical-json.ts';
import { sha256 } from '../../../oci/digest.ts';
import type { ImageConfig } from '../../../oci/image.ts';
import { parsePlatform } from '../../../oci/platform.ts';
import type { ImageParts } from '../../images/parts.ts';
import { imagePlatform } from '../../images/resolve.ts';
import { INLINE_FIELD } from '../cache-transfer/cache-config.ts';
import type { SolvedBuild } from '../solved-build.ts';
import type { BuiltImage } from './built-image.ts';

/** The image that a build's target is. One that only names its base is the base, with the document that it has. */
export function finishImage(
  parts: Pick<ImageParts, 'images'>,
  { target, platform }: Pick<SolvedBuild, 'target' | 'platform'>,
  labels: Readonly<Record<string, string>>,
  /** The cache of its layers, to be kept in its document. */
  inline?: string,
): BuiltImage {
  const labelled = Object.keys(labels).length > 0;
  const base = target.imageId && !labelled && inline === undefined ? parts.images.get(target.imageId) : undefined;
  if (base) {
    const { id, configText: text, config, chain } = base;
    return { platform: imagePlatform(base), id, text, config, chain };
  }
  const own = parsePlatform(platform);
  const { whole } = target.config;
  const config: ImageConfig = {
    created: target.createdAt,
    ...(target.author && { author: target.author }),
    architecture: own.architecture,
    os: own.os,
    ...(own.variant && { variant: own.variant }),
    config: { ...whole, ...(labelled && { Labels: { ...whole.Labels, ...labels } }) },
    rootfs: { type: 'layers', diff_ids: target.diffIds },
    history: [...target.history],
  };
  const text = canonicalJson({ ...config, ...(inline !== undefined && { [INLINE_FIELD]: inline }) });
  return { platform: own, id: sha256(text), text, config: JSON.parse(text) as ImageConfig, chain: target.chain };
}
