import { EngineError } from '../../../base/errors.ts';
import { parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { readGitAddress } from './git-address.ts';

/** Something that a build takes from elsewhere, as its rules name it: `docker-image://…`, `https://…`, `git://…`, `local://context`. */
export interface NamedSource {
  readonly identifier: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Decides what a build may take. */
export interface SourceRules {
  /** The source that is taken in its place: the same one, or another. Throws `forbidden`. */
  decide(source: NamedSource): NamedSource;
}

const IMAGE = 'docker-image://';

/** The image that is taken for `name`. Throws `forbidden`, `unimplemented` when it is to become something else than an image. */
export function ruledImage(rules: SourceRules | undefined, name: string): string {
  if (!rules) return name;
  const { repository, tag, digest } = withDefaultTag(parseReference(name));
  const whole = `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
  const { identifier, attributes } = rules.decide({ identifier: `${IMAGE}${whole}`, attributes: {} });
  if (!identifier.startsWith(IMAGE)) throw beyond(`${IMAGE}${whole}`, identifier);
  const checksum = attributes['image.checksum'];
  const found = identifier.slice(IMAGE.length);
  if (found === whole && checksum === undefined) return name;
  return checksum === undefined || found.includes('@') ? found : `${found}@${checksum}`;
}

/** The file that is taken for an address of the web, and what it must be. Throws `forbidden`, `unimplemented`. */
export function ruledFile(
  rules: SourceRules | undefined,
  url: string,
  checksum: string | undefined,
): { readonly url: string; readonly checksum: string | undefined } {
  if (!rules) return { url, checksum };
  const decided = rules.decide({
    identifier: url,
    attributes: { ...(checksum !== undefined && { 'http.checksum': checksum }) },
  });
  if (!/^https?:\/\//.test(decided.identifier)) throw beyond(url, decided.identifier);
  return { url: decided.identifier, checksum: decided.attributes['http.checksum'] };
}

/** Whether a repository may be taken. Throws `forbidden`, `unimplemented` when another one is to be. */
export function checkRepository(rules: SourceRules | undefined, url: string): void {
  if (!rules) return;
  const address = readGitAddress(url);
  const place = address === undefined ? url : address.remote.replace(/^\w+:\/\//, '').replace(/^[^@/]*@/, '');
  const identifier = `git://${place}${address?.ref === undefined ? '' : `#${address.ref}`}`;
  refuseChange(rules, { identifier, attributes: {} });
}

/** Whether a directory of the client may be taken. Throws `forbidden`, `unimplemented` when something else is to be. */
export function checkDirectory(rules: SourceRules | undefined, name: string): void {
  if (rules) refuseChange(rules, { identifier: `local://${name}`, attributes: {} });
}

function refuseChange(rules: SourceRules, source: NamedSource): void {
  const { identifier } = rules.decide(source);
  if (identifier !== source.identifier) throw beyond(source.identifier, identifier);
}

function beyond(from: string, to: string): EngineError {
  return new EngineError('unimplemented', `a source policy that makes ${from} ${to} is not supported by this engine`);
}
