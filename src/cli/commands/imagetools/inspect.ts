import { isIndex, parseIndex, parseManifest, readDocument } from '../../../content/children.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import { formatPlatform } from '../../../oci/platform.ts';
import type { RemoteManifest, RemoteRepository } from '../../../registry/client/remote-repository.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { errorCode } from '../../../base/errors.ts';
import { compile, execute } from '../../output/rows.ts';
import { namedReference, Remote, shownName } from '../../remote.ts';

/** As buildx has it, for people. */
const INDENTED = new Map([['json', (value: unknown): string => JSON.stringify(value, null, 2)]]);

export const inspect = command({
  usage: '[OPTIONS] NAME',
  flags: {
    format: string('Format the output using the given Go template'),
    insecure: bool('Allow communication with an insecure registry'),
    raw: bool('Show original, unformatted JSON manifest'),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    if (flags.raw && flags.format !== '') throw new CommandError('format and raw cannot be used together');
    const reference = namedReference(args[0]!);
    using remote = new Remote(cli, { insecure: flags.insecure ? args : [] });
    const found = await remote.manifest(reference).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
      throw new CommandError(`${shownName(reference)}: not found`, 1, { cause: error });
    });
    if (flags.raw) {
      cli.io.stdout.write(found.bytes.toString('utf8'));
      return 0;
    }
    const name = shownName(reference);
    if (flags.format === '') {
      cli.print(cli.clean(describe(name, found)));
      return 0;
    }
    const data = await templateData(name, found, found.repository);
    cli.print(execute(compile(flags.format, 'imagetools.tplInput', INDENTED), data));
    return 0;
  },
});

function describe(name: string, { descriptor, bytes }: RemoteManifest): string {
  const head = [`Name:      ${name}`, `MediaType: ${descriptor.mediaType}`, `Digest:    ${descriptor.digest}`];
  if (!isIndex(descriptor.mediaType)) return head.join('\n');
  const bare = name.replace(/@.*$/, '');
  const { manifests } = parseIndex(bytes);
  // One column for all of them.
  const width = Math.max(...manifests.flatMap((one) => fieldsOf(bare, one).map(([label]) => label.length)), 0) + 1;
  const entries = manifests.map((manifest) => describeEntry(fieldsOf(bare, manifest), manifest, width));
  return [...head, ' '.repeat(11), 'Manifests: ', entries.join(`\n${' '.repeat(width + 2)}\n`)].join('\n');
}

function fieldsOf(name: string, { digest, mediaType, platform }: Descriptor): [string, string][] {
  return [
    ['Name:', `${name}@${digest}`],
    ['MediaType:', mediaType],
    ...(platform
      ? [
          ['Platform:', [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')] as [
            string,
            string,
          ],
        ]
      : []),
    ...(platform?.['os.features']?.length
      ? [['OSFeatures:', platform['os.features'].join(', ')] as [string, string]]
      : []),
  ];
}

function describeEntry(fields: readonly [string, string][], { annotations }: Descriptor, width: number): string {
  const text = fields.map(([label, value]) => `  ${label.padEnd(width)}${value}`);
  const notes = Object.entries(annotations ?? {});
  if (notes.length > 0) {
    const longest = Math.max(...notes.map(([key]) => key.length)) + 2;
    text.push('  Annotations:', ...notes.map(([key, value]) => `    ${`${key}:`.padEnd(longest)}${value}`));
  }
  return text.join('\n');
}

/** What templates see: `.Name`, `.Manifest`, `.Image`. */
async function templateData(
  name: string,
  { descriptor, bytes }: RemoteManifest,
  repository: RemoteRepository,
): Promise<Record<string, unknown>> {
  const config = async (manifest: Uint8Array): Promise<unknown> =>
    JSON.parse((await readDocument(repository, parseManifest(manifest).config)).toString('utf8'));
  if (!isIndex(descriptor.mediaType)) return withJson({ Name: name, Manifest: descriptor, Image: await config(bytes) });
  const images: Record<string, unknown> = {};
  const { schemaVersion, manifests, annotations } = parseIndex(bytes);
  for (const { digest, mediaType, platform } of manifests) {
    if (!platform || platform.os === 'unknown' || isIndex(mediaType)) continue;
    images[formatPlatform(platform)] = await config((await repository.manifest(digest)).bytes);
  }
  const { mediaType, digest, size } = descriptor;
  const manifest = { schemaVersion, mediaType, digest, size, manifests, ...(annotations && { annotations }) };
  return withJson({ Name: name, Manifest: manifest, Image: images });
}

/** As JSON the fields have small letters. */
function withJson(data: Record<string, unknown>): Record<string, unknown> {
  const toJSON = (): unknown =>
    Object.fromEntries(Object.entries(data).map(([key, value]) => [key.toLowerCase(), value]));
  return Object.defineProperty(data, 'toJSON', { value: toJSON, enumerable: false });
}
