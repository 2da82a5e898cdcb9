import { readdirSync, readFileSync } from 'node:fs';

const DIRECTORY = '/proc/sys/fs/binfmt_misc';

/** What the emulators of qemu-user are called, by the architecture of an image. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  amd64: ['x86_64'],
  '386': ['i386'],
  arm64: ['aarch64'],
  arm: ['arm', 'armeb'],
  ppc64le: ['ppc64le'],
  s390x: ['s390x'],
  riscv64: ['riscv64'],
  mips64le: ['mips64el'],
  mips64: ['mips64'],
  loong64: ['loongarch64'],
};

/**
 * Whether the kernel starts programs of that architecture through an interpreter that it holds open itself (flag F), so
 * that it is found in any root filesystem (Documentation/admin-guide/binfmt-misc.rst).
 */
export function emulation(architecture: string, directory = DIRECTORY): 'ready' | 'not fixed' | 'absent' {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return 'absent';
  }
  let found: ReturnType<typeof emulation> = 'absent';
  for (const name of names) {
    if (!(NAMES[architecture] ?? [architecture]).some((one) => name === one || name === `qemu-${one}`)) continue;
    const text = readFileSync(`${directory}/${name}`, 'utf8');
    if (!/^enabled$/m.test(text)) continue;
    if (/^flags:.*F/m.test(text)) return 'ready';
    found = 'not fixed';
  }
  return found;
}
