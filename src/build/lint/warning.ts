import type { SourceRange } from '../dockerfile/parse.ts';

/** Something in a Dockerfile that works and should not be there. */
export interface LintWarning {
  /** Name of the rule, BuildKit's where it has one. */
  readonly rule: string;
  readonly message: string;
  readonly range: SourceRange;
}

export type Report = (rule: string, message: string, range: SourceRange) => void;
