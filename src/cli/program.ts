import { Cli, type CliOptions } from './cli.ts';
import { type Command, CommandError, UsageError } from './command.ts';
import { insteadOf, withoutBuildx } from './docker-words.ts';
import { describeError, exitCodeOfRun, withoutRegistry } from './describe-error.ts';
import { GLOBAL_FLAGS, type GlobalFlags } from './global.ts';
import { escapeControls } from './output/escape.ts';
import { parseLine } from './parse.ts';
import { commandsIn, type Entry, findCommand, findGroup, GROUPS, topCommands } from './registry.ts';
import { nearest } from '../base/nearest.ts';
import { VERSION } from '../base/version.ts';

/** Runs one command line and gives its exit code. Prints what goes wrong. */
export async function runProgram(
  words: readonly string[],
  host: Omit<CliOptions, 'globals' | 'given' | 'again'>,
): Promise<number> {
  const { io } = host;
  let globals;
  try {
    globals = parseLine(GLOBAL_FLAGS, words, { interspersed: false });
  } catch (error) {
    io.stderr.write(
      `${(error as Error).message}\n\nUsage:  gantry [OPTIONS] COMMAND [ARG...]\n\nRun 'gantry --help' for more information\n`,
    );
    return error instanceof CommandError ? error.code : 125;
  }
  const flags = globals.values as unknown as GlobalFlags;
  const cli = new Cli({
    ...host,
    globals: flags,
    given: globals.given,
    again: (inner) => runProgram([...words.slice(0, words.length - globals.args.length), ...inner], host),
  });
  const { args } = globals;
  if (flags.version) {
    cli.print(`Gantry version ${VERSION}`);
    return 0;
  }
  if (args.length === 0 || (globals.help && args.length === 0)) {
    const { topHelp } = await import('./help.ts');
    io.stdout.write(topHelp(io.stdout.columns));
    return 0;
  }
  try {
    return await dispatch(cli, globals.help ? ['help', ...args] : args);
  } finally {
    cli.close();
  }
}

async function dispatch(cli: Cli, line: readonly string[]): Promise<number> {
  if (line[0] === 'help') return helpFor(cli, withoutBuildx(line.slice(1)));
  const args = withoutBuildx(line);
  const group = findGroup(args[0]!);
  if (group) {
    const name = args[1];
    const entry = name === undefined ? undefined : findCommand(`${group.name} ${name}`);
    if (entry) return runCommand(cli, entry, `${group.name} ${name}`, args.slice(2));
    if (name === undefined || name === '--help' || name === '-h') return helpFor(cli, [group.name]);
    if (name.startsWith('-')) {
      cli.warn(
        `unknown flag: ${name}\n\nUsage:  gantry ${group.name} COMMAND\n\nRun 'gantry ${group.name} --help' for more information`,
      );
      return 125;
    }
    return unknownCommand(cli, group.name, name);
  }
  const entry = findCommand(args[0]!);
  return entry ? runCommand(cli, entry, args[0]!, args.slice(1)) : unknownCommand(cli, undefined, args[0]!);
}

async function runCommand(cli: Cli, entry: Entry, path: string, line: readonly string[]): Promise<number> {
  const command = await entry.load();
  try {
    const parsed = parseLine(command.flags, line, {
      interspersed: command.interspersed !== false,
      shortHelp: true,
    });
    if (parsed.help) {
      const { commandHelp } = await import('./help.ts');
      cli.io.stdout.write(commandHelp(entry, command, path, cli.io.stdout.columns));
      return 0;
    }
    for (const name of parsed.deprecated)
      cli.warn(`Flag --${name} has been deprecated, ${command.flags[name]!.deprecated}`);
    checkArguments(command, path, parsed.args);
    return await command.run(cli, {
      path: `gantry ${path}`,
      flags: parsed.values,
      given: parsed.given,
      args: parsed.args,
    });
  } catch (error) {
    return report(cli, command, path, error);
  }
}

