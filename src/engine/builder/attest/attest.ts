import { VERSION } from '../../../base/version.ts';
import { spdxDocument } from '../../../scan/documents/spdx.ts';
import { inventoryOf } from '../../../scan/inventory.ts';
import { chainsOf } from '../../gc.ts';
import type { ImageParts } from '../../images/parts.ts';
import type { Attestation, BuiltImage } from '../outputs/built-image.ts';
import type { ProvenanceOption, WantedAttestations } from './option.ts';

/** The image with what was asked to be said about it. */
export async function attest(
  parts: Pick<ImageParts, 'snapshotter'>,
  {
    image,
    provenance,
  }: {
    readonly image: BuiltImage;
    /** How it was made; undefined where nothing is known of it. */
    readonly provenance: ((option: ProvenanceOption) => Attestation) | undefined;
  },
  wanted: WantedAttestations,
  { name, signal }: { readonly name: string | undefined; readonly signal?: AbortSignal | undefined },
): Promise<BuiltImage> {
  const attestations: Attestation[] = [...(image.attestations ?? [])];
  if (wanted.sbom) {
    const directories = chainsOf(image.config).map((chain) => parts.snapshotter.changesDir(chain));
    const inventory = await inventoryOf(directories, { signal });
    const created = (image.config.created ?? '1970-01-01T00:00:00Z').replace(/\.\d+Z$/, 'Z');
    const subject = { name: name ?? 'image', id: image.id, created, toolVersion: VERSION };
    attestations.push({ predicateType: 'https://spdx.dev/Document', predicate: spdxDocument(inventory, subject) });
  }
  if (wanted.provenance && provenance) attestations.push(provenance(wanted.provenance));
  return attestations.length === 0 ? image : { ...image, attestations };
}
