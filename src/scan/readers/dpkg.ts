import type { InstalledPackage } from '../../api/inventory.ts';
import { fields, MEBIBYTE, type Reader, textOf } from './reader.ts';

/** `/var/lib/dpkg/status`, and the files of `status.d` that images without dpkg have. */
export const dpkgReader: Reader = {
  limit: 64 * MEBIBYTE,
  read: (bytes, path) =>
    textOf(bytes)
      .split(/\n\n+/)
      .flatMap((stanza) => packageOf(stanza, path)),
};

function packageOf(stanza: string, path: string): InstalledPackage[] {
  const field = fields(stanza);
  const name = field.get('package');
  const version = field.get('version');
  if (!name || !version) return [];
  const status = field.get('status');
  // removed packages leave their configuration, and their name, behind
  if (status !== undefined && !status.endsWith(' installed')) return [];
  const architecture = field.get('architecture');
  return [
    {
      type: 'deb',
      name,
      version,
      source: sourceOf(field.get('source'), { name, version }),
      ...(architecture !== undefined && { architecture }),
      path,
    },
  ];
}

/** `Source: glibc (2.36-9)`; the version only where it is another one. */
function sourceOf(
  source: string | undefined,
  own: { name: string; version: string },
): { name: string; version: string } {
  const match = /^(\S+)(?:\s+\(([^)]+)\))?/.exec(source ?? '');
  return match ? { name: match[1]!, version: match[2] ?? own.version } : own;
}
