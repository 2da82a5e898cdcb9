import { constants } from 'node:os';
import { posix } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { GrowingMap } from '../base/growing.ts';
import type { ImageRunConfig } from '../oci/image.ts';
import { expandWord, expandWords, type Lookup } from './dockerfile/expand.ts';
import type { CommandLine, Instruction } from './dockerfile/instructions.ts';

export const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * An image's configuration as the instructions of a stage change it, each making the next one. Of what a file may have
 * thousands of (variables, labels, ports, volumes) nothing is copied for it.
 */
export class StageConfig {
  readonly #rest: ImageRunConfig;
  /** Undefined: as `#rest` has it. */
  readonly #maps: StageMaps;
  #whole: ImageRunConfig | undefined;

  constructor(base: ImageRunConfig, maps: StageMaps = {}) {
    this.#rest = base;
    this.#maps = maps;
  }

  get workingDir(): string | undefined {
    return this.#rest.WorkingDir;
  }

  get user(): string | undefined {
    return this.#rest.User;
  }

  get command(): ImageRunConfig['Cmd'] {
    return this.#rest.Cmd;
  }

  get shell(): ImageRunConfig['Shell'] {
    return this.#rest.Shell;
  }

  get triggers(): readonly string[] {
    return this.#rest.OnBuild ?? [];
  }

