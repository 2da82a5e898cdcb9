import { constants } from 'node:os';
import { posix } from 'node:path';
import { EngineError } from '../base/errors.ts';
import type { ImageRunConfig } from '../oci/image.ts';
import { expandWord, expandWords, type Lookup } from './dockerfile/expand.ts';
import type { CommandLine, Instruction } from './dockerfile/instructions.ts';

export const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What an instruction that only changes the image's configuration makes of it, and how it reads in the history. */
export interface ConfigChange {
  readonly config: ImageRunConfig;
  /** `ENV A=1`, after expansion: the history's text and, with the state before, the step's cache key. */
  readonly text: string;
}

export interface ConfigOptions {
  readonly escape?: string;
  /** CMD was set in the same stage: a later ENTRYPOINT keeps it. */
  readonly ownCmd?: boolean;
}

/**
 * Applies an instruction without files (Dockerfile reference) to `config`. Pure.
 * Undefined for RUN, COPY, ADD, WORKDIR's directory and ARG, which are more than configuration. Throws `invalid-argument`.
 */
export function changeConfig(
  config: ImageRunConfig,
  instruction: Instruction,
  lookup: Lookup,
  options: ConfigOptions = {},
): ConfigChange | undefined {
  const { escape = '\\' } = options;
  const expand = (text: string): string => expandWord(text, lookup, { escape });
  switch (instruction.kind) {
    case 'ENV': {
      let env = [...(config.Env ?? [])];
      const pairs = instruction.pairs.map(({ key, value }) => ({ key: expand(key), value: expand(value) }));
      for (const { key, value } of pairs) env = withVariable(env, key, value);
      return {
        config: { ...config, Env: env },
        text: `ENV ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`,
      };
    }
    case 'LABEL': {
      const labels = new Map(Object.entries(config.Labels ?? {}));
      const pairs = instruction.pairs.map(({ key, value }) => ({ key: expand(key), value: expand(value) }));
      for (const { key, value } of pairs) labels.set(key, value);
      return {
        config: { ...config, Labels: Object.fromEntries(labels) },
        text: `LABEL ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`,
      };
    }
    case 'EXPOSE': {
      const ports = expandWords(instruction.text, lookup, { escape }).flatMap(portNames);
      const exposed = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
      return { config: { ...config, ExposedPorts: exposed }, text: `EXPOSE ${ports.join(' ')}` };
    }
    case 'USER': {
      const user = expand(instruction.text);
      return { config: { ...config, User: user }, text: `USER ${user}` };
    }
    case 'STOPSIGNAL': {
      const signal = checkSignal(expand(instruction.text));
      return { config: { ...config, StopSignal: signal }, text: `STOPSIGNAL ${signal}` };
    }
    case 'VOLUME': {
      const paths = instruction.paths.map(expand);
      const volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
      return { config: { ...config, Volumes: volumes }, text: `VOLUME [${paths.join(' ')}]` };
    }
    case 'WORKDIR': {
      const text = expand(instruction.text);
      // An absolute one stays as written, as with BuildKit; the directory is the same.
      const directory = text.startsWith('/') ? text : posix.resolve('/', config.WorkingDir ?? '/', text);
      return { config: { ...config, WorkingDir: directory }, text: `WORKDIR ${directory}` };
    }
    case 'SHELL':
      return { config: { ...config, Shell: instruction.argv }, text: `SHELL [${instruction.argv.join(' ')}]` };
    case 'CMD': {
      const argv = commandArgv(instruction.command, config);
      return { config: { ...config, Cmd: argv }, text: `CMD ${JSON.stringify(argv)}` };
    }
    case 'ENTRYPOINT': {
      const argv = commandArgv(instruction.command, config);
      // An entry point of one's own makes the base's CMD meaningless: Docker drops it.
      const Cmd = options.ownCmd === true ? (config.Cmd ?? null) : null;
      return { config: { ...config, Entrypoint: argv, Cmd }, text: `ENTRYPOINT ${JSON.stringify(argv)}` };
    }
    case 'HEALTHCHECK': {
      const { command, interval, timeout, startPeriod, startInterval, retries } = instruction;
      const test =
        command === undefined
          ? ['NONE']
          : command.form === 'exec'
            ? ['CMD', ...command.argv]
            : ['CMD-SHELL', command.line];
      const health = {
        Test: test,
        ...(interval && { Interval: interval }),
        ...(timeout && { Timeout: timeout }),
        ...(startPeriod && { StartPeriod: startPeriod }),
        ...(startInterval && { StartInterval: startInterval }),
        ...(retries && { Retries: retries }),
      };
      return { config: { ...config, Healthcheck: health }, text: `HEALTHCHECK ${JSON.stringify(health)}` };
    }
    case 'ONBUILD':
      return {
        config: { ...config, OnBuild: [...(config.OnBuild ?? []), instruction.trigger] },
        text: `ONBUILD ${instruction.trigger}`,
      };
    case 'MAINTAINER':
      return { config, text: `MAINTAINER ${instruction.text}` };
    case 'ARG':
    case 'RUN':
    case 'COPY':
    case 'ADD':
      return undefined;
  }
}

function checkSignal(text: string): string {
  const name = text.toUpperCase().replace(/^(?!SIG)/, 'SIG');
  const number = Number(text);
  const known = Object.hasOwn(constants.signals, name) || /^SIGRTM(IN\+\d+|AX-\d+|IN|AX)$/.test(name);
  if (!known && !(Number.isInteger(number) && number > 0 && number <= 64))
    throw new EngineError('invalid-argument', `invalid signal: ${text}`);
  return text;
}

/** The argv of a CMD, ENTRYPOINT or RUN: the shell form goes through the image's shell. */
export function commandArgv(command: CommandLine, config: ImageRunConfig): string[] {
  return command.form === 'exec' ? [...command.argv] : [...(config.Shell ?? DEFAULT_SHELL), command.line];
}

/** `env` with `key=value` in the place of an earlier value, or at the end. */
export function withVariable(env: readonly string[], key: string, value: string): string[] {
  const line = `${key}=${value}`;
  const at = env.findIndex((item) => item.startsWith(`${key}=`));
  return at < 0 ? [...env, line] : env.with(at, line);
}

/** Value of a variable in an image's environment; PATH has Docker's default. */
export function variable(config: ImageRunConfig, name: string): string | undefined {
  const line = (config.Env ?? []).find((item) => item.startsWith(`${name}=`));
  return line === undefined ? (name === 'PATH' ? DEFAULT_PATH : undefined) : line.slice(name.length + 1);
}

/** `80`, `80/udp`, `3000-3002/tcp` → `80/tcp`, … Throws `invalid-argument`. */
export function portNames(text: string): string[] {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(text.replace(/^.*:/, ''));
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || first > last || last > 65535)
    throw new EngineError('invalid-argument', `Invalid containerPort: ${text}`);
  return Array.from(
    { length: last - first + 1 },
    (_, index) => `${first + index}/${(match[3] ?? 'tcp').toLowerCase()}`,
  );
}
