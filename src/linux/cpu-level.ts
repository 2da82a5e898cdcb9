import { readFileSync } from 'node:fs';

/** What each level of x86-64 has that the one below has not (x86-64 psABI, "Micro-Architecture Levels"), as the kernel calls it. */
const LEVELS: readonly (readonly string[])[] = [
  ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'],
  ['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave'],
  ['avx512bw', 'avx512cd', 'avx512dq', 'avx512f', 'avx512vl'],
];

/** The level of x86-64 that a processor with these `flags` has: 1 to 4. */
export function x86Level(flags: ReadonlySet<string>): number {
  const missing = LEVELS.findIndex((level) => !level.every((flag) => flags.has(flag)));
  return 1 + (missing < 0 ? LEVELS.length : missing);
}

let known: number | undefined;

/** The level of x86-64 of this machine; 1 on others, and where the kernel does not say. */
export function hostX86Level(): number {
  if (process.arch !== 'x64') return 1;
  return (known ??= x86Level(cpuFlags()));
}

function cpuFlags(): Set<string> {
  try {
    const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
    return new Set(line.trim().split(' '));
  } catch {
    return new Set();
  }
}
