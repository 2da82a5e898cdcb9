import type { Command } from './command.ts';
import type { Flags } from './flag.ts';
import { GLOBAL_FLAGS } from './global.ts';
import { commandsIn, type Entry, type Group, GROUPS, topCommands } from './registry.ts';
import { compareText } from './output/order.ts';

/** `gantry --help` */
export function topHelp(width: number): string {
  const commands = topCommands();
  const common = commands.filter(({ entry }) => entry.common === true);
  const others = commands.filter(({ entry }) => entry.common !== true).sort((a, b) => compareText(a.name, b.name));
  return [
    'Usage:  gantry [OPTIONS] COMMAND',
    '',
    'A container engine: run, build and share containers from images',
    '',
    'Common Commands:',
    ...columns(common.map(({ name, entry }) => [name, entry.summary])),
    '',
    'Management Commands:',
    ...columns(GROUPS.map((group) => [group.name, group.summary])),
    '',
    'Commands:',
    ...columns([
      ...others.map(({ name, entry }): [string, string] => [name, entry.summary]),
      ['daemon', 'Run the engine in the foreground'],
    ]),
    '',
    'Global Options:',
    ...flagLines(GLOBAL_FLAGS, width),
    '',
    'First steps:',
    '  gantry demo                            see a whole tour, each command shown',
    '  gantry run --rm hello-gantry           run a first container',
    '  gantry run -it --rm busybox sh         a shell of its own',
    '',
    "Run 'gantry COMMAND --help' for more information on a command.",
    '',
  ].join('\n');
}

/** `gantry container --help` */
export function groupHelp(group: Group): string {
  return [
    `Usage:  gantry ${group.name} COMMAND`,
    '',
    group.summary,
    '',
    'Commands:',
    ...columns(commandsIn(group.name).map(({ name, entry }) => [name, entry.summary])),
    '',
    `Run 'gantry ${group.name} COMMAND --help' for more information on a command.`,
    '',
  ].join('\n');
}

/** `gantry run --help` */
export function commandHelp(entry: Entry, command: Command, path: string, width: number): string {
  const lines = [`Usage:  ${usageOf(command, path)}`, '', command.description ?? entry.summary];
  if (entry.paths.length > 1) {
    lines.push('', 'Aliases:', `  ${entry.paths.map((alias) => `gantry ${alias}`).join(', ')}`);
  }
  const flags = flagLines(command.flags, width);
  if (flags.length > 0) lines.push('', 'Options:', ...flags);
  if (command.examples !== undefined) {
    lines.push(
      '',
      'Examples:',
      ...command.examples
        .trim()
        .split('\n')
        .map((line) => (line === '' ? '' : `  ${line}`)),
    );
  }
  return `${lines.join('\n')}\n`;
}

/** `gantry run [OPTIONS] IMAGE [COMMAND] [ARG...]`; further forms on lines of their own. */
export function usageOf(command: Command, path: string): string {
  return command.usage
    .split('\n')
    .map((form) => `gantry ${path}${form === '' ? '' : ` ${form}`}`)
    .join('\n\t');
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length), 9);
  return rows.map(([name, summary]) => `  ${name.padEnd(width)}   ${summary}`);
}

/** One line a flag, its text wrapped below itself. */
function flagLines(flags: Flags, width: number): string[] {
  const rows = Object.entries(flags)
    .filter(([, flag]) => !flag.hidden && flag.deprecated === undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => {
      const short = flag.short === undefined ? '      ' : `  -${flag.short}, `;
      const text = flag.defaultText === undefined ? flag.help : `${flag.help} (default ${flag.defaultText})`;
      return { left: `${short}--${name}${flag.kind === '' ? '' : ` ${flag.kind}`}`, text };
    });
  const indent = Math.max(...rows.map(({ left }) => left.length), 0) + 3;
  return rows.flatMap(({ left, text }) => {
    const [first, ...rest] = wrap(text, Math.max(24, width - indent));
    return [`${left.padEnd(indent)}${first ?? ''}`, ...rest.map((line) => ' '.repeat(indent) + line)];
  });
}

function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    return [...lines, line];
  });
}
