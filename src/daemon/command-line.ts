import { EngineError, errorMessage } from '../base/errors.ts';
import { type Flag, FLAGS, type SettingName, type Settings } from './settings.ts';

export interface CommandLine {
  readonly settings: Settings;
  /** Given with `--config-file`. */
  readonly configFile: string | undefined;
  readonly validate: boolean;
  readonly help: boolean;
  readonly version: boolean;
}

/** Reads the flags of `gantry daemon`. Throws `invalid-argument`. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const settings: Settings = {};
  const own = { configFile: undefined as string | undefined, validate: false, help: false, version: false };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const { name, short, given } = split(arg);
    if (name === 'help' || short === 'h') own.help = true;
    else if (name === 'version' || short === 'v') own.version = true;
    else if (name === 'validate') own.validate = given !== 'false';
    else if (name === 'config-file') own.configFile = given ?? takeValue(rest, '--config-file');
    else set(settings, find(arg, name, short), given, rest);
  }
  return { settings, ...own };
}

export function helpText(): string {
  const lines = FLAGS.map((flag): [string, string] => [
    `  ${flag.short ? `-${flag.short}, ` : '    '}--${flag.name}${flag.value ? ` ${flag.value}` : ''}`,
    flag.help,
  ]);
  lines.push(
    [
      '      --config-file FILE',
      'Settings in daemon.json’s format (default "/etc/gantry/daemon.json", when there is one)',
    ],
    ['      --validate', 'Check the settings and exit'],
    ['  -v, --version', 'Print the version and exit'],
    ['      --help', 'Print this help and exit'],
  );
  const width = Math.max(...lines.map(([left]) => left.length)) + 2;
  return `
Usage:  gantry daemon [OPTIONS]

The container engine, in the foreground. It speaks the Docker Engine API.

Options:
${lines.map(([left, right]) => left.padEnd(width) + right).join('\n')}
`;
}

function split(arg: string): { name?: string; short?: string; given?: string } {
  const long = /^--([^=]+)(?:=([^]*))?$/.exec(arg);
  if (long) return { name: long[1]!, ...(long[2] === undefined ? {} : { given: long[2] }) };
  const short = /^-([A-Za-z])(?:=?([^]+))?$/.exec(arg);
  if (short) return { short: short[1]!, ...(short[2] === undefined ? {} : { given: short[2] }) };
  throw new EngineError('invalid-argument', `unexpected argument: ${arg}`);
}

function find(arg: string, name: string | undefined, short: string | undefined): Flag {
  const flag = FLAGS.find((one) => (name === undefined ? one.short === short : one.name === name));
  if (flag) return flag;
  const words = name === undefined ? `unknown shorthand flag: '${short}' in ${arg}` : `unknown flag: --${name}`;
  throw new EngineError('invalid-argument', words);
}

function set(settings: Settings, flag: Flag, given: string | undefined, rest: string[]): void {
  const text = given ?? (flag.value === undefined ? 'true' : takeValue(rest, `--${flag.name}`));
  try {
    const before = settings[flag.setting] as never;
    (settings as Record<SettingName, unknown>)[flag.setting] = flag.apply(text, before);
  } catch (error) {
    const shown = flag.short ? `-${flag.short}, --${flag.name}` : `--${flag.name}`;
    throw new EngineError(
      'invalid-argument',
      `invalid argument "${text}" for "${shown}" flag: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
}

function takeValue(rest: string[], flag: string): string {
  const value = rest.shift();
  if (value === undefined) throw new EngineError('invalid-argument', `flag needs an argument: ${flag}`);
  return value;
}
