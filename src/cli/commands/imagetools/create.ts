import fs from 'node:fs';
import { isDescriptor, isIndex, parseIndex } from '../../../content/children.ts';
import { type Descriptor, MEDIA_TYPES } from '../../../oci/descriptor.ts';
import { sha256 } from '../../../oci/digest.ts';
import { formatPlatform, parsePlatform, samePlatform } from '../../../oci/platform.ts';
import type { Reference } from '../../../oci/reference.ts';
import { copyManifest } from '../../../registry/client/copy.ts';
import type { RemoteRepository } from '../../../registry/client/remote-repository.ts';
import { command, CommandError } from '../../command.ts';
import { bool, list } from '../../flag.ts';
import { namedReference, Remote, shownName } from '../../remote.ts';
import { platformOfConfig } from '../../remote-manifest.ts';

interface Part {
  readonly descriptor: Descriptor;
  readonly from: RemoteRepository;
}

export const create = command({
  usage: '[OPTIONS] [SOURCE...]',
  examples: `# One name for what was built on two machines
gantry imagetools create -t registry.lan/app:1 registry.lan/app:1-amd64 registry.lan/app:1-arm64
# Another name, in another registry
gantry imagetools create -t other.lan/app:1 registry.lan/app:1`,
  flags: {
    annotation: list('Add annotation to the image'),
    append: bool('Append to existing manifest'),
    'dry-run': bool('Show final image instead of pushing'),
    file: list('Read source descriptor from file', { short: 'f' }),
    insecure: bool('Allow communication with insecure registries'),
    platform: list('Filter specified platforms of target image', { short: 'p' }),
    'prefer-index': bool(
      'When only a single source is specified, prefer outputting an image index or manifest list instead of performing a carbon copy',
      { initial: true },
    ),
    tag: list('Set reference for new image', { short: 't' }),
  },
  args: { min: 0 },
  async run(cli, { flags, args }) {
    if (args.length + flags.file.length === 0) throw new CommandError('no sources specified');
    if (flags.tag.length === 0 && !flags['dry-run'])
      throw new CommandError("can't push with no tags specified, please set --tag or --dry-run");
    if (flags.append && flags.tag.length === 0) throw new CommandError('one tag is needed to append to: set --tag');
    const tags = flags.tag.map(namedReference);
    const names = [...(flags.append ? [tags[0]!] : []), ...args.map(namedReference)];
    using remote = new Remote(cli, { insecure: flags.insecure ? [...args, ...flags.tag] : [] });
    const annotations = annotationsOf(flags.annotation);
    const parts: Part[] = [];
    let copy: { descriptor: Descriptor; bytes: Buffer; from: RemoteRepository } | undefined;
    for (const reference of names) {
      const { descriptor, bytes, repository: from } = await remote.manifest(reference);
      if (isIndex(descriptor.mediaType)) {
        parts.push(...parseIndex(bytes).manifests.map((child) => ({ descriptor: child, from })));
      } else {
        const platform = await platformOfConfig(from, bytes);
        parts.push({ descriptor: { ...descriptor, ...(platform && { platform }) }, from });
      }
      const carbon = isIndex(descriptor.mediaType) || !flags['prefer-index'];
      copy = names.length === 1 && carbon ? { descriptor, bytes, from } : undefined;
    }
    for (const file of flags.file) parts.push(await fromFile(remote, file, tags));
    const filtered = flags.platform.length > 0 || Object.keys(annotations).length > 0 || flags.file.length > 0;
    const made = copy && !filtered ? copy : indexFrom(choose(parts, flags.platform), annotations);
    if (flags['dry-run']) {
      cli.print(JSON.stringify(JSON.parse(made.bytes.toString('utf8')), null, 2));
      return 0;
    }
    for (const tag of tags) {
      const target = await remote.repository(tag);
      const say = (descriptor: Descriptor): void => cli.warn(`copying ${descriptor.digest} to ${shownName(tag)}`);
      if (copy && !filtered) await copyManifest(copy.from, target, copy.descriptor, { onCopy: say });
      else
        for (const { descriptor, from } of choose(parts, flags.platform))
          await copyManifest(from, target, descriptor, { onCopy: say });
      await target.putManifest(tag.tag ?? made.descriptor.digest, made.descriptor, made.bytes);
      cli.warn(`pushed ${made.descriptor.digest} as ${shownName(tag)}`);
    }
    return 0;
  },
});

/** `KEY=VALUE`, or `index:KEY=VALUE`. */
function annotationsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const match = /^(?:([a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+)*):)?([^=]+)=([^]*)$/.exec(word);
      if (!match) throw new CommandError(`invalid annotation ${JSON.stringify(word)}: expected KEY=VALUE`);
      if (match[1] !== undefined && match[1] !== 'index')
        throw new CommandError(
          `annotations of ${match[1]} cannot be set here: only those of the index (index:KEY=VALUE)`,
        );
      return [match[2]!, match[3]!];
    }),
  );
}

/** Of one platform the last one given counts; so does that of an appended one. */
function choose(parts: readonly Part[], platforms: readonly string[]): Part[] {
  const wanted = platforms.flatMap((text) => text.split(',')).map((text) => parsePlatform(text));
  const chosen = new Map<string, Part>();
  for (const part of parts) {
    const { platform, digest } = part.descriptor;
    if (wanted.length > 0 && !(platform && wanted.some((one) => samePlatform(one, platform)))) continue;
    const key = platform && platform.os !== 'unknown' ? formatPlatform(platform) : digest;
    chosen.delete(key);
    chosen.set(key, part);
  }
  if (chosen.size === 0) throw new CommandError('no manifest of the sources is for these platforms');
  return [...chosen.values()];
}

function indexFrom(
  parts: readonly Part[],
  annotations: Record<string, string>,
): { descriptor: Descriptor; bytes: Buffer } {
  const docker = parts.every(({ descriptor }) => descriptor.mediaType === MEDIA_TYPES.dockerManifest);
  const notes = Object.keys(annotations).length > 0;
  const mediaType = docker && !notes ? MEDIA_TYPES.dockerIndex : MEDIA_TYPES.ociIndex;
  const manifests = parts.map(({ descriptor }) => descriptor);
  const index = { schemaVersion: 2, mediaType, manifests, ...(notes && { annotations }) };
  const bytes = Buffer.from(JSON.stringify(index, null, 2));
  return { descriptor: { mediaType, digest: sha256(bytes), size: bytes.byteLength }, bytes };
}

/** A descriptor from a file; its manifest is in the repository of the first tag. */
async function fromFile(remote: Remote, file: string, tags: readonly Reference[]): Promise<Part> {
  let value: unknown;
  try {
    value = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${(error as Error).message}`, 1, { cause: error });
  }
  if (!isDescriptor(value)) throw new CommandError(`${file} holds no descriptor`);
  if (tags.length === 0) throw new CommandError('a descriptor from a file needs --tag: it says where the manifest is');
  return { descriptor: value, from: await remote.repository(tags[0]!) };
}
