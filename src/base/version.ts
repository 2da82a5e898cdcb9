/** Of this package; `package.json` says the same (see version.test.ts). */
export const VERSION = '0.1.0';

declare const GANTRY_BUILD: string; // by tools/bundle.ts

/** Names the code of this bundle; undefined where it runs from its sources, which may be others at any time. */
export const BUILD: string | undefined = typeof GANTRY_BUILD === 'undefined' ? undefined : GANTRY_BUILD;
