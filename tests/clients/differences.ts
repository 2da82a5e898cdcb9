import type { CaseResult } from './run-case.ts';

/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. */
export const DIFFERENCES: Readonly<
  Record<string, { readonly why: string; readonly result: Partial<CaseResult> } | undefined>
> = {};
