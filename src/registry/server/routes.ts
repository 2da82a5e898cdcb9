import { type Digest, isDigest } from '../../oci/digest.ts';
import type { Action } from './access-rules.ts';
import { ProtocolError } from './protocol-error.ts';

/** What a path asks for; the method is still to be looked at. */
export type Target =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: string }
  | {
      readonly kind: 'manifest';
      readonly repository: string;
      readonly reference: string;
      readonly digest: Digest | undefined;
    }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: Digest };

const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
export const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const MAX_NAME = 255;

/** Reads the path of a request, decoded once. Throws 404 for what is no part of the protocol, 400 for broken names. */
export function parseTarget(path: string): Target {
  let text: string;
  try {
    text = decodeURIComponent(path);
  } catch {
    throw unknownPath();
  }
  if (text === '/v2' || text === '/v2/') return { kind: 'base' };
  if (text === '/v2/_catalog') return { kind: 'catalog' };
  if (!text.startsWith('/v2/')) throw unknownPath();
  const parts = text.slice('/v2/'.length).split('/');
  const end = parts.length;
  const name = (count: number): string => repositoryName(parts.slice(0, end - count));
  if (parts.at(-2) === 'tags' && parts.at(-1) === 'list') return { kind: 'tags', repository: name(2) };
  if (parts.at(-3) === 'blobs' && parts.at(-2) === 'uploads') {
    const id = parts.at(-1)!;
    return id === '' ? { kind: 'uploads', repository: name(3) } : { kind: 'upload', repository: name(3), id };
  }
  if (parts.at(-2) === 'blobs' && parts.at(-1) === 'uploads') return { kind: 'uploads', repository: name(2) };
  if (parts.at(-2) === 'manifests') {
    const reference = parts.at(-1)!;
    const digest = reference.includes(':') ? digestOf(reference) : undefined;
    if (digest === undefined && !TAG.test(reference)) {
      throw new ProtocolError(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
    }
    return { kind: 'manifest', repository: name(2), reference, digest };
  }
  if (parts.at(-2) === 'blobs') return { kind: 'blob', repository: name(2), digest: digestOf(parts.at(-1)!) };
  if (parts.at(-2) === 'referrers') return { kind: 'referrers', repository: name(2), digest: digestOf(parts.at(-1)!) };
  throw unknownPath();
}

/** What one must be allowed for it. */
export function actionOf(target: Target, method: string): Action {
  if (target.kind === 'base') return 'pull';
  if (target.kind === 'catalog') return 'list';
  if (method === 'GET' || method === 'HEAD') return target.kind === 'upload' ? 'push' : 'pull';
  return method === 'DELETE' && target.kind !== 'upload' ? 'delete' : 'push';
}

/** Throws 400. */
export function repositoryName(parts: readonly string[]): string {
  const name = parts.join('/');
  if (name.length > MAX_NAME || parts.length === 0 || !parts.every((part) => COMPONENT.test(part))) {
    throw new ProtocolError(400, 'NAME_INVALID', 'invalid repository name');
  }
  return name;
}

/** Throws 400. */
export function digestOf(text: string): Digest {
  if (!isDigest(text)) throw new ProtocolError(400, 'DIGEST_INVALID', 'invalid digest: want sha256 or sha512');
  return text;
}

function unknownPath(): ProtocolError {
  return new ProtocolError(404, 'UNSUPPORTED', 'this path is no part of the distribution API');
}
