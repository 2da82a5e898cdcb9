import { readdirSync, readFileSync } from 'node:fs';

const DIRECTORY = '/proc/sys/fs/binfmt_misc';

/** What programs of an image's architecture have in their ELF header (elf.h): class, byte order, machine. */
const HEADERS: Readonly<Record<string, readonly [bits: 32 | 64, order: 'little' | 'big', machine: number]>> = {
  amd64: [64, 'little', 62],
  '386': [32, 'little', 3],
  arm64: [64, 'little', 183],
  arm: [32, 'little', 40],
  ppc64le: [64, 'little', 21],
  s390x: [64, 'big', 22],
  riscv64: [64, 'little', 243],
  mips64le: [64, 'little', 8],
  mips64: [64, 'big', 8],
  loong64: [64, 'little', 258],
};

/**
 * Whether the kernel starts programs of that architecture through an interpreter that it holds open itself (flag F), so
 * that it is found in any root filesystem (Documentation/admin-guide/binfmt-misc.rst). What an interpreter is for is read
 * from the bytes that it is registered for: its name can be any.
 */
export function emulation(architecture: string, directory = DIRECTORY): Emulation {
  return readEmulations(directory)(architecture);
}

export type Emulation = 'ready' | 'not fixed' | 'absent';

/** The same for several architectures: what is registered is read once. */
export function readEmulations(directory = DIRECTORY): (architecture: string) => Emulation {
  const entries = readEntries(directory);
  return (architecture) => {
    const header = elfHeader(architecture);
    const fitting = entries.filter((text) => header && matches(text, header));
    if (fitting.some((text) => /^flags:.*F/m.test(text))) return 'ready';
    return fitting.length > 0 ? 'not fixed' : 'absent';
  };
}

/** What is registered and in use; nothing where the kernel has no such directory. */
function readEntries(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  return names
    .filter((name) => name !== 'status' && name !== 'register')
    .map((name) => readFileSync(`${directory}/${name}`, 'utf8'))
    .filter((text) => /^enabled$/m.test(text));
}

/** The beginning of an executable. */
function elfHeader(architecture: string): Buffer | undefined {
  const found = HEADERS[architecture];
  if (!found) return undefined;
  const [bits, order, machine] = found;
  const header = Buffer.alloc(20);
  header.write('\x7fELF', 'latin1');
  header.set([bits / 32, order === 'little' ? 1 : 2, 1], 4);
  const executable = 2;
  for (const [at, value] of [
    [16, executable],
    [18, machine],
  ] as const)
    if (order === 'little') header.writeUInt16LE(value, at);
    else header.writeUInt16BE(value, at);
  return header;
}

/** Whether an entry is for files that begin like this. */
function matches(entry: string, header: Buffer): boolean {
  const field = (name: string): string | undefined => new RegExp(`^${name} (\\S+)$`, 'm').exec(entry)?.[1];
  const magic = Buffer.from(field('magic') ?? '', 'hex');
  const mask = Buffer.from(field('mask') ?? '', 'hex');
  const offset = Number(field('offset') ?? 0);
  if (magic.length === 0 || offset + magic.length > header.length) return false;
  return magic.every((byte, at) => ((header[offset + at]! ^ byte) & (mask[at] ?? 0xff)) === 0);
}
