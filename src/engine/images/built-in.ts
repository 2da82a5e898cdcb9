import { open, readFile, stat } from 'node:fs/promises';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { formatNanos } from '../../base/time.ts';
import type { Bytes } from '../../content/content-store.ts';
import { tarHeader } from '../../content/tar/header.ts';
import { type TarSource, writeTar } from '../../content/tar/writer.ts';
import { runCommand } from '../../linux/command.ts';
import { canonicalName, type Reference } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { Lease } from '../../state/leases.ts';
import { createImage } from './create-image.ts';
import { GREETING } from './greeting.ts';
import { importLayer, type Layer } from './layers.ts';
import { eventAttributes, nameImage } from './names.ts';
import type { ImageParts } from './parts.ts';
import { underLease } from './under-lease.ts';

/** Names that can be had with no network at all, as they are asked for. */
const BUILT_IN: ReadonlyMap<string, 'busybox' | 'hello-gantry'> = new Map([
  ['docker.io/library/busybox:latest', 'busybox'],
  ['docker.io/library/hello-gantry:latest', 'hello-gantry'],
]);
/** Says that an image was made here; its value is the name. */
export const BUILT_IN_LABEL = 'io.gantry.built-in';
const BUSYBOX = '/bin/busybox';

/** Which image we can make ourselves under that name; undefined for all others. */
export function builtInFor(reference: Reference): 'busybox' | 'hello-gantry' | undefined {
  return BUILT_IN.get(canonicalName(reference));
}

/**
 * Makes a built-in image of this machine's statically linked busybox, names it, and says so: it is not the image that a
 * registry has under that name. Throws `unavailable` when the host has no such busybox.
 */
export async function makeBuiltIn(
  parts: ImageParts,
  reference: Reference,
  { signal, onProgress }: OperationOptions,
): Promise<ImageRecord> {
  const kind = builtInFor(reference)!;
  const busybox = await hostBusybox(signal);
  onProgress?.({
    id: '',
    status: `Building ${kind} from this machine's own busybox-static (${busybox.version}); no registry is asked`,
  });
  return underLease(parts, `built-in ${kind}`, async (lease) => {
    const base = await importLayer(parts, writeTar(busyboxEntries(busybox)), { parent: undefined, lease, signal });
    const image = await (kind === 'busybox' ? describeBusybox : describeHello)(parts, busybox, base, lease);
    await parts.db.durableTransaction(() => nameImage(parts, image.id, reference));
    parts.publish('tag', image.id, eventAttributes(image, reference));
    return image;
  });
}

interface HostBusybox {
  readonly size: number;
  /** Seconds since the epoch: of the package, so that every machine that has it makes the same image. */
  readonly time: number;
  /** `v1.35.0 (Debian 1:1.35.0-4+deb12u1)` */
  readonly version: string;
  /** Paths without the leading slash. */
  readonly applets: readonly string[];
}

async function hostBusybox(signal?: AbortSignal): Promise<HostBusybox> {
  const install = 'install the package busybox-static';
  const file = await stat(BUSYBOX).catch(() => undefined);
  if (!file?.isFile())
    throw new EngineError('unavailable', `this machine has no ${BUSYBOX} to make the image of: ${install}`);
  if (!(await isStatic(BUSYBOX)))
    throw new EngineError('unavailable', `${BUSYBOX} needs shared libraries, which no image would have: ${install}`);
  const applets: string[] = [];
  await runCommand(BUSYBOX, ['--list-full'], { onLine: (line) => applets.push(line), signal });
  let version = '';
  await runCommand(BUSYBOX, ['--help'], { onLine: (line) => (version ||= line), signal });
  return {
    size: file.size,
    time: Math.floor(file.mtimeMs / 1000),
    version: /^BusyBox (v.*?\))/.exec(version)?.[1] ?? 'unknown version',
    applets: applets.filter((path) => /^[a-z]+(?:\/[^/\0]+)+$/.test(path) && path !== 'bin/busybox').sort(),
  };
}

