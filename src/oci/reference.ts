import { EngineError } from '../base/errors.ts';
import { Expression } from '../base/expression.ts';
import { type Digest, isDigest } from './digest.ts';

/**
 * What a person writes for an image, taken apart: `[domain/]path[:tag][@digest]`, with Docker's defaults filled in.
 * The grammar is the distribution project's; the defaults (docker.io, library/) are Docker's.
 */
export interface Reference {
  /** `docker.io`, `localhost:5000`, `[::1]:5000`: where its registry is. */
  readonly domain: string;
  /** `library/nginx` */
  readonly path: string;
  /** `docker.io/library/nginx` */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

export const DEFAULT_DOMAIN = 'docker.io';
export const DEFAULT_TAG = 'latest';
const OFFICIAL = 'library/';
const MAX_NAME_LENGTH = 255;

const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const TAG = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';

const DOMAIN_PATTERN = new RegExp(`^${DOMAIN}$`);
const COMPONENT_PATTERN = new RegExp(`^${COMPONENT}$`);
const TAG_PATTERN = new RegExp(`^${TAG}$`);
const DIGEST_PATTERN = new RegExp(`^${DIGEST}$`);

/**
 * Parses and normalises. Neither tag nor digest is added: see `withDefaultTag`.
 * Throws `invalid-argument` in Docker's words.
 */
export function parseReference(text: string): Reference {
  // Far beyond any valid reference (255 + 128 + a digest), so that nothing below works on megabytes.
  if (text.length > 2048) throw invalidFormat();
  if (isIdentifier(text)) {
    throw new EngineError(
      'invalid-argument',
      `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`,
    );
  }
  const { domain, rest } = splitDomain(text);
  const at = rest.indexOf('@');
  const digestText = at < 0 ? undefined : rest.slice(at + 1);
  const named = at < 0 ? rest : rest.slice(0, at);
  const colon = named.indexOf(':');
  const path = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);

  if (path.toLowerCase() !== path) {
    throw new EngineError('invalid-argument', `invalid reference format: repository name (${path}) must be lowercase`);
  }
  if (!DOMAIN_PATTERN.test(domain) || path === '' || !path.split('/').every((part) => COMPONENT_PATTERN.test(part))) {
    throw invalidFormat();
  }
  if (tag !== undefined && !TAG_PATTERN.test(tag)) throw invalidFormat();
  if (digestText !== undefined && !DIGEST_PATTERN.test(digestText)) throw invalidFormat();
  if (path.length > MAX_NAME_LENGTH) {
    throw new EngineError('invalid-argument', `repository name must not be more than ${MAX_NAME_LENGTH} characters`);
  }
  return { domain, path, repository: `${domain}/${path}`, tag, digest: checkDigest(digestText) };
}

/** 64 hex digits: an image's id, never a name. */
export function isIdentifier(text: string): boolean {
  return /^[a-f0-9]{64}$/.test(text);
}

/** Throws `invalid-argument` (`invalid tag format`). */
export function withTag(reference: Reference, tag: string): Reference {
  if (!TAG_PATTERN.test(tag)) throw new EngineError('invalid-argument', 'invalid tag format');
  return { ...reference, tag, digest: undefined };
}

/** `latest` where there is neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: DEFAULT_TAG } : reference;
}

/** `docker.io/library/nginx:1.23@sha256:…` */
export function canonicalName(reference: Reference): string {
  return reference.repository + suffix(reference);
}

/** The short form that people see: `nginx:1.23`, `someone/app@sha256:…`. */
export function familiarName(reference: Reference): string {
  return familiarRepository(reference) + suffix(reference);
}

/** The short form of the repository alone: `nginx`. */
export function familiarRepository(reference: Pick<Reference, 'domain' | 'path'>): string {
  if (reference.domain !== DEFAULT_DOMAIN) return `${reference.domain}/${reference.path}`;
  const { path } = reference;
  // "library/a/b" keeps its prefix: as "a/b" it would mean something else.
  return path.startsWith(OFFICIAL) && !path.slice(OFFICIAL.length).includes('/') ? path.slice(OFFICIAL.length) : path;
}

/** The short form of a canonical name that was made by `canonicalName`. */
export function familiar(canonical: string): string {
  return familiarName(parseReference(canonical));
}

/**
 * Go's `path.Match` on the familiar name, then on the familiar repository, as the `reference` filter of `docker images`
 * does. Throws `invalid-argument` (`syntax error in pattern`).
 */
export function matchesPattern(reference: Reference, pattern: string): boolean {
  const expression = globExpression(pattern);
  return expression.test(familiarName(reference)) || expression.test(familiarRepository(reference));
}

function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isDomain = slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first);
  const domain = !isDomain || first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  const end = rest.search(/[:@]/);
  const path = end < 0 ? rest : rest.slice(0, end);
  return { domain, rest: domain === DEFAULT_DOMAIN && path !== '' && !path.includes('/') ? OFFICIAL + rest : rest };
}

function checkDigest(text: string | undefined): Digest | undefined {
  if (text === undefined) return undefined;
  if (isDigest(text)) return text;
  const algorithm = text.slice(0, text.indexOf(':'));
  if (algorithm !== 'sha256' && algorithm !== 'sha512') {
    throw new EngineError('invalid-argument', 'unsupported digest algorithm');
  }
  const length = algorithm === 'sha256' ? 64 : 128;
  const hex = text.length - algorithm.length - 1;
  throw new EngineError(
    'invalid-argument',
    hex === length ? 'invalid checksum digest format' : 'invalid checksum digest length',
  );
}

function suffix(reference: Reference): string {
  return (
    (reference.tag === undefined ? '' : `:${reference.tag}`) +
    (reference.digest === undefined ? '' : `@${reference.digest}`)
  );
}

function invalidFormat(): EngineError {
  return new EngineError('invalid-argument', 'invalid reference format');
}

/** `*` and `?` stop at `/`; `[a-z]` and `[^a]` are classes; `\` takes the next character as it is. */
function globExpression(pattern: string): Expression {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const set = /^\[\^?(?:\\.|[^\]\\])+\]/s.exec(pattern.slice(at));
      if (!set) throw badPattern();
      source += `[${set[0].slice(1, -1).replace(/^(\^?)([\s\S]*)$/, (_, not: string, body: string) => not + body.replace(/[[&|~]/g, '\\$&'))}]`;
      at += set[0].length - 1;
    } else if (char === '\\') {
      at++;
      if (at === pattern.length) throw badPattern();
      source += escape(pattern[at]!);
    } else source += escape(char);
  }
  try {
    return new Expression(`^${source}$`);
  } catch (error) {
    throw badPattern(error);
  }
}

function escape(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function badPattern(cause?: unknown): EngineError {
  return new EngineError('invalid-argument', 'syntax error in pattern', { cause });
}
