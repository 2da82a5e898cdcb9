import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where a daemon finds and keeps things that its settings do not name. */
export interface Places {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socket: string;
  readonly configFile: string;
  readonly tlsDirectory: string;
  readonly imagePolicy: string;
  /** Best last, as for root. */
  readonly registryConfigDirectories: readonly string[];
}

export const SYSTEM_PLACES: Places = {
  dataRoot: '/var/lib/gantry',
  execRoot: '/run/gantry',
  socket: '/run/gantry/gantry.sock',
  configFile: '/etc/gantry/daemon.json',
  tlsDirectory: '/etc/gantry/tls',
  imagePolicy: '/etc/gantry/policy.json',
  registryConfigDirectories: ['/etc/gantry/certs.d', '/etc/docker/certs.d'],
};

/** A user's own, by the XDG base directory specification. What forgets itself at the end of a session is below XDG_RUNTIME_DIR, or below `~/.gantry` without one. */
export function userPlaces(env: Readonly<Record<string, string | undefined>>): Places {
  const home = env['HOME'] || homedir();
  const config = join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'gantry');
  const runtime = join(env['XDG_RUNTIME_DIR'] || join(home, '.gantry', 'run'), 'gantry');
  return {
    dataRoot: join(env['XDG_DATA_HOME'] || join(home, '.local', 'share'), 'gantry'),
    execRoot: runtime,
    socket: join(runtime, 'gantry.sock'),
    configFile: join(config, 'daemon.json'),
    tlsDirectory: join(config, 'tls'),
    imagePolicy: join(config, 'policy.json'),
    registryConfigDirectories: [join(config, 'certs.d'), ...SYSTEM_PLACES.registryConfigDirectories],
  };
}
