import { PathPatterns } from '../../base/path-patterns.ts';
import { type Dockerfile, readStages } from '../dockerfile/instructions.ts';
import type { ParsedDockerfile } from '../dockerfile/parse.ts';
import { lintCommandFile } from './command-file.ts';
import { lintDefinitions } from './definitions.ts';
import { lintFrom } from './from.ts';
import { lintInstructions } from './instructions.ts';
import { lintStyle } from './style.ts';
import { lintVariables } from './variables.ts';
import type { LintWarning, Report } from './warning.ts';

export interface LintOptions {
  /** Lines of the ignore file that goes with the Dockerfile. */
  readonly ignore: readonly string[];
  /** TARGETPLATFORM and its like. */
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Environment of a base image; undefined when it is not known, and then its stage's variables are not judged. */
  environmentOf(reference: string): readonly string[] | undefined;
  /** Platform of a base image that is here, like `linux/arm64`. */
  platformOf?: ((reference: string) => string | undefined) | undefined;
  /** Whether the build context has the file; undefined when it is not known what it has. */
  contextHas?: ((path: string) => boolean) | undefined;
  /** The file itself, for its comments. */
  text?: string | undefined;
}

export interface LintResult {
  readonly warnings: readonly LintWarning[];
  /** `# check=error=true`: a warning is as bad as an error. */
  readonly fails: boolean;
}

/** Judges a Dockerfile without building it: the rules of BuildKit's linter and some of our own. Throws `invalid-argument` as a build would. */
export function lintDockerfile(parsed: ParsedDockerfile, options: LintOptions): LintResult {
  const dockerfile: Dockerfile = readStages(parsed);
  const { skipped, experimental, fails } = readDirective(parsed.directives['check']);
  const warnings: LintWarning[] = [];
  const report: Report = (rule, message, range) => {
    const name = rule.toLowerCase();
    if (EXPERIMENTAL.has(name) && !experimental.has('all') && !experimental.has(name)) return;
    if (!skipped.has('all') && !skipped.has(name)) warnings.push({ rule, message, range });
  };
  for (const { rule, message, range } of parsed.warnings) report(rule, message, range);
  lintStyle(parsed, report);
  lintFrom(dockerfile, options, report);
  lintInstructions(dockerfile, new PathPatterns(options.ignore), report);
  lintVariables(dockerfile, options, report);
  lintCommandFile(dockerfile, options.contextHas, report);
  if (options.text !== undefined) lintDefinitions(dockerfile, options.text, report);
  warnings.sort((a, b) => a.range.start - b.range.start || (a.rule < b.rule ? -1 : 1));
  return { warnings, fails: fails && warnings.length > 0 };
}

/** Rules that a file has to ask for: `# check=experimental=…`. */
const EXPERIMENTAL = new Set(['invaliddefinitiondescription']);

/** `skip=RuleA,RuleB;error=true` */
function readDirective(text = ''): { skipped: Set<string>; experimental: Set<string>; fails: boolean } {
  const skipped = new Set<string>();
  const experimental = new Set<string>();
  let fails = false;
  for (const part of text.split(';')) {
    const [key = '', value = ''] = part.split('=', 2).map((word) => word.trim().toLowerCase());
    if (key === 'skip') for (const rule of value.split(',')) skipped.add(rule.trim());
    if (key === 'experimental') for (const rule of value.split(',')) experimental.add(rule.trim());
    if (key === 'error') fails = value === 'true';
  }
  return { skipped, experimental, fails };
}
