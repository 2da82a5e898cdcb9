import { EngineError } from '../../base/errors.ts';
import type { GraphSource } from '../../engine/builder/graph/graph.ts';
import { readGitAddress } from '../../engine/builder/sources/git-address.ts';
import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import { isDigest } from '../../oci/digest.ts';
import type { StatusLog } from '../control/status-log.ts';
import { TransferProgress } from '../frontend/transfer-progress.ts';
import type { SourceOp } from '../protocol/ops_pb.ts';
import { RESULT } from '../result.ts';
import { ClientContent, layoutFile } from '../session/client-content.ts';
import type { ClientSession } from '../session/client-session.ts';
import { malformed, unsupported } from './unsupported.ts';

/** What sources of a definition are taken from. */
export interface SourceParts {
  readonly session: ClientSession;
  /** A session that the definition names; undefined when it is not open. */
  readonly sessionOf: (id: string) => ClientSession | undefined;
  /** A result of the same client, by the name that we gave it. */
  readonly resultOf: (id: string) => SolvedImage | undefined;
  readonly log: StatusLog;
  readonly signal: AbortSignal;
}

/** Attributes of a source, each to be taken once: what is left is refused. */
class Attributes {
  readonly #left: Map<string, string>;

  constructor(attributes: Readonly<Record<string, string>>) {
    this.#left = new Map(Object.entries(attributes));
  }

  take(name: string): string | undefined {
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value === '' ? undefined : value;
  }

  list(name: string): readonly string[] | undefined {
    const text = this.take(name);
    if (text === undefined) return undefined;
    try {
      const value = JSON.parse(text) as unknown;
      if (value === null) return undefined;
      if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
    } catch {
      // Said below.
    }
    throw malformed('SourceOp', `${name} is no list of words`);
  }

  number(name: string): number | undefined {
    const text = this.take(name);
    if (text === undefined) return undefined;
    if (!/^(0x[0-9a-f]{1,8}|0[0-7]{0,11}|\d{1,10})$/i.test(text)) throw malformed('SourceOp', `${name} is no number`);
    return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  }

  truth(name: string): boolean {
    return ['1', 't', 'true'].includes((this.take(name) ?? '').toLowerCase());
  }

