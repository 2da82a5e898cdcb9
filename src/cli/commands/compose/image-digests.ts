import { asDict, asText, type Dict, sortedKeys } from '../../../compose/model/value.ts';
import { canonicalName, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { authHeaderFor } from '../../credentials.ts';
import type { Compose } from './context.ts';

/** The images of services with the digests that they have in their registries now, by service. */
export async function pinnedImages(compose: Compose, services: Dict): Promise<Map<string, string>> {
  const client = await compose.cli.client();
  const names = new Map<string, string>();
  for (const service of sortedKeys(services)) {
    const image = asText(asDict(services[service])['image']);
    if (image !== undefined && image !== '') names.set(service, image);
  }
  const pinned = new Map<string, string>();
  await Promise.all(
    [...new Set(names.values())].map(async (image) => {
      const reference = withDefaultTag(parseReference(image));
      const name = canonicalName(reference);
      if (reference.digest !== undefined) return pinned.set(image, name);
      const { Descriptor: found } = await client.images.distribution(name, {
        auth: await authHeaderFor(compose.cli, image),
      });
      return pinned.set(image, `${name}@${found.digest}`);
    }),
  );
  return new Map([...names].map(([service, image]) => [service, pinned.get(image)!]));
}