/** Whether an ELF program asks for no interpreter (System V ABI, program header PT_INTERP). */
async function isStatic(path: string): Promise<boolean> {
  await using handle = await open(path, 'r');
  const { buffer: header } = await handle.read(Buffer.alloc(64), 0, 64, 0);
  if (header.readUInt32BE(0) !== 0x7f454c46 || header[5] !== 1) return false;
  const wide = header[4] === 2;
  const offset = wide ? Number(header.readBigUInt64LE(32)) : header.readUInt32LE(28);
  const [entrySize, count] = wide
    ? [header.readUInt16LE(54), header.readUInt16LE(56)]
    : [header.readUInt16LE(42), header.readUInt16LE(44)];
  const { buffer: table } = await handle.read(Buffer.alloc(entrySize * count), 0, entrySize * count, offset);
  for (let at = 0; at < table.byteLength; at += entrySize) if (table.readUInt32LE(at) === 3) return false;
  return true;
}

const DIRECTORIES: readonly (readonly [string, number])[] = [
  ['bin', 0o755],
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['sbin', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/bin', 0o755],
  ['usr/sbin', 0o755],
  ['var', 0o755],
  ['var/spool', 0o755],
  ['var/www', 0o755],
];
const FILES: Readonly<Record<string, string>> = {
  'etc/group':
    'root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nmail:x:8:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n',
  'etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\nmail:x:8:8:mail:/var/spool/mail:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  'etc/shadow': 'root:*:10933:0:99999:7:::\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** Every applet is a hard link of the one program. */
function* busyboxEntries(busybox: HostBusybox): Generator<TarSource> {
  const mtime = BigInt(busybox.time) * 1_000_000_000n;
  yield { header: tarHeader({ type: 'directory', name: './', mtime }) };
  for (const [name, mode] of DIRECTORIES)
    yield { header: tarHeader({ type: 'directory', name: `${name}/`, mode, mtime }) };
  for (const [name, text] of Object.entries(FILES)) {
    const mode = name === 'etc/shadow' ? 0o640 : 0o644;
    const body = Buffer.from(text);
    yield { header: tarHeader({ type: 'file', name, mode, mtime, size: body.byteLength }), body: [body] };
  }
  const program = tarHeader({ type: 'file', name: 'bin/busybox', mode: 0o755, mtime, size: busybox.size });
  yield { header: program, body: readProgram() };
  for (const name of busybox.applets) {
    yield { header: tarHeader({ type: 'hard-link', name, linkName: 'bin/busybox', mode: 0o755, mtime }) };
  }
}

async function* readProgram(): Bytes {
  yield await readFile(BUSYBOX);
}

const ENV = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

function describeBusybox(parts: ImageParts, busybox: HostBusybox, layer: Layer, lease: Lease): Promise<ImageRecord> {
  const words = `busybox ${busybox.version} from this machine's busybox-static, put together by Gantry`;
  const created = formatNanos(BigInt(busybox.time) * 1_000_000_000n);
  return createImage(parts, {
    layers: [layer],
    history: [{ created, created_by: 'gantry (built in) busybox', comment: words }],
    config: { Cmd: ['sh'], Env: ENV, Labels: labels('busybox', words) },
    created,
    comment: words,
    lease,
  });
}

async function describeHello(parts: ImageParts, busybox: HostBusybox, base: Layer, lease: Lease): Promise<ImageRecord> {
  const words = 'a greeting, shown by busybox; put together by Gantry';
  const mtime = BigInt(busybox.time) * 1_000_000_000n;
  const created = formatNanos(mtime);
  const text = Buffer.from(GREETING);
  const entries: TarSource[] = [
    { header: tarHeader({ type: 'directory', name: './', mtime }) },
    { header: tarHeader({ type: 'file', name: 'hello', mtime, size: text.byteLength }), body: [text] },
  ];
  const layer = await importLayer(parts, writeTar(entries), { parent: base.chain, lease });
  return createImage(parts, {
    layers: [base, layer],
    history: [
      { created, created_by: 'gantry (built in) busybox', comment: `busybox ${busybox.version}` },
      { created, created_by: 'gantry (built in) hello-gantry', comment: words },
    ],
    config: { Cmd: ['cat', '/hello'], Env: ENV, Labels: labels('hello-gantry', words) },
    created,
    comment: words,
    lease,
  });
}

function labels(name: string, words: string): Record<string, string> {
  return { [BUILT_IN_LABEL]: name, 'org.opencontainers.image.description': words };
}
