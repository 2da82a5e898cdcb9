import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { emulation } from './binfmt.ts';

test('emulation() reads what the kernel has registered', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-binfmt-'));
  try {
    const entry = (state: string, flags: string): string =>
      `${state}\ninterpreter /usr/bin/qemu\nflags: ${flags}\noffset 0\nmagic 7f454c46\n`;
    writeFileSync(join(directory, 'status'), 'enabled\n');
    writeFileSync(join(directory, 'qemu-aarch64'), entry('enabled', 'POCF'));
    writeFileSync(join(directory, 'qemu-s390x'), entry('enabled', ''));
    writeFileSync(join(directory, 'qemu-riscv64'), entry('disabled', 'F'));
    assert.equal(emulation('arm64', directory), 'ready');
    assert.equal(emulation('s390x', directory), 'not fixed');
    assert.equal(emulation('riscv64', directory), 'absent');
    assert.equal(emulation('arm', directory), 'absent');
    assert.equal(emulation('arm64', join(directory, 'none')), 'absent');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