  /** Throws for what nobody took. */
  end(scheme: string): void {
    for (const name of this.#left.keys()) throw unsupported('SourceOp', `the attribute ${name} of ${scheme}`);
  }
}

/** Reads a source. Throws UNIMPLEMENTED for schemes and attributes that are not known. */
export function readSource(parts: SourceParts, op: SourceOp, vertex: SourceVertex): GraphSource {
  const cut = op.identifier.indexOf('://');
  const scheme = cut < 0 ? '' : op.identifier.slice(0, cut);
  const rest = op.identifier.slice(cut + 3);
  const attributes = new Attributes(op.attrs);
  if (op.identifier.startsWith(RESULT)) {
    const image = parts.resultOf(rest);
    if (!image) throw new EngineError('not-found', `no such result: ${rest}`);
    return { kind: 'result', image };
  }
  const source = read(parts, { scheme, rest, identifier: op.identifier, vertex }, attributes);
  attributes.end(scheme);
  return source;
}

/** The operation as clients show it. */
export interface SourceVertex {
  readonly digest: string;
  readonly name: string;
}

interface Address {
  readonly scheme: string;
  /** Behind the scheme. */
  readonly rest: string;
  readonly identifier: string;
  readonly vertex: SourceVertex;
}

function read(parts: SourceParts, address: Address, attributes: Attributes): GraphSource {
  const { scheme, rest, identifier } = address;
  switch (scheme) {
    case 'docker-image': {
      attributes.take('image.recordtype');
      const mode = attributes.take('image.resolvemode') ?? 'default';
      if (!['default', 'pull', 'local'].includes(mode)) throw malformed('SourceOp', `image.resolvemode ${mode}`);
      return {
        kind: 'image',
        reference: rest,
        pull: mode === 'pull',
        layers: attributes.number('image.layerlimit'),
        checksum: attributes.take('image.checksum'),
      };
    }
    case 'local':
      return readLocal(parts, address, attributes);
    case 'git':
      return readGit(address, attributes);
    case 'http':
    case 'https':
      return {
        kind: 'http',
        url: identifier,
        checksum: attributes.take('http.checksum'),
        filename: attributes.take('http.filename'),
        mode: attributes.number('http.perm'),
        owner: { uid: attributes.number('http.uid') ?? 0, gid: attributes.number('http.gid') ?? 0 },
      };
    case 'oci-layout':
      return readLayout(parts, rest, {
        session: attributes.take('oci.session'),
        store: attributes.take('oci.store'),
      });
    default:
      throw unsupported('SourceOp', `the scheme ${JSON.stringify(scheme)}`);
  }
}

function readLocal(parts: SourceParts, { rest: name, vertex }: Address, attributes: Attributes): GraphSource {
  const session = sessionOf(parts, attributes.take('local.session'));
  // Names of the same thing, and how it is compared with what was sent before: ours goes by size and time.
  attributes.take('local.unique');
  attributes.take('local.differ');
  const hint = attributes.take('local.sharedkeyhint') ?? name;
  const selection = {
    follow: attributes.list('local.followpaths'),
    include: attributes.list('local.includepattern') ?? [],
    exclude: attributes.list('local.excludepatterns') ?? [],
  };
  const key = `buildkit ${session.sharedKey || session.id} ${hint} ${JSON.stringify(selection)}`;
  const watcher = new TransferProgress(parts.log, vertex.digest, vertex.name);
  return { kind: 'client', directory: session.directory(name, selection, { key, watcher }) };
}

function readGit({ rest }: Address, attributes: Attributes): GraphSource {
  const full = attributes.take('git.fullurl');
  const cut = rest.indexOf('#');
  const fragment = cut < 0 ? '' : rest.slice(cut);
  const text = full === undefined ? `git://${rest}` : `${full}${fragment}`;
  const address = readGitAddress(text) ?? readGitAddress(text.replace(/(#|$)/, '.git$1'));
  if (!address) throw malformed('SourceOp', `${JSON.stringify(text)} is no git repository`);
  const remote = full ?? address.remote;
  for (const name of ['git.authtokensecret', 'git.authheadersecret']) {
    const secret = attributes.take(name);
    // These are the names that secrets are looked for by.
    if (secret !== undefined && !/^GIT_AUTH_(TOKEN|HEADER)$/.test(secret))
      throw unsupported('SourceOp', `another name of a secret than GIT_AUTH_TOKEN and GIT_AUTH_HEADER (${name})`);
  }
  const socket = attributes.take('git.mountsshsock');
  if (socket !== undefined && socket !== 'default')
    throw unsupported('SourceOp', 'another ssh agent than the default one (git.mountsshsock)');
  attributes.take('git.knownsshhosts');
  return {
    kind: 'git',
    address: { ...address, remote },
    keepGitDir: attributes.truth('git.keepgitdir'),
    checksum: attributes.take('git.checksum'),
  };
}

/** An image of a layout that the client has, by `name[:tag]@digest`. Throws INVALID_ARGUMENT. */
export function readLayout(
  parts: Pick<SourceParts, 'session' | 'sessionOf' | 'signal'>,
  rest: string,
  { session: id, store: own }: { readonly session?: string | undefined; readonly store?: string | undefined } = {},
): Extract<GraphSource, { kind: 'layout' }> {
  const session = sessionOf(parts, id);
  const digest = rest.slice(rest.indexOf('@') + 1);
  if (!isDigest(digest)) throw malformed('SourceOp', `oci-layout://${rest} has no digest`);
  const name = rest.slice(0, rest.indexOf('@')).replace(/:[^:/]*$/, '');
  const store = own ?? name;
  const content = new ClientContent(session, `oci:${store}`, parts.signal);
  return { kind: 'layout', digest, read: (path) => layoutFile(content, path) };
}

function sessionOf(
  { session, sessionOf: find }: Pick<SourceParts, 'session' | 'sessionOf'>,
  id: string | undefined,
): ClientSession {
  // As with BuildKit, a session that is not there any more leaves the one that asks.
  return id === undefined ? session : (find(id) ?? session);
}
