/**
 * `npm run test:vm`: tests in a virtual machine, with what most hosts have and a container or an old kernel has not:
 * cgroup v2 under systemd, AppArmor, a user's own systemd. Not a part of `npm test`: it makes a machine (some minutes,
 * once), then boots it in seconds. By qemu and KVM; where they cannot be had by User Mode Linux, a kernel that is a
 * program (its making takes a quarter of an hour, once).
 *
 *   npm run test:vm                                   what tells hosts apart (files below)
 *   npm run test:vm -- tests/network/*.test.ts        others
 *   npm run test:vm -- --suite sid                    newer tools, and a newer kernel where qemu runs it
 *   npm run test:vm -- --command './gantry info'      anything, as root in the checkout
 */
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeJobDisk } from './job-disk.ts';
import { bestWay, runMachine, type Way } from './machine.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where a host's kernel and its systemd show. */
const FILES = ['tests/{system,network,security,rootless,clients,compose}/**/*.test.ts', 'tests/vm/*.test.ts'];

const NAMES: Readonly<Record<Way, string>> = {
  kvm: 'qemu',
  uml: 'User Mode Linux, with one processor and Linux 6.1',
  tcg: 'qemu’s emulation, tens of times as slow',
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      suite: { type: 'string', default: 'bookworm' },
      memory: { type: 'string', default: '6144' },
      command: { type: 'string' },
      way: { type: 'string' },
      timeout: { type: 'string', default: '5400' },
    },
  });
  const best = bestWay();
  const way = (values.way ?? best.way) as Way;
  if (way !== 'kvm') console.error(`Not by qemu and KVM, for ${best.reason || 'you said so'}: by ${NAMES[way]}.`);
  execFileSync('sh', [join(root, 'tools/setup-vm.sh'), values.suite], { stdio: 'inherit' });
  if (way === 'uml') execFileSync('sh', [join(root, 'tools/setup-uml.sh')], { stdio: 'inherit' });
  const directory = join(root, '.gantry/vm');
  const job = join(directory, `job-${process.pid}.ext4`);
  const script = values.command ?? testScript(positionals.length > 0 ? positionals : FILES);
  makeJobDisk({ root, file: job, script });
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  const seconds = Number(values.timeout);
  const limit = setTimeout(() => {
    console.error(`\nThe machine is stopped: ${seconds} s are over.`);
    end.abort();
  }, seconds * 1000);
  try {
    const status = await runMachine(
      {
        image: join(directory, values.suite),
        userModeLinux: join(directory, 'linux'),
        job,
        directory: join(directory, `run-${process.pid}`),
        memoryMiB: Number(values.memory),
        cpus: 2,
        signal: end.signal,
      },
      way,
      (text) => void process.stdout.write(text),
    );
    if (status === undefined)
      console.error(`The machine ended before its work: ${directory}/run-${process.pid}/console.log`);
    return status ?? 1;
  } finally {
    clearTimeout(limit);
    execFileSync('rm', ['-f', job]);
  }
}

function testScript(patterns: readonly string[]): string {
  const files = globSync([...patterns], { cwd: root }).sort();
  if (files.length === 0) throw new Error(`no such test: ${patterns.join(' ')}`);
  return [
    'echo "$(. /etc/os-release; echo "$PRETTY_NAME"), Linux $(uname -r), $(stat -fc %T /sys/fs/cgroup), AppArmor $(cat /sys/module/apparmor/parameters/enabled)"',
    `node tools/run-tests.ts ${files.map((file) => `'${file}'`).join(' ')}`,
  ].join('\n');
}

process.exitCode = await main();