  /** Value of a variable, as the image has it. */
  variable(name: string): string | undefined {
    if (this.#maps.env) return this.#maps.env.get(name);
    return this.#rest.Env?.find((item) => item.startsWith(`${name}=`))?.slice(name.length + 1);
  }

  /** All of it, as images have it. */
  get whole(): ImageRunConfig {
    if (this.#whole) return this.#whole;
    const { env, labels, ports, volumes } = this.#maps;
    return (this.#whole = {
      ...this.#rest,
      ...(env && { Env: Array.from(env, ([name, value]) => `${name}=${value}`) }),
      ...(labels && { Labels: Object.fromEntries(labels) }),
      ...(ports && { ExposedPorts: Object.fromEntries(ports) }),
      ...(volumes && { Volumes: Object.fromEntries(volumes) }),
    });
  }

  /** With other values of what there is one of. */
  with(
    change: Pick<
      ImageRunConfig,
      'Cmd' | 'Entrypoint' | 'Healthcheck' | 'OnBuild' | 'Shell' | 'StopSignal' | 'User' | 'WorkingDir'
    >,
  ): StageConfig {
    return new StageConfig({ ...this.#rest, ...change }, this.#maps);
  }

  withoutLabels(): StageConfig {
    const { Labels: _, ...rest } = this.#rest;
    const { labels: __, ...maps } = this.#maps;
    return new StageConfig(rest, maps);
  }

  withoutTriggers(): StageConfig {
    const { OnBuild: _, ...rest } = this.#rest;
    return new StageConfig(rest, this.#maps);
  }

  withVariables(pairs: readonly NamedValue[]): StageConfig {
    const env = this.#maps.env ?? GrowingMap.of((this.#rest.Env ?? []).map(splitVariable));
    return new StageConfig(this.#rest, { ...this.#maps, env: withAll(env, pairs) });
  }

  withLabels(pairs: readonly NamedValue[]): StageConfig {
    const labels = this.#maps.labels ?? GrowingMap.of(Object.entries(this.#rest.Labels ?? {}));
    return new StageConfig(this.#rest, { ...this.#maps, labels: withAll(labels, pairs) });
  }

  withPorts(names: readonly string[]): StageConfig {
    const ports = this.#maps.ports ?? GrowingMap.of(Object.entries(this.#rest.ExposedPorts ?? {}));
    return new StageConfig(this.#rest, { ...this.#maps, ports: withAll(ports, names.map(asKey)) });
  }

  withVolumes(paths: readonly string[]): StageConfig {
    const volumes = this.#maps.volumes ?? GrowingMap.of(Object.entries(this.#rest.Volumes ?? {}));
    return new StageConfig(this.#rest, { ...this.#maps, volumes: withAll(volumes, paths.map(asKey)) });
  }
}

interface StageMaps {
  readonly env?: GrowingMap<string>;
  readonly labels?: GrowingMap<string>;
  readonly ports?: GrowingMap<Record<string, never>>;
  readonly volumes?: GrowingMap<Record<string, never>>;
}

interface NamedValue<V = string> {
  readonly key: string;
  readonly value: V;
}

function withAll<V extends {}>(map: GrowingMap<V>, pairs: readonly NamedValue<V>[]): GrowingMap<V> {
  return pairs.reduce((before, { key, value }) => before.with(key, value), map);
}

function asKey(key: string): NamedValue<Record<string, never>> {
  return { key, value: {} };
}

function splitVariable(line: string): [string, string] {
  const cut = line.indexOf('=');
  return cut < 0 ? [line, ''] : [line.slice(0, cut), line.slice(cut + 1)];
}

/** What an instruction that only changes the image's configuration makes of it, and how it reads in the history. */
export interface ConfigChange {
  readonly config: StageConfig;
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
  config: StageConfig,
  instruction: Instruction,
  lookup: Lookup,
  options: ConfigOptions = {},
): ConfigChange | undefined {
  const { escape = '\\' } = options;
  const expand = (text: string): string => expandWord(text, lookup, { escape });
  switch (instruction.kind) {
    case 'ENV': {
      const pairs = instruction.pairs.map(({ key, value }) => ({ key: expand(key), value: expand(value) }));
      return {
        config: config.withVariables(pairs),
        text: `ENV ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`,
      };
    }
    case 'LABEL': {
      const pairs = instruction.pairs.map(({ key, value }) => ({ key: expand(key), value: expand(value) }));
      return {
        config: config.withLabels(pairs),
        text: `LABEL ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`,
      };
    }
    case 'EXPOSE': {
      const ports = expandWords(instruction.text, lookup, { escape }).flatMap(portNames);
      return { config: config.withPorts(ports), text: `EXPOSE ${ports.join(' ')}` };
    }
    case 'USER': {
      const user = expand(instruction.text);
      return { config: config.with({ User: user }), text: `USER ${user}` };
    }
    case 'STOPSIGNAL': {
      const signal = checkSignal(expand(instruction.text));
      return { config: config.with({ StopSignal: signal }), text: `STOPSIGNAL ${signal}` };
    }
    case 'VOLUME': {
      const paths = instruction.paths.map(expand);
      return { config: config.withVolumes(paths), text: `VOLUME [${paths.join(' ')}]` };
    }
    case 'WORKDIR': {
      const text = expand(instruction.text);
      // An absolute one stays as written, as with BuildKit; the directory is the same.
      const directory = text.startsWith('/') ? text : posix.resolve('/', config.workingDir ?? '/', text);
      return { config: config.with({ WorkingDir: directory }), text: `WORKDIR ${directory}` };
    }
    case 'SHELL':
      return { config: config.with({ Shell: instruction.argv }), text: `SHELL [${instruction.argv.join(' ')}]` };
    case 'CMD': {
      const argv = commandArgv(instruction.command, config);
      return { config: config.with({ Cmd: argv }), text: `CMD ${JSON.stringify(argv)}` };
    }
    case 'ENTRYPOINT': {
      const argv = commandArgv(instruction.command, config);
      // An entry point of one's own makes the base's CMD meaningless: Docker drops it.
      const Cmd = options.ownCmd === true ? (config.command ?? null) : null;
      return { config: config.with({ Entrypoint: argv, Cmd }), text: `ENTRYPOINT ${JSON.stringify(argv)}` };
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
      return { config: config.with({ Healthcheck: health }), text: `HEALTHCHECK ${JSON.stringify(health)}` };
    }
    case 'ONBUILD':
      return {
        config: config.with({ OnBuild: [...config.triggers, instruction.trigger] }),
        text: `ONBUILD ${instruction.trigger}`,
      };
    case 'MAINTAINER':
      return { config, text: `MAINTAINER ${instruction.text}` };
    case 'ARG':
    case 'ENV-COMMAND':
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
export function commandArgv(command: CommandLine, { shell }: Pick<StageConfig, 'shell'>): string[] {
  return command.form === 'exec' ? [...command.argv] : [...(shell ?? DEFAULT_SHELL), command.line];
}

/** Value of a variable as instructions see it; PATH has Docker's default. */
export function variable(config: StageConfig, name: string): string | undefined {
  return config.variable(name) ?? (name === 'PATH' ? DEFAULT_PATH : undefined);
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
