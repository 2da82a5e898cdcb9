/** What comes in images and from registries. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { parseManifest, parseIndex } from '../../src/content/children.ts';
import { decompress } from '../../src/content/compression.ts';
import { readTar } from '../../src/content/tar/reader.ts';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import { parseDigest } from '../../src/oci/digest.ts';
import { parseImageConfig } from '../../src/oci/image-config.ts';
import { parsePlatform } from '../../src/oci/platform.ts';
import {
  canonicalName,
  familiarName,
  isIdentifier,
  matchesPattern,
  parseReference,
  withDefaultTag,
} from '../../src/oci/reference.ts';
import { parseChallenges } from '../../src/registry/client/challenge.ts';
import { ProtocolError } from '../../src/registry/server/protocol-error.ts';
import { parseTarget } from '../../src/registry/server/routes.ts';
import { parseSeccompProfile } from '../../src/runtime/spec/seccomp.ts';
import { resolveUser } from '../../src/runtime/spec/user.ts';
import { readerOf } from '../../src/scan/readers/choose.ts';
import { zipEntries } from '../../src/scan/zip.ts';
import { isTyped, readers, type Target } from './target.ts';

const text = (input: Buffer): string => input.toString('utf8');
const DIGEST = `sha256:${'a1'.repeat(32)}`;
const descriptor = (mediaType: string): object => ({ mediaType, digest: DIGEST, size: 1234 });
const CONFIG = {
  architecture: 'amd64',
  os: 'linux',
  created: '2026-01-02T03:04:05Z',
  config: {
    User: '1000:1000',
    Env: ['A=b'],
    Cmd: ['sh'],
    Entrypoint: ['/x'],
    WorkingDir: '/w',
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/data': {} },
    Labels: { a: 'b' },
    StopSignal: 'SIGTERM',
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9, Retries: 3 },
    OnBuild: ['RUN x'],
  },
  history: [{ created_by: 'x' }, { empty_layer: true }],
  rootfs: { type: 'layers', diff_ids: [DIGEST] },
};

async function tars(): Promise<Buffer[]> {
  const of = async (...headers: Parameters<typeof tarHeader>[0][]): Promise<Buffer> =>
    Buffer.concat(
      await Array.fromAsync(
        writeTar(
          headers.map((header) => {
            const body = Buffer.alloc(header.size ?? 0, 'x');
            return { header: tarHeader(header), ...(body.length > 0 && { body: [body] }) };
          }),
        ),
      ),
    );
  const long = 'd/'.repeat(120);
  return [
    await of({ type: 'directory', name: 'etc' }, { type: 'file', name: 'etc/passwd', size: 600 }),
    await of({ type: 'file', name: `${long}f`, size: 3 }, { type: 'symlink', name: 'l', linkName: `/${long}` }),
    await of({ type: 'hard-link', name: 'hard', linkName: 'etc/passwd' }, { type: 'file', name: '.wh.gone' }),
  ];
}

/** The whole of what a load does with an archive, without writing it; some of what is in it nobody wants. */
async function readArchive(input: Buffer): Promise<void> {
  const pieces = (async function* () {
    for (let at = 0; at < input.length; at += 700) yield input.subarray(at, at + 700);
  })();
  let left = 8 << 20;
  for await (const entry of readTar(pieces)) {
    if (entry.header.name.length % 2 === 0) continue;
    for await (const chunk of entry.body) {
      left -= chunk.length;
      if (left < 0) return;
    }
  }
}

async function readCompressed(input: Buffer): Promise<void> {
  let left = 4 << 20;
  const source = (async function* () {
    yield input.subarray(0, 100);
    yield input.subarray(100);
  })();
  for await (const chunk of decompress(source)) {
    left -= chunk.length;
    if (left < 0) return;
  }
}

function readPackages(input: Buffer): void {
  for (const path of [
    'lib/apk/db/installed',
    'var/lib/dpkg/status',
    'a/node_modules/x/package.json',
    'usr/lib/python3/site-packages/x-1.dist-info/METADATA',
    'app/x.jar',
    'var/lib/rpm/Packages.db',
  ]) {
    readerOf(path, { size: input.length, executable: false })?.read(input, path);
  }
}

