import type { ApiResult } from './run-case.ts';

export interface Difference {
  readonly why: string;
  readonly result: Partial<ApiResult>;
}

/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. By the case's name, and for all cases alike. */
export const DIFFERENCES: Readonly<Record<string, Difference | undefined>> = {};