async function report(cli: Cli, command: Command, path: string, error: unknown): Promise<number> {
  const say = (text: string): void => cli.warn(cli.io.stderr.isTTY ? escapeControls(text) : text);
  if (error instanceof UsageError) {
    const { usageOf } = await import('./help.ts');
    say(`${error.message}\n\nUsage:  ${usageOf(command, path)}\n\nRun 'gantry ${path} --help' for more information`);
    return error.code;
  }
  const code = error instanceof CommandError ? error.code : command.failsAsRun === true ? exitCodeOfRun(error) : 1;
  const message = describeError(error, cli.globals.debug);
  if (message === '') return code;
  const hint = WANTS_REGISTRY.test(path) ? undefined : withoutRegistry(message);
  const told = hint === undefined ? message : `${message}\n\n${hint}`;
  if (command.failsAsRun === true && !(error instanceof CommandError))
    say(`gantry: ${told}\n\nRun 'gantry ${path} --help' for more information`);
  else say(told);
  return code;
}

/** They ask for the registry itself, not for an image. */
const WANTS_REGISTRY = /^(?:login|logout|search|(?:image |compose )?push|registry|manifest)\b/;

function checkArguments(command: Command, path: string, args: readonly string[]): void {
  const { min, max } = command.args;
  if (args.length >= min && (max === undefined || args.length <= max)) return;
  const usage = `gantry ${path}${command.usage === '' ? '' : ` ${command.usage.split('\n')[0]}`}`;
  const plural = (n: number): string => (n === 1 ? 'argument' : 'arguments');
  const words =
    max === 0
      ? 'accepts no arguments'
      : min === max
        ? `requires ${min} ${plural(min)}`
        : max === undefined
          ? `requires at least ${min} ${plural(min)}`
          : min === 0
            ? `requires at most ${max} ${plural(max)}`
            : `requires at least ${min} and at most ${max} ${plural(max)}`;
  const verb = max === undefined ? 'See' : 'Run';
  throw new CommandError(
    `gantry: 'gantry ${path}' ${words}\n\nUsage:  ${usage}\n\n${verb} 'gantry ${path} --help' for more information`,
  );
}

function unknownCommand(cli: Cli, group: string | undefined, name: string): number {
  const names =
    group === undefined
      ? [...topCommands().map((item) => item.name), ...GROUPS.map((item) => item.name)]
      : commandsIn(group).map((item) => item.name);
  const found = nearest(name, names).slice(0, 3);
  const path = group === undefined ? 'gantry' : `gantry ${group}`;
  const instead = insteadOf(group, name);
  const hint =
    instead !== undefined
      ? `\n\n${instead}`
      : found.length === 0
        ? ''
        : `\n\nDid you mean this?\n${found.map((item) => `\t${path} ${item}`).join('\n')}`;
  const usage = group === undefined ? '' : `\n\nUsage:  ${path} COMMAND`;
  cli.warn(
    `gantry: unknown command: ${path} ${escapeControls(name)}${hint}${usage}\n\nRun '${path} --help' for more information`,
  );
  return 1;
}

async function helpFor(cli: Cli, words: readonly string[]): Promise<number> {
  const { commandHelp, groupHelp, topHelp } = await import('./help.ts');
  const { stdout } = cli.io;
  if (words.length === 0) {
    stdout.write(topHelp(stdout.columns));
    return 0;
  }
  const path = words.slice(0, findGroup(words[0]!) && words.length > 1 ? 2 : 1).join(' ');
  const group = findGroup(path);
  const entry = findCommand(path);
  if (group) stdout.write(groupHelp(group));
  else if (entry) stdout.write(commandHelp(entry, await entry.load(), path, stdout.columns));
  else {
    cli.warn(`unknown help topic: ${escapeControls(words.join(' '))}`);
    return 1;
  }
  return 0;
}
