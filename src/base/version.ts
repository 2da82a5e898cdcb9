/** Of this package; `package.json` says the same (see version.test.ts). */
export const VERSION = '0.1.0';
