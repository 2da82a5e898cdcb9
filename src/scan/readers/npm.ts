import { MEBIBYTE, type Reader, textOf } from './reader.ts';

/** `package.json` of a package that is installed in a `node_modules`. */
export const npmReader: Reader = {
  limit: 4 * MEBIBYTE,
  read: (bytes, path) => {
    const document = parse(textOf(bytes));
    const { name, version, license } = document;
    if (typeof name !== 'string' || typeof version !== 'string' || name === '' || version === '') return [];
    const words = typeof license === 'string' ? license : (license as { type?: unknown } | undefined)?.type;
    return [{ type: 'npm', name, version, ...(typeof words === 'string' && { license: words }), path }];
  },
};

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
