import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { bind, check } from '../../src/linux/libc.ts';

const SIZE = 512 * 1024 * 1024;
const EXT4_IOC_SHUTDOWN = 0x8004587d;
/** Not even the journal is written any more. */
const NO_LOG_FLUSH = Uint32Array.of(2);
const ioctl = bind<(fd: number, request: number, argument: Uint32Array) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

/** A filesystem in a file, mounted by a loop device. */
export class LoopDisk {
  readonly #file: string;
  readonly #target: string;

  constructor(file: string, target: string) {
    this.#file = file;
    this.#target = target;
  }

  make(): void {
    makeFilesystem(this.#file);
    mkdirSync(this.#target);
    this.mount();
  }

  mount(): void {
    must('mount', '-o', 'loop', this.#file, this.#target);
  }

  cut(): void {
    const fd = openSync(this.#target, 'r');
    try {
      check(ioctl(fd, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH), 'ioctl', 'shutdown');
    } finally {
      closeSync(fd);
    }
  }

  async remount(): Promise<void> {
    await this.unmount();
    this.mount();
  }

  /** The last process of the engine, in whose namespace it is mounted too, takes its time to end. Idempotent. */
  async unmount(): Promise<void> {
    for (const end = Date.now() + 60_000; Date.now() < end; await setTimeout(50)) {
      if (spawnSync('mountpoint', ['-q', this.#target]).status === 0) spawnSync('umount', [this.#target]);
      if (spawnSync('losetup', ['-j', this.#file], { encoding: 'utf8' }).stdout === '') return;
    }
    throw new Error(`${this.#target} is still in use`);
  }
}

/** An ext4 in a file, complete: nothing of it is left to be made in the background. */
export function makeFilesystem(file: string, bytes = SIZE): void {
  writeFileSync(file, '');
  truncateSync(file, bytes);
  must('mkfs.ext4', '-q', '-F', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0', file);
}

export function must(program: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: ${stderr}`);
}
