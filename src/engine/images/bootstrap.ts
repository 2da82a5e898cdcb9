import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationOptions } from '../../base/operation.ts';
import { formatNanos } from '../../base/time.ts';
import { formatPlatform } from '../../oci/platform.ts';
import { runCommand } from '../../linux/command.ts';
import type { BootstrapRequest } from '../engine.ts';
import { createImage } from './create-image.ts';
import { commitLayer } from './layers.ts';
import { eventAttributes, nameImage, targetReference } from './names.ts';
import { EngineError } from '../../base/errors.ts';
import { type DistributionBase, type PackageHost, parseBase, sourceLine, sourcesFor } from './package-sources.ts';
import { type PackagePlatform, packagePlatform } from './package-platform.ts';
import type { ImageParts } from './parts.ts';
import { newestPackageTime, normalizeTree } from './reproducible-tree.ts';
import { underLease } from './under-lease.ts';

/** What the slim images of Debian leave out. */
const SLIM_EXCLUDES = [
  '/usr/share/doc/*',
  '/usr/share/doc-base/*',
  '/usr/share/groff/*',
  '/usr/share/info/*',
  '/usr/share/linda/*',
  '/usr/share/lintian/overrides/*',
  '/usr/share/locale/*',
  '/usr/share/man/*',
];
const SLIM_INCLUDES = ['/usr/share/doc/*/copyright'];

/**
 * Makes a base image from a distribution's packages with this machine's own package sources, certificates and keys, none
 * of which end up in the image. The same packages give the same image. Throws `invalid-argument`, `unavailable`.
 */
export async function bootstrapImage(
  parts: ImageParts,
  request: BootstrapRequest,
  options: OperationOptions = {},
): Promise<{ id: string }> {
  const base = parseBase(request.base, request.suite);
  const include = checkPackages(request.include ?? []);
  const other = packagePlatform(request.platform);
  const references = (request.tags?.length ? request.tags : [request.base]).map((tag) => targetReference(tag));
  const sources = await sourcesFor(base, await packageHost(), request.mirror);
  return underLease(parts, 'bootstrap', async (lease) => {
    const key = `bootstrap-${randomUUID()}`;
    await parts.snapshotter.prepare(key, undefined);
    try {
      const root = parts.snapshotter.changesDir(key);
      await installPackages(parts, root, base, { ...options, include, other, sources: sources.map(sourceLine) });
      options.onProgress?.({ id: base.suite, status: 'Making the files reproducible' });
      const time = await newestPackageTime(root);
      await normalizeTree(root, time, options.signal);
      const layer = await commitLayer(parts, key, { parent: undefined, lease, signal: options.signal });
      const created = formatNanos(BigInt(time) * 1_000_000_000n);
      const words = `${base.distribution} ${base.suite}${base.slim ? ' (slim)' : ''}, bootstrapped by Gantry from packages`;
      const image = await createImage(parts, {
        layers: [layer],
        history: [{ created, created_by: commandLine(base, include, other), comment: words }],
        config: {
          Cmd: ['bash'],
          Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
          Labels: {
            'io.gantry.bootstrap': `${base.distribution}:${base.suite}${base.slim ? '-slim' : ''}`,
            ...(include.length > 0 && { 'io.gantry.bootstrap.include': include.join(',') }),
            'org.opencontainers.image.description': words,
          },
        },
        created,
        comment: words,
        platform: other?.platform,
        lease,
      });
      await parts.db.durableTransaction(() => {
        for (const reference of references) nameImage(parts, image.id, reference);
      });
      for (const reference of references) parts.publish('tag', image.id, eventAttributes(image, reference));
      return { id: image.id };
    } catch (error) {
      if (parts.snapshotter.stat(key)) await parts.snapshotter.remove(key);
      throw error;
    }
  });
}

async function installPackages(
  parts: ImageParts,
  root: string,
  base: DistributionBase,
  options: OperationOptions & {
    include: readonly string[];
    other: PackagePlatform | undefined;
    sources: readonly string[];
  },
): Promise<void> {
  const { include, other, sources, signal, onProgress } = options;
  const temporary = join(parts.temporary, `bootstrap-${randomUUID()}`);
  await mkdir(temporary, { recursive: true, mode: 0o755 });
  const filters = base.slim
    ? [
        ...SLIM_EXCLUDES.map((path) => `--dpkgopt=path-exclude=${path}`),
        ...SLIM_INCLUDES.map((path) => `--dpkgopt=path-include=${path}`),
      ]
    : [];
  try {
    await runCommand(
      'mmdebstrap',
      [
        '--mode=root',
        '--variant=minbase',
        '--format=directory',
        // that programs of the other platform run has been seen; arch-test, which would ask again, is not on every host
        `--skip=output/dev${other ? ',check/qemu' : ''}`,
        ...filters,
        ...(await mergedUsr(base.suite)),
        ...(other ? [`--architectures=${other.architecture}`] : []),
        ...(include.length > 0 ? [`--include=${include.join(',')}`] : []),
        base.suite,
        root,
        ...sources,
      ],
      {
        // A fixed time (2000-01-01) for what packages stamp while they are installed; files get theirs afterwards.
        env: {
          SOURCE_DATE_EPOCH: '946684800',
          TMPDIR: temporary,
          LC_ALL: 'C.UTF-8',
          HOME: '/root',
          DEBIAN_FRONTEND: 'noninteractive',
        },
        onLine: (line) => {
          const [, kind, words] = /^([IWE]): (.*)$/.exec(line) ?? [];
          if (kind === 'I' || kind === 'W') onProgress?.({ id: base.suite, status: words! });
        },
        signal,
      },
    );
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'unavailable') throw error;
    throw new EngineError('unavailable', 'mmdebstrap is not installed: apt-get install mmdebstrap', { cause: error });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Suites from before /bin became a link to /usr/bin. */
const SPLIT_USR = new Set(['buster', 'bullseye', 'focal', 'jammy']);
const MERGED_USR_HOOK = '/usr/share/mmdebstrap/hooks/merged-usr';

/** Has /bin merged from the beginning: otherwise the package that does it comes, and brings 50 MB of Perl with it. */
async function mergedUsr(suite: string): Promise<string[]> {
  if (SPLIT_USR.has(suite) || !(await stat(MERGED_USR_HOOK).catch(() => undefined))) return [];
  return [`--hook-directory=${MERGED_USR_HOOK}`, '--include=usr-is-merged'];
}

function commandLine(base: DistributionBase, include: readonly string[], other: PackagePlatform | undefined): string {
  const flags = [
    ...(other ? ['--platform', formatPlatform(other.platform)] : []),
    ...(include.length > 0 ? ['--include', include.join(',')] : []),
  ];
  return ['gantry image bootstrap', `${base.distribution}:${base.suite}${base.slim ? '-slim' : ''}`, ...flags].join(
    ' ',
  );
}

/** Names of packages go onto a command line and into apt: nothing but names. */
function checkPackages(names: readonly string[]): string[] {
  for (const name of names) {
    if (!/^[a-z0-9][a-z0-9.+-]+(?::[a-z0-9]+)?$/.test(name)) {
      throw new EngineError('invalid-argument', `invalid package name ${JSON.stringify(name.slice(0, 100))}`);
    }
  }
  return [...new Set(names)].sort();
}

async function packageHost(): Promise<PackageHost> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? '';
  return { directory: '/etc/apt', distribution: field('ID'), codename: field('VERSION_CODENAME') };
}
