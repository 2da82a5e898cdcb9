import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import {
  copySelection,
  type CopySelection,
  digestSelection,
  type KnownFiles,
  type PendingLinks,
} from '../../build/copy-files.ts';
import { expandWord, type Lookup } from '../../build/dockerfile/expand.ts';
import type { CopyInstruction } from '../../build/dockerfile/instructions.ts';
import type { Heredoc } from '../../build/dockerfile/parse.ts';
import { parseMode } from '../../build/file-mode.ts';
import { type ChainId, sha256 } from '../../oci/digest.ts';
import type { TimeRule } from '../../snapshot/settled-times.ts';
import type { StepInput } from '../../state/build-records.ts';
import type { ResolvedSource } from './solved-build.ts';
import { type GitAddress, readGitAddress, withoutPassword } from './sources/git-address.ts';
import type { GitOptions } from './sources/git-repositories.ts';
import { type RemoteSources, subdirectoryOf } from './sources/remote-sources.ts';
import { checkRepository, ruledFile, type SourceRules } from './sources/source-rules.ts';
import type { SourceSecrets } from './sources/source-secrets.ts';

/** Where files come from: the context, a stage, an image. */
export interface FilesPlace {
  /** Directory on the host. */
  readonly root: string;
  readonly ignore: readonly string[];
  readonly keepOwner: boolean;
  /** `build context`, `stage builder`: for messages. */
  readonly name: string;
  /** Layers that these are all files of: they can be mounted with other ids. */
  readonly chain?: ChainId | undefined;
  /** What is known of its files without reading them. */
  readonly known?: KnownFiles | undefined;
  /** Nobody writes into its files, now or later: a layer may have them without a copy. */
  readonly steady?: 'own' | 'shared' | undefined;
}

export interface CopyStepParts {
  /** The context, or what `--from` names. */
  place(from: string | undefined): Promise<FilesPlace>;
  /** `user[:group]` in the files that the stage has so far. */
  owner(text: string): Promise<{ readonly uid: number; readonly gid: number }>;
  /** An empty name in the build's own directory. */
  temporary(): string;
  unpack(
    archive: string,
    rootfs: string,
    destination: string,
    owner: { readonly uid: number; readonly gid: number } | undefined,
  ): Promise<void>;
  /** Seconds since the epoch: how old the context's files are. */
  readonly contextTime: number;
  readonly remote: RemoteSources;
  readonly secrets: SourceSecrets;
  readonly rules: SourceRules | undefined;
  readonly onSource: (source: ResolvedSource) => void;
  readonly signal: AbortSignal | undefined;
}

/** A COPY or ADD whose sources are there and known by content. */
export interface ResolvedCopy {
  /** For the history. */
  readonly text: string;
  readonly inputs: readonly StepInput[];
  /** @param times what is to become of all times where the copy gives none */
  apply(rootfs: string, times: TimeRule): Promise<CopiedFiles>;
}

export interface CopiedFiles {
  /** Seconds that all which was copied is to be as old as, since its own times say nothing. */
  readonly time: number | undefined;
  /** Files that are put into the layer when it is mounted no more. */
  readonly pending?: PendingLinks | undefined;
}

