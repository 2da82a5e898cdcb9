import { EngineError, type ErrorCode } from '../base/errors.ts';

export interface RuntimeFailure {
  readonly doing: 'create' | 'start' | 'exec';
  /** The OCI runtime's name: `crun`. */
  readonly runtime: string;
  /** What it said on stderr or in its log. */
  readonly words: string;
  /** `args[0]` of the process that was to run. */
  readonly command: string | undefined;
  /** How many files the process may have open, where that is limited. */
  readonly openFiles?: number | undefined;
}

/**
 * A runtime's failure in the words that Docker's clients know from runc: they derive the exit codes 127 and 126 from
 * `executable file not found`, `no such file or directory` and `permission denied`.
 */
export function runtimeError(failure: RuntimeFailure): EngineError {
  const reason = tooFewFiles(failure) ?? (lastWords(failure.words) || 'it ended without a word');
  const detail = /^(runc|crun) \w+ failed:|^exec failed:|^unable to start/.test(reason)
    ? reason
    : `${failure.doing === 'exec' ? 'exec' : `${failure.runtime} ${failure.doing}`} failed: unable to start container process: ${asRuncSays(reason, failure.command)}`;
  const message =
    failure.doing === 'exec'
      ? `OCI runtime exec failed: ${detail}`
      : `failed to create task for container: failed to create shim task: OCI runtime ${failure.doing} failed: ${detail}`;
  return new EngineError(classify(detail), message);
}

/** With every runtime a container starts with so many. */
const ENOUGH_FILES = 64;

/**
 * A runtime sets the limits of the container before it has opened all that it needs itself, and then fails at whichever
 * file came next: of the host's cgroups as often as not. Undefined when that was not it.
 */
function tooFewFiles({ openFiles, words, runtime }: RuntimeFailure): string | undefined {
  if (openFiles === undefined || openFiles >= ENOUGH_FILES) return undefined;
  if (!/too many open files|\/sys\/fs\/cgroup|seccomp filter/i.test(words)) return undefined;
  return `the limit of ${openFiles} open files (--ulimit nofile) is too low for ${runtime} to start it: use ${ENOUGH_FILES} or more`;
}

function classify(words: string): ErrorCode {
  if (/executable file .*not found|no such file or directory/.test(words)) return 'no-such-command';
  if (/permission denied|is a directory|not a directory/.test(words)) {
    return 'not-executable';
  }
  if (/no space left on device|disk quota exceeded/.test(words)) return 'no-space';
  return 'internal';
}

/** crun's sentences about the command itself, as runc phrases them; any other stays as it is. */
function asRuncSays(reason: string, command: string | undefined): string {
  if (command === undefined) return reason;
  const exec = `exec: ${JSON.stringify(command)}`;
  if (/^executable file `.*` not found in \$PATH/.test(reason)) {
    return command.includes('/')
      ? `${exec}: stat ${command}: no such file or directory`
      : `${exec}: executable file not found in $PATH`;
  }
  // A file without its executable bit, or a directory.
  if (/^open executable: (permission denied|operation not permitted)/.test(reason)) return `${exec}: permission denied`;
  return reason;
}

/** The last error among a runtime's lines: logfmt (`level=error msg="…"`), JSON (`{"msg": "…"}`), or plain text; empty when there is none. */
export function lastWords(words: string): string {
  const lines = words
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const messages = lines.map(messageOf).filter((message) => message !== undefined);
  return lowerSystemWords(messages.at(-1) ?? lines.at(-1) ?? '');
}

function messageOf(line: string): string | undefined {
  if (line.startsWith('{')) {
    try {
      const { msg, level } = JSON.parse(line) as { msg?: unknown; level?: unknown };
      if (typeof msg === 'string' && level !== 'warning' && level !== 'info' && level !== 'debug') return msg;
    } catch {
      return undefined;
    }
  }
  const quoted = /\blevel=(?:error|fatal)\b.*? msg=("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
  if (quoted === undefined) return undefined;
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1);
  }
}

/** The C library's `No such file or directory` as Go writes it: clients compare case. */
function lowerSystemWords(text: string): string {
  return text
    .replace(
      /\b(No such file or directory|Permission denied|Is a directory|Not a directory|Operation not permitted|No space left on device|Disk quota exceeded|Exec format error)\b/g,
      (words) => words.toLowerCase(),
    )
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z: /, '');
}
