import { EngineError } from '../../base/errors.ts';
import type { Heredoc, Node, ParsedDockerfile, SourceRange } from './parse.ts';

/** A command line in shell form (one string for the shell) or exec form (argv). */
export type CommandLine =
  | { readonly form: 'shell'; readonly line: string }
  | { readonly form: 'exec'; readonly argv: readonly string[] };

interface Base {
  readonly range: SourceRange;
  /** As written, for messages and history. */
  readonly original: string;
}

export interface CopyInstruction extends Base {
  readonly kind: 'COPY' | 'ADD';
  /** Unexpanded words; JSON form gives them whole. */
  readonly sources: readonly string[];
  readonly destination: string;
  readonly heredocs: readonly Heredoc[];
  readonly from: string | undefined;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean;
  readonly unpack: boolean | undefined;
}

export interface RunInstruction extends Base {
  readonly kind: 'RUN';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  /** `type=cache,target=/x`, as written. */
  readonly mounts: readonly string[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly devices: readonly StepDeviceRequest[];
}

/** RUN --device */
export interface StepDeviceRequest {
  readonly name: string;
  readonly required: boolean;
}

/** ENV --from-cmd: what a command prints becomes a variable. */
export interface EnvCommandInstruction extends Base {
  readonly kind: 'ENV-COMMAND';
  readonly name: string;
  readonly command: CommandLine;
}

export interface HealthcheckInstruction extends Base {
  readonly kind: 'HEALTHCHECK';
  /** Undefined is NONE. */
  readonly command: CommandLine | undefined;
  /** Nanoseconds. */
  readonly interval: number | undefined;
  readonly timeout: number | undefined;
  readonly startPeriod: number | undefined;
  readonly startInterval: number | undefined;
  readonly retries: number | undefined;
}

export type Instruction =
  | (Base & {
      readonly kind: 'ARG';
      readonly args: readonly { readonly name: string; readonly value: string | undefined }[];
    })
  | CopyInstruction
  | RunInstruction
  | EnvCommandInstruction
  | HealthcheckInstruction
  | (Base & { readonly kind: 'CMD' | 'ENTRYPOINT'; readonly command: CommandLine })
  | (Base & {
      readonly kind: 'ENV' | 'LABEL';
      readonly pairs: readonly { readonly key: string; readonly value: string }[];
    })
  | (Base & { readonly kind: 'EXPOSE'; readonly text: string })
  | (Base & { readonly kind: 'MAINTAINER' | 'STOPSIGNAL' | 'USER' | 'WORKDIR'; readonly text: string })
  | (Base & { readonly kind: 'ONBUILD'; readonly trigger: string })
  | (Base & { readonly kind: 'SHELL'; readonly argv: readonly string[] })
  | (Base & { readonly kind: 'VOLUME'; readonly paths: readonly string[] });

export interface Stage {
  /** Unexpanded reference, stage name, or `scratch`. */
  readonly base: string;
  readonly name: string | undefined;
  readonly platform: string | undefined;
  readonly range: SourceRange;
  readonly original: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  /** ARGs in front of the first FROM. */
  readonly globalArgs: readonly Extract<Instruction, { kind: 'ARG' }>[];
  readonly stages: readonly Stage[];
  readonly escape: '\\' | '`';
}

/** Gives the parsed instructions their meaning. Throws `invalid-argument` with the line. */
export function readStages(parsed: ParsedDockerfile): Dockerfile {
  const globalArgs: Extract<Instruction, { kind: 'ARG' }>[] = [];
  const stages: (Omit<Stage, 'instructions'> & { instructions: Instruction[] })[] = [];
  for (const node of parsed.nodes) {
    if (node.name === 'FROM') {
      stages.push({ ...readFrom(node), instructions: [] });
      continue;
    }
    const instruction = readInstruction(node, parsed.escape);
    const stage = stages.at(-1);
    if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'ARG') globalArgs.push(instruction);
    else throw fail(node, 'no build stage in current context');
  }
  if (stages.length === 0) {
    throw new EngineError(
      'invalid-argument',
      parsed.nodes.length === 0 ? 'the Dockerfile cannot be empty' : 'the Dockerfile has no FROM: no build stage',
    );
  }
  return { globalArgs, stages, escape: parsed.escape };
}

