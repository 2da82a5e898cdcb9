import { execFileSync, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

export interface MachineOptions {
  /** Kernel, initial file system and root disk: what tools/setup-vm.sh made. None of them is written to. */
  readonly image: string;
  /** A kernel that is a program: what tools/setup-uml.sh made. */
  readonly userModeLinux: string;
  /** What the machine is to do: a file system with the label `gantry` that has `.vm/job`, a shell script. */
  readonly job: string;
  /** For the console's log, and what is written to the disks. */
  readonly directory: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly signal: AbortSignal;
}

/**
 * How a machine runs: `kvm` by qemu on this processor; `uml` by User Mode Linux, whose kernel is a process of this host
 * and whose programs run on its processor, system calls excepted; `tcg` by qemu, which emulates a processor and takes
 * tens of times as long.
 */
export type Way = 'kvm' | 'uml' | 'tcg';

/** The best way on this host, and why it is not a better one. */
export function bestWay(): { readonly way: Way; readonly reason: string } {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return { way: 'uml', reason: 'there is no /dev/kvm, or not for this user' };
  }
  // its guests are kernels made for it, as this host's own is: those of distributions do not get out of the firmware
  if (existsSync('/sys/module/kvm_pvm')) return { way: 'uml', reason: 'this host’s KVM (pvm) boots no usual kernel' };
  if (!installed('qemu-system-x86_64'))
    return { way: 'uml', reason: 'qemu is not installed (apt-get install --no-install-recommends qemu-system-x86)' };
  return { way: 'kvm', reason: '' };
}

function installed(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The lines before and after a job's output, by the machine itself. */
const START = /^[^]*@@ start\r?\n/;
const STATUS = /\n?@@ status (\d+)\s[^]*$/;

/**
 * Boots a machine, gives its output to `write` as it comes, and resolves to the exit status of its job when it has
 * switched itself off; undefined when it did not get so far. Nothing of it is left: no process, no file in `directory`
 * but `console.log`. Throws when it ends by itself with an error.
 */
export async function runMachine(
  options: MachineOptions,
  way: Way,
  write: (text: string) => void,
): Promise<number | undefined> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  const consoleLog = join(directory, 'console.log');
  const console = openSync(consoleLog, 'w');
  const [program, ...args] = way === 'uml' ? userModeLinux(options) : virtualMachine(options, way);
  // What qemu writes to the disks is in files without a name there; the memory of User Mode Linux is one, too.
  const TMPDIR = way === 'uml' && existsSync('/dev/shm') ? '/dev/shm' : directory;
  const machine = spawn(program!, args, {
    stdio: ['ignore', 'pipe', console, console],
    env: { ...process.env, TMPDIR },
    detached: true, // User Mode Linux is a process for each of the machine's
  });
  closeSync(console);
  const stop = (): void => void process.kill(-machine.pid!, 'SIGKILL');
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    const exit = once(machine, 'close') as Promise<[number | null]>;
    let rest = '';
    let started = false;
    machine.stdout!.setEncoding('utf8');
    for await (const chunk of machine.stdout! as unknown as AsyncIterable<string>) {
      rest += chunk;
      if (!started) {
        if (!START.test(rest)) continue;
        started = true;
        rest = rest.replace(START, '');
      }
      // what may be the status is kept back
      const cut = Math.max(0, rest.length - 80);
      write(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    const [code] = await exit;
    const status = started ? STATUS.exec(rest)?.[1] : undefined;
    write(rest.replace(STATUS, '\n'));
    if (status === undefined && code !== 0 && !options.signal.aborted)
      throw new Error(`the machine ended with ${code}; its console: ${consoleLog}`);
    return status === undefined ? undefined : Number(status);
  } finally {
    options.signal.removeEventListener('abort', stop);
    for (const name of ['root.cow', 'job.cow', 'uml']) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

const KERNEL_WORDS = 'rw panic=-1 mitigations=off systemd.show_status=no';

function virtualMachine({ image, job, memoryMiB, cpus }: MachineOptions, accelerator: 'kvm' | 'tcg'): string[] {
  const disk = (file: string, id: string): string[] =>
    [
      ['-drive', `if=none,id=${id},format=raw,file=${file},snapshot=on,cache=unsafe,discard=unmap`],
      ['-device', `virtio-blk-pci,drive=${id}`],
    ].flat();
  return [
    'qemu-system-x86_64',
    ['-machine', 'q35', '-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max'],
    ['-m', `${memoryMiB}M`, '-smp', String(cpus)],
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-nic', 'none'],
    ['-kernel', join(image, 'vmlinuz'), '-initrd', join(image, 'initrd')],
    ['-append', `root=LABEL=root console=ttyS0 ${KERNEL_WORDS}`],
    disk(join(image, 'root.ext4'), 'root'),
    disk(job, 'job'),
    ['-add-fd', 'fd=3,set=1', '-chardev', 'file,id=console,path=/dev/fdset/1', '-serial', 'chardev:console'],
    ['-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
    ['-chardev', 'stdio,id=report,signal=off', '-device', 'virtserialport,chardev=report,name=report'],
  ].flat();
}

function userModeLinux({ image, job, memoryMiB, directory, userModeLinux: kernel }: MachineOptions): string[] {
  return [
    join(kernel, 'linux'),
    `umid=gantry-${process.pid}`,
    `uml_dir=${directory}/uml/`,
    `mem=${memoryMiB}M`,
    `ubd0=${join(directory, 'root.cow')},${join(image, 'root.ext4')}`,
    `ubd1=${join(directory, 'job.cow')},${job}`,
    'root=/dev/ubda',
    KERNEL_WORDS.split(' '),
    ['console=tty0', 'con=null', 'con0=null,fd:3', 'ssl=null', 'ssl0=null,fd:1'],
  ].flat();
}
