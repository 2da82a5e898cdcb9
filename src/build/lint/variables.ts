import { PROXY_ARGS } from '../proxy-args.ts';
import { expandWord } from '../dockerfile/expand.ts';
import type { Dockerfile, Instruction, Stage } from '../dockerfile/instructions.ts';
import { distance } from '../dockerfile/parse.ts';
import type { LintOptions } from './lint.ts';
import type { Report } from './warning.ts';

/** Variables of every image and build that need no declaration. */
const PREDEFINED = ['PATH', ...PROXY_ARGS];

/** Variables that instructions use and nothing sets. RUN is the shell's, and is not looked into. */
export function lintVariables(
  { stages, globalArgs, escape }: Dockerfile,
  { environmentOf, platformArgs }: Pick<LintOptions, 'environmentOf' | 'platformArgs'>,
  report: Report,
): void {
  const known: (Set<string> | undefined)[] = [];
  for (const [index, stage] of stages.entries()) {
    const names = baseVariables(stage, stages.slice(0, index), known, {
      environmentOf,
      globalArgs,
      escape,
      platformArgs,
    });
    known.push(names);
    if (!names) continue;
    for (const instruction of stage.instructions) {
      for (const text of expandedTexts(instruction)) {
        for (const name of unsetIn(text, names, escape)) {
          const near = [...names].find((other) => other !== name && closeTo(other, name));
          const hint = near === undefined ? '' : ` (did you mean $${near}?)`;
          report('UndefinedVar', `Usage of undefined variable '$${name}'${hint}`, instruction.range);
        }
      }
      if (instruction.kind === 'ARG') for (const { name } of instruction.args) names.add(name);
      if (instruction.kind === 'ENV-COMMAND') names.add(instruction.name);
      if (instruction.kind === 'ENV') for (const { key } of instruction.pairs) names.add(key);
    }
  }
}

function baseVariables(
  stage: Stage,
  earlier: readonly Stage[],
  known: readonly (Set<string> | undefined)[],
  {
    environmentOf,
    globalArgs,
    escape,
    platformArgs,
  }: Pick<LintOptions, 'environmentOf' | 'platformArgs'> & Pick<Dockerfile, 'globalArgs' | 'escape'>,
): Set<string> | undefined {
  const defaults = new Map(
    globalArgs.flatMap(({ args }) => args.map(({ name, value }): [string, string] => [name, value ?? ''])),
  );
  const base = expandWord(stage.base, (name) => defaults.get(name) ?? platformArgs.get(name), { escape });
  const index = earlier.findLastIndex(({ name }) => name === base.toLowerCase());
  if (index >= 0) return known[index] && new Set(known[index]);
  const environment = base === 'scratch' ? [] : environmentOf(base);
  return environment && new Set([...PREDEFINED, ...environment.map((line) => line.split('=', 1)[0]!)]);
}

/** The parts of an instruction that a build expands. */
function expandedTexts(instruction: Instruction): readonly string[] {
  switch (instruction.kind) {
    case 'ENV':
    case 'LABEL':
      return instruction.pairs.flatMap(({ key, value }) => [key, value]);
    case 'ARG':
      return instruction.args.map(({ value }) => value).filter((value) => value !== undefined);
    case 'COPY':
    case 'ADD':
      return [...instruction.sources, instruction.destination, instruction.chown ?? '', instruction.chmod ?? ''];
    case 'EXPOSE':
    case 'USER':
    case 'WORKDIR':
    case 'STOPSIGNAL':
      return [instruction.text];
    case 'VOLUME':
      return instruction.paths;
    default:
      return [];
  }
}

function unsetIn(text: string, names: ReadonlySet<string>, escape: string): string[] {
  const unset = new Set<string>();
  expandWord(text, (name) => (names.has(name) ? 'x' : undefined), {
    escape,
    onUnset: (name) => {
      if (/^[a-zA-Z_]/.test(name)) unset.add(name);
    },
  });
  return [...unset];
}

function closeTo(known: string, name: string): boolean {
  return (
    known.toLowerCase() === name.toLowerCase() || distance(known, name) <= Math.min(2, Math.floor(name.length / 3))
  );
}
