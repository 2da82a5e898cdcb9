import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOREIGN = fileURLToPath(new URL('../../.gantry/arm64', import.meta.url));
const INTERPRETER = `${FOREIGN}/emulator/usr/bin/qemu-aarch64-static`;
const BINFMT = '/proc/sys/fs/binfmt_misc';
/** Executables of arm64, static or shared (Documentation/admin-guide/binfmt-misc.rst). */
const MAGIC = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const MASK = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** A root file system of arm64 with a static busybox. */
export const FOREIGN_ROOT = `${FOREIGN}/root`;

/** Whether tools/setup-tests.sh could get an emulator. */
export const hasEmulator = existsSync(INTERPRETER) && existsSync(`${FOREIGN_ROOT}/bin/busybox`);

/** In front of a command that is to see what is registered: a mount namespace with it. */
export const SEEING = ['unshare', '-m', 'sh', '-c', `mount -t binfmt_misc binfmt_misc ${BINFMT} && exec "$@"`, 'sh'];

/**
 * An emulator of arm64, registered with the kernel under a name of its own. What registers it takes it back when this
 * process lets go of it, and also when this process is killed: it waits for the end of a pipe.
 */
export class RegisteredEmulator implements AsyncDisposable {
  readonly name = `gantry-test-arm64-${process.pid}`;
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
  }

  /** @param flags of the registration: with F the kernel holds the interpreter itself */
  static async register(flags = 'F'): Promise<RegisteredEmulator> {
    const script = `
      trap '' INT TERM HUP
      mount -t binfmt_misc binfmt_misc ${BINFMT} || exit 1
      printf '%s' "$1" >${BINFMT}/register || exit 1
      echo ready
      cat >/dev/null
      echo -1 >${BINFMT}/$2`;
    const name = `gantry-test-arm64-${process.pid}`;
    const line = `:${name}:M::${MAGIC}:${MASK}:${INTERPRETER}:${flags}`;
    const keeper = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', line, name], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    const ended = once(keeper, 'exit').then(() => 'ended');
    if ((await Promise.race([once(keeper.stdout!, 'data'), ended])) === 'ended')
      throw new Error('the emulator could not be registered');
    return new RegisteredEmulator(keeper);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#keeper, 'exit');
    this.#keeper.stdin!.end();
    await ended;
  }
}
