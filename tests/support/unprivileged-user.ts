import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = realpathSync(fileURLToPath(new URL('../..', import.meta.url)));

/** A user that this machine does not know, and subordinate ids that nobody has: others in other processes of tests. */
const UID = 61_184 + (process.pid % 4000);
const COUNT = 65_536;
const BASE = 1_610_612_736 + (process.pid % 4000) * COUNT;

export interface UserOptions {
  /** Everything of the user is below it. */
  readonly directory: string;
  /** Lines of /etc/subuid and /etc/subgid, without the name: `100000:65536`. */
  readonly subordinate?: string;
}

/**
 * An unprivileged user of this machine for a test: its commands run in a mount namespace of their own, in which
 * /etc/passwd, /etc/subuid and the like know it, and /dev/net/tun is open to it, as on most hosts. Nothing of it is seen
 * outside, or left behind.
 */
export class UnprivilegedUser {
  readonly uid = UID;
  readonly subordinate = { base: BASE, size: COUNT };
  readonly name = 'rootless';
  readonly home: string;
  readonly runtimeDirectory: string;
  readonly #etc: string;

  constructor({ directory, subordinate = `${BASE}:${COUNT}` }: UserOptions) {
    this.home = join(directory, 'home');
    this.runtimeDirectory = join(directory, 'xdg');
    this.#etc = join(directory, 'etc');
    for (const own of [this.home, this.runtimeDirectory]) {
      mkdirSync(own, { recursive: true, mode: 0o700 });
      chownSync(own, UID, UID);
    }
    chmodSync(directory, 0o711);
    mkdirSync(this.#etc, { recursive: true, mode: 0o755 });
    const file = (name: string, line: string): void =>
      writeFileSync(
        join(this.#etc, name),
        `${existsSync(`/etc/${name}`) ? readFileSync(`/etc/${name}`, 'utf8') : ''}${line}`,
      );
    file('passwd', `${this.name}:x:${UID}:${UID}::${this.home}:/bin/sh\n`);
    file('group', `${this.name}:x:${UID}:\n`);
    for (const name of ['subuid', 'subgid'])
      writeFileSync(join(this.#etc, name), subordinate === '' ? '' : `${this.name}:${subordinate}\n`);
  }

  get env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      HOME: this.home,
      USER: this.name,
      XDG_RUNTIME_DIR: this.runtimeDirectory,
    };
  }

  /** The command line that runs another as this user: the process that it becomes is the one that was started. */
  command(argv: readonly string[]): [string, ...string[]] {
    const closed = [repository, dirname(process.execPath)].map((path) => [path, closedAncestor(path)] as const);
    const reopen = closed.flatMap(([path, ancestor]) => (ancestor === undefined ? [] : [ancestor, path]));
    const own = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', SCRIPT, 'sh', this.#etc] as const;
    const how = ['--reuid', String(UID), '--regid', String(UID), '--clear-groups', '--inh-caps=-all', '--'];
    return [...own, String(reopen.length / 2), ...reopen, 'setpriv', ...how, ...argv];
  }
}

/** Binds the files over the machine's, makes places that are closed to others reachable, and becomes the rest of its arguments. */
const SCRIPT = `
etc=$1 places=$2; shift 2
for file in passwd group subuid subgid; do
  [ -e /etc/$file ] || : > /etc/$file
  mount --bind "$etc/$file" /etc/$file
done
while [ "$places" -gt 0 ]; do
  exec 9<"$2"
  mount -t tmpfs -o mode=755 closed "$1"
  mkdir -p "$2"
  mount --bind /proc/self/fd/9 "$2"
  exec 9<&-
  shift 2; places=$((places - 1))
done
if [ -e /dev/net/tun ]; then
  [ -e "$etc/tun" ] || mknod -m 666 "$etc/tun" c 10 200
  mount --bind "$etc/tun" /dev/net/tun
fi
exec "$@"`;

/** The topmost directory on the way that others may not pass. */
function closedAncestor(path: string): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : closedAncestor(parent);
  return above ?? ((statSync(path).mode & 0o001) === 0 ? path : undefined);
}
