import { randomBytes } from 'node:crypto';

/** 64 hex digits that are not all decimal in their first 12, so that a short id is never taken for a number (nor for a pid). */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** The 12 digits that people see. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
