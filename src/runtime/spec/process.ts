import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { ContainerUser } from './user.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The command line: entrypoint, then command. Throws `invalid-argument` when there is none, `no-such-command` for an empty name. */
export function processArgs(config: ContainerConfig): string[] {
  const args = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (args.length === 0) throw new EngineError('invalid-argument', 'no command specified');
  // runtimes differ in what they make of it
  if (args[0] === '') {
    throw new EngineError(
      'no-such-command',
      'unable to start container process: exec: "": executable file not found in $PATH',
    );
  }
  return args;
}

export interface EnvironmentOptions {
  readonly hostname?: string | undefined;
  readonly tty: boolean;
  readonly user: ContainerUser;
}

/**
 * The environment in Docker's order: PATH, HOSTNAME, TERM (with a terminal), then what was asked; an entry without `=`
 * removes. HOME is the user's, when nothing set it: the runtimes would do the same, each with its own idea of an
 * unknown user.
 */
export function processEnvironment(env: readonly string[], options: EnvironmentOptions): string[] {
  const result = new Map<string, string>([['PATH', DEFAULT_PATH]]);
  if (options.hostname) result.set('HOSTNAME', options.hostname);
  if (options.tty) result.set('TERM', 'xterm');
  for (const entry of env) {
    const cut = entry.indexOf('=');
    if (cut < 0) result.delete(entry);
    else result.set(entry.slice(0, cut), entry.slice(cut + 1));
  }
  if (!result.get('HOME')) {
    result.delete('HOME');
    result.set('HOME', options.user.home);
  }
  return [...result].map(([name, value]) => `${name}=${value}`);
}

/** The directory the process starts in. Throws `invalid-argument` for a relative one. */
export function processDirectory(workingDir: string | undefined): string {
  if (!workingDir) return '/';
  if (!workingDir.startsWith('/')) {
    throw new EngineError(
      'invalid-argument',
      `the working directory '${workingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  return workingDir;
}

/** The name a container has for itself: what was asked, the host's own when it shares the host's, else its short id. */
export function containerHostname(
  id: string,
  config: ContainerConfig,
  hostConfig: HostConfig,
  hostHostname: string,
): string {
  if (config.Hostname) return config.Hostname;
  if (hostConfig.NetworkMode === 'host' || hostConfig.UTSMode === 'host') return hostHostname;
  return id.slice(0, 12);
}
