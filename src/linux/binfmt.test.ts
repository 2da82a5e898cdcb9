import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { emulation } from './binfmt.ts';

/** As qemu's own script registers it, for files with the machine's number. */
function entry(
  machine: string,
  { state = 'enabled', flags = '', mask = 'fffffffffffefffffffffffffffffffffeffffff' } = {},
) {
  const magic = `7f454c460201010000000000000000000200${machine}`;
  return `${state}\ninterpreter /usr/bin/qemu\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ${mask}\n`;
}

test('emulation() reads what the kernel has registered', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-binfmt-'));
  try {
    writeFileSync(join(directory, 'status'), 'enabled\n');
    writeFileSync(join(directory, 'any-name'), entry('b700', { flags: 'POCF' }));
    writeFileSync(join(directory, 'qemu-ppc64le'), entry('1500'));
    writeFileSync(join(directory, 'qemu-riscv64'), entry('f300', { state: 'disabled', flags: 'F' }));
    writeFileSync(join(directory, 'python'), 'enabled\ninterpreter /usr/bin/python\nflags: F\nextension .pyc\n');
    writeFileSync(join(directory, 'cli'), 'enabled\ninterpreter /usr/bin/cli\nflags: F\noffset 0\nmagic 4d5a\n');
    assert.equal(emulation('arm64', directory), 'ready');
    assert.equal(emulation('ppc64le', directory), 'not fixed');
    assert.equal(emulation('riscv64', directory), 'absent');
    assert.equal(emulation('arm', directory), 'absent');
    assert.equal(emulation('none such', directory), 'absent');
    assert.equal(emulation('arm64', join(directory, 'none')), 'absent');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
