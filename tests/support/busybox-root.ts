import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A root file system of Debian's static busybox, made once a machine: what the image `busybox` of the tests holds. */
export async function busyboxRoot(): Promise<string> {
  const target = join(tmpdir(), 'gantry-test-busybox-root');
  if (existsSync(join(target, 'etc/group'))) return target;
  const root = mkdtempSync(join(tmpdir(), 'gantry-busybox-'));
  chmodSync(root, 0o755);
  for (const directory of [
    'bin',
    'etc',
    'tmp',
    'root',
    'home',
    'usr/bin',
    'usr/sbin',
    'sbin',
    'proc',
    'sys',
    'dev',
    'var',
  ]) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const applet of spawnSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).stdout.split('\n')) {
    if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
  try {
    renameSync(root, target);
  } catch {
    // another test made it meanwhile
  }
  return target;
}