export async function imageTargets(): Promise<Target[]> {
  const archives = await tars();
  return [
    {
      name: 'reference',
      seeds: [
        'busybox',
        'docker.io/library/nginx:1.23',
        `localhost:5000/a/b@${DIGEST}`,
        '[::1]:5000/x:y',
        'linux/arm64/v8',
        'a1b2c3d4',
      ],
      pieces: [
        'a',
        'A',
        'docker.io',
        'library',
        '/',
        ':',
        '@',
        'sha256:',
        DIGEST,
        '.',
        '-',
        '_',
        '__',
        '[',
        ']',
        '::1',
        ' ',
      ],
      read: readers(
        (input) => {
          const reference = withDefaultTag(parseReference(text(input)));
          const name = canonicalName(reference);
          if (canonicalName(withDefaultTag(parseReference(name))) !== name)
            throw new TypeError(`${name} is not read as itself`);
          familiarName(reference);
          matchesPattern(reference, text(input));
        },
        (input) => matchesPattern(parseReference('a/b:c'), text(input)),
        (input) => parsePlatform(text(input)),
        (input) => parseDigest(text(input)),
        (input) => isIdentifier(text(input)),
      ),
    },
    {
      name: 'registry-path',
      seeds: [
        'library/a/manifests/latest',
        `a/blobs/${DIGEST}`,
        'a/blobs/uploads/x',
        'a/tags/list',
        `a/referrers/${DIGEST}`,
        '_catalog',
      ],
      pieces: ['/', 'manifests', 'blobs', 'uploads', 'tags', 'list', '_', '..', DIGEST, 'a'],
      read: (input) => parseTarget(`/v2/${text(input)}`),
      isRefusal: (error) => error instanceof ProtocolError || isTyped(error),
    },
    {
      name: 'manifest',
      json: true,
      seeds: [
        JSON.stringify({ schemaVersion: 2, mediaType: 'm', config: descriptor('c'), layers: [descriptor('l')] }),
        JSON.stringify({
          schemaVersion: 2,
          manifests: [{ ...descriptor('m'), platform: { os: 'linux', architecture: 'amd64' } }],
        }),
        JSON.stringify(CONFIG),
      ],
      read: readers(parseManifest, parseIndex, (input) => parseImageConfig(text(input))),
    },
    { name: 'tar', seeds: archives, read: readArchive },
    {
      name: 'compressed',
      seeds: archives.flatMap((archive) => [
        gzipSync(archive),
        zstdCompressSync(archive),
        Buffer.concat([gzipSync('a'), gzipSync('b')]),
      ]),
      read: readCompressed,
    },
    {
      name: 'challenge',
      seeds: [
        'Bearer realm="https://auth.example/token",service="x",scope="repository:a/b:pull"',
        'Basic realm="x", Bearer realm=y',
      ],
      pieces: ['Bearer ', 'Basic ', 'realm=', '"', ',', ' ', 'scope=', '\\"', '=', 'https://a/'],
      read: (input) => parseChallenges(text(input)),
    },
    {
      name: 'seccomp',
      json: true,
      seeds: [
        JSON.stringify({
          defaultAction: 'SCMP_ACT_ERRNO',
          archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
          syscalls: [
            {
              names: ['read'],
              action: 'SCMP_ACT_ALLOW',
              args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }],
              includes: { caps: ['CAP_SYS_ADMIN'] },
            },
          ],
        }),
      ],
      read: (input) => parseSeccompProfile(text(input)),
    },
    {
      name: 'user',
      seeds: [
        'root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:\n',
        'root:x:0:\nwheel:x:10:me,root\n',
        'me:10',
        '4294967295',
      ],
      pieces: [':', '\n', 'root', '0', 'x', ',', '-1', '4294967296'],
      read: (input) => {
        const files = { passwd: text(input), group: text(input) } as never;
        resolveUser(text(input).slice(0, 40), ['wheel', text(input).slice(0, 9)], files);
      },
    },
    {
      name: 'packages',
      seeds: [
        'P:musl\nV:1.2-r1\nA:x86_64\no:musl\n\n',
        'Package: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: amd64\nSource: glibc (2.36)\n\n',
        '{"name":"x","version":"1.0.0","license":"MIT"}',
        'Metadata-Version: 2.1\nName: x\nVersion: 1\n\nbody',
      ],
      pieces: ['P:', 'V:', '\n\n', 'Package: ', 'Version: ', 'Status: ', ': ', '\n'],
      read: readers(readPackages, (input) => zipEntries(input)),
    },
  ];
}
