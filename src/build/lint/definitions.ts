import { commentsAbove } from '../description.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import type { SourceRange } from '../dockerfile/parse.ts';
import type { Report } from './warning.ts';

/** Comments right above a FROM or an ARG are its description, and begin with its name (BuildKit's experimental rule). */
export function lintDefinitions({ stages, globalArgs }: Dockerfile, text: string, report: Report): void {
  const lines = text.split(/\r?\n/);
  const check = (names: readonly string[], range: SourceRange): void => {
    const first = commentsAbove(lines, range.start).at(-1)?.split(' ')[0];
    if (first === undefined || names.length === 0 || names.includes(first)) return;
    report(
      'InvalidDefinitionDescription',
      `Comment for ${range.start > 0 && stages.some((stage) => stage.range === range) ? 'build stage' : 'build argument'} should follow the format: \`# ${names[0]} <description>\`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.`,
      range,
    );
  };
  for (const { args, range } of globalArgs)
    check(
      args.map(({ name }) => name),
      range,
    );
  for (const { name, range, instructions } of stages) {
    check(name === undefined ? [] : [name], range);
    for (const instruction of instructions)
      if (instruction.kind === 'ARG')
        check(
          instruction.args.map((arg) => arg.name),
          instruction.range,
        );
  }
}