/** One instruction that is not FROM; used for ONBUILD triggers too. */
export function readInstruction(node: Node, escape: string): Instruction {
  const base = { range: node.range, original: node.original };
  allowFlags(node, FLAGS[node.name] ?? []);
  switch (node.name) {
    case 'ARG':
      needText(node);
      return { ...base, kind: 'ARG', args: pairWords(node, escape).map((word) => splitArg(node, word)) };
    case 'COPY':
    case 'ADD':
      return readCopy(node, node.name);
    case 'RUN':
      return readRun(node);
    case 'CMD':
    case 'ENTRYPOINT':
      return { ...base, kind: node.name, command: commandLine(node.text) };
    case 'ENV':
      needText(node);
      if (node.flags.length > 0) return readEnvCommand(node);
      return { ...base, kind: node.name, pairs: readPairs(node, escape) };
    case 'LABEL':
      needText(node);
      return { ...base, kind: node.name, pairs: readPairs(node, escape) };
    case 'EXPOSE':
      needText(node);
      return { ...base, kind: 'EXPOSE', text: node.text };
    case 'HEALTHCHECK':
      return readHealthcheck(node);
    case 'MAINTAINER':
    case 'STOPSIGNAL':
    case 'USER':
    case 'WORKDIR':
      needText(node);
      return { ...base, kind: node.name, text: node.text };
    case 'ONBUILD': {
      needText(node);
      const trigger = /^\S+/.exec(node.text)![0].toUpperCase();
      if (trigger === 'ONBUILD') throw fail(node, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
      if (trigger === 'MAINTAINER' || trigger === 'FROM' || trigger === 'INCLUDE')
        throw fail(node, `${trigger} isn't allowed as an ONBUILD trigger`);
      if (/^ENV\s+--from-cmd\b/i.test(node.text))
        throw fail(node, "ENV --from-cmd isn't allowed as an ONBUILD trigger");
      const bodies = node.heredocs.map(({ name, content }) => `\n${content}${name}`).join('');
      return { ...base, kind: 'ONBUILD', trigger: node.text + bodies };
    }
    case 'SHELL': {
      const argv = jsonWords(node.text);
      if (!argv || argv.length === 0) throw fail(node, 'SHELL requires the arguments to be in JSON form');
      return { ...base, kind: 'SHELL', argv };
    }
    case 'VOLUME': {
      needText(node);
      const paths = jsonWords(node.text) ?? node.text.split(/\s+/);
      if (paths.some((path) => path.trim() === '')) throw fail(node, 'VOLUME specified can not be an empty string');
      return { ...base, kind: 'VOLUME', paths };
    }
    default:
      throw fail(node, `unknown instruction: ${node.written}`);
  }
}

const FLAGS: Readonly<Record<string, readonly string[]>> = {
  ENV: ['from-cmd'],
  FROM: ['platform'],
  RUN: ['mount', 'network', 'security', 'device'],
  COPY: ['from', 'chown', 'chmod', 'link', 'parents', 'exclude'],
  ADD: ['chown', 'chmod', 'link', 'exclude', 'checksum', 'keep-git-dir', 'unpack'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
};
const REPEATABLE = new Set(['mount', 'exclude', 'device']);

function allowFlags(node: Node, allowed: readonly string[]): void {
  const seen = new Set<string>();
  for (const flag of node.flags) {
    if (!allowed.includes(flag.name)) throw fail(node, `unknown flag: --${flag.name}`);
    if (seen.has(flag.name) && !REPEATABLE.has(flag.name)) throw fail(node, `duplicate flag specified: ${flag.name}`);
    seen.add(flag.name);
  }
}

function flagValue(node: Node, name: string): string | undefined {
  return node.flags.find((flag) => flag.name === name)?.value;
}

function flagValues(node: Node, name: string): string[] {
  return node.flags.filter((flag) => flag.name === name).map((flag) => flag.value ?? '');
}

function booleanFlag(node: Node, name: string): boolean | undefined {
  const flag = node.flags.find((candidate) => candidate.name === name);
  if (!flag) return undefined;
  if (flag.value === undefined || flag.value === 'true') return true;
  if (flag.value === 'false') return false;
  throw fail(node, `expecting boolean value for flag ${name}, not: ${flag.value}`);
}

function readFrom(node: Node): Omit<Stage, 'instructions'> {
  allowFlags(node, FLAGS['FROM']!);
  const words = node.text.split(/\s+/).filter((word) => word !== '');
  const named = words.length === 3 && words[1]!.toUpperCase() === 'AS';
  if (words.length !== 1 && !named) throw fail(node, 'FROM requires either one or three arguments');
  const name = named ? words[2]!.toLowerCase() : undefined;
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(name)) {
    throw fail(
      node,
      `invalid name for build stage: ${JSON.stringify(words[2])}, name can't start with a number or contain symbols`,
    );
  }
  return { base: words[0]!, name, platform: flagValue(node, 'platform'), range: node.range, original: node.original };
}

function readCopy(node: Node, kind: 'COPY' | 'ADD'): CopyInstruction {
  const words = jsonWords(node.text) ?? splitWords(node.text);
  if (words.length < 2)
    throw fail(
      node,
      `${kind} requires at least two arguments, but only ${words.length === 1 ? 'one' : 'none'} was provided. Destination could not be determined`,
    );
  const heredocs = node.heredocs;
  const sources = words.slice(0, -1).filter((word) => !/^\d*<<-?["']?[^<\s]/.test(word) || heredocs.length === 0);
  return {
    kind,
    range: node.range,
    original: node.original,
    sources,
    destination: words.at(-1)!,
    heredocs,
    from: flagValue(node, 'from'),
    chown: flagValue(node, 'chown'),
    chmod: flagValue(node, 'chmod'),
    link: booleanFlag(node, 'link') ?? false,
    parents: booleanFlag(node, 'parents') ?? false,
    exclude: flagValues(node, 'exclude'),
    checksum: flagValue(node, 'checksum'),
    keepGitDir: booleanFlag(node, 'keep-git-dir') ?? false,
    unpack: booleanFlag(node, 'unpack'),
  };
}

function readRun(node: Node): RunInstruction {
  if (node.text === '') throw fail(node, 'RUN requires at least one argument');
  const network = flagValue(node, 'network') ?? 'default';
  if (network !== 'default' && network !== 'none' && network !== 'host')
    throw fail(node, `invalid network mode ${JSON.stringify(network)}`);
  const security = flagValue(node, 'security') ?? 'sandbox';
  if (security !== 'sandbox' && security !== 'insecure')
    throw fail(node, `security ${JSON.stringify(security)} is not valid`);
  return {
    kind: 'RUN',
    range: node.range,
    original: node.original,
    command: commandLine(node.text),
    heredocs: node.heredocs,
    mounts: flagValues(node, 'mount'),
    network,
    security,
    devices: flagValues(node, 'device').map((text) => readDevice(node, text)),
  };
}

/** `ENV --from-cmd NAME=command`: the rest of the line is the command, as RUN has it. */
function readEnvCommand(node: Node): EnvCommandInstruction {
  if (booleanFlag(node, 'from-cmd') !== true) throw fail(node, '--from-cmd is there or is not: it has no value');
  const [, name = '', line = ''] = /^([^\s=]+)=([\s\S]*)$/.exec(node.text) ?? [];
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || line.trim() === '')
    throw fail(node, 'ENV --from-cmd takes one variable and its command: NAME=command');
  return { kind: 'ENV-COMMAND', range: node.range, original: node.original, name, command: commandLine(line.trim()) };
}

/** `vendor.com/class=name,required`, `name=…,required=false`. */
function readDevice(node: Node, text: string): StepDeviceRequest {
  let name = '';
  let required = false;
  for (const field of text.split(',')) {
    const [, key = '', value] = /^([^=]*)(?:=(.*))?$/.exec(field) ?? [];
    if (key.toLowerCase() === 'required') {
      if (value !== undefined && !['true', 'false', '1', '0'].includes(value))
        throw fail(node, `invalid value for required of a device: ${value}`);
      required = value === undefined || value === 'true' || value === '1';
    } else if (key.toLowerCase() === 'name') name = value ?? '';
    else if (name === '') name = field;
    else throw fail(node, `unexpected key '${key}' for a device in '${text}'`);
  }
  if (!/^[A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w-]*(?:=(?:\*|[A-Za-z0-9][\w.:-]*))?)?$/.test(name))
    throw fail(
      node,
      `invalid device ${JSON.stringify(name)}: it must be vendor.com/class, vendor.com/class=name or a class`,
    );
  return { name, required };
}

function readHealthcheck(node: Node): HealthcheckInstruction {
  const base = { kind: 'HEALTHCHECK' as const, range: node.range, original: node.original };
  const [, type = '', rest = ''] = /^(\S*)\s*([\s\S]*)$/.exec(node.text)!;
  const times = {
    interval: duration(node, 'interval'),
    timeout: duration(node, 'timeout'),
    startPeriod: duration(node, 'start-period'),
    startInterval: duration(node, 'start-interval'),
    retries: flagValue(node, 'retries') === undefined ? undefined : Number(flagValue(node, 'retries')),
  };
  if (times.retries !== undefined && (!Number.isInteger(times.retries) || times.retries < 0))
    throw fail(node, `--retries must be at least 1 (not ${flagValue(node, 'retries')})`);
  if (type.toUpperCase() === 'NONE') {
    if (rest !== '') throw fail(node, 'HEALTHCHECK NONE takes no arguments');
    return { ...base, ...times, command: undefined };
  }
  if (type.toUpperCase() !== 'CMD')
    throw fail(
      node,
      type === ''
        ? 'HEALTHCHECK requires at least one argument'
        : `Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`,
    );
  if (rest === '') throw fail(node, 'Missing command after HEALTHCHECK CMD');
  return { ...base, ...times, command: commandLine(rest) };
}

function duration(node: Node, flag: string): number | undefined {
  const text = flagValue(node, flag);
  if (text === undefined) return undefined;
  const nanos = parseDuration(text);
  if (nanos === undefined) throw fail(node, `invalid duration ${JSON.stringify(text)} for --${flag}`);
  if (nanos !== 0 && nanos < 1_000_000) throw fail(node, `Interval ${JSON.stringify(flag)} cannot be less than 1ms`);
  return nanos;
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Go's duration text (`1m30s`) in nanoseconds. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let nanos = 0;
  for (const match of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g))
    nanos += Number(match[1]) * UNITS[match[2]!]!;
  return Math.round(nanos);
}

