import { createHash } from 'node:crypto';

/** A name that Kubernetes takes (RFC 1123 label): what it does not take becomes a dash; what is too long ends in a digest. */
export function kubeName(...parts: readonly string[]): string {
  const text = parts.join('-');
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  if (name !== '' && name.length <= 63) return name;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return `${name.slice(0, 54).replace(/-+$/, '') || 'x'}-${digest}`;
}

/** A key of a ConfigMap or Secret. */
export function dataKey(text: string): string {
  return text.replace(/[^-._a-zA-Z0-9]/g, '_').slice(0, 253) || '_';
}

export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}
