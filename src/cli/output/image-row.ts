import type { ImageSummary } from '../../api/image.ts';
import type { Row, RowFormat } from './rows.ts';
import { goTime, humanSize, timeAgo } from './units.ts';

export const IMAGE_FORMAT: RowFormat = {
  columns: ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size'],
  headers: {
    ID: 'IMAGE ID',
    CreatedSince: 'CREATED',
    CreatedAt: 'CREATED AT',
    SharedSize: 'SHARED SIZE',
    UniqueSize: 'UNIQUE SIZE',
    VirtualSize: 'SIZE',
  },
  typeName: '*formatter.imageContext',
  quiet: 'ID',
};

/** The lines of `images` for one image: one for each tag, or for each digest where `digests` asks for them. */
export function imageRows(image: ImageSummary, options: { truncate: boolean; digests: boolean }): Row[] {
  const names: { repository: string; tag: string; digest: string }[] = [];
  const digests = new Map<string, string[]>();
  for (const name of image.RepoDigests ?? []) {
    const at = name.indexOf('@');
    const repository = name.slice(0, at);
    digests.set(repository, [...(digests.get(repository) ?? []), name.slice(at + 1)]);
  }
  const tagged = new Set<string>();
  for (const name of image.RepoTags ?? []) {
    if (name === '<none>:<none>') continue;
    const colon = name.lastIndexOf(':');
    const repository = name.slice(0, colon);
    const tag = name.slice(colon + 1);
    tagged.add(repository);
    const known = options.digests ? digests.get(repository) : undefined;
    for (const digest of known ?? ['<none>']) names.push({ repository, tag, digest });
  }
  for (const [repository, known] of digests) {
    if (tagged.has(repository)) continue;
    for (const digest of options.digests ? known : known.slice(0, 1)) names.push({ repository, tag: '<none>', digest });
  }
  if (names.length === 0) names.push({ repository: '<none>', tag: '<none>', digest: '<none>' });
  const shown = image.Id.replace(/^sha256:/, '');
  return names.map(({ repository, tag, digest }) => ({
    ID: options.truncate ? shown.slice(0, 12) : image.Id,
    Repository: repository,
    Tag: tag,
    Digest: digest,
    CreatedSince: timeAgo(image.Created) || 'N/A',
    CreatedAt: goTime(image.Created * 1000),
    Size: humanSize(image.Size, 3),
    Containers: image.Containers === -1 ? 'N/A' : String(image.Containers),
    VirtualSize: humanSize(image.Size),
    SharedSize: image.SharedSize === -1 ? 'N/A' : humanSize(image.SharedSize),
    UniqueSize: image.SharedSize === -1 ? 'N/A' : humanSize(image.Size - image.SharedSize),
  }));
}
