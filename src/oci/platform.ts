import { EngineError } from '../base/errors.ts';
import type { Platform } from './descriptor.ts';

/** The platform of this machine: what images run here without emulation. */
export function hostPlatform(arch: string = process.arch): Platform {
  const known: Readonly<Record<string, Platform>> = {
    x64: { os: 'linux', architecture: 'amd64' },
    arm64: { os: 'linux', architecture: 'arm64' },
    arm: { os: 'linux', architecture: 'arm', variant: 'v7' },
    ia32: { os: 'linux', architecture: '386' },
    mips64el: { os: 'linux', architecture: 'mips64le' },
  };
  return (Object.hasOwn(known, arch) && known[arch]) || { os: 'linux', architecture: arch };
}

/** `linux/arm64/v8`, `arm64`, `linux`: what is missing is the host's. Throws `invalid-argument`. */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || !parts.every((part) => /^[A-Za-z0-9_.-]+(?:\([A-Za-z0-9_.-]+\))?$/.test(part))) {
    throw new EngineError(
      'invalid-argument',
      `${JSON.stringify(text)} is an invalid OS/architecture: want os/architecture[/variant]`,
    );
  }
  const [first, second, third] = parts.map((part) => part.toLowerCase());
  if (second === undefined) {
    if (KNOWN_OS.has(first!)) return normalizePlatform({ ...host, os: first! });
    return normalizePlatform({ os: host.os, architecture: first! });
  }
  return normalizePlatform({ os: first!, architecture: second, ...(third !== undefined && { variant: third }) });
}

/** One spelling for each: `x86_64` is amd64, `aarch64` and arm64/v8 are arm64, arm without variant is v7. */
export function normalizePlatform(platform: Platform): Platform {
  let os = platform.os.toLowerCase();
  let architecture = platform.architecture.toLowerCase();
  let variant = (platform.variant ?? '').toLowerCase();
  if (os === 'macos') os = 'darwin';
  switch (architecture) {
    case 'i386':
      [architecture, variant] = ['386', ''];
      break;
    case 'x86_64':
    case 'x86-64':
      architecture = 'amd64';
      break;
    case 'aarch64':
      architecture = 'arm64';
      break;
    case 'armhf':
      [architecture, variant] = ['arm', 'v7'];
      break;
    case 'armel':
      [architecture, variant] = ['arm', 'v6'];
      break;
  }
  if (architecture === 'amd64' && variant === 'v1') variant = '';
  if (architecture === 'arm64' && (variant === 'v8' || variant === '8')) variant = '';
  if (architecture === 'arm') variant = variant === '' ? 'v7' : /^[5-8]$/.test(variant) ? `v${variant}` : variant;
  const { variant: _, ...rest } = platform;
  return { ...rest, os, architecture, ...(variant !== '' && { variant }) };
}

/** `linux/arm64`, `linux/arm/v7` */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalizePlatform(platform);
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** Whether something made for `offered` is what `wanted` asks for, exactly. */
export function samePlatform(wanted: Platform, offered: Platform): boolean {
  return formatPlatform(wanted) === formatPlatform(offered);
}

/**
 * How well something made for `offered` runs on `wanted`: 0 exactly, larger is worse, undefined is not at all.
 * An arm v7 runs v6 and v5, an amd64 with v3 runs v2, and 64 bits run the 32 of the same family last of all.
 */
export function platformDistance(wanted: Platform, offered: Platform): number | undefined {
  const want = normalizePlatform(wanted);
  const have = normalizePlatform(offered);
  if (want.os !== have.os) return undefined;
  if (want.architecture !== have.architecture) {
    if (want.architecture === 'amd64' && have.architecture === '386') return 100;
    if (want.architecture === 'arm64' && have.architecture === 'arm') return 100 + (8 - level(have));
    return undefined;
  }
  const gap = level(want) - level(have);
  return gap < 0 ? undefined : gap;
}

const KNOWN_OS = new Set([
  'linux',
  'windows',
  'darwin',
  'macos',
  'freebsd',
  'netbsd',
  'openbsd',
  'solaris',
  'wasip1',
  'js',
]);

/** The number of the variant; that of 64-bit arm is 8 until it says otherwise. */
function level({ architecture, variant = '' }: Platform): number {
  const match = /^v(\d+)/.exec(variant);
  return match ? Number(match[1]) : architecture === 'arm64' ? 8 : 1;
}