/** Exec form when the text is a JSON array of strings, shell form otherwise. */
export function commandLine(text: string): CommandLine {
  const argv = jsonWords(text);
  return argv ? { form: 'exec', argv } : { form: 'shell', line: text };
}

function jsonWords(text: string): string[] | undefined {
  if (!text.trimStart().startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return undefined;
    if (value.every((item) => typeof item === 'string')) return value;
  } catch {
    return undefined;
  }
  throw new EngineError('invalid-argument', `a list must be of strings only: ${text}`);
}

function splitWords(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** `key=value` words, quotes kept for the later expansion; Docker's old form `ENV key the rest` is one pair. */
function readPairs(node: Node, escape: string): { key: string; value: string }[] {
  const words = pairWords(node, escape);
  if (!words[0]!.includes('=')) {
    const [, key = '', value = ''] = /^(\S+)\s+([\s\S]+)$/.exec(node.text) ?? [];
    if (key === '') throw fail(node, `${node.name} must have two arguments`);
    return [{ key, value }];
  }
  return words.map((word) => {
    const cut = word.indexOf('=');
    if (cut < 0)
      throw fail(node, `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    if (cut === 0) throw fail(node, `${node.name} names can not be blank`);
    return { key: word.slice(0, cut), value: word.slice(cut + 1) };
  });
}

function splitArg(node: Node, word: string): { name: string; value: string | undefined } {
  const cut = word.indexOf('=');
  if (cut === 0) throw fail(node, 'ARG names can not be blank');
  return cut < 0 ? { name: word, value: undefined } : { name: word.slice(0, cut), value: word.slice(cut + 1) };
}

/** Splits at white space outside quotes, keeping quotes and escapes. */
function pairWords(node: Node, escape: string): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let i = 0; i < node.text.length; i++) {
    const char = node.text[i]!;
    if (quote === '' && /\s/.test(char)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    if (char === escape && quote !== "'" && i + 1 < node.text.length) {
      word += char + node.text[++i]!;
      continue;
    }
    if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === quote) quote = '';
    word += char;
  }
  if (word !== '') words.push(word);
  return words;
}

function needText(node: Node): void {
  if (node.text === '')
    throw fail(
      node,
      `${node.name} requires ${['WORKDIR', 'USER', 'STOPSIGNAL', 'MAINTAINER'].includes(node.name) ? 'exactly one argument' : 'at least one argument'}`,
    );
}

function fail(node: { readonly range: SourceRange }, message: string): EngineError {
  return new EngineError('invalid-argument', `dockerfile parse error on line ${node.range.start}: ${message}`);
}