/** Expands a COPY or ADD, fetches what is far away and digests what is to be copied. Throws `invalid-argument`, `not-found`. */
export async function resolveCopy(
  parts: CopyStepParts,
  instruction: CopyInstruction,
  { lookup, escape, workingDir }: { readonly lookup: Lookup; readonly escape: string; readonly workingDir: string },
): Promise<ResolvedCopy> {
  const expand = (text: string): string => expandWord(text, lookup, { escape });
  const sources = instruction.sources.map(expand);
  const count = sources.length + instruction.heredocs.length;
  const written = expand(instruction.destination);
  const isDirectory = /(^|\/)\.?$/.test(written);
  if (count > 1 && !isDirectory) {
    throw new EngineError(
      'invalid-argument',
      `When using ${instruction.kind} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const path = posix.resolve('/', workingDir, written);
  const destination = isDirectory && path !== '/' ? `${path}/` : path;
  const owner = instruction.chown === undefined ? undefined : await parts.owner(expand(instruction.chown));
  const common = {
    // As written: BuildKit puts no variables in.
    exclude: instruction.exclude,
    parents: instruction.parents,
    owner,
    mode: instruction.chmod === undefined ? undefined : parseMode(expand(instruction.chmod)),
  };
  checkFlags(instruction, sources);
  const selections: CopySelection[] = [];
  const local = sources.filter((source) => instruction.kind === 'COPY' || !isRemote(source));
  if (local.length > 0) {
    const { name, ...place } = await parts.place(instruction.from);
    const unpack = instruction.kind === 'ADD' && instruction.unpack !== false;
    selections.push({ ...common, ...place, sourceName: name, sources: local, unpack });
  }
  const made = { ...common, ignore: [], exclude: [], parents: false, keepOwner: false };
  if (instruction.heredocs.length > 0) {
    const root = await writeHeredocs(instruction.heredocs, parts.temporary(), lookup, escape);
    const names = instruction.heredocs.map(({ name }) => name);
    selections.push({ ...made, root, sources: names, unpack: false, sourceName: 'heredoc' });
  }
  const repositories: { readonly address: GitAddress; readonly commit: string; readonly options: GitOptions }[] = [];
  for (const url of sources.filter((source) => !local.includes(source))) {
    const address = readGitAddress(url);
    if (address) {
      checkRepository(parts.rules, url);
      const options = {
        secrets: parts.secrets,
        keepGitDir: address.keepGitDir ?? instruction.keepGitDir,
        checksum: instruction.checksum === undefined ? undefined : expand(instruction.checksum),
        signal: parts.signal,
      };
      const commit = await parts.remote.git.resolve(address, options);
      parts.onSource({ kind: 'git', name: withoutPassword(url), digest: `sha1:${commit}` });
      repositories.push({ address, commit, options });
      continue;
    }
    const name = isDirectory ? undefined : posix.basename(destination);
    const asked = instruction.checksum === undefined ? undefined : expand(instruction.checksum);
    const { url: taken, checksum } = ruledFile(parts.rules, url, asked);
    const { secrets, signal } = parts;
    const fetched = await parts.remote.http.fetch(taken, parts.temporary(), { checksum, name, secrets, signal });
    parts.onSource({ kind: 'http', name: withoutPassword(taken), digest: fetched.digest });
    const unpack = instruction.unpack === true;
    selections.push({ ...made, root: fetched.directory, sources: [fetched.name], unpack, sourceName: taken });
  }
  const digests = await Promise.all(selections.map((selection) => digestSelection(selection, parts.signal)));
  const commits = repositories.map(({ address, commit, options }) => ({
    name: `git ${withoutPassword(address.remote)}`,
    value: JSON.stringify([commit, address.subdirectory, address.submodules, options.keepGitDir, common]),
  }));
  const digest = digests.length === 1 ? digests[0]!.digest : sha256(digests.map((each) => each.digest).join('\n'));
  const files = digests.every(({ entries }) => entries)
    ? Object.assign({}, ...digests.map(({ entries }) => entries))
    : undefined;
  const flags = [
    instruction.chown && `--chown=${expand(instruction.chown)}`,
    instruction.chmod && `--chmod=${expand(instruction.chmod)}`,
  ];
  const names = [...sources, ...instruction.heredocs.map(({ name }) => name)];
  return {
    text: [instruction.kind, ...flags.filter(Boolean), ...names, destination].join(' '),
    inputs: [
      { name: 'destination', value: destination },
      { name: 'files', value: digest, ...(files && { files }) },
      ...commits,
    ],
    apply: async (rootfs, times) => {
      // Whatever is copied by something else would not see that they are to be there.
      const mayLink = selections.length === 1 && repositories.length === 0 && selections[0]!.unpack === false;
      let pending: PendingLinks | undefined;
      let timeless = instruction.from === undefined && local.length === sources.length;
      for (const selection of selections) {
        const time = timeless ? parts.contextTime : undefined;
        const settled = time === undefined ? times : { seconds: time, exact: true };
        const target = { root: rootfs, destination, linksLater: mayLink ? settled : undefined };
        const copied = await copySelection({ ...selection, time }, target, parts.signal);
        const { archives } = copied;
        pending = copied.pending;
        for (const archive of archives) await parts.unpack(archive.path, rootfs, destination, owner);
        timeless &&= archives.length === 0;
      }
      for (const { address, commit, options } of repositories) {
        const directory = parts.temporary();
        await parts.remote.git.checkOut(address, commit, directory, options);
        const root = await subdirectoryOf(directory, address.subdirectory, withoutPassword(address.remote));
        const selection = { ...made, exclude: common.exclude, root, sources: ['/'], unpack: false, sourceName: 'git' };
        await copySelection(selection, { root: rootfs, destination }, parts.signal);
        await rm(directory, { recursive: true, force: true });
      }
      return { time: timeless ? parts.contextTime : undefined, pending };
    },
  };
}

function checkFlags(instruction: CopyInstruction, sources: readonly string[]): void {
  const far = sources.filter(isRemote);
  if (instruction.checksum !== undefined && (far.length !== 1 || sources.length !== 1))
    throw new EngineError('invalid-argument', "checksum can't be specified for multiple or local sources");
}

function isRemote(source: string): boolean {
  return /^(https?|ssh|git):\/\/|^[\w.-]+@[\w.-]+:|^github\.com\/[^/]+\/[^/]+/.test(source);
}

async function writeHeredocs(
  heredocs: readonly Heredoc[],
  directory: string,
  lookup: Lookup,
  escape: string,
): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const { name, content, expand } of heredocs) {
    if (name.includes('/') || name === '.' || name === '..')
      throw new EngineError(
        'invalid-argument',
        `invalid heredoc name ${JSON.stringify(name)}: it becomes a file's name`,
      );
    const text = expand ? expandWord(content, lookup, { escape, raw: true }) : content;
    await writeFile(join(directory, name), text, { mode: 0o644, flag: 'wx' });
  }
  return directory;
}
