import { MEDIA_TYPES } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { answerJson, type Call } from './call.ts';
import { ProtocolError } from './protocol-error.ts';

/** Entries of a page, whatever is asked for. */
const MAX_PAGE = 1000;

/** `GET /v2/_catalog` */
export async function handleCatalog(call: Call): Promise<void> {
  const repositories = (await call.repositories.links.repositories()).filter((name) => call.maySee(name));
  const { names, headers } = page(repositories, call.query, '/v2/_catalog');
  answerJson(call, JSON.stringify({ repositories: names }), headers);
}

/** `GET /v2/<name>/tags/list` */
export async function handleTags(call: Call, repository: string): Promise<void> {
  const tags = (await call.cache?.tags(repository)) ?? (await call.repositories.links.tags(repository));
  if (!tags) throw new ProtocolError(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const { names, headers } = page(tags, call.query, `/v2/${repository}/tags/list`);
  answerJson(call, JSON.stringify({ name: repository, tags: names }), headers);
}

/** `GET /v2/<name>/referrers/<digest>`: an empty list for what nobody refers to, be it there or not. */
export async function handleReferrers(
  call: Call,
  { repository, digest }: { repository: string; digest: Digest },
): Promise<void> {
  const wanted = call.query.get('artifactType');
  const records = await call.repositories.links.referrers(repository, digest);
  const manifests = records
    .filter(({ artifactType }) => wanted === null || artifactType === wanted)
    .map(({ mediaType, digest, size, artifactType, annotations }) => ({
      mediaType,
      digest,
      size,
      ...(artifactType !== undefined && { artifactType }),
      ...(annotations && { annotations }),
    }));
  answerJson(call, JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }), {
    'content-type': MEDIA_TYPES.ociIndex,
    ...(wanted !== null && { 'oci-filters-applied': 'artifactType' }),
  });
}

/** The names after `last`, at most `n`, and where the next are. Throws 400. */
function page(
  all: readonly string[],
  query: URLSearchParams,
  path: string,
): { names: readonly string[]; headers: Record<string, string> } {
  const n = query.get('n');
  if (n !== null && !/^\d{1,15}$/.test(n)) throw new ProtocolError(400, 'UNSUPPORTED', 'n is no number');
  const count = Math.min(n === null ? MAX_PAGE : Number(n), MAX_PAGE);
  const last = query.get('last');
  const rest = last === null ? all : all.filter((name) => name > last);
  const names = rest.slice(0, count);
  if (names.length === 0 || names.length === rest.length) return { names, headers: {} };
  const next = new URLSearchParams({ n: String(count), last: names.at(-1)! });
  return { names, headers: { link: `<${path}?${next.toString()}>; rel="next"` } };
}
