import { VERSION } from '../../../base/version.ts';
import { spdxDocument } from '../../../scan/documents/spdx.ts';
import { inventoryOf } from '../../../scan/inventory.ts';
import { chainsOf } from '../../gc.ts';
import type { ImageParts } from '../../images/parts.ts';
import type { Attestation, BuiltImage } from '../outputs/built-image.ts';
import type { SolvedBuild } from '../solved-build.ts';
import type { WantedAttestations } from './option.ts';
import { type BuildParameters, provenance } from './provenance.ts';

/** The image with what was asked to be said about it. */
export async function attest(
  parts: Pick<ImageParts, 'snapshotter'>,
  { image, solved }: { readonly image: BuiltImage; readonly solved: SolvedBuild },
  wanted: WantedAttestations,
  {
    parameters,
    name,
    signal,
  }: {
    readonly parameters: BuildParameters;
    readonly name: string | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<BuiltImage> {
  const attestations: Attestation[] = [];
  if (wanted.sbom) {
    const directories = chainsOf(image.config).map((chain) => parts.snapshotter.changesDir(chain));
    const inventory = await inventoryOf(directories, { signal });
    const created = (image.config.created ?? '1970-01-01T00:00:00Z').replace(/\.\d+Z$/, 'Z');
    const subject = { name: name ?? 'image', id: image.id, created, toolVersion: VERSION };
    attestations.push({ predicateType: 'https://spdx.dev/Document', predicate: spdxDocument(inventory, subject) });
  }
  if (wanted.provenance) attestations.push(provenance(solved, parameters, wanted.provenance));
  return attestations.length === 0 ? image : { ...image, attestations };
}
