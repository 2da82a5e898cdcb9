import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
import { join } from 'node:path';
import type { BuildDocument, BuildMessage } from '../../api/gantry.ts';
import type { BuildAnswers } from '../../client/build-answers.ts';
import type { Client } from '../../client/client.ts';
import type { QueryValue } from '../../client/query.ts';
import { ResponseError } from '../../client/response-error.ts';
import { CommandError } from '../command.ts';
import { buildToken } from '../options/build-session.ts';
import { directoryContext, textContext } from './build-context.ts';
import type { ClientTree } from './client-tree.ts';
import { CountedBytes } from './counted.ts';

/** What a build is made from on this side: a directory, an archive, or only a Dockerfile; nothing when the engine fetches it. */
export interface LocalContext {
  readonly dockerfile: string;
  readonly tree?: ClientTree;
  /** Of `tree`, for engines that want an archive. */
  readonly folder?: string;
  readonly archive?: AsyncIterable<Uint8Array>;
  /** The Dockerfile, when it is not in the context. */
  readonly text?: Uint8Array | undefined;
  readonly ignore?: readonly string[];
  /** What git ignores is no part of `folder`. */
  readonly gitignore?: boolean;
}

export interface BuildSending {
  readonly query: Readonly<Record<string, QueryValue>>;
  readonly context: LocalContext;
  readonly answers: Pick<BuildAnswers, 'secret' | 'sshAgent' | 'shell'>;
  readonly secrets: readonly string[];
  readonly ssh: readonly string[];
  /** Directories beside the context, by their names. */
  readonly named?: ReadonlyMap<string, { readonly tree: ClientTree; readonly label: string }>;
  /** Directories with OCI layouts, by the names that the contexts have for them. */
  readonly layouts?: ReadonlyMap<string, string>;
  readonly compress: boolean;
  readonly sending: (bytes: number) => void;
  readonly registryConfig: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Starts a build by the door that the engine has: one where it asks for what it lacks, or the classic one that is sent all
 * at once. Throws `CommandError` for what only the first can do.
 */
export async function* sendBuild(client: Client, build: BuildSending): AsyncGenerator<BuildMessage, void, void> {
  const { query, context, answers, registryConfig, signal } = build;
  const trees = new Map([...(build.named ?? [])].map(([name, { tree, label }]) => [name, { tree, label }]));
  if (context.tree) trees.set('context', { tree: context.tree, label: context.folder ?? 'context' });
  const document: BuildDocument = {
    Token: buildToken(),
    Secrets: build.secrets,
    Ssh: build.ssh,
    Directories: [...trees].map(([Name, { tree, label }]) => ({ Name, Key: tree.key, Label: label, Tree: tree.tree })),
    ...(build.layouts && build.layouts.size > 0 && { Layouts: [...build.layouts.keys()] }),
    ...(context.archive && { Archive: true }),
    ...(context.text && { Dockerfile: textOf(context.text) }),
    ...(context.ignore && { Ignore: context.ignore }),
  };
  const counted = (bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
    new CountedBytes(bytes, build.sending);
  try {
    yield* client.builder.buildAsking({
      query,
      document,
      registryConfig,
      signal,
      answers: {
        ...answers,
        manifest: (name) => trees.get(name)?.tree.manifest,
        content: (name, needed) => {
          const tree = trees.get(name)?.tree;
          return tree && counted(tree.content(needed));
        },
        file: (name, path) => layoutFile(build.layouts?.get(name), path),
        archive: () => context.archive && counted(context.archive),
      },
    });
    return;
  } catch (error) {
    if (!(error instanceof ResponseError && error.status === 404 && /page not found/.test(error.message))) throw error;
  }
  const lacking = lackingOf(build);
  if (lacking !== undefined)
    throw new CommandError(
      `the engine ${client.endpoint.kind === 'unix' ? 'behind this socket ' : ''}has no door but that of Docker's classic builder: ${lacking} is not possible with it`,
    );
  const classic = classicContext(context);
  const sent = classic.tar && counted(classic.tar);
  yield* client.builder.build({
    query: { ...query, dockerfile: classic.dockerfile || undefined },
    context: sent && build.compress ? compressed(sent) : sent,
    registryConfig,
    signal,
  });
}

/** Of a layout's directory nothing but its blobs. */
function layoutFile(directory: string | undefined, path: string): AsyncIterable<Uint8Array> | undefined {
  if (directory === undefined || !/^blobs\/sha256\/[0-9a-f]{64}$/.test(path)) return undefined;
  const file = join(directory, path);
  if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  return fs.createReadStream(file, { highWaterMark: 1 << 20 });
}

/** What only an engine that asks can do, or would leave out without a word; the first of it that is wanted. */
function lackingOf({ query, secrets, ssh, named }: BuildSending): string | undefined {
  if (secrets.length > 0) return '--secret';
  if (ssh.length > 0) return '--ssh';
  if (named && named.size > 0) return '--build-context';
  const flag = Object.keys(BEYOND_CLASSIC).find((name) => query[name] !== undefined && !isUsual(name, query[name]));
  if (flag !== undefined) return BEYOND_CLASSIC[flag];
  if (String(query['platform'] ?? '').includes(',')) return '--platform with more than one';
  if (String(query['cachefrom'] ?? '').includes('type=')) return '--cache-from with anything but images';
  return undefined;
}

/** `--load` and `--provenance=false` ask for what the classic builder does anyway. */
function isUsual(name: string, value: QueryValue): boolean {
  if (name === 'outputs')
    return (JSON.parse(String(value)) as { Type: string; Attrs: object }[]).every(
      ({ Type, Attrs }) => Type === 'docker' && Object.keys(Attrs).length === 0,
    );
  return name === 'attestations' && (JSON.parse(String(value)) as string[]).every((one) => /disabled=true/.test(one));
}

const BEYOND_CLASSIC: Readonly<Record<string, string>> = {
  allow: '--allow',
  annotations: '--annotation',
  attestations: '--attest',
  cacheto: '--cache-to',
  contexts: '--build-context',
  enginesecrets: '--secret',
  explain: '--explain',
  enterfailed: '--debug-on-error',
  inheritlabels: '--inherit-labels=false',
  nocachefilter: '--no-cache-filter',
  outputs: '--output',
  pins: '--locked',
  report: '--graph and --sizes',
  verify: '--verify',
};

/** What is no UTF-8 would be something else on the other side. Throws `CommandError`. */
function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes))
    throw new CommandError('the Dockerfile is not UTF-8: save it as UTF-8, or put it into the build context');
  return Buffer.from(bytes).toString('utf8');
}

function classicContext({ dockerfile, folder, archive, text, gitignore = false }: LocalContext): {
  readonly tar: AsyncIterable<Uint8Array> | undefined;
  readonly dockerfile: string;
} {
  if (folder !== undefined) return directoryContext(folder, text ? { text } : dockerfile, { gitignore });
  if (archive) return { tar: archive, dockerfile };
  return text ? textContext(text) : { tar: undefined, dockerfile };
}

async function* compressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const [{ createGzip }, { Readable }] = await Promise.all([import('node:zlib'), import('node:stream')]);
  yield* Readable.from(source, { objectMode: false }).pipe(createGzip()) as AsyncIterable<Uint8Array>;
}
