import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before } from 'node:test';
import type { DaemonProcess } from './daemon-process.ts';
import { leftBehind } from './leak-check.ts';

export interface DaemonSuite {
  /** With the image `busybox` of these tests. */
  readonly busybox?: boolean;
  /** What the suite has made, deleted at its end; the default is the daemon's directory. */
  readonly directory?: string;
}

/** Starts the daemon before the tests of this suite, and ends it after them with nothing left of it. */
export function runsDaemon(daemon: DaemonProcess, { busybox = false, directory }: DaemonSuite = {}): void {
  before(async () => {
    await daemon.start();
    if (busybox) await daemon.importBusybox();
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon, directory);
  });
}

/** Deletes `directory`, all that the test made, and asserts that an ended daemon has left nothing on the host. */
export async function nothingLeft(daemon: DaemonProcess, directory: string = daemon.directory): Promise<void> {
  const left = await leftBehind(daemon);
  rmSync(directory, { recursive: true, force: true });
  assert.deepEqual(left, []);
}
